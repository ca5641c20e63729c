"""Augmentation inside a posterior: what K changed views of a row are worth.

    mean    (1/K) Σ_j log p(y | t_j(x))     all views together count as one row: the geometric mean of likelihoods
    sum           Σ_j log p(y | t_j(x))     each view counts as a row of its own

A mean over views is a *softer* likelihood: for normal noise it is that of a noise variance Kσ² on every view. A cold
posterior then undoes it, with T = 1/K turning the mean into the sum. Neither is a likelihood of the labels that were
observed, so neither has an evidence.

Source: Kapoor et al. (2022), "On uncertainty, tempering, and data augmentation in Bayesian classification".
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from surefoot.errors import InputError
from surefoot.rows.rows import Rows, rooted

__all__ = ["Augmentation", "Change", "expand"]

Change: TypeAlias = Callable[[Tensor, torch.Generator], Tensor]
"""(inputs `[rows, …]`, generator) → one changed view of each, random through the generator alone."""


@dataclass(frozen=True)
class Augmentation:
    """K views of every row.

    change: draws one view. views: K. mode: see the module's text. A sampler on minibatches draws one view of each row
    at each step and multiplies by `factor`, which is unbiased for the expectation over views; on all rows, a density
    needs views that stay: `expand` draws them.

    Raises `InputError` for less than one view.
    """

    change: Change
    views: int
    mode: Literal["mean", "sum"]

    def __post_init__(self) -> None:
        if self.views < 1:
            raise InputError(f"An augmentation of {self.views} views sees nothing; give at least one.")
        if self.mode not in ("mean", "sum"):
            raise InputError(f'There is no way "{self.mode}" to count views; use "mean" or "sum".')

    @property
    def factor(self) -> float:
        """How many rows one row is worth: 1 for the mean, K for the sum. It multiplies what is evaluated on rows: the
        likelihood, and a functional prior that looks at the likelihood's rows."""
        return 1.0 if self.mode == "mean" else float(self.views)


def expand(rows: Rows, augmentation: Augmentation, seed: int) -> Rows:
    """K fixed views of every row, N·K rows: all first views, then all second ones.

    Weights are w/K for the mode "mean" and w for "sum", so that a posterior *without* augmentation of these rows is the
    one with it, views held fixed. Views descend from their rows: sources and clusters are kept, and the id says which
    view it is. The changed inputs are held in memory, K times as much as the rows' own.

    Raises `InputError` for a change that returns another number of rows.

    >>> from surefoot.rows.rows import make_rows
    >>> rows = make_rows(torch.zeros(2, 3), torch.tensor([0, 1]))
    >>> noisy = Augmentation(lambda x, generator: x + torch.randn(x.shape, generator=generator), 4, "mean")
    >>> views = expand(rows, noisy, seed=0)
    >>> len(views), views.weights[0].item(), views.ids[[0, 2]].tolist(), views.origins() == rows.origins()
    (8, 0.25, ['row:0#view0', 'row:0#view1'], True)
    """
    if seed < 0:
        raise InputError(f"The seed is {seed}; give zero or a positive whole number.")
    count, views = len(rows), augmentation.views
    generator = torch.Generator().manual_seed(seed)
    inputs = rows.inputs[:]
    changed: list[Tensor] = []
    for _ in range(views):
        view = augmentation.change(inputs, generator)
        if len(view) != count:
            raise InputError(
                f"The augmentation turned {count} rows into {len(view)}; it must return one view of each row."
            )
        changed.append(view)
    unseen = rows.with_inputs(torch.empty(count, 0))  # so that choosing rows copies no inputs
    spread = unseen.take(torch.arange(count).repeat(views)).with_inputs(torch.cat(changed))
    names = np.array([f"{name}#view{view}" for view in range(views) for name in rows.ids.tolist()], dtype=np.str_)
    return replace(
        spread,
        weights=spread.weights * (augmentation.factor / views),
        ids=names if len(names) else spread.ids,
        sources=np.tile(rooted(rows.ids, rows.sources), (views, 1)),
    )
