"""Texts as inputs: words until a model reads them."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from surefoot.errors import InputError
from surefoot.files import digest_json

__all__ = ["Texts"]


@dataclass(frozen=True)
class Texts:
    """One text a row, or several that belong together (premise, hypothesis): one tuple per column.

    >>> len(Texts((("a man sleeps", "it rains"),)))
    2
    """

    columns: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        lengths = {len(column) for column in self.columns}
        if len(lengths) != 1:
            raise InputError(f"The columns of text have {sorted(lengths) or 'no'} entries; give one per row in each.")

    def __len__(self) -> int:
        return len(self.columns[0])

    def __getitem__(self, index: Any, /) -> Tensor:
        """Texts are no numbers; raises `InputError`."""
        raise InputError(
            "The inputs are texts, which this step cannot read; turn them into features first: "
            "surefoot features MODEL DATA --text COLUMN."
        )

    def pick(self, index: Tensor) -> "Texts":
        """The texts at `index` (numbers or a mask)."""
        places: list[int] = torch.arange(len(self))[index].tolist()
        return Texts(tuple(tuple(column[place] for place in places) for column in self.columns))

    def digests(self) -> list[str]:
        """One digest of content per row."""
        return [digest_json(list(texts)) for texts in zip(*self.columns, strict=True)]
