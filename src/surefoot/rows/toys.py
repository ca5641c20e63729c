"""Rows so few that every one can be looked at, as published."""

import torch

from surefoot.rows.rows import Rows, make_rows

__all__ = ["dirclip_toy"]

FIRST = (
    (0.15, -0.39), (0.25, -0.23), (0.12, -0.12), (0.38, -0.10), (0.45, -0.38), (0.62, -0.25), (0.83, -0.12),
    (0.80, -0.37), (0.73, -0.69),
)  # fmt: skip
SECOND = (
    (0.18, -0.68), (0.35, -0.58), (0.45, -0.82), (0.51, -0.70), (0.61, -0.60), (0.69, -0.83), (0.87, -0.76),
    (0.82, -0.59), (0.40, -0.27),
)  # fmt: skip


def dirclip_toy() -> Rows:
    """Eighteen points in the plane, nine of each of two classes; the last of each lies deep among the other class.

    One reads such a point as a wrong label (and wants a smooth boundary) or as the truth (and wants one that bends
    around it), and a prior of the predictions says which.

    Source: Marek et al. (2024), Can a confident prior replace a cold posterior?, figure 1; the numbers are those of
    `notebooks/2d_classification.ipynb` in the paper's repository (github.com/martin-marek/dirclip, MIT licence).

    >>> rows = dirclip_toy()
    >>> tuple(rows.inputs[:].shape), rows.targets.bincount().tolist()
    ((18, 2), [9, 9])
    """
    targets = torch.tensor([0] * len(FIRST) + [1] * len(SECOND))
    return make_rows(torch.tensor(FIRST + SECOND), targets, classes=("A", "B"))
