"""Predictions: what one model, trained with one or several seeds, says about the same rows."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from surefoot.errors import InputError
from surefoot.rows.rows import Groups, Names, Rows

__all__ = ["Predictions", "predictions_for"]


@dataclass(frozen=True)
class Predictions:
    """Class probabilities (each row sums to one) for the same rows, one layer per training seed."""

    probabilities: Float[Tensor, "seeds rows classes"]
    targets: Int[Tensor, "rows"]
    classes: tuple[str, ...]
    groups: Groups
    clusters: Int[Tensor, "rows ways"]
    ids: Names
    sources: Names

    def __post_init__(self) -> None:
        if not bool(torch.isfinite(self.probabilities).all()):
            bad = (~torch.isfinite(self.probabilities)).any(dim=2).any(dim=0).nonzero().squeeze(1)
            raise InputError(
                f"{len(bad)} rows have probabilities that are NaN or infinite (first: {self.ids[int(bad[0])]}); "
                "mend the model's outputs."
            )

    def correct(self) -> Float[Tensor, "seeds rows"]:
        """One where the most probable class is the target, else zero."""
        return (self.probabilities.argmax(dim=2) == self.targets).to(torch.float64)


def predictions_for(rows: Rows, probabilities: Float[Tensor, "seeds rows classes"]) -> Predictions:
    """Join a model's probabilities to the rows they speak of; targets must be hard labels."""
    return Predictions(
        probabilities=probabilities,
        targets=rows.targets,
        classes=rows.classes,
        groups=rows.groups,
        clusters=rows.clusters,
        ids=rows.ids,
        sources=rows.sources,
    )
