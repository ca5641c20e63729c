"""One file of what all nodes of a run did: a line when a cell begins and ends, and what was printed in it."""

from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from surefoot.errors import InputError

__all__ = ["CellLog"]


class CellLog:
    """Lines with the time in front, added at the end of `path` and written out at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a", encoding="utf-8", buffering=1)
        except OSError as error:
            raise InputError(
                f"Cannot write to {path} ({error.strerror}); choose an output folder that you may write to."
            ) from error

    def __enter__(self) -> "CellLog":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, told: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, line: str, printed: str = "") -> None:
        """Add a line, and below it what a cell's code printed."""
        self._file.write(f"{datetime.now(UTC).isoformat(timespec='milliseconds')}  {line}\n")
        for each in printed.splitlines():
            self._file.write(f"    | {each}\n")
