"""The thoughts of a safety run, and the sheet on which a person says which of them should have been flagged.

    row, thought, should_flag      yes or no in the last column

The sheet has all flagged thoughts and some of the others, drawn at random, in an order that says nothing of which is
which. Nothing but thoughts is read from the run: no answer, no grade.
"""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from surefoot.card.traces import readable
from surefoot.errors import InputError
from surefoot.files import digest_json, parse_json
from surefoot.safety.blind_sheets import as_cell, csv_rows, csv_text, same_text, text_digest
from surefoot.study.once.safety_samples import FOLDER

__all__ = ["Thought", "audit_sheet", "drawn_unflagged", "read_labels", "thoughts_of"]

COLUMNS = ("row", "thought", "should_flag")
ANSWERS = {"yes": True, "y": True, "1": True, "true": True, "no": False, "n": False, "0": False, "false": False}
LETTERS = str.maketrans("0123456789abcdef", "abcdefghijklmnop")
LONGEST = 30_000
"""Characters of a cell; spreadsheets hold 32,767."""


class Thought(NamedTuple):
    """row: its name on the sheet. text: as a spreadsheet can show it. whole: as it was written."""

    row: str
    suite: str
    item: str
    attempt: int
    cluster: str
    text: str
    whole: str


def thoughts_of(run: Path, model: str | None) -> tuple[str, tuple[Thought, ...]]:
    """A model's name and its thoughts in all suites. model: None for the only one.

    Raises `InputError` for a folder that is no safety run, several models where none is named, and no thoughts.
    """
    files = sorted((run / FOLDER).glob("*/*.thoughts.jsonl"))
    if not files:
        raise InputError(f"{run} holds no thoughts; give the folder of a run that `surefoot safety` made.")
    by_model: dict[str, list[Thought]] = {}
    for file in files:
        for line in _lines(file):
            try:
                suite, item, attempt = str(line["suite"]), str(line["item"]), int(line["attempt"])
                name = digest_json(["audited thought", line["model"], suite, item, attempt])[:10].translate(LETTERS)
                cluster = f"{suite}: {line.get('cluster') or f'item {item}'}"
                whole = str(line["thought"])
                text = readable(whole.replace("\r\n", "\n"), LONGEST)
                found = Thought(name, suite, item, attempt, cluster, text, whole)
                by_model.setdefault(str(line["model"]), []).append(found)
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
                raise InputError(f"Cannot read the thoughts {file} ({error}); evaluate that model again.") from None
    if not by_model:
        raise InputError(
            f"No model of {run} wrote a thought (between <think> and </think>), so there is nothing to monitor."
        )
    if model is None and len(by_model) > 1:
        raise InputError(f"{run} has thoughts of {', '.join(by_model)}; name one of them with --model.")
    chosen = next(iter(by_model)) if model is None else model
    if chosen not in by_model:
        raise InputError(f"{run} has no thoughts of {chosen!r}; it has some of {', '.join(by_model)}.")
    return chosen, tuple(by_model[chosen])


def drawn_unflagged(unflagged: Sequence[Thought], count: int, seed: int) -> tuple[Thought, ...]:
    """`count` of the unflagged thoughts, or all of them."""
    draws = random.Random(digest_json(["audit", seed]))
    return tuple(draws.sample(list(unflagged), min(count, len(unflagged))))


def audit_sheet(thoughts: Sequence[Thought], seed: int) -> str:
    """The sheet of these thoughts, as CSV."""
    order = list(thoughts)
    random.Random(digest_json(["order of the audit", seed])).shuffle(order)
    return csv_text(COLUMNS, [(each.row, as_cell(each.text), "") for each in order])


def read_labels(path: Path, wanted: Sequence[Thought]) -> Mapping[str, bool]:
    """By row, whether it should have been flagged.

    Raises `InputError` for rows of another sheet, a row twice, changed or gone, and answers other than yes and no.
    """
    texts = {each.row: text_digest(each.text) for each in wanted}
    found: dict[str, bool] = {}
    left_open: list[int] = []
    for line, row in csv_rows(path, COLUMNS):
        name, answer = row["row"].strip(), row["should_flag"].strip().lower()
        if name not in texts:
            raise InputError(
                f"Row {line} of {path} ({name!r}) is not in the sample of this run; give the run, --model, monitor, "
                "--audit and --seed with which the sheet was written."
            )
        if name in found:
            raise InputError(f"The row {name} is in {path} twice (row {line}); keep one answer.")
        if not same_text(row["thought"], texts[name]):
            raise InputError(
                f"Row {line} of {path} ({name}) was changed: its thought is not the one that was given; put it back."
            )
        if not answer:
            left_open.append(line)
            continue
        if answer not in ANSWERS:
            raise InputError(f"Row {line} of {path} has the answer {answer[:40]!r}; write yes or no.")
        found[name] = ANSWERS[answer]
    if left_open:
        raise InputError(
            f"{len(left_open)} rows of {path} have no answer (the first is row {left_open[0]}); write yes or no."
        )
    if lost := len(texts) - len(found):
        raise InputError(
            f"{lost} of the {len(texts)} rows of the sample are not in {path}; a sample of which rows are missing is "
            "none: give the whole sheet."
        )
    return found


def _lines(file: Path) -> list[dict[str, Any]]:
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
        return [cast("dict[str, Any]", parse_json(line)) for line in lines if line]
    except (OSError, ValueError) as error:
        raise InputError(f"Cannot read the thoughts {file} ({error}); evaluate that model again.") from None
