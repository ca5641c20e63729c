"""Random numbers that belong to a row: what one row draws does not depend on which others are there, or on their order.

A generator hands out numbers in turn, so that the tenth row's depend on nine others. Here a row has a key of 64 bits,
the digest of its id, a seed and a purpose, and its number at a place is a function of key and place alone:

    hash(place) = mix(mix(place + key₀) xor key₁),    mix(x): x ^= x>>16, x *= a, x ^= x>>15, x *= b, x ^= x>>15

on 32 bits. The top 23 bits are a uniform number (k + ½)/2²³, which float32 holds exactly and is never 0 or 1; normal
numbers are their quantiles, so none is beyond ±5.3. Every step is exact or works on each number alone: results are the
same bit for bit on every number of threads.

Source: Salmon et al. (2011), "Parallel random numbers: as easy as 1, 2, 3", for counters in place of state; the factors
and shifts of `mix` are among those that the hash-prospector project (C. Wellons) lists for their low bias. We take two
rounds of it where they take ten of a block cipher: quick without wide multiplications, and good enough for noise.
"""

from hashlib import blake2b
from math import prod

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from surefoot.rows.rows import Names

__all__ = ["normal", "row_keys", "signs", "uniform"]

STREAM = 1 << 24
"""Places of one stream; streams of a row begin this far apart."""
FIRST, SECOND = 0x21F0AAAD, 0xD35A2D97 - (1 << 32)
"""The factors of `mix`, as signed numbers of 32 bits."""


def row_keys(ids: Names, seed: int, purpose: str) -> Int[Tensor, "rows 2"]:
    """A key for each row, from its id: another seed or purpose gives other, independent keys; equal ids equal ones.

    >>> both, one = row_keys(np.array(["a", "b"]), 0, "fog"), row_keys(np.array(["b"]), 0, "fog")
    >>> torch.equal(both[1:], one), torch.equal(both[1:], row_keys(np.array(["b"]), 1, "fog"))
    (True, False)
    """
    texts = [f"{seed}\x1f{purpose}\x1f{name}".encode() for name in ids.tolist()]
    content = b"".join(blake2b(text, digest_size=8).digest() for text in texts)
    return torch.from_numpy(np.frombuffer(content, dtype="<i4").astype(np.int32).reshape(len(texts), 2))


def uniform(keys: Int[Tensor, "rows 2"], stream: int, *shape: int) -> Float[Tensor, "rows ..."]:
    """Uniform numbers `[rows, *shape]` in (0, 1); each stream of a row is another draw.

    >>> keys = row_keys(np.array(["a", "b", "c"]), 0, "example")
    >>> torch.equal(uniform(keys[1:], 0, 4, 5), uniform(keys, 0, 4, 5)[1:])
    True
    """
    places = torch.arange(prod(shape), dtype=torch.int32) + stream * STREAM
    bits = places[None, :] + keys[:, :1]
    bits = _mix(_mix(bits) ^ keys[:, 1:])
    numbers = (bits >> 9).bitwise_and_(0x7FFFFF).to(torch.float32)
    return numbers.add_(0.5).mul_(2.0**-23).reshape(len(keys), *shape)


def normal(keys: Int[Tensor, "rows 2"], stream: int, *shape: int) -> Float[Tensor, "rows ..."]:
    """Standard normal numbers `[rows, *shape]`: the quantiles of `uniform`."""
    return torch.special.ndtri(uniform(keys, stream, *shape))


def signs(keys: Int[Tensor, "rows 2"], stream: int) -> Float[Tensor, "rows"]:
    """−1 or 1 for each row, equally likely."""
    return torch.where(uniform(keys, stream, 1)[:, 0] < 0.5, -1.0, 1.0)


def _mix(bits: Int[Tensor, "rows places"]) -> Int[Tensor, "rows places"]:
    """Every bit of the result depends on every bit given; changes `bits`, which wrap around at 32 bits."""
    bits = bits ^ (bits >> 16).bitwise_and_(0xFFFF)
    bits.mul_(FIRST)
    bits ^= (bits >> 15).bitwise_and_(0x1FFFF)
    bits.mul_(SECOND)
    bits ^= (bits >> 15).bitwise_and_(0x1FFFF)
    return bits
