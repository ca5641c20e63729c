"""One ascent in several processes: each takes its share of every batch, and the numbers are those of one process.

    torchrun --nproc-per-node 2 train.py

    with joined() as together:
        draws = ascend(objective, rows, start, seed, settings, together=together)

All processes hold all rows and draw the same batches in the same order, from (seed, epoch). Of each batch, process r of
R runs its own rows B_r, and gradients are added up:

    loss = −( Σ_r Σ_{i in B_r} w_i s_i ) / W − regulariser,    ∇ = Σ_r ∇_r

W is that of the whole batch: Σ w of all its rows (pool `mean`), their number (`per_row`) or one (`total`); for a
posterior what `minibatch_log_density` divides by. So it is the same sum in another order, whether or not R divides the
batch. The regulariser or the prior is taken once. The mean over processes, which torch's DDP takes, is another number
where shares or their weights differ.

Everything that is drawn is drawn from (seed, epoch) or (seed, step): orders, shifts, mixup, and the patch size of a
step. What a network draws itself, or computes over a batch, would be another number in another split, and is refused:
dropout, batch normalisation, other pools, and scores of a row that depend on the others.

The first process writes the checkpoint, and any number of processes resume it. `blocks.py` keeps the last bits too.

Source: Li et al. (2020), "PyTorch distributed: experiences on accelerating data parallel training", §3: replicas that
begin alike and take the same steps on sums of gradients stay alike.
"""

import gc
import os
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, distributed, nn

from surefoot.density.batch import Batch
from surefoot.density.objective import Objective, Paced, Posterior, trainable
from surefoot.density.pools import mean, per_row, total
from surefoot.errors import InputError
from surefoot.files import digest_bytes
from surefoot.findings.finding import Finding
from surefoot.inference.climb import Gradient, Loss, tensors_of
from surefoot.inference.settings import Stop
from surefoot.networks.network import Parameters

__all__ = [
    "Together",
    "check_alike",
    "check_scores",
    "check_shared",
    "gradient_of_all",
    "joined",
    "measured_alike",
    "places_of",
    "share_of_loss",
    "share_of_objective",
    "shares_of_loss",
    "summed",
]

POOLS = (mean, per_row, total)
OVER_BATCH = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
DRAWING = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
BUCKET = 2**24
"""Numbers that are sent at once."""


@dataclass(frozen=True)
class Together:
    """One of the processes that train together. rank: from 0. processes: how many. device: where it computes."""

    rank: int
    processes: int
    device: str = "cpu"

    def part(self, rows: int) -> slice:
        """The rows of a batch that are this process's; there may be none.

        >>> [Together(rank, 3).part(7) for rank in range(3)]
        [slice(0, 3, None), slice(3, 5, None), slice(5, 7, None)]
        """
        least, more = divmod(rows, self.processes)
        start = self.rank * least + min(self.rank, more)
        return slice(start, start + least + (self.rank < more))


@contextmanager
def joined(
    device: str = "cpu", *, rank: int | None = None, processes: int | None = None, meeting: str | None = None
) -> Generator[Together]:
    """Join the processes that `torchrun` started, for the length of a `with`.

    device: "cpu", or "cuda" for each process's own card. rank, processes, meeting: where something else started them;
    meeting is an address such as file:///tmp/meeting, of a file that is not there yet.

    Raises `InputError` where nothing says who takes part.
    """
    if meeting is None:
        if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
            raise InputError(
                "No other process is there to train together with; start the script with torchrun "
                "(torchrun --nproc-per-node 2 train.py), or give rank, processes and a meeting."
            )
        rank, processes, meeting = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), "env://"
    if rank is None or processes is None:
        raise InputError(f"A meeting at {meeting} needs a rank and the number of processes; give both.")
    on_card = device.startswith("cuda")
    if device == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', rank)}"
    if on_card:
        torch.cuda.set_device(device)
    backend, store = "nccl" if on_card else "gloo", _store_of_attempt(processes) if meeting == "env://" else None
    method = meeting if store is None else None
    distributed.init_process_group(backend, init_method=method, store=store, rank=rank, world_size=processes)
    try:
        yield Together(rank, processes, device)
    finally:
        gc.collect()  # what was trained in here may hold the group in a ring of its own, and threads with it
        distributed.destroy_process_group()


