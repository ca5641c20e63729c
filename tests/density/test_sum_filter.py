"""SumFilter against torch's multivariate normal and numerical integration over a filter's sum."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from surefoot.density.correlated import Correlated
from surefoot.density.sum_filter import LaplaceSums, sum_filter
from surefoot.errors import InputError


def filters() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {"conv.weight": torch.randn(4, 2, 3, 2, generator=generator, dtype=torch.float64)}


def test_gaussian_has_the_precision_it_names() -> None:
    prior = sum_filter("conv.weight", (3, 2), precision=2.0, filter_precision=5.0)
    precision = 2 * torch.eye(6, dtype=torch.float64) + 5 * torch.ones(6, 6, dtype=torch.float64)
    reference = MultivariateNormal(torch.zeros(6, dtype=torch.float64), precision_matrix=precision)
    expected = reference.log_prob(filters()["conv.weight"].reshape(-1, 6)).sum()
    assert isinstance(prior, Correlated)
    torch.testing.assert_close(prior.log_density(filters()), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize(("precision", "filter_precision"), [(1.0, 0.1), (1.0, 10.0), (100.0, 3.0), (2.0, 500.0)])
def test_laplace_integrates_to_one(precision: float, filter_precision: float) -> None:
    """Filters of two numbers on a grid along their sum and difference (a rotation, so areas stay)."""
    prior = sum_filter("w", (1, 2), precision=precision, filter_precision=filter_precision, form="laplace")
    along = torch.sinh(torch.linspace(-8, 8, 2001, dtype=torch.float64)) * 6e-3 / math.sqrt(precision)
    across = torch.tensor(0.3 / math.sqrt(precision), dtype=torch.float64)
    filters = torch.stack([along + across, along - across], dim=1) / math.sqrt(2)
    density = torch.stack([prior.log_density({"w": each.reshape(1, 1, 1, 2)}) for each in filters]).exp()
    # What is left once the sum is integrated out is the normal density of the difference.
    expected = torch.distributions.Normal(0.0, precision**-0.5).log_prob(across).exp().item()
    assert torch.trapezoid(density, along).item() == pytest.approx(expected, rel=1e-4)


def test_laplace_is_the_reference_penalty_up_to_a_constant() -> None:
    prior = sum_filter("conv.weight", (3, 2), precision=2.0, filter_precision=5.0, form="laplace")
    own, twice = filters(), {"conv.weight": 2 * filters()["conv.weight"]}

    def penalty(weights: dict[str, Tensor]) -> Tensor:
        weight = weights["conv.weight"]
        return -0.5 * 2 * weight.square().sum() - 0.5 * 5 * weight.sum(dim=(2, 3)).abs().sum()

    difference = prior.log_density(own) - prior.log_density(twice)
    torch.testing.assert_close(difference, penalty(own) - penalty(twice), rtol=1e-12, atol=0)


def test_laplace_normalises_each_filter_whatever_its_size() -> None:
    """Z / Z_normal = E exp(−½ λ_f |s|) with s ~ N(0, d/λ), by quadrature; eight filters of six numbers."""
    prior = sum_filter("conv.weight", (3, 2), precision=2.0, filter_precision=5.0, form="laplace")
    s = torch.linspace(-20, 20, 400_001, dtype=torch.float64)
    normal = torch.distributions.Normal(torch.zeros((), dtype=torch.float64), (6 / 2) ** 0.5).log_prob(s)
    constant = 0.5 * 6 * math.log(2 * math.pi / 2) + torch.trapezoid((normal - 2.5 * s.abs()).exp(), s).log().item()
    found = prior.log_density({"conv.weight": torch.zeros(4, 2, 3, 2, dtype=torch.float64)}).item()
    assert found == pytest.approx(-8 * constant, rel=1e-6)


@pytest.mark.parametrize("form", ["gaussian", "laplace"])
def test_the_filter_precision_is_not_ignored(form: str) -> None:
    """The reference code reads it and then uses the weights' own."""
    own = filters()
    found = [
        sum_filter("conv.weight", (3, 2), precision=2.0, filter_precision=value, form=form)  # pyright: ignore
        .log_density(own)
        .item()
        for value in (2.0, 20.0)
    ]
    assert abs(found[0] - found[1]) > 1


@pytest.mark.parametrize("filter_precision", [0.1, 3.0, 40.0, 1e4])
def test_laplace_coordinates_have_variance_one(filter_precision: float) -> None:
    """Along the sum by numerical integration, elsewhere normal; the basis starts with the sum's direction."""
    prior = sum_filter("w", 3, precision=2.0, filter_precision=filter_precision, form="laplace")
    assert isinstance(prior, LaplaceSums)
    white = prior.whitening({"w": torch.zeros(1, 1, 3, 3, dtype=torch.float64)})["w"]
    assert not white.normal
    assert white.basis is not None
    assert isinstance(white.scale, Tensor)
    torch.testing.assert_close(white.basis @ white.basis.T, torch.eye(9, dtype=torch.float64), rtol=0, atol=1e-14)
    assert white.basis[:, 0].tolist() == pytest.approx([1 / 3] * 9)
    along = white.scale[0] * torch.linspace(-40, 40, 20_001, dtype=torch.float64)
    logs = -0.5 * 2 * along.square() - 0.5 * filter_precision * 3 * along.abs()
    weights = logs.exp()
    variance = (weights * along.square()).sum() / weights.sum()
    assert (variance / white.scale[0].square()).item() == pytest.approx(1, rel=1e-3)
    assert white.scale[1:].tolist() == pytest.approx([2**-0.5] * 8)


def test_a_single_weight_is_its_own_sum() -> None:
    prior = sum_filter("w", 1, precision=2.0, filter_precision=3.0)
    expected = torch.distributions.Normal(0.0, 5**-0.5).log_prob(torch.tensor(0.4)).item()
    assert prior.log_density({"w": torch.full((1, 1, 1, 1), 0.4)}).item() == pytest.approx(expected, rel=1e-6)
    laplace = sum_filter("w", 1, precision=2.0, filter_precision=3.0, form="laplace")
    axis = torch.linspace(-8, 8, 2001, dtype=torch.float64)
    density = torch.stack([laplace.log_density({"w": value.reshape(1, 1, 1, 1)}) for value in axis]).exp()
    assert torch.trapezoid(density, axis).item() == pytest.approx(1, abs=1e-4)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="The filter precision of a SumFilter prior is 0"):
        sum_filter("w", 3, precision=1.0, filter_precision=0.0)
    with pytest.raises(InputError, match="has no weights"):
        sum_filter("w", 0, precision=1.0, filter_precision=1.0)
    prior = sum_filter("w", 3, precision=1.0, filter_precision=1.0, form="laplace")
    with pytest.raises(InputError, match=r"has shape \[4, 2, 3, 2\]"):
        prior.log_density({"w": filters()["conv.weight"]})
    with pytest.raises(InputError, match="the tensor w, which is not there"):
        prior.whitening(filters())
