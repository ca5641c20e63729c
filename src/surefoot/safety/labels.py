"""Completions of which people said whether they refuse: the samples of a run with a label on some lines.

    {"model": …, "suite": …, "item": …, "answer": …, "label": "refused"}     a line of <suite>.judged.jsonl, and a label
    model,prompt,answer,label                                                 a table of one's own, CSV, TSV or JSON

label: complied, the completion does what was asked, in whatever words; or refused, it does not (also yes and no, 1 and
0, true and false, for whether it refuses). A line without a label was not labelled. Which completion a line is of
follows from its model, its answer, and its item, or else its prompt: the last message is enough. A label counts where
that model wrote that answer to that item, and nowhere else: what an earlier model of the same name wrote says nothing
of this one.

**Label without a look at the scores**: lines that are chosen because they were flagged give wrong errors
(`findings.corrected`). Answers may be harmful; they are in no message of an error.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from surefoot.errors import InputError
from surefoot.files import digest_file
from surefoot.rows.published.records import Record, read_records
from surefoot.safety.item import Item
from surefoot.safety.measured import Evaluated

__all__ = ["Label", "Labels", "labels_of", "last_of", "read_labels"]

KNOWN: Mapping[str, bool] = {
    "refused": True, "yes": True, "1": True, "true": True, "complied": False, "no": False, "0": False, "false": False,
}  # fmt: skip
SHOWN = 3
"""Broken lines that a message names."""


@dataclass(frozen=True)
class Label:
    """Of one answer. suite, item, prompt: as far as they are told; prompt: its last message."""

    model: str
    answer: str
    refused: bool
    suite: str = ""
    item: str = ""
    prompt: str = ""


@dataclass(frozen=True)
class Labels:
    """rows: every labelled answer once. files: names with the digits of their sha256."""

    rows: tuple[Label, ...]
    files: Mapping[str, str]


def read_labels(paths: Sequence[Path]) -> Labels:
    """The labels of these files.

    Raises `InputError` for a file that is missing, holds no label, or an answer that is labelled in two ways; and names
    the lines with a label that is none, or without what tells whose answer it is.
    """
    rows: dict[Label, None] = {}
    files: dict[str, str] = {}
    for path in paths:
        if not path.is_file():
            raise InputError(
                f"There is no file of labels {path}; copy samples/<model>/<suite>.judged.jsonl of a run, and add "
                '"label": "refused" or "complied" to its lines.'
            )
        found, faults = _read(path)
        if faults:
            more = f", and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
            raise InputError(f"{path} has lines that cannot be read as labels: {'; '.join(faults[:SHOWN])}{more}.")
        if not found:
            raise InputError(f'{path} has no labels; add "label": "refused" or "complied" to some of its lines.')
        rows.update(dict.fromkeys(found))
        files[path.name] = digest_file(path)[:16]
    said: dict[tuple[str, ...], bool] = {}
    for each in rows:
        place = (each.model, each.suite, each.item, each.prompt, each.answer)
        if said.setdefault(place, each.refused) != each.refused:
            raise InputError(
                f"An answer of {each.model} to {each.item or 'one prompt'} is labelled refused and complied as well; "
                "give it one label."
            )
    return Labels(tuple(rows), files)


def labels_of(of: Evaluated, model: str, labels: Labels) -> tuple[bool | None, ...]:
    """For every completion of a suite whether it was labelled as one that refuses; None where it was not labelled."""
    by: dict[tuple[str, str], bool] = {}
    for each in labels.rows:
        if each.model == model and each.suite in ("", of.suite.name):
            by[each.item or f"\n{each.prompt}", each.answer.strip()] = each.refused
    found: list[bool | None] = []
    for each in of.sampled:
        places = (each.item.id, f"\n{last_of(each.item)}")
        told = [by[place, each.answer.strip()] for place in places if (place, (each.answer or "").strip()) in by] if (
            each.answer is not None
        ) else []  # fmt: skip
        found.append(told[0] if told else None)
    return tuple(found)


def last_of(item: Item) -> str:
    """The last message of what is asked."""
    return (item.prompt if isinstance(item.prompt, str) else item.prompt[-1].text).strip()


def _read(path: Path) -> tuple[list[Label], list[str]]:
    found: list[Label] = []
    faults: list[str] = []
    for record in read_records(path):
        place = record.where.removesuffix(f" of {path}")
        said = str(_plain(record, "label")).strip().lower()
        if not said:
            continue
        model, item, prompt = (_plain(record, name).strip() for name in ("model", "item", "prompt"))
        if said not in KNOWN:
            faults.append(f"{place} has the label {said[:20]!r}, expected refused or complied")
        elif not model or not (item or prompt) or record.values.get("answer") is None:
            faults.append(f"{place} has a label and not all of model, answer, and item or prompt")
        else:
            answer, suite = _plain(record, "answer"), _plain(record, "suite").strip()
            found.append(Label(model, answer, KNOWN[said], suite, item, "" if item else prompt))
    return found, faults


def _plain(record: Record, name: str) -> str:
    """A value as text; of a conversation the last message, which samples write as [role, text, …]."""
    value: Any = record.values.get(name)
    if isinstance(value, list) and value:
        last = cast("list[Any]", value)[-1]
        value = cast("list[Any]", last)[1] if isinstance(last, list) and len(cast("list[Any]", last)) > 1 else last
    return "" if value is None else str(value)
