"""Filter response normalisation and the thresholded linear unit: normalisation without batch statistics.

For one row and one channel with activations x over N pixels (all of height × width)

    ν² = Σ x² / N,    y = γ · x / √(ν² + ε) + β,    z = max(y, τ)

with γ, β, τ learned per channel. Rows do not influence each other, so training and evaluation are the same
function, and the likelihood of a row depends on that row alone, as a posterior needs.

Source: Singh and Krishnan (2020), "Filter Response Normalization Layer: Eliminating Batch Dependence in the
Training of Deep Neural Networks", eq. 1–3. We start at γ = 1, β = 0, τ = 0 as they do, with their fixed
ε = 1e-6; their learned ε is for layers of one pixel, where x / √x² is only a sign: such layers are not built.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["FilterResponseNorm", "ThresholdedLinear"]


class FilterResponseNorm(nn.Module):
    """y = γ · x / √(mean over pixels of x² + ε) + β, per row and channel."""

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = eps
        self.gamma = nn.Parameter(torch.ones(channels, 1, 1))
        self.beta = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, inputs: Float[Tensor, "rows channels height width"]) -> Tensor:
        power = inputs.square().mean(dim=(2, 3), keepdim=True)
        return self.gamma * (inputs * torch.rsqrt(power + self.eps)) + self.beta


class ThresholdedLinear(nn.Module):
    """z = max(y, τ), with a learned threshold per channel; τ = 0 is ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.tau = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, inputs: Float[Tensor, "rows channels height width"]) -> Tensor:
        return torch.maximum(inputs, self.tau)
