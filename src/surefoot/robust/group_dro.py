"""Group DRO of the last layer: the head whose worst group loses least.

    minimise over (W, b)   max_g (ℓ_g + C / √n_g) + ½ λ ‖W‖²,     ℓ_g = mean CE of the group's rows

The paper weighs groups by q, steps q_g ← q_g exp(η ℓ_g) / Z, and descends Σ_g q_g ℓ_g. On a fixed backbone that game
is convex in the head and linear in q, so it can be solved: we take the same step for q, but at the head *after* it,

    (W, b) ← argmin  (1/η) log Σ_g q_g exp(η ℓ_g) + ½ λ ‖W‖²,      q_g ← q_g exp(η ℓ_g(W, b)) / Z,

the exponential method of multipliers, which converges for every η. After such a step (W, b) minimises
Σ_g q_g ℓ_g + ½ λ ‖W‖² for the new q, up to a gradient r left over, so the gap

    max_g ℓ_g − Σ_g q_g ℓ_g + ‖r‖² / 2λ

bounds how far the head is from the optimum (r is W's; what is left of the free bias's, whose entries are at most 10⁻⁴,
is not charged): it is solved when that is at most `tolerance`, and an error if it never is.

Source: Sagawa et al. (2020), "Distributionally robust neural networks for group shifts", algorithm 1 and equation 5
(the adjustment C / √n_g); Tseng and Bertsekas (1993), "On the convergence of the exponential multiplier method".
For whole networks, `surefoot.density.group_dro` is the pool and a study's `robust: group_dro` the training.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from surefoot.density.pools import group_dro_step
from surefoot.errors import InputError
from surefoot.robust.balance import refuse_empty_half
from surefoot.robust.head import LinearHead, Repaired
from surefoot.robust.method import SOFTMAX_STEPS, Method, Sizes, softmax_seconds
from surefoot.robust.protocol import Material, named_groups
from surefoot.robust.selecting import Selection, check_selection
from surefoot.robust.softmax.convex import Pooled, fit_softmax, row_losses
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

__all__ = ["METHODS", "GroupDROSettings", "Solved", "group_dro", "solve_group_dro"]

FIRST_STEP = 4.0  # η of the first round; each round doubles it up to the last
LAST_STEP = 64.0
MOST_ROUNDS = 200


@dataclass(frozen=True)
class GroupDROSettings:
    """The grid and the accuracy of the solution. Of equals the first C, then the strongest λ, wins.

    learn: the role the head learns on.
    penalties: the grid of λ, per mean loss.
    adjustments: the grid of C in C / √n_g, in nats: how much more is asked for small groups.
    tolerance: the largest duality gap, that is distance from the optimum, in nats.
    selection: over which groups of the choose rows the worst is taken; all but "groups" need no group labels.
    """

    learn: Learn = "repair"
    penalties: tuple[float, ...] = PENALTIES
    adjustments: tuple[float, ...] = (0.0,)
    tolerance: float = 1e-4
    selection: Selection = "groups"

    def __post_init__(self) -> None:
        check_penalties(self.penalties)
        check_selection(self.selection)
        if not self.adjustments or not all(0 <= value < float("inf") for value in self.adjustments):
            raise InputError(f"adjustments are {self.adjustments}; give at least one, none negative.")
        if not self.tolerance > 0:
            raise InputError(f"tolerance is {self.tolerance}; give a positive gap in nats.")


class Solved(NamedTuple):
    """A head with the groups' weights and mean losses at it, and the duality gap in nats."""

    head: LinearHead
    q: Float[Tensor, "groups"]
    losses: Float[Tensor, "groups"]
    gap: float