def share_of_loss(objective: Objective | Posterior, module: nn.Module, rows_total: int, together: Together) -> Loss:
    """What one process minimises of a whole batch: shares that add up to the loss of one process.

    Raises `InputError` for what does not add up: see the head of this file. Scores are tried on the first batch.
    """
    parts = [replace(together, rank=rank) for rank in range(together.processes)]
    return shares_of_loss(objective, module, rows_total, parts)[together.rank]


def shares_of_loss(
    objective: Objective | Posterior, module: nn.Module, rows_total: int, parts: Sequence[Together]
) -> list[Loss]:
    """What each part of a batch adds to the loss of one process; raises what `share_of_loss` does.

    Scores are tried once, on the first batch and by whichever share is first, on the parts of all.
    """
    check_shared(objective, module)
    live = tensors_of(module)
    tried = False

    def share(part: Together) -> Loss:
        def loss(run: nn.Module, batch: Batch) -> Tensor:
            nonlocal tried
            if not tried:
                check_scores(objective, run, batch, parts)
                tried = True
            if isinstance(objective, Posterior):
                return _share_of_density(objective, run, live, batch, rows_total, part)
            return share_of_objective(objective, run, live, batch, part)

        return loss

    return [share(part) for part in parts]


def gradient_of_all(together: Together) -> Gradient:
    """The gradient of a step: backward through this process's share, and the sum over all of them."""

    def gradient(optimiser: torch.optim.Optimizer, loss: Loss, run: nn.Module, batch: Batch) -> Tensor:
        optimiser.zero_grad()
        value = loss(run, batch)
        if value.requires_grad:  # not where this process has no row
            value.backward()
        learnt = [tensor for group in optimiser.param_groups for tensor in group["params"]]
        told = torch.tensor([value.item(), *(float(tensor.grad is not None) for tensor in learnt)], dtype=torch.float64)
        told = summed(told.to(together.device)).cpu()
        # A tensor that no process used has no gradient here either, and is not decayed.
        used = [place for place, count in enumerate(told[1:].tolist()) if count]
        for places in places_of(learnt, used):
            bucket = [learnt[at] for at in places]
            flat = torch.cat([_gradient(tensor).reshape(-1) for tensor in bucket])
            parts = summed(flat).split([tensor.numel() for tensor in bucket])
            for tensor, part in zip(bucket, parts, strict=True):
                tensor.grad = _gradient(tensor)
                tensor.grad.copy_(part.view(tensor.shape))
        return told[0].to(value)

    return gradient


def measured_alike(together: Together, stop: Stop) -> Stop:
    """The same stopping, told by the first process's numbers in all of them."""

    def alike(parameters: Parameters) -> Finding:
        finding = stop.measure(parameters)
        value = torch.tensor([finding.value], dtype=torch.float64, device=together.device)
        distributed.broadcast(value, 0)
        return replace(finding, value=float(value))

    return replace(stop, measure=alike)


def check_alike(together: Together, said: str, expected: str) -> None:
    """Wait for all processes. Raises `InputError` in each of them where they do not say the same.

    expected: what it is that they should agree on, as a sentence.
    """
    digits = digest_bytes(said.encode())[:48]
    own = torch.tensor([int(digits[i : i + 12], 16) for i in range(0, 48, 12)], device=together.device)
    every = [torch.empty_like(own) for _ in range(together.processes)]
    distributed.all_gather(every, own)
    other = [rank for rank, theirs in enumerate(every) if not torch.equal(theirs, every[0])]
    if other:
        raise InputError(f"Process {other[0]} of {together.processes} differs from process 0: {expected}")


def check_shared(objective: Objective | Posterior, module: nn.Module) -> None:
    """Raises `InputError` for layers that draw for each row or compute over a batch, and for pools that are no sums."""
    if isinstance(objective, Objective) and objective.pool not in POOLS:
        raise InputError(
            f"The pool {getattr(objective.pool, '__qualname__', type(objective.pool).__name__)} of a batch is no sum "
            "over its rows, so that processes cannot share it; use mean, per_row or total, or one process."
        )
    for name, part in module.named_modules():
        over_batch = isinstance(part, OVER_BATCH)
        if over_batch or _draws(part):
            what = "computes over a batch" if over_batch else "draws for each row"
            raise InputError(
                f'The layer "{name}" ({type(part).__name__}) {what}, so that several processes would give other '
                "numbers than one; leave it out, or train in one process."
            )


