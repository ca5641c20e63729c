"""The baselines' protocol: one head per setting on the learn rows, the best by the choose rows.

Learning on `choose` itself, heads are tuned on two halves of it that share no source (fitted on one, scored on the
other), and the winner is fitted anew on all of it, as DFR does.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from surefoot.errors import InputError
from surefoot.robust.balance import tuning_halves
from surefoot.robust.head import LinearHead, Repaired, fold_scaler
from surefoot.robust.protocol import (
    Material,
    check_head,
    check_same_features,
    choose_best,
    material,
    seen_by,
    trial_of,
)
from surefoot.robust.scaler import fit_scaler
from surefoot.robust.selecting import Selection, selecting
from surefoot.rows.roles import Roles
from surefoot.rows.rows import Groups

__all__ = [
    "PENALTIES",
    "Fit",
    "Learn",
    "Setting",
    "check_grid",
    "check_penalties",
    "strongest_first",
    "tuned",
    "unknown_rows",
]

Learn: TypeAlias = Literal["repair", "choose", "fit"]
Setting: TypeAlias = Mapping[str, float]

PENALTIES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001)
"""λ of ½ λ ‖W‖² beside a mean loss; C of a sum over n rows is 1 / (λ n)."""

Fit: TypeAlias = Callable[[Tensor, Tensor, Sequence[Setting], torch.Generator], Sequence[LinearHead]]
"""(row numbers to learn on, standardised features of the whole pool, settings, generator) → a head per setting."""


def tuned(
    features: Roles,
    erm: LinearHead,
    learn: Learn,
    selection: Selection,
    grid: Sequence[Setting],
    seed: int,
    *,
    method: str,
    prepare: Callable[[Material], Fit],
    notes: Callable[[Material, Setting], Sequence[str]] = lambda pool, chosen: (),
) -> Repaired:
    """Fit every setting of `grid` (ties go to the earlier), keep the best by `selection` on the choose rows.

    erm: the head being replaced; it must fit the features. prepare: checks what the method needs of the learn rows
    and returns its fit; heads come back on features standardised by the learn rows, and are folded here.
    """
    pool = material(features, learn, method)
    choose = pool if learn == "choose" else material(features, "choose", method)
    check_same_features(pool, choose, method)
    check_head(erm, pool, method)
    chosen_by = selecting(choose, erm, selection, method)
    groups = chosen_by.groups
    fit = prepare(pool)
    generator = torch.Generator().manual_seed(seed)
    told = list(chosen_by.notes)
    fitted, scored = torch.arange(len(pool.rows)), torch.arange(len(choose.rows))
    if learn == "choose":
        (scored, fitted, _), about = tuning_halves(choose.rows, groups, generator, method)
        told += about
    scaler = fit_scaler(pool.features)
    inputs = scaler.apply(pool.features)
    heads = fit(fitted, inputs, grid, generator)
    seen, targets, members = scaler.apply(choose.features[scored]), choose.targets[scored], groups.take(scored)
    trials = tuple(
        trial_of(setting, head.logits(seen).argmax(dim=1) == targets, members)
        for setting, head in zip(grid, heads, strict=True)
    )
    best = choose_best(trials)
    chosen = heads[best]
    if learn == "choose":
        (chosen,) = fit(torch.arange(len(pool.rows)), inputs, [grid[best]], generator)
    folded = fold_scaler(chosen, scaler.mean, scaler.scale)
    precision = pool.features.dtype
    if bool((pool.rows.weights != 1).any()):
        told.append(f"The weights of the {pool.role} rows were not used: {method} sets its own.")
    return Repaired(
        head=LinearHead(folded.weight.masked_fill(scaler.constant, 0.0).to(precision), folded.bias.to(precision)),
        chosen=trials[best].setting,
        trials=trials,
        seen=seen_by(pool, choose),
        notes=(*told, *notes(pool, grid[best])),
    )


def unknown_rows(pool: Material, groups: Groups) -> tuple[str, ...]:
    """A note on rows that are in none of the groups by which a method learns; nothing where there are none."""
    unknown = int((~groups.members.any(dim=1)).sum())
    if not unknown:
        return ()
    return (f"{unknown} of {len(pool.rows)} {pool.role} rows are in no group and were not used.",)


def check_penalties(penalties: Sequence[float]) -> None:
    """Raise `InputError` unless there is a penalty and each is positive and finite."""
    check_grid("penalties", penalties)


def check_grid(name: str, values: Sequence[float | int]) -> None:
    """Raise `InputError` unless there is a value and each is positive and finite."""
    if not values or not all(0 < value < float("inf") for value in values):
        raise InputError(f"{name} are {tuple(values)}; give at least one, each positive and finite.")


def strongest_first(penalties: Sequence[float]) -> list[float]:
    """The penalties in the order in which ties are broken: the strongest wins."""
    return sorted(penalties, reverse=True)
