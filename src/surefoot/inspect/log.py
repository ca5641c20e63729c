"""A log of Inspect read as it lies, a `.eval` archive or a `.json` file: no part of Inspect is needed, none is run.

    <log>.eval    a zip archive: header.json, samples/<id>_epoch_<n>.json, and summaries that are not read
    <log>.json    the same in one file

A log is a file of a stranger: entries are bounded (`archive`) and so is the memory that they take, numbers that are
none are unscored (`scores`), names are shown by what they hold, and what a log lacks of what it says it asked is
counted (`Log.missing`).

Source: Inspect 0.3.285, `log/_log.py` (EvalLog, version 2) and `log/_recorders/eval.py`.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from surefoot.card.traces import readable
from surefoot.errors import InputError
from surefoot.files import parse_json
from surefoot.inspect.archive import Archive
from surefoot.inspect.outputs import completion_of, prompt_of
from surefoot.memory import require_memory
from surefoot.text.completion import Completion
from surefoot.text.policy import Prompt

__all__ = ["Log", "LoggedSample", "is_log", "read_log", "shown"]

Read = TypeVar("Read")
MOST_BYTES = 512 * 2**20
"""Of a log that is one JSON file."""
OBJECT = 100
"""Bytes of memory that a value of a JSON text takes, beside its characters, at most."""
MOST_EPOCHS = 100_000
HEADER, BEGUN = "header.json", "_journal/start.json"
SAMPLES = re.compile(r"[./\\]*samples[/\\].*", re.DOTALL | re.IGNORECASE)
SAMPLE = re.compile(r"samples/(?P<name>.+_epoch_\d+)\.json", re.DOTALL)
"""An id may hold anything: a slash, a line break, a drive's letter. Nothing is unpacked, so it leads nowhere."""
CHUNKED = re.compile(r"samples/(?P<name>.+_epoch_\d+)/sample\.json", re.DOTALL)
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
    told: metadata of the task. settings: of sampling, for the record. planned: samples that were to be asked, each
    epoch one, by the log's own word; None where it says nothing. unread: entries among the samples that are none.
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
    planned: int | None = None
    unread: int = 0

    @property
    def missing(self) -> int:
        """Samples that were to be asked, by the log's own word, and are not in it."""
        asked = set(self.asked)
        there = sum(each.id in asked and each.epoch <= self.epochs for each in self.samples)
        return max(len(asked) * self.epochs - there, (self.planned or 0) - len(self.samples))


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
            header, samples, unread = _of_archive(archive)
            return _log(path, header, samples, unread)
    header = _json(_whole(path), str(path))
    given = header.get("samples") or []
    if not isinstance(given, list):
        raise InputError(f"The samples of {path} are no list; give a log of Inspect.")
    return _log(path, header, iter(cast("list[Any]", given)), 0)


def _of_archive(archive: Archive) -> tuple[Mapping[str, Any], Iterator[Any], int]:
    """The header, the samples one by one, and how many entries among those are none that could be read."""
    names = archive.names
    if any(CHUNKED.fullmatch(each) for each in names):
        raise InputError(
            f"{archive.path} keeps samples in parts, which is not read here; make a JSON log of it: inspect log "
            "convert --to json."
        )
    first = next((each for each in (HEADER, BEGUN) if each in names), HEADER)
    header = _json(archive.read(first), f"{first} of {archive.path}")
    places = [each for each in names if SAMPLE.fullmatch(each)]
    unread = sum(SAMPLES.fullmatch(each) is not None for each in names) - len(places)
    require_memory(archive.size(places), f"Reading {archive.path}")
    return header, (_json(archive.read(each), f"{readable(each)} of {archive.path}") for each in places), unread


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
    """An object; NaN, which is Inspect's sign for unscored, is read as itself.

    Values are counted by the marks between them before they take memory, so that a small file which makes large ones is
    one sentence. Strictly UTF-8, for half of a character could not be written again.
    """
    values = sum(map(content.count, (b",", b":", b"[", b"{")))
    require_memory(2 * len(content) + OBJECT * values, f"Reading {where}")
    try:
        found = parse_json(content.decode("utf-8-sig"))
    except ValueError as error:
        raise InputError(f"{where} is not readable JSON ({error}); copy the log anew.") from None
    if not isinstance(found, dict):
        raise InputError(f"{where} is no JSON object; give a log of Inspect.")
    return cast("dict[str, Any]", found)


def _log(path: Path, header: Mapping[str, Any], samples: Iterator[Any], unread: int) -> Log:
    return _told_of(str(path), lambda: _made(path, header, samples, unread))


