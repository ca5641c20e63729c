"""A log of Inspect read as it lies, a `.eval` archive or a `.json` file: no part of Inspect is needed, none is run.

    <log>.eval    a zip archive: header.json, samples/<id>_epoch_<n>.json, and summaries that are not read
    <log>.json    the same in one file

A log is a file of a stranger: entries are bounded (`archive`), numbers that are none are unscored (`scores`), and what
a log lacks of what it says it asked is counted (`Log.missing`).

Source: Inspect 0.3.285, `log/_log.py` (EvalLog, version 2) and `log/_recorders/eval.py`.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from surefoot.errors import InputError
from surefoot.inspect.archive import Archive
from surefoot.inspect.outputs import completion_of, prompt_of
from surefoot.text.completion import Completion
from surefoot.text.policy import Prompt

__all__ = ["Log", "LoggedSample", "is_log", "read_log"]

Read = TypeVar("Read")
MOST_BYTES = 512 * 2**20
"""Of a log that is one JSON file."""
HEADER, BEGUN = "header.json", "_journal/start.json"
SAMPLE = re.compile(r"samples/(?P<name>.+_epoch_\d+)\.json")
CHUNKED = re.compile(r"samples/(?P<name>.+_epoch_\d+)/sample\.json")
VERSION = 2


@dataclass(frozen=True)
class LoggedSample:
    """One epoch of a sample. values: of its scores, by scorer; None where it was not scored.

    failed: why its scores do not count (an error, a limit, invalidated), or "".
    """

    id: str
    epoch: int
    prompt: Prompt
    said: Completion
    values: Mapping[str, Any] | None
    metadata: Mapping[str, Any]
    failed: str = ""


@dataclass(frozen=True)
class Log:
    """What a log says of one task and one model.

    status: "success", or why it is no whole run. asked: ids in the order of the data set; epochs: of each of them.
    told: metadata of the task. settings: of sampling, for the record.
    """

    path: Path
    task: str
    model: str
    status: str
    created: str
    asked: tuple[str, ...]
    epochs: int
    samples: tuple[LoggedSample, ...]
    told: Mapping[str, Any]
    settings: Mapping[str, Any]
    invalidated: bool = False

    @property
    def missing(self) -> int:
        """Samples that were to be asked, by the log's own word, and are not in it."""
        there = {(each.id, each.epoch) for each in self.samples}
        return sum((name, epoch) not in there for name in self.asked for epoch in range(1, self.epochs + 1))


def is_log(path: Path) -> bool:
    """Whether a path is named like a log."""
    return path.suffix.lower() in {".eval", ".json"}


def read_log(path: Path) -> Log:
    """Read a log.

    Raises `InputError` for what is no log, a damaged one, one of another version, one without samples, and one that
    keeps samples in parts.
    """
    if path.suffix.lower() == ".eval":
        with Archive(path) as archive:
            header, samples = _of_archive(archive)
            return _log(path, header, samples)
    header = _json(_whole(path), str(path))
    return _log(path, header, iter(cast("Sequence[Any]", header.get("samples") or ())))


def _of_archive(archive: Archive) -> tuple[Mapping[str, Any], Iterator[Any]]:
    names = archive.names
    if any(CHUNKED.fullmatch(each) for each in names):
        raise InputError(
            f"{archive.path} keeps samples in parts, which is not read here; make a JSON log of it: inspect log "
            "convert --to json."
        )
    first = next((each for each in (HEADER, BEGUN) if each in names), HEADER)
    header = _json(archive.read(first), f"{first} of {archive.path}")
    places = [each for each in names if SAMPLE.fullmatch(each)]
    return header, (_json(archive.read(each), f"{each} of {archive.path}") for each in places)


def _whole(path: Path) -> bytes:
    try:
        with path.open("rb") as opened:
            content = opened.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise InputError(f"There is no file {path}; check the path.") from None
    except OSError as error:
        raise InputError(f"Cannot read {path} ({error.strerror or error}); check the path.") from None
    if len(content) > MOST_BYTES:
        raise InputError(f"{path} is larger than {MOST_BYTES:,} bytes; convert it: inspect log convert --to eval.")
    return content


