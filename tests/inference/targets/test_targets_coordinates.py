"""Whitened coordinates: exact inverses, adjoint gradients, and u standard normal where the prior is normal."""

import math

import pytest
import target_examples as examples
import torch
from torch import Tensor

from surefoot.density.correlated import Correlated
from surefoot.density.layered import Layered
from surefoot.density.priors import Gaussian, Laplace, Prior, StudentT
from surefoot.density.whitening import Whitening
from surefoot.errors import InputError
from surefoot.inference.targets.coordinates import Coordinates, make_coordinates
from surefoot.inference.targets.layout import interleaved, plain
from surefoot.inference.targets.prior_part import add_prior_gradient, prior_density
from surefoot.networks.network import Parameters

TENSORS: Parameters = {
    "first.weight": examples.randn(4, 5, seed=1),
    "first.bias": examples.randn(4, seed=2),
    "filters": examples.randn(3, 2, 2, 2, seed=3),
    "scale": examples.randn(seed=4),
}
CENTRES: Parameters = {name: examples.randn(*tensor.shape, seed=9) for name, tensor in TENSORS.items()}


def correlated(name: str, width: int, centre: Parameters | None = None) -> Correlated:
    return Correlated(name, examples.basis(width), torch.linspace(0.01, 3, width, dtype=torch.float64), centre)


PRIORS: dict[str, Prior] = {
    "one scale": Gaussian(7.0),
    "a centre": Gaussian(7.0, centre=CENTRES),
    "layers": Layered({"first.*": Gaussian(0.1), "filters": Laplace(0.3)}, rest=StudentT(3.0, 0.2)),
    "a basis of units": Layered({"first.weight": correlated("first.weight", 5)}, rest=Gaussian(2.0)),
    "a basis of filters": Layered({"filters": correlated("filters", 4)}, rest=Gaussian(2.0)),
    "a basis of blocks": Layered({"filters": correlated("filters", 8)}, rest=Laplace(2.0)),
    "bases and centres": Layered(
        {"first.weight": correlated("first.weight", 5, CENTRES), "filters": correlated("filters", 4, CENTRES)},
        rest=Gaussian(2.0, centre=CENTRES),
    ),
}


def coordinates_of(prior: Prior, *, joined: bool = True) -> Coordinates:
    layout = interleaved(TENSORS) if joined else plain(TENSORS)
    return make_coordinates(prior, TENSORS, layout, torch.float64)


@pytest.mark.parametrize("joined", [True, False])
@pytest.mark.parametrize("name", PRIORS)
def test_there_and_back(name: str, joined: bool) -> None:
    coordinates = coordinates_of(PRIORS[name], joined=joined)
    u = examples.randn(3, coordinates.layout.size, seed=5)
    torch.testing.assert_close(coordinates.to_position(coordinates.to_parameters(u)), u, rtol=1e-13, atol=1e-13)
    theta = examples.randn(3, coordinates.layout.size, seed=6)
    kept = theta.clone()
    back = coordinates.to_parameters(coordinates.to_position(theta))
    torch.testing.assert_close(back, theta, rtol=1e-13, atol=1e-13)
    assert torch.equal(theta, kept)


@pytest.mark.parametrize("name", PRIORS)
def test_gradients_are_pulled_back_by_the_adjoint(name: str) -> None:
    """⟨g, J v⟩ = ⟨Jᵀ g, v⟩, with J v = θ(v) − θ(0)."""
    coordinates = coordinates_of(PRIORS[name])
    size = coordinates.layout.size
    g, v = examples.randn(2, size, seed=7), examples.randn(2, size, seed=8)
    moved = coordinates.to_parameters(v) - coordinates.to_parameters(torch.zeros_like(v))
    left = (g * moved).sum(dim=1)
    right = (coordinates.pull_back(g.clone()) * v).sum(dim=1)
    torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", PRIORS)
