"""Progress is for people at a terminal, and only for work that takes time."""

import io
import time

import pytest

from surefoot.cli.console import progress_bars
from surefoot.cli.options import comma_separated
from surefoot.progress import silent


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_progress_is_silent_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bars(quiet=False) as progress:
        assert progress is silent


def test_progress_is_silent_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", Terminal())
    with progress_bars(quiet=True) as progress:
        assert progress is silent


@pytest.mark.parametrize(("seconds", "shown"), [(0.0, False), (1.6, True)])
def test_a_bar_appears_once_work_takes_time(seconds: float, shown: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, pipe = Terminal(), io.StringIO()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr("sys.stdout", pipe)
    with progress_bars(quiet=False) as progress:
        progress("training", 0, 4)
        time.sleep(seconds / 2)
        progress("training", 1, 4)
        time.sleep(seconds / 2)
    assert ("training" in terminal.getvalue() and "1/4" in terminal.getvalue()) == shown
    assert pipe.getvalue() == ""


def test_columns_come_with_commas_or_one_by_one() -> None:
    assert comma_separated(["place, sex", "age"]) == ("place", "sex", "age")
    assert comma_separated(None) == ()