def group_dro(features: Roles, erm: LinearHead, settings: GroupDROSettings, seed: int) -> Repaired:
    """Solve group DRO for every λ and C and keep the best on the choose rows.

    features: the learn role with groups, and choose; rows in no group do not count, rows in two count in both. Nothing
    is drawn at random unless learn="choose". Raises `InputError` as `reweighted` does, and when a gap stays open.

    >>> from surefoot.rows.worlds import gaussian_world
    >>> from surefoot.robust.balanced import erm_head
    >>> roles = gaussian_world(sizes={"fit": 400, "repair": 400, "choose": 400}).roles
    >>> repaired = group_dro(roles, erm_head(roles["fit"]), GroupDROSettings(penalties=(0.01,)), 0)
    >>> repaired.trials[0].worst_group_accuracy > 0.7
    True
    """

    def prepare(pool: Material) -> Fit:
        groups = named_groups(pool, "group DRO")

        def fit(
            index: Tensor, inputs: Tensor, grid: Sequence[Setting], generator: torch.Generator
        ) -> Sequence[LinearHead]:
            heads: list[LinearHead] = []
            some, targets = groups.take(index), pool.targets[index]
            refuse_empty_half(some, "group DRO")
            for setting in grid:
                solved = solve_group_dro(
                    inputs[index],
                    targets,
                    some.members,
                    setting["penalty"],
                    len(pool.rows.classes),
                    adjustment=setting.get("adjustment", 0.0),
                    tolerance=settings.tolerance,
                    start=heads[-1] if heads else None,
                )
                heads.append(solved.head)
            return heads

        return fit

    def notes(pool: Material, chosen: Setting) -> Sequence[str]:
        return unknown_rows(pool, pool.rows.groups)

    named = settings.adjustments != (0.0,)
    grid = [
        {"penalty": penalty, **({"adjustment": adjustment} if named else {})}
        for adjustment in settings.adjustments
        for penalty in strongest_first(settings.penalties)
    ]
    return tuned(
        features, erm, settings.learn, settings.selection, grid, seed, method="group DRO", prepare=prepare, notes=notes
    )


def solve_group_dro(
    inputs: Float[Tensor, "rows features"],
    targets: Int[Tensor, "rows"],
    members: Bool[Tensor, "rows groups"],
    penalty: float,
    classes: int,
    *,
    adjustment: float = 0.0,
    tolerance: float = 1e-4,
    start: LinearHead | None = None,
) -> Solved:
    """The head of one λ and C, with its certificate; `inputs` are float64, every group has rows."""
    sizes = members.sum(dim=0).to(torch.float64)
    within = members.to(torch.float64) / sizes
    extra = adjustment / sizes.sqrt()
    q = torch.full_like(sizes, 1 / len(sizes))
    everyone = torch.ones(len(sizes), dtype=torch.bool)
    head, eta, gap = start, FIRST_STEP, torch.inf
    inner = min(1e-4, 0.1 * (2 * penalty * tolerance) ** 0.5 / classes)
    for _ in range(MOST_ROUNDS):
        soft = _soft_worst(within, extra, q, eta)
        head = fit_softmax(inputs, targets, soft, penalty, classes, start=head, tolerance=inner)
        losses = row_losses(head, inputs, targets) @ within
        adjusted = losses + extra
        q = group_dro_step(q, adjusted, everyone, eta)
        gap = float(adjusted.max() - q @ adjusted) + _left_over(head, inputs, targets, within @ q, penalty)
        if gap <= tolerance:
            return Solved(head, q, losses, gap)
        eta = min(2 * eta, LAST_STEP)
    raise InputError(
        f"Group DRO with penalty {penalty:g} is {gap:.1e} nats from its optimum after {MOST_ROUNDS} rounds; use a "
        f"larger penalty or a larger tolerance than {tolerance:g}."
    )


def _left_over(head: LinearHead, inputs: Tensor, targets: Tensor, weights: Tensor, penalty: float) -> float:
    """‖r‖² / 2λ of the gradient that an inexact minimisation leaves (the free bias, which λ does not bound, aside)."""
    residual = head.probabilities(inputs)
    residual[torch.arange(len(targets)), targets] -= 1
    slope = (residual * weights[:, None]).T @ inputs + penalty * head.weight
    return float(slope.square().sum()) / (2 * penalty)


def _soft_worst(within: Tensor, extra: Tensor, q: Tensor, eta: float) -> Callable[[Tensor], Pooled]:
    """(1/η) log Σ_g q_g exp(η (ℓ_g + extra_g)); its slope gives group g the weight q has after the step."""
    log_q = q.log()

    def pool(losses: Tensor) -> Pooled:
        scores = log_q + eta * (losses @ within + extra)
        return Pooled(scores.logsumexp(dim=0) / eta, within @ scores.softmax(dim=0))

    return pool


def _seconds(settings: GroupDROSettings, sizes: Sizes) -> float:
    return softmax_seconds(settings, sizes, steps=6 * SOFTMAX_STEPS)


METHODS = (
    Method(
        name="group_dro",
        words="group DRO head",
        settings=GroupDROSettings,
        run=group_dro,
        needs_groups=True,
        seconds=_seconds,
    ),
)
