"""Texts as tokens for training: which tokens are a text's own is kept as its length, never read off token numbers.

Every text keeps its row. One that is longer than the model reads is refused, or cut where the caller asks for that, and
then counted; none is left out, so that models of different contexts learn from the same rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

import torch
from torch import Tensor

from surefoot.errors import InputError
from surefoot.hub.readers import TextReader
from surefoot.rows.rows import Inputs
from surefoot.rows.texts import Texts

__all__ = ["Overlong", "Tokens", "lengths_of", "tokens_of"]

Overlong: TypeAlias = Literal["refuse", "cut"]
"""What becomes of texts that are longer than the model reads."""


@dataclass(frozen=True)
class Tokens:
    """The tokens of every row. lengths: how many are its own; cut: how many texts lost some; filler: of padding."""

    coded: Mapping[str, Sequence[Sequence[int]]]
    lengths: tuple[int, ...]
    cut: int
    filler: int

    def __len__(self) -> int:
        return len(self.lengths)

    def batch(self, places: Sequence[int]) -> dict[str, Tensor]:
        """A model's arguments for these rows: padding on the right, and a mask made of lengths."""
        lengths = torch.tensor([self.lengths[place] for place in places], dtype=torch.int64)
        width = int(lengths.max())
        given = {"attention_mask": (torch.arange(width) < lengths[:, None]).long()}
        for name, values in self.coded.items():
            filler = self.filler if name == "input_ids" else 0
            given[name] = torch.tensor(
                [[*values[place], *[filler] * (width - self.lengths[place])] for place in places], dtype=torch.int64
            )
        return given


def tokens_of(reader: TextReader, inputs: Inputs, overlong: Overlong = "refuse") -> Tokens:
    """Tokens of all texts, or of pairs of texts.

    Raises `InputError` for inputs that are no texts, for texts without a token, and for texts that are too long where
    `overlong` is "refuse", saying how many and the first.
    """
    if not isinstance(inputs, Texts):
        raise InputError("A text model learns from texts; give rows whose inputs are Texts, not features of them.")
    if len(inputs.columns) > 2:
        raise InputError(f"A model reads one text a row, or a pair; there are {len(inputs.columns)} columns.")
    columns = [list(column) for column in inputs.columns]
    coded = _coded(reader, columns, cut=False)
    lengths = [len(ids) for ids in coded["input_ids"]]
    if 0 in lengths:
        raise InputError(f"Row {lengths.index(0)} has a text without a token; leave such rows out or give them a word.")
    long = [place for place, length in enumerate(lengths) if length > reader.longest]
    if long and overlong == "refuse":
        raise InputError(
            f"{len(long)} of {len(lengths)} texts are longer than the {reader.longest} tokens that the model reads "
            f"(first: row {long[0]}, {lengths[long[0]]} tokens); shorten them, or ask for them to be cut "
            '(overlong="cut").'
        )
    if long:
        coded = _coded(reader, columns, cut=True)
        lengths = [len(ids) for ids in coded["input_ids"]]
    filler = cast("int | None", reader.tokenizer.pad_token_id)
    return Tokens(coded, tuple(lengths), len(long), filler or 0)


def lengths_of(reader: TextReader, inputs: Texts) -> list[int]:
    """How many tokens each text, or pair of texts, has before anything is cut."""
    return [len(ids) for ids in _coded(reader, [list(column) for column in inputs.columns], cut=False)["input_ids"]]


def _coded(reader: TextReader, columns: list[list[str]], *, cut: bool) -> dict[str, list[list[int]]]:
    if not columns[0]:
        return {"input_ids": []}
    coded = (
        reader.tokenizer(*columns, truncation=True, max_length=reader.longest, verbose=False)
        if cut
        else reader.tokenizer(*columns, truncation=False, verbose=False)
    )
    return {name: coded[name] for name in reader.names if name != "attention_mask"}
