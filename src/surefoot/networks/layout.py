"""How images lie in memory: channels last where a network has convolutions of images and runs that way.

Convolutions and poolings of channels that lie side by side run on whole vectors; the same numbers come out, but for the
last bits. One rule for training and for features, so that both see the same network.
"""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

__all__ = ["lay_out", "layout_of"]


def layout_of(module: nn.Module, sample: Tensor) -> torch.memory_format:
    """Channels last when there are convolutions of images and the network takes them so, else as they are.

    A network that reshapes by `view` does not: it is tried on `sample`, in evaluation mode, leaving no trace.

    >>> layout_of(nn.Linear(3, 2), torch.zeros(1, 3)) is torch.contiguous_format
    True
    """
    if sample.ndim != 4 or not any(isinstance(part, nn.Conv2d) for part in module.modules()):
        return torch.contiguous_format
    trial = copy.deepcopy(module).eval()
    lay_out(dict(trial.named_parameters()), torch.channels_last)
    try:
        with torch.no_grad():
            trial(sample.contiguous(memory_format=torch.channels_last))
    except (RuntimeError, ValueError):  # also where what is trained is a view that resizes images before it
        return torch.contiguous_format
    return torch.channels_last


def lay_out(tensors: Mapping[str, Tensor], layout: torch.memory_format) -> None:
    """Lay images' filters out anew, in place. `clone`: `contiguous` leaves a single channel's strides ambiguous."""
    for tensor in tensors.values():
        if tensor.ndim == 4:
            tensor.data = tensor.data.clone(memory_format=layout)
