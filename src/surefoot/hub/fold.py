"""Batch normalisation folded into the convolution before it: the same function, one pass over the pixels fewer."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

__all__ = ["conv_norm_pairs", "folded"]


def conv_norm_pairs(module: nn.Module, given: Mapping[str, Tensor]) -> list[tuple[str, str]]:
    """Convolutions and the batch normalisation that receives exactly what they return, seen in one run of `given`."""
    names = {part: name for name, part in module.named_modules()}
    left: dict[int, str] = {}
    kept: list[Tensor] = []  # so that no address is used twice
    pairs: list[tuple[str, str]] = []

    def leave(part: nn.Module, _: Any, output: Tensor) -> None:
        left[id(output)] = names[part]
        kept.append(output)

    def enter(part: nn.Module, entered: tuple[Any, ...]) -> None:
        if id(entered[0]) in left:
            pairs.append((left[id(entered[0])], names[part]))

    hooks = [
        part.register_forward_hook(leave) if isinstance(part, nn.Conv2d) else part.register_forward_pre_hook(enter)
        for part in module.modules()
        if isinstance(part, nn.Conv2d | nn.BatchNorm2d)
    ]
    try:
        with torch.no_grad():
            module(given[""]) if "" in given else module(**given)
    finally:
        for hook in hooks:
            hook.remove()
    return pairs


def folded(module: nn.Module, pairs: list[tuple[str, str]]) -> nn.Module:
    """A copy of the module with W' = W · γ/√(σ² + ε), b' = (b − μ) · γ/√(σ² + ε) + β in each convolution of `pairs`.

    Right in evaluation mode only, and only where nothing else reads the convolution's output: compare both.
    """
    copied = copy.deepcopy(module)
    for convolution, norm in pairs:
        conv, batch = copied.get_submodule(convolution), copied.get_submodule(norm)
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(batch, nn.BatchNorm2d)
        assert batch.running_mean is not None
        assert batch.running_var is not None
        weight, bias = fuse_conv_bn_weights(
            conv.weight, conv.bias, batch.running_mean, batch.running_var, batch.eps, batch.weight, batch.bias
        )
        conv.weight, conv.bias = weight, bias
        parent, _, last = norm.rpartition(".")
        setattr(copied.get_submodule(parent), last, nn.Identity())
    return copied.eval()
