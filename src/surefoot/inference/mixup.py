"""Mixup: pairs of rows added, with the share of one of them drawn for each batch.

    x ← λ x + (1 − λ) x',    y ← λ y + (1 − λ) y',    λ = max(a, 1 − a),  a ~ Beta(α, α)

where x' is the next row of the batch, the first one's for the last, and y are class probabilities. One λ for a batch.

Source: Zhang et al. (2018), "mixup: Beyond empirical risk minimization"; one share a batch, of at least a half, as in
the code of Beyer et al. (2022), "Knowledge distillation: a good teacher is patient and consistent", whose α is one.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import one_hot

from surefoot.errors import InputError

__all__ = ["draw_shares", "mix_inputs", "mix_targets"]


def draw_shares(batches: int, alpha: float, seed: int) -> Float[np.ndarray, "batches"]:
    """λ of each batch, from ½ to 1."""
    drawn = np.random.default_rng(seed).beta(alpha, alpha, size=batches)
    return np.maximum(drawn, 1 - drawn)


def mix_inputs(inputs: Tensor, share: float) -> Tensor:
    """Each row with the next one. Raises `InputError` for inputs that are no real numbers.

    >>> mix_inputs(torch.tensor([[0.0], [4.0], [8.0]]), 0.75).tolist()
    [[1.0], [5.0], [6.0]]
    """
    if not inputs.is_floating_point():
        raise InputError(f"Inputs of type {inputs.dtype} cannot be mixed; give real numbers, or set mixup to 0.")
    return share * inputs + (1 - share) * inputs.roll(-1, 0)


def mix_targets(targets: Tensor, classes: int, share: float) -> Float[Tensor, "rows classes"]:
    """Class numbers or class probabilities of rows that were mixed so.

    >>> mix_targets(torch.tensor([0, 1]), 2, 0.75).tolist()
    [[0.75, 0.25], [0.25, 0.75]]
    """
    soft = targets if targets.is_floating_point() else one_hot(targets, classes).to(torch.get_default_dtype())
    return share * soft + (1 - share) * soft.roll(-1, 0)
