"""Ascent of a network that is too large for one device: every process holds a share of it, and of its optimiser.

    torchrun --nproc-per-node 8 --max-restarts 3 train.py

    with joined("cuda") as together:
        reached = ascend_sharded(objective, rows, start, seed, settings, together, folder=Path("run"))

The tensors of each layer are cut along their first dimension, R pieces for R processes. A layer is put together while
it runs, forward and backward, and its gradients are added up in the order of the processes, each keeping the sum of its
own rows:

    ∇ = ((∇_1 + ∇_2) + …) + ∇_R,    ∇_r of the rows of the batch that are process r's

So R processes reach what `ascend(blocks=R)` does, to the last bit on machines of one kind (but for filters that
`ascend` lays out channels last), and another number of processes the same to rounding. The optimiser works on each
number by itself, so that shares of it are exact.

Every `save_every` steps all processes write their pieces (`shards.py`). A run whose processes were killed goes on from
the last checkpoint, with as many of them or another number, and ends where one that was never killed does; `torchrun
--max-restarts` starts them again by itself. The result is the last checkpoint: `read_whole(folder)` puts it together.

precision "bfloat16": products are in it (autocast), and weights, gradients and the optimiser are float32; it is a part
of what a run is.

Source: Rajbhandari et al. (2020), "ZeRO: memory optimizations toward training trillion parameter models", §5 (stage 3),
as torch's `fully_shard` has it; unlike there, gradients are added in one order, and are a sum, not a mean.
"""

import copy
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, cast

import torch
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor

from surefoot.density.batch import Batch
from surefoot.density.objective import Objective, Posterior
from surefoot.errors import InputError
from surefoot.inference.checkpoint import identity
from surefoot.inference.climb import Feed, make_optimiser, private_copy, set_pace, tensors_of
from surefoot.inference.settings import Ascend
from surefoot.inference.shards import PARAMETER, Shards, local_of, newest_shards, save_shards
from surefoot.inference.together import (
    Together,
    check_alike,
    check_scores,
    check_shared,
    share_of_objective,
    summed,
)
from surefoot.networks.network import Parameters
from surefoot.progress import Progress, silent
from surefoot.rows.digest import input_digests
from surefoot.rows.rows import Rows

__all__ = ["Reached", "ShardPrecision", "ascend_sharded", "layers_of"]

ShardPrecision: TypeAlias = Literal["float32", "bfloat16"]
TRIED = 2
"""Rows of each process on which it is tried whether scores are of one row each."""
BEGUN = (
    "it has another objective, seed, start, rows, settings, precision or folder; give all processes the same, and a "
    "folder that all of them see."
)
OPTIMISER = "optimiser/"
COUNT = "step"
"""Of AdamW, for each tensor."""


class Reached(NamedTuple):
    """Where a run ended. folder: `read_whole` gives its tensors; losses: the mean of each epoch, in nats."""

    folder: Path
    steps: int
    losses: tuple[float, ...]


def ascend_sharded(
    objective: Objective | Posterior,
    rows: Rows,
    start: Parameters,
    seed: int,
    settings: Ascend,
    together: Together,
    *,
    folder: Path,
    save_every: int = 100,
    precision: ShardPrecision = "float32",
    progress: Progress = silent,
) -> Reached:
    """Maximise `objective` from `start`, no process holding more of the network than its share and a layer at a time.

    start: whole, in main memory, such as `read_tensors` gives it; it is read and left as it is. folder: what all
    processes see; checkpoints go there after every `save_every` steps and the last, and a run that is there goes on.
    A layer is an element of the network's `ModuleList`s and `Sequential`s; what lies outside of them is held together.

    Raises `InputError` for posteriors and regularisers, L-BFGS, what processes cannot share (`together.py`), fewer than
    one step between checkpoints, a folder of another run, and a loss that stops being finite (naming the step).
    """
    objective = _checked(objective, rows, settings, seed, save_every, precision)
    check_shared(objective, objective.network.module)
    module = _spread(objective.network.module, start, together)
    learnt = {name: tensor for name, tensor in module.named_parameters() if tensor.requires_grad}
    # The optimiser's own names for the same memory, so that its steps are those of any tensor.
    held = nn.ParameterList([nn.Parameter(local_of(tensor)) for tensor in learnt.values()])
    optimiser = make_optimiser(settings, held, fused=False)
    feed = _feed(rows, settings, seed, together.device)
    told = [
        rows.inputs if isinstance(rows.inputs, Tensor) else input_digests(rows.inputs),
        rows.targets, rows.weights, rows.groups.members, rows.ids.tolist(),
    ]  # fmt: skip
    run = identity("sharded", objective, told, start, seed, settings, precision)
    kept = newest_shards(folder, run)
    step, losses = (0, list[float]()) if kept is None else _restored(kept, module, learnt, optimiser)
    if together.processes > 1:
        check_alike(together, f"{run} {step}", BEGUN)

    per_epoch = len(feed.sizes())
    steps = settings.epochs * per_epoch
    own: list[Tensor] = []
    for fed in _from(feed, step, settings.epochs):
        batch = fed._replace(done=step / steps)
        set_pace(optimiser, settings, step, steps)
        module.zero_grad()
        with torch.autocast(together.device.partition(":")[0], torch.bfloat16, enabled=precision == "bfloat16"):
            if not own and not losses:
                _try_scores(objective, module, batch, together)
            value = _value(objective, module, batch, together)
        value.backward()
        own.append(value.detach())
        for tensor, local in zip(learnt.values(), held, strict=True):
            local.grad = None if tensor.grad is None else local_of(tensor.grad)
        optimiser.step()
        step += 1
        if step % save_every == 0 or step == steps:
            losses += _losses(own, step, settings, together)
            own = []
            save_shards(folder, run, step, _tensors(module, learnt, optimiser), {"losses": losses}, together)
        if together.rank == 0:
            progress("training", step, steps)
    return Reached(folder, step, tuple(_epochs(losses, feed.sizes())))


