"""Predictions: what one model, trained with one or several seeds, says about the same rows."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from surefoot.errors import InputError
from surefoot.rows.rows import Groups, Names, Rows

__all__ = ["Predictions", "predictions_for"]


ROUNDING = 0.02
"""Probabilities written with two decimals may miss a sum of one by this much."""


@dataclass(frozen=True)
class Predictions:
    """Class probabilities (each row sums to one) for the same rows, one layer per training seed.

    decisions: only the predicted classes are known; the probabilities are their zeros and ones, and say nothing of how
    sure the model is.
    """

    probabilities: Float[Tensor, "seeds rows classes"]
    targets: Int[Tensor, "rows"]
    classes: tuple[str, ...]
    groups: Groups
    clusters: Int[Tensor, "rows ways"]
    ids: Names
    sources: Names
    decisions: bool = False

    def __post_init__(self) -> None:
        seeds, rows, classes = self.probabilities.shape
        lengths = {
            "targets": len(self.targets),
            "groups": len(self.groups.members),
            "clusters": len(self.clusters),
            "ids": len(self.ids),
            "sources": len(self.sources),
        }
        for name, length in lengths.items():
            if length != rows:
                raise InputError(f"There are probabilities for {rows} rows but {length} {name}; give one per row.")
        if seeds == 0 or classes != len(self.classes):
            raise InputError(
                f"The probabilities have shape [seeds {seeds}, rows {rows}, classes {classes}] for the "
                f"{len(self.classes)} classes {self.classes}; give at least one seed and one column per class."
            )
        if not bool(torch.isfinite(self.probabilities).all()):
            bad = (~torch.isfinite(self.probabilities)).any(dim=2).any(dim=0).nonzero().squeeze(1)
            raise InputError(
                f"{len(bad)} rows have probabilities that are NaN or infinite (first: {self.ids[int(bad[0])]}); "
                "mend the model's outputs."
            )
        off = (self.probabilities < 0).any(dim=2) | ((self.probabilities.double().sum(dim=2) - 1).abs() > ROUNDING)
        if bool(off.any()):
            bad = off.any(dim=0).nonzero().squeeze(1)
            raise InputError(
                f"{len(bad)} rows have probabilities that are negative or do not sum to one (first: "
                f"{self.ids[int(bad[0])]}); give probabilities, not logits or scores."
            )
        outside = ((self.targets < 0) | (self.targets >= classes)).nonzero().squeeze(1)
        if len(outside):
            first = int(outside[0])
            raise InputError(
                f"{len(outside)} rows have a target outside the {classes} classes (first: {self.ids[first]} with "
                f"{int(self.targets[first])}); number the classes from 0."
            )

    def correct(self) -> Float[Tensor, "seeds rows"]:
        """One where the most probable class (of equal ones the first) is the target, else zero."""
        return (self.probabilities.argmax(dim=2) == self.targets).to(torch.float64)


def predictions_for(rows: Rows, probabilities: Float[Tensor, "seeds rows classes"]) -> Predictions:
    """Join a model's probabilities to the rows they speak of. Raises `InputError` for soft targets."""
    if rows.targets.ndim != 1:
        raise InputError(
            f"The rows have soft targets of shape {tuple(rows.targets.shape)}; predictions are measured against one "
            "class number per row."
        )
    return Predictions(
        probabilities=probabilities,
        targets=rows.targets,
        classes=rows.classes,
        groups=rows.groups,
        clusters=rows.clusters,
        ids=rows.ids,
        sources=rows.sources,
    )
