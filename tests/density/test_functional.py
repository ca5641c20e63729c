"""Functional priors against their equations, and the threshold below which they lead astray."""

import math

import pytest
import torch
from torch import Tensor, distributions

from surefoot.density.functional import Confidence, DirClip, Dirichlet, Form, dirclip_threshold
from surefoot.density.likelihoods import categorical, categorical_gradient
from surefoot.errors import InputError


def logits(rows: int = 60, classes: int = 6) -> Tensor:
    return 6 * torch.randn(rows, classes, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


FORMS: list[Form] = [
    Dirichlet(0.3),
    Dirichlet(2.5),
    DirClip(-0.5, -4.0),
    DirClip(1.4, -50.0),
    Confidence(0.1),
    Confidence(3.0),
]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_output_gradients_are_those_of_autograd(form: Form) -> None:
    leaf = logits().requires_grad_()
    form.log_density(leaf).sum().backward()
    gradient = form.output_gradient(leaf)
    torch.testing.assert_close(gradient, leaf.grad, rtol=1e-11, atol=1e-12)
    assert not gradient.requires_grad


def test_dirichlet_is_the_dirichlet_density_up_to_its_constant() -> None:
    alpha = torch.full((6,), 0.3, dtype=torch.float64)
    constant = math.lgamma(6 * 0.3) - 6 * math.lgamma(0.3)
    expected = distributions.Dirichlet(alpha).log_prob(logits().softmax(dim=1)) - constant
    torch.testing.assert_close(Dirichlet(0.3).log_density(logits()), expected, rtol=1e-11, atol=1e-11)


def test_dirclip_clips_each_class_before_the_sum() -> None:
    """Not the sum: with log p = (≈0, −3, −30) and v = −10, Σ max(log p_k, v) ≈ −13, where max(Σ, v) would be −10."""
    logs = torch.tensor([[0.0, -3.0, -30.0]], dtype=torch.float64)
    own = logs.log_softmax(dim=1)[0]
    expected = -0.5 * (own[0] + own[1] - 10)
    torch.testing.assert_close(DirClip(0.5, -10.0).log_density(logs)[0], expected, rtol=1e-12, atol=0)


def test_clipped_classes_have_no_gradient_of_their_own() -> None:
    """Moving a clipped class' logit further down changes nothing; other classes still feel the prior."""
    far = torch.tensor([[0.0, -3.0, -80.0]], dtype=torch.float64)
    assert DirClip(0.5, -10.0).output_gradient(far)[0, 2].abs() < 1e-30
    assert DirClip(0.5, -10.0).output_gradient(far)[0, 1].abs() > 0.1
    assert Dirichlet(0.5).output_gradient(far)[0, 2].item() == pytest.approx(-0.5)


def test_without_clipping_dirclip_is_dirichlet() -> None:
    torch.testing.assert_close(
        DirClip(0.3, -1e6).log_density(logits()), Dirichlet(0.3).log_density(logits()), rtol=0, atol=0
    )


def test_dirclip_is_bounded_as_stated_and_dirichlet_is_not() -> None:
    extreme = torch.tensor([[0.0, -1e4, -1e4, -1e4]])
    assert DirClip(-0.5, -10.0).log_density(extreme).item() == 1.5 * 3 * 10
    assert Dirichlet(0.5).log_density(extreme).item() == 15_000
    assert [form.bounded for form in FORMS] == [False, True, True, True, True, True]
    assert Dirichlet(1.0).bounded


def test_confidence_makes_the_cold_likelihood_where_the_prediction_is_the_label() -> None:
    temperature, targets = 0.05, torch.arange(60) % 6
    joint = categorical(logits(), targets) + Confidence(temperature).log_density(logits())
    right = logits().argmax(dim=1) == targets
    assert 0 < int(right.sum()) < 60
    cold = categorical(logits(), targets) / temperature
    torch.testing.assert_close(joint[right], cold[right], rtol=1e-12, atol=1e-14)
    assert (joint[~right] > cold[~right]).all()


@pytest.mark.parametrize("temperature", [0.5, 0.1, 0.01])
def test_the_confidence_posterior_tends_to_the_cold_one(temperature: float) -> None:
    """Two classes, flat in p = p_y: ∫ p max(p, 1−p)^{1/T−1} = T (1 − 2^{−1/T}) beside ∫ p^{1/T} = T/(1 + T)."""
    power = 1 / temperature
    p = torch.linspace(0, 1, 400_001, dtype=torch.float64)
    outputs = torch.stack([p.log(), (1 - p).log()], dim=1)
    targets = torch.zeros(len(p), dtype=torch.int64)
    joint = (categorical(outputs, targets) + Confidence(temperature).log_density(outputs)).exp()
    cold = (categorical(outputs, targets) / temperature).exp()
    mass = torch.trapezoid(joint, p).item()
    assert mass == pytest.approx(temperature * (1 - 2**-power), rel=1e-4)
    assert torch.trapezoid(cold, p).item() == pytest.approx(temperature / (1 + temperature), rel=1e-4)
    distance = torch.trapezoid((joint / mass - cold / torch.trapezoid(cold, p)).abs(), p).item()
    assert distance < 2.5 * temperature


def follows(alpha: float, classes: int) -> bool:
    """Whether gradient flow on one row's logits, from where a wrong class has nearly everything, turns to the label."""
    prior, target = DirClip(alpha, -1e3), torch.tensor([0])
    z = torch.zeros(1, classes, dtype=torch.float64)
    z[0, 1] = 12 + math.log(classes)
    start = (z[0, 0] - z[0, 1]).item()
    for _ in range(50):
        z = z + 1e-3 * (categorical_gradient(z, target) + prior.output_gradient(z))
    return (z[0, 0] - z[0, 1]).item() > start


@pytest.mark.parametrize(("classes", "threshold"), [(10, 0.8), (3, 0.3333), (100, 0.98)])
def test_the_threshold_is_where_gradient_flow_turns(classes: int, threshold: float) -> None:
    """Bisection over α, 14 halvings."""
    low, high = 0.0, 1.0
    assert (follows(low, classes), follows(high, classes)) == (False, True)
    for _ in range(14):
        middle = (low + high) / 2
        low, high = (low, middle) if follows(middle, classes) else (middle, high)
    assert (low + high) / 2 == pytest.approx(threshold, abs=3e-4)
    assert dirclip_threshold(classes) == pytest.approx(threshold, abs=5e-5)


def test_bad_settings_are_refused() -> None:
    for bad in (0.0, -1.0, math.nan):
        with pytest.raises(InputError, match="The α of a Dirichlet prior"):
            Dirichlet(bad)
        with pytest.raises(InputError, match="temperature of a confidence prior"):
            Confidence(bad)
    for floor in (0.0, 1.0, -math.inf):
        with pytest.raises(InputError, match="The floor of a DirClip prior"):
            DirClip(0.5, floor)
    with pytest.raises(InputError, match="The α of a DirClip prior"):
        DirClip(math.nan, -10.0)
    with pytest.raises(InputError, match="no threshold for 1 classes"):
        dirclip_threshold(1)
