"""Small architectures, initialised from a seed: linear, MLP, CNN, and a ResNet without batch statistics.

The last layer is always called `head`. Weights and biases of linear and convolutional layers are drawn from
U(−1/√n, 1/√n), n inputs to a unit (torch's default), out of a generator of their own: the same seed gives the
same weights, and torch's global generator is neither read nor moved.
"""

import math
from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from surefoot.errors import InputError
from surefoot.networks.layers import FilterResponseNorm, ThresholdedLinear
from surefoot.networks.network import Network

__all__ = ["build_cnn", "build_linear", "build_mlp", "build_resnet"]


def build_linear(inputs: int, classes: int, seed: int) -> Network:
    """Logistic regression: one linear layer on the flattened inputs."""
    return build_mlp(inputs, (), classes, seed)


def build_mlp(inputs: int, hidden: int | Sequence[int], classes: int, seed: int) -> Network:
    """Linear layers with ReLU between them, on the flattened inputs.

    inputs: numbers per row. hidden: the width of each hidden layer (one number means one layer).
    """
    widths = (hidden,) if isinstance(hidden, int) else tuple(hidden)
    _positive(inputs=inputs, classes=classes, hidden=widths)
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    entering = inputs
    for number, width in enumerate(widths, start=1):
        layers[f"hidden{number}"] = skip_init(nn.Linear, entering, width)
        layers[f"relu{number}"] = nn.ReLU()
        entering = width
    layers["head"] = skip_init(nn.Linear, entering, classes)
    return _seeded(nn.Sequential(layers), seed)


def build_cnn(shape: Sequence[int], channels: Sequence[int], hidden: int, classes: int, seed: int) -> Network:
    """For each entry of `channels`: 3×3 convolution, 2×2 maximum, ReLU; then a hidden layer and the head.

    shape: (channels, height, width) of an input, in pixels; each pooling halves height and width, rounding down.

    >>> network = build_cnn((1, 28, 14), (16, 32), hidden=64, classes=2, seed=0)
    >>> sum(parameter.numel() for parameter in network.module.parameters())
    48002
    """
    entering, height, width = _image(shape)
    _positive(channels=tuple(channels), hidden=hidden, classes=classes)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number, leaving in enumerate(channels, start=1):
        layers[f"conv{number}"] = skip_init(nn.Conv2d, entering, leaving, 3, padding=1)
        # Maximum, then ReLU: the two commute, and so a quarter of the pixels is left for the second.
        layers[f"pool{number}"] = nn.MaxPool2d(2)
        layers[f"relu{number}"] = nn.ReLU()
        entering, height, width = leaving, height // 2, width // 2
    if height * width == 0:
        raise InputError(
            f"Images of shape {tuple(shape)} are too small for {len(channels)} poolings; give fewer channels."
        )
    layers["flatten"] = nn.Flatten()
    layers["hidden"] = skip_init(nn.Linear, entering * height * width, hidden)
    layers["hidden_relu"] = nn.ReLU()
    layers["head"] = skip_init(nn.Linear, hidden, classes)
    return _seeded(nn.Sequential(layers), seed)


def build_resnet(shape: Sequence[int], width: int, blocks: int, classes: int, seed: int) -> Network:
    """A residual network of 6 · blocks + 2 layers with filter response normalisation in place of batch norm.

    A 3×3 convolution, then three stages of `blocks` residual blocks with width, 2·width and 4·width channels, the
    second and third stage halving the image; the mean over pixels is the feature vector of 4·width numbers.
    Width 16 and blocks 3 is the ResNet-20 of the CIFAR literature.

    Source: He et al. (2016), "Deep residual learning", §4.2, with 1×1 convolutions where a shortcut changes
    shape; normalisation and activation: `surefoot.networks.layers`.
    """
    entering, height, columns = _image(shape)
    _positive(width=width, blocks=blocks, classes=classes)
    if max(height, columns) < 5:
        raise InputError(
            f"Images of shape {tuple(shape)} shrink to one pixel in this network, where filter response normalisation "
            "keeps only a sign; give images of at least 5 pixels on one side."
        )
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv=skip_init(nn.Conv2d, entering, width, 3, padding=1, bias=False),
        norm=FilterResponseNorm(width),
        threshold=ThresholdedLinear(width),
    )
    entering = width
    for stage in range(3):
        leaving = width * 2**stage
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            layers[f"stage{stage + 1}_block{block + 1}"] = _ResidualBlock(entering, leaving, stride)
            entering = leaving
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["head"] = skip_init(nn.Linear, entering, classes)
    return _seeded(nn.Sequential(layers), seed)


class _ResidualBlock(nn.Module):
    """z = TLU(shortcut(x) + FRN(conv(TLU(FRN(conv(x))))))."""

    def __init__(self, entering: int, leaving: int, stride: int) -> None:
        super().__init__()
        self.conv1 = skip_init(nn.Conv2d, entering, leaving, 3, padding=1, stride=stride, bias=False)
        self.norm1 = FilterResponseNorm(leaving)
        self.threshold1 = ThresholdedLinear(leaving)
        self.conv2 = skip_init(nn.Conv2d, leaving, leaving, 3, padding=1, bias=False)
        self.norm2 = FilterResponseNorm(leaving)
        self.threshold2 = ThresholdedLinear(leaving)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or entering != leaving:
            self.shortcut = skip_init(nn.Conv2d, entering, leaving, 1, stride=stride, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        inside = self.threshold1(self.norm1(self.conv1(inputs)))
        return self.threshold2(self.shortcut(inputs) + self.norm2(self.conv2(inside)))


def _seeded(module: nn.Module, seed: int) -> Network:
    """Draw every linear and convolutional tensor, in the order the module defines them."""
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Conv2d):
            bound = 1 / math.sqrt(part.weight[0].numel())
            for tensor in part.parameters():
                nn.init.uniform_(tensor, -bound, bound, generator=generator)
    return Network(module.eval(), "head")


def _image(shape: Sequence[int]) -> tuple[int, int, int]:
    if len(shape) != 3 or min(shape) < 1:
        raise InputError(f"An image network needs inputs of shape (channels, height, width); {tuple(shape)} was given.")
    return shape[0], shape[1], shape[2]


def _positive(**sizes: int | tuple[int, ...]) -> None:
    for name, size in sizes.items():
        for number in (size,) if isinstance(size, int) else size:
            if number < 1:
                raise InputError(f"{name} is {size}; every width and number of layers must be at least 1.")
