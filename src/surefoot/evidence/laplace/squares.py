"""Sums of squares Σ a aᵀ over rows, on and above the diagonal: exactly in float64, or faster with their error measured.

A sum rounded to float32 turns every eigenvalue below some 1e-7 of the largest into noise, and the evidence takes their
logarithms. Where all eigenvalues of A = Σ a aᵀ are far above that, products of float32 rows in float32 will do, and
whether they are is measured afterwards. With c the mean of the first rows (so that a large common mean stays out of
float32) and d = Σ (a − c) in float64,

    A = Σ (a − c)(a − c)ᵀ + c dᵀ + d cᵀ + n c cᵀ

of which only the first sum is in float32, for at most `FLUSH` rows at a time. Its error E, all rounding included, is
seen through p fixed normal vectors z that no row depends on: E z = A z − Σ a (aᵀ z), the latter in float64, and

    ‖E‖_F ≤ e = α √(Σ ‖E z‖²/p)        but with probability (x e^{1−x})^{p/2}, x = α⁻²: 5e-7 for p = 16, α = 4

by Chernoff's bound, whatever E is. With λ the computed eigenvalues and η = e/min λ < 1, for every precision δ ≥ 0

    |log det(A + δ) − Σ log(λ + δ)| ≤ e √(Σ λ⁻²)/(1 − η)

(Cauchy and Schwarz along the path between the two). What that leaves above `TOLERATED` is done again in float64.

Source: the identities are elementary; seeing a matrix through random vectors is Halko, Martinsson and Tropp (2011),
Finding structure with randomness, §4.3, here for the Frobenius norm.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float32, Float64
from torch import Tensor

__all__ = [
    "Fast",
    "Seen",
    "add_fast",
    "add_square",
    "eigenvalues_of",
    "empty_square",
    "moved",
    "seen",
    "start_fast",
    "trusted",
]

PANELS = 8
PIECE = 128  # the fewest rows of a product, whose rounding grows with them
FLUSH = 8192  # rows that are summed in float32
PROBES, ALPHA = 16, 4.0
TOLERATED = 0.01  # nats, for each of the numbers that a block's eigenvalues are multiplied by


@dataclass
class Fast:
    """Σ (a − c)(a − c)ᵀ since the last flush, and A − that so far (once there is any), with what is needed to judge it.

    apart: Σ (a − c). probed: Σ a (aᵀ z).
    """

    centre: Float32[Tensor, "size"]
    recent: Float32[Tensor, "size size"]
    flushed: Float64[Tensor, "size size"] | None
    apart: Float64[Tensor, "size"]
    probes: Float64[Tensor, "probes size"]
    probed: Float64[Tensor, "probes size"]
    rows: int = 0
    waiting: int = 0


@dataclass(frozen=True)
class Seen:
    """A, read on and above the diagonal, and e, which its error's Frobenius norm is below."""

    square: Float64[Tensor, "size size"]
    error: float


