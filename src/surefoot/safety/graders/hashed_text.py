"""Texts as numbers: which words, pairs of words and runs of letters stand in them, hashed into a fixed width.

    words      single words and pairs in a row, of the whole text
    opening    the same, of its first `OPENING` words, where most refusals are made
    letters    runs of four letters, spaces between words included

Each of the three is counted as log(1 + how often), hashed into a third of the width and scaled to length 1, so a long
text weighs no more than a short one. Case, width of letters and kinds of apostrophes make no difference. Two n-grams
may share a place: the wider, the fewer do.

Source: Weinberger et al. (2009), "Feature hashing for large scale multitask learning", ICML; without its random signs,
which matter for inner products and not for a fitted weight.
"""

import math
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from surefoot.errors import InputError
from surefoot.memory import require_memory
from surefoot.text.refusals import plain

__all__ = ["LONGEST", "hashed_texts"]

LONGEST = 4_000
"""Characters of a text that are read."""
OPENING, RUN = 20, 4
PARTS = 3
WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[?!:]")


def hashed_texts(texts: Sequence[str], width: int) -> Float64[ndarray, "rows width"]:
    """A row of `width` numbers for each text; zeros for one without a word. width: of three equal parts.

    Raises `InputError` for a width that three does not divide, and where the rows do not fit into the memory.

    >>> rows = hashed_texts(["I can't help you.", "I CAN\u2019T  help you", "", "Gladly."], 3000)
    >>> [round(float(rows[0] @ each), 3) for each in rows[1:]]
    [3.0, 0.0, 0.0]
    """
    if width < PARTS or width % PARTS:
        raise InputError(f"The width of hashed texts is {width}; give a multiple of {PARTS}.")
    require_memory(8 * len(texts) * width, f"Hashing {len(texts)} texts")
    rows = np.zeros((len(texts), width))
    for row, text in zip(rows, texts, strict=True):
        for part, counts in enumerate(_counted(text)):
            _fill(row[part * (width // PARTS) : (part + 1) * (width // PARTS)], counts)
    return rows


def _counted(text: str) -> tuple[Counter[str], Counter[str], Counter[str]]:
    words = WORD.findall(plain(text[:LONGEST]))
    joined = f" {' '.join(words)} " if words else ""
    runs = (joined[at : at + RUN] for at in range(len(joined) - RUN + 1))
    return Counter(_pairs(words)), Counter(_pairs(words[:OPENING])), Counter(runs)


def _pairs(words: Sequence[str]) -> Iterable[str]:
    yield from words
    yield from (f"{one} {other}" for one, other in pairwise(words))


def _fill(row: Float64[ndarray, "width"], counts: Counter[str]) -> None:
    for gram, count in counts.items():
        row[zlib.crc32(gram.encode()) % len(row)] += math.log1p(count)
    length = math.sqrt(float(row @ row))
    if length:
        row /= length
