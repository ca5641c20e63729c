"""Noise along chosen directions of the inputs: where training rows vary much, little, or not at all.

Where a linear combination of the inputs is constant over all fit rows (a dead pixel is the simplest), a Bayesian
network with independent priors learns nothing about the weights along it: their posterior is the prior, and inputs that
leave that plane meet random weights. An optimised network has shrunk them. So noise in the directions of least variance
is a test that Bayesian model averages fail and MAP passes, and noise along those of most variance is its control.

Source: Izmailov et al. (2021), "Dangers of Bayesian model averaging under covariate shift", sections 4 to 6. Inputs are
any floating-point tensor `[rows, …]` in any units; nothing is clamped: a clamped direction is another one. What a row
draws depends on its id and the seed alone; sums run in float64, so that other rows do not reach it through rounding.
"""

from dataclasses import dataclass
from math import prod

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from surefoot.errors import InputError
from surefoot.rows.rows import Rows
from surefoot.rows.shift.counters import normal, row_keys

__all__ = [
    "Directions",
    "along_directions",
    "dead_pixel_noise",
    "dead_pixels",
    "highest",
    "lowest",
    "pixel_noise",
    "principal_directions",
]


@dataclass(frozen=True)
class Directions:
    """Orthonormal directions of flattened inputs, one a column, and the variance along each, largest first."""

    vectors: Float[Tensor, "features features"]
    variances: Float[Tensor, "features"]


def principal_directions(inputs: Float[Tensor, "rows ..."]) -> Directions:
    """The eigenvectors of the covariance of the flattened inputs, in float64.

        Σ = Xᵀ X / (rows − 1) = V diag(variances) Vᵀ,    X the inputs less their mean

    Variances that rounding made negative are 0. Raises `InputError` for fewer than two rows.

    >>> line = torch.tensor([[0.0, 0.0], [1.0, 2.0], [2.0, 4.0]])
    >>> [round(value, 6) for value in principal_directions(line).variances.tolist()]
    [5.0, 0.0]
    """
    flat = inputs.reshape(len(inputs), prod(inputs.shape[1:])).double()
    if len(flat) < 2:
        raise InputError(f"Principal directions need at least two rows and {len(flat)} are here; give the fit rows.")
    centred = flat - flat.mean(dim=0)
    variances, vectors = torch.linalg.eigh(centred.T @ centred / (len(flat) - 1))
    return Directions(vectors.flip(1), variances.flip(0).clamp(min=0))


def highest(directions: Directions, share: float) -> Float[Tensor, "features chosen"]:
    """The share of the directions along which rows vary most (at least one)."""
    return directions.vectors[:, : _count(directions, share)]


def lowest(directions: Directions, share: float) -> Float[Tensor, "features chosen"]:
    """The share of the directions along which rows vary least (at least one)."""
    return directions.vectors[:, len(directions.variances) - _count(directions, share) :]


def along_directions(rows: Rows, directions: Float[Tensor, "features chosen"], scale: float, seed: int) -> Rows:
    """x + scale · Σ_j z_j v_j with independent standard normal z_j, over the orthonormal columns v_j given.

    `directions` are `highest` or `lowest` of `principal_directions(fit_inputs)`, or some of its columns. Raises
    `InputError` when they are not of the rows' features or not orthonormal.

    >>> from surefoot.rows.rows import make_rows
    >>> rows = make_rows(torch.zeros(2, 3), torch.tensor([0, 1]))
    >>> along_directions(rows, torch.eye(3)[:, :1], 1.0, seed=0).inputs[:, 1:].tolist()
    [[0.0, 0.0], [0.0, 0.0]]
    """
    flat = _flat(rows, "along_directions")
    if len(directions) != flat.shape[1]:
        raise InputError(
            f"The directions have {len(directions)} features and the rows {flat.shape[1]}; take principal_directions "
            "of inputs of the same shape."
        )
    basis = directions.double()
    if not torch.allclose(basis.T @ basis, torch.eye(basis.shape[1], dtype=torch.float64), atol=1e-5):
        raise InputError("The directions are not orthonormal; give columns of Directions.vectors, or normalise them.")
    drawn = normal(row_keys(rows.ids, seed, "along_directions"), 0, basis.shape[1]).double()
    return _with(rows, flat.double() + scale * (drawn @ basis.T))


def dead_pixels(inputs: Float[Tensor, "rows ..."]) -> Bool[Tensor, "..."]:
    """Which places of an input have one value in all fit rows.

    >>> dead_pixels(torch.tensor([[0.0, 1.0], [0.0, 2.0]])).tolist()
    [True, False]
    """
    if not len(inputs):
        raise InputError("There are no rows, so every pixel would be dead; give the fit rows.")
    return (inputs == inputs[:1]).all(dim=0)


def dead_pixel_noise(rows: Rows, mask: Bool[Tensor, "..."], scale: float, seed: int) -> Rows:
    """x + scale · z in the places of `mask` (see `dead_pixels`), z standard normal; the others stay as they are.

    Raises `InputError` when the mask has another shape than an input, or no place in it.
    """
    shape = tuple(rows.inputs[:1].shape[1:])
    if tuple(mask.shape) != shape:
        raise InputError(
            f"The mask has shape {tuple(mask.shape)} and an input {shape}; take dead_pixels of such inputs."
        )
    if not bool(mask.any()):
        raise InputError("The mask has no dead pixel, so that nothing would change; use lowest directions instead.")
    flat = _flat(rows, "dead_pixel_noise")
    drawn = normal(row_keys(rows.ids, seed, "dead_pixel_noise"), 0, flat.shape[1])
    return _with(rows, torch.where(mask.reshape(-1), flat + scale * drawn, flat))


def pixel_noise(rows: Rows, scale: float, seed: int) -> Rows:
    """x + scale · z in every place, z standard normal, in the units of the inputs.

    `gaussian_noise` of `corrupt` is the same for pictures in [0, 1], clamped.
    """
    flat = _flat(rows, "pixel_noise")
    return _with(rows, flat + scale * normal(row_keys(rows.ids, seed, "pixel_noise"), 0, flat.shape[1]))


def _count(directions: Directions, share: float) -> int:
    if not 0 < share <= 1:
        raise InputError(f"The share of directions is {share}; give a number above 0 and at most 1.")
    return max(1, round(share * len(directions.variances)))


def _flat(rows: Rows, what: str) -> Float[Tensor, "rows features"]:
    inputs = rows.inputs[:]
    if not inputs.is_floating_point():
        kind = str(inputs.dtype).removeprefix("torch.")
        raise InputError(f"{what} needs inputs of floating-point numbers and these are {kind}; convert them first.")
    return inputs.reshape(len(inputs), prod(inputs.shape[1:]))


def _with(rows: Rows, flat: Tensor) -> Rows:
    inputs = rows.inputs[:]
    return rows.with_inputs(flat.to(inputs.dtype).reshape(inputs.shape))
