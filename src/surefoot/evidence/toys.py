"""Problems whose evidence is known exactly, as published: they show what the evidence rewards, and what it does not.

Source: Lotfi et al. (2022), "Bayesian model selection, the marginal likelihood, and generalization". Data
are made again from the recipes of `plots/density_model.ipynb` and `GP_experiments/marginal_lik_poly.ipynb` in the
paper's repository (github.com/Sanaelotfi/Bayesian_model_comparison), draw by draw, with numpy's legacy generator,
whose stream numpy has promised not to change.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float64, Int64
from numpy.typing import NDArray
from torch import Tensor

from surefoot.errors import InputError
from surefoot.evidence.linear import LinearModel

__all__ = [
    "Density",
    "Fourier",
    "FourierModel",
    "FourierOrders",
    "density_model",
    "density_toy",
    "fourier_features",
    "fourier_models",
    "fourier_orders",
    "fourier_toy",
]

DEGREE = 9
NOISE = 0.1
ROWS, FIT_ROWS, ORDERS = 500, 100, 200
DENSITY_ROWS, DENSITY_FIT_ROWS = 1000, 40


class Density(NamedTuple):
    """Numbers to fit, and 960 more from the same distribution to predict."""

    fit: Float64[Tensor, "fit"]
    judge: Float64[Tensor, "judge"]


class Fourier(NamedTuple):
    """Five hundred points in the order in which they are taken; the paper's models are fit on the first hundred."""

    points: Float64[Tensor, "rows"]
    targets: Float64[Tensor, "rows"]


class FourierModel(NamedTuple):
    """The first `degree` frequencies, and the prior of their weights."""

    degree: int
    model: LinearModel


class FourierOrders(NamedTuple):
    """The orders in which the paper's notebook took rows, of M3, M9 and M9c each; every model has its own."""

    of_fit: tuple[Int64[Tensor, "orders fit"], ...]
    of_all: tuple[Int64[Tensor, "orders rows"], ...]


def density_toy() -> Density:
    """x ~ N(1, 1): forty numbers to fit, and the others.

    >>> rows = density_toy()
    >>> round(rows.fit.mean().item(), 4), round(rows.judge.mean().item(), 4)
    (0.7911, 0.9589)
    """
    drawn = torch.from_numpy(np.random.RandomState(2).normal(loc=0.0, scale=1.0, size=DENSITY_ROWS) + 1.0)
    return Density(drawn[:DENSITY_FIT_ROWS], drawn[DENSITY_FIT_ROWS:])


def density_model(variance: float, mean: float) -> LinearModel:
    """x | u ~ N(u, 1), u ~ N(mean, variance): a regression on one feature that is 1 for every row.

    >>> from surefoot.evidence.linear import linear_evidence
    >>> fit = density_toy().fit
    >>> round(linear_evidence(torch.ones_like(fit)[:, None], fit, density_model(1.0, 0.0)), 2)
    -60.35
    """
    return LinearModel(1.0, torch.tensor([variance]).double(), torch.tensor([mean]).double())


def fourier_toy() -> Fourier:
    """f(x) = Σ_{d≤9} a_d sin dx + b_d cos dx at 500 points of [0, 10], a_d, b_d ~ N(0, 1)/d², with noise of 0.1.

    >>> rows = fourier_toy()
    >>> [round(value, 4) for value in (rows.points[0].item(), rows.targets[0].item())]
    [5.0501, 0.1503]
    """
    return _drawn()[0]


def fourier_features(points: Float64[Tensor, "rows"], degree: int) -> Float64[Tensor, "rows features"]:
    """sin x, …, sin `degree`·x, cos x, …, cos `degree`·x.

    >>> fourier_features(torch.zeros(1, dtype=torch.float64), 2).tolist()
    [[0.0, 0.0, 1.0, 1.0]]
    """
    if degree < 1:
        raise InputError(f"A Fourier basis of degree {degree} was asked for; give at least 1.")
    angles = points[:, None] * torch.arange(1, degree + 1, dtype=torch.float64)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def fourier_models() -> dict[str, FourierModel]:
    """M3 and M9 with weights ~ N(0, 1), M9c with the *variance* 1/d², and `M9 true` with the variance 1/d⁴.

    The coefficients were drawn with the standard deviation 1/d². The paper's M9c, "with the corrected prior", has that
    number as its variance: it gives the published 54.2, and `M9 true` is what was described.

    >>> {name: each.degree for name, each in fourier_models().items()}
    {'M3': 3, 'M9': 9, 'M9c': 9, 'M9 true': 9}
    """
    frequency = torch.arange(1, DEGREE + 1, dtype=torch.float64).repeat(2)
    variances = {
        "M3": torch.ones(6, dtype=torch.float64),
        "M9": torch.ones(2 * DEGREE, dtype=torch.float64),
        "M9c": frequency**-2,
        "M9 true": frequency**-4,
    }
    return {
        name: FourierModel(len(variance) // 2, LinearModel(NOISE**2, variance)) for name, variance in variances.items()
    }


def fourier_orders() -> FourierOrders:
    """200 orders of the first hundred rows, and of all five hundred, as the notebook's cells draw them in turn.

    >>> [tuple(order.shape) for order in (fourier_orders().of_fit[0], fourier_orders().of_all[0])]
    [(200, 100), (200, 500)]
    """
    _, generator = _drawn()

    def shuffled(rows: int) -> Int64[Tensor, "orders rows"]:
        return torch.from_numpy(np.stack([generator.permutation(rows) for _ in range(ORDERS)])).long()

    return FourierOrders(tuple(shuffled(FIT_ROWS) for _ in range(3)), tuple(shuffled(ROWS) for _ in range(3)))


def _drawn() -> tuple[Fourier, np.random.RandomState]:
    """The rows, and the generator as the notebook's later cells find it."""
    weights = np.random.RandomState(15).randn(2, DEGREE) / np.arange(1, DEGREE + 1) ** 2
    generator = np.random.RandomState(6)
    points: NDArray[np.float64] = np.linspace(0.0, 10.0, ROWS)
    generator.shuffle(points)
    features = fourier_features(torch.from_numpy(points), DEGREE)
    noise = torch.from_numpy(generator.randn(ROWS))
    return Fourier(torch.from_numpy(points), features @ torch.from_numpy(weights.ravel()) + NOISE * noise), generator
