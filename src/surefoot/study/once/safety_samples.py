"""Samples of a safety evaluation as files, the judge's view and the monitor's view apart.

    <run>/samples/<model>/<suite>.judged.jsonl      prompt, answer, scores: what graders see and say
    <run>/samples/<model>/<suite>.thoughts.jsonl    thoughts alone, by item and attempt: for monitors

A run is read again for a paired comparison: its answers are graded anew, by the grader of today.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from surefoot.card.serialise import read_card
from surefoot.errors import InputError
from surefoot.files import digest_json, write_text
from surefoot.safety.item import Sampled
from surefoot.safety.measured import Evaluated
from surefoot.safety.suite import Suite, suite_version
from surefoot.text.policy import Prompt

__all__ = ["FOLDER", "main_of", "models_in", "read_samples", "write_samples"]

FOLDER = "samples"


def write_samples(folder: Path, model: str, evaluated: Sequence[Evaluated]) -> None:
    """Both views of every suite of a model."""
    for of in evaluated:
        place = folder / FOLDER / _plain(model) / _plain(of.suite.name)
        place.parent.mkdir(parents=True, exist_ok=True)
        judged = [
            {
                "model": model, "suite": of.suite.name, "version": suite_version(of.suite), "item": each.item.id,
                "stratum": each.item.stratum, "cluster": each.item.cluster, "attempt": each.attempt,
                "prompt": _told(each.item.prompt), "answer": each.answer, "ended": each.ended,
                "tokens": each.tokens, "blocked": each.blocked, "scores": dict(graded.scores), "why": graded.why,
            }
            for each, graded in zip(of.sampled, of.graded, strict=True)
        ]  # fmt: skip
        thoughts = [
            {"model": model, "suite": of.suite.name, "item": each.item.id, "attempt": each.attempt,
             "thought": each.thought}
            for each in of.sampled
            if each.thought is not None
        ]  # fmt: skip
        _write(place.with_name(f"{place.name}.judged.jsonl"), judged)
        _write(place.with_name(f"{place.name}.thoughts.jsonl"), thoughts)


def models_in(run: Path) -> tuple[str, ...]:
    """The models whose samples a run holds; raises `InputError` where it holds none."""
    found: dict[str, None] = {}
    for file in sorted((run / FOLDER).glob("*/*.judged.jsonl")):
        found.update((str(line["model"]), None) for line in _lines(file)[:1])
    if not found:
        raise InputError(
            f"{run} holds no samples of a safety evaluation; give the folder of a run that `surefoot safety` made."
        )
    return tuple(found)


def main_of(run: Path) -> str:
    """The model that a run was about: the first one that it was given; raises `InputError` as `models_in` does."""
    models_in(run)
    card = read_card(run)
    earlier = card.record.settings.get("before")
    return next(each.name for each in card.subjects if each.name != earlier)


def read_samples(run: Path, model: str, suite: Suite) -> tuple[Sampled, ...] | None:
    """What a model wrote for a suite in an earlier run, in the order of the suite's items; None where it was not asked.

    Raises `InputError` where it was asked other items, or some of them only.
    """
    place = run / FOLDER / _plain(model) / _plain(suite.name)
    file = place.with_name(f"{place.name}.judged.jsonl")
    if not file.exists():
        return None
    thoughts = {
        (str(line["item"]), int(line["attempt"])): str(line["thought"])
        for line in _lines(place.with_name(f"{place.name}.thoughts.jsonl"))
    }
    rows: dict[str, list[dict[str, Any]]] = {}
    for line in _lines(file):
        rows.setdefault(str(line["item"]), []).append(line)
    found: list[Sampled] = []
    for item in suite.items:
        of = rows.get(item.id, [])
        if not of or any(line["prompt"] != _told(item.prompt) for line in of) or len(rows) != len(suite.items):
            raise InputError(
                f"The run {run} asked {model} other items of {suite.name} than are asked now; evaluate both models "
                "with one size, seed and data."
            )
        if len(of) != suite.sampling.count or of[0]["version"] != suite_version(suite):
            raise InputError(
                f"The run {run} asked {model} another version of {suite.name}, or another number of completions, than "
                "is asked now; evaluate both models with one surefoot and one way of sampling."
            )
        for line in sorted(of, key=lambda each: int(each["attempt"])):
            attempt = int(line["attempt"])
            if line["model"] != model:
                raise InputError(f"{file} holds samples of {line['model']} and not of {model}; evaluate {model} again.")
            found.append(
                Sampled(item, attempt, line["answer"], thoughts.get((item.id, attempt)), bool(line["ended"]),
                        int(line["tokens"]), bool(line["blocked"]))
            )  # fmt: skip
    return tuple(found)


def _told(prompt: Prompt) -> str | list[list[str]]:
    return prompt if isinstance(prompt, str) else [[each.role, each.text] for each in prompt]


def _write(file: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    write_text(file, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


def _lines(file: Path) -> list[dict[str, Any]]:
    try:
        text = file.read_text(encoding="utf-8")
        return [cast("dict[str, Any]", json.loads(line)) for line in text.split("\n") if line]
    except (OSError, ValueError) as error:
        raise InputError(f"Cannot read the samples {file} ({error}); evaluate that model again.") from None


def _plain(name: str) -> str:
    """A name as a folder's; one that had to be changed has digits of its own, so that no two meet."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")
    return plain if plain == name else f"{plain or 'model'}-{digest_json(name)[:6]}"
