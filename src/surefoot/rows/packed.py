"""Texts as rows of whole numbers that carry their own lengths.

    [prompt's length, whole length, token, token, …]

What lies after the whole length is padding, and may be any token: nothing here or in a network that reads packed texts
finds the end of a text by looking for one. (A program that counts tokens which differ from a padding token loses the
end of every text in which that token is also a word.)
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from surefoot.errors import InputError

__all__ = ["LEADING", "Unpacked", "pack", "unpack"]

LEADING = 2
"""Numbers before the first token."""


class Unpacked(NamedTuple):
    """Lengths in tokens, and the tokens with their padding."""

    prompts: Int[Tensor, "*rows"]
    lengths: Int[Tensor, "*rows"]
    tokens: Int[Tensor, "*rows tokens"]


def pack(texts: Sequence[tuple[Sequence[int], Sequence[int]]], room: int) -> Int[Tensor, "rows numbers"]:
    """(prompt, completion) pairs as rows, padded with zeros to `room` tokens.

    Raises `InputError` for a text that is longer than that, and for an empty prompt or completion.

    >>> pack([([7, 8], [9])], room=4).tolist()
    [[2, 3, 7, 8, 9, 0]]
    """
    packed = torch.zeros(len(texts), LEADING + room, dtype=torch.int64)
    for row, (prompt, completion) in enumerate(texts):
        length = len(prompt) + len(completion)
        if length > room:
            raise InputError(f"Text {row} has {length} tokens and there is room for {room}; give more room.")
        if not prompt or not completion:
            raise InputError(f"Text {row} has an empty prompt or completion; give at least a token of each.")
        packed[row, : LEADING + length] = torch.tensor([len(prompt), length, *prompt, *completion])
    return packed


def unpack(texts: Int[Tensor, "*rows numbers"]) -> Unpacked:
    """The parts of packed texts.

    >>> unpack(torch.tensor([[2, 3, 7, 8, 9, 0]])).lengths.tolist()
    [3]
    """
    return Unpacked(texts[..., 0], texts[..., 1], texts[..., LEADING:])
