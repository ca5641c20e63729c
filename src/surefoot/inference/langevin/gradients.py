"""Where gradients come from at each step: all rows, or each chain's next batch."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.errors import InputError
from surefoot.inference.langevin.minibatches import Minibatches, each_batch
from surefoot.inference.targets.target import MinibatchTarget, Target

__all__ = ["Gradients", "make_gradients"]


class Gradients:
    """A callable (step, position, out, generator): the gradient of that step's rows, written to `out`.

    Steps usually follow one another, and an order of the rows is then drawn once an epoch; any other step finds its
    place anew. share: of the rows, what one step of one chain sees.
    """

    def __init__(self, target: Target, minibatches: Minibatches | None) -> None:
        self.target, self.minibatches = target, minibatches
        # Asked once: looking a protocol up takes as long as a small gradient.
        self._parts = target if minibatches is not None and isinstance(target, MinibatchTarget) else None
        self.share = 1.0 if minibatches is None else minibatches.batch / minibatches.rows
        self._next = -1
        self._batches: Iterator[Tensor] = iter(())

    def __call__(
        self,
        step: int,
        position: Float[Tensor, "chains size"],
        out: Float[Tensor, "chains size"],
        generator: torch.Generator | None = None,
    ) -> None:
        if self.minibatches is None or self._parts is None:
            self.target.gradient(position, out)
            return
        if step != self._next:
            self._batches = each_batch(self.minibatches, step, str(position.device))
        self._next = step + 1
        self._parts.minibatch_gradient(position, next(self._batches), out, generator)


def make_gradients(target: Target, chains: int, batch: int | None, seed: int, replacement: bool) -> Gradients:
    """Gradients of `batch` rows a step and chain, or of all of them when it is None.

    Raises `InputError` for a batch of a target that knows no rows, or of a size that it does not have.
    """
    if batch is None:
        if replacement:
            raise InputError("replacement draws the rows of a batch and there is none; give a batch size.")
        return Gradients(target, None)
    if not isinstance(target, MinibatchTarget):
        raise InputError(
            f"batch is {batch}, but {type(target).__name__} has no gradient of some of its rows; leave batch out."
        )
    return Gradients(target, Minibatches(target.rows, batch, chains, seed, replacement))
