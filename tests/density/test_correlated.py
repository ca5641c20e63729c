"""The correlated prior against torch's multivariate normal, and its coordinates."""

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from surefoot.density.correlated import Correlated
from surefoot.errors import InputError


def a_basis(size: int) -> Tensor:
    square = torch.randn(size, size, generator=torch.Generator().manual_seed(size), dtype=torch.float64)
    return torch.linalg.qr(square)[0]


def variances(size: int) -> Tensor:
    return torch.rand(size, generator=torch.Generator().manual_seed(7), dtype=torch.float64) * 3 + 0.1


@pytest.mark.parametrize(("shape", "size"), [((5, 6), 6), ((4, 2, 3, 3), 18), ((4, 2, 3, 3), 9), ((6,), 6)])
def test_is_the_multivariate_normal_of_the_last_axes(shape: tuple[int, ...], size: int) -> None:
    weight = torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    centre = torch.randn(*shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    basis, variance = a_basis(size), variances(size)
    reference = MultivariateNormal(torch.zeros(size, dtype=torch.float64), basis @ torch.diag(variance) @ basis.T)
    expected = reference.log_prob((weight - centre).reshape(-1, size)).sum()
    prior = Correlated("w", basis, variance, {"w": centre})
    torch.testing.assert_close(prior.log_density({"w": weight, "other": weight}), expected, rtol=1e-11, atol=0)


def test_coordinates_are_standard_normal() -> None:
    """w = c + U (√v ⊙ u): the density of w is that of u over the volume of the map."""
    basis, variance = a_basis(4), variances(4)
    prior = Correlated("w", basis, variance, {"w": torch.ones(3, 4)})
    white = prior.whitening({"w": torch.zeros(3, 4, dtype=torch.float64)})["w"]
    assert white.normal
    assert isinstance(white.scale, Tensor)
    assert white.basis is not None
    assert white.centre is not None
    u = torch.randn(3, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    w = white.centre + (u * white.scale) @ white.basis.T
    standard = torch.distributions.Normal(torch.zeros((), dtype=torch.float64), 1.0).log_prob(u).sum()
    volume = 3 * white.scale.log().sum()
    torch.testing.assert_close(prior.log_density({"w": w}), standard - volume, rtol=1e-12, atol=0)


def test_several_tensors_share_one_covariance() -> None:
    basis, variance = a_basis(4), variances(4)
    both = {"a": torch.ones(2, 4, dtype=torch.float64), "b": torch.zeros(3, 4, dtype=torch.float64)}
    apart = Correlated("a", basis, variance).log_density(both) + Correlated("b", basis, variance).log_density(both)
    together = Correlated(("a", "b"), basis, variance)
    torch.testing.assert_close(together.log_density(both), apart, rtol=1e-13, atol=0)
    assert together.names_in(both) == list(together.whitening(both)) == ["a", "b"]


def test_narrow_directions_keep_their_precision_in_float32() -> None:
    """Variances of 1e-8 beside 1: what an inverted covariance in float32 gets wrong by its sign."""
    basis, variance = a_basis(20), torch.logspace(-8, 0, 20, dtype=torch.float64)
    u = torch.randn(5, 20, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    wide = u.clone()
    wide[:, :10] = 0  # nothing along the narrow half
    w = {"w": ((wide * variance.sqrt()) @ basis.T).float()}
    exact = Correlated("w", basis, variance).log_density({"w": w["w"].double()})
    torch.testing.assert_close(Correlated("w", basis, variance).log_density(w).double(), exact, rtol=1e-3, atol=0)
    assert Correlated("w", basis, variance).log_density({"w": w["w"] * 1e6}).item() < 0, "no direction is unbounded"


def test_float32_parameters_get_float32_coordinates() -> None:
    white = Correlated("w", a_basis(4), variances(4)).whitening({"w": torch.zeros(3, 4)})["w"]
    assert isinstance(white.scale, Tensor)
    assert white.basis is not None
    assert (white.scale.dtype, white.basis.dtype) == (torch.float32, torch.float32)


def test_what_is_no_covariance_is_refused() -> None:
    with pytest.raises(InputError, match=r"1 of 2 variances are not positive numbers \(the smallest is 0\.0\)"):
        Correlated("w", torch.eye(2), torch.tensor([1.0, 0.0]))
    with pytest.raises(InputError, match="not positive numbers"):
        Correlated("w", torch.eye(2), torch.tensor([1.0, float("nan")]))
    with pytest.raises(InputError, match="not orthonormal"):
        Correlated("w", torch.tensor([[1.0, 0.1], [0.0, 1.0]]), torch.ones(2))
    with pytest.raises(InputError, match="not orthonormal"):
        Correlated("w", torch.full((2, 2), float("nan")), torch.ones(2))


def test_tensors_that_do_not_fit_are_named() -> None:
    prior = Correlated("w", torch.eye(3), torch.ones(3))
    with pytest.raises(InputError) as raised:
        prior.log_density({"v": torch.zeros(3)})
    assert str(raised.value) == "The prior names the tensor w, which is not there; there are ['v']."
    with pytest.raises(InputError) as raised:
        prior.log_density({"w": torch.zeros(3, 2)})
    assert str(raised.value) == (
        "w has shape [3, 2], whose last axes hold no vectors of 3 numbers; give a basis that fits them."
    )
    with pytest.raises(InputError, match="no tensor of the shape"):
        Correlated("w", torch.eye(3), torch.ones(3), {"w": torch.zeros(3)}).log_density({"w": torch.zeros(2, 3)})
