"""The spectral mixture kernel: any stationary covariance as a sum of Gaussians in its spectrum, and where to start it.

    k(x, x′) = Σ_q w_q Π_p exp(−2π² σ_qp² τ_p²) cos(2π μ_qp τ_p),      τ = x − x′

Source: Wilson & Adams (2013), "Gaussian process kernels for pattern discovery and extrapolation", eq. 12. Its
evidence has many modes, and a start at random finds a poor one: `spectral_start` reads frequencies off the
periodogram.
"""

import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from surefoot.errors import InputError
from surefoot.evidence.processes.free import POSITIVE

__all__ = ["SpectralMixture", "spectral_start"]

FREQUENCIES = 1000
"""The most frequencies at which the periodogram of one input is looked at."""


@dataclass(frozen=True)
class SpectralMixture:
    """weights: w_q, whose sum is k(x, x). frequencies: μ_qp, cycles per unit of the input. widths: σ_qp, likewise.

    >>> from surefoot.evidence.processes.free import positive
    >>> kernel = SpectralMixture(torch.ones(1).double(), torch.ones(1, 1).double(), torch.full((1, 1), 1e-3).double())
    >>> x = torch.tensor([[0.0], [0.5]], dtype=torch.float64)
    >>> round(kernel.matrix(x, x)[0, 1].item(), 4)  # half a period apart
    -1.0
    """

    weights: Float64[Tensor, "q"] = field(metadata=POSITIVE)
    frequencies: Float64[Tensor, "q p"] = field(metadata=POSITIVE)
    widths: Float64[Tensor, "q p"] = field(metadata=POSITIVE)

    def matrix(
        self, left: Float64[Tensor, "rows d"], right: Float64[Tensor, "others d"]
    ) -> Float64[Tensor, "rows others"]:
        if self.frequencies.shape[1] != left.shape[1]:
            raise InputError(
                f"The spectral mixture has frequencies for {self.frequencies.shape[1]} inputs and the rows have "
                f"{left.shape[1]}; give a column for each input."
            )
        apart = left[:, None] - right[None]
        total = torch.zeros(len(left), len(right), dtype=torch.float64)
        for weight, frequency, width in zip(self.weights, self.frequencies, self.widths, strict=True):
            decay = (-2 * (math.pi * width * apart).square().sum(dim=2)).exp()
            total = total + weight * decay * (2 * math.pi * frequency * apart).cos().prod(dim=2)
        return total

    def diagonal(self, rows: Float64[Tensor, "rows d"]) -> Float64[Tensor, "rows"]:
        return self.weights.sum().expand(len(rows))


def spectral_start(x: Float[Tensor, "rows d"], y: Float[Tensor, "rows"], components: int) -> SpectralMixture:
    """A spectral mixture at the highest peaks of each input's periodogram |Σ_i (y_i − ȳ) e^{−2πi f x_i}|².

    Frequencies go from 1/(2 range) to that of the mean spacing, n/(2 range). Component q takes the q-th peak of every
    input, at least 1/range from the others, looked for when the waves of the higher ones have been taken out of y; it
    is as wide as the periodogram resolves (1/(2 range)), and its weight is its peak's share of the variance of y. Rows
    need not be evenly spaced.

    Raises `InputError` for fewer than three rows, no components, an input or targets that do not vary.

    >>> x = torch.linspace(0, 10, 60, dtype=torch.float64)[:, None]
    >>> start = spectral_start(x, torch.sin(2 * math.pi * 1.5 * x[:, 0]), components=1)
    >>> round(start.frequencies.item(), 1)
    1.5
    """
    if len(x) < 3 or components < 1:
        raise InputError(f"{len(x)} rows and {components} components were given; give at least three rows and one.")
    x, y = x.double(), y.double()
    variance, spans = y.var(), x.amax(dim=0) - x.amin(dim=0)
    if not variance > 0 or not bool((spans > 0).all()):
        raise InputError("The targets or one of the inputs never vary, and have no spectrum; leave them out.")
    columns = [_peaks(column, y - y.mean(), float(span), components) for column, span in zip(x.T, spans, strict=True)]
    power = torch.stack([heights for _, heights in columns]).mean(dim=0)
    frequencies = torch.stack([places for places, _ in columns], dim=1)
    widths = (0.5 / spans).expand(components, -1).clone()
    return SpectralMixture(variance * power / power.sum(), frequencies, widths)


def _peaks(x: Tensor, y: Tensor, span: float, components: int) -> tuple[Tensor, Tensor]:
    """Frequencies and powers, highest first; each wave is taken out of y before the next is looked for."""
    highest = max(len(x) / (2 * span), components / span)
    grid = torch.linspace(0.5 / span, highest, min(FREQUENCIES, max(4 * len(x), 4 * components)), dtype=torch.float64)
    angles = 2 * math.pi * grid[:, None] * x
    cosines, sines = angles.cos(), angles.sin()
    free = torch.ones(len(grid), dtype=torch.bool)
    places, heights = list[Tensor](), list[Tensor]()
    for _ in range(components):
        power = (cosines @ y).square() + (sines @ y).square()
        at = int(torch.where(free if bool(free.any()) else ~free, power, -1.0).argmax())
        wave = torch.stack([cosines[at], sines[at]], dim=1)
        y = y - wave @ (torch.linalg.pinv(wave) @ y)
        free &= (grid - grid[at]).abs() >= 1 / span
        places.append(grid[at])
        heights.append(power[at])
    powers = torch.stack(heights)
    return torch.stack(places), powers.clamp_min(1e-3 * powers.max())
