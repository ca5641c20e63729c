"""What plain words mean, against densities written down independently."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from surefoot.bayes.posterior import DEGREES, posterior_of
from surefoot.bayes.settings import BayesSettings
from surefoot.density.functional import Confidence, DirClip, Dirichlet
from surefoot.errors import InputError
from surefoot.networks.build import build_cnn, build_linear, build_mlp
from surefoot.networks.network import Network, parameters_of
from surefoot.rows.rows import Rows, make_rows

PRECISION = 4.0


@pytest.fixture
def rows() -> Rows:
    """Three features: one wide, one narrow and tied to the first, one that never varies."""
    generator = torch.Generator().manual_seed(0)
    wide = torch.randn(60, generator=generator)
    inputs = torch.stack([3 * wide, wide + 0.3 * torch.randn(60, generator=generator), torch.full((60,), 2.0)], dim=1)
    return make_rows(inputs, (wide > 0).long(), classes=["no", "yes"])


@pytest.fixture
def images() -> Rows:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(7, 2, 6, 5, generator=generator).cumsum(dim=3)
    return make_rows(inputs, torch.tensor([0, 1, 0, 1, 0, 1, 1]), classes=["no", "yes"])


def point(network: Network, seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(each.shape, generator=generator) for name, each in parameters_of(network).items()}


def flat(parameters: dict[str, Tensor]) -> np.ndarray:
    return torch.cat([each.flatten() for each in parameters.values()]).double().numpy()


@pytest.mark.parametrize(
    ("prior", "expected"),
    [
        ("gaussian", stats.norm(scale=PRECISION**-0.5)),
        ("laplace", stats.laplace(scale=(2 * PRECISION) ** -0.5)),
        ("student_t", stats.t(DEGREES, scale=((DEGREES - 2) / (DEGREES * PRECISION)) ** 0.5)),
    ],
)
def test_independent_priors_have_the_variance_that_is_said(prior: str, expected: object, rows: Rows) -> None:
    assert expected.var() == pytest.approx(1 / PRECISION)  # type: ignore[attr-defined]
    network = build_mlp(3, 4, 2, seed=0)
    made = posterior_of(network, rows, BayesSettings(prior=prior, precision=PRECISION))  # type: ignore[arg-type]
    one, other = point(network, 1), point(network, 2)
    told = float(made.prior.log_density(one) - made.prior.log_density(other))
    assert told == pytest.approx(
        expected.logpdf(flat(one)).sum() - expected.logpdf(flat(other)).sum(),  # type: ignore[attr-defined]
        rel=1e-4,
    )


def empcov_by_hand(weights: np.ndarray, covariance: np.ndarray, floor: float) -> float:
    """Σ_j log N(w_j; 0, α Σ̂ + ε I), α such that the mean variance is 1/λ before ε."""
    own = covariance * (len(covariance) / (PRECISION * np.trace(covariance))) + floor / PRECISION * np.eye(
        len(covariance)
    )
    return float(stats.multivariate_normal(cov=own).logpdf(weights).sum())


def test_empcov_speaks_of_the_first_linear_layer_and_leaves_the_rest_to_a_gaussian(rows: Rows) -> None:
    network = build_mlp(3, (4, 5), 2, seed=0)
    made = posterior_of(network, rows, BayesSettings(prior="empcov", precision=PRECISION, floor=1e-2))
    first = next(name for name in parameters_of(network) if name.endswith("weight"))
    covariance = np.cov(rows.inputs[:].double().numpy().T, bias=True)
    one, other = point(network, 1), point(network, 2)
    rest = stats.norm(scale=PRECISION**-0.5)

    def by_hand(of: dict[str, Tensor]) -> float:
        others = flat({name: each for name, each in of.items() if name != first})
        return empcov_by_hand(of[first].double().numpy(), covariance, 1e-2) + float(rest.logpdf(others).sum())

    told = float(made.prior.log_density(one) - made.prior.log_density(other))
    assert told == pytest.approx(by_hand(one) - by_hand(other), rel=2e-3), "np.cov and ours may divide by n or n − 1"


def test_empcov_of_a_convolution_sees_the_patches_that_it_sees(images: Rows) -> None:
    """Patches are cut by a double loop here; the weight's order is (channel, row, column)."""
    network = build_cnn((2, 6, 5), (3,), 4, 2, seed=0)
    made = posterior_of(network, images, BayesSettings(prior="empcov", precision=PRECISION, floor=1e-2))
    first = next(name for name, each in parameters_of(network).items() if each.ndim == 4)
    assert parameters_of(network)[first].shape == (3, 2, 3, 3)
    padded = torch.nn.functional.pad(images.inputs[:], (1, 1, 1, 1)).double().numpy()
    patches = np.stack(
        [image[:, y : y + 3, x : x + 3].ravel() for image in padded for y, x in product(range(6), range(5))]
    )
    covariance = np.cov(patches.T, bias=True)
    one, other = point(network, 1), point(network, 2)
    for name in one:
        if name != first:
            other[name] = one[name]
    told = float(made.prior.log_density(one) - made.prior.log_density(other))
    one_by_hand, other_by_hand = (
        empcov_by_hand(each[first].reshape(3, -1).double().numpy(), covariance, 1e-2) for each in (one, other)
    )
    assert told == pytest.approx(one_by_hand - other_by_hand, rel=2e-3)


