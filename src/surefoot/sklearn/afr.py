"""AFR as a scikit-learn classifier."""

from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator

from surefoot.errors import InputError
from surefoot.robust.afr import AFRSettings, afr
from surefoot.robust.balanced import erm_head
from surefoot.robust.head import LinearHead
from surefoot.rows.assign import assign_roles
from surefoot.rows.roles import Role, Roles
from surefoot.rows.rows import Rows
from surefoot.sklearn.heads import HeadClassifier, linear_head, seed_from
from surefoot.sklearn.settings import number, several, whole

__all__ = ["AFRClassifier"]


class AFRClassifier(HeadClassifier):
    """A linear classifier, then automatic feature reweighting of it (`surefoot.robust.afr`).

        μ_i ∝ β_{y_i} exp(−γ p_i),   minimise  Σ μ_i CE_i + λ ‖head − base head‖²,  early-stopped

    The rows are parted: the base classifier learns on the rest, AFR on `repair_share` of them, and `choose_share`
    chooses γ, λ and the step. Rows that are byte for byte the same stay together.

    estimator: a linear classifier of scikit-learn; None is a plain softmax head. One already fitted, wrapped in
      `sklearn.frozen.FrozenEstimator`, is kept, and all rows serve repair and choice: give rows it has not seen.
    gammas, penalties: the grid of γ and λ. steps, rate, clip, class_balance: of the descent.
    selection: how the choice is made: "groups" (their worst), or without group labels "pseudo_groups", "classes",
      "mistakes" or "accuracy" (`surefoot.robust.selecting`). Without groups, "groups" warns and takes "pseudo_groups".
    cross_class: cross each group value with the class, as the method expects.

    Learns estimator_, the base classifier, and base_head_. Features are not standardised: put a scaler before it.
    There is no sample_weight: AFR sets the weights. Source: Qiu, Potapczynski, Izmailov and Wilson (2023).
    """

    def __init__(
        self,
        estimator: Any = None,
        *,
        gammas: Any = AFRSettings.gammas,
        penalties: Any = AFRSettings.penalties,
        steps: Any = AFRSettings.steps,
        rate: Any = AFRSettings.rate,
        clip: Any = AFRSettings.clip,
        class_balance: Any = True,
        selection: Any = "groups",
        repair_share: Any = 0.2,
        choose_share: Any = 0.2,
        cross_class: Any = True,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.gammas = gammas
        self.penalties = penalties
        self.steps = steps
        self.rate = rate
        self.clip = clip
        self.class_balance = class_balance
        self.selection = selection
        self.repair_share = repair_share
        self.choose_share = choose_share
        self.cross_class = cross_class
        self.random_state = random_state

    def fit(self, X: Any, y: Any, groups: Any = None) -> "AFRClassifier":
        """Part the rows, fit the base classifier and repair it; `groups` are one value a row, used to choose alone.

        Raises `InputError` for shares that leave nothing, a class or group with too few rows to part, a base that is
        not linear, and what `surefoot.robust.afr` raises.
        """
        rows = self._rows(X, y, groups, self.cross_class)
        selection = self.selection
        if selection == "groups" and groups is None:
            self._warn_of_no_groups("γ, λ and the step are chosen by pseudo-groups", 'selection="pseudo_groups"')
            selection = "pseudo_groups"
        settings = AFRSettings(
            gammas=several("gammas", self.gammas),
            penalties=several("penalties", self.penalties),
            steps=whole("steps", self.steps, least=0),
            rate=number("rate", self.rate),
            clip=number("clip", self.clip, infinite=True),
            class_balance=self.class_balance,
            selection=selection,
        )
        seed = seed_from(self.random_state)
        roles, notes = self._part(rows, selection == "groups", seed)
        base = self._base(roles)
        repaired = afr({role: of for role, of in roles.items() if role != "fit"}, base, settings, seed)
        self.base_head_ = base
        self._keep(repaired, *notes)
        return self

    def _part(self, rows: Rows, by_groups: bool, seed: int) -> tuple[Roles, tuple[str, ...]]:
        """fit (unless the base is frozen), repair and choose; equal shares, and a note, where the asked leave a gap."""
        shares: dict[Role, float] = {
            "repair": number("repair_share", self.repair_share),
            "choose": number("choose_share", self.choose_share),
        }
        total = sum(shares.values())
        if not total < 1:
            raise InputError(
                f"repair_share is {self.repair_share} and choose_share {self.choose_share}; they must "
                "leave rows for the base classifier: give less than 1 together."
            )
        if isinstance(self.estimator, FrozenEstimator):
            shares = {role: share / total for role, share in shares.items()}
        else:
            shares = {"fit": 1 - total, **shares}
        roles = assign_roles(rows, shares, seed)
        missing = _missing(roles, by_groups)
        if missing is None:
            return roles, ()
        roles = assign_roles(rows, dict.fromkeys(shares, 1 / len(shares)), seed)
        note = f"{missing} has so few rows that all were parted equally into {', '.join(roles)} rows."
        missing = _missing(roles, by_groups)
        if missing is None:
            return roles, (note,)
        raise InputError(
            f"{missing} has too few rows to be parted into {', '.join(roles)} rows; give more rows of it, or leave it "
            "out."
        )

    def _base(self, roles: Roles) -> LinearHead:
        if self.estimator is None:
            return erm_head(roles["fit"])
        fitted: Any = clone(self.estimator)
        if not isinstance(fitted, FrozenEstimator):
            own = roles["fit"]
            fitted.fit(own.inputs[:].numpy(), self.classes_[own.targets.numpy()])
        head = linear_head(fitted)
        if not np.array_equal(fitted.classes_, self.classes_):
            raise InputError(
                f"The base classifier knows the classes {list(fitted.classes_)}, but the rows have "
                f"{list(self.classes_)}; give rows of the same classes."
            )
        self.estimator_ = fitted
        return head


def _missing(roles: Roles, by_groups: bool) -> str | None:
    """A class without rows in some role, or a group without rows to choose by."""
    for of in roles.values():
        for name, count in zip(of.classes, of.targets.bincount(minlength=len(of.classes)).tolist(), strict=True):
            if not count:
                return f"The class {name}"
    groups = roles["choose"].groups
    if not by_groups:
        return None
    for name, count in zip(groups.names, groups.counts().tolist(), strict=True):
        if not count:
            return f"The group '{name}'"
    return None
