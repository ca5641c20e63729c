"""Minibatches in machine code: the torch target's gradients, and nothing left behind by one that was not finite."""

from dataclasses import replace

import pytest
import torch
from small_examples import UNIT, positions, posterior_of, rows_of, target_of
from torch import Tensor

from surefoot.density.augmentation import Augmentation
from surefoot.density.functional import Confidence, DirClip, Functional
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian
from surefoot.density.regression import GaussianNoise
from surefoot.inference.small.target import SmallTarget
from surefoot.networks.build import build_mlp
from surefoot.rows.rows import Rows, make_rows

pytest.importorskip("llvmlite")

NUMBERS = make_rows(torch.randn(40, 3, generator=torch.Generator().manual_seed(5)).double(), torch.arange(40) / 20.0)
REGRESSION = Posterior(build_mlp(3, (6,), 1, seed=0), GaussianNoise(0.5), UNIT)


def gradient(target: SmallTarget, position: Tensor, index: Tensor) -> Tensor:
    out = torch.full_like(position, float("nan"))
    target.minibatch_gradient(position, index, out)
    return out


@pytest.mark.parametrize("count", [1, 7, 16, 33])
@pytest.mark.parametrize(
    ("given", "rows"),
    [
        (posterior_of((3, 17, 4)), rows_of(40, 3, 4, weighted=True)),
        (posterior_of((3, 6, 5, 4), Gaussian(4.0), posterior_temperature=0.3), rows_of(40, 3, 4, soft=True)),
        (posterior_of((3, 6, 4), functional=Functional(DirClip(0.6, -10.0))), rows_of(40, 3, 4)),
        (posterior_of((3, 6, 4), functional=Functional(Confidence(0.5))), rows_of(40, 3, 4)),
        (REGRESSION, NUMBERS),
    ],
)
def test_the_gradient_is_the_torch_targets(given: Posterior, rows: Rows, count: int) -> None:
    target = target_of(given, rows, torch.float64)
    position, generator = positions(target, 3), torch.Generator().manual_seed(count)
    index = torch.randint(40, (3, count), generator=generator)
    expected = torch.empty_like(position)
    target.base.minibatch_gradient(position, index, expected)
    torch.testing.assert_close(gradient(target, position, index), expected, rtol=1e-11, atol=1e-10)


def test_all_rows_as_a_batch_are_the_full_gradient() -> None:
    target = target_of(posterior_of((3, 6, 4)), rows_of(40, 3, 4), torch.float64)
    position, full = positions(target), torch.empty(2, target.size, dtype=torch.float64)
    target.gradient(position, full)
    torch.testing.assert_close(gradient(target, position, torch.arange(40).expand(2, -1)), full, rtol=1e-11, atol=1e-10)


def test_nothing_of_a_gradient_that_was_not_finite_is_left() -> None:
    target = target_of(posterior_of((3, 6, 4)), rows_of(40, 3, 4), torch.float32)
    position, index = positions(target), torch.arange(24).view(2, 12)
    before = gradient(target, position, index)
    broken = gradient(target, torch.full_like(position, float("nan")), index)
    assert broken.isnan().any()
    assert torch.equal(gradient(target, position, index), before)


def test_sizes_of_batches_may_change_from_call_to_call() -> None:
    target = target_of(posterior_of((3, 6, 4)), rows_of(40, 3, 4), torch.float32)
    position, index = positions(target), torch.arange(24).view(2, 12)
    before = gradient(target, position, index)
    gradient(target, position, index[:, :5])
    assert torch.equal(gradient(target, position, index), before)


def test_augmented_rows_are_the_torch_targets() -> None:
    augmented = replace(
        posterior_of((3, 6, 4)),
        augmentation=Augmentation(lambda x, g: x + torch.randn(x.shape, generator=g, dtype=x.dtype), 2, "mean"),
    )
    target = target_of(augmented, rows_of(40, 3, 4), torch.float64)
    position, index = positions(target), torch.arange(24).view(2, 12)
    both = [torch.empty_like(position) for _ in range(2)]
    target.minibatch_gradient(position, index, both[0], torch.Generator().manual_seed(3))
    target.base.minibatch_gradient(position, index, both[1], torch.Generator().manual_seed(3))
    assert torch.equal(both[0], both[1])
