"""EmpCov's forms against their equations, on dead inputs and on matrices that are no covariances."""

import math

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from surefoot.density.correlated import Correlated
from surefoot.density.covariance import empirical_covariance
from surefoot.density.empcov import empcov
from surefoot.errors import InputError


def covariance(dead: int = 2, alive: int = 4) -> Tensor:
    """Some inputs never vary; the rest are correlated."""
    inputs = torch.zeros(50, alive + dead, dtype=torch.float64)
    mix = torch.randn(alive, alive, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    inputs[:, :alive] = torch.randn(50, alive, generator=torch.Generator().manual_seed(0), dtype=torch.float64) @ mix
    return empirical_covariance(inputs)


def spread(prior: Correlated) -> Tensor:
    """U diag(v) Uᵀ, the covariance of a unit's weights."""
    return prior.basis @ torch.diag(prior.variance) @ prior.basis.T


def test_paper_is_alpha_sigma_plus_epsilon() -> None:
    prior = empcov(covariance(), name="w", floor=0.01, form="paper", alpha=3.0)
    expected = 3 * covariance() + 0.01 * torch.eye(6, dtype=torch.float64)
    torch.testing.assert_close(spread(prior), expected, rtol=1e-12, atol=1e-12)


def test_trace_keeps_the_mean_variance() -> None:
    prior = empcov(covariance(), name="w", floor=1e-3, precision=4.0)
    assert prior.variance.mean().item() == pytest.approx(1 / 4 + 1e-3, rel=1e-12)
    scaled = covariance() * (6 / (4 * covariance().trace())) + 1e-3 * torch.eye(6, dtype=torch.float64)
    torch.testing.assert_close(spread(prior), scaled, rtol=1e-12, atol=1e-12)
    units = empcov(covariance() * 100, name="w", floor=1e-3, precision=4.0)
    torch.testing.assert_close(units.variance, prior.variance, rtol=1e-12, atol=0)


def test_reference_is_the_reference_codes_precision() -> None:
    """−½ κ wᵀ Σ̂⁻¹ w − ½ λ ‖w‖² on inputs that all vary, where that inverse exists (ε beside it is negligible)."""
    own = covariance(dead=0)
    prior = empcov(own, name="w", floor=1e-13, form="reference", precision=2.0, empcov_precision=3.0)
    precision = 3 * torch.linalg.inv(own) + 2 * torch.eye(4, dtype=torch.float64)
    torch.testing.assert_close(torch.linalg.inv(spread(prior)), precision, rtol=1e-8, atol=1e-8)


def test_saturating_never_exceeds_the_plain_prior() -> None:
    prior = empcov(covariance() * 1e6, name="w", floor=1e-6, form="saturating", precision=4.0)
    assert prior.variance.max().item() == pytest.approx(0.25, rel=1e-4)
    assert prior.variance.max() <= 0.25 + 1e-6
    same = empcov(covariance(), name="w", floor=1e-6, form="reference", precision=4.0, empcov_precision=4.0)
    saturating = empcov(covariance(), name="w", floor=1e-6, form="saturating", precision=4.0)
    torch.testing.assert_close(saturating.variance, same.variance, rtol=1e-12, atol=0)


@pytest.mark.parametrize("form", ["trace", "paper", "saturating", "reference"])
def test_dead_inputs_keep_the_floor_and_nothing_is_below_it(form: str) -> None:
    """A singular covariance is the ordinary case: real digits, three of whose pixels never vary."""
    pixels = torch.from_numpy(load_digits().data / 16).float()
    own = empirical_covariance(pixels)
    settings = {"paper": {"alpha": 2.0}, "reference": {"empcov_precision": 100.0, "precision": 100.0}}.get(form, {})
    prior = empcov(own, name="w", floor=1e-4, form=form, **settings)  # pyright: ignore
    assert prior.variance.min().item() == pytest.approx(1e-4, rel=1e-9)
    assert int((prior.variance < 1.0001e-4).sum()) >= 3
    dead = (own.diagonal() == 0).nonzero().squeeze(1)
    assert len(dead) == 3
    of_dead = spread(prior)[dead][:, dead]
    torch.testing.assert_close(of_dead, 1e-4 * torch.eye(3, dtype=torch.float64), rtol=1e-9, atol=1e-12)


def test_the_shipped_inverse_cannot_happen() -> None:
    """Inverting Σ̂ + 1e-10 I in float32 gives asymmetric matrices with negative eigenvalues; so does no form of ours.

    Twelve causes behind forty inputs. The density falls along every direction, with a curvature 1/v of at most 1/ε.
    """
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(200, 12, generator=generator) @ torch.randn(12, 40, generator=generator)
    own = empirical_covariance(inputs)
    shipped = torch.linalg.inv(own.float() + 1e-10 * torch.eye(40))
    assert torch.linalg.eigvalsh(shipped.double())[0] < -1, "the trap is there to be fallen into"
    with pytest.raises(InputError, match=r"not symmetric|negative eigenvalue"):
        empcov(shipped, name="w", floor=1e-4)
    prior = empcov(own, name="w", floor=1e-4)
    point = torch.zeros(1, 40, dtype=torch.float64)
    curvature = -torch.autograd.functional.hessian(lambda w: prior.log_density({"w": w}), point).reshape(40, 40)
    eigen = torch.linalg.eigvalsh(curvature)
    assert eigen[0].item() > 0
    assert eigen[-1].item() == pytest.approx(1e4, rel=1e-9)


def test_a_float32_covariance_of_dead_inputs_passes() -> None:
    prior = empcov(covariance().float(), name="w", floor=1e-4)
    torch.testing.assert_close(spread(prior), spread(empcov(covariance(), name="w", floor=1e-4)), rtol=1e-5, atol=1e-6)


def test_what_is_no_covariance_is_refused() -> None:
    good = covariance()
    for bad, message in (
        (good * math.nan, "not finite"),
        (good + torch.triu(torch.ones_like(good), 1), "not symmetric"),
        (-good, "negative eigenvalue"),
        (good - 0.1 * torch.eye(6, dtype=torch.float64), "negative eigenvalue -0.1"),
        (good * 0, "inputs never vary"),
    ):
        with pytest.raises(InputError, match=message):
            empcov(bad, name="w", floor=1e-4)


def test_settings_belong_to_their_form() -> None:
    own = covariance()
    for settings, message in (
        ({"floor": 0.0}, "The floor of an EmpCov prior is 0.0; give a positive number."),
        ({"floor": -1e-4}, "The floor of an EmpCov prior is -0.0001; give a positive number."),
        ({"floor": 0.1, "form": "paper"}, 'The form "paper" needs alpha; only "paper" takes it.'),
        ({"floor": 0.1, "alpha": 1.0}, 'The form "trace" has no alpha; only "paper" takes it.'),
        (
            {"floor": 0.1, "form": "reference"},
            'The form "reference" needs empcov_precision; only "reference" takes it.',
        ),
        (
            {"floor": 0.1, "form": "paper", "alpha": 1.0, "precision": 2.0},
            'The form "paper" has no precision (2.0 was given); its scale is alpha.',
        ),
    ):
        with pytest.raises(InputError) as raised:
            empcov(own, name="w", **settings)  # pyright: ignore
        assert str(raised.value) == message
