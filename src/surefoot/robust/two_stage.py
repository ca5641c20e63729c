"""Just train twice (JTT) on the last layer: fit anew, with the rows that a first model gets wrong counted more.

    E = {i : argmax_k (Ŵ z_i + b̂)_k ≠ y_i},     w_i = λ_up for i in E, else 1
    minimise over (W, b)   Σ_i w_i CE(y_i, W z̃_i + b) / Σ_i w_i + ½ λ ‖W‖²

The identification model is the head being replaced. λ_up and λ are chosen on the choose rows; no group is needed to
fit. The paper trains a whole network twice: a study's base training does that with `upweight`.

Source: Liu et al. (2021), "Just train twice: improving group robustness without training group information",
algorithm 1. A model that is right on every learn row leaves E empty, and nothing is upweighted: the notes say so.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from surefoot.robust.head import LinearHead, Repaired
from surefoot.robust.method import Method
from surefoot.robust.protocol import Material, class_groups
from surefoot.robust.selecting import Selection, check_selection
from surefoot.robust.softmax.convex import fit_softmax, weighted_mean
from surefoot.robust.tuning import PENALTIES, Fit, Learn, Setting, check_grid, check_penalties, strongest_first, tuned
from surefoot.rows.roles import Roles

__all__ = ["METHODS", "TwoStageSettings", "mistakes", "two_stage"]


@dataclass(frozen=True)
class TwoStageSettings:
    """How mistakes are looked for and upweighted. Of equals the strongest λ, then the first λ_up, wins.

    learn: where mistakes are looked for; the paper's training rows ("fit"), or "repair" rows, which the first model
      has not memorised, so that it makes more of them.
    upweights: the grid of λ_up: how much more a mistake counts.
    penalties: the grid of λ, per mean loss.
    selection: over which groups of the choose rows the worst is taken; all but "groups" need no group labels.
    """

    learn: Learn = "fit"
    upweights: tuple[float, ...] = (5.0, 20.0, 50.0, 100.0)
    penalties: tuple[float, ...] = PENALTIES
    selection: Selection = "groups"

    def __post_init__(self) -> None:
        check_penalties(self.penalties)
        check_selection(self.selection)
        check_grid("upweights", self.upweights)


def two_stage(features: Roles, erm: LinearHead, settings: TwoStageSettings, seed: int) -> Repaired:
    """Find the mistakes of `erm` on the learn rows, upweight them, and fit a head from scratch.

    features: the learn role and choose; groups are used on the choose rows alone, where `selection` asks for them.
    Raises `InputError` for judge rows, a missing role, or a head that does not fit the features.

    >>> from surefoot.rows.worlds import gaussian_world
    >>> from surefoot.robust.balanced import erm_head
    >>> roles = gaussian_world(sizes={"fit": 400, "choose": 400}).roles
    >>> two_stage(roles, erm_head(roles["fit"]), TwoStageSettings(), 0).notes
    ('The first model is wrong on 17 of 400 fit rows.',)
    """

    def prepare(pool: Material) -> Fit:
        class_groups(pool, "JTT")
        wrong = mistakes(pool, erm)

        def fit(
            index: Tensor, inputs: Tensor, grid: Sequence[Setting], generator: torch.Generator
        ) -> Sequence[LinearHead]:
            heads: list[LinearHead] = []
            for setting in grid:
                weights = torch.where(wrong[index], setting["upweight"], 1.0).to(torch.float64)
                heads.append(
                    fit_softmax(
                        inputs[index],
                        pool.targets[index],
                        weighted_mean(weights),
                        setting["penalty"],
                        len(pool.rows.classes),
                        start=heads[-1] if heads else None,
                    )
                )
            return heads

        return fit

    def notes(pool: Material, chosen: Setting) -> list[str]:
        count = int(mistakes(pool, erm).sum())
        if not count:
            return [
                f"The first model is right on all {len(pool.rows)} {pool.role} rows, so JTT has no mistakes to "
                "upweight and is a plain retraining; train the first model less, or learn on repair rows."
            ]
        return [f"The first model is wrong on {count} of {len(pool.rows)} {pool.role} rows."]

    grid = [
        {"upweight": upweight, "penalty": penalty}
        for penalty in strongest_first(settings.penalties)
        for upweight in settings.upweights
    ]
    return tuned(
        features, erm, settings.learn, settings.selection, grid, seed, method="JTT", prepare=prepare, notes=notes
    )


def mistakes(rows: Material, head: LinearHead) -> Bool[Tensor, "rows"]:
    """Which rows `head` gets wrong."""
    return head.logits(rows.features).argmax(dim=1) != rows.targets


METHODS = (Method(name="jtt", words="JTT head", settings=TwoStageSettings, run=two_stage),)
