"""By what the worst is taken when a setting is selected on the choose rows: with group labels, or without any.

    selected = argmax over settings of   min over groups g of   accuracy_g(setting)

    selection        the groups g
    groups           the rows' own groups; a row in none of them counts in the mean alone
    classes          the classes
    pseudo_groups    class × whether the base head gets the row right
    mistakes         whether the base head gets the row right: two groups
    accuracy         one group of all rows: the plain mean

"pseudo_groups" and "mistakes" take the base head's errors for the groups it fails. Accuracy on the errors alone would
be won by a head that turns every decision round; the worst of errors and the rest cannot, for what the base head got
right counts as much. They help where the base head fails a group and *ruin* a base head that fails none, whose errors
are merely hard rows; nothing without labels tells the two apart, so "classes" is the careful choice. Groups found
otherwise (clusters of features, a second model) are given as the rows' groups.

Source: the worst class: Yang et al. (2023), "Change is hard", section 4.1; errors of the base model as pseudo groups:
Liu et al. (2021), "Just train twice", and Nam et al. (2022), "Spread spurious attribute". What it costs is measured in
docs/afr.md.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import torch
from jaxtyping import Bool
from torch import Tensor

from surefoot.errors import InputError
from surefoot.robust.head import LinearHead
from surefoot.robust.protocol import Material, check_head, class_groups, named_groups
from surefoot.rows.rows import Groups

__all__ = ["SELECTIONS", "Selecting", "Selection", "check_selection", "selecting"]

Selection: TypeAlias = Literal["groups", "classes", "pseudo_groups", "mistakes", "accuracy"]
SELECTIONS: tuple[Selection, ...] = get_args(Selection)

WORST = {
    "classes": "the worst class",
    "pseudo_groups": "the worst of each class's rows that the base head gets right and gets wrong",
    "mistakes": "the worse of the rows that the base head gets right and those it gets wrong",
    "accuracy": "plain accuracy",
}
UNSEEN = {
    "classes": "a group that fails inside a class that does well goes unseen",
    "pseudo_groups": "if the base head's mistakes are merely hard rows, a head that gives up much else can win",
    "mistakes": "if the base head's mistakes are merely hard rows, a head that gives up much else can win",
    "accuracy": "a small group hardly counts",
}


@dataclass(frozen=True)
class Selecting:
    """The groups over which the worst is taken, none of them empty, and what a reader of the card must know."""

    groups: Groups
    notes: tuple[str, ...] = ()


def check_selection(selection: str) -> None:
    """Raise `InputError` for a selection that is not one of `SELECTIONS`."""
    if selection not in SELECTIONS:
        raise InputError(f"selection is {selection!r}; choose one of {', '.join(SELECTIONS)}.")


def selecting(choose: Material, base: LinearHead, selection: Selection, method: str) -> Selecting:
    """The groups of the choose rows that `selection` names; `base` is the head before any repair.

    Raises `InputError` for rows without groups where groups are asked for, for a class or a named group without rows,
    and for a head that does not fit the features.

    >>> from surefoot.robust.protocol import material_of
    >>> from surefoot.rows.rows import make_rows
    >>> rows = make_rows(torch.tensor([[-1.0], [2.0], [-3.0]]), torch.tensor([0, 1, 1]))
    >>> base = LinearHead(torch.tensor([[-1.0], [1.0]]), torch.zeros(2))
    >>> chosen = selecting(material_of(rows, "choose", "AFR"), base, "pseudo_groups", "AFR")
    >>> dict(zip(chosen.groups.names, chosen.groups.counts().tolist()))
    {'class 0, base right': 1, 'class 1, base right': 1, 'class 1, base wrong': 1}
    """
    check_selection(selection)
    if selection == "groups":
        return _by_groups(choose, method)
    check_head(base, choose, method)
    notes = [f"Settings were selected without group labels, by {WORST[selection]}: {UNSEEN[selection]}."]
    if selection == "accuracy":
        return Selecting(Groups(("all rows",), torch.ones(len(choose.targets), 1, dtype=torch.bool)), tuple(notes))
    classes = class_groups(choose, method)
    if selection == "classes":
        return Selecting(classes, tuple(notes))
    right = base.logits(choose.features).argmax(dim=1) == choose.targets
    if bool(right.all()):
        notes.append("The base head is right on every choose row, so no other setting can look better than it.")
    if selection == "mistakes":
        return Selecting(_filled(("base right", "base wrong"), torch.stack([right, ~right], dim=1)), tuple(notes))
    members = torch.stack([classes.members & right[:, None], classes.members & ~right[:, None]], dim=2)
    names = tuple(f"{name}, base {verdict}" for name in classes.names for verdict in ("right", "wrong"))
    return Selecting(_filled(names, members.flatten(1)), tuple(notes))


def _by_groups(choose: Material, method: str) -> Selecting:
    if not choose.rows.groups.names:
        others = ", ".join(SELECTIONS[1:])
        raise InputError(
            f"{method} was to be selected by groups, but the choose rows have none; name the attribute that makes "
            f"groups, or set selection to one of {others}."
        )
    groups = named_groups(choose, method)
    unknown = int((~groups.members.any(dim=1)).sum())
    if not unknown:
        return Selecting(groups)
    count = len(groups.members)
    return Selecting(
        groups, (f"{unknown:,} of {count:,} choose rows are in no group: they did not count in the worst.",)
    )


def _filled(names: tuple[str, ...], members: Bool[Tensor, "rows groups"]) -> Groups:
    """The groups that have rows: a head that makes no error in a class leaves no group of its errors."""
    kept = [number for number, count in enumerate(members.sum(dim=0).tolist()) if count]
    return Groups(tuple(names[number] for number in kept), members[:, kept])
