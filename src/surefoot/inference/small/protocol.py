"""What a target may offer a sampler beside single gradients: whole trajectories, or many steps, in one call."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["WholeSteps", "WholeTrajectories"]


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


@runtime_checkable
class WholeSteps(Protocol):
    """A target that can run steps of stochastic-gradient Langevin dynamics itself, noise and all."""

    @property
    def steps_whole(self) -> bool:
        """Whether it can for this posterior; one that cannot is stepped gradient by gradient."""
        ...

    @property
    def vectors(self) -> int:
        """Numbers in a vector of this machine: noise is drawn by vectors, and is other noise where they are others."""
        ...

    def langevin(
        self,
        position: Float[Tensor, "chains size"],
        momentum: Float[Tensor, "chains size"],
        index: Int[Tensor, "chains steps batch"],
        paces: Float[Tensor, "steps 2"],
        decay: float,
        key: int,
        first: int,
    ) -> Float[Tensor, "chains steps 3"]:
        """Steps number `first`, `first` + 1, … for every chain on its own rows, in place; what they told.

        Of each, with h and σ from `paces` and ĝ the gradient of its batch, m ← γ m + h ĝ + σ ξ and u ← u + h m; it
        tells Σ u after it, Σ u·ĝ with u before it, and Σ ((m before + m after)/2)². ξ depends on key (64 bits), step
        and chain.
        """
        ...
