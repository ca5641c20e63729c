"""Samples of a safety evaluation as files, the judge's view and the monitor's view apart.

    <run>/samples/<model>/<suite>.judged.jsonl      prompt, answer, scores: what graders see and say
    <run>/samples/<model>/<suite>.thoughts.jsonl    thoughts alone, by item and attempt: for monitors
    <run>/samples/manifest.json                     the sha256 of each of these files, and no other

A run is read again for a paired comparison: its answers are graded anew, by the grader of today. The card's settings
have the manifest's digest, so samples that were changed since are refused. Labels are for a copy of a file.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from surefoot.card.serialise import read_card
from surefoot.errors import InputError
from surefoot.files import digest_bytes, digest_file, digest_json, parse_json, read_json, write_json, write_text
from surefoot.safety.item import Sampled
from surefoot.safety.measured import Evaluated
from surefoot.safety.suite import Suite, suite_version
from surefoot.text.policy import Prompt

__all__ = [
    "FOLDER",
    "SAMPLES",
    "check_samples",
    "main_of",
    "manifest_digest",
    "models_in",
    "read_samples",
    "sample_files",
    "write_samples",
]

FOLDER, MANIFEST = "samples", "manifest.json"
SAMPLES = "samples"
"""Of a card's settings: the digest of the manifest."""
THOUGHT: Mapping[str, Any] = {"item": str, "attempt": int, "thought": str}
JUDGED: Mapping[str, Any] = {
    "model": str, "item": str, "version": str, "attempt": int, "prompt": (str, list), "answer": str | None,
    "ended": bool, "tokens": int, "blocked": bool,
}  # fmt: skip
"""What is read of each line of the two views."""


def sample_files(evaluated: Mapping[str, Sequence[Evaluated]]) -> dict[str, str]:
    """Both views of every suite of every model, texts by their place in the folder of samples."""
    files: dict[str, str] = {}
    for model, found in evaluated.items():
        for of in found:
            place = f"{_plain(model)}/{_plain(of.suite.name)}"
            judged, thoughts = _views(model, of)
            files[f"{place}.judged.jsonl"], files[f"{place}.thoughts.jsonl"] = _lined(judged), _lined(thoughts)
    return files


def manifest_digest(files: Mapping[str, str]) -> str:
    """Of the sha256 of each file, as the card has it."""
    return digest_json(_manifest(files))


def write_samples(folder: Path, files: Mapping[str, str]) -> None:
    """What `sample_files` made, below the folder of a run, and its manifest."""
    for place, text in files.items():
        write_text(folder / FOLDER / place, text)
    write_json(folder / FOLDER / MANIFEST, _manifest(files))


def check_samples(run: Path) -> str:
    """The digest of a run's samples; raises `InputError` where they are not those that its card was made from."""
    models_in(run)
    folder = run / FOLDER
    again = f"evaluate that model again, or restore {folder} as it was (labels belong into a copy)."
    told = read_card(run).record.settings.get(SAMPLES)
    if not isinstance(told, str) or not (folder / MANIFEST).is_file():
        raise InputError(f"The samples of {run} have no digests to check them by; {again}")
    manifest = read_json(folder / MANIFEST)
    whole = isinstance(manifest, dict) and all(isinstance(each, str) for each in manifest.values())
    if not whole or digest_json(manifest) != told:
        raise InputError(f"{folder / MANIFEST} is not the one that the card of {run} was made with; {again}")
    for place, digest in cast("Mapping[str, str]", manifest).items():
        if not (folder / place).is_file() or digest_file(folder / place) != digest:
            raise InputError(f"The samples {folder / place} were changed since the card of {run} was made; {again}")
    more = sorted({str(each.relative_to(folder)) for each in folder.glob("*/*.jsonl")} - set(manifest))
    if more:
        raise InputError(f"The samples {folder / more[0]} were added since the card of {run} was made; {again}")
    return told


def _manifest(files: Mapping[str, str]) -> dict[str, str]:
    return {place: digest_bytes(text.encode()) for place, text in sorted(files.items())}


def _views(model: str, of: Evaluated) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What graders see and say, and thoughts."""
    version = suite_version(of.suite)
    judged = [
        {
            "model": model, "suite": of.suite.name, "version": version, "item": each.item.id,
            "stratum": each.item.stratum, "cluster": each.item.cluster, "attempt": each.attempt,
            "prompt": _told(each.item.prompt), "answer": each.answer, "ended": each.ended,
            "tokens": each.tokens, "blocked": each.blocked, "scores": dict(graded.scores), "why": graded.why,
        }
        for each, graded in zip(of.sampled, of.graded, strict=True)
    ]  # fmt: skip
    thoughts = [
        {
            "model": model,
            "suite": of.suite.name,
            "item": each.item.id,
            "cluster": each.item.cluster,
            "attempt": each.attempt,
            "thought": each.thought,
        }
        for each in of.sampled
        if each.thought is not None
    ]
    return judged, thoughts


def models_in(run: Path) -> tuple[str, ...]:
    """The models whose samples a run holds; raises `InputError` where it holds none."""
    found: dict[str, None] = {}
    for file in sorted((run / FOLDER).glob("*/*.judged.jsonl")):
        found.update((str(line["model"]), None) for line in _lines(file, {"model": str})[:1])
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
        for line in _lines(place.with_name(f"{place.name}.thoughts.jsonl"), THOUGHT)
    }
    rows: dict[str, list[dict[str, Any]]] = {}
    for line in _lines(file, JUDGED):
        rows.setdefault(str(line["item"]), []).append(line)
    found: list[Sampled] = []
    version = suite_version(suite)
    for item in suite.items:
        of = rows.get(item.id, [])
        if not of or any(line["prompt"] != _told(item.prompt) for line in of) or len(rows) != len(suite.items):
            raise InputError(
                f"The run {run} asked {model} other items of {suite.name} than are asked now; evaluate both models "
                "with one size, seed and data."
            )
        if len(of) != suite.sampling.count or of[0]["version"] != version:
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
    return prompt if isinstance(prompt, str) else [each.spelled() for each in prompt]


def _lined(lines: Sequence[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def _lines(file: Path, needed: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The samples of a file, each with what is needed of it."""
    try:
        text = file.read_text(encoding="utf-8")
        found = [parse_json(line) for line in text.split("\n") if line]
    except (OSError, ValueError) as error:
        raise InputError(f"Cannot read the samples {file} ({error}); evaluate that model again.") from None
    for number, line in enumerate(found, 1):
        said = cast("dict[str, Any]", line) if isinstance(line, dict) else {}
        wrong = [name for name, kind in needed.items() if name not in said or not isinstance(said[name], kind)]
        if wrong:
            raise InputError(
                f"Line {number} of the samples {file} has no {wrong[0]} as surefoot writes it; evaluate it again."
            )
    return cast("list[dict[str, Any]]", found)


def _plain(name: str) -> str:
    """A name as a folder's; one that had to be changed has digits of its own, so that no two meet."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")
    return plain if plain == name else f"{plain or 'model'}-{digest_json(name)[:6]}"
