"""Rows as a model reads them, and whether their classes are the model's."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from surefoot.errors import InputError
from surefoot.hub.encoder import Encoder
from surefoot.rows.delimited import is_text_table
from surefoot.rows.headers import with_any_pictures
from surefoot.rows.published.read import Published, describe_published, image_rows, text_rows
from surefoot.rows.reading import UNLABELLED, Reading
from surefoot.rows.tables import read_table
from surefoot.study.once.columns import Columns

__all__ = ["ReadFor", "read_for", "read_published_for", "usual_texts"]

TEXTS = ("text", "sentence", "comment_text", "sentence1", "premise")
PAIRS = {"text": "text_pair", "sentence1": "sentence2", "premise": "hypothesis"}
SHOWN = 5
"""Classes that a sentence names before it says how many there are."""


@dataclass(frozen=True)
class ReadFor:
    """Rows as a model reads them.

    mismatch: why the model's head does not speak of their classes, as what stands behind "because", or None. taken:
    what was taken for what without anybody saying so, as a sentence that a reader must be able to deny; "" where names
    agree.
    """

    reading: Reading
    mismatch: str | None
    taken: str = ""


def read_for(encoder: Encoder, data: Path, columns: Columns, *, labelled: bool = False) -> ReadFor:
    """The rows of `data` as this encoder reads them: texts by a named or usual column, images, or numbers.

    Rows get the model's classes, in its order, where the data names the same (case aside) or numbers them from 0.
    labelled: raise `InputError` where the data has no labels. Raises it too for pictures that cannot be read, with
    how many there are.
    """
    read = _read_for(encoder, data, columns, labelled)
    return replace(read, reading=replace(read.reading, rows=with_any_pictures(read.reading.rows)))


def _read_for(encoder: Encoder, data: Path, columns: Columns, labelled: bool) -> ReadFor:
    wanted = columns
    if encoder.reads == "texts" and not columns.text:
        wanted = replace(columns, text=usual_texts(data))
    if encoder.reads == "images" and columns.images is None and _is_table(data):
        wanted = replace(columns, images=data.parent)
    reading = wanted.read(data, labelled=labelled)
    own = reading.rows.classes
    if own == (UNLABELLED,):
        return ReadFor(reading, "the data has no labels")
    if encoder.head is None:
        return ReadFor(reading, None)
    layer = encoder.module.get_submodule(encoder.head)
    assert isinstance(layer, nn.Linear)
    if encoder.classes is not None and not all(name.isdecimal() for name in own):
        spelled = {name.lower(): name for name in own}
        ordered = [spelled.get(name.lower(), name) for name in encoder.classes]
        if set(ordered) >= set(own):
            return ReadFor(wanted.read(data, classes=ordered), None)
    elif encoder.classes is not None and len(own) <= len(encoder.classes):
        return ReadFor(wanted.read(data, classes=encoder.classes), None, _numbers_taken(own, encoder.classes))
    elif layer.out_features == len(own):
        return ReadFor(reading, None, _order_taken(encoder, own))
    elif all(name.isdecimal() and int(name) < layer.out_features for name in own):
        numbered = tuple(map(str, range(layer.out_features)))
        return ReadFor(wanted.read(data, classes=numbered), None, _order_taken(encoder, numbered))
    return ReadFor(reading, _mismatch(encoder, layer.out_features, "the data", own))


def read_published_for(encoder: Encoder, published: Published) -> ReadFor:
    """The rows of a published data set as this encoder reads them, its texts or its images, with its own splits.

    A head that names the same classes has its own order; one that names none, of as many classes, the published order.
    """
    rows = text_rows(published) if encoder.reads == "texts" else image_rows(published)
    own = rows.classes
    same = encoder.classes is None
    if encoder.classes is not None and encoder.head is not None:
        ordered = tuple(name.lower() for name in encoder.classes)
        same = sorted(ordered) == sorted(name.lower() for name in own)
        if same:
            place = torch.tensor([ordered.index(name.lower()) for name in own])
            classes = tuple(own[int(at)] for at in place.argsort())
            rows = replace(rows, targets=place[rows.targets], classes=classes)
    reading = Reading(with_any_pictures(rows), published.split, "\n".join(describe_published(published)))
    if encoder.head is None:
        return ReadFor(reading, None)
    layer = encoder.module.get_submodule(encoder.head)
    assert isinstance(layer, nn.Linear)
    if same and layer.out_features == len(own):
        return ReadFor(reading, None, _order_taken(encoder, rows.classes))
    return ReadFor(reading, _mismatch(encoder, layer.out_features, published.layout, own))


def usual_texts(data: Path) -> tuple[str, ...]:
    """The column of texts, or the two of pairs, by its usual name; raises `InputError` where there is none."""
    if data.is_dir():
        raise InputError(f"The model reads texts and {data} is a folder; give a table with a column of texts.")
    table = read_table(data)
    for name in TEXTS:
        if name in table.columns:
            pair = PAIRS.get(name)
            return (name, pair) if pair is not None and pair in table.columns else (name,)
    raise InputError(
        f"The model reads texts and {data} has no column called {', '.join(TEXTS)}; name it: --text COLUMN "
        f"(its columns are: {', '.join(list(table.columns)[:20])})."
    )


def _mismatch(encoder: Encoder, outputs: int, data: str, own: Sequence[str]) -> str:
    named = f" ({_few(encoder.classes)})" if encoder.classes else ""
    return f"the model's {outputs} classes{named} are not those of {data} ({_few(own)})"


def _numbers_taken(labels: Sequence[str], classes: Sequence[str]) -> str:
    """Labels that are numbers were taken for places in the model's list; "" where they are its names."""
    if set(labels) <= set(classes):
        return ""
    meant = [f"{number} {name}" for number, name in enumerate(classes) if str(number) in labels]
    plural = len(labels) > 1
    return (
        f"Label{'s' if plural else ''} {_few(labels)} {'are' if plural else 'is'} taken to be the model's "
        f"class{'es' if plural else ''} {_few(meant)}."
    )


def _order_taken(encoder: Encoder, classes: Sequence[str]) -> str:
    """A model that calls its classes LABEL_0, LABEL_1 was taken to mean the data's in their order."""
    if encoder.folder is None or encoder.classes is not None:
        return ""
    return (
        "The model does not name its classes (LABEL_0, LABEL_1, …); they are taken to be the data's in this order: "
        f"{_few(classes, 20)}."
    )


def _few(names: Sequence[str], most: int = SHOWN) -> str:
    return ", ".join(names[:most]) + (f", … {len(names):,} in all" if len(names) > most else "")


def _is_table(data: Path) -> bool:
    return is_text_table(data) or data.suffix.lower() == ".parquet"
