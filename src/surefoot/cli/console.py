"""What every command says and how: results on stdout, progress and notes on stderr, one ending for verdicts."""

import json
import re
import shlex
import sys
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from surefoot.progress import Progress, silent

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from surefoot.card.card import Card
    from surefoot.card.claims import Judged, Status
    from surefoot.findings.finding import Finding

__all__ = [
    "Wanted",
    "command_line",
    "deliver",
    "join_command",
    "note",
    "print_json",
    "progress_bars",
    "silent_note",
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


def deliver(
    card: "Card", folder: Path, wanted: Wanted, *, beneath: tuple[str, ...] = (), extra: tuple[str, ...] = ()
) -> int:
    """Tell a verdict the ways the user wants it and return its exit code.

    folder: where `card.json` and `card.html` already lie. beneath: what must be known with the verdict, printed under
    it. extra: lines to print under the table.
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
                "sentence": card.sentence,
                "chosen": card.chosen,
                "claims": [_claim(each) for each in card.claims],
            }
        )
    elif not wanted.quiet:
        _tell(card, folder, beneath, extra)
    return EXIT_CODES[card.verdict]


def command_line() -> str:
    """The command as the user typed it, for the record of the card."""
    return join_command(sys.argv[1:])


def join_command(words: Sequence[str]) -> str:
    """A command to be shown or kept: as it may be pasted, but for passwords in addresses.

    >>> join_command(["history", "--ledger", "postgresql://ann:secret@db/ledger"])
    'surefoot history --ledger postgresql://ann@db/ledger'
    """
    return re.sub(r"(\w://[^\s:/@]*):[^\s/@]*@", r"\1@", shlex.join(["surefoot", *words]))


def note(sentence: str) -> None:
    """One line on stderr that is no error."""
    print(sentence, file=sys.stderr)


def silent_note(sentence: str) -> None:
    """The same, for who asked to hear nothing."""


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
        work = stage.partition(": ")[0]  # what follows says where the same work has come to
        if work not in stages:
            stages[work] = bars.add_task(stage, total=total)
        bars.update(stages[work], completed=done, total=total, description=stage)

    patience = threading.Timer(1.0, bars.start)
    patience.daemon = True
    patience.start()
    try:
        yield report
    finally:
        patience.cancel()
        patience.join()
        bars.stop()


def _claim(judged: "Judged") -> dict[str, Any]:
    """One claim for programs: what was claimed, what was measured, and how that was judged."""
    claim, finding = judged.claim, judged.finding
    interval = None if finding is None else finding.interval
    return {
        "finding": claim.finding,
        "subject": claim.subject,
        "slice": claim.slice,
        "at_least": claim.at_least,
        "at_most": claim.at_most,
        **({} if claim.within is None else {"within_seconds": claim.within}),
        "status": judged.status,
        "value": None if finding is None else finding.value,
        "low": None if interval is None else interval.low,
        "high": None if interval is None else interval.high,
        "confidence": claim.confidence,
        "sentence": judged.sentence,
    }


def _tell(card: "Card", folder: Path, beneath: tuple[str, ...], extra: tuple[str, ...]) -> None:
    from rich.table import Table
    from rich.text import Text

    from surefoot.card.reading import WORST, summary
    from surefoot.card.words import show_level

    console = stdout()
    console.print(verdict_text(card.verdict, card.sentence))
    for line in beneath:
        console.print(line, markup=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for column in ("model", "worst group", "mean accuracy"):
        table.add_column(column, overflow="fold")
    several = len(card.subjects) > 1
    measured = [summary(card, WORST, subject.name) for subject in card.subjects]
    for subject, worst in zip(card.subjects, measured, strict=True):
        mark = " *" if several and subject.name == card.chosen else ""
        mean = summary(card, "accuracy", subject.name)
        table.add_row(*(Text(each) for each in (subject.label + mark, _shown(worst), _shown(mean))))
    console.print()
    console.print(table)
    if not several and measured[0] is not None:
        console.print(f"The worst group: {_worst_of(card, measured[0])}", markup=False, style="dim", soft_wrap=True)
    level = next((each.interval.confidence for each in card.findings if each.interval is not None), None)
    if level is not None:
        console.print(f"In brackets: {show_level(level)} intervals.", style="dim")
    if several and card.chosen is not None:
        console.print("* chosen by the choose rows (one that learned on them: by halves of them)", style="dim")
    if not card.claims:
        name = WORST if any(measured) else "accuracy"
        console.print(f'To have a verdict, claim what must hold, such as: --claim "{name} >= 0.8"', style="dim")
    console.print()
    for line in extra:
        console.print(line, markup=False, soft_wrap=True)
    console.print(f"The page: {folder / 'card.html'}", markup=False, soft_wrap=True)


def _shown(finding: "Finding | None") -> str:
    from surefoot.card.words import show_finding

    return "–" if finding is None else show_finding(finding)


def _worst_of(card: "Card", worst: "Finding") -> str:
    """The name and the rows of the group that is worst, and which groups have no rows."""
    from surefoot.card.reading import worst_groups

    (named, *_) = worst_groups(card, worst.subject)
    without = "" if worst.slice == "all" else f"; of {worst.slice}, which have no rows"
    return f"{named} ({worst.count:,} rows){without}"
