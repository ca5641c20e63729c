"""Runs share a store; whoever tidies it has it alone, and a lock ends with its process."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from surefoot.errors import InputError
from surefoot.study.at_work import alone, at_work

HOLD = """
import sys, time
from pathlib import Path
from surefoot.study import at_work
with getattr(at_work, sys.argv[2])(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def hold(folder: Path, how: str) -> "subprocess.Popen[str]":
    """A process that holds the store, already."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder), how], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def end(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_runs_share_and_a_tidier_does_not(tmp_path: Path) -> None:
    tidied: list[str] = []

    def tidy() -> None:
        tidied.append("alone")
        with pytest.raises(InputError), alone(tmp_path):
            pass

    with at_work(tmp_path, tidy):
        other = hold(tmp_path, "at_work")
        with (
            pytest.raises(InputError, match=r"^A run is at work in .*; wait until it has ended, then give the same"),
            alone(tmp_path),
        ):
            pass
    assert tidied == ["alone"]
    with at_work(tmp_path, tidy):
        pass
    assert tidied == ["alone"], "the other process is still at work"
    end(other)
    with alone(tmp_path):
        pass
    with at_work(tmp_path, tidy):
        pass
    assert tidied == ["alone", "alone"]
    assert list(tmp_path.iterdir()) == []


def test_a_run_waits_for_a_tidier_also_for_one_that_is_killed(tmp_path: Path) -> None:
    tidier = hold(tmp_path, "alone")
    began = time.monotonic()
    ender = subprocess.Popen(["sh", "-c", f"sleep 1; kill -9 {tidier.pid}"])
    with at_work(tmp_path):
        assert time.monotonic() - began > 0.9
    ender.wait()
    end(tidier)


def test_a_stopped_process_still_holds(tmp_path: Path) -> None:
    other = hold(tmp_path, "at_work")
    os.kill(other.pid, signal.SIGSTOP)
    with pytest.raises(InputError, match="at work"), alone(tmp_path):
        pass
    end(other)
