"""Ascent: climb an objective or a posterior to a point, by SGD, AdamW or L-BFGS.

A run is pure from outside: it works on a private copy of the network and leaves the caller's tensors and the
global random state as they were. Everything random in epoch e (order of the rows, shifts, dropout) is drawn
from (seed, e) alone, so a run that resumes at an epoch continues exactly as one that was never interrupted.

What is minimised at a step is the negative objective of the batch; for a `Posterior`, its negative minibatch log
density divided by the number of rows. So learning rates keep the meaning they have for a mean loss.
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from surefoot.density.group_dro import GroupDRO, Moving
from surefoot.density.objective import Objective, Posterior
from surefoot.errors import InputError
from surefoot.findings.finding import Finding, finding_from_json, finding_to_json
from surefoot.inference.blocks import gradient_of_blocks, losses_of_blocks
from surefoot.inference.checkpoint import identity, load_checkpoint, save_checkpoint
from surefoot.inference.climb import climb_epoch, make_feed, make_loss, make_optimiser, private_copy, tensors_of
from surefoot.inference.draws import Draws
from surefoot.inference.settings import Ascend, Stop, View
from surefoot.inference.together import Together, check_alike, gradient_of_all, measured_alike, share_of_loss
from surefoot.networks.network import Parameters, digest_parameters
from surefoot.progress import Progress, silent
from surefoot.rows.digest import input_digests
from surefoot.rows.rows import Rows

__all__ = ["Ascend", "Stop", "ascend"]

BEGUN = (
    "it has another objective, seed, start, rows, settings or checkpoint; give all processes the same, and a "
    "checkpoint that all of them see."
)
ENDED = "it ends at another point; give all processes machines, libraries and settings of one kind."


def ascend(
    objective: Objective | Posterior,
    rows: Rows,
    start: Parameters,
    seed: int,
    settings: Ascend,
    *,
    stop: Stop | None = None,
    view: View | None = None,
    together: Together | None = None,
    blocks: int | None = None,
    checkpoint: Path | None = None,
    save_seconds: float = 0.0,
    progress: Progress = silent,
    device: str = "cpu",
) -> Draws:
    """Maximise `objective` over the trainable parameters, from `start`; the point reached is one draw.

    view: what each step runs in place of the network: itself at another patch size, say.
    together: this process, where several train one network, each with all rows; see `together.py`.
    blocks: parts of every batch whose gradients are added in their order, so that any number of processes reaches the
    same bits as one; None is the whole batch at once in one process, and a sum of shares in several.
    checkpoint: a file that is written after every epoch and resumed from when it exists; it is kept at the end.
    save_seconds: leave it as it is where it was written less long ago, but for the last epoch; short epochs are then
    not spent on writing.
    The diagnostics are the mean loss of each epoch (`training_loss`, slices "epoch 1", …; the last one again as
    slice "all"; nats for a likelihood), the number of `steps`, and everything that `stop` measured.

    Raises `InputError` when there are no rows, the start does not fit the network, a posterior would be decayed
    twice, the checkpoint is another run's, processes cannot share the work or do not agree, or the loss stops being
    finite (naming the step).

    >>> from torch import nn
    >>> from surefoot.density.likelihoods import categorical
    >>> from surefoot.density.pools import mean
    >>> from surefoot.networks.network import Network, parameters_of
    >>> from surefoot.rows.rows import make_rows
    >>> rows = make_rows(torch.tensor([[-1.0], [1.0]]), torch.tensor([0, 1]))
    >>> network = Network(nn.Sequential(nn.Linear(1, 2)), "0")
    >>> draws = ascend(Objective(network, categorical, mean), rows, parameters_of(network), 0, Ascend(epochs=3))
    >>> draws.point()["0.weight"].shape, [finding.name for finding in draws.diagnostics[:2]]
    (torch.Size([2, 1]), ['training_loss', 'steps'])
    """
    _check(objective, rows, settings, seed)
    module = private_copy(objective.network.module, start, device)
    optimiser = make_optimiser(settings, module, fused=blocks is None)
    feed = make_feed(rows, module, settings, seed, device)
    moving = _moving(objective, rows, settings)
    loss = make_loss(objective, module, len(rows), moving)
    gradient, first = None, together is None or together.rank == 0
    if blocks is not None:
        gradient = gradient_of_blocks(losses_of_blocks(objective, module, len(rows), blocks), together)
    elif together is not None:
        loss, gradient = share_of_loss(objective, module, len(rows), together), gradient_of_all(together)
    sizes = torch.tensor(feed.sizes(), dtype=torch.float64)

    known = checkpoint is not None or together is not None
    run = _identity(objective, rows, start, seed, settings, stop, view, blocks) if known else ""
    course = Course()
    if checkpoint is not None and (saved := load_checkpoint(checkpoint, run)) is not None:
        course = _restore(saved, tensors_of(module), optimiser, moving)
    if together is not None:
        check_alike(together, f"{run} {len(course.losses)}", BEGUN)
        stop = None if stop is None else measured_alike(together, stop)

    saved_at = time.monotonic()
    while not _ended(course, settings, stop):
        losses = climb_epoch(optimiser, feed, module, loss, len(course.losses), view, gradient)
        course = replace(course, losses=(*course.losses, float((losses * sizes).sum() / sizes.sum())))
        epoch = len(course.losses)
        if stop is not None and epoch % stop.every == 0:
            course = _measured(course, stop, _copies(tensors_of(module)))
        due = time.monotonic() - saved_at >= save_seconds or _ended(course, settings, stop)
        if checkpoint is not None and due and first:
            save_checkpoint(checkpoint, run, _record(course, tensors_of(module), optimiser, moving))
            saved_at = time.monotonic()
        if first:
            progress("training", epoch, settings.epochs)

    reached = _copies(tensors_of(module)) if course.best is None else course.best
    if together is not None:
        check_alike(together, digest_parameters(reached), ENDED)
    return Draws(
        parameters={name: tensor[None] for name, tensor in reached.items()},
        diagnostics=(*_diagnostics(course, rows, len(sizes)), *_group_weights(moving, rows)),
        seen=rows.origins() if stop is None else rows.origins() | stop.seen,
    )


@dataclass(frozen=True)
class Course:
    """How a run has gone so far: the mean loss of each epoch, what `stop` measured, and the best of that."""

    losses: tuple[float, ...] = ()
    measured: tuple[Finding, ...] = ()
    best: Parameters | None = None
    best_at: int = 0


def _check(objective: Objective | Posterior, rows: Rows, settings: Ascend, seed: int) -> None:
    if not len(rows):
        raise InputError("There are no rows to train on; check the role or the filter that chose them.")
    if seed < 0:
        raise InputError(f"The seed is {seed}; give zero or a positive whole number.")
    if isinstance(objective, Posterior) and objective.augmentation is not None:
        raise InputError(
            "Ascent does not draw the views of a posterior's augmentation; call `fixed_views(posterior, rows, seed)` "
            "and ascend the posterior on the rows that it returns."
        )
    if isinstance(objective, Posterior) and settings.weight_decay:
        raise InputError(
            f"weight_decay is {settings.weight_decay} on top of a posterior, whose prior is its decay already; set "
            "weight_decay to 0."
        )


def _copies(tensors: Parameters) -> Parameters:
    """Detached tensors on the CPU with memory of their own, in the plain layout."""
    return {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
    }


def _measured(course: Course, stop: Stop, parameters: Parameters) -> Course:
    finding = stop.measure(parameters)
    if finding.direction == "none" or finding.value != finding.value:
        raise InputError(
            f"Early stopping watches {finding.name} = {finding.value} with direction {finding.direction}; give a "
            "finding that is a number and is better higher or lower."
        )
    sign = 1 if finding.direction == "higher" else -1
    better = course.best is None or sign * finding.value > sign * course.measured[course.best_at].value
    measured = (*course.measured, finding)
    if better:
        return replace(course, measured=measured, best=parameters, best_at=len(measured) - 1)
    return replace(course, measured=measured)


def _ended(course: Course, settings: Ascend, stop: Stop | None) -> bool:
    given_up = stop is not None and len(course.measured) - 1 - course.best_at >= stop.patience
    return given_up or len(course.losses) >= settings.epochs


def _diagnostics(course: Course, rows: Rows, steps: int) -> tuple[Finding, ...]:
    clusters = min(len(column.unique()) for column in rows.clusters.T)
    final = Finding(
        name="training_loss",
        value=course.losses[-1],
        interval=None,
        count=len(rows),
        clusters=clusters,
        unit="nats",
        slice="all",
        direction="lower",
        subject="ascend",
        source="fit",
    )
    taken = replace(final, name="steps", value=float(steps * len(course.losses)), unit="steps", direction="none")
    curve = [replace(final, value=loss, slice=f"epoch {epoch}") for epoch, loss in enumerate(course.losses, start=1)]
    return (final, taken, *curve, *course.measured)


def _moving(objective: Objective | Posterior, rows: Rows, settings: Ascend) -> Moving | None:
    """This run's group weights, where the pool is group DRO."""
    if not isinstance(objective, Objective) or not isinstance(objective.pool, GroupDRO):
        return None
    if settings.optimiser == "lbfgs":
        raise InputError(
            "Group DRO moves its weights at every step, and L-BFGS searches along lines of one objective; use sgd or "
            "adamw."
        )
    return objective.pool.begin(rows.groups.members)


