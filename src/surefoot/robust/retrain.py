"""Retraining a head from scratch on balanced draws: what DFR and class-balanced retraining have in common.

1. Tune: for each setting (C, class weight) fit on one balanced draw and score the worst group on `choose`.
   Learning on `choose` itself, the draw comes from one half of it and the score from the other; the halves share no
   source. With `tune_repeats` above one, draws (and halves) are renewed and the scores averaged.
2. Retrain: with the chosen setting fit on `retrains` fresh balanced draws of the whole pool and average the heads.

Each fit is L1-penalised logistic regression (`surefoot.robust.fit_heads`; elastic nets, L2 and a free intercept on
request) on standardised features; the scaler is folded into the head. The whole grid of a tuning draw is one call of
the solver, and so are all retrains, which start from the tuned fit.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import torch
from jaxtyping import Int
from torch import Tensor

from surefoot.errors import InputError
from surefoot.robust.balance import balanced_draw, tuning_halves
from surefoot.robust.fit_heads import fit_heads
from surefoot.robust.head import LinearHead, Matrix, Repaired, Trial, fold_scaler
from surefoot.robust.method import Sizes
from surefoot.robust.protocol import (
    Material,
    check_same_features,
    choose_best,
    material,
    refuse_judge,
    seen_by,
    trial_of,
)
from surefoot.robust.scaler import Scaler, fit_scaler
from surefoot.robust.sparse.solve import Intercept
from surefoot.rows.roles import Role, Roles
from surefoot.rows.rows import Groups, Rows
from surefoot.rows.streamed import blocks_in

__all__ = ["GroupsOf", "RetrainSettings", "retrain"]

GroupsOf: TypeAlias = Callable[[Material, str], Groups]
"""Checked rows and a method's name → the groups it balances, or selects, over."""

FEW, FEW_SHARE = 10, 5
"""A note names a group of fewer than 10 rows that is less than a fifth of the median group."""
HEAD_RATE = 1e7
"""Rows × features × heads a second of sparse last-layer fits on one core; measured in docs/LOG.md."""
REDRAWS = 20
"""How often a draw that misses a class is drawn again (only groups that cut across classes can miss one)."""


@dataclass(frozen=True)
class RetrainSettings:
    """How a head is retrained on balanced draws.

    learn: the role the head learns on. "repair" or "fit" is the paper's DFR-Tr (tuned on all of choose); "choose" is
      DFR-Val (tuned on halves of choose).
    strengths: the grid of C, the inverse penalty per row.
    class_weights: each weight w other than 1 is tried on each class in turn, the other classes keeping weight 1.
    retrains: heads averaged at the end; by default 20 for learn="choose" and 10 otherwise.
    tune_repeats: draws (for "choose": halves and draws) behind each tuning score.
    scaler: where mean and standard deviation come from. "pool": every row of the learn role, labels unused, in both
      phases. "published": the balanced tuning draw, then all fit rows (for "repair" and "fit": all fit rows in both);
      "simplified": the balanced tuning draw, then the pool (only for "choose"). The last two are what the paper's two
      code bases do: C is then tuned under one scaling and used under another.
    constant: "sum" keeps C when the final draw is larger than the tuning draw, so the penalty per row falls (as
      published); "mean" keeps C · rows.
    ties: which of the equally good C wins, the "strongest" penalty or the "weakest" (as published).
    multiclass: how three and more classes are fitted: "one_versus_rest" (as published) or "multinomial".
    intercept: "penalised" like a weight (liblinear, as published), or "free".
    l1_ratio: 1 is L1 (as published), 0 is L2, between is the elastic net.
    drop_groups: groups whose rows are left out everywhere, in learning and in selection: one with very few rows (such
      as "Other") would else shrink every balanced draw.
    """

    learn: Literal["repair", "choose", "fit"] = "repair"
    strengths: tuple[float, ...] = (1.0, 0.7, 0.3, 0.1, 0.07, 0.03, 0.01)
    class_weights: tuple[float, ...] = (1.0,)
    retrains: int | None = None
    tune_repeats: int = 1
    scaler: Literal["pool", "published", "simplified"] = "pool"
    constant: Literal["sum", "mean"] = "sum"
    ties: Literal["strongest", "weakest"] = "strongest"
    multiclass: Literal["one_versus_rest", "multinomial"] = "one_versus_rest"
    intercept: Intercept = "penalised"
    l1_ratio: float = 1.0
    drop_groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        numbers = {"strengths": self.strengths, "class_weights": self.class_weights}
        for name, values in numbers.items():
            if not values or not all(0 < value < float("inf") for value in values):
                raise InputError(f"{name} are {values}; give at least one, each positive and finite.")
        if self.tune_repeats < 1 or (self.retrains is not None and self.retrains < 1):
            raise InputError(
                f"tune_repeats is {self.tune_repeats} and retrains {self.retrains}; each must be at least 1."
            )
        if not 0 <= self.l1_ratio <= 1:
            raise InputError(f"l1_ratio is {self.l1_ratio}; give a number from 0 (L2) to 1 (L1).")
        if self.scaler == "simplified" and self.learn != "choose":
            raise InputError(
                f"scaler 'simplified' was given with learn '{self.learn}'; it is defined for learn 'choose' alone: "
                "use 'pool'."
            )

    def heads_averaged(self) -> int:
        """How many heads are fitted and averaged at the end."""
        return self.retrains or (20 if self.learn == "choose" else 10)

    def learns_from(self) -> tuple[Role, ...]:
        """The roles whose features are needed: where it learns, where it tunes, where its scaler comes from."""
        scaling: tuple[Role, ...] = ("fit",) if self.scaler == "published" else ()
        return tuple(dict.fromkeys((self.learn, "choose", *scaling)))

    def seconds(self, sizes: Sizes) -> float:
        """On one core: one sparse fit per setting and per averaged head."""
        heads = len(self.strengths) * len(self.class_weights) * self.tune_repeats + self.heads_averaged()
        fits = heads * (1 if sizes.classes == 2 else sizes.classes)
        return sizes.rows.get(self.learn, 0) * sizes.features * fits / HEAD_RATE


