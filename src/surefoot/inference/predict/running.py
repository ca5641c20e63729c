"""Running a network with one draw after another: tensors that were not sampled, their type, the layout of images."""

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
    """A network and what its draws need: what was not sampled, the names of all its tensors, a layout, a device."""

    network: Network
    fixed: Parameters
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


def make_runner(network: Network, inputs: Inputs, device: str, fixed: Parameters | None = None) -> Runner:
    """Choose the layout by the first of the inputs.

    fixed: what the draws lack; of a whole trained point, what they hold is not read.

    Raises `InputError` when there are no inputs, and for tensors in `fixed` that the network has not, or in another
    shape.
    """
    if not len(inputs):
        raise InputError("There are no rows to predict; check the role or the filter that chose them.")
    weight = next(network.module.parameters())
    sample = _typed(inputs[:1], weight.dtype).to(weight.device)
    shapes = {
        name: tensor.shape for name, tensor in (*network.module.named_parameters(), *network.module.named_buffers())
    }
    given = {} if fixed is None else {name: tensor.detach() for name, tensor in fixed.items()}
    for name, tensor in given.items():
        if name not in shapes or tensor.shape != shapes[name]:
            own = f"of shape {list(shapes[name])}" if name in shapes else "under no such name"
            raise InputError(
                f"fixed has {name!r} of shape {list(tensor.shape)}, and the network has it {own}; give the tensors "
                "that the draws were drawn with."
            )
    layout = layout_of(network.module, sample)
    held = {name: tensor.to(device) for name, tensor in given.items()}
    if layout is not torch.contiguous_format:
        lay_out(held, layout)
    return Runner(network, held, frozenset(shapes), layout, device)


def prepare(runner: Runner, point: Parameters) -> Parameters:
    """One draw as the network runs it: tensors that it lacks are the runner's, in the draw's precision.

    The network's own are never taken for them, be they buffers: they are starting values, and the draws may have been
    drawn with others. Raises `InputError` when some are in neither, and when the draw is of another network.
    """
    missing, strange = runner.names - set(point) - set(runner.fixed), set(point) - runner.names
    if strange:
        raise InputError(
            f"The draws have {min(strange)!r}, which the network has not; predict with the network that they were "
            "drawn for."
        )
    if missing:
        raise InputError(
            f"The draws lack {min(missing)!r}; give as fixed= the tensors that were not sampled (frozen parameters, "
            "buffers), or predict with the network that they were drawn for."
        )
    dtype = next((tensor.dtype for tensor in point.values() if tensor.is_floating_point()), torch.float32)
    ready = {name: tensor.detach().to(runner.device) for name, tensor in point.items()}
    if runner.layout is not torch.contiguous_format:
        lay_out(ready, runner.layout)
    held = {name: _typed(tensor, dtype) for name, tensor in runner.fixed.items() if name not in ready}
    return {**ready, **held}


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
