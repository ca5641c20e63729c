"""A prior in parts: the sum of its parts, each tensor once."""

import pytest
import torch
from torch import Tensor

from surefoot.density.correlated import Correlated
from surefoot.density.layered import Layered, scaled_by_fan_in
from surefoot.density.priors import Gaussian, Laplace
from surefoot.density.whitening import Whitening
from surefoot.errors import InputError


def parameters() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = {"hidden1.weight": (4, 3), "hidden1.bias": (4,), "head.weight": (2, 4), "head.bias": (2,)}
    return {name: torch.randn(*shape, generator=generator, dtype=torch.float64) for name, shape in shapes.items()}


class Bare:
    """A prior that knows nothing but its density."""

    def log_density(self, parameters: dict[str, Tensor]) -> Tensor:
        return Gaussian(1.0).log_density(parameters)


def test_the_parts_add_up() -> None:
    prior = Layered({"hidden1.weight": Laplace(0.3), "*.bias": Gaussian(7.0)}, rest=Gaussian(2.0))
    own = parameters()
    expected = (
        Laplace(0.3).log_density({"w": own["hidden1.weight"]})
        + Gaussian(7.0).log_density({"a": own["hidden1.bias"], "b": own["head.bias"]})
        + Gaussian(2.0).log_density({"w": own["head.weight"]})
    )
    torch.testing.assert_close(prior.log_density(own), expected, rtol=1e-13, atol=0)


def test_equal_parts_are_one_prior() -> None:
    prior = Layered({"head.*": Gaussian(3.0), "hidden1.*": Gaussian(3.0)})
    torch.testing.assert_close(
        prior.log_density(parameters()), Gaussian(3.0).log_density(parameters()), rtol=1e-13, atol=0
    )


def test_whitening_is_each_parts_own() -> None:
    basis, variance = torch.eye(3, dtype=torch.float64), torch.tensor([1.0, 4.0, 9.0], dtype=torch.float64)
    prior = Layered({"hidden1.weight": Correlated("hidden1.weight", basis, variance), "*.bias": Bare()}, Gaussian(4.0))
    white = prior.whitening(parameters())
    assert list(white) == list(parameters())
    scale = white["hidden1.weight"].scale
    assert isinstance(scale, Tensor)
    assert scale.tolist() == [1, 2, 3]
    assert white["head.weight"] == Whitening(0.5)
    assert white["head.bias"] == Whitening(1.0, normal=False), "a bare prior is sampled in its own coordinates"


def test_fan_in_keeps_the_variance_of_sums() -> None:
    """N(0, v/n) weights on inputs of ones: the unit's sum has variance v, 20,000 units to within five errors (5 %)."""
    for inputs in (3, 300):
        shapes = {"weight": torch.zeros(2, inputs), "bias": torch.zeros(2)}
        white = scaled_by_fan_in(shapes, variance=2.0, others=0.25).whitening(shapes)
        assert white["bias"].scale == 0.5
        draws = torch.randn(20_000, inputs, generator=torch.Generator().manual_seed(inputs)) * white["weight"].scale
        assert draws.sum(dim=1).var().item() == pytest.approx(2, rel=0.05)


def test_fan_in_counts_the_pixels_of_a_convolution() -> None:
    shapes = {"conv.weight": torch.zeros(8, 2, 3, 3)}
    assert scaled_by_fan_in(shapes).whitening(shapes)["conv.weight"].scale == pytest.approx(18**-0.5)
    with pytest.raises(InputError, match="The variance is 0"):
        scaled_by_fan_in(shapes, variance=0.0)


def test_fan_in_takes_scales_of_any_axes_for_no_weights() -> None:
    """Filter response normalisation's [C, 1, 1] have one number a unit; a layer of one input looks the same."""
    shapes = {
        "weight": torch.zeros(8, 4),
        "gamma": torch.zeros(8, 1, 1),
        "one": torch.zeros(8, 1),
        "level": torch.zeros(()),
    }
    whitenings = scaled_by_fan_in(shapes, variance=4.0, others=0.25).whitening(shapes)
    assert {name: white.scale for name, white in whitenings.items()} == {
        "weight": 1.0,
        "gamma": 0.5,
        "one": 0.5,
        "level": 0.5,
    }


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        (
            Layered({"head.*": Gaussian(1.0)}),
            "No prior speaks of ['hidden1.weight', 'hidden1.bias']; add patterns for them, or give `rest` a prior.",
        ),
        (
            Layered({"head.*": Gaussian(1.0), "*.bias": Gaussian(1.0)}, Gaussian(1.0)),
            "head.bias matches the patterns ['head.*', '*.bias']; each tensor may have one prior: make the patterns "
            "disjoint.",
        ),
        (
            Layered({"tail.*": Gaussian(1.0)}, Gaussian(1.0)),
            "The patterns ['tail.*'] match no parameter; there are ['hidden1.weight', 'hidden1.bias', 'head.weight', "
            "'head.bias'].",
        ),
        (
            Layered({"head.*": Gaussian(1.0, only=frozenset({"head.bias"}))}, Gaussian(1.0)),
            "Gaussian was given ['head.weight', 'head.bias'] and leaves out ['head.weight']; a pattern's prior must "
            "speak of all tensors that match it.",
        ),
        (
            Layered({"head.*": Gaussian(1.0)}, Correlated("hidden1.weight", torch.eye(3), torch.ones(3))),
            "Correlated was given ['hidden1.weight', 'hidden1.bias'] and leaves out ['hidden1.bias']; a pattern's "
            "prior must speak of all tensors that match it.",
        ),
    ],
)
def test_every_tensor_is_spoken_for_exactly_once(prior: Layered, message: str) -> None:
    for use in (prior.log_density, prior.whitening, prior.names_in):
        with pytest.raises(InputError) as raised:
            use(parameters())
        assert str(raised.value) == message
