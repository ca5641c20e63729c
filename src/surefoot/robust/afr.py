"""Automatic feature reweighting (AFR): upweight what the base model gets wrong, and stay near its head.

    μ_i ∝ β_{y_i} · exp(−γ p_i),   p_i = the base head's probability of the true class, β_c = 1 / n_c
    minimise over (W, b)   Σ_i μ_i · CE(y_i, W z_i + b) + λ (‖W − Ŵ‖² + ‖b − b̂‖²)

by full-batch gradient descent from the base head (Ŵ, b̂), the gradient (penalty included) clipped at norm `clip`, and
stopped where the worst group of the choose rows is best: AFR is a trajectory, not a minimiser. Weights are computed
once, in log space, on the repair rows; features are not standardised. Only the choose rows need groups, and not even
they do when `selection` is one that works without (surefoot.robust.selecting).

Source: Qiu, Potapczynski, Izmailov and Wilson (2023), "Simple and fast group robustness by automatic feature
reweighting", section 3 and its released training script (start at the base head; step 0 may be selected, as in its
notebooks that score before the step).

All settings descend together: see `surefoot.robust.afr_descent`.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from surefoot.errors import InputError
from surefoot.robust.afr_descent import Descent, descend, held
from surefoot.robust.head import LinearHead, Matrix, Repaired, Trial, logits_of
from surefoot.robust.method import DESCENT_RATE, Method, Sizes
from surefoot.robust.protocol import (
    Material,
    check_head,
    check_same_features,
    choose_best,
    material,
    seen_by,
)
from surefoot.robust.selecting import Selection, check_selection, selecting
from surefoot.rows.roles import Roles

__all__ = ["METHODS", "NO_MISTAKES", "AFRSettings", "afr", "afr_weights"]

NO_MISTAKES = (
    "The base head is right on every repair row, so AFR has no mistakes to upweight; hold repair rows out of its "
    "training."
)


@dataclass(frozen=True)
class AFRSettings:
    """The grid of γ (outermost) and λ, and the descent.

    gammas: the grid of γ: how much more a row counts that the base model gets wrong.
    penalties: the grid of λ, the pull to the base head; an infinite one keeps it.
    steps: of gradient descent.
    rate: of gradient descent, held fixed.
    clip: bound on the gradient's norm over weights and bias together.
    class_balance: β_c = 1 / n_c over the repair rows; otherwise β = 1.
    selection: over which groups of the choose rows the worst is taken; all but "groups" need no group labels.
    """

    gammas: tuple[float, ...] = tuple(4.0 + 0.5 * number for number in range(33))
    penalties: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3)
    steps: int = 500
    rate: float = 1e-2
    clip: float = 1.0
    class_balance: bool = True
    selection: Selection = "groups"

    def __post_init__(self) -> None:
        for name, values in {"gammas": self.gammas, "penalties": self.penalties}.items():
            if not values or not all(value >= 0 for value in values):
                raise InputError(f"{name} are {values}; give at least one, none of them negative.")
        if any(gamma == float("inf") for gamma in self.gammas):
            raise InputError("gammas hold infinity, which would leave a single row; give finite values.")
        if self.steps < 0 or not self.rate > 0 or not self.clip > 0:
            raise InputError(
                f"steps are {self.steps}, rate {self.rate} and clip {self.clip}; steps may not be negative, rate and "
                "clip must be positive."
            )
        check_selection(self.selection)

    def descent(self) -> Descent:
        """What each γ does."""
        return Descent(self.penalties, self.steps, self.rate, self.clip)


def afr(features: Roles, erm: LinearHead, settings: AFRSettings, seed: int) -> Repaired:
    """Descend with every setting at once and keep the best step of the best setting on the choose rows.

    features: repair rows (held out from the base model's training; groups not needed) and choose rows, with groups
    where settings are selected by them. The first of equally good settings and steps wins. AFR draws nothing at
    random, so `seed` changes nothing; it is taken because every repair takes one. `chosen` and the settings of the
    trials hold gamma, penalty, step, and effective_rows: how many repair rows the weights are worth, 1 / Σμ².

    Raises `InputError` for judge rows, a missing role, choose rows without groups where `selection` needs them, an
    empty group, or a head that does not fit the features.
    """
    repair, choose = (held(material(features, role, "AFR")) for role in ("repair", "choose"))
    check_same_features(repair, choose, "AFR")
    check_head(erm, repair, "AFR")
    precision = torch.float64 if _is_double(repair.inputs) else torch.float32
    base = LinearHead(erm.weight.to(precision), erm.bias.to(precision))
    chosen_by = selecting(choose, base, settings.selection, "AFR")
    probabilities = logits_of(base, repair.inputs).softmax(dim=1).gather(1, repair.targets[:, None])[:, 0]
    classes = len(repair.rows.classes)
    weights = afr_weights(probabilities, repair.targets, settings.gammas, classes, settings.class_balance)
    path = descend(repair, choose, chosen_by.groups, base, weights, settings.descent())
    effective = (1 / weights.square().sum(dim=0)).tolist()
    grid = [
        {"gamma": gamma, "penalty": penalty, "effective_rows": rows}
        for gamma, rows in zip(settings.gammas, effective, strict=True)
        for penalty in settings.penalties
    ]
    trials = tuple(
        Trial({**setting, "step": float(step)}, worst, mean)
        for setting, step, worst, mean in zip(
            grid, path.step.tolist(), path.worst.tolist(), path.mean.tolist(), strict=True
        )
    )
    best = choose_best(trials)
    change = path.change[best]
    return Repaired(
        head=LinearHead(base.weight + change[:, :-1], base.bias + change[:, -1]),
        chosen=trials[best].setting,
        trials=trials,
        seen=seen_by(repair, choose),
        notes=(*chosen_by.notes, *_notes(repair, base, trials[best])),
    )


def afr_weights(
    probabilities: Float[Tensor, "rows"],
    targets: Int[Tensor, "rows"],
    gammas: tuple[float, ...],
    classes: int,
    class_balance: bool,
) -> Float[Tensor, "rows gammas"]:
    """softmax over rows of log β_y − γ p in float64: no γ, however large, underflows every row.

    >>> afr_weights(torch.tensor([1.0, 0.5]), torch.tensor([0, 1]), (0.0, 1e5), 2, True).tolist()
    [[0.5, 0.0], [0.5, 1.0]]
    """
    scores = -probabilities.to(torch.float64)[:, None] * torch.tensor(gammas, dtype=torch.float64)
    if class_balance:
        counts = targets.bincount(minlength=classes).to(torch.float64)
        scores = scores - counts[targets].log()[:, None]
    return scores.softmax(dim=0)


def _is_double(inputs: Matrix) -> bool:
    """Features that stay in their file are read in single precision."""
    return isinstance(inputs, torch.Tensor) and inputs.dtype == torch.float64


def _notes(repair: Material, base: LinearHead, chosen: Trial) -> list[str]:
    """What a reader must know about the descent that won."""
    effective = chosen.setting["effective_rows"]
    notes = [f"AFR's weights are worth {effective:.0f} of {len(repair.rows)} repair rows (1 / Σμ²)."]
    if bool((repair.rows.weights != 1).any()):
        notes.append("The weights of the repair rows were not used: AFR sets its own.")
    right = logits_of(base, repair.inputs).argmax(dim=1) == repair.targets
    if bool(right.all()):
        notes.append(NO_MISTAKES)
    if chosen.setting["step"] == 0:
        notes.append("No step improved the worst group of the choose rows: the base head is kept.")
    return notes


def _heads(settings: AFRSettings, sizes: Sizes) -> int:
    return len(settings.gammas) * len(settings.penalties) * max(1, sizes.classes - 1)


def _seconds(settings: AFRSettings, sizes: Sizes) -> float:
    """Three products a step for the whole grid: two on repair rows, one on choose rows."""
    rows = 2 * sizes.rows.get("repair", 0) + sizes.rows.get("choose", 0)
    return 2.0 * rows * sizes.features * _heads(settings, sizes) * settings.steps / DESCENT_RATE


def _memory(settings: AFRSettings, sizes: Sizes) -> int:
    """The logits of the whole grid on repair and choose rows, several times over."""
    return 4 * 5 * _heads(settings, sizes) * (sizes.rows.get("repair", 0) + sizes.rows.get("choose", 0))


METHODS = (Method(name="afr", words="AFR", settings=AFRSettings, run=afr, seconds=_seconds, memory=_memory),)
