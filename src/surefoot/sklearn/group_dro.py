"""Last-layer group DRO as a scikit-learn classifier."""

from dataclasses import replace
from typing import Any

from surefoot.robust.group_dro import GroupDROSettings
from surefoot.robust.protocol import class_groups, material_of
from surefoot.robust.tuning import PENALTIES
from surefoot.sklearn.heads import HeadClassifier
from surefoot.sklearn.settings import number, one_of, several

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
        one_of("over", self.over, ("groups", "classes"))
        if self.over == "groups" and groups is None:
            self._warn_of_no_groups("the worst is taken over classes", 'over="classes"')
        if self.over == "classes" or groups is None:
            rows = replace(rows, groups=class_groups(material_of(rows, "repair", "group DRO"), "group DRO"))
        if self.penalty is None:
            penalties = several("penalties", self.penalties, one="penalty")
        else:
            penalties = (number("penalty", self.penalty),)
        settings = GroupDROSettings(
            learn="choose" if self.penalty is None else "repair",
            penalties=penalties,
            adjustments=(number("adjustment", self.adjustment, zero=True),),
            tolerance=number("tolerance", self.tolerance),
        )
        self._learn("group_dro", rows, settings, "penalty")
        self.penalty_ = self.chosen_["penalty"]
        return self