@dataclass(frozen=True)
class _Setting:
    """One point of the grid: C, and the weight of each class."""

    strength: float
    weights: tuple[float, ...]
    name: Mapping[str, float]


def retrain(
    features: Roles, settings: RetrainSettings, seed: int, *, method: str, balance: GroupsOf, select: GroupsOf
) -> Repaired:
    """Tune, retrain and average, as the module's text says.

    balance: the groups a draw has equally many of. select: the groups whose worst accuracy chooses the setting.
    """
    refuse_judge(features, method)
    features = {role: _without(rows, role, settings.drop_groups, method) for role, rows in features.items()}
    pool = material(features, settings.learn, method)
    choose = pool if settings.learn == "choose" else material(features, "choose", method)
    scaling = material(features, "fit", method) if settings.scaler == "published" else pool
    for other in (choose, scaling):
        check_same_features(pool, other, method)
    groups, judged = balance(pool, method), select(choose, method)
    generator = torch.Generator().manual_seed(seed)
    grid = _grid(settings, pool.rows.classes)
    whole = fit_scaler(scaling.inputs)
    notes: list[str] = []

    scores: list[list[Trial]] = []
    heads: list[LinearHead] = []
    tuned_on = 0
    for _ in range(settings.tune_repeats):
        scored, fitted = torch.arange(len(choose.rows)), torch.arange(len(pool.rows))
        if settings.learn == "choose":
            (scored, fitted, _), told = tuning_halves(choose.rows, judged, generator, method)
            notes = notes or told
        draw = _draw(pool, groups, fitted, generator, method)
        tuned_on += len(draw)
        own_scaler = settings.learn == "choose" and settings.scaler != "pool"
        scaler = fit_scaler(pool.inputs[draw]) if own_scaler else whole
        heads = _fit(pool, scaler, [draw] * len(grid), grid, settings)
        said = _classes_said(heads, scaler, choose.inputs, scored)
        targets, members = choose.targets[scored], judged.take(scored)
        scores.append(
            [trial_of(setting.name, each == targets, members) for setting, each in zip(grid, said, strict=True)]
        )
    trials = [_average_trial(repeats) for repeats in zip(*scores, strict=True)]
    won = choose_best(trials)
    best = grid[won]

    retrains = settings.heads_averaged()
    everything = torch.arange(len(pool.rows))
    draws = [_draw(pool, groups, everything, generator, method) for _ in range(retrains)]
    final = best
    if settings.constant == "mean":
        strength = best.strength * tuned_on / settings.tune_repeats / len(draws[0])
        final = _Setting(strength, best.weights, best.name)
    averaged = _average_head(_fit(pool, whole, draws, [final] * retrains, settings, heads[won]))
    folded = fold_scaler(averaged, whole.mean, whole.scale)
    precision = pool.inputs[:1].dtype
    if settings.learn != "choose":
        notes += _unscored(judged)
    notes += _notes(pool, groups, averaged, final, len(draws[0]), settings)
    return Repaired(
        head=LinearHead(folded.weight.to(precision), folded.bias.to(precision)),
        chosen=best.name,
        trials=tuple(trials),
        seen=seen_by(pool, choose, scaling),
        notes=tuple(notes),
    )


