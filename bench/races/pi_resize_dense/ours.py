"""Our side: two factors of a side for each size, made anew each time, and a small kernel resized by them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from surefoot.networks.patches import patch_factor, resampling_matrix, resize_patches


def prepare(parameters: dict[str, Any]) -> Callable[[], dict[str, np.ndarray]]:
    old, sizes = parameters["old"], parameters["sizes"]
    generator = torch.Generator().manual_seed(parameters["seed"])
    weight = torch.randn(parameters["width"], parameters["channels"], old, old, generator=generator)

    def race() -> dict[str, np.ndarray]:
        patch_factor.cache_clear()
        resampling_matrix.cache_clear()
        return {str(size): resize_patches(weight, (size, size)).numpy() for size in sizes}

    return race
