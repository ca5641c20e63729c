"""Pairs of answers to compare blindly, from the samples of safety runs, and the sheets that are made of them."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from surefoot.card.traces import readable
from surefoot.errors import InputError
from surefoot.files import digest_json, write_text
from surefoot.safety.blind_sheets import Pair, Sheets, write_sheets
from surefoot.study.once.blind_page import blind_page
from surefoot.study.once.safety_samples import FOLDER, main_of, models_in

__all__ = ["Exported", "export_blind"]

LONGEST = 30_000
"""Characters of a cell; spreadsheets hold 32,767."""


class Exported(NamedTuple):
    """names: of both models. left_out: pairs where one of them gave no answer. same: pairs of one and the same text.
    pages: the same sheets to be opened in a browser."""

    sheets: Sheets
    names: tuple[str, str]
    pairs: int
    left_out: int
    same: int
    pages: tuple[Path, ...]


def export_blind(
    runs: Sequence[Path],
    suite: str,
    file: Path,
    *,
    models: Sequence[str] = (),
    items: int | None = None,
    sheets: int = 1,
    seed: int = 0,
    pages: bool = False,
) -> Exported:
    """Write sheets of `items` pairs, drawn by the seed, or of all, with a key beside: sheet.csv has sheet.key.json.

    runs: two safety runs, whose first models are compared, or one with two models. models: others than those. The first
    completion of each item counts. pages: also write each sheet as a page, sheet.html.

    Raises `InputError` for runs without that suite or those models, items with other prompts, and files that exist.
    """
    if file.suffix.lower() != ".csv":
        raise InputError(f"The sheet is to be {file}, which is no CSV file; give a name that ends with .csv.")
    named = _models(runs, models)
    names = _apart(named)
    first, second = (_answers(run, model, suite) for run, model in named)
    shared = [each for each in first if each in second]
    if not shared:
        raise InputError(f"{names[0]} and {names[1]} share no item of {suite}; evaluate both with one size and seed.")
    other = next((each for each in shared if first[each]["prompt"] != second[each]["prompt"]), None)
    if other is not None:
        raise InputError(
            f"The item {other} of {suite} asked {names[0]} and {names[1]} different prompts; evaluate both with one "
            "surefoot, size and seed."
        )
    both = [each for each in shared if first[each]["answer"] is not None and second[each]["answer"] is not None]
    if items is not None and items < len(both):
        drawn = set(random.Random(digest_json(["blind items", seed])).sample(both, items))
        chosen = [each for each in both if each in drawn]
    else:
        chosen = both
    pairs = [
        Pair(each, _told(first[each]["prompt"]), _clean(first[each]["answer"]), _clean(second[each]["answer"]),
             str(first[each]["cluster"] or ""))
        for each in chosen
    ]  # fmt: skip
    if not pairs:
        raise InputError(f"No item of {suite} was answered by both {names[0]} and {names[1]}, so there is no pair.")
    about = {"suite": suite, "runs": [run.name for run, _ in named]}
    made = [file.with_suffix(".html")] if sheets == 1 else [
        file.with_name(f"{file.stem}_{at + 1}.html") for at in range(sheets)
    ]  # fmt: skip
    if pages and (there := next((each for each in made if each.exists()), None)):
        raise InputError(f"{there} exists; choose another file or remove it.")
    found = write_sheets(
        file, pairs, names=names, key=file.with_suffix(".key.json"), seed=seed, count=sheets, about=about
    )
    if pages:
        for (sheet, rows), page in zip(found.sheets, made, strict=True):
            write_text(page, blind_page(sheet.stem, rows))
    return Exported(
        found, names, len(pairs), len(shared) - len(both), sum(each.first == each.second for each in pairs),
        tuple(made) if pages else (),
    )  # fmt: skip


def _models(runs: Sequence[Path], models: Sequence[str]) -> tuple[tuple[Path, str], tuple[Path, str]]:
    """Both models with their runs."""
    if len(runs) not in (1, 2) or len(models) not in (0, 2):
        raise InputError(
            f"{len(runs)} runs and {len(models)} models were given; give two runs, or one with two models, and no "
            "--model or two."
        )
    there = [models_in(each) for each in runs]
    if not models:
        if len(runs) == 2:
            return (runs[0], main_of(runs[0])), (runs[1], main_of(runs[1]))
        if len(there[0]) != 2:
            raise InputError(
                f"{runs[0]} holds samples of {', '.join(there[0])}; name two of them with --model, or give two runs."
            )
        models = there[0]
    found: list[tuple[Path, str]] = []
    for run, known, model in zip((runs[0], runs[-1]), (there[0], there[-1]), models, strict=True):
        if model not in known:
            raise InputError(f"{run} holds no samples of {model!r}; it has {', '.join(known)}.")
        found.append((run, model))
    return found[0], found[1]


def _apart(named: tuple[tuple[Path, str], tuple[Path, str]]) -> tuple[str, str]:
    """Names that differ: with their runs' where two models are called the same."""
    (one, first), (other, second) = named
    if first != second:
        return first, second
    if one.resolve() == other.resolve():
        raise InputError(f"{first} was to be compared with itself; give two runs, or two models.")
    return f"{first} ({one.name})", f"{second} ({other.name})"


def _answers(run: Path, model: str, suite: str) -> dict[str, dict[str, Any]]:
    """The first completion of each item, by its id."""
    suites: dict[str, dict[str, dict[str, Any]]] = {}
    for file in sorted((run / FOLDER).glob("*/*.judged.jsonl")):
        try:
            # A file's lines are of one model and suite.
            lines = [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line]
            for line in cast("list[dict[str, Any]]", lines):
                if line["model"] == model and int(line["attempt"]) == 0:
                    suites.setdefault(str(line["suite"]), {})[str(line["item"])] = {
                        "prompt": line["prompt"], "cluster": line["cluster"],
                        "answer": None if line["blocked"] else line["answer"],
                    }  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"Cannot read the samples {file} ({error}); evaluate that model again.") from None
    if suite not in suites:
        raise InputError(f"{run} has no samples of {model} on {suite!r}; it has {', '.join(suites) or 'none'}.")
    return suites[suite]


def _told(prompt: Any) -> str:
    """A prompt as raters read it."""
    if isinstance(prompt, str):
        return _clean(prompt)
    return _clean("\n\n".join(f"{role.upper()}: {text}" for role, text in cast("list[list[str]]", prompt)))


def _clean(text: str) -> str:
    """A text without anything that a spreadsheet would not show."""
    return readable(text.replace("\r\n", "\n"), LONGEST)
