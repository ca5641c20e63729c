"""Deep kernels: a kernel on what a network has made of the inputs, both learnt together.

    k(x, x′) = base( tanh(g_w(x)), tanh(g_w(x′)) )

Source: Wilson et al. (2016), "Deep kernel learning". The reference code rescales features to [−1, 1] by their least
and largest values over the rows *at hand*: a subset is scaled otherwise than the whole, so that the difference of
their evidences is no conditional evidence of any model, and a new row moves the old ones. Here features are bounded
by tanh, feature by feature and row by row, which asks no other row; so a deep kernel is a kernel, and everything said
of kernels holds.
"""

from dataclasses import dataclass, field

from jaxtyping import Float64
from torch import Tensor

from surefoot.evidence.processes.free import REAL
from surefoot.evidence.processes.kernels import Kernel
from surefoot.networks.network import Network, Parameters, forward, parameters_of

__all__ = ["DeepKernel", "deep_kernel", "features_of"]


@dataclass(frozen=True)
class DeepKernel:
    """network: g, whose outputs are the features. parameters: w, learnt as they are. kernel: base, on bounded
    features."""

    network: Network
    kernel: Kernel
    parameters: Parameters = field(metadata=REAL)

    def matrix(
        self, left: Float64[Tensor, "rows d"], right: Float64[Tensor, "others d"]
    ) -> Float64[Tensor, "rows others"]:
        seen = features_of(self, left)
        return self.kernel.matrix(seen, seen if right is left else features_of(self, right))

    def diagonal(self, rows: Float64[Tensor, "rows d"]) -> Float64[Tensor, "rows"]:
        return self.kernel.diagonal(features_of(self, rows))


def deep_kernel(network: Network, kernel: Kernel) -> DeepKernel:
    """A kernel on the outputs of `network`, from the network's own parameters, in float64.

    Standardise inputs first: tanh is flat where features are large.

    >>> import torch
    >>> from surefoot.evidence.processes.free import positive
    >>> from surefoot.evidence.processes.kernels import RBF
    >>> from surefoot.networks.build import build_mlp
    >>> deep = deep_kernel(build_mlp(8, 50, 2, seed=0), RBF(positive(1.0, 1.0)))
    >>> tuple(deep.matrix(torch.zeros(3, 8).double(), torch.zeros(2, 8).double()).shape)
    (3, 2)
    """
    return DeepKernel(network, kernel, {name: tensor.double() for name, tensor in parameters_of(network).items()})


def features_of(deep: DeepKernel, rows: Float64[Tensor, "rows d"]) -> Float64[Tensor, "rows features"]:
    """tanh(g_w(x)), in (−1, 1)."""
    return forward(deep.network, deep.parameters, rows).tanh()
