"""Convolutions with what surrounds them folded in: the same function, fewer passes over the pixels.

Batch normalisation goes into the convolution before it, padding into the convolution it belongs to, and activations
overwrite what no one else reads. Each is seen in one run, and the result is compared with the model by whoever uses it.
"""

import copy
from collections.abc import Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

__all__ = ["conv_norm_pairs", "folded", "simplified"]

Activation: TypeAlias = nn.ReLU | nn.ReLU6 | nn.SiLU | nn.Hardswish | nn.LeakyReLU | nn.ELU


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


def simplified(module: nn.Module, given: Mapping[str, Tensor]) -> nn.Module:
    """A copy in evaluation mode with batch norms and paddings folded, and activations in place, as seen on `given`."""
    copied = folded(module, conv_norm_pairs(module, given))
    for part in copied.modules():
        if isinstance(part, nn.Conv2d):
            _take_padding(part)
    for activation in _private_activations(copied, given):
        activation.inplace = True
    return copied


def _take_padding(conv: nn.Conv2d) -> None:
    """The same zeros on both sides, laid by a part of the convolution's own, become its `padding`."""
    for name, part in conv.named_children():
        if isinstance(part, nn.ZeroPad2d) and isinstance(conv.padding, tuple) and not any(conv.padding):
            left, right, top, bottom = part.padding
            if left == right and top == bottom:
                conv.padding = (top, left)
                setattr(conv, name, nn.Identity())


def _private_activations(module: nn.Module, given: Mapping[str, Tensor]) -> list[Activation]:
    """Activations that receive, each time they run, exactly what a convolution or a norm has just returned."""
    left: dict[int, Tensor] = {}
    private: dict[Activation, bool] = {}

    def leave(_: nn.Module, entered: Any, output: Tensor) -> None:
        left[id(output)] = output

    def enter(part: Any, entered: tuple[Any, ...]) -> None:
        private[part] = private.get(part, True) and id(entered[0]) in left

    hooks = [
        part.register_forward_pre_hook(enter) if isinstance(part, Activation) else part.register_forward_hook(leave)
        for part in module.modules()
        if isinstance(part, Activation | nn.Conv2d | nn.BatchNorm2d | nn.Identity)
    ]
    try:
        with torch.no_grad():
            module(given[""]) if "" in given else module(**given)
    finally:
        for hook in hooks:
            hook.remove()
    return [part for part, alone in private.items() if alone]
