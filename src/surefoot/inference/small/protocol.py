"""What a target may offer a sampler beside single gradients: whole trajectories in one call."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

__all__ = ["WholeTrajectories"]


@runtime_checkable
class WholeTrajectories(Protocol):
    """A target that can run leapfrog steps itself; one without is stepped gradient by gradient."""

    def trajectory(
        self,
        position: Float[Tensor, "chains size"],
        momentum: Float[Tensor, "chains size"],
        gradient: Float[Tensor, "chains size"],
        step: float,
        count: int,
    ) -> None:
        """`count` leapfrog steps of size `step` for every chain, in place; `gradient` is that of `position` throughout.

        m ← m + ½ε∇    then count times:  u ← u + εm,  m ← m + ε∇(u)    (the last one by ½ε)
        """
        ...