def _json(content: bytes, where: str) -> Mapping[str, Any]:
    """An object; NaN, which is Inspect's sign for unscored, is read as itself."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is not readable JSON ({error}); copy the log anew.") from None
    if not isinstance(found, dict):
        raise InputError(f"{where} is no JSON object; give a log of Inspect.")
    return cast("dict[str, Any]", found)


def _log(path: Path, header: Mapping[str, Any], samples: Iterator[Any]) -> Log:
    return _told_of(str(path), lambda: _made(path, header, samples))


def _made(path: Path, header: Mapping[str, Any], samples: Iterator[Any]) -> Log:
    version = header.get("version")
    if "eval" not in header or not isinstance(version, int):
        raise InputError(f"{path} is no log of Inspect: eval and version are missing.")
    if version > VERSION:
        raise InputError(f"{path} is a log of version {version}; at most {VERSION} is read here.")
    spec = cast("Mapping[str, Any]", header["eval"])
    data = cast("Mapping[str, Any]", spec.get("dataset") or {})
    config = cast("Mapping[str, Any]", spec.get("config") or {})
    found = tuple(_sample(each, f"sample {at} of {path}") for at, each in enumerate(samples, start=1))
    if not found:
        raise InputError(f"{path} holds no samples; run it again, without --no-log-samples.")
    places = [(each.id, each.epoch) for each in found]
    if len(set(places)) < len(places):
        twice = next(each for at, each in enumerate(places) if each in places[:at])
        raise InputError(f"{path} has epoch {twice[1]} of the sample {twice[0]!r} twice; give each an id of its own.")
    asked = tuple(str(each) for each in cast("Sequence[Any]", data.get("sample_ids") or ()))
    order = {name: at for at, name in enumerate(asked or dict.fromkeys(each.id for each in found))}
    plan = cast("Mapping[str, Any]", header.get("plan") or {})
    return Log(
        path=path,
        task=str(spec["task"]),
        model=str(spec["model"]),
        status=str(header.get("status") or "started"),
        created=str(spec.get("created") or ""),
        asked=asked,
        epochs=int(config.get("epochs") or 1),
        samples=tuple(sorted(found, key=lambda each: (order.get(each.id, len(order)), each.epoch))),
        told=cast("Mapping[str, Any]", spec.get("metadata") or {}),
        settings={
            **_given(cast("Mapping[str, Any]", plan.get("config") or {})),
            **_given(cast("Mapping[str, Any]", spec.get("model_generate_config") or {})),
        },
        invalidated=bool(header.get("invalidated")),
    )


def _sample(given: Any, where: str) -> LoggedSample:
    def made() -> LoggedSample:
        attached = cast("Mapping[str, str]", given.get("attachments") or {})
        scores = cast("Mapping[str, Mapping[str, Any]] | None", given.get("scores"))
        return LoggedSample(
            id=str(given["id"]),
            epoch=int(given["epoch"]),
            prompt=prompt_of(given["input"], attached),
            said=completion_of(given.get("output") or {}, attached),
            values={name: each["value"] for name, each in scores.items()} if scores else None,
            metadata=cast("Mapping[str, Any]", given.get("metadata") or {}),
            failed=_failed(given),
        )

    return _told_of(where, made)


def _failed(given: Mapping[str, Any]) -> str:
    if given.get("error"):
        return "error"
    if given.get("limit"):
        return f"limit of {(given['limit'] or {}).get('type') or 'its run'}"
    return "invalidated" if given.get("invalidation") else ""


def _told_of(where: str, make: Callable[[], Read]) -> Read:
    """What `make` gives; a shape that no log has is one sentence."""
    try:
        return make()
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise InputError(f"{where} is not as logs of Inspect are ({what}); copy the log anew.") from None


def _given(config: Mapping[str, Any]) -> dict[str, Any]:
    """Plain settings that were set."""
    return {name: each for name, each in config.items() if isinstance(each, str | int | float | bool)}
