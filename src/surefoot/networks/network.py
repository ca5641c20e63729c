"""A network is a pure forward function; a backbone splits into features and a linear head.

Parameters travel beside the network, never inside it: `forward(network, parameters, inputs)`. So the same
network can be run with a trained point, with many posterior draws, or under `torch.func`.
"""

from dataclasses import dataclass
from typing import TypeAlias

from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

__all__ = ["Network", "Parameters", "forward", "parameters_of"]

Parameters: TypeAlias = dict[str, Tensor]
"""Named tensors: every parameter and buffer of the module, by its dotted name."""


@dataclass(frozen=True)
class Network:
    """A module used as a function. Features are whatever enters the head.

    module: the whole model, logits out. Its own tensors are only the starting values.
    head: the dotted name of the final `nn.Linear` inside `module`.
    """

    module: nn.Module
    head: str


def forward(network: Network, parameters: Parameters, inputs: Tensor) -> Float[Tensor, "rows classes"]:
    """Logits of `inputs` under `parameters`."""
    return functional_call(network.module, parameters, (inputs,))


def parameters_of(network: Network) -> Parameters:
    """A copy of the module's own parameters and buffers."""
    named = [*network.module.named_parameters(), *network.module.named_buffers()]
    return {name: tensor.detach().clone() for name, tensor in named}
