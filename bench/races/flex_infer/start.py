"""What both sides export and read: a flexible transformer from a seed, and one image; and the passes that are timed."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from surefoot.networks.flexible import SIZES, FlexibleViT, Shape, build_vit
from surefoot.networks.network import Network


def network_of(parameters: dict[str, Any]) -> Network:
    width, depth, heads = SIZES[parameters["size"]]
    shape = Shape((3, parameters["image"], parameters["image"]), width, depth, heads)
    network = build_vit(shape, parameters["classes"], parameters["patch"], parameters["seed"])
    module = network.module
    assert isinstance(module, FlexibleViT)
    torch.nn.init.normal_(module.head.weight, std=0.1, generator=torch.Generator().manual_seed(1))
    return network


def image_of(parameters: dict[str, Any]) -> Tensor:
    side = parameters["image"]
    return torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(parameters["seed"]))


def passes(says: Callable[[Tensor], Tensor], parameters: dict[str, Any]) -> Callable[[], dict[str, np.ndarray]]:
    """`passes` of one image, one after the other."""
    image = image_of(parameters)

    def work() -> dict[str, np.ndarray]:
        with torch.inference_mode():
            for _ in range(parameters["passes"]):
                logits = says(image)
            return {"logits": logits.numpy()}

    return work