def test_a_sum_filter_prior_speaks_of_the_first_convolution(images: Rows) -> None:
    network = build_cnn((2, 6, 5), (3,), 4, 2, seed=0)
    settings = BayesSettings(prior="sum_filter", precision=PRECISION, filter_precision=9.0)
    made = posterior_of(network, images, settings)
    first = next(name for name, each in parameters_of(network).items() if each.ndim == 4)
    zero = {name: torch.zeros_like(each) for name, each in parameters_of(network).items()}
    some = point(network, 1)
    sums = some[first].sum(dim=(2, 3))
    expected = -PRECISION / 2 * float((flat(some) ** 2).sum()) - 9.0 / 2 * float(sums.square().sum())
    assert float(made.prior.log_density(some) - made.prior.log_density(zero)) == pytest.approx(expected, rel=1e-5)


def test_filters_are_of_convolutions(rows: Rows) -> None:
    with pytest.raises(InputError, match="is no convolution and has no filters to sum; use prior: empcov"):
        posterior_of(build_linear(3, 2, seed=0), rows, BayesSettings(prior="sum_filter", filter_precision=1.0))


def test_strange_convolutions_have_no_empcov(images: Rows) -> None:
    strange = torch.nn.Sequential(
        torch.nn.Conv2d(2, 2, 3, dilation=2), torch.nn.Flatten(), torch.nn.Linear(2 * 2 * 1, 2)
    )
    with pytest.raises(InputError, match=r"has groups, dilation or other padding .* use prior: gaussian"):
        posterior_of(Network(strange, "2"), images, BayesSettings(prior="empcov"))


def test_functional_priors_and_temperatures_reach_the_posterior(rows: Rows) -> None:
    network = build_linear(3, 2, seed=0)
    told = {
        "dirclip": ({"alpha": 0.9, "clip": -20.0}, DirClip(0.9, -20.0)),
        "dirichlet": ({"alpha": 1.5}, Dirichlet(1.5)),
        "confidence": ({"confidence": 0.5}, Confidence(0.5)),
    }
    for name, (numbers, form) in told.items():
        made = posterior_of(network, rows, BayesSettings(functional=name, **numbers))  # type: ignore[arg-type]
        assert made.functional is not None
        assert made.functional.form == form
    cold = posterior_of(network, rows, BayesSettings(posterior_temperature=0.25))
    warm = posterior_of(network, rows, BayesSettings())
    some, none = point(network, 1), point(network, 2)
    ratio = float(cold.log_density(some, rows) - cold.log_density(none, rows)) / float(
        warm.log_density(some, rows) - warm.log_density(none, rows)
    )
    assert ratio == pytest.approx(4.0, rel=1e-4)
    tempered = posterior_of(network, rows, BayesSettings(likelihood_temperature=0.25))
    likelihood = float(warm.log_density(some, rows)) - float(warm.prior.log_density(some))
    assert float(tempered.log_density(some, rows)) == pytest.approx(
        4 * likelihood + float(warm.prior.log_density(some)), rel=1e-4
    )


def test_label_noise_is_a_log_normal_about_the_logits(rows: Rows) -> None:
    """α_ε = q/(K(1−q)); the mean and variance of log-normals with the moments of Gamma(α): Milios et al. (2018)."""
    network = build_linear(3, 2, seed=0)
    made = posterior_of(network, rows, BayesSettings(likelihood="noisy_dirichlet", label_noise=0.2))
    some = point(network, 1)
    logits = (rows.inputs[:] @ some["head.weight"].T + some["head.bias"]).double().numpy()
    alpha = np.eye(2)[rows.targets.numpy()] + 0.2 / (2 * 0.8)
    variance = np.log(1 / alpha + 1)
    expected = stats.norm(np.log(alpha) - variance / 2, np.sqrt(variance)).logpdf(logits).sum()
    told = float(made.log_density(some, rows) - made.prior.log_density(some))
    assert math.isclose(told, float(expected), rel_tol=1e-4)
