"""A flexible network at one patch size for good: a plain transformer whose kernel and positions are resized once.

What is left has nothing flexible in it, says what the flexible network says at that size, and is what a table of costs
is measured on, and what is exported.
"""

import copy
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import nn

from surefoot.errors import InputError
from surefoot.flex.flexify import Flexified
from surefoot.networks.flexible import FlexibleViT, grid_of
from surefoot.networks.network import Network, Parameters, parameters_of
from surefoot.networks.patches import Size, resize_patches, resize_positions

__all__ = ["Plain", "fixed_at"]


class Plain(NamedTuple):
    """A network without a patch size to choose, and its tensors."""

    network: Network
    parameters: Parameters


def fixed_at(network: Network, parameters: Parameters, patch: Size) -> Plain:
    """The plain transformer at this patch size; the flexible one and its tensors are left as they are.

    Of `build_vit`'s networks it is one of them again, whose kernel has the size of its patch; of a flexified module it
    is a module of its own class.

    Raises `InputError` for a network without patch sizes, and for a patch that does not divide its images.

    >>> from surefoot.networks.flexible import Shape, at_patch, build_vit
    >>> from surefoot.networks.network import forward
    >>> shape = Shape((1, 16, 16), width=8, depth=1, heads=2, buffer=(8, 8), grid=(2, 2))
    >>> network = build_vit(shape, classes=3, patch=8, seed=0)
    >>> plain = fixed_at(network, parameters_of(network), (4, 4))
    >>> plain.network.module.shape.buffer, tuple(plain.parameters["kernel"].shape)
    ((4, 4), (8, 1, 4, 4))
    """
    module = network.module
    with torch.no_grad():
        if isinstance(module, FlexibleViT):
            return _fixed_vit(network, module, parameters, patch)
        if isinstance(module, Flexified):
            return _fixed_module(network, module, parameters, patch)
    raise InputError(f"{type(module).__name__} has no patch size to fix; build one with `build_vit`, or `flexify` it.")


def _fixed_vit(network: Network, module: FlexibleViT, parameters: Parameters, patch: Size) -> Plain:
    grid = grid_of((module.shape.image[1], module.shape.image[2]), patch)
    changed = {
        **parameters,
        "kernel": resize_patches(parameters["kernel"], patch, module.shape.patches).contiguous(),
        "positions": resize_positions(parameters["positions"], grid, module.shape.places).contiguous(),
    }
    shape = replace(module.shape, buffer=patch, grid=grid)
    with torch.device("meta"):
        empty = FlexibleViT(shape, module.head.out_features, patch)
    empty.load_state_dict(changed, assign=True)
    return Plain(replace(network, module=empty.eval()), changed)


def _fixed_module(network: Network, module: Flexified, parameters: Parameters, patch: Size) -> Plain:
    own = copy.deepcopy(module)
    for name, tensor in [*own.named_parameters(), *own.named_buffers()]:
        tensor.copy_(parameters[name])
    plain = own.at(patch).resized(own.parts.image)
    for part in plain.modules():
        held: dict[str, torch.Tensor | None] = vars(part)["_parameters"]
        for name, tensor in held.items():
            if tensor is not None and not isinstance(tensor, nn.Parameter):
                held[name] = nn.Parameter(tensor.detach().contiguous())
    fixed = Network(plain.eval(), network.head.removeprefix("module."))
    return Plain(fixed, parameters_of(fixed))