def _grid(settings: RetrainSettings, classes: Sequence[str]) -> list[_Setting]:
    """Every setting, in the order in which ties are broken: C from the preferred end, weight 1 first."""
    strengths = sorted(settings.strengths, reverse=settings.ties == "weakest")
    weights: list[tuple[tuple[float, ...], Mapping[str, float]]] = []
    named = settings.class_weights != (1.0,)
    for value in sorted(settings.class_weights, key=lambda weight: weight != 1.0):
        for heavy in range(len(classes) if value != 1.0 else 1):
            each = tuple(value if label == heavy else 1.0 for label in range(len(classes)))
            names = {f"weight of {label}": weight for label, weight in zip(classes, each, strict=True)}
            weights.append((each, names if named else {}))
    return [_Setting(strength, each, {"C": strength, **names}) for strength in strengths for each, names in weights]


def _draw(
    pool: Material, groups: Groups, index: Tensor, generator: torch.Generator, method: str
) -> Int[Tensor, "drawn"]:
    """A balanced draw from the rows at `index` that holds every class, as row numbers of the pool."""
    ids, some = pool.rows.ids[index.numpy()], groups.take(index)
    classes = pool.rows.classes
    within = pool.targets[index[some.members.any(dim=1)]]
    missing = (within.bincount(minlength=len(classes)) == 0).nonzero().squeeze(1).tolist()
    if missing:
        raise InputError(
            f"{method} fits {len(classes)} classes, but none of the {len(within)} {pool.role} rows that it can draw "
            f"from is of class '{classes[missing[0]]}'; add {pool.role} rows of it, or leave it out of the classes."
        )
    for _ in range(REDRAWS):
        draw = index[balanced_draw(some, ids, generator, role=pool.role, method=method)]
        present = pool.targets[draw].bincount(minlength=len(classes))
        missing = (present == 0).nonzero().squeeze(1).tolist()
        if not missing:
            return draw
    raise InputError(
        f"{REDRAWS} balanced draws of {pool.role} rows for {method} all missed a class (last: "
        f"'{classes[missing[0]]}'); the smallest group has too few rows: merge groups, drop it (drop_groups) "
        "or add rows."
    )


def _fit(
    pool: Material,
    scaler: Scaler,
    draws: Sequence[Tensor],
    grid: Sequence[_Setting],
    settings: RetrainSettings,
    start: LinearHead | None = None,
) -> list[LinearHead]:
    """One head, on standardised features, per draw and setting; a row drawn twice counts twice.

    Of features that stay in their file one draw is read at a time, and nothing else.
    """
    if not isinstance(pool.inputs, Tensor) and any(draw is not draws[0] for draw in draws):
        each = zip(draws, grid, strict=True)
        return [_fit(pool, scaler, [draw], [setting], settings, start)[0] for draw, setting in each]
    weights = torch.zeros(len(draws), len(pool.rows), dtype=torch.float64)
    for fit, (draw, setting) in enumerate(zip(draws, grid, strict=True)):
        weights[fit].index_add_(0, draw, torch.tensor(setting.weights, dtype=torch.float64)[pool.targets[draw]])
    strengths = torch.tensor([setting.strength for setting in grid], dtype=torch.float64)
    features, targets = pool.inputs, pool.targets
    if not isinstance(features, Tensor):
        drawn = (weights > 0).any(dim=0).nonzero().squeeze(1)
        features, targets, weights = features[drawn], targets[drawn], weights[:, drawn]
    return fit_heads(
        features, targets, weights, strengths, len(pool.rows.classes),
        scaler=scaler, multiclass=settings.multiclass, intercept=settings.intercept, l1_ratio=settings.l1_ratio,
        start=start,
    )  # fmt: skip