def empty_square(size: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Zeros on and above the diagonal (and a little below); memory that is never read is never touched."""
    total = torch.empty(size, size, dtype=dtype)
    for own in _panels(size):
        total[own, own.start :].zero_()
    return total


def add_square(total: Tensor, vectors: Tensor) -> None:
    """Add Σ v vᵀ: some half of the operations of the whole square; shapes [size, size] and [*rows, size]."""
    flat = vectors.flatten(0, -2)
    for own in _panels(len(total)):
        total[own, own.start :].addmm_(flat[:, own].T, flat[:, own.start :])


def start_fast(features: Float32[Tensor, "rows size"]) -> Fast:
    """Nothing summed yet; the mean of these rows will be taken off all."""
    size = features.shape[1]
    probes = torch.randn(PROBES, size, dtype=torch.float64, generator=torch.Generator().manual_seed(size))
    return Fast(
        features.mean(dim=0),
        empty_square(size, torch.float32),
        None,
        torch.zeros(size, dtype=torch.float64),
        probes,
        torch.zeros_like(probes),
    )


def add_fast(fast: Fast, features: Float32[Tensor, "rows size"], exact: Float64[Tensor, "rows size"]) -> None:
    """Add rows, given in both precisions."""
    if fast.waiting and fast.waiting + len(features) > FLUSH:
        _flush(fast)
        for own in _panels(len(fast.recent)):
            fast.recent[own, own.start :].zero_()
    for piece in (features - fast.centre).chunk(max(1, len(features) // PIECE)):
        add_square(fast.recent, piece)
    fast.apart.add_(exact.sum(dim=0)).sub_(fast.centre, alpha=len(features))
    fast.probed.addmm_(fast.probes @ exact.T, exact)
    fast.rows, fast.waiting = fast.rows + len(features), fast.waiting + len(features)


def seen(fast: Fast) -> Seen:
    """The sum and its error; `fast` is used up."""
    _flush(fast)
    total, centre = fast.flushed, fast.centre.double()
    assert total is not None
    fast.flushed, fast.recent = None, torch.empty(0, 0)
    sides = torch.stack([centre, fast.apart + fast.rows * centre], dim=1)
    others = torch.stack([fast.apart, centre], dim=1)
    found = torch.zeros_like(fast.probes)
    for own in _panels(len(total)):
        panel = total[own, own.start :]
        panel.addmm_(sides[own], others[own.start :].T)
        width = own.stop - own.start
        corner = panel[:, :width].triu()
        near, far = fast.probes[:, own], fast.probes[:, own.stop :]
        found[:, own] += near @ corner.T + near @ corner.triu(1) + far @ panel[:, width:].T
        found[:, own.stop :] += near @ panel[:, width:]
    error = ALPHA * float((found - fast.probed).square().sum().div(PROBES).sqrt())
    return Seen(total, error)


def trusted(found: Seen) -> Float64[Tensor, "size"] | None:
    """The eigenvalues of A, or none where its error may matter.

    Features that are zero in every row are so without error, and stay out of it.
    """
    diagonal = found.square.diagonal()
    diagonal = diagonal[diagonal != 0]
    if not moved(diagonal, found.error) < TOLERATED:  # eigenvalues are only further apart, (A⁻¹)_ii ≥ 1/A_ii
        return None
    spectrum = eigenvalues_of(found.square)
    return spectrum if moved(spectrum[-len(diagonal) :], found.error) < TOLERATED else None


def moved(spectrum: Float64[Tensor, "size"], error: float) -> float:
    """How far Σ log(λ + δ) may be from the truth, in nats and at any δ ≥ 0: infinite where that is not known.

    >>> moved(torch.tensor([1.0, 2.0, 4.0]).double(), 1e-6) < 2e-6, moved(torch.tensor([1e-7, 1.0]).double(), 1e-6)
    (True, inf)
    """
    least = float(spectrum.min()) if len(spectrum) else 0.0
    if not error < least:
        return math.inf
    return error * float(spectrum.reciprocal().square_().sum().sqrt()) / (1 - error / least)


def eigenvalues_of(square: Float64[Tensor, "size size"]) -> Float64[Tensor, "size"]:
    """From the lowest, never negative; what is below the diagonal is not read. Rows of zeros are not worked on."""
    filled = square.diagonal() != 0
    size = len(square)
    if not bool(filled.all()):
        square = square[filled][:, filled]
    spectrum = torch.linalg.eigvalsh(square, UPLO="U").clamp_(min=0)
    return torch.cat([spectrum.new_zeros(size - len(spectrum)), spectrum])


def _flush(fast: Fast) -> None:
    """Move what was summed in float32 to float64."""
    if fast.flushed is None:
        fast.flushed = torch.empty(fast.recent.shape, dtype=torch.float64)
        for own in _panels(len(fast.recent)):
            fast.flushed[own, own.start :].copy_(fast.recent[own, own.start :])
    else:
        for own in _panels(len(fast.recent)):
            fast.flushed[own, own.start :] += fast.recent[own, own.start :]
    fast.waiting = 0


def _panels(size: int) -> list[slice]:
    """Rows of a square, from the diagonal of the first on."""
    step = max(64, -(-size // PANELS))
    return [slice(first, min(first + step, size)) for first in range(0, size, step)]
