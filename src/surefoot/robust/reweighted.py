"""Balancing the last layer: RWG and RWY by weights, SUBG and SUBY by balanced subsets.

    minimise over (W, b)   Σ_i w_i CE(y_i, W z̃_i + b) / Σ_i w_i + ½ λ ‖W‖²

    weights (RWG, RWY)   w_i = 1 / n_g for the group or class g of row i, so that all weigh the same together
    subset (SUBG, SUBY)  w_i = 1 on a draw of as many rows of every group or class as the smallest has, else 0

on features standardised over the learn rows, solved until the gradient vanishes; λ is chosen on the choose rows.

Source: Idrissi et al. (2022), "Simple data balancing achieves competitive worst-group-accuracy", section 3. They
train whole networks and draw with replacement for RWG and RWY; a convex last layer needs no sampling, and the base
trainings of a study (`balance: groups`) do it for whole networks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from surefoot.errors import InputError
from surefoot.robust.balance import balanced_draw, refuse_empty_half
from surefoot.robust.head import LinearHead, Repaired
from surefoot.robust.method import Method, Sizes, softmax_seconds
from surefoot.robust.protocol import Material, class_groups, named_groups
from surefoot.robust.selecting import Selection, check_selection
from surefoot.robust.softmax.convex import fit_softmax, weighted_mean
from surefoot.robust.tuning import (
    PENALTIES,
    Fit,
    Learn,
    Setting,
    check_penalties,
    strongest_first,
    tuned,
    unknown_rows,
)
from surefoot.rows.roles import Roles
from surefoot.rows.rows import Groups

__all__ = ["METHODS", "ReweightedSettings", "balancing_weights", "reweighted"]

TITLES = {
    ("groups", "weights"): "RWG",
    ("classes", "weights"): "RWY",
    ("groups", "subset"): "SUBG",
    ("classes", "subset"): "SUBY",
}


@dataclass(frozen=True)
class ReweightedSettings:
    """What is balanced, and how.

    balance: what weighs the same, "groups" or "classes".
    how: by "weights" on all rows, or on a balanced "subset".
    learn: the role the head learns on.
    penalties: the grid of λ, per mean loss; of equally good ones the strongest wins.
    draws: subsets whose heads are averaged (the paper takes one); only for subsets.
    selection: over which groups of the choose rows the worst is taken; all but "groups" need no group labels.
    """

    balance: Literal["groups", "classes"] = "groups"
    how: Literal["weights", "subset"] = "weights"
    learn: Learn = "repair"
    penalties: tuple[float, ...] = PENALTIES
    draws: int = 1
    selection: Selection = "groups"

    def __post_init__(self) -> None:
        check_penalties(self.penalties)
        check_selection(self.selection)
        if self.draws < 1 or (self.how == "weights" and self.draws != 1):
            raise InputError(
                f"draws is {self.draws} with how '{self.how}'; give at least 1, and more than 1 only for 'subset'."
            )


def balancing_weights(groups: Groups) -> Tensor:
    """Σ_g [i in g] / n_g per row, in float64: every group weighs one in all; a row in no group weighs nothing.

    >>> members = torch.tensor([[True, False], [True, False], [False, True], [False, False]])
    >>> balancing_weights(Groups(("a", "b"), members)).tolist()
    [0.5, 0.5, 1.0, 0.0]
    """
    members = groups.members.to(torch.float64)
    return members @ (1 / members.sum(dim=0))


def reweighted(features: Roles, erm: LinearHead, settings: ReweightedSettings, seed: int) -> Repaired:
    """Fit a balanced head from scratch for every λ and keep the best on the choose rows.

    features: the learn role, with groups where groups are balanced, and choose. Rows in no group do not count. `erm`
    is the head being replaced; rows in two groups count in both. Raises `InputError` for judge rows, a missing role,
    learn rows without groups, or an empty group.

    >>> from surefoot.rows.worlds import gaussian_world
    >>> from surefoot.robust.balanced import erm_head
    >>> roles = gaussian_world(sizes={"fit": 400, "repair": 400, "choose": 400}).roles
    >>> erm = erm_head(roles["fit"])
    >>> reweighted(roles, erm, ReweightedSettings(), 0).chosen
    {'penalty': 1.0}
    """
    method = TITLES[settings.balance, settings.how]
    groups_of = named_groups if settings.balance == "groups" else class_groups

    def prepare(pool: Material) -> Fit:
        groups = groups_of(pool, method)

        def fit(
            index: Tensor, inputs: Tensor, grid: Sequence[Setting], generator: torch.Generator
        ) -> Sequence[LinearHead]:
            some, ids = groups.take(index), pool.rows.ids[index.numpy()]
            refuse_empty_half(some, method)
            parts: list[list[LinearHead]] = []
            for _ in range(settings.draws):
                if settings.how == "weights":
                    used, weights = index, balancing_weights(some)
                else:
                    used = index[balanced_draw(some, ids, generator, role=pool.role, method=method)]
                    weights = torch.ones(len(used), dtype=torch.float64)
                parts.append(_along(inputs[used], pool.targets[used], weights, grid, len(pool.rows.classes)))
            return [_average(heads) for heads in zip(*parts, strict=True)]

        return fit

    def notes(pool: Material, chosen: Setting) -> list[str]:
        groups = groups_of(pool, method)
        told = list(unknown_rows(pool, groups))
        if settings.how == "subset":
            fewest, kind = int(groups.counts().min()), "group" if settings.balance == "groups" else "class"
            drawn = f"{fewest * len(groups.names)} of {len(pool.rows)}"
            if bool((groups.members.sum(dim=1) > 1).any()):
                drawn = f"{fewest * len(groups.names)} draws in all: a row in two groups may be drawn for both"
            told.append(f"{method} learned on {fewest} of every {kind}'s {pool.role} rows, {drawn}.")
        return told

    grid = [{"penalty": penalty} for penalty in strongest_first(settings.penalties)]
    return tuned(
        features, erm, settings.learn, settings.selection, grid, seed, method=method, prepare=prepare, notes=notes
    )


def _along(inputs: Tensor, targets: Tensor, weights: Tensor, grid: Sequence[Setting], classes: int) -> list[LinearHead]:
    """The heads of a path of penalties, each starting at the one before."""
    heads: list[LinearHead] = []
    for setting in grid:
        start = heads[-1] if heads else None
        heads.append(fit_softmax(inputs, targets, weighted_mean(weights), setting["penalty"], classes, start=start))
    return heads


def _average(heads: Sequence[LinearHead]) -> LinearHead:
    weight = torch.stack([head.weight for head in heads]).mean(dim=0)
    return LinearHead(weight, torch.stack([head.bias for head in heads]).mean(dim=0))


def _seconds(settings: ReweightedSettings, sizes: Sizes) -> float:
    return settings.draws * softmax_seconds(settings, sizes)


METHODS = tuple(
    Method(
        name=title.lower(),
        words=f"{title} head",
        settings=ReweightedSettings,
        run=reweighted,
        fixed={"balance": balance, "how": how},
        needs_groups=balance == "groups",
        seconds=_seconds,
    )
    for (balance, how), title in TITLES.items()
)
