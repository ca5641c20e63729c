"""How long sampling will take, told before it starts: a short burst of leapfrog steps, measured."""

import time

import torch

from surefoot.errors import InputError
from surefoot.inference.small.protocol import WholeTrajectories
from surefoot.inference.targets.target import Target

__all__ = ["leapfrog_seconds"]

BURST = 0.02
"""Seconds that the measured steps take at least."""
BURSTS = 3


def leapfrog_seconds(target: Target, chains: int, steps: int) -> float:
    """Seconds that `steps` leapfrog steps of `chains` chains will take here, as busy as the machine is now.

    The steps measured have length zero and move nothing; the fastest of three bursts counts. Of a target that runs
    whole trajectories, a burst is one trajectory; of any other, gradients one by one. What the first call compiles
    is compiled before. Raises `InputError` for fewer than one chain, or a negative number of steps.

    >>> from surefoot.inference.targets.target import Terms
    >>> class Normal:
    ...     size, quarter, dtype = 2, 1.5708, torch.float64
    ...     def gradient(self, position, out): torch.neg(position, out=out)
    ...     def terms(self, position): return Terms(torch.zeros(len(position)).double(), -position.square().sum(1) / 2)
    ...     def parameters(self, position): return {"u": position.clone()}
    ...     def position(self, parameters): return parameters["u"]
    >>> 0 < leapfrog_seconds(Normal(), 4, 1000) < 60
    True
    """
    if chains < 1 or steps < 0:
        raise InputError(
            f"{chains} chains of {steps} steps were asked for; give at least one chain and no step or more."
        )
    position = torch.zeros(chains, target.size, dtype=target.dtype)
    momentum, gradient = torch.zeros_like(position), torch.zeros_like(position)

    def burst(count: int) -> float:
        started = time.perf_counter()
        if isinstance(target, WholeTrajectories):
            target.trajectory(position, momentum, gradient, 0.0, count)
        else:
            for _ in range(count):
                target.gradient(position, gradient)
                position.add_(momentum, alpha=0.0)
                momentum.add_(gradient, alpha=0.0)
        return time.perf_counter() - started

    burst(1)
    count = 1
    while (taken := burst(count)) < BURST:
        count *= 2
    return steps * min([taken, *(burst(count) for _ in range(BURSTS - 1))]) / count
