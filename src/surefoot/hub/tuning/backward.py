"""Gradients of a loss that looks at a whole batch, of rows that go through the model a few at a time.

    z = (z_1 … z_B)                 forward, part by part, without a graph
    g = ∂ L(z) / ∂ z                of the whole batch: hardening to shares of classes is a rule of batches
    ∂ L / ∂ θ = Σ_parts (∂ z_part / ∂ θ)ᵀ g_part         forward and backward, part by part

Exact, at the price of a second forward. The usual accumulation of the parts' own losses is another objective where a
loss reads the batch: of one row at a time hardening knows no shares.

Source: the chain rule; for contrastive losses Gao et al. (2021), "Scaling deep contrastive learning batch size under
memory limited setup" (gradient cache).
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn

from surefoot.hub.tuning.place import Place

__all__ = ["BatchLoss", "Run", "backward_whole", "dropped"]

Run: TypeAlias = Callable[[Sequence[int]], Tensor]
"""Places of rows in the batch → their logits."""
BatchLoss: TypeAlias = Callable[[Tensor], Tensor]
"""Logits of the whole batch → one number."""


def backward_whole(
    run: Run,
    loss: BatchLoss,
    rows: int,
    classes: int,
    microbatch: int,
    parameters: Sequence[nn.Parameter],
    place: Place,
    noise: Callable[[int], AbstractContextManager[None]],
) -> float:
    """Add the gradient of the batch's loss to every parameter, in all processes alike; returns the loss.

    noise: what a part runs in, by its number: the same randomness in both passes.
    """
    parts = [range(first, min(first + microbatch, rows)) for first in range(0, rows, microbatch)]
    if len(parts) == 1 and place.processes == 1:
        with noise(0):
            value = loss(run(parts[0]))
        value.backward()
        return float(value.detach())
    own = [(number, part) for number, part in enumerate(parts) if number % place.processes == place.this]
    logits = torch.zeros(rows, classes, device=place.device)
    with torch.no_grad():
        for number, part in own:
            with noise(number):
                logits[part.start : part.stop] = run(part)
    value, slope = _slope(loss, place.add(logits))
    for number, part in own:
        with noise(number):
            again = run(part)
        again.backward(slope[part.start : part.stop])
    if place.processes > 1:
        for parameter in parameters:
            found = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            parameter.grad = place.add(found)
    return value


@contextmanager
def dropped(seed: int | None):
    """What a part runs in: the model's dropout drawn from `seed`; None draws nothing."""
    if seed is None:
        yield
        return
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def _slope(loss: BatchLoss, logits: Float[Tensor, "rows classes"]) -> tuple[float, Float[Tensor, "rows classes"]]:
    logits = logits.detach().requires_grad_()
    value = loss(logits)
    (slope,) = torch.autograd.grad(value, logits)
    return float(value.detach()), slope
