"""Which fit rows count for more in a base training: balanced, robust, or upweighted where a first model is wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from surefoot.density.group_dro import GroupDRO
from surefoot.density.pools import Pool, mean, per_row
from surefoot.errors import InputError
from surefoot.robust.balance import balanced_draw
from surefoot.robust.reweighted import balancing_weights
from surefoot.rows.minority import remove_minority
from surefoot.rows.rows import Groups, Rows

__all__ = ["Emphasised", "emphasise"]


@dataclass(frozen=True)
class Emphasised:
    """The rows a training learns from, how batches are drawn from them, and how a batch becomes one number."""

    rows: Rows
    draw: Literal["each", "weighted"] = "each"
    pool: Pool = mean
    notes: tuple[str, ...] = ()


def emphasise(fit: Rows, emphasis: Mapping[str, Any], seed: int, wrong: Bool[Tensor, "rows"] | None) -> Emphasised:
    """What a base's `emphasis` makes of the fit rows; nothing where it is empty.

    balance: RWG and RWY by sampling (as published) or weights, SUBG and SUBY by subset. robust: group DRO, whose
    batches `balance` may draw. upweight: JTT's second stage, by sampling. remove_minority: the smallest groups are left
    out before anything else (base training of DFR-Tr-NM). Weights have mean one. Raises `InputError`
    for rows without groups, an empty group, and rows of a class or group that there are none of.

    >>> from surefoot.rows.worlds import gaussian_world
    >>> fit = gaussian_world(sizes={"fit": 200}).roles["fit"]
    >>> made = emphasise(fit, {"balance": "groups", "how": "sampling"}, 0, None)
    >>> made.draw, [round(float(made.rows.weights[column].sum())) for column in fit.groups.members.T]
    ('weighted', [50, 50, 50, 50])
    """
    made = Emphasised(fit)
    if "remove_minority" in emphasis:
        made, wrong = _without_minority(fit, int(emphasis["remove_minority"]), wrong)
    if "balance" in emphasis:
        made = _balanced(made, emphasis, seed)
    if wrong is not None:
        made = _upweighted(made, float(emphasis["upweight"]), wrong)
    if "robust" in emphasis:
        made = replace(made, pool=GroupDRO(step=emphasis["step"], adjustment=emphasis["adjustment"]))
    return made


def _without_minority(
    fit: Rows, count: int, wrong: Bool[Tensor, "rows"] | None
) -> tuple[Emphasised, Bool[Tensor, "left"] | None]:
    left = remove_minority(fit, count)
    groups = Groups(
        tuple(name for name, many in zip(left.groups.names, left.groups.counts().tolist(), strict=True) if many),
        left.groups.members[:, left.groups.counts() > 0],
    )
    note = f"Trained on {len(left):,} of {len(fit):,} fit rows, without the {count} smallest groups."
    kept = torch.from_numpy(np.isin(fit.ids, left.ids))
    return Emphasised(replace(left, groups=groups), notes=(note,)), None if wrong is None else wrong[kept]


def _balanced(made: Emphasised, emphasis: Mapping[str, Any], seed: int) -> Emphasised:
    rows = made.rows
    groups = rows.groups
    if emphasis["balance"] == "classes":
        members = rows.targets[:, None] == torch.arange(len(rows.classes))
        groups = Groups(rows.classes, members)
    counts = groups.counts()
    if not groups.names:
        raise InputError("A training balanced over groups needs groups on the fit rows, and they have none; name some.")
    if emphasis["how"] == "subset":
        draw = balanced_draw(groups, rows.ids, torch.Generator().manual_seed(seed), role="fit", method="a subset")
        note = f"Trained on {len(draw):,} of {len(rows):,} fit rows: {int(counts.min()):,} of each."
        if (different := len(draw.unique())) < len(draw):
            note = (
                f"Trained on {len(draw):,} draws, {int(counts.min()):,} for each group, of {different:,} of "
                f"{len(rows):,} fit rows: a row drawn for several groups counts as often."
            )
        return replace(made, rows=rows.take(draw), notes=(*made.notes, note))
    if not bool((counts > 0).all()):
        empty = groups.names[int((counts == 0).nonzero()[0])]
        raise InputError(
            f"'{empty}' has no fit rows, so nothing can make it weigh as much as the others; leave it out."
        )
    weights = balancing_weights(groups)
    made = replace(made, notes=(*made.notes, *_replaced(rows, "balancing")))
    weighted = replace(rows, weights=(weights * len(rows) / weights.sum()).to(rows.weights.dtype))
    if emphasis["how"] == "sampling":
        return replace(made, rows=weighted, draw="weighted")
    return replace(made, rows=weighted, pool=per_row)


def _upweighted(made: Emphasised, by: float, wrong: Bool[Tensor, "rows"]) -> Emphasised:
    count, whole = int(wrong.sum()), len(wrong)
    weights = torch.where(wrong, by, 1.0)
    note = f"The first model is wrong on {count:,} of {whole:,} fit rows, which were drawn {by:g} times as often."
    if not count:
        note = (
            f"The first model is right on all {whole:,} fit rows, so there were no mistakes to upweight and this is a "
            "second plain training; train the first model less."
        )
    rows = replace(made.rows, weights=(weights / weights.mean()).to(made.rows.weights.dtype))
    return Emphasised(rows, "weighted", made.pool, (*made.notes, note, *_replaced(made.rows, "upweighting mistakes")))


def _replaced(rows: Rows, by: str) -> tuple[str, ...]:
    """Says that weights the fit rows came with are gone."""
    if bool((rows.weights == 1).all()):
        return ()
    return (f"The weights of the fit rows were not used: {by} sets its own.",)
