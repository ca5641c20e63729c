"""Faults: whatever happens to a run, it or the next one ends with the same card, or with one clear sentence.

Slow: `pytest -m slow tests/faults`. Random kills by the thousand:
`python tests/faults/kill_and_resume.py --trials 1000`.
"""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import pytest
from crash_points import die_before, interrupt_before
from kill_and_resume import every_point, kill_and_resume
from small_study import WRONG_INPUT, Ended, Small, end, in_child, start, wrongs

import surefoot.study.plan
from surefoot.cli import main
from surefoot.errors import InputError
from surefoot.study.upkeep import remove_waste

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="forks, tmpfs, /proc")]

NOBODY = 65534


def test_every_crash_point() -> None:
    """Killed before each operation in turn, half of what is not flushed lost; then run again."""
    tally = every_point()
    assert tally.wrong == {}
    assert tally.trials > 100, "a seam that sees nothing tests nothing"


def test_every_crash_point_of_a_second_run(small: Small, out: Path, tmp_path: Path) -> None:
    """Killed while a damaged cell is taken away and the card written over the one that lies there."""
    damage(next((out / "cells").glob("*/head.safetensors")), "flipped")
    number = 0
    while True:
        again = Path(shutil.copytree(out, tmp_path / f"runs-{number}"))
        killed = small.run(again, lambda again=again, number=number: die_before(again, number))
        assert small.run(again) == small.good()
        assert wrongs(again, small.digest, whole=True) == []
        shutil.rmtree(again)
        if killed.status != -signal.SIGKILL:
            assert killed == small.good()
            break
        number += 1
    assert number > 30


def test_killed_at_random() -> None:
    tally = kill_and_resume(trials=20, seed=int(time.time()))
    assert tally.wrong == {}
    assert tally.kills > 5


def test_driver_or_worker_killed_at_random() -> None:
    tally = kill_and_resume(trials=2, seed=int(time.time()), engine="workers")
    assert tally.wrong == {}


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(how: signal.Signals, small: Small, tmp_path: Path) -> None:
    """Control-C is one sentence and exit code 130, wherever it strikes; SIGTERM ends the process as it always does."""

    def command(out: Path, number: int) -> str:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        surefoot.study.plan.product_of_this_machine = lambda: "default"
        interrupt_before(out, number, how)
        arguments = ["run", str(small.folder / "study.yaml"), "--out", str(out), "--engine", "in_process", "-q"]
        with redirect_stderr(StringIO()) as said:
            return f"{main(arguments)} {said.getvalue()}"

    for number in range(0, small.operations - 60, 17):  # of these, some are statements
        out = tmp_path / f"runs-{number}"
        ended = in_child(lambda out=out, number=number: command(out, number))
        if how == signal.SIGINT:
            assert ended.status == 0, ended.said
            assert ended.said.startswith("130 surefoot: stopped. Everything that was finished is kept; to go on from")
            assert ended.said.count("\n") == 1
        else:
            assert ended == Ended(-signal.SIGTERM, "")
        assert wrongs(out, small.digest, whole=False) == []
        assert small.run(out) == small.good()
        assert wrongs(out, small.digest, whole=True) == []
        shutil.rmtree(out)


