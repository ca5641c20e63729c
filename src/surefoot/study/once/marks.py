"""By what the ledger knows judge rows again: marks of their inputs, and of names that mean the same in every file.

A name that only says where a row stands ("17", "row:17", "cat/0017.png") is no name: two files that count their rows
have all of these in common. Predictions without inputs have nothing else, so there it counts together with all names,
targets and groups.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch

from surefoot.card.row_marks import RowMarks, marks
from surefoot.files import canonical_json, digest_bytes, digest_file
from surefoot.findings.predictions import Predictions
from surefoot.rows.descent import is_counted
from surefoot.rows.digest import input_digests, spelled
from surefoot.rows.images import ImageFiles
from surefoot.rows.rows import Groups, Inputs, LazyInputs, Names, Rows, rooted

__all__ = ["marks_of_inputs", "marks_of_predictions", "marks_of_rows"]

PLACE = re.compile(r"(row:)?-?[0-9]+")
BLOCK = 1024
AT_ONCE = 2**14
"""Rows that Python has as lists at a time."""


def marks_of_rows(rows: Rows) -> RowMarks:
    """Marks of rows by their inputs (numbers as float32, image files by their bytes) and by their first source."""
    firsts = _one_by_one(_firsts(rows.ids, rows.sources))
    names = ("" if PLACE.fullmatch(name) or is_counted(name) else name for name in firsts)
    return marks(inputs=_contents(rows.inputs), names=names)


def marks_of_inputs(inputs: Inputs) -> RowMarks:
    """Marks of rows that have inputs and no names."""
    return marks(inputs=_contents(inputs))


def marks_of_predictions(of: Predictions) -> RowMarks:
    """Marks of predictions: for want of inputs, what was said of a row and its target stand for them."""
    targets = of.targets.reshape(len(of.ids), -1)
    firsts = _firsts(of.ids, of.sources)
    whole = _digest_of_all(firsts, targets, of.groups)
    return marks(
        inputs=_said(of.probabilities, targets),
        names=(f"{whole}:{name}" if PLACE.fullmatch(name) else name for name in _one_by_one(firsts)),
    )


def _said(probabilities: torch.Tensor, targets: torch.Tensor) -> Iterator[str]:
    """One digest per row of what was said of it and its target."""
    for start in range(0, len(targets), AT_ONCE):
        rows = slice(start, start + AT_ONCE)
        said = probabilities[:, rows].transpose(0, 1).contiguous().double()
        for each, target in zip(said, targets[rows].tolist(), strict=True):
            yield digest_bytes(each.numpy().tobytes() + repr(target).encode())


def _digest_of_all(firsts: Names, targets: torch.Tensor, groups: Groups) -> str:
    """`digest_json` of names, targets and groups as lists, which Python never has at once."""
    hashed = hashlib.sha256(b"[")
    for values in (firsts, targets):
        for piece in spelled(_pieces(values)):
            hashed.update(piece)
        hashed.update(b",")
    hashed.update(canonical_json(list(groups.names)).encode() + b",")
    for piece in spelled(_pieces(groups.members)):
        hashed.update(piece)
    hashed.update(b"]")
    return hashed.hexdigest()


def _pieces(values: Names | torch.Tensor) -> Iterator[list[Any]]:
    return (values[start : start + AT_ONCE].tolist() for start in range(0, len(values), AT_ONCE))


def _one_by_one(names: Names) -> Iterator[str]:
    return (name for piece in _pieces(names) for name in piece)


def _firsts(ids: Names, sources: Names) -> Names:
    """Each row's first source, or its id where it names none."""
    first, *others = rooted(ids, sources).T
    for other in others:
        first = np.where(first == "", other, first)
    return first


def _contents(inputs: Inputs) -> list[str]:
    """One digest per row."""
    if isinstance(inputs, ImageFiles):
        return [digest_file(path) for path in inputs.paths]
    if isinstance(inputs, LazyInputs):
        return inputs.digests()
    blocks: Iterable[torch.Tensor] = (inputs[start : start + BLOCK] for start in range(0, len(inputs), BLOCK))
    return [each for block in blocks for each in input_digests(block.reshape(len(block), -1).float() + 0.0)]