def _group_weights(moving: Moving | None, rows: Rows) -> list[Finding]:
    """Where group DRO's weights ended: the groups it found hardest."""
    if moving is None:
        return []
    return [
        Finding(
            name="group_weight",
            value=weight,
            interval=None,
            count=count,
            clusters=count,
            unit="proportion",
            slice=name,
            direction="none",
            subject="ascend",
            source="fit",
        )
        for name, weight, count in zip(rows.groups.names, moving.q.tolist(), rows.groups.counts().tolist(), strict=True)
    ]


def _identity(
    objective: Objective | Posterior,
    rows: Rows,
    start: Parameters,
    seed: int,
    settings: Ascend,
    stop: Stop | None,
    view: View | None,
    blocks: int | None,
) -> str:
    inputs: Any = rows.inputs if isinstance(rows.inputs, Tensor) else input_digests(rows.inputs)
    told = [inputs, rows.targets, rows.weights, rows.groups.members, rows.ids.tolist()]
    # Without a view as before there were any, so that runs that began then go on.
    viewed = () if view is None else (view,)
    cut = () if blocks is None else (["blocks", blocks],)
    # So is mixup: a run without it has the name that it had before there was any.
    climbed = {name: value for name, value in vars(settings).items() if name != "mixup" or value}
    return identity(objective, told, start, seed, [type(settings).__qualname__, climbed], stop, *viewed, *cut)


def _record(
    course: Course, tensors: Parameters, optimiser: torch.optim.Optimizer, moving: Moving | None
) -> dict[str, Any]:
    return {
        "parameters": tensors,
        "optimiser": optimiser.state_dict()["state"],
        "losses": course.losses,
        "measured": [finding_to_json(finding) for finding in course.measured],
        "best": course.best,
        "best_at": course.best_at,
        "group weights": None if moving is None else moving.q,
    }


def _restore(
    saved: dict[str, Any], tensors: Parameters, optimiser: torch.optim.Optimizer, moving: Moving | None
) -> Course:
    """Put the saved numbers into the module's own tensors and the optimiser; returns how far the run was."""
    with torch.no_grad():
        for name, tensor in tensors.items():
            tensor.copy_(saved["parameters"][name])
    if moving is not None:
        moving.q.copy_(saved["group weights"])
    optimiser.load_state_dict({"state": saved["optimiser"], "param_groups": optimiser.state_dict()["param_groups"]})
    return Course(
        losses=tuple(saved["losses"]),
        measured=tuple(finding_from_json(record) for record in saved["measured"]),
        best=saved["best"],
        best_at=saved["best_at"],
    )
