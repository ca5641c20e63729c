"""The tensors of a network that are not sampled, frozen parameters and buffers: part of what a density is.

They are given once, when a target is made. A start that holds other ones belongs to another density and is refused.
"""

import torch

from surefoot.density.objective import Posterior, trainable
from surefoot.errors import InputError
from surefoot.networks.network import Parameters, parameters_of

__all__ = ["check_fixed", "fixed_tensors"]

ROUNDING = 1e-6
"""Relative difference that is none: a start in another precision than the target."""


def fixed_tensors(posterior: Posterior, given: Parameters | None, dtype: torch.dtype) -> Parameters:
    """What is not sampled, of `given` or, where that is None, of the module itself; floating numbers in `dtype`.

    given: all of these tensors; a whole trained point will do, of which what is sampled is not read.

    Raises `InputError` for a tensor that is missing, has another shape, or is none of the network's.

    >>> from torch import nn
    >>> from surefoot.density.likelihoods import categorical
    >>> from surefoot.density.priors import Gaussian
    >>> from surefoot.networks.network import Network
    >>> module = nn.Sequential(nn.Linear(3, 2).requires_grad_(False), nn.Linear(2, 2))
    >>> sorted(fixed_tensors(Posterior(Network(module, "1"), categorical, Gaussian(1.0)), None, torch.float64))
    ['0.bias', '0.weight']
    """
    own = parameters_of(posterior.network)
    names = [name for name in own if name not in trainable(posterior.network, own)]
    if given is not None:
        if strange := sorted(set(given) - set(own)):
            raise InputError(f"fixed has {strange[0]!r}, which the network has not; give the tensors of this network.")
        for name in names:
            if name not in given or given[name].shape != own[name].shape:
                what = f"has {name!r} of shape {list(given[name].shape)}" if name in given else f"lacks {name!r}"
                raise InputError(
                    f"fixed {what}, which is not sampled and has shape {list(own[name].shape)} in the network; give "
                    "every frozen parameter and buffer (a whole trained point will do)."
                )
        own = given
    tensors = {name: own[name].detach() for name in names}
    return {name: each.to(dtype) if each.is_floating_point() else each for name, each in tensors.items()}


def check_fixed(fixed: Parameters, start: Parameters) -> None:
    """Raise `InputError` where a start, named tensors `[chains, …]`, holds others of the tensors in `fixed`.

    A start need not hold them at all.
    """
    for name, tensor in fixed.items():
        if name not in start:
            continue
        given = start[name].detach().to(tensor)
        if given.shape[1:] != tensor.shape:
            raise InputError(
                f"The start has {name!r} of shape {list(given.shape)}; give it as [chains, "
                f"{', '.join(map(str, tensor.shape))}], or leave out what is not sampled."
            )
        for chain, own in enumerate(given):
            if not torch.allclose(own, tensor, rtol=ROUNDING, atol=0.0, equal_nan=True):
                raise InputError(
                    f"The start of chain {chain + 1} holds {name!r}, which is not sampled, with other values than the "
                    "target's density has; give make_target the tensors of the start as fixed=, one set for all "
                    "chains."
                )
