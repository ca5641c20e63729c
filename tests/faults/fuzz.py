"""Thousands of spoilt files, and what each reader says: success, one `InputError`, or a failure (anything else).

    python tests/faults/fuzz.py --inputs 10000 [--seed 0] [--reader NAME] [--keep FOLDER]

Every file is read in a child with a limit of time and of memory; a child that dies, an input that takes more than five
seconds, and one that takes more than two GiB are failures. Prints one line of JSON; exits with 1 where there is one.
"""

import argparse
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

from hostile_readers import READERS, Reader
from mutations import spoil

from surefoot.errors import InputError

BATCH = 200
SECONDS = 5.0
MEMORY = 2 * 2**30
SLOW = ("gguf", "transformers", "csv.gz", "class folders", "records", "index", "posterior")
"""Readers that take a second or more a file, or share what they read with another one."""
LONGEST = 20_000
"""Letters of a message, above which it is none."""


class TooSlow(BaseException):
    """An input that took too long; no `except Exception` of a reader may swallow it."""


@dataclass
class Tally:
    """inputs, read, refused: counts. failures: by what was raised where, one input each with its number."""

    inputs: int = 0
    read: int = 0
    refused: int = 0
    seconds: float = 0.0
    failures: Counter[str] = field(default_factory=Counter[str])
    first: dict[str, str] = field(default_factory=dict[str, str])


def fuzz(readers: Sequence[Reader], inputs: int, seed: int, keep: Path | None = None) -> dict[str, Tally]:
    """Read that many spoilt files, shared out by the readers' weights."""
    total = sum(each.weight for each in readers)
    found: dict[str, Tally] = {}
    for reader in readers:
        count = max(1, round(inputs * reader.weight / total))
        with tempfile.TemporaryDirectory(dir=_fast()) as place:
            folder = Path(place)
            reader.make(folder)
            with (
                redirect_stdout(StringIO()),
                redirect_stderr(StringIO()),
                suppress(*() if reader.whole else (InputError,)),
            ):
                reader.read(folder)
            began = time.perf_counter()
            found[reader.name] = _of(reader, folder, count, seed, keep)
            found[reader.name].seconds = time.perf_counter() - began
    return found


def _fast() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _of(reader: Reader, folder: Path, count: int, seed: int, keep: Path | None) -> Tally:
    tally = Tally()
    at = 0
    while at < count:
        at += _batch(reader, folder, range(at, min(count, at + BATCH)), seed, tally, keep)
    return tally


def _batch(reader: Reader, folder: Path, numbers: range, seed: int, tally: Tally, keep: Path | None) -> int:
    """Read these inputs in one child; how many of them were dealt with, the one that killed it included."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        status = 1
        try:
            with os.fdopen(writing, "wb") as out:
                _work(reader, folder, numbers, seed, out, keep)
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    done = 0
    with os.fdopen(reading, "rb") as told:
        for line in told:
            if not line.endswith(b"\n"):
                break  # the child died as it wrote this
            kind, what, where = json.loads(line)
            done += 1
            _count(tally, kind, f"{reader.name}: {what}", where)
    _, status = os.waitpid(child, 0)
    if done < len(numbers):
        ended = f"the process died ({os.waitstatus_to_exitcode(status)})"
        _count(tally, "failure", f"{reader.name}: {ended}", f"input {numbers[done]}")
        done += 1
    return done


def _count(tally: Tally, kind: str, what: str, where: str) -> None:
    tally.inputs += 1
    tally.read += kind == "read"
    tally.refused += kind == "refused"
    if kind == "failure":
        tally.failures[what] += 1
        tally.first.setdefault(what, where)


def _work(reader: Reader, folder: Path, numbers: range, seed: int, out: object, keep: Path | None) -> None:
    limit = _virtual() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, _stop)
    valid = {name: (folder / name).read_bytes() for name in reader.files}
    for number in numbers:
        dice = random.Random(f"{seed} {reader.name} {number}")
        name = dice.choice(list(reader.files))
        spoilt = spoil(valid[name], reader.files[name], dice)
        (folder / name).write_bytes(spoilt)
        kind, what, where = _outcome(reader, folder, number)
        if kind == "failure" and keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            (keep / f"{reader.name.replace('/', '-')}-{number}-{Path(name).name}").write_bytes(spoilt)
        (folder / name).write_bytes(valid[name])
        out.write(json.dumps((kind, what, where)).encode() + b"\n")
        out.flush()  # type: ignore[attr-defined]


def _stop(*_: object) -> None:
    raise TooSlow


def _outcome(reader: Reader, folder: Path, number: int) -> tuple[str, str, str]:
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        reader.read(folder)
    except InputError as error:
        said = str(error)
        if not said.strip() or len(said) > LONGEST:
            return "failure", f"a message of {len(said) if len(said) < LONGEST else 'many'} letters", f"input {number}"
        return "refused", "", ""
    except TooSlow as error:
        return "failure", f"took longer than {SECONDS:g} s at {_place(error)}", f"input {number}"
    except BaseException as error:
        said = (str(error).splitlines() or [""])[0][:160]
        return "failure", f"{type(error).__name__} at {_place(error)}", f"input {number}: {said}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return "read", "", ""


def _place(error: BaseException) -> str:
    """The last line of ours that was reached."""
    frames = [
        each
        for each in traceback.extract_tb(error.__traceback__)
        if "surefoot" in each.filename and "/tests/" not in each.filename
    ]
    return f"{frames[-1].filename.rpartition('surefoot/')[2]}:{frames[-1].lineno}" if frames else "the test"


def _virtual() -> int:
    with Path("/proc/self/statm").open() as opened:
        return int(opened.read().split()[0]) * resource.getpagesize()


def main(given: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reader", action="append", help="only readers whose names have this in them")
    parser.add_argument("--quick", action="store_true", help="leave out readers that take long")
    parser.add_argument("--keep", type=Path, help="a folder for inputs that failed")
    told = parser.parse_args(given)
    readers = [each for each in READERS if not told.reader or any(part in each.name for part in told.reader)]
    readers = [each for each in readers if not (told.quick and each.name.startswith(SLOW))]
    began = time.perf_counter()
    found = fuzz(readers, told.inputs, told.seed, told.keep)
    failures = {what: [count, tally.first[what]] for tally in found.values() for what, count in tally.failures.items()}
    spent = time.perf_counter() - began
    inputs = sum(each.inputs for each in found.values())
    print(
        json.dumps(
            {
                "inputs": inputs,
                "read": sum(each.read for each in found.values()),
                "input_errors": sum(each.refused for each in found.values()),
                "failures": sum(sum(each.failures.values()) for each in found.values()),
                "seconds": round(spent, 1),
                "inputs_per_second": round(inputs / spent, 1),
                "seed": told.seed,
                "by_reader": {
                    name: [each.inputs, each.read, each.refused, sum(each.failures.values()), round(each.seconds, 1)]
                    for name, each in found.items()
                },
                "faults": failures,
            }
        )
    )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
