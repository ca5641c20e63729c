"""Which networks the hand-written kernel can run: linear layers with ReLU or tanh between them, on flat inputs."""

from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from surefoot.networks.network import Network, forward, parameters_of

__all__ = ["Activation", "Linear", "Mlp", "mlp_of"]

Activation: TypeAlias = Literal["relu", "tanh"]


class Linear(NamedTuple):
    """One layer by its dotted name: what enters, what leaves, whether it has a bias, and what follows it."""

    name: str
    entering: int
    leaving: int
    bias: bool
    activation: Activation | None

    @property
    def columns(self) -> int:
        """Of the matrix that holds weight and bias."""
        return self.entering + self.bias


Mlp: TypeAlias = tuple[Linear, ...]
"""The layers in order; only the last has no activation."""


def mlp_of(network: Network, inputs: Tensor) -> Mlp | None:
    """The layers of `network`, or None when it is anything but a plain stack whose every tensor is sampled.

    inputs: some rows, on which the stack is tried: a network with hooks, tied or parametrised layers computes something
    else than its layers say, and is left to autograd.

    >>> from surefoot.networks.build import build_mlp
    >>> [layer.name for layer in mlp_of(build_mlp(4, 3, 2, seed=0), torch.zeros(1, 2, 2)) or ()]
    ['hidden1', 'head']
    """
    layers = _layers(network.module)
    if layers is None or not inputs.is_floating_point():
        return None
    names = {name for layer in layers for name in _tensors(layer)}
    named = dict(network.module.named_parameters())
    if set(named) != names or not all(tensor.requires_grad for tensor in named.values()):
        return None
    if layers[0].entering != inputs[0].numel() or (inputs.ndim != 2 and not _flattens(network.module)):
        return None
    return layers if _agrees(network, layers, inputs) else None


def _layers(module: nn.Module) -> Mlp | None:
    if type(module) is not nn.Sequential:
        return None
    parts = [(name, part) for name, part in module.named_children() if type(part) not in (nn.Identity, nn.Dropout)]
    if parts and type(parts[0][1]) is nn.Flatten:
        parts = parts[1:]
    named = dict(module.named_parameters(remove_duplicate=False))
    layers: list[Linear] = []
    for place, (name, part) in enumerate(parts):
        last = place == len(parts) - 1
        if place % 2 == 0 and type(part) is nn.Linear:
            activation = None if last else _activation(parts[place + 1][1])
            if not last and activation is None:
                return None
            biased = f"{name}.bias" in named
            layers.append(Linear(name, part.in_features, part.out_features, biased, activation))
        elif place % 2 == 0 or last:
            return None
    return tuple(layers) or None


def _activation(part: nn.Module) -> Activation | None:
    if type(part) is nn.ReLU:
        return "relu"
    return "tanh" if type(part) is nn.Tanh else None


def _tensors(layer: Linear) -> tuple[str, ...]:
    return (f"{layer.name}.weight", f"{layer.name}.bias") if layer.bias else (f"{layer.name}.weight",)


def _flattens(module: nn.Module) -> bool:
    first = next(iter(module.children()))
    return isinstance(first, nn.Flatten) and first.start_dim == 1 and first.end_dim == -1


def _agrees(network: Network, layers: Mlp, inputs: Tensor) -> bool:
    """Whether the network computes what its layers say, on a few rows in float64."""
    rows = inputs[:4].to(torch.float64)
    tensors = {name: tensor.to(torch.float64) for name, tensor in parameters_of(network).items()}
    passing = rows.flatten(1)
    for layer in layers:
        passing = passing @ tensors[f"{layer.name}.weight"].T
        if layer.bias:
            passing = passing + tensors[f"{layer.name}.bias"]
        if layer.activation is not None:
            passing = passing.relu() if layer.activation == "relu" else passing.tanh()
    with torch.no_grad():
        outputs = forward(network, tensors, rows)
    return outputs.shape == passing.shape and torch.allclose(outputs, passing, rtol=1e-9, atol=1e-9)
