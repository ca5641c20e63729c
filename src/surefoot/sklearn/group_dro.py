"""Last-layer group DRO as a scikit-learn classifier."""

from dataclasses import replace
from typing import Any

import torch

from surefoot.errors import InputError
from surefoot.robust.group_dro import GroupDROSettings, group_dro
from surefoot.robust.head import LinearHead
from surefoot.robust.protocol import class_groups, material_of
from surefoot.robust.tuning import PENALTIES
from surefoot.rows.roles import Roles
from surefoot.sklearn.heads import HeadClassifier, seed_from, warn_of_no_groups

__all__ = ["GroupDROClassifier"]


class GroupDROClassifier(HeadClassifier):
    """The softmax head whose worst group loses least (`surefoot.robust.group_dro`).

        minimise over (W, b)   max_g (ℓ_g + adjustment / √n_g) + ½ λ ‖W‖²,     ℓ_g = mean CE of the group's rows

    penalty: λ. None chooses it from `penalties` on halves of the rows, by the worst group; a number fits all rows with
      that λ, for a search outside. adjustment: larger for small groups, in nats; 0 is none.
    tolerance: how far the worst group's loss may be from its optimum, in nats.
    over: "groups", or "classes". Without groups, "groups" warns and takes the worst over classes.
    cross_class: cross each group value with the class, as the method expects.

    Features are standardised inside. There is no sample_weight: the worst group sets the weights.
    Source: Sagawa et al. (2020).
    """

    def __init__(
        self,
        *,
        penalty: Any = None,
        penalties: Any = PENALTIES,
        adjustment: Any = 0.0,
        tolerance: Any = 1e-4,
        over: Any = "groups",
        cross_class: Any = True,
        random_state: Any = None,
    ) -> None:
        self.penalty = penalty
        self.penalties = penalties
        self.adjustment = adjustment
        self.tolerance = tolerance
        self.over = over
        self.cross_class = cross_class
        self.random_state = random_state

    def fit(self, X: Any, y: Any, groups: Any = None) -> "GroupDROClassifier":
        """Learn a head on features `X` [rows, features], any labels `y`, and `groups`: one value a row.

        Raises `InputError` for a group with too few rows to halve (a fixed penalty needs no halves), and what
        `surefoot.robust.group_dro` raises.
        """
        rows = self._rows(X, y, groups, self.cross_class)
        if self.over not in ("groups", "classes"):
            raise InputError(f'over is "{self.over}"; it is "groups" or "classes".')
        if self.over == "groups" and groups is None:
            warn_of_no_groups("the worst is taken over classes", 'over="classes"')
        if self.over == "classes" or groups is None:
            rows = replace(rows, groups=class_groups(material_of(rows, "repair", "group DRO"), "group DRO"))
        settings = GroupDROSettings(
            learn="choose" if self.penalty is None else "repair",
            penalties=tuple(self.penalties) if self.penalty is None else (self.penalty,),
            adjustments=(self.adjustment,),
            tolerance=self.tolerance,
        )
        given: Roles = {"choose": rows} if self.penalty is None else {"repair": rows, "choose": rows}
        shape = (len(rows.classes), rows.inputs[:1].shape[1])
        nothing = LinearHead(torch.zeros(shape), torch.zeros(shape[0]))
        self._keep(group_dro(given, nothing, settings, seed_from(self.random_state)))
        if self.penalty is not None:
            self.trials_ = ()  # scored on the rows that were learned from: nothing was chosen by them
        self.penalty_ = self.chosen_["penalty"]
        return self
