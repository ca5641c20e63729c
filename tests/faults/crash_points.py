"""Crash points: every operation by which a run changes its folder, counted, and one of them at which it dies.

Python tells its audit hooks of every file that is opened, made, renamed or removed, and SQLite tells a trace of every
statement, so no line of surefoot needs to know. A process that dies before operation n died after operation n − 1:
all points before and after each are covered. Where it dies before a file is flushed, half of the file is cut off first.
"""

import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from surefoot.study.upkeep import HALF_WRITTEN

__all__ = ["count_operations", "die_before", "interrupt_before"]

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
CHANGES = ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "os.truncate", "os.symlink", "os.link")


def count_operations(folder: Path) -> Callable[[], int]:
    """From now on count what this process does below `folder`; call the answer for the count. Only for a child."""
    counted = 0

    def count(_: str) -> None:
        nonlocal counted
        counted += 1

    _listen(folder, count)
    return lambda: counted


def die_before(folder: Path, number: int) -> None:
    """This process is killed just before its operation of this number (from 0) below `folder`. Only for a child."""
    _at(folder, number, signal.SIGKILL)


def interrupt_before(folder: Path, number: int, how: signal.Signals) -> None:
    """The same with another signal; statements do not count, since SQLite swallows what is raised in their trace."""
    _at(folder, number, how)


def _at(folder: Path, number: int, how: signal.Signals) -> None:
    counted = 0

    def act(path: str) -> None:
        nonlocal counted
        if counted == number:
            counted += 1
            if how == signal.SIGKILL and HALF_WRITTEN.fullmatch(os.path.basename(path)) and os.path.isfile(path):
                os.truncate(path, os.path.getsize(path) // 2)
            os.kill(os.getpid(), how)
            return
        counted += 1

    _listen(folder, act, statements=how == signal.SIGKILL)


def _listen(folder: Path, tell: Callable[[str], None], *, statements: bool = True) -> None:
    inside = str(folder)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            if not isinstance(path, str | Path) or not str(path).startswith(inside):
                return
            half = HALF_WRITTEN.fullmatch(os.path.basename(path)) is not None
            if half or (isinstance(flags, int) and flags & WRITING) or (mode and set(str(mode)) & set("wax+")):
                tell(str(path))
        elif event in CHANGES and str(arguments[0]).startswith(inside):
            tell("")

    connect = sqlite3.connect

    def traced(*arguments: Any, **named: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **named)
        connection.set_trace_callback(lambda _: tell(""))
        return connection

    sys.addaudithook(hook)
    if statements:
        sqlite3.connect = traced
