"""Streams of random numbers: one for each purpose and each stretch of a run, so that a resumed run draws the same.

torch's generator on the CPU takes 32 bits of its seed (CUDA's takes all). Keys are hashed, so of n streams on the CPU
two have the same bits with probability n²/2³³, and after some 10⁵ a pair is likely; it is of unrelated stretches.
"""

from enum import IntEnum

import numpy as np
import torch

from surefoot.errors import InputError

__all__ = ["Purpose", "key_of", "stream"]


class Purpose(IntEnum):
    """What a stream of random numbers is for; two purposes never share one."""

    MOMENTUM = 0
    NOISE = 1
    ORDER = 2
    AUGMENTATION = 3
    DRAW = 4


def stream(seed: int, purpose: Purpose, number: int = 0, device: str = "cpu") -> torch.Generator:
    """The generator of stretch `number` (an epoch, a block of steps) of a run's `purpose`.

    Raises `InputError` for a negative seed.

    >>> first, again = stream(0, Purpose.NOISE, 3), stream(0, Purpose.NOISE, 3)
    >>> torch.equal(torch.rand(2, generator=first), torch.rand(2, generator=again))
    True
    """
    return torch.Generator(device).manual_seed(key_of(seed, purpose, number) >> 1)


def key_of(seed: int, purpose: Purpose, number: int = 0) -> int:
    """The same as 64 bits, for a generator that counts.

    Raises `InputError` for a negative seed.
    """
    if seed < 0:
        raise InputError(f"The seed is {seed}; give zero or a positive whole number.")
    return int(np.random.SeedSequence([seed, number, int(purpose)]).generate_state(1, np.uint64)[0])