@pytest.fixture
def disk(tmp_path: Path) -> Generator[Path]:
    """A small disk of its own; skipped where nobody may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", place], capture_output=True, check=False)
    if made.returncode != 0:
        pytest.skip("a tmpfs cannot be mounted here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def resize(disk: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=True)


def test_a_full_disk(disk: Path, small: Small) -> None:
    """Full at every 16 KiB: one sentence; with space again, the same card."""
    resize(disk, "16m")
    out = disk / "runs"
    assert small.run(out) == small.good()
    used = sum(file.stat().st_blocks * 512 for file in out.rglob("*"))
    shutil.rmtree(out)
    refused = 0
    for size in range(16, used // 1024 + 64, 16):
        resize(disk, f"{size}k")
        ended = small.run(out)
        if ended != small.good():
            refused += 1
            told_in_a_sentence(ended, "No space left on device", "database or disk is full", "disk I/O error")
        assert wrongs(out, small.digest, whole=False) == []
        resize(disk, "16m")
        assert small.run(out) == small.good()
        assert wrongs(out, small.digest, whole=True) == []
        shutil.rmtree(out)
    assert refused > 3


@pytest.mark.parametrize("most", [0, 40, 400, 1_000, 2_000, 10_000, 30_000, 60_000])
def test_files_that_may_not_grow(most: int, small: Small, tmp_path: Path) -> None:
    """As on a full disk, with a limit on the size of each file in its place."""
    out = tmp_path / "runs"
    ended = small.run(out, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)))
    told_in_a_sentence(ended, "File too large", "database or disk is full", "disk I/O error")
    assert wrongs(out, small.digest, whole=False) == []
    assert small.run(out) == small.good()
    assert wrongs(out, small.digest, whole=True) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root may become somebody else")
@pytest.mark.parametrize("locked", ["nothing yet", "everything", "cells", "run", "ledger"])
def test_folders_that_may_not_be_written(locked: str, small: Small, out: Path, tmp_path: Path) -> None:
    """As somebody who may read all of it, and write all but one folder of it."""
    for folder in [tmp_path, *tmp_path.parents]:
        if folder.stat().st_uid == 0 and folder.is_relative_to("/tmp/") and str(folder) != "/tmp":
            folder.chmod(0o755)
    for folder in [small.folder, *small.folder.parents]:
        if folder.is_relative_to("/tmp/") and str(folder) != "/tmp":
            folder.chmod(0o755)
    if locked == "nothing yet":
        shutil.rmtree(out)
        out.mkdir()
    else:
        cell = next((out / "cells").glob("*/head.safetensors")).parent
        damage(cell / "head.safetensors", "flipped")
    for path in [out, *out.rglob("*")]:
        os.chown(path, NOBODY, NOBODY)
    run = next(out.glob("small/*"), out)
    closed = {
        "nothing yet": [out],
        "everything": [out, *(path for path in out.rglob("*") if path.is_dir())],
        "cells": [out / "cells"],
        "run": [run],
        "ledger": [out / "ledger.sqlite", out],
    }[locked]

    def become() -> None:
        os.setgid(NOBODY)
        os.setuid(NOBODY)

    def close(mode: int) -> None:
        for path in closed:
            path.chmod(mode if path.is_dir() else mode & 0o666)

    close(0o555)
    ended = small.run(out, become)
    told_in_a_sentence(ended, "Permission denied", "readonly database", "unable to open")
    close(0o755)
    assert small.run(out, become) == small.good()
    assert wrongs(out, small.digest, whole=True) == []


def damage(file: Path, how: str) -> None:
    """Do to a file what disks do."""
    content = bytearray(file.read_bytes())
    if how == "flipped":
        content[-1] ^= 1
    elif how == "swapped":
        content[: len(content) // 2] = bytes(len(content) // 2)
    elif how == "cut":
        del content[len(content) // 2 :]
    elif how == "emptied":
        content.clear()
    file.unlink()
    if how != "removed":
        file.write_bytes(content)


@pytest.mark.parametrize("how", ["flipped", "swapped", "cut", "emptied", "removed"])
def test_every_file_of_every_cell_damaged(how: str, small: Small, out: Path, tmp_path: Path) -> None:
    """A record whose last byte is another is no damage to what it records, and is told from it."""
    files = [path for path in sorted((out / "cells").rglob("*")) if path.is_file()]
    assert len(files) > 20
    for file in files:
        again = Path(shutil.copytree(out, tmp_path / "again"))
        damage(again / file.relative_to(out), how)
        assert small.run(again) == small.good(), file
        assert wrongs(again, small.digest, whole=True) == [], file
        shutil.rmtree(again)


def test_everything_damaged_at_once(small: Small, out: Path) -> None:
    for file in [path for path in (out / "cells").rglob("*") if path.is_file()]:
        damage(file, "cut")
    assert small.run(out) == small.good()
    assert wrongs(out, small.digest, whole=True) == []


@pytest.mark.parametrize("apart", [0.0, 0.05, 0.1, 0.2, 0.4])
def test_two_drivers_on_one_folder(apart: float, small: Small, tmp_path: Path) -> None:
    """Neither waits for the other, and both end with the same card."""
    out = tmp_path / "runs"
    children = []
    for _ in range(3):
        children.append(start(lambda: small.run(out).said))
        time.sleep(apart)
    assert [end(child) for child in children] == [small.good()] * 3
    assert wrongs(out, small.digest, whole=True) == []


def test_one_of_two_drivers_is_killed(small: Small, tmp_path: Path) -> None:
    for number in range(0, small.operations, 41):
        out = tmp_path / f"runs-{number}"
        killed = start(lambda out=out, number=number: small.run(out, lambda: die_before(out, number)).said)
        other = start(lambda out=out: small.run(out).said)
        assert end(other) == small.good()
        end(killed)
        assert small.run(out) == small.good()
        assert wrongs(out, small.digest, whole=True) == []


def test_tidying_beside_runs_takes_nothing_that_they_need(small: Small, tmp_path: Path) -> None:
    out = tmp_path / "runs"

    def tidy() -> str:
        tidied = 0
        until = time.monotonic() + 60
        while time.monotonic() < until and not (tmp_path / "enough").exists():
            try:
                remove_waste(out)
                tidied += 1
            except InputError:  # a run is at work, or none has begun yet
                time.sleep(0.001)
        return str(tidied)

    tidier = start(tidy)
    for _ in range(8):
        assert small.run(out) == small.good()
        assert wrongs(out, small.digest, whole=True) == []
    (tmp_path / "enough").touch()
    tidied = end(tidier)
    assert tidied.status == 0, tidied.said
    assert int(tidied.said) > 0


def told_in_a_sentence(ended: Ended, *reasons: str) -> None:
    """Wrong input, in one sentence that gives one of these reasons, and no traceback."""
    assert ended.status == WRONG_INPUT, ended.said
    assert any(reason in ended.said for reason in reasons), ended.said
    assert "\n" not in ended.said
