"""Prior means of a Gaussian process: none, a learnt constant, or a network.

A mean has no uncertainty of its own: whatever it has learnt is taken for known, by the evidence too. A constant costs
next to nothing; a network can put the targets into the prior, and then the evidence no longer warns
(docs/processes.md).
"""

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float64
from torch import Tensor

from surefoot.evidence.processes.free import REAL
from surefoot.networks.network import Network, Parameters, forward, parameters_of

__all__ = ["ConstantMean", "Mean", "NetworkMean", "ZeroMean", "network_mean"]


@runtime_checkable
class Mean(Protocol):
    """A prior mean for every row."""

    def of(self, rows: Float64[Tensor, "rows d"]) -> Float64[Tensor, "rows"]: ...


@dataclass(frozen=True)
class ZeroMean:
    """0 everywhere."""

    def of(self, rows: Float64[Tensor, "rows d"]) -> Float64[Tensor, "rows"]:
        return torch.zeros(len(rows), dtype=torch.float64)


@dataclass(frozen=True)
class ConstantMean:
    """One number everywhere, which `learn` moves."""

    value: Float64[Tensor, ""] = field(metadata=REAL)

    def of(self, rows: Float64[Tensor, "rows d"]) -> Float64[Tensor, "rows"]:
        return self.value.expand(len(rows))


@dataclass(frozen=True)
class NetworkMean:
    """A network with one output, all of whose parameters `learn` moves."""

    network: Network
    parameters: Parameters = field(metadata=REAL)

    def of(self, rows: Float64[Tensor, "rows d"]) -> Float64[Tensor, "rows"]:
        return forward(self.network, self.parameters, rows)[:, 0]


def network_mean(network: Network) -> NetworkMean:
    """A mean that starts from the network's own parameters, in float64.

    >>> from surefoot.networks.build import build_mlp
    >>> tuple(network_mean(build_mlp(1, 8, 1, seed=0)).of(torch.zeros(3, 1).double()).shape)
    (3,)
    """
    return NetworkMean(network, {name: tensor.double() for name, tensor in parameters_of(network).items()})
