"""Who works in a store: any number of runs at once, or one that tidies it and nobody else.

An advisory lock (flock) on the folder of cells, shared by runs and taken whole by `surefoot store`. The system gives it
back when its process ends, however it ends; worker processes do not inherit it. Between machines it holds as far as
their shared file system passes such locks on.
"""

import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from surefoot.errors import InputError

__all__ = ["alone", "at_work"]


@contextmanager
def at_work(folder: Path, tidy: Callable[[], None] = lambda: None) -> Generator[None]:
    """Work beside others in the store at `folder`, after `tidy` where nobody else is at work, nor can join meanwhile.

    Waits for whoever has it alone. Where the file system has no locks, work goes on without one and nothing is tidied.
    """
    place = os.open(folder, os.O_RDONLY)
    try:
        if _lock(place, whole=True, wait=False):
            tidy()
        _lock(place, whole=False, wait=True)
        yield
    finally:
        os.close(place)


@contextmanager
def alone(folder: Path) -> Generator[None]:
    """Keep runs out of the store at `folder`; raises `InputError` where one is at work, or where nobody can tell."""
    place = os.open(folder, os.O_RDONLY)
    try:
        if not _lock(place, whole=True, wait=False):
            raise InputError(
                f"A run is at work in {folder.parent}, or its file system has no locks to tell; wait until it has "
                "ended, then give the same command again."
            )
        yield
    finally:
        os.close(place)


def _lock(place: int, *, whole: bool, wait: bool) -> bool:
    """Whether the lock was had; a lock that is held becomes the other kind."""
    if sys.platform == "win32":
        return False
    import fcntl

    kind = fcntl.LOCK_EX if whole else fcntl.LOCK_SH
    try:
        fcntl.flock(place, kind | (0 if wait else fcntl.LOCK_NB))
    except OSError:  # held by others, or not to be had at all
        return False
    return True