def layers_of(module: nn.Module) -> list[nn.Module]:
    """What is put together by itself: elements of the outermost lists, but for those that share tensors with others.

    >>> [type(layer).__name__ for layer in layers_of(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)))]
    ['Linear', 'Linear']
    """
    used = Counter(id(tensor) for _, tensor in module.named_parameters(remove_duplicate=False))

    def found(part: nn.Module) -> Iterator[nn.Module]:
        for child in part.children():
            if not isinstance(part, nn.ModuleList | nn.Sequential):
                yield from found(child)
                continue
            here = Counter(id(tensor) for _, tensor in child.named_parameters(remove_duplicate=False))
            if here and all(used[tensor] == count for tensor, count in here.items()):
                yield child

    return list(found(module))


def _checked(
    objective: Objective | Posterior,
    rows: Rows,
    settings: Ascend,
    seed: int,
    save_every: int,
    precision: ShardPrecision,
) -> Objective:
    if not len(rows):
        raise InputError("There are no rows to train on; check the role or the filter that chose them.")
    if seed < 0:
        raise InputError(f"The seed is {seed}; give zero or a positive whole number.")
    if save_every < 1:
        raise InputError(f"save_every is {save_every}; give at least 1 step.")
    if settings.optimiser == "lbfgs":
        raise InputError("L-BFGS keeps many gradients of the whole network; use sgd or adamw where it is in shares.")
    if scalar := [name for name, tensor in objective.network.module.named_parameters() if not tensor.ndim]:
        raise InputError(f"The parameters {scalar} are single numbers, which cannot be cut; give them shape [1].")
    if isinstance(objective, Posterior) or objective.regulariser is not None:
        raise InputError(
            "A prior or a regulariser reads the whole network, which no process holds; give an objective without one, "
            "and weight_decay in its place."
        )
    kinds = {tensor.dtype for tensor in objective.network.module.parameters()}
    if precision == "bfloat16" and kinds != {torch.float32}:
        said = ", ".join(sorted(str(kind).removeprefix("torch.") for kind in kinds))
        raise InputError(f"bfloat16 is for products of a network in float32, and this one is in {said}.")
    return objective


def _spread(module: nn.Module, start: Parameters, together: Together) -> nn.Module:
    """A copy of the module at `start`, in training mode, of which this process holds its share."""
    if not distributed.is_initialized():
        return private_copy(module, start, together.device)
    own = _at(module, start)
    mesh = init_device_mesh(together.device.partition(":")[0], (together.processes,))
    for layer in layers_of(own):
        fully_shard(layer, mesh=mesh)
    fully_shard(own, mesh=mesh)
    for part in own.modules():
        if isinstance(part, FSDPModule):
            part.set_gradient_divide_factor(1.0)
            part.set_custom_reduce_scatter(cast("Any", _InOrder()))
    return own


def _at(module: nn.Module, start: Parameters) -> nn.Module:
    """A copy whose parameters are `start` itself, not copies of it: cutting them copies the share."""
    own = copy.deepcopy(module, {id(tensor): tensor for tensor in module.parameters()}).train()
    fresh: dict[int, nn.Parameter] = {}
    tensors = tensors_of(own)
    if tensors.keys() != start.keys() or any(start[name].shape != tensors[name].shape for name in tensors):
        raise InputError("The start does not have the network's tensors; start from parameters_of(network).")
    names = {id(tensor): name for name, tensor in tensors.items()}
    for part in own.modules():
        for key, tensor in list(part.named_parameters(recurse=False, remove_duplicate=False)):
            if id(tensor) not in fresh:
                fresh[id(tensor)] = nn.Parameter(start[names[id(tensor)]].detach(), tensor.requires_grad)
            setattr(part, key, fresh[id(tensor)])
        for key, tensor in list(part.named_buffers(recurse=False)):
            setattr(part, key, start[names[id(tensor)]].detach().clone())
    return own


