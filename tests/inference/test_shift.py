"""Pixel shifts against a plain loop."""

import pytest
import torch

from surefoot.errors import InputError
from surefoot.inference.shift import draw_offsets, shift_images


def shifted_one_by_one(images: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
    moved = torch.zeros_like(images)
    height, width = images.shape[2:]
    for row, (down, right) in enumerate(offsets.tolist()):
        for y in range(height):
            for x in range(width):
                if 0 <= y - down < height and 0 <= x - right < width:
                    moved[row, :, y, x] = images[row, :, y - down, x - right]
    return moved


@pytest.mark.parametrize(("channels", "height", "width", "largest"), [(1, 6, 4, 1), (3, 5, 7, 3), (2, 3, 3, 2)])
def test_equals_a_loop(channels: int, height: int, width: int, largest: int) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(40, channels, height, width, generator=generator)
    offsets = draw_offsets(40, largest, generator)
    assert torch.equal(shift_images(images, offsets), shifted_one_by_one(images, offsets))


def test_offsets_are_uniform_whole_pixels() -> None:
    """Chi-squared with 24 degrees of freedom: false alarms below 0.001 (critical value 51.2); the seed is fixed."""
    offsets = draw_offsets(25_000, 2, torch.Generator().manual_seed(0))
    cells = torch.bincount((offsets[:, 0] + 2) * 5 + offsets[:, 1] + 2, minlength=25).double()
    assert len(cells) == 25
    assert ((cells - 1000).square() / 1000).sum() < 51.2


def test_no_shift_is_the_image_and_its_memory_is_its_own() -> None:
    images = torch.randn(3, 1, 4, 4)
    moved = shift_images(images, torch.zeros(3, 2, dtype=torch.int64))
    assert torch.equal(moved, images)
    moved.zero_()
    assert images.abs().sum() > 0


def test_what_cannot_be_shifted_is_refused() -> None:
    with pytest.raises(InputError) as raised:
        shift_images(torch.zeros(2, 5), torch.ones(2, 2, dtype=torch.int64))
    assert str(raised.value) == (
        "Inputs of shape [2, 5] cannot be shifted by pixels; give images [rows, channels, height, width], or set "
        "shift to 0."
    )
    with pytest.raises(InputError) as raised:
        shift_images(torch.zeros(1, 1, 8, 3), torch.tensor([[0, -3]]))
    assert str(raised.value) == "A shift of 3 pixels moves images of 8×3 out of sight; use a smaller one."
