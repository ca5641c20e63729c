"""Deep feature reweighting (DFR): retrain the last layer from scratch on group-balanced draws.

Source: Kirichenko, Izmailov and Wilson (2023), "Last layer re-training is sufficient for robustness to spurious
correlations", section 4; the procedure is spelled out in `surefoot.robust.retrain`. Departures, each a setting:
one scaler for both phases, ties to the strongest penalty, and tuning halves that share no source.
"""

from typing import TypeAlias

from surefoot.robust.head import Repaired
from surefoot.robust.method import Method
from surefoot.robust.protocol import named_groups
from surefoot.robust.retrain import RetrainSettings, retrain
from surefoot.rows.roles import Roles

__all__ = ["METHODS", "DFRSettings", "dfr"]

DFRSettings: TypeAlias = RetrainSettings
"""learn="choose" is the paper's DFR-Val, learn="repair" (or "fit") its DFR-Tr."""


def dfr(features: Roles, settings: DFRSettings, seed: int) -> Repaired:
    """min ‖w‖₁ + |b| + C Σ log(1 + exp(−ỹ(wᵀz + b))) over group-balanced draws, the heads averaged.

    features: the learn role and choose, both with groups; rows in no group are left out of draws and of the worst
    group. Raises `InputError` for judge rows, a missing role, a role without groups, an empty group.

    >>> import torch
    >>> from surefoot.rows.rows import cross_groups, make_rows
    >>> shortcut, label = torch.tensor([0, 1] * 20), torch.tensor([0] * 20 + [1] * 20)
    >>> inputs = torch.stack([label * 2.0 - 1, shortcut * 8.0], dim=1) + torch.arange(40.0)[:, None] % 7 / 10
    >>> rows = make_rows(inputs, label, groups=cross_groups(label, ["a", "b"], shortcut, ["0", "1"]))
    >>> repaired = dfr({"choose": rows}, DFRSettings(learn="choose"), seed=0)
    >>> repaired.trials[-1].worst_group_accuracy
    1.0
    """
    return retrain(features, settings, seed, method="DFR", balance=named_groups, select=named_groups)


METHODS = tuple(
    Method(
        name=name,
        words="DFR",
        settings=DFRSettings,
        run=lambda features, erm, settings, seed: dfr(features, settings, seed),
        fixed=fixed,
        needs_groups=True,
        learns_from=DFRSettings.learns_from,
        seconds=DFRSettings.seconds,
    )
    for name, fixed in {"dfr": {}, "dfr_choose": {"learn": "choose"}}.items()
)
