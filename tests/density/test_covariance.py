"""Streamed covariances against numpy's and torch's unfolding."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import unfold

from surefoot.density import covariance as module
from surefoot.density.covariance import empirical_covariance, patch_covariance
from surefoot.errors import InputError


def images(rows: int = 7, channels: int = 3, height: int = 9, width: int = 8) -> Tensor:
    return torch.randn(rows, channels, height, width, generator=torch.Generator().manual_seed(0)) + 2


class Watched:
    """Inputs that are read when needed, and remember the largest piece that was asked for."""

    def __init__(self, inputs: Tensor) -> None:
        self.inputs = inputs
        self.largest = 0

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: object) -> Tensor:
        piece = self.inputs[index]  # pyright: ignore
        self.largest = max(self.largest, len(piece))
        return piece


@pytest.mark.parametrize("batch", [1, 4, 7, 100])
def test_is_numpys_covariance_whatever_the_batch(batch: int) -> None:
    watched = Watched(images())
    found = empirical_covariance(watched, batch=batch)
    expected = np.cov(images().double().reshape(7, -1).numpy(), rowvar=False)
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-13)
    assert watched.largest == min(batch, 7), "never more than one batch"


def test_a_large_mean_costs_no_precision() -> None:
    """E x² − (E x)² would lose everything here: 10¹⁶ against a variance of one."""
    values = torch.tensor([[-1.0], [0.0], [1.0]], dtype=torch.float64) + 1e8
    assert empirical_covariance(values, batch=1).item() == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize(
    ("kernel", "padding", "stride"),
    [(3, 0, 1), (3, 1, 1), (5, 2, 1), ((3, 2), (1, 0), (2, 3)), (1, 0, 1), ((9, 8), 0, 1)],
)
def test_patches_are_those_of_unfold(
    kernel: int | tuple[int, int], padding: int | tuple[int, int], stride: int | tuple[int, int]
) -> None:
    """Every position, edges included, in the order (channel, row, column) in which torch flattens a weight."""
    patches = unfold(images().double(), kernel, padding=padding, stride=stride)
    expected = np.cov(patches.permute(0, 2, 1).reshape(-1, patches.shape[1]).numpy(), rowvar=False)
    found = patch_covariance(images(), kernel, padding, stride)
    np.testing.assert_allclose(found.numpy(), np.atleast_2d(expected), rtol=0, atol=1e-12)


def test_the_edge_patches_count() -> None:
    """The reference's off-by-one: with patches at offsets 1 … H−k−1 a bright first column would never be seen."""
    lit = torch.zeros(2, 1, 4, 4)
    lit[0, :, :, 0] = 1
    assert patch_covariance(lit, 3).diagonal().reshape(3, 3)[:, 0].min() > 0
    lit = torch.zeros(2, 1, 4, 4)
    lit[0, :, -1] = 1
    assert patch_covariance(lit, 3).diagonal().reshape(3, 3)[-1].min() > 0


def test_patches_are_taken_a_few_images_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = patch_covariance(images(), 3, 1)
    monkeypatch.setattr(module, "NUMBERS", 2 * 9 * 8 * 27)
    watched = Watched(images())
    torch.testing.assert_close(patch_covariance(watched, 3, 1), whole, rtol=0, atol=1e-13)
    assert watched.largest == 2


def test_a_convolution_of_the_covariance_is_the_variance_of_its_response() -> None:
    weight = torch.randn(1, 3, 3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    response = torch.nn.functional.conv2d(images().double(), weight, padding=1)
    flat = weight.reshape(-1)
    torch.testing.assert_close(flat @ patch_covariance(images(), 3, 1) @ flat, response.var(), rtol=1e-12, atol=0)


def test_what_has_no_covariance_is_refused() -> None:
    with pytest.raises(InputError) as raised:
        empirical_covariance(torch.zeros(1, 3))
    assert str(raised.value) == "A covariance of 1 samples is undefined; give at least two."
    with pytest.raises(InputError) as raised:
        empirical_covariance(torch.tensor([[0.0], [1.0], [float("nan")]]), batch=2)
    assert str(raised.value) == (
        "The inputs of rows 2 to 2 hold numbers that are not finite; mend or leave out those rows."
    )
    with pytest.raises(InputError, match="are no images"):
        patch_covariance(torch.zeros(3, 4), 3)
    with pytest.raises(InputError, match="larger than the padded images"):
        patch_covariance(images(), 12, 1)
    with pytest.raises(InputError, match="no convolution"):
        patch_covariance(images(), 0)
    with pytest.raises(InputError, match="at least one"):
        empirical_covariance(images(), batch=0)
