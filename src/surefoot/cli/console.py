"""What every command says and how: results on stdout, progress and notes on stderr, one ending for verdicts."""

import json
import shlex
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from surefoot.progress import Progress, silent

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from surefoot.card.card import Card
    from surefoot.card.claims import Status

__all__ = [
    "Wanted",
    "command_line",
    "deliver",
    "note",
    "print_json",
    "progress_bars",
    "stdout",
    "verdict_text",
]


@dataclass(frozen=True)
class Wanted:
    """How the user wants to hear a verdict."""

    json: bool
    junit: Path | None
    pull_request: Path | None
    quiet: bool


def deliver(card: "Card", folder: Path, wanted: Wanted, *, extra: tuple[str, ...] = ()) -> int:
    """Tell a verdict the ways the user wants it and return its exit code.

    folder: where `card.json` and `card.html` already lie. extra: lines to print under the table.
    """
    from surefoot.card.gate import EXIT_CODES
    from surefoot.card.junit import junit
    from surefoot.card.markdown import pull_request
    from surefoot.card.serialise import card_digest
    from surefoot.files import write_text

    if wanted.junit is not None:
        write_text(wanted.junit, junit(card))
    if wanted.pull_request is not None:
        write_text(wanted.pull_request, pull_request(card))
    if wanted.json:
        print_json(
            {
                "run": str(folder),
                "verdict": card.verdict,
                "digest": card_digest(card),
                "card": str(folder / "card.json"),
            }
        )
    elif not wanted.quiet:
        _tell(card, folder, extra)
    return EXIT_CODES[card.verdict]


def command_line() -> str:
    """The command as the user typed it, for the record of the card."""
    return shlex.join(["surefoot", *sys.argv[1:]])


def note(sentence: str) -> None:
    """One line on stderr that is no error."""
    print(sentence, file=sys.stderr)


def print_json(value: Any) -> None:
    """One JSON object on stdout."""
    print(json.dumps(value, ensure_ascii=False))


def stdout() -> "Console":
    """A console on stdout; in a pipe it neither colours nor wraps at 80 columns."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else 120)


def verdict_text(verdict: "Status", sentence: str) -> "Text":
    """The verdict in its colour, and a sentence after it."""
    from rich.text import Text

    colour = {"passed": "green", "failed": "red", "undecided": "yellow"}[verdict]
    return Text.assemble((verdict.upper(), f"bold {colour}"), "  ", sentence)


@contextmanager
def progress_bars(*, quiet: bool) -> Generator[Progress]:
    """A `Progress` that draws bars with the time left on stderr, once the work has taken a second.

    Silent when stderr is no terminal, or when asked to be.
    """
    if quiet or not sys.stderr.isatty():
        yield silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    bars = Bars(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        console=Console(stderr=True),
        transient=True,
    )
    stages: dict[str, Any] = {}

    def report(stage: str, done: int, total: int) -> None:
        if stage not in stages:
            stages[stage] = bars.add_task(stage, total=total)
        bars.update(stages[stage], completed=done, total=total)

    patience = threading.Timer(1.0, bars.start)
    patience.daemon = True
    patience.start()
    try:
        yield report
    finally:
        patience.cancel()
        patience.join()
        bars.stop()


def _tell(card: "Card", folder: Path, extra: tuple[str, ...]) -> None:
    from rich.table import Table
    from rich.text import Text

    console = stdout()
    console.print(verdict_text(card.verdict, card.sentence))
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for column in ("model", "worst group", "mean accuracy"):
        table.add_column(column, overflow="fold")
    several = len(card.subjects) > 1
    for subject in card.subjects:
        mark = " *" if several and subject.name == card.chosen else ""
        table.add_row(
            Text(subject.label + mark),
            _overall(card, subject.name, "worst_group_accuracy"),
            _overall(card, subject.name, "accuracy"),
        )
    console.print()
    console.print(table)
    console.print("In brackets: where the true value lies, by the card's confidence level.", style="dim")
    if several and card.chosen is not None:
        console.print("* chosen on rows held out for choosing", style="dim")
    if not card.claims:
        console.print("To have a verdict, claim what must hold, such as: worst_group_accuracy >= 0.8", style="dim")
    console.print()
    for line in extra:
        console.print(line, markup=False, soft_wrap=True)
    console.print(f"The page: {folder / 'card.html'}", markup=False, soft_wrap=True)


def _overall(card: "Card", subject: str, name: str) -> "Text":
    from rich.text import Text

    from surefoot.card.words import show_finding

    for finding in card.findings:
        if (finding.subject, finding.name, finding.slice) == (subject, name, "all"):
            return Text(show_finding(finding))
    return Text("–")
