"""EmpCov: a prior of first-layer weights that follows the covariance of the inputs.

Where the training inputs never vary (a dead pixel, a linear dependence between features), they say nothing about the
weights along that direction, and the posterior there is the prior. A test input that does vary there then adds
the prior's noise to every prediction. EmpCov makes the prior narrow exactly along those directions.

Source: Izmailov et al. (2021), "Dangers of Bayesian model averaging under covariate shift".
"""

import math
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.density.correlated import Correlated
from surefoot.errors import InputError

__all__ = ["Form", "empcov"]

Form: TypeAlias = Literal["trace", "paper", "saturating", "reference"]


def empcov(
    covariance: Float[Tensor, "d d"],
    *,
    name: str,
    floor: float,
    form: Form = "trace",
    precision: float = 1.0,
    alpha: float | None = None,
    empcov_precision: float | None = None,
) -> Correlated:
    """w_j ~ N(0, U diag(v) Uᵀ) for each unit j of a first layer; U and ν are the eigenvectors and -values of Σ̂.

    The forms differ in the variance v of an eigendirection whose inputs have variance ν:

    - "trace":       v = ν · D / (λ Σν) + ε     the paper's with α chosen so that the mean variance is 1/λ (+ ε);
    - "paper":       v = α ν + ε                 α as given;
    - "saturating":  v = ν / (λ (1 + ν)) + ε     never above 1/λ (+ ε), so the step size of N(0, 1/λ) still serves;
    - "reference":   v = ν / (κ + λ ν) + ε       what the reference code samples, a Gaussian of precision κ Σ̂⁻¹ + λI.

    covariance: Σ̂ of the inputs (`empirical_covariance`) or patches (`patch_covariance`), in the order in which
    the layer's weight is flattened. name: that weight. floor: ε > 0, the variance where the inputs have none: there
    is no good default, as it sets how far a dead input can move the outputs (1e-4/λ leaves one hundredth of the
    usual deviation). precision: λ. alpha: for "paper". empcov_precision: κ, for "reference". "saturating" and
    "reference" depend on the inputs' units and expect normalised ones.

    The layer's bias is no part of this prior; give it one of its own (see `Layered`).

    Eigenvalues are those of a float64 `eigh`, clipped at zero; a singular covariance is the ordinary case. We depart
    from the reference code, which inverts Σ̂ + 1e-10 I in float32 and so got negative variances from MNIST; nothing
    is inverted here, and no variance is below ε.

    Raises `InputError` for a covariance that is not square, finite, symmetric and (up to rounding) positive
    semi-definite, for numbers that are not positive, and for a parameter that the form does not have or lacks.

    >>> prior = empcov(torch.diag(torch.tensor([3.0, 1.0, 0.0])), name="hidden1.weight", floor=1e-4)
    >>> [round(variance, 4) for variance in prior.variance.tolist()]
    [0.0001, 0.7501, 2.2501]
    """
    _check_settings(form, floor=floor, precision=precision, alpha=alpha, empcov_precision=empcov_precision)
    eigen, basis = _decomposed(covariance)
    if form == "trace":
        spread = float(eigen.sum())
        if spread == 0:
            raise InputError("The covariance is zero, so the inputs never vary; check the inputs it was computed from.")
        variance = eigen * (len(eigen) / (precision * spread))
    elif form == "paper":
        variance = eigen * _given(alpha)
    elif form == "saturating":
        variance = eigen / (precision * (1 + eigen))
    else:
        variance = eigen / (_given(empcov_precision) + precision * eigen)
    return Correlated(name, basis, variance + floor)


def _decomposed(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues (clipped at zero) and eigenvectors in float64, once the matrix is known to be a covariance."""
    if covariance.ndim != 2 or covariance.shape[0] != covariance.shape[1] or not len(covariance):
        raise InputError(f"A covariance of shape {list(covariance.shape)} was given; it must be square.")
    if not bool(covariance.isfinite().all()):
        raise InputError("The covariance holds numbers that are not finite; check the inputs it was computed from.")
    precise = covariance.to(torch.float64)
    rounding = 10 * len(precise) * (torch.finfo(covariance.dtype).eps if covariance.is_floating_point() else 0.0)
    largest = float(precise.abs().max())
    if (skew := float((precise - precise.T).abs().max())) > rounding * largest:
        raise InputError(
            f"The covariance is not symmetric (entries differ by up to {skew:.3g} across the diagonal, of at most "
            f"{largest:.3g}); give Σ̂ itself as empirical_covariance returns it, not an inverse."
        )
    eigen, basis = torch.linalg.eigh((precise + precise.T) / 2)
    if (lowest := float(eigen[0])) < -rounding * largest:
        raise InputError(
            f"The covariance has the negative eigenvalue {lowest:.3g} (its largest is {float(eigen[-1]):.3g}); give Σ̂ "
            "itself as empirical_covariance returns it, in float64."
        )
    return eigen.clamp(min=0), basis


def _check_settings(
    form: Form, *, floor: float, precision: float, alpha: float | None, empcov_precision: float | None
) -> None:
    if form not in ("trace", "paper", "saturating", "reference"):
        raise InputError(f'There is no EmpCov form "{form}"; use "trace", "paper", "saturating" or "reference".')
    for called, value in {"floor": floor, "precision": precision, "alpha": alpha, "κ": empcov_precision}.items():
        if value is not None and not (math.isfinite(value) and value > 0):
            raise InputError(f"The {called} of an EmpCov prior is {value}; give a positive number.")
    for called, value, owner in (("alpha", alpha, "paper"), ("empcov_precision", empcov_precision, "reference")):
        if (value is None) == (form == owner):
            verb = "needs" if value is None else "has no"
            raise InputError(f'The form "{form}" {verb} {called}; only "{owner}" takes it.')
    if form == "paper" and precision != 1:
        raise InputError(f'The form "paper" has no precision ({precision} was given); its scale is alpha.')


def _given(value: float | None) -> float:
    assert value is not None  # _check_settings has seen to it
    return value
