"""Selective last-layer finetuning (SELF): move the head on the rows where two versions of the model disagree.

    d_i = KL( p(z_i) ‖ p'(z_i) ),     S = of each class, the ⌈n / K⌉ learn rows of largest d_i
    minimise over (Δ, δ)   Σ_{i ∈ S} w_i CE(y_i, (Ŵ + Δ) z_i + b̂ + δ) / Σ w_i + ½ λ (‖Δ‖² + ‖δ‖²)

p is the model itself and p' another version of it: the one it was earlier in training (a `Rival`), or itself under
dropout of its features, averaged over `masks` of them. w_i = 1 / n_c makes the classes weigh the same; Δ acts on
standardised features. n and λ are chosen on the choose rows.

Source: LaBonte, Muthukumar and Kumar (2023), "Towards last-layer retraining for group robustness with fewer
annotations", section 5. Departures: they take the n rows of largest d_i, sample classes equally, and finetune by SGD;
we take equally many of each class and solve for the change, with λ where they have steps and a learning rate.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.errors import InputError
from surefoot.robust.head import LinearHead, Repaired
from surefoot.robust.method import Method, Rival, Sizes, softmax_seconds
from surefoot.robust.protocol import Material, check_head, class_groups, material_of
from surefoot.robust.scaler import fit_scaler
from surefoot.robust.selecting import Selection, check_selection
from surefoot.robust.softmax.convex import fit_softmax, weighted_mean
from surefoot.robust.tuning import PENALTIES, Fit, Learn, Setting, check_grid, check_penalties, strongest_first, tuned
from surefoot.rows.roles import Roles

__all__ = ["METHODS", "DisagreementSettings", "disagreement", "disagreements"]


@dataclass(frozen=True)
class DisagreementSettings:
    """How the rows of disagreement are found and learned from. Of equals the strongest λ, then the first n, wins.

    learn: the role the head learns on.
    counts: the grid of n: rows learned from.
    penalties: the grid of λ, per mean loss.
    dropout: the share of the features that is dropped, where there is no rival.
    masks: how many times, averaged.
    selection: over which groups of the choose rows the worst is taken; all but "groups" need no group labels.
    """

    learn: Learn = "repair"
    counts: tuple[int, ...] = (20, 100, 500)
    penalties: tuple[float, ...] = PENALTIES
    dropout: float = 0.5
    masks: int = 10
    selection: Selection = "groups"

    def __post_init__(self) -> None:
        check_penalties(self.penalties)
        check_selection(self.selection)
        check_grid("counts", self.counts)
        if not 0 < self.dropout < 1 or self.masks < 1:
            raise InputError(
                f"dropout is {self.dropout} and masks {self.masks}; give a share between 0 and 1, and at least 1 mask."
            )


def disagreement(
    features: Roles, erm: LinearHead, settings: DisagreementSettings, seed: int, rival: Rival | None = None
) -> Repaired:
    """Finetune `erm` on the class-balanced learn rows where it and its other version disagree most.

    features: the learn role (held out from training, so that disagreement tells something) and choose. Raises
    `InputError` for judge rows, a missing role, a class without rows, or a rival of other rows.

    >>> from surefoot.rows.worlds import gaussian_world
    >>> from surefoot.robust.balanced import erm_head
    >>> roles = gaussian_world(sizes={"fit": 400, "repair": 400, "choose": 400}).roles
    >>> disagreement(roles, erm_head(roles["fit"]), DisagreementSettings(counts=(20,)), 0).chosen["count"]
    20.0
    """

    def prepare(pool: Material) -> Fit:
        classes = class_groups(pool, "SELF")
        generator = torch.Generator().manual_seed(seed)
        scores = disagreements(pool, erm, settings, generator) if rival is None else _against(pool, erm, rival)
        # Logits of the base head on standardised features: the change is what is fitted.
        base = erm.logits(pool.features).to(torch.float64)

        def fit(
            index: Tensor, inputs: Tensor, grid: Sequence[Setting], generator: torch.Generator
        ) -> Sequence[LinearHead]:
            heads: list[LinearHead] = []
            for setting in grid:
                each = ceil(setting["count"] / len(pool.rows.classes))
                used, weights = _most(scores, classes.members, index, each)
                change = fit_softmax(
                    inputs[used],
                    pool.targets[used],
                    weighted_mean(weights),
                    setting["penalty"],
                    len(pool.rows.classes),
                    offsets=base[used],
                    penalise_bias=True,
                )
                heads.append(_added(standard, change))
            return heads

        scaler = fit_scaler(pool.features)
        weight = erm.weight.to(torch.float64)
        # What a constant feature adds to the logits is in the bias; the head has no weight for it.
        standard = LinearHead(
            (weight * scaler.scale).masked_fill(scaler.constant, 0.0), erm.bias.to(torch.float64) + weight @ scaler.mean
        )
        return fit

    grid = [
        {"count": float(count), "penalty": penalty}
        for penalty in strongest_first(settings.penalties)
        for count in settings.counts
    ]
    other = "its own dropout" if rival is None else "an earlier version"

    def notes(pool: Material, chosen: Setting) -> list[str]:
        return [f"SELF chose rows by disagreement with {other}."]

    return tuned(
        features, erm, settings.learn, settings.selection, grid, seed, method="SELF", prepare=prepare, notes=notes
    )


def disagreements(
    rows: Material, head: LinearHead, settings: DisagreementSettings, generator: torch.Generator
) -> Float[Tensor, "rows"]:
    """KL(p ‖ p') in nats, p' under dropout of the features (kept ones scaled up), averaged over masks.

    Masks are dealt in id order: the same rows in another order have the same disagreements.
    """
    order = torch.from_numpy(np.argsort(rows.rows.ids, kind="stable"))
    features = rows.features[order].to(torch.float64)
    own = LinearHead(head.weight.to(torch.float64), head.bias.to(torch.float64))
    logs = own.logits(features).log_softmax(dim=1)
    total = torch.zeros(len(features), dtype=torch.float64)
    kept = 1 - settings.dropout
    for _ in range(settings.masks):
        mask = torch.rand(features.shape, generator=generator, dtype=torch.float64) < kept
        total += _divergence(logs, own.logits(features * mask / kept).log_softmax(dim=1))
    found = torch.empty_like(total)
    found[order] = total / settings.masks
    return found


def _against(pool: Material, head: LinearHead, rival: Rival) -> Tensor:
    other = material_of(rival.rows, pool.role, "SELF's rival")
    check_head(rival.head, other, "SELF's rival")
    if len(other.rows) != len(pool.rows) or bool((other.rows.ids != pool.rows.ids).any()):
        raise InputError(
            f"SELF's rival speaks of other {pool.role} rows than the model does; give its features of the same rows "
            "in the same order."
        )
    logs = head.logits(pool.features).to(torch.float64).log_softmax(dim=1)
    return _divergence(logs, rival.head.logits(other.features).to(torch.float64).log_softmax(dim=1))


def _divergence(logs: Tensor, other: Tensor) -> Tensor:
    return (logs.exp() * (logs - other)).sum(dim=1)


def _most(scores: Tensor, members: Tensor, index: Tensor, each: int) -> tuple[Tensor, Tensor]:
    """The rows of largest score of every class, and weights that make the classes equal."""
    parts: list[Tensor] = []
    weights: list[Tensor] = []
    for column in members.T:
        of_class = index[column[index]]
        if not len(of_class):
            raise InputError("A class is missing from the rows that SELF learns on; give rows of every class.")
        best = of_class[scores[of_class].argsort(descending=True, stable=True)][:each]
        parts.append(best)
        weights.append(torch.full((len(best),), 1 / len(best), dtype=torch.float64))
    return torch.cat(parts), torch.cat(weights)


def _added(head: LinearHead, change: LinearHead) -> LinearHead:
    return LinearHead(head.weight + change.weight, head.bias + change.bias)


def _seconds(settings: DisagreementSettings, sizes: Sizes) -> float:
    return softmax_seconds(settings, sizes, rows=max(settings.counts))


METHODS = (
    Method(
        name="self",
        words="SELF",
        settings=DisagreementSettings,
        run=disagreement,
        run_against=disagreement,
        seconds=_seconds,
    ),
)