def test_the_whitening_is_followed_tensor_by_tensor(name: str) -> None:
    """θ = c + B (s ⊙ u), written out for each vector."""
    prior = PRIORS[name]
    coordinates = coordinates_of(prior)
    u = examples.randn(1, coordinates.layout.size, seed=5)
    found = coordinates.layout.views(coordinates.to_parameters(u))
    for key, whitening in coordinates.whitenings.items():
        own = coordinates.layout.views(u)[key][0]
        if whitening.basis is None:
            expected = own * whitening.scale
        else:
            width = len(whitening.basis)
            vectors = [whitening.basis @ (whitening.scale * vector) for vector in own.reshape(-1, width)]
            expected = torch.stack(vectors).view(own.shape)
        expected = expected if whitening.centre is None else expected + whitening.centre
        torch.testing.assert_close(found[key][0], expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name", PRIORS)
def test_the_priors_part_is_the_prior_itself(name: str) -> None:
    prior, temperature = PRIORS[name], 0.3
    coordinates = coordinates_of(prior)
    u = examples.randn(3, coordinates.layout.size, seed=5)

    def density(position: Tensor) -> Tensor:
        views = coordinates.layout.views(coordinates.to_parameters(position))
        return prior.log_density({key: view[0] for key, view in views.items()}) / temperature

    found = prior_density(prior, coordinates, u, temperature)
    out = torch.ones_like(u)
    add_prior_gradient(prior, coordinates, u, temperature, out)
    for chain in range(3):
        torch.testing.assert_close(found[chain], density(u[chain : chain + 1]), rtol=1e-12, atol=1e-12)
        for number in (0, 7, 20, coordinates.layout.size - 1):
            step = torch.zeros_like(u[:1])
            step[0, number] = 1e-6
            here = u[chain : chain + 1]
            slope = (density(here + step) - density(here - step)) / 2e-6
            torch.testing.assert_close(out[chain, number] - 1, slope, rtol=1e-6, atol=1e-6)


def test_normal_priors_are_standard_normal_in_u() -> None:
    for name, prior in PRIORS.items():
        assert coordinates_of(prior).normal == (name not in ("layers", "a basis of blocks"))
    coordinates = coordinates_of(PRIORS["bases and centres"])
    u = examples.randn(1, coordinates.layout.size, seed=5)
    size = coordinates.layout.size
    spread = prior_density(PRIORS["bases and centres"], coordinates, u, 1.0) + coordinates.log_volume
    normal = torch.distributions.Normal(0.0, 1.0).log_prob(u).sum()
    torch.testing.assert_close(spread[0], normal, rtol=1e-12, atol=1e-12)
    assert size * 0.5 * math.log(2 * math.pi) > 0


def test_the_centre_has_the_highest_density() -> None:
    coordinates = coordinates_of(PRIORS["bases and centres"])
    flat = coordinates.to_parameters(torch.zeros(1, coordinates.layout.size, dtype=torch.float64))
    for name, view in coordinates.layout.views(flat).items():
        torch.testing.assert_close(view[0], CENTRES[name])


class Unwhitened:
    """A prior that knows no coordinates: logistic distributions."""

    def log_density(self, parameters: Parameters) -> Tensor:
        terms = [-value - 2 * torch.log1p(torch.exp(-value)) for value in parameters.values()]
        return torch.stack([term.sum() for term in terms]).sum()


def test_a_prior_without_whitening_is_sampled_as_it_is() -> None:
    coordinates = coordinates_of(Unwhitened())
    u = examples.randn(2, coordinates.layout.size, seed=5)
    assert torch.equal(coordinates.to_parameters(u), u)
    out = torch.zeros_like(u)
    add_prior_gradient(Unwhitened(), coordinates, u, 1.0, out)
    torch.testing.assert_close(out, -torch.tanh(u / 2), rtol=1e-12, atol=1e-12)


class Wrong:
    """A prior with whitenings as given."""

    def __init__(self, whitenings: dict[str, Whitening]) -> None:
        self.whitenings = whitenings

    def log_density(self, parameters: Parameters) -> Tensor:
        return torch.zeros(())

    def whitening(self, parameters: Parameters) -> dict[str, Whitening]:
        return self.whitenings


def test_whitenings_that_do_not_fit_are_refused() -> None:
    good = {name: Whitening(1.0) for name in TENSORS}
    wrongs = {
        "says nothing of scale": {name: white for name, white in good.items() if name != "scale"},
        "positive and finite": {**good, "scale": Whitening(0.0)},
        "must turn the last axes": {**good, "first.weight": Whitening(torch.ones(4), torch.eye(4))},
        r"has 3 scales": {**good, "first.weight": Whitening(torch.ones(3))},
        "centre of scale": {**good, "scale": Whitening(1.0, centre=torch.zeros(2))},
    }
    for words, whitenings in wrongs.items():
        with pytest.raises(InputError, match=words):
            coordinates_of(Wrong(whitenings))
