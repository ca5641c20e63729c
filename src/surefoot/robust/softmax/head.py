"""DFR's ImageNet variants: a softmax head refitted on other rows, with weight decay and no group labels.

Where groups cannot be named (ImageNet's backgrounds, its textures), the paper refits the head on rows in which the
shortcut does not help (mixed backgrounds, stylized pictures), alone or joined to the original ones. There is no L1
penalty, no balancing and no averaging. Three solvers:

    descent     all rows at once, plain gradient descent, the rate falling along a half cosine (`softmax.fit`)
    converged   the optimum of the same objective, by L-BFGS (`softmax.fit`)
    minibatch   SGD over batches, for features that stay in their file (`softmax.stream`)

The scaler is fitted on the learning rows and folded into the head. The decay is selected on the choose rows as in every
other repair: one decay is simply fitted.

Source: Kirichenko, Izmailov and Wilson (2023), "Last layer re-training is sufficient for robustness to spurious
correlations", the ImageNet experiments.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from surefoot.errors import InputError
from surefoot.robust.balance import refuse_empty_half, tuning_halves
from surefoot.robust.head import LinearHead, Repaired, Trial
from surefoot.robust.method import Method, Sizes, softmax_seconds
from surefoot.robust.protocol import (
    Material,
    check_same_features,
    choose_best,
    class_groups,
    material,
    refuse_judge,
    seen_by,
    trial_of,
)
from surefoot.robust.selecting import Selecting, selecting
from surefoot.robust.softmax.fit import Fitted, Start, converge, descend
from surefoot.robust.softmax.slopes import Block, fold, measure_scaling
from surefoot.robust.softmax.stream import StreamSettings, stream_head
from surefoot.rows.roles import Roles

__all__ = ["METHODS", "SoftmaxSettings", "softmax_head"]

TITLE = "the softmax head"


@dataclass(frozen=True)
class SoftmaxSettings:
    """How a softmax head is refitted and its decay selected.

    learn: the role whose rows it learns on. With "choose", the decay is tuned on halves of the choose rows that share
      no source, and the head then fitted on all of them.
    decays: weight decay times rows; the paper's backgrounds: 100, its textures: 0. Equally good: the strongest wins.
    decay_bias: whether the bias is decayed too, as published.
    solver: all rows at once ("descent", "converged"), or "minibatch".
    rate: of "descent" and "minibatch".
    steps: of "descent".
    batch: rows in a batch of "minibatch".
    epochs: of "minibatch".
    schedule: how the rate of "minibatch" falls.
    start: zeros, or "published": a fresh linear layer's random numbers, from the seed.
    selection: over what the worst accuracy is taken on the choose rows. "auto": their groups, or else the classes.
    """

    learn: Literal["repair", "choose", "fit"] = "repair"
    decays: tuple[float, ...] = (100.0, 10.0, 1.0)
    decay_bias: bool = False
    solver: Literal["descent", "converged", "minibatch"] = "descent"
    rate: float = 1.0
    steps: int = 1000
    batch: int = 10_000
    epochs: int = 100
    schedule: Literal["cosine", "published"] = "cosine"
    start: Start = "zero"
    selection: Literal["auto", "groups", "classes", "accuracy"] = "auto"

    def __post_init__(self) -> None:
        if not self.decays or not all(0 <= decay < float("inf") for decay in self.decays):
            raise InputError(f"decays are {self.decays}; give at least one, each finite and none negative.")
        if self.steps < 1:
            raise InputError(f"steps are {self.steps}; give at least 1.")
        self.stream(0.0)  # refuses a batch, epochs or rate that cannot be

    def stream(self, decay: float) -> StreamSettings:
        """What these settings mean for the minibatch solver."""
        return StreamSettings(
            batch=self.batch,
            epochs=self.epochs,
            rate=self.rate,
            decay=decay,
            decay_bias=self.decay_bias,
            schedule=self.schedule,
            start=self.start,
        )


def softmax_head(features: Roles, settings: SoftmaxSettings, seed: int) -> Repaired:
    """Refit a softmax head on the learn role, with the decay that is best on the choose rows.

    features: the learn role and choose. Groups are needed nowhere. The seed matters for `start="published"`, for the
    order of minibatches and for the halves of `learn="choose"`. Weights of the learning rows are used.

    Raises `InputError` for judge rows, a missing role, a class without rows, and whatever a solver refuses.

    >>> from surefoot.rows.rows import make_rows
    >>> rows = make_rows(torch.tensor([[0.0], [1.0], [4.0], [5.0]]), torch.tensor([0, 0, 1, 1]))
    >>> repaired = softmax_head({"repair": rows, "choose": rows}, SoftmaxSettings(decays=(1.0,)), seed=0)
    >>> repaired.head.logits(torch.tensor([[2.4], [2.6]])).argmax(dim=1).tolist()
    [0, 1]
    """
    refuse_judge(features, TITLE)
    pool = material(features, settings.learn, TITLE)
    choose = pool if settings.learn == "choose" else material(features, "choose", TITLE)
    check_same_features(pool, choose, TITLE)
    classes = class_groups(pool, TITLE)
    decays = tuple(sorted(set(settings.decays), reverse=True))
    chosen_by = _selecting(choose, settings)
    notes = list(chosen_by.notes)

    if settings.learn == "choose":
        generator = torch.Generator().manual_seed(seed)
        groups = chosen_by.groups
        (scored, fitted, _), about = tuning_halves(choose.rows, groups, generator, TITLE)
        for half in (scored, fitted):
            refuse_empty_half(classes.take(half), TITLE)
        notes += about
        tuned = _fit(pool, fitted, decays, settings, seed)
        judged = Material("choose", choose.rows.take(scored), choose.features[scored], choose.targets[scored])
        groups = groups.take(scored)
    else:
        tuned = _fit(pool, None, decays, settings, seed)
        judged, groups = choose, chosen_by.groups
    trials: list[Trial] = []
    for decay, head in zip(decays, tuned.heads, strict=True):
        correct = head.logits(judged.features).argmax(dim=1) == judged.targets
        trials.append(trial_of({"decay": decay}, correct, groups))
    best = choose_best(trials)
    final, place = tuned, best
    if settings.learn == "choose":
        final, place = _fit(pool, None, (decays[best],), settings, seed), 0
    return Repaired(
        head=final.heads[place],
        chosen=trials[best].setting,
        trials=tuple(trials),
        seen=seen_by(pool, choose),
        notes=(*notes, *final.notes[place]),
    )


class _Heads(NamedTuple):
    """A head on raw features for each decay, and what a reader must know about each."""

    heads: list[LinearHead]
    notes: list[tuple[str, ...]]


def _selecting(choose: Material, settings: SoftmaxSettings) -> Selecting:
    """The groups whose worst selects; none of these selections looks at a base head."""
    classes, width = len(choose.rows.classes), choose.features.shape[1]
    nothing = LinearHead(torch.zeros(classes, width), torch.zeros(classes))
    if settings.selection != "auto":
        return selecting(choose, nothing, settings.selection, TITLE)
    return selecting(choose, nothing, "groups" if choose.rows.groups.names else "classes", TITLE)


def _fit(
    pool: Material, index: Tensor | None, decays: tuple[float, ...], settings: SoftmaxSettings, seed: int
) -> _Heads:
    """One head per decay on the rows at `index` (None: all)."""
    classes = len(pool.rows.classes)
    inputs, targets, weights = pool.features, pool.targets, pool.rows.weights
    if index is not None:
        inputs, targets, weights = inputs[index], targets[index], weights[index]
    even = bool((weights == weights[0]).all())
    rows = Block(inputs, targets, None if even else weights)
    if settings.solver == "minibatch":
        streams = [
            stream_head(inputs, targets, classes, settings.stream(decay), seed, weights=rows.weights)
            for decay in decays
        ]
        return _Heads([streamed.head for streamed in streams], [() for _ in decays])
    scaling = measure_scaling(inputs)
    if settings.solver == "converged":
        fitted = converge(rows, scaling, classes, decays, decay_bias=settings.decay_bias)
    else:
        fitted = descend(
            rows,
            scaling,
            classes,
            decays,
            steps=settings.steps,
            rate=settings.rate,
            decay_bias=settings.decay_bias,
            start=settings.start,
            generator=torch.Generator().manual_seed(seed),
        )
    heads: list[LinearHead] = []
    for weight, bias in zip(fitted.weight, fitted.bias, strict=True):
        head = fold(weight, bias, scaling)
        heads.append(LinearHead(head.weight.to(inputs.dtype), head.bias.to(inputs.dtype)))
    return _Heads(heads, [_stopped_at(fitted, place, settings) for place in range(len(decays))])


def _stopped_at(fitted: Fitted, place: int, settings: SoftmaxSettings) -> tuple[str, ...]:
    if settings.solver == "converged":
        return ()
    return (
        f"The descent of {settings.steps} steps ended at {float(fitted.objective[place]):.4g} nats a row, decay "
        f"included, with a gradient of norm {float(fitted.gradient[place]):.1e}; at the optimum it is zero (solver "
        "'converged').",
    )


def _seconds(settings: SoftmaxSettings, sizes: Sizes) -> float:
    return softmax_seconds(settings, sizes, steps=settings.epochs if settings.solver == "minibatch" else settings.steps)


METHODS = (
    Method(
        name="softmax_head",
        words="softmax head",
        settings=SoftmaxSettings,
        run=lambda features, erm, settings, seed: softmax_head(features, settings, seed),
        seconds=_seconds,
        compared=False,  # it is for rows without groups, and has its own ways to choose
    ),
)
