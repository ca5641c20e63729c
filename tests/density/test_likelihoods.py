"""The categorical likelihood against torch's cross entropy, and what it refuses."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from surefoot.density.likelihoods import categorical, categorical_gradient, gradient_by_outputs
from surefoot.density.regression import GaussianNoise
from surefoot.errors import InputError


def logits(rows: int = 50, classes: int = 7) -> torch.Tensor:
    return 5 * torch.randn(rows, classes, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_hard_targets_equal_cross_entropy() -> None:
    targets = torch.randint(0, 7, (50,), generator=torch.Generator().manual_seed(2))
    expected = -cross_entropy(logits(), targets, reduction="none")
    torch.testing.assert_close(categorical(logits(), targets), expected, rtol=0, atol=0)


def test_soft_targets_equal_cross_entropy() -> None:
    targets = torch.rand(50, 7, generator=torch.Generator().manual_seed(3), dtype=torch.float64).softmax(dim=1)
    expected = -cross_entropy(logits(), targets, reduction="none")
    torch.testing.assert_close(categorical(logits(), targets), expected, rtol=1e-14, atol=1e-14)


def test_one_hot_soft_targets_equal_hard_ones() -> None:
    targets = torch.arange(50) % 7
    soft = torch.nn.functional.one_hot(targets, 7).double()
    torch.testing.assert_close(categorical(logits(), soft), categorical(logits(), targets), rtol=0, atol=1e-14)


def test_is_normalised_over_the_classes() -> None:
    every = torch.stack([categorical(logits(), torch.full((50,), label)) for label in range(7)])
    torch.testing.assert_close(every.exp().sum(dim=0), torch.ones(50, dtype=torch.float64), rtol=1e-13, atol=0)


def test_saturated_logits_stay_finite() -> None:
    scores = categorical(torch.tensor([[0.0, 200.0]]), torch.tensor([0]))
    assert scores.item() == -200.0


@pytest.mark.parametrize("soft", [False, True])
def test_the_closed_gradient_is_that_of_autograd(soft: bool) -> None:
    targets = torch.arange(50) % 7
    if soft:
        targets = torch.rand(
            50, 7, generator=torch.Generator().manual_seed(3), dtype=torch.float64
        )  # sums differ from 1
    leaf = logits().requires_grad_()
    categorical(leaf, targets).sum().backward()
    gradient = categorical_gradient(leaf, targets)
    torch.testing.assert_close(gradient, leaf.grad, rtol=1e-12, atol=1e-14)
    assert not gradient.requires_grad


def test_any_likelihood_has_a_gradient_by_its_outputs() -> None:
    """Closed where there is one, else autograd, also where the caller has switched recording off."""
    outputs, targets = logits(), torch.arange(50) % 7

    def own(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return categorical(z, y)

    with torch.no_grad():
        expected = categorical_gradient(outputs, targets)
        torch.testing.assert_close(gradient_by_outputs(own, outputs, targets), expected, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(gradient_by_outputs(categorical, outputs, targets), expected, rtol=0, atol=0)
        gradient = gradient_by_outputs(GaussianNoise(0.5), outputs, torch.zeros_like(outputs))
        torch.testing.assert_close(gradient, -4 * outputs, rtol=1e-12, atol=0)


def test_the_gradient_refuses_what_the_likelihood_refuses() -> None:
    with pytest.raises(InputError, match="lie outside the 3 classes"):
        categorical_gradient(torch.zeros(2, 3), torch.tensor([0, -1]))


def test_no_rows_give_no_scores() -> None:
    assert categorical(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)).shape == (0,)


@pytest.mark.parametrize("label", [-100, -1, 3])
def test_a_label_outside_the_classes_names_its_rows(label: int) -> None:
    with pytest.raises(InputError) as raised:
        categorical(torch.zeros(4, 3), torch.tensor([0, label, 2, label]))
    assert str(raised.value) == (
        f"2 of 4 labels lie outside the 3 classes 0…2 (rows 1, 3 of the batch; the first is {label}); correct the "
        "labels or widen the network's head."
    )


def test_soft_targets_of_another_width_are_refused() -> None:
    with pytest.raises(InputError) as raised:
        categorical(torch.zeros(4, 3), torch.zeros(4, 2))
    assert str(raised.value) == (
        "Soft targets have shape [4, 2] but the logits have [4, 3]; give one probability per row and class."
    )


@pytest.mark.parametrize("targets", [torch.zeros(4, dtype=torch.int32), torch.zeros(4, 1, dtype=torch.int64)])
def test_other_targets_are_refused(targets: torch.Tensor) -> None:
    with pytest.raises(InputError) as raised:
        categorical(torch.zeros(4, 3), targets)
    assert str(raised.value) == (
        f"Targets have shape {list(targets.shape)} and type {targets.dtype}; expected int64 class numbers [4], or "
        "floating class probabilities [4, 3]."
    )
