"""SumFilter: a prior on the sum of each convolution filter.

A filter's response to a constant shift of its input is its sum times the shift. A prior that keeps sums small makes
predictions indifferent to brightness and the like, whatever the training images say about it.

Source: Izmailov et al. (2021), "Dangers of Bayesian model averaging under covariate shift".
"""

import math
from dataclasses import dataclass
from typing import Literal, overload

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from surefoot.density.correlated import Correlated
from surefoot.density.whitening import Whitening
from surefoot.errors import InputError
from surefoot.networks.network import Parameters

__all__ = ["LaplaceSums", "sum_filter"]


@overload
def sum_filter(
    name: str,
    kernel: int | tuple[int, int],
    *,
    precision: float,
    filter_precision: float,
    form: Literal["gaussian"] = "gaussian",
) -> Correlated: ...
@overload
def sum_filter(
    name: str, kernel: int | tuple[int, int], *, precision: float, filter_precision: float, form: Literal["laplace"]
) -> "LaplaceSums": ...
def sum_filter(
    name: str,
    kernel: int | tuple[int, int],
    *,
    precision: float,
    filter_precision: float,
    form: Literal["gaussian", "laplace"] = "gaussian",
) -> "Correlated | LaplaceSums":
    """For the d = height·width numbers w of each (output, input) filter, with their sum s = 1ᵀw:

    - "gaussian": log p(w) = −½ λ ‖w‖² − ½ λ_f s² + constant: normal, precision λI + λ_f 11ᵀ (eigenvalues λ, λ + d λ_f);
    - "laplace":  log p(w) = −½ λ ‖w‖² − ½ λ_f |s| + constant: as the reference code penalises sums.

    name: a convolution's weight `[out, in, height, width]`. kernel: its (height, width), or one number for both.
    precision: λ. filter_precision: λ_f. Both are normalised densities. We depart from the reference code, which reads
    a filter precision and then uses λ in its place.

    Raises `InputError` for numbers that are not positive.

    >>> prior = sum_filter("conv.weight", 3, precision=1.0, filter_precision=11.0)
    >>> [round(variance, 3) for variance in prior.variance.tolist()[:3]]  # 1/(1 + 9·11), then 1/λ
    [0.01, 1.0, 1.0]
    """
    for called, value in {"precision": precision, "filter precision": filter_precision}.items():
        if not (math.isfinite(value) and value > 0):
            raise InputError(f"The {called} of a SumFilter prior is {value}; give a positive number.")
    size = kernel * kernel if isinstance(kernel, int) else kernel[0] * kernel[1]
    if size < 1:
        raise InputError(f"A kernel of {kernel} has no weights; give its height and width.")
    if form == "laplace":
        return LaplaceSums(name, size, precision, filter_precision)
    if form != "gaussian":
        raise InputError(f'There is no SumFilter form "{form}"; use "gaussian" or "laplace".')
    variance = torch.full((size,), 1 / precision, dtype=torch.float64)
    variance[0] = 1 / (precision + size * filter_precision)
    return Correlated(name, _sum_first(size), variance)


@dataclass(frozen=True)
class LaplaceSums:
    """The form "laplace" of `sum_filter`, for filters of `size` = d numbers:

        log p(w) = −½ λ ‖w‖² − ½ λ_f |s| − (d/2) log(2π/λ) − log erfcx( ½ λ_f √(d / 2λ) )

    with erfcx(x) = exp(x²) erfc(x): along 1/√d the density is exp(−½ λ t² − ½ λ_f √d |t|), elsewhere normal.
    """

    name: str
    size: int
    precision: float
    filter_precision: float

    def log_density(self, parameters: Parameters) -> Float[Tensor, ""]:
        """Nats; differentiable in the parameters except where a sum is zero."""
        (name,) = self.names_in(parameters)
        filters = parameters[name].reshape(-1, self.size)
        constant = 0.5 * self.size * math.log(2 * math.pi / self.precision) + math.log(_erfcx(self._steepness()))
        squares, sums = filters.square().sum(), filters.sum(dim=1).abs().sum()
        return -0.5 * (self.precision * squares + self.filter_precision * sums) - len(filters) * constant

    def names_in(self, parameters: Parameters) -> list[str]:
        """The weight."""
        if self.name not in parameters:
            raise InputError(
                f"The prior names the tensor {self.name}, which is not there; there are {list(parameters)}."
            )
        shape = parameters[self.name].shape
        if len(shape) != 4 or shape[2] * shape[3] != self.size:
            raise InputError(
                f"{self.name} has shape {list(shape)}; a SumFilter prior of {self.size} numbers a filter needs "
                "[out, in, height, width] with that many in a filter."
            )
        return [self.name]

    def whitening(self, parameters: Parameters) -> dict[str, Whitening]:
        """Every coordinate has variance one; the first direction is the sum's."""
        (name,) = self.names_in(parameters)
        scale = torch.full((self.size,), self.precision**-0.5, dtype=torch.float64)
        scale[0] *= _deviation(self._steepness())
        weight = parameters[name]
        return {name: Whitening(scale.to(weight), basis=_sum_first(self.size).to(weight), normal=False)}

    def _steepness(self) -> float:
        """x: in units where the normal part along the sum's direction is exp(−½ t²), the other is exp(−√2 x |t|)."""
        return 0.5 * self.filter_precision * math.sqrt(self.size / (2 * self.precision))


def _sum_first(size: int) -> Float64[Tensor, "d d"]:
    """A symmetric orthonormal basis whose first column is 1/√d: the Householder reflection of the first axis."""
    direction = torch.full((size,), size**-0.5, dtype=torch.float64)
    mirror = direction.clone()
    mirror[0] -= 1
    if not bool(mirror.any()):
        return torch.eye(size, dtype=torch.float64)
    return torch.eye(size, dtype=torch.float64) - 2 * torch.outer(mirror, mirror) / mirror.square().sum()


def _erfcx(x: float) -> float:
    return float(torch.special.erfcx(torch.tensor(x, dtype=torch.float64)))


def _deviation(x: float) -> float:
    """The standard deviation of t ~ exp(−½ t² − b|t|), b = √2 x.

    By parts, with Z = ∫₀^∞ exp(−½t² − bt) dt = √(π/2) erfcx(x): E t² = 1 + b² − b/Z. For steep densities that is a
    difference of nearly equal numbers, and the limit of a double exponential, 2/b² (1 − 5/b²), is as good.
    """
    b = math.sqrt(2) * x
    if b > 100:
        return math.sqrt(2) / b * (1 - 2.5 / b**2)
    return math.sqrt(1 + b * b - b / (math.sqrt(math.pi / 2) * _erfcx(x)))
