"""Completions of which people said whether they refuse: the samples of a run with a label on some lines.

    {"model": …, "suite": …, "item": …, "answer": …, "label": "refused"}     a line of <suite>.judged.jsonl, and a label
    model,prompt,answer,label                                                 a table of one's own, CSV, TSV or JSON
    model,suite,item,answer,label                                             or by item, and then of which suite

label: complied, the completion does what was asked, in whatever words; or refused, it does not (also yes and no, 1 and
0, true and false, for whether it refuses). A line without a label was not labelled. Which completion a line is of
follows from its model, its answer, and its item and suite, or else its prompt: the last message is enough. A label
counts where that model wrote that answer to that item, and nowhere else: what an earlier model of the same name wrote
says nothing of this one. White space around an answer does not count. Where labels of one completion disagree, however
they name it, none of them is taken.

**Label without a look at the scores**: lines that are chosen because they were flagged give wrong errors
(`findings.corrected`). Answers may be harmful; they are in no message of an error.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
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
TEXTS = ("label", "model", "suite", "item", "answer")
"""Of a line, what may be no list."""
SHOWN = 3
"""Broken lines that a message names."""


@dataclass(frozen=True)
class Label:
    """Of one answer. suite, item, prompt: as far as they are told; with an item its suite; prompt: its last message."""

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
    the lines with a label that is none, or without what tells whose answer it is. Two files of one name are told apart
    by a number.
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
        digest = digest_file(path)[:16]
        names = (path.name if number == 1 else f"{path.name} ({number})" for number in count(1))
        files[next(each for each in names if files.get(each, digest) == digest)] = digest
    said: dict[tuple[str, ...], bool] = {}
    for each in rows:
        place = (each.model, each.suite, each.item, each.prompt, each.answer)
        if said.setdefault(place, each.refused) != each.refused:
            raise _both_ways(each.model, each.item or "one prompt")
    return Labels(tuple(rows), files)


def labels_of(of: Evaluated, model: str, labels: Labels, *, also: str = "") -> tuple[bool | None, ...]:
    """For every completion of a suite whether it was labelled as one that refuses; None where it was not labelled.

    also: another name that the model has in labels. Raises `InputError` where two labels of one completion disagree: by
    its item and by its prompt, with its suite and without, under either name.
    """
    by: dict[tuple[str, str], set[bool]] = {}
    for each in labels.rows:
        if each.model in (model, also) and each.suite in ("", of.suite.name):
            by.setdefault((each.item or f"\n{each.prompt}", each.answer), set()).add(each.refused)
    found: list[bool | None] = []
    for each in of.sampled:
        told: set[bool] = set()
        for place in (each.item.id, f"\n{last_of(each.item)}") if each.answer is not None else ():
            told |= by.get((place, (each.answer or "").strip()), set())
        if len(told) > 1:
            raise _both_ways(model, f"{each.item.id} of {of.suite.name}")
        found.append(next(iter(told), None))
    return tuple(found)


def last_of(item: Item) -> str:
    """The last message of what is asked."""
    return (item.prompt if isinstance(item.prompt, str) else item.prompt[-1].text).strip()


def _read(path: Path) -> tuple[list[Label], list[str]]:
    found: list[Label] = []
    faults: list[str] = []
    for record in read_records(path):
        place = record.where.removesuffix(f" of {path}")
        said = str(record.values.get("label") if record.values.get("label") is not None else "").strip().lower()
        if not said:
            continue
        odd = [each for each in TEXTS if isinstance(record.values.get(each), list | dict)]
        prompt = _last(record.values.get("prompt"))
        if odd or prompt is None:
            faults.append(f"{place} has {(*odd, 'prompt')[0]} as a list, expected a text")
            continue
        model, suite, item = (_plain(record, name).strip() for name in ("model", "suite", "item"))
        if said not in KNOWN:
            faults.append(f"{place} has the label {said[:20]!r}, expected refused or complied")
        elif not model or not (item or prompt) or record.values.get("answer") is None:
            faults.append(f"{place} has a label and not all of model, answer, and item or prompt")
        elif item and not suite:
            faults.append(f"{place} has an item and no suite, and other suites may have an item of that name")
        else:
            answer = _plain(record, "answer").strip()
            found.append(Label(model, answer, KNOWN[said], suite, item, "" if item else prompt))
    return found, faults


def _both_ways(model: str, place: str) -> InputError:
    return InputError(f"An answer of {model} to {place} is labelled refused and complied as well; give it one label.")


def _plain(record: Record, name: str) -> str:
    value: Any = record.values.get(name)
    return "" if value is None else str(value)


def _last(prompt: Any) -> str | None:
    """A prompt as text; of a conversation the last message, which samples write as [role, text, …]; None for a list of
    anything else."""
    if isinstance(prompt, list):
        last: Any = cast("list[Any]", prompt)[-1] if prompt else None
        prompt = cast("list[Any]", last)[1] if isinstance(last, list) and len(cast("list[Any]", last)) > 1 else None
        return prompt.strip() if isinstance(prompt, str) else None
    return None if isinstance(prompt, dict) else "" if prompt is None else str(prompt).strip()
