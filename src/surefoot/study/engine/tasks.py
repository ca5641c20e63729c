"""What every engine is given and gives back."""

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from surefoot.errors import InputError
from surefoot.files import write_text
from surefoot.study.cells import Cell
from surefoot.study.store import Store

__all__ = ["Failure", "Report", "StudyFault", "Task", "failure_of", "raise_failure"]


@dataclass(frozen=True)
class Task:
    """A cell to compute, with what it should cost.

    seconds: expected wall time. estimate: the same before calibration, recorded with the cell so that later plans
    can compare. memory: bytes at its peak.
    """

    cell: Cell
    seconds: float
    estimate: float
    memory: int


@dataclass(frozen=True)
class Report:
    """What a run did: seconds per computed address, and sentences worth telling the user."""

    seconds: Mapping[str, float]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failure:
    """Why a cell could not be computed. `told` is the traceback of a fault of ours, "" for wrong input."""

    message: str
    told: str


class StudyFault(RuntimeError):
    """A cell failed through a fault of ours or of the user's own code; the traceback is in a file."""


def failure_of(error: Exception) -> Failure:
    """Sort an exception into wrong input (one sentence) and faults (with a traceback)."""
    if isinstance(error, InputError):
        return Failure(str(error), "")
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        return Failure("The memory is full; use fewer workers, fewer rows or smaller batches.", "")
    summary = f"{type(error).__name__}: {error}".splitlines()[0]
    return Failure(summary, "".join(traceback.format_exception(error)))


def raise_failure(failure: Failure, cell: Cell, store: Store) -> None:
    """Raise the failure of a cell: `InputError`, or `StudyFault` after saving the traceback."""
    if not failure.told:
        raise InputError(failure.message)
    path: Path = store.folder.parent / "faults" / f"{cell.address[:12]}.txt"
    write_text(path, f"{cell.title} ({cell.address})\n\n{failure.told}")
    fault = StudyFault(f"{cell.title} failed ({failure.message}); the traceback is in {path}.")
    fault.add_note(failure.told)
    raise fault
