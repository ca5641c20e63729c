"""Priors are proper log densities: torch.distributions is the reference."""

from typing import Any

import pytest
import torch
from torch import Tensor, distributions

from surefoot.density.priors import Gaussian, Laplace, Prior, StudentT, spoken_for
from surefoot.density.whitening import Whitened
from surefoot.errors import InputError


def parameters(seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "body.weight": torch.randn(3, 4, generator=generator, dtype=torch.float64),
        "body.bias": torch.randn(3, generator=generator, dtype=torch.float64),
        "head.weight": torch.randn(2, 3, generator=generator, dtype=torch.float64),
    }


def test_gaussian_is_the_normal_density() -> None:
    reference = distributions.Normal(torch.tensor(0.0, dtype=torch.float64), 2.5**-0.5)
    expected = sum(reference.log_prob(tensor).sum() for tensor in parameters().values())
    torch.testing.assert_close(Gaussian(2.5).log_density(parameters()), expected, rtol=1e-12, atol=0)


def test_laplace_is_the_double_exponential_density() -> None:
    reference = distributions.Laplace(torch.tensor(0.0, dtype=torch.float64), 0.3)
    expected = sum(reference.log_prob(tensor).sum() for tensor in parameters().values())
    torch.testing.assert_close(Laplace(0.3).log_density(parameters()), expected, rtol=1e-12, atol=0)


def test_student_t_is_the_student_density() -> None:
    reference = distributions.StudentT(torch.tensor(5.0, dtype=torch.float64), 0.0, 0.3)
    expected = sum(reference.log_prob(tensor).sum() for tensor in parameters().values())
    torch.testing.assert_close(StudentT(5.0, 0.3).log_density(parameters()), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("prior", [Gaussian(2.5), Laplace(0.4), StudentT(3.0, 0.4), Gaussian(1e-2), Gaussian(100.0)])
@pytest.mark.parametrize("count", [1, 2])
def test_densities_integrate_to_one(prior: Prior, count: int) -> None:
    """The sign of a normaliser and its count: over one number, and over one of two numbers while the other stands still
    (its density at its centre is divided out)."""
    axis = torch.sinh(torch.linspace(-9, 9, 4001, dtype=torch.float64))  # to ±4,000, fine in the middle
    still = torch.zeros(count - 1, dtype=torch.float64)
    density = torch.stack([prior.log_density({"w": torch.cat([value[None], still])}).exp() for value in axis])
    if count == 2:
        density = density / prior.log_density({"w": still}).exp()
    assert torch.trapezoid(density, axis).item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    ("prior", "deviation", "normal"),
    [(Gaussian(4.0), 0.5, True), (Laplace(0.5), 2**-0.5, False), (StudentT(4.0, 3.0), 3 * 2**0.5, False)],
)
def test_whitening_is_by_the_standard_deviation(prior: Any, deviation: float, normal: bool) -> None:
    """Against the second moment, integrated numerically."""
    axis = torch.sinh(torch.linspace(-12, 12, 8001, dtype=torch.float64))
    density = torch.stack([prior.log_density({"w": value[None]}).exp() for value in axis])
    variance = torch.trapezoid(density * axis.square(), axis).item()
    white = prior.whitening(parameters())
    assert list(white) == list(parameters())
    assert isinstance(prior, Whitened)
    for each in white.values():
        assert each.scale == pytest.approx(deviation, rel=1e-12)
        assert each.scale**2 == pytest.approx(variance, rel=2e-3)
        assert (each.normal, each.basis, each.centre) == (normal, None, None)


def test_whitening_without_a_variance_is_by_the_scale() -> None:
    assert StudentT(2.0, 0.3).whitening(parameters())["body.bias"].scale == 0.3


def test_whitening_knows_centre_and_names() -> None:
    centre = {"body.bias": torch.ones(3)}
    prior = Gaussian(1.0, centre=centre, only=frozenset({"body.bias"}))
    white = prior.whitening(parameters())
    assert list(white) == spoken_for(prior, parameters()) == ["body.bias"]
    middle = white["body.bias"].centre
    assert middle is not None
    assert middle.dtype == torch.float64
    assert middle.tolist() == [1, 1, 1]


@pytest.mark.parametrize("prior", [Gaussian, Laplace])
def test_a_centre_moves_the_density(prior: type[Gaussian] | type[Laplace]) -> None:
    centre = parameters(seed=1)
    shifted = {name: tensor - centre[name] for name, tensor in parameters().items()}
    moved = prior(0.7, centre=centre).log_density(parameters())
    torch.testing.assert_close(moved, prior(0.7).log_density(shifted), rtol=1e-13, atol=0)


@pytest.mark.parametrize("prior", [Gaussian, Laplace])
def test_only_speaks_of_the_named_tensors(prior: type[Gaussian] | type[Laplace]) -> None:
    rest = {"body.bias": parameters()["body.bias"]}
    named = prior(0.7, only=frozenset({"body.bias"})).log_density(parameters())
    torch.testing.assert_close(named, prior(0.7).log_density(rest), rtol=0, atol=0)


def test_a_centre_is_needed_for_named_tensors_only() -> None:
    centre = {"body.bias": torch.zeros(3)}
    prior = Gaussian(1.0, centre=centre, only=frozenset({"body.bias"}))
    expected = Gaussian(1.0, only=frozenset({"body.bias"})).log_density(parameters())
    assert prior.log_density(parameters()) == expected


def test_the_gaussian_gradient_pulls_towards_the_centre() -> None:
    theta = torch.tensor([1.0, -2.0], dtype=torch.float64, requires_grad=True)
    Gaussian(3.0, centre={"w": torch.tensor([0.5, 0.0])}).log_density({"w": theta}).backward()
    assert theta.grad is not None
    assert theta.grad.tolist() == [-1.5, 6.0]


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_precision_must_be_positive(value: float) -> None:
    with pytest.raises(InputError) as raised:
        Gaussian(value)
    assert str(raised.value) == f"The precision of a prior is {value}; give a positive number."
    with pytest.raises(InputError) as raised:
        Laplace(value)
    assert str(raised.value) == f"The scale of a prior is {value}; give a positive number."
    with pytest.raises(InputError, match="The degrees of a prior"):
        StudentT(value, 1.0)
    with pytest.raises(InputError, match="The scale of a prior"):
        StudentT(3.0, value)


def test_counters_are_no_parameters() -> None:
    with pytest.raises(InputError) as raised:
        Gaussian(1.0).log_density({"count": torch.tensor(3)})
    assert str(raised.value) == (
        "count holds torch.int64 and is no parameter; pass the trainable parameters, or name them in `only`."
    )


def test_unknown_names_and_centres_are_named() -> None:
    with pytest.raises(InputError) as raised:
        Gaussian(1.0, only=frozenset({"tail.weight"})).log_density({"w": torch.zeros(1)})
    assert str(raised.value) == ("The prior names parameters that are not there: ['tail.weight']; there are ['w'].")
    with pytest.raises(InputError) as raised:
        Gaussian(1.0, centre={"w": torch.zeros(2)}).log_density({"w": torch.zeros(1)})
    assert str(raised.value) == (
        "The prior's centre has no tensor of the right shape for ['w']; give one, or use `only`."
    )
    with pytest.raises(InputError, match="given no parameters"):
        Gaussian(1.0).log_density({})
