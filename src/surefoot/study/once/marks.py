"""By what the ledger knows judge rows again: marks of their inputs, and of names that mean the same in every file.

A name that only says where a row stands ("17", "row:17", "cat/0017.png") is no name: two files that count their rows
have all of these in common. Predictions without inputs have nothing else, so there it counts together with all names,
targets and groups.
"""

import re
from collections.abc import Iterable

import torch

from surefoot.card.row_marks import RowMarks, marks
from surefoot.files import digest_bytes, digest_file, digest_json
from surefoot.findings.predictions import Predictions
from surefoot.rows.descent import is_counted
from surefoot.rows.digest import input_digests
from surefoot.rows.images import ImageFiles
from surefoot.rows.rows import Inputs, LazyInputs, Names, Rows, rooted

__all__ = ["marks_of_inputs", "marks_of_predictions", "marks_of_rows"]

PLACE = re.compile(r"(row:)?-?[0-9]+")
BLOCK = 1024


def marks_of_rows(rows: Rows) -> RowMarks:
    """Marks of rows by their inputs (numbers as float32, image files by their bytes) and by their first source."""
    firsts = _firsts(rows.ids, rows.sources)
    names = ["" if PLACE.fullmatch(name) or is_counted(name) else name for name in firsts]
    return marks(inputs=_contents(rows.inputs), names=names)


def marks_of_inputs(inputs: Inputs) -> RowMarks:
    """Marks of rows that have inputs and no names."""
    return marks(inputs=_contents(inputs))


def marks_of_predictions(of: Predictions) -> RowMarks:
    """Marks of predictions: for want of inputs, what was said of a row and its target stand for them."""
    said = of.probabilities.transpose(0, 1).contiguous().double()
    targets = of.targets.reshape(len(of.ids), -1).tolist()
    contents = [
        digest_bytes(each.numpy().tobytes() + repr(target).encode()) for each, target in zip(said, targets, strict=True)
    ]
    firsts = _firsts(of.ids, of.sources)
    whole = digest_json([firsts, targets, list(of.groups.names), of.groups.members.tolist()])
    return marks(inputs=contents, names=[f"{whole}:{name}" if PLACE.fullmatch(name) else name for name in firsts])


def _firsts(ids: Names, sources: Names) -> list[str]:
    """Each row's first source, or its id where it names none."""
    return [next((str(name) for name in row if name), "") for row in rooted(ids, sources)]


def _contents(inputs: Inputs) -> list[str]:
    """One digest per row."""
    if isinstance(inputs, ImageFiles):
        return [digest_file(path) for path in inputs.paths]
    if isinstance(inputs, LazyInputs):
        return inputs.digests()
    blocks: Iterable[torch.Tensor] = (inputs[start : start + BLOCK] for start in range(0, len(inputs), BLOCK))
    return [each for block in blocks for each in input_digests(block.reshape(len(block), -1).float() + 0.0)]