def _classes_said(heads: Sequence[LinearHead], scaler: Scaler, inputs: Matrix, index: Tensor) -> list[Tensor]:
    """The class that each head on standardised features gives each of the rows at `index`."""
    if isinstance(inputs, Tensor):
        seen = scaler.apply(inputs[index])
        return [head.logits(seen).argmax(dim=1) for head in heads]
    found = torch.empty(len(heads), len(index), dtype=torch.int64)
    for start, block in blocks_in(inputs.pick(index)):
        seen = scaler.apply(block)
        for number, head in enumerate(heads):
            found[number, start : start + len(block)] = head.logits(seen).argmax(dim=1)
    return list(found)


def _without(rows: Rows, role: str, names: tuple[str, ...], method: str) -> Rows:
    """The rows that are in none of the groups named, and the other groups."""
    if not names or not rows.groups.names:
        return rows
    unknown = [name for name in names if name not in rows.groups.names]
    if unknown:
        raise InputError(
            f"{method} was told to drop the group '{unknown[0]}', but the groups of the {role} rows are "
            f"{', '.join(rows.groups.names)}; name one of these."
        )
    dropped = torch.tensor([name in names for name in rows.groups.names])
    kept = (~rows.groups.members[:, dropped].any(dim=1)).nonzero().squeeze(1)
    left = rows.take(kept)
    others = tuple(name for name in rows.groups.names if name not in names)
    return replace(left, groups=Groups(others, left.groups.members[:, ~dropped]))


def _average_trial(repeats: Sequence[Trial]) -> Trial:
    count = len(repeats)
    worst = sum(trial.worst_group_accuracy for trial in repeats) / count
    return Trial(repeats[0].setting, worst, sum(trial.mean_accuracy for trial in repeats) / count)


def _average_head(heads: Sequence[LinearHead]) -> LinearHead:
    weight = torch.stack([head.weight for head in heads]).mean(dim=0)
    return LinearHead(weight, torch.stack([head.bias for head in heads]).mean(dim=0))


def _unscored(judged: Groups) -> list[str]:
    """Says how many choose rows have no group by which a setting could be scored."""
    unknown, count = int((~judged.members.any(dim=1)).sum()), len(judged.members)
    if not unknown:
        return []
    return [f"{unknown:,} of {count:,} choose rows are in no group: they did not count in the worst."]


def _notes(
    pool: Material, groups: Groups, head: LinearHead, final: _Setting, drawn: int, settings: RetrainSettings
) -> list[str]:
    """What a reader must know about the final head."""
    notes: list[str] = []
    if settings.drop_groups:
        notes.append(f"Rows of {', '.join(settings.drop_groups)} were left out of learning and selection.")
    counts = groups.counts()
    smallest = int(counts.argmin())
    if int(counts[smallest]) < FEW and FEW_SHARE * int(counts[smallest]) < float(counts.median()):
        notes.append(
            f"The group '{groups.names[smallest]}' has {int(counts[smallest])} {pool.role} rows and shrinks every "
            f"balanced draw to {drawn} of {len(pool.rows)}; drop_groups leaves it out."
        )
    unknown = int((~groups.members.any(dim=1)).sum())
    if unknown:
        notes.append(f"{unknown} of {len(pool.rows)} {pool.role} rows are in no group and were not drawn.")
    if bool((pool.rows.weights != 1).any()):
        notes.append(f"The weights of the {pool.role} rows were not used: a balanced draw replaces them.")
    if not bool((head.weight != 0).any()):
        notes.append(
            f"Every weight is zero: C = {final.strength:g} on {drawn} rows leaves a constant prediction; "
            "try a larger C or more rows."
        )
    if len(pool.rows.classes) > 2 and settings.multiclass == "one_versus_rest":
        notes.append("One-versus-rest logits: the order of the classes is fitted, their softmax is not calibrated.")
    return notes
