"""Crops and their resizing against torch's own, and what is drawn."""

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from surefoot.errors import InputError
from surefoot.flex.crops import Crop, crop_and_resize, draw_boxes, whole_boxes
from surefoot.networks.patches import BILINEAR_SMOOTH, resampling_matrix


@pytest.mark.parametrize("size", [(12, 20), (24, 30), (36, 10), (7, 53)])
def test_a_whole_image_is_resized_as_by_torch(size: tuple[int, int]) -> None:
    images = torch.randn(3, 2, 24, 30, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ours = crop_and_resize(images, whole_boxes(3, (24, 30)), size)
    assert torch.allclose(ours, interpolate(images, size=size, mode="bilinear", antialias=True), atol=1e-6)
    down, across = resampling_matrix(24, size[0], BILINEAR_SMOOTH), resampling_matrix(30, size[1], BILINEAR_SMOOTH)
    assert torch.allclose(ours, down @ images @ across.T, atol=1e-6)


def test_a_box_of_whole_pixels_is_a_slice_and_of_half_ones_a_mean() -> None:
    images = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    boxes = torch.tensor([[1.0, 2.0, 4.0, 5.0], [3.0, 0.0, 4.0, 5.0]])
    cut = torch.stack([images[0, :, 1:5, 2:7], images[1, :, 3:7, 0:5]])
    assert torch.allclose(crop_and_resize(images, boxes, (4, 5)), cut, atol=1e-6)
    half = crop_and_resize(images[:1], torch.tensor([[1.5, 2.0, 2.0, 2.0]]), (2, 2))
    assert torch.allclose(half[0, 0], (images[0, 0, 1:3, 2:4] + images[0, 0, 2:4, 2:4]) / 2, atol=1e-6)


def test_boxes_are_inside_and_as_large_as_was_asked() -> None:
    """Areas are uniform from .4 to 1: the mean of 20,000 lies within .005 (4 sd) of .7, less what the edge cuts off."""
    image = (30, 50)
    boxes = draw_boxes(20_000, image, Crop(0.4, aspect=1.0), seed=(3, 1)).double().numpy()
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 0] + boxes[:, 2] <= 30 + 1e-4).all()
    assert (boxes[:, 1] + boxes[:, 3] <= 50 + 1e-4).all()
    area = boxes[:, 2] * boxes[:, 3] / 1500
    assert abs(area.mean() - 0.7) < 0.005
    assert area.min() > 0.4 - 1e-4
    turned = draw_boxes(20_000, image, Crop(0.4, aspect=2.0), seed=(3, 1)).numpy()
    ratio = (turned[:, 3] / 50) / (turned[:, 2] / 30)
    assert ratio.max() <= 2 + 1e-4
    assert ratio.max() > 1.9
    assert 1 / ratio.min() > 1.9
    again = draw_boxes(5, image, Crop(), seed=(3, 1))
    assert torch.equal(again, draw_boxes(5, image, Crop(), seed=(3, 1)))
    assert not torch.equal(again, draw_boxes(5, image, Crop(), seed=(3, 2)))
    assert np.unique(again[:, 0].numpy()).size == 5


def test_crops_out_of_range_are_refused() -> None:
    for least in (0.0, 1.5):
        with pytest.raises(InputError, match="smallest crop"):
            Crop(least)
    with pytest.raises(InputError, match="aspect of crops"):
        Crop(0.5, aspect=0.5)