@torch.no_grad()
def check_scores(objective: Objective | Posterior, run: nn.Module, batch: Batch, parts: Sequence[Together]) -> None:
    """That a row's score is the same beside other rows, at the beginning of a run and at its end."""
    outputs = run(batch.inputs)

    def scores(rows: slice, done: float) -> Tensor:
        if isinstance(objective, Posterior):
            return objective.row_log_density(outputs[rows], batch.targets[rows])
        return _scores(objective.score, outputs[rows], batch.targets[rows], done)

    # Every process tries the parts of all, so that all of them find the same.
    cut = [part.part(len(outputs)) for part in parts]
    for done in (batch.done, 1.0):
        whole = scores(slice(None), done)
        apart = torch.cat([scores(part, done) for part in cut if part.stop > part.start])
        if not torch.allclose(whole, apart, rtol=1e-4, atol=1e-6, equal_nan=True):
            raise InputError(
                "The score of a row depends on the other rows of its batch, so that several processes would give other "
                "numbers than one; use a score of each row alone, or train in one process."
            )


def share_of_objective(
    objective: Objective, run: nn.Module, live: Parameters, batch: Batch, together: Together
) -> Tensor:
    """What this process's rows of a batch, and its part of the regulariser, add to the loss of one process."""
    mine = together.part(len(batch.weights))
    weights = batch.weights[mine]
    whole = 1 if objective.pool is total else len(batch.weights)
    if objective.pool is mean:
        whole = batch.weights.sum()
    if not bool(whole > 0):
        raise InputError(f"All {len(batch.weights)} rows of a batch have weight zero; leave such rows out.")
    value = weights.sum() * 0
    if len(weights):
        scores = _scores(objective.score, run(batch.inputs[mine]), batch.targets[mine], batch.done)
        value = (weights * scores).sum() / whole
    if objective.regulariser is not None:
        value = value + objective.regulariser(trainable(objective.network, live)) / together.processes
    return -value


def places_of(tensors: Sequence[Tensor], used: Sequence[int]) -> Generator[list[int]]:
    """Places of tensors of one type each, about `BUCKET` numbers together."""
    for kind in dict.fromkeys(tensors[at].dtype for at in used):
        bucket: list[int] = []
        for at in used:
            if tensors[at].dtype == kind:
                bucket.append(at)
                if sum(tensors[each].numel() for each in bucket) >= BUCKET:
                    yield bucket
                    bucket = []
        if bucket:
            yield bucket


def summed(numbers: Tensor) -> Tensor:
    """The sum over all processes, in place."""
    distributed.all_reduce(numbers)
    return numbers


def _store_of_attempt(processes: int) -> Any:
    """Where the processes that torchrun started on one machine meet, apart from those of an attempt before.

    The agent's store outlives them, and with it the addresses of those that are dead (pytorch issue 135712). Agents on
    several machines count attempts apart from each other: they need TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1.
    """
    told = os.environ
    if told.get("TORCHELASTIC_USE_AGENT_STORE") != "True" or told.get("GROUP_WORLD_SIZE") != "1":
        return None
    stores: Any = distributed  # torch names its stores in no list of public names
    store = stores.TCPStore(told["MASTER_ADDR"], int(told["MASTER_PORT"]), processes, is_master=False)
    return stores.PrefixStore(f"attempt {told.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)


def _share_of_density(
    posterior: Posterior, run: nn.Module, live: Parameters, batch: Batch, rows_total: int, together: Together
) -> Tensor:
    mine = together.part(len(batch.weights))
    weights = batch.weights[mine]
    value = posterior.prior_terms(live) / posterior.posterior_temperature / together.processes
    if len(weights):
        terms = posterior.row_log_density(run(batch.inputs[mine]), batch.targets[mine])
        value = value + rows_total / len(batch.weights) * (weights * terms).sum()
    return value / -rows_total


def _scores(score: Callable[[Tensor, Tensor], Tensor] | Paced, outputs: Tensor, targets: Tensor, done: float) -> Tensor:
    return score.score(outputs, targets, done) if isinstance(score, Paced) else score(outputs, targets)


def _draws(part: nn.Module) -> bool:
    """Whether it draws for each row: dropout of its own, or inside (attention and recurrent layers have a number)."""
    if isinstance(part, DRAWING):
        return part.p > 0
    inside = getattr(part, "dropout", 0.0)
    return isinstance(part, nn.RReLU) or (isinstance(inside, int | float) and inside > 0)


def _gradient(tensor: Tensor) -> Tensor:
    return torch.zeros_like(tensor) if tensor.grad is None else tensor.grad
