"""Running a network with one draw after another: buffers that draws leave out, their type, the layout of images."""

from dataclasses import dataclass

import torch
from torch import Tensor

from surefoot.errors import InputError
from surefoot.inference.chains.chains import Chains, Shard
from surefoot.inference.draws import Draws
from surefoot.networks.layout import lay_out, layout_of
from surefoot.networks.network import Network, Parameters, forward
from surefoot.rows.rows import Inputs

__all__ = ["Runner", "as_chains", "make_runner", "prepare", "run"]


@dataclass(frozen=True)
class Runner:
    """A network and what its draws need: its buffers, the names of its parameters, the layout of images, a device."""

    network: Network
    buffers: Parameters
    names: frozenset[str]
    layout: torch.memory_format
    device: str


def as_chains(draws: Chains | Draws) -> Chains:
    """Plain draws as the draws of one chain. Raises `InputError` where there is no draw."""
    if isinstance(draws, Draws):
        parameters = {name: tensor[:, None] for name, tensor in draws.parameters.items()}
        shard = Shard(parameters, {})
        draws = Chains(1, shard.draws, (shard,), draws.diagnostics, draws.seen)
    if draws.chains * draws.draws == 0:
        raise InputError("There are no draws to predict with; keep at least one.")
    return draws


def make_runner(network: Network, inputs: Inputs, device: str) -> Runner:
    """Choose the layout by the first of the inputs. Raises `InputError` when there is none."""
    if not len(inputs):
        raise InputError("There are no rows to predict; check the role or the filter that chose them.")
    weight = next(network.module.parameters())
    sample = _typed(inputs[:1], weight.dtype).to(weight.device)
    return Runner(
        network,
        {name: buffer.detach().clone() for name, buffer in network.module.named_buffers()},
        frozenset(name for name, _ in network.module.named_parameters()),
        layout_of(network.module, sample),
        device,
    )


def prepare(runner: Runner, point: Parameters) -> Parameters:
    """One draw as the network runs it: buffers that it lacks are the network's own, of the draw's type.

    Raises `InputError` when the draw is of another network.
    """
    missing, strange = runner.names - set(point), set(point) - runner.names - set(runner.buffers)
    if missing or strange:
        what = f"lack {min(missing)!r}" if missing else f"have {min(strange)!r}, which the network has not"
        raise InputError(f"The draws {what}; predict with the network that they were drawn for.")
    dtype = _dtype(runner, point)
    ready = {name: tensor.detach().to(runner.device) for name, tensor in point.items()}
    for name, buffer in runner.buffers.items():
        if name not in ready:
            ready[name] = _typed(buffer, dtype).to(runner.device)
    if runner.layout is not torch.contiguous_format:
        lay_out(ready, runner.layout)
    return ready


def run(runner: Runner, parameters: Parameters, inputs: Tensor, where: str) -> Tensor:
    """Outputs for some rows, on the CPU and without gradients.

    Raises `InputError`, saying `where`, when one is NaN or infinite.
    """
    inputs = _typed(inputs, _dtype(runner, parameters)).to(runner.device)
    if runner.layout is not torch.contiguous_format:
        inputs = inputs.contiguous(memory_format=runner.layout)
    with torch.no_grad():
        outputs = forward(runner.network, parameters, inputs).cpu()
    if not bool(outputs.isfinite().all()):
        raise InputError(
            f"{where} predicts numbers that are NaN or infinite; leave out the chain that diverged, or mend the inputs."
        )
    return outputs


def _dtype(runner: Runner, parameters: Parameters) -> torch.dtype:
    return parameters[f"{runner.network.head}.weight"].dtype


def _typed(values: Tensor, dtype: torch.dtype) -> Tensor:
    return values.to(dtype) if values.is_floating_point() else values
