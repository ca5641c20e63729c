"""The eigenvalues of a Kronecker product as few weighted ones, for sums of logarithms at any shift.

    Σ_ij log(λ_i μ_j + δ) = P log δ + Σ_ij f(a_i + b_j − log δ)        f(t) = log(1 + eᵗ),  a = log λ,  b = log μ

f has no singularity nearer than ±πi from any real number, so inside an interval of half width r the polynomial through
m Chebyshev points is wrong by at most 4M ρ^{1−m}/(ρ − 1), ρ = v/r + √(1 + v²/r²), with M the largest |f − f(centre)|
within the ellipse that v < π fits under: M ≤ r √(1 + v²/r²)/sin v. A sum of f over numbers t is then a sum over those
points x_k with the weights Σ ℓ_k(t), whatever δ is. It is done twice: on unit intervals of a and of b (r = ½, m = 14),
whose sums a + b fall into known intervals, and on pairs of those (r = 3/2, m = 24), where v = 2.9 makes both bounds
some 1e-13 for each number, 1e-12 with the sums of |ℓ_k|. The derivative by δ is that of the sum that is computed.

λ_i μ_j itself is never written out: the work is that of the distinct intervals, and a sum costs some hundred logarithms
in place of P. Zeros are counted apart.

Source: Trefethen (2013), Approximation theory and approximation practice, theorem 8.2, for the bound. The transposed
interpolation is that of multipole methods without kernels: Fong and Darve (2009), The black-box fast multipole method.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

__all__ = ["Nodes", "product_nodes"]

INNER, OUTER = 14, 24  # points of an interval of one factor, and of a pair of intervals of the product
WORTH = 4  # times fewer nodes than numbers, or it is not done


class Nodes(NamedTuple):
    """Numbers and how often each counts: a sum of logarithms over them is one over all that they stand for."""

    values: Float64[Tensor, "nodes"]
    weights: Float64[Tensor, "nodes"]


def product_nodes(left: Float64[Tensor, "lefts"], right: Float64[Tensor, "rights"]) -> Nodes | None:
    """Nodes for all products of two lists of numbers that are not negative; none where they would hardly be fewer.

    >>> nodes = product_nodes(torch.linspace(0, 9, 200).double(), torch.linspace(1, 9, 300).double())
    >>> len(nodes.values) < 600, round(float(nodes.weights.sum()))
    (True, 60000)
    >>> all_of_them = torch.outer(torch.linspace(0, 9, 200).double(), torch.linspace(1, 9, 300).double())
    >>> float(nodes.weights @ (nodes.values + 0.1).log()) / float((all_of_them + 0.1).log().sum()) - 1 < 1e-12
    True
    """
    count = len(left) * len(right)
    a, b = left[left > 0].log(), right[right > 0].log()
    zeros = count - len(a) * len(b)
    if count == zeros:
        return None
    pairs = sum(int(logs.max().floor() - logs.min().floor()) + 1 for logs in (a, b)) // 2
    if WORTH * (OUTER * pairs + 1) >= count:
        return None
    (first, inner), (second, other) = _on_unit_intervals(a), _on_unit_intervals(b)

    length = len(inner) + len(other) - 1
    sums = torch.zeros(length + length % 2, INNER, INNER, dtype=torch.float64)
    for place, weights in enumerate(inner):  # intervals [first + place, … + 1) and [second + …)
        if bool(weights.any()):
            sums[place : place + len(other)] += weights[None, :, None] * other[:, None, :]
    points, half = _points(INNER), _points(OUTER)
    within = (points[:, None] + points) / 2  # of a + b in its interval of half width one
    spread = torch.cat([_basis(((within + side) / 1.5).flatten(), OUTER) for side in (-0.5, 0.5)])
    weights = sums.reshape(-1, 2 * INNER * INNER) @ spread
    centres = first + second + 1.5 + 2 * torch.arange(len(weights), dtype=torch.float64)
    filled = weights.abs().sum(dim=1) > 0
    values = (centres[:, None] + 1.5 * half)[filled].exp().flatten()
    if not zeros:
        return Nodes(values, weights[filled].flatten())
    nothing = torch.tensor([0.0, zeros], dtype=torch.float64)
    return Nodes(torch.cat([nothing[:1], values]), torch.cat([nothing[1:], weights[filled].flatten()]))


def _on_unit_intervals(logs: Float64[Tensor, "numbers"]) -> tuple[int, Float64[Tensor, "intervals points"]]:
    """The first interval's left end, and the weights of the points of each."""
    floors = logs.floor()
    first = int(floors.min())
    weights = torch.zeros(int(floors.max()) - first + 1, INNER, dtype=torch.float64)
    weights.index_add_(0, (floors - first).long(), _basis(2 * (logs - floors) - 1, INNER))
    return first, weights


def _points(count: int) -> Float64[Tensor, "points"]:
    """Chebyshev's, between −1 and 1."""
    return ((torch.arange(count, dtype=torch.float64) + 0.5) * (math.pi / count)).cos()


def _basis(x: Float64[Tensor, "numbers"], count: int) -> Float64[Tensor, "numbers points"]:
    """ℓ_k(x) = (1 + 2 Σ_{0<n<m} T_n(x_k) T_n(x))/m, of the polynomial through the points."""
    orders = torch.arange(count, dtype=torch.float64)
    of_points = 2 * (orders[:, None] * _points(count).acos()).cos()
    of_points[0] = 1.0
    return (x.clamp(-1, 1).acos()[:, None] * orders).cos() @ of_points / count
