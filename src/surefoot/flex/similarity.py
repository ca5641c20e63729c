"""How alike representations are at different patch sizes: centred kernel alignment, layer by layer.

With kernels K = X Xᵀ and L = Y Yᵀ of n rows' features at two patch sizes

    CKA = HSIC(K, L) / √(HSIC(K, K) HSIC(L, L))

which is 1 for features that a rotation and a scale make equal, and near 0 for features that have nothing to do with
each other. HSIC is the unbiased estimate: by the plain one, features of many more numbers than there are rows look
alike whatever they are.

    HSIC = [ tr K̃L̃ + (1ᵀK̃1)(1ᵀL̃1) / ((n−1)(n−2)) − 2 1ᵀK̃L̃1 / (n−2) ] / (n(n−3)),     K̃, L̃ with diagonals of zero

Source: Kornblith et al. (2019), "Similarity of neural network representations revisited" (CKA); Song et al. (2012),
"Feature selection via dependence maximization" (the unbiased HSIC). Beyer et al. (2023), FlexiViT, compare grids so.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.errors import InputError
from surefoot.flex.fixed import fixed_at
from surefoot.networks.flexible import FlexibleViT
from surefoot.networks.network import Network, Parameters
from surefoot.networks.patches import Size

__all__ = ["alignment", "similarity_of_sizes"]

BATCH = 64
FEWEST = 4


def alignment(one: Float[Tensor, "rows features"], two: Float[Tensor, "as_many others"]) -> float:
    """CKA of two representations of the same rows, by the unbiased HSIC; it may be a little below 0 or above 1.

    Raises `InputError` for fewer than four rows, other rows, and features that do not differ between rows.

    >>> features = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    >>> round(alignment(features, -3 * features.flip(1)), 6)
    1.0
    """
    if len(one) != len(two) or len(one) < FEWEST:
        raise InputError(
            f"{len(one)} and {len(two)} rows were given to be compared; give the same rows twice, at least {FEWEST}."
        )
    kernels = [_centred(features) for features in (one, two)]
    both, first, second = (
        _dependence(kernels[a], kernels[b]) for a, b in ((0, 1), (0, 0), (1, 1))
    )  # fmt: skip
    if not (first > 0 and second > 0):
        raise InputError(
            "Features that are compared do not differ between rows; give rows that differ, or another layer."
        )
    return both / (first * second) ** 0.5


def similarity_of_sizes(
    network: Network,
    parameters: Parameters,
    images: Float[Tensor, "rows channels height width"],
    sizes: Sequence[Size],
    of: Literal["token", "patches"] = "patches",
) -> Float[Tensor, "layers sizes sizes"]:
    """CKA between patch sizes, of what enters the first block and of what leaves each.

    of: the class token, which enters it alike for every row and is compared from there on, or the mean of the patches'
    tokens (grids differ, so that single patches cannot be compared).

    Raises `InputError` for a network that is no transformer of `build_vit`, and a class token that it has not.
    """
    module = network.module
    if not isinstance(module, FlexibleViT):
        raise InputError(f"{type(module).__name__} is no transformer of build_vit, whose layers could be compared.")
    if of == "token" and module.token is None:
        raise InputError("This transformer takes means and has no class token; compare its patches.")
    every = [_layers(network, parameters, images, size, of) for size in sizes]
    found = torch.eye(len(sizes)).repeat(len(every[0]), 1, 1)
    for layer in range(len(found)):
        for a in range(len(sizes)):
            for b in range(a):
                found[layer, a, b] = found[layer, b, a] = alignment(every[a][layer], every[b][layer])
    return found


@torch.no_grad()
def _layers(
    network: Network, parameters: Parameters, images: Tensor, size: Size, of: Literal["token", "patches"]
) -> list[Float[Tensor, "rows width"]]:
    module = fixed_at(network, parameters, size).network.module
    assert isinstance(module, FlexibleViT)
    parts: list[list[Tensor]] = []
    for first in range(0, len(images), BATCH):
        tokens = module.tokens(images[first : first + BATCH])
        passed = [tokens]
        for block in module.blocks:
            passed.append(block(passed[-1]))
        start = 0 if module.token is None else 1
        parts.append([each[:, 0] if of == "token" else each[:, start:].mean(dim=1) for each in passed])
    return [torch.cat(layer) for layer in zip(*parts, strict=True)][1 if of == "token" else 0 :]


def _centred(features: Tensor) -> Float[Tensor, "rows rows"]:
    """The kernel without its diagonal. Centring first changes nothing but the rounding."""
    held = features.double()
    held = held - held.mean(dim=0)
    kernel = held @ held.T
    return kernel.fill_diagonal_(0)


def _dependence(one: Tensor, two: Tensor) -> float:
    n = len(one)
    across = float(one.sum() * two.sum()) / ((n - 1) * (n - 2))
    along = 2 * float(one.sum(dim=0) @ two.sum(dim=0)) / (n - 2)
    return (float((one * two).sum()) + across - along) / (n * (n - 3))
