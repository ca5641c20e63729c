"""The one selection protocol: learn on one role, tune on `choose`, never see `judge`.

Every repair asks for its roles by name through `material`, which checks what the method is about to rely on. A
mapping that holds `judge` rows is refused outright, so no repair can look at them, even by mistake.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from surefoot.errors import InputError
from surefoot.robust.head import LinearHead, Matrix, Trial, logits_of
from surefoot.rows.roles import Role, Roles
from surefoot.rows.rows import Groups, Rows
from surefoot.rows.streamed import FileFeatures

__all__ = [
    "Material",
    "check_head",
    "check_same_features",
    "choose_best",
    "class_groups",
    "material",
    "material_of",
    "named_groups",
    "refuse_judge",
    "score",
    "score_outputs",
    "seen_by",
    "selection_groups",
    "trial_of",
]


@dataclass(frozen=True)
class Material:
    """The checked rows of one role: finite features, hard labels.

    inputs: the features, in memory or in their file. A method that reads `features` needs all of them at once.
    """

    role: Role
    rows: Rows
    inputs: Matrix
    targets: Int[Tensor, "rows"]

    @cached_property
    def features(self) -> Float[Tensor, "rows features"]:
        """In memory, whatever they were before."""
        return self.inputs if isinstance(self.inputs, Tensor) else self.inputs[:]

    @property
    def width(self) -> int:
        """How many features a row has."""
        return self.inputs.shape[1]


def refuse_judge(features: Roles, method: str) -> None:
    """Raise `InputError` when judge rows are among those given to a repair."""
    if "judge" in features:
        raise InputError(
            f"{method} was given judge rows; pass it the fit, repair and choose rows alone, and judge once afterwards."
        )


def material(features: Roles, role: Role, method: str) -> Material:
    """The rows of `role`, checked; raises `InputError` naming the role and the method."""
    refuse_judge(features, method)
    if role not in features:
        given = ", ".join(features) or "none"
        raise InputError(f"{method} needs {role} rows, but the roles given are: {given}; give it {role} rows.")
    return material_of(features[role], role, method)


def material_of(rows: Rows, role: Role, method: str) -> Material:
    """Rows whose inputs are finite float features and whose targets are hard labels within the classes."""
    if not len(rows):
        raise InputError(f"{method} needs {role} rows, but there are none; give it some.")
    if isinstance(rows.inputs, FileFeatures):  # finite, or they could not have been read
        _refuse_labels(rows, role, method)
        return Material(role, rows, rows.inputs, rows.targets)
    inputs = rows.inputs[:]
    if inputs.ndim != 2 or not inputs.dtype.is_floating_point:
        raise InputError(
            f"The {role} rows have inputs of shape {tuple(inputs.shape)} and type {inputs.dtype}; {method} works on "
            "features, float [rows, features]: extract them first."
        )
    bad = (~torch.isfinite(inputs)).any(dim=1).nonzero().squeeze(1)
    if len(bad):
        names = ", ".join(str(name) for name in rows.ids[bad[:3].cpu().numpy()])
        raise InputError(
            f"{len(bad)} of {len(rows)} {role} rows have features that are NaN or infinite (first: {names}); "
            "mend the backbone or leave these rows out."
        )
    _refuse_labels(rows, role, method)
    return Material(role, rows, inputs, rows.targets)


def _refuse_labels(rows: Rows, role: Role, method: str) -> None:
    if rows.targets.ndim != 1 or rows.targets.dtype.is_floating_point:
        raise InputError(
            f"{method} needs hard labels, but the {role} rows have class probabilities; give class numbers."
        )
    outside = ((rows.targets < 0) | (rows.targets >= len(rows.classes))).nonzero().squeeze(1)
    if len(outside):
        first = int(outside[0])
        raise InputError(
            f"The label {int(rows.targets[first])} of {role} row {rows.ids[first]} is outside the "
            f"{len(rows.classes)} classes; labels are 0 to {len(rows.classes) - 1}."
        )


def check_same_features(first: Material, second: Material, method: str) -> None:
    """Raise `InputError` when two roles disagree on the number of features or on the classes."""
    widths = first.width, second.width
    if widths[0] != widths[1] or first.rows.classes != second.rows.classes:
        raise InputError(
            f"{method} got {first.role} rows with {widths[0]} features and classes {first.rows.classes}, but "
            f"{second.role} rows with {widths[1]} and {second.rows.classes}; both must come from the same network."
        )


def check_head(head: LinearHead, rows: Material, method: str) -> None:
    """Raise `InputError` when a head does not fit the features or the classes."""
    wanted = (len(rows.rows.classes), rows.width)
    if tuple(head.weight.shape) != wanted:
        raise InputError(
            f"{method} was given a head of shape {tuple(head.weight.shape)}, but the {rows.role} rows have "
            f"{wanted[0]} classes and {wanted[1]} features; give the head that reads these features."
        )


def named_groups(rows: Material, method: str) -> Groups:
    """The rows' groups, none of them empty.

    An empty group has no accuracy: counting it as 0 or as NaN would let it decide the selection.
    """
    groups = rows.rows.groups
    if not groups.names:
        raise InputError(
            f"{method} needs groups on the {rows.role} rows, but they have none; name the attribute that makes groups."
        )
    _refuse_empty(groups, rows.role, method)
    return groups


def class_groups(rows: Material, method: str) -> Groups:
    """The classes as groups, none of them empty."""
    members = rows.targets[:, None] == torch.arange(len(rows.rows.classes))
    groups = Groups(tuple(f"class {name}" for name in rows.rows.classes), members)
    _refuse_empty(groups, rows.role, method)
    return groups


def selection_groups(rows: Material, method: str) -> Groups:
    """What "worst group" means on these rows: their groups, or their classes when they have no groups."""
    return named_groups(rows, method) if rows.rows.groups.names else class_groups(rows, method)


def trial_of(setting: Mapping[str, float], correct: Bool[Tensor, "rows"], groups: Groups) -> Trial:
    """Worst group accuracy (each group by its own rows; overlap is fine) and the raw mean over all rows."""
    members = groups.members.to(torch.float64)
    accuracies = (correct.to(torch.float64) @ members) / members.sum(dim=0)
    return Trial(setting, float(accuracies.min()), float(correct.to(torch.float64).mean()))


def score(head: LinearHead, rows: Rows, setting: Mapping[str, float] | None = None, role: Role = "choose") -> Trial:
    """Score any head, the unrepaired one for instance, as a trial beside the repairs'.

    Without groups, the worst group is the worst class.

    >>> from surefoot.rows.rows import make_rows
    >>> head = LinearHead(torch.tensor([[-1.0], [1.0]]), torch.zeros(2))
    >>> rows = make_rows(torch.tensor([[-1.0], [2.0], [-3.0]]), torch.tensor([0, 1, 1]))
    >>> score(head, rows).worst_group_accuracy
    0.5
    """
    checked = material_of(rows, role, "score")
    check_head(head, checked, "score")
    correct = logits_of(head, checked.inputs).argmax(dim=1) == checked.targets
    return trial_of(setting or {}, correct, selection_groups(checked, "score"))


def score_outputs(outputs: Float[Tensor, "rows classes"], rows: Rows, role: Role = "choose") -> Trial:
    """Score outputs, logits or probabilities, of whatever made them, as `score` does a head.

    >>> from surefoot.rows.rows import make_rows
    >>> rows = make_rows(torch.zeros(3, 1, 4, 4), torch.tensor([0, 1, 1]))
    >>> score_outputs(torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]), rows).worst_group_accuracy
    0.5
    """
    checked = material_of(rows.with_inputs(outputs), role, "score")
    return trial_of({}, outputs.argmax(dim=1) == checked.targets, selection_groups(checked, "score"))


def choose_best(trials: Sequence[Trial]) -> int:
    """The number of the trial with the highest worst-group accuracy; of equals the first tried wins.

    Whoever orders the trials decides ties, but for one: where no setting gets a single row of its worst group right,
    the best mean wins, so that a head without weights, the strongest penalty's, is never chosen by a tie at zero. NaN
    never wins: it raises.
    """
    if not trials:
        raise InputError("There is nothing to choose from: no setting was tried; give at least one.")
    for trial in trials:
        if not trial.worst_group_accuracy >= 0:
            raise InputError(
                f"The setting {dict(trial.setting)} scored {trial.worst_group_accuracy}, which is no accuracy; "
                "check that every group has rows."
            )
    lost = all(trial.worst_group_accuracy == 0 for trial in trials)
    return max(
        range(len(trials)),
        key=lambda number: trials[number].mean_accuracy if lost else trials[number].worst_group_accuracy,
    )


def seen_by(*rows: Material) -> frozenset[str]:
    """The sources of everything a repair used."""
    return cast("frozenset[str]", frozenset()).union(*(part.rows.origins() for part in rows))


def _refuse_empty(groups: Groups, role: Role, method: str) -> None:
    for name, count in zip(groups.names, groups.counts().tolist(), strict=True):
        if not count:
            raise InputError(
                f"The group '{name}' has no {role} rows, and {method} needs some of every group; add {role} rows of "
                "it, or leave it out of the groups."
            )
