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

All settings descend together: they share the features, so one product serves the whole grid. Starting from zero the
rows of the change Δ = W − Ŵ always sum to zero over classes (softmax gradients do, and the penalty keeps it), so
K − 1 rows are carried and the last is minus their sum; for two classes one vector per setting.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from surefoot.errors import InputError
from surefoot.robust.head import LinearHead, Repaired, Trial
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
from surefoot.rows.rows import Groups

__all__ = ["AFRSettings", "Path", "afr", "afr_weights", "descend"]


@dataclass(frozen=True)
class AFRSettings:
    """The grid of γ (`gammas`) and λ (`penalties`), γ outermost, and the descent.

    An infinite penalty keeps the base head. clip: bound on the gradient's norm over weights and bias together.
    class_balance: β_c = 1 / n_c over the repair rows; otherwise β = 1.
    selection: over which groups of the choose rows the worst is taken; all but "groups" work without group labels.
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


@dataclass(frozen=True)
class Path:
    """Each setting's best step on the choose rows: the first of its highest worst-group accuracies.

    change: Δ at that step, [settings, classes, features + 1] with the bias last. last: Δ after the final step.
    """

    step: Int[Tensor, "settings"]
    worst: Float[Tensor, "settings"]
    mean: Float[Tensor, "settings"]
    change: Float[Tensor, "settings classes columns"]
    last: Float[Tensor, "settings classes columns"]


def afr(features: Roles, erm: LinearHead, settings: AFRSettings, seed: int) -> Repaired:
    """Descend with every setting at once and keep the best step of the best setting on the choose rows.

    features: repair rows (held out from the base model's training; groups not needed) and choose rows, with groups
    where settings are selected by them. The first of equally good settings and steps wins. AFR draws nothing at
    random, so `seed` changes nothing; it is taken because every repair takes one. `chosen` and the settings of the
    trials hold gamma, penalty, step, and effective_rows: how many repair rows the weights are worth, 1 / Σμ².

    Raises `InputError` for judge rows, a missing role, choose rows without groups where `selection` needs them, an
    empty group, or a head that does not fit the features.
    """
    repair, choose = material(features, "repair", "AFR"), material(features, "choose", "AFR")
    check_same_features(repair, choose, "AFR")
    check_head(erm, repair, "AFR")
    base = LinearHead(erm.weight.to(repair.features.dtype), erm.bias.to(repair.features.dtype))
    chosen_by = selecting(choose, base, settings.selection, "AFR")
    probabilities = base.probabilities(repair.features).gather(1, repair.targets[:, None])[:, 0]
    classes = len(repair.rows.classes)
    weights = afr_weights(probabilities, repair.targets, settings.gammas, classes, settings.class_balance)
    path = descend(repair, choose, chosen_by.groups, base, weights, settings)
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


def descend(
    repair: Material,
    choose: Material,
    groups: Groups,
    base: LinearHead,
    weights: Float[Tensor, "rows gammas"],
    settings: AFRSettings,
) -> Path:
    """Full-batch gradient descent of all settings (γ outermost) in the features' precision, scored at every step."""
    precision = repair.features.dtype
    penalties = torch.tensor(settings.penalties, dtype=precision).repeat(len(settings.gammas))
    frozen = torch.isinf(penalties)
    rates = torch.full_like(penalties, settings.rate).masked_fill(frozen, 0.0)
    pull = 2 * penalties.masked_fill(frozen, 0.0)
    row_weights = weights.to(precision).repeat_interleave(len(settings.penalties), dim=1)
    count = len(penalties)
    design, judged = _with_ones(repair.features), _with_ones(choose.features)
    free = base.weight.shape[0] - 1
    repair_logits, choose_logits = base.logits(repair.features), base.logits(choose.features)
    members = torch.cat([groups.members, torch.ones(len(judged), 1, dtype=torch.bool)], dim=1).to(precision)
    sizes = members.sum(dim=0).to(torch.float64)[:, None]

    change = torch.zeros(design.shape[1], free, count, dtype=precision)
    best = change.clone()
    best_worst = torch.full((count,), -1.0, dtype=torch.float64)
    best_mean, best_step = torch.zeros_like(best_worst), torch.zeros(count, dtype=torch.int64)
    turn = torch.empty(len(design), free * count, dtype=precision)
    judged_turn = torch.empty(len(judged), free * count, dtype=precision)
    for step in range(settings.steps + 1):
        torch.mm(judged, change.flatten(1), out=judged_turn)
        correct = _correct(choose_logits, judged_turn.view(-1, free, count), choose.targets)
        accuracy = (members.T @ correct.to(precision)).to(torch.float64) / sizes
        worst = accuracy[:-1].amin(dim=0)
        better = worst > best_worst
        if bool(better.any()):
            best = torch.where(better, change, best)
            best_worst = torch.where(better, worst, best_worst)
            best_mean = torch.where(better, accuracy[-1], best_mean)
            best_step = torch.where(better, step, best_step)
        if step == settings.steps:
            break
        torch.mm(design, change.flatten(1), out=turn)
        residual = _residual(repair_logits, turn.view(-1, free, count), repair.targets, row_weights)
        slope = (design.T @ residual.flatten(1)).view_as(change) + pull * change
        # The last class's gradient is minus the sum of the others': it counts in the norm.
        norm = (slope.square().sum(dim=(0, 1)) + slope.sum(dim=1).square().sum(dim=0)).sqrt()
        change = change - rates * (settings.clip / (norm + 1e-6)).clamp(max=1.0) * slope
    return Path(best_step, best_worst, best_mean, _every_class(best), _every_class(change))


def _with_ones(features: Tensor) -> Tensor:
    return torch.cat([features, features.new_ones(len(features), 1)], dim=1)


def _every_class(change: Float[Tensor, "columns free settings"]) -> Float[Tensor, "settings classes columns"]:
    return torch.cat([change, -change.sum(dim=1, keepdim=True)], dim=1).permute(2, 1, 0)


def _residual(
    logits: Float[Tensor, "rows classes"],
    turn: Float[Tensor, "rows free settings"],
    targets: Int[Tensor, "rows"],
    weights: Float[Tensor, "rows settings"],
) -> Float[Tensor, "rows free settings"]:
    """μ (p − onehot) of every class but the last: the loss's gradient in the logits."""
    if logits.shape[1] == 2:
        gap = torch.sigmoid((logits[:, :1] - logits[:, 1:]) + 2 * turn[:, 0])
        return ((gap - (targets == 0).to(gap.dtype)[:, None]) * weights)[:, None]
    moved = torch.cat([logits[:, :-1, None] + turn, logits[:, -1:, None] - turn.sum(dim=1, keepdim=True)], dim=1)
    wanted = (targets[:, None] == torch.arange(turn.shape[1])).to(turn.dtype)
    return (moved.softmax(dim=1)[:, :-1] - wanted[:, :, None]) * weights[:, None]


def _correct(
    logits: Float[Tensor, "rows classes"], turn: Float[Tensor, "rows free settings"], targets: Int[Tensor, "rows"]
) -> Tensor:
    """Where the largest logit (the first of equals) is the target's, [rows, settings]."""
    if logits.shape[1] == 2:
        half_gap = (logits[:, 1:] - logits[:, :1]) / 2
        return (turn[:, 0] < half_gap) == (targets == 1)[:, None]
    largest = logits[:, :1] + turn[:, 0]
    predicted = torch.zeros_like(largest, dtype=torch.int64)
    for label in range(1, logits.shape[1]):
        moved = turn[:, label] if label < turn.shape[1] else -turn.sum(dim=1)
        value = logits[:, label : label + 1] + moved
        predicted = torch.where(value > largest, label, predicted)
        largest = torch.maximum(largest, value)
    return predicted == targets[:, None]


def _notes(repair: Material, base: LinearHead, chosen: Trial) -> list[str]:
    """What a reader must know about the descent that won."""
    effective = chosen.setting["effective_rows"]
    notes = [f"AFR's weights are worth {effective:.0f} of {len(repair.rows)} repair rows (1 / Σμ²)."]
    if bool((repair.rows.weights != 1).any()):
        notes.append("The weights of the repair rows were not used: AFR sets its own.")
    right = base.logits(repair.features).argmax(dim=1) == repair.targets
    if bool(right.all()):
        notes.append(
            "The base head is right on every repair row, so AFR has no mistakes to upweight; hold repair rows out of "
            "its training."
        )
    if chosen.setting["step"] == 0:
        notes.append("No step improved the worst group of the choose rows: the base head is kept.")
    return notes