def _made(path: Path, header: Mapping[str, Any], samples: Iterator[Any], unread: int) -> Log:
    version = header.get("version")
    if header.get("eval") is None or not isinstance(version, int):
        raise InputError(f"{path} is no log of Inspect: eval and version are missing.")
    if version > VERSION:
        raise InputError(f"{path} is a log of version {version}; at most {VERSION} is read here.")
    spec = _object(header, "eval")
    data, config = _object(spec, "dataset"), _object(spec, "config")
    epochs = int(config.get("epochs") or 1)
    if not 1 <= epochs <= MOST_EPOCHS:
        raise InputError(f"{path} says that it has {epochs:,} epochs; 1 to {MOST_EPOCHS:,} are read.")
    found = tuple(_sample(each, f"sample {at} of {path}") for at, each in enumerate(samples, start=1))
    if not found:
        raise InputError(f"{path} holds no samples; run it again, without --no-log-samples.")
    places = Counter((each.id, each.epoch) for each in found)
    if len(places) < len(found):
        twice = next(place for place, count in places.items() if count > 1)
        raise InputError(f"{path} has epoch {twice[1]} of the sample {twice[0]!r} twice; give each an id of its own.")
    asked = tuple(str(each) for each in cast("Sequence[Any]", data.get("sample_ids") or ()))
    order = {name: at for at, name in enumerate(asked or dict.fromkeys(each.id for each in found))}
    return Log(
        path=path,
        task=shown(spec["task"]),
        model=shown(spec["model"]),
        status=shown(header.get("status") or "started"),
        created=shown(spec.get("created") or ""),
        asked=asked,
        epochs=epochs,
        samples=tuple(sorted(found, key=lambda each: (order.get(each.id, len(order)), each.epoch))),
        told=_object(spec, "metadata"),
        settings={
            **_given(_object(_object(header, "plan"), "config")),
            **_given(_object(spec, "model_generate_config")),
        },
        invalidated=bool(header.get("invalidated")),
        planned=_planned(data, config, _object(header, "results"), len(set(asked)), epochs),
        unread=unread,
    )


def shown(name: Any) -> str:
    """A name of a stranger as it may be printed: on one line, and what a terminal would obey spelled out."""
    return readable(" ".join(str(name).split()))


def _planned(
    data: Mapping[str, Any], config: Mapping[str, Any], results: Mapping[str, Any], asked: int, epochs: int
) -> int | None:
    """Samples that were to be asked, by the most that a log says; of ids, the size of the data set, and its results.

    A data set is counted whole even where a run was limited to a part of it, so its size counts without that alone.
    """
    told: list[int] = []
    limit, size = config.get("limit"), data.get("samples")
    if asked:
        told.append(asked * epochs)
    elif size is not None and not config.get("sample_id"):
        if isinstance(limit, int):
            size = min(int(size), limit)
        elif limit:
            size = max(0, min(int(size), int(limit[1])) - int(limit[0]))
        told.append(int(size) * epochs)
    if results.get("total_samples") is not None:
        told.append(int(results["total_samples"]))
    return max(told, default=None)


def _sample(given: Any, where: str) -> LoggedSample:
    def made() -> LoggedSample:
        attached, scores = _object(given, "attachments"), _object(given, "scores")
        epoch = int(given["epoch"])
        if not 1 <= epoch <= MOST_EPOCHS:
            raise ValueError(f"epoch {epoch} is not one of 1 to {MOST_EPOCHS:,}")
        return LoggedSample(
            id=str(given["id"]),
            epoch=epoch,
            prompt=prompt_of(given["input"], attached),
            said=completion_of(given.get("output") or {}, attached),
            values={name: each["value"] for name, each in scores.items()} if scores else None,
            metadata=_given(_object(given, "metadata")),
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
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise InputError(f"{where} is not as logs of Inspect are ({what}); copy the log anew.") from None


def _object(of: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """What an object holds by this name, which is an object too; one without anything where there is nothing."""
    found = of.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise TypeError(f"its {name} is no object")
    return cast("dict[str, Any]", found)


def _given(config: Mapping[str, Any]) -> dict[str, Any]:
    """Plain settings that were set; a number that is none stands as a word, for a record has no room for it."""
    plain = {name: each for name, each in config.items() if isinstance(each, str | int | float | bool)}
    return {
        name: str(each) if isinstance(each, float) and not math.isfinite(each) else each for name, each in plain.items()
    }