class _InOrder:
    """Adds up what all processes have of each one's rows, in the order of the processes, whatever their number."""

    def allocate(self, size: Any, *, dtype: torch.dtype, device: torch.device) -> Tensor:
        return torch.empty(size, dtype=dtype, device=device)

    def __call__(
        self, output_tensor: Tensor, input_tensor: Tensor, group: Any, op: Any, async_op: bool = False
    ) -> None:
        del op, async_op  # always a sum; and done when this returns
        theirs = torch.empty_like(input_tensor)
        distributed.all_to_all_single(theirs, input_tensor, group=group)
        first, *others = theirs.view(distributed.get_world_size(group), -1)
        found = first.clone()
        for part in others:
            found += part
        output_tensor.copy_(found.view_as(output_tensor))


def _feed(rows: Rows, settings: Ascend, seed: int, device: str) -> Feed:
    """As `make_feed`, with inputs left in main memory until a batch needs them, as they are laid out."""
    return Feed(
        inputs=rows.inputs,
        targets=rows.targets.to(device),
        weights=rows.weights.to(device),
        members=rows.groups.members.to(device),
        settings=settings,
        seed=seed,
        device=device,
        layout=torch.contiguous_format,
        classes=len(rows.classes),
    )


def _from(feed: Feed, step: int, epochs: int) -> Iterator[Batch]:
    """The batches of all epochs from this step on."""
    per_epoch = len(feed.sizes())
    for epoch in range(step // per_epoch, epochs):
        yield from islice(feed.batches(epoch), step % per_epoch if epoch == step // per_epoch else 0, None)


def _value(objective: Objective, module: nn.Module, batch: Batch, together: Together) -> Tensor:
    mine = together.part(len(batch.weights))
    if mine.stop == mine.start:  # others wait for this process in every layer
        return module(batch.inputs[:1]).sum() * 0
    return share_of_objective(objective, module, {}, batch, together)


def _try_scores(objective: Objective, module: nn.Module, batch: Batch, together: Together) -> None:
    few = TRIED * together.processes
    tried = batch._replace(inputs=batch.inputs[:few], targets=batch.targets[:few])
    parts = [Together(rank, together.processes) for rank in range(together.processes)]
    check_scores(objective, module, tried, parts)


def _losses(own: list[Tensor], step: int, settings: Ascend, together: Together) -> list[float]:
    """The loss of each of the last steps, of all processes; refused where one is not finite."""
    shares = torch.zeros(together.processes, len(own), dtype=torch.float64, device=together.device)
    shares[together.rank] = torch.stack(own).double()
    if together.processes > 1:
        summed(shares)
    found = shares[0].clone()
    for share in shares[1:]:
        found += share
    taken = found.to(own[0].dtype).double().cpu()
    if not bool(taken.isfinite().all()):
        bad = int((~taken.isfinite()).nonzero()[0])
        raise InputError(
            f"The training loss became {taken[bad].item()} at step {step - len(own) + bad + 1}; try a rate below "
            f"{settings.rate:g}, and check that all inputs are finite."
        )
    return taken.tolist()


def _epochs(losses: list[float], sizes: list[int]) -> Iterator[float]:
    count = torch.tensor(sizes, dtype=torch.float64)
    for first in range(0, len(losses), len(sizes)):
        yield float((torch.tensor(losses[first : first + len(sizes)], dtype=torch.float64) * count).sum() / count.sum())


def _tensors(module: nn.Module, learnt: Mapping[str, Tensor], optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What is kept of this process: its share of the network and of the optimiser's numbers."""
    found = {f"{PARAMETER}{name}": tensor for name, tensor in tensors_of(module).items()}
    names = list(learnt)
    state: Mapping[int, Mapping[str, Any]] = optimiser.state_dict()["state"]
    for place, told in state.items():
        for key, value in told.items():
            if isinstance(value, Tensor):
                like = value if key == COUNT else _share(learnt[names[place]], value)
                found[f"{OPTIMISER}{names[place]}/{key}"] = like
    return found


def _restored(
    kept: Shards, module: nn.Module, learnt: Mapping[str, Tensor], optimiser: torch.optim.Optimizer
) -> tuple[int, list[float]]:
    """Fill this process's share; returns the step and the losses up to it."""
    for name, tensor in tensors_of(module).items():
        kept.fill(tensor, f"{PARAMETER}{name}")
    state: dict[int, dict[str, Tensor]] = {}
    for place, (name, tensor) in enumerate(learnt.items()):
        begins = f"{OPTIMISER}{name}/"
        for key in (each.removeprefix(begins) for each in kept.tensors if each.startswith(begins)):
            value = torch.zeros(()) if key == COUNT else torch.zeros_like(local_of(tensor))
            kept.fill(value if key == COUNT else _share(tensor, value), begins + key)
            state.setdefault(place, {})[key] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return kept.step, [float(loss) for loss in kept.told["losses"]]


def _share(like: Tensor, local: Tensor) -> Tensor:
    """What lies here of a tensor that is cut as `like` is."""
    if not isinstance(like, DTensor):
        return local
    return DTensor.from_local(
        local, like.device_mesh, like.placements, run_check=False, shape=like.shape, stride=like.stride()
    )
