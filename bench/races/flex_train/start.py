"""The numbers that both sides start from: a flexible transformer, and the plain one at each of its sizes."""

from typing import Any

import torch

from surefoot.networks.flexible import SIZES, FlexibleViT, Shape, build_vit
from surefoot.networks.network import Network


def flexible(parameters: dict[str, Any]) -> Network:
    """With a head that is not zero, so that gradients reach the blocks."""
    width, depth, heads = SIZES[parameters["size"]]
    shape = Shape((3, parameters["image"], parameters["image"]), width, depth, heads)
    network = build_vit(shape, parameters["classes"], parameters["rows"][0][0], parameters["seed"])
    module = network.module
    assert isinstance(module, FlexibleViT)
    torch.nn.init.normal_(module.head.weight, std=0.1, generator=torch.Generator().manual_seed(1))
    return network
