"""Priors are proper log densities: torch.distributions is the reference."""

import pytest
import torch
from torch import Tensor, distributions

from surefoot.density.priors import Gaussian, Laplace
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
