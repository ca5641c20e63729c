"""Random numbers of a sampler, each kind from a generator of its own that (seed, iteration) determine.

No generator outlives an iteration, so a resumed run draws what it would have drawn, and no key is used twice: a
momentum and an acceptance drawn from one key would be dependent. Chains draw one after another, so a chain's numbers
do not depend on how many follow it.

torch's generator on the CPU takes 32 bits of its seed. Keys are hashed, so two of n streams have the same bits with
probability n²/2³³: 1 in 950 for the 3,000 streams of 1,000 iterations of HMC, while after 10⁵ streams a pair is likely.
Such a pair is of unrelated iterations or purposes.
"""

from enum import IntEnum

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

__all__ = ["Purpose", "momenta", "stream", "uniforms"]


class Purpose(IntEnum):
    """What numbers are for; one generator each."""

    MOMENTUM = 0
    ACCEPT = 1
    LENGTH = 2
    TREE = 3


def stream(seed: int, iteration: int, purpose: Purpose, chain: int = 0) -> torch.Generator:
    """A generator on the CPU, of 32 bits. Iterations count from 1; 0 is before them. chain: where each has its own."""
    key = np.random.SeedSequence(seed, spawn_key=(iteration, int(purpose), chain))
    return torch.Generator().manual_seed(int(key.generate_state(1, np.uint64)[0] >> 1))


def momenta(like: Float[Tensor, "chains size"], seed: int, iteration: int) -> Float[Tensor, "chains size"]:
    """Standard normal numbers of this shape, type and device; drawn on the CPU, so the same on every device."""
    drawn = torch.empty(like.shape, dtype=like.dtype)
    generator = stream(seed, iteration, Purpose.MOMENTUM)
    for row in drawn:
        row.normal_(generator=generator)
    return drawn.to(like.device)


def uniforms(count: int, seed: int, iteration: int, purpose: Purpose) -> Float64[Tensor, "count"]:
    """Uniform numbers in [0, 1), in float64."""
    return torch.rand(count, generator=stream(seed, iteration, purpose), dtype=torch.float64)
