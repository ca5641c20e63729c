"""`surefoot inspect`: logs of Inspect as a card."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from surefoot.cli.console import Wanted, command_line, deliver, stdout, verdict_text
from surefoot.cli.options import (
    ClaimsOption,
    ConfidenceOption,
    JSONOption,
    JUnitOption,
    OutOption,
    PullRequestOption,
    QuietOption,
)

if TYPE_CHECKING:
    from surefoot.card.card import Card

__all__ = ["inspect"]


def inspect(
    logs: Annotated[
        list[Path], typer.Argument(metavar="LOG...", help="Logs of Inspect, .eval or .json. Claims are of the first.")
    ],
    before: Annotated[
        list[Path] | None,
        typer.Option("--before", metavar="LOG", help="A log of the model before a change; may be given again."),
    ] = None,
    group: Annotated[
        str, typer.Option("--group", metavar="NAME", help="Metadata of samples by which numbers are told apart.")
    ] = "stratum",
    cluster: Annotated[
        str, typer.Option("--cluster", metavar="NAME", help="Metadata that samples which hang together share.")
    ] = "cluster",
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Show the worst completions on the page as they are.")
    ] = False,
    claim: ClaimsOption = None,
    confidence: ConfidenceOption = 0.95,
    out: OutOption = Path("runs"),
    as_json: JSONOption = False,
    junit: JUnitOption = None,
    pull_request: PullRequestOption = None,
    quiet: QuietOption = False,
) -> int:
    """A card from logs of Inspect: scores with intervals, changes paired by sample; Inspect is not needed.

    Epochs are attempts. What was not scored is counted and is never a good score. Claims on a run that is not whole are
    undecided.
    """
    from surefoot.inspect.card import card_of_logs

    kept = card_of_logs(
        logs, before=before or (), claims=claim or (), confidence=confidence, group=group, cluster=cluster,
        reveal=reveal, out=out, command=command_line(),
    )  # fmt: skip
    code = deliver(kept.card, kept.folder, Wanted(as_json, junit, pull_request, quiet=True))
    if not (as_json or quiet):
        _tell(kept.card)
        stdout().print(f"The page: {kept.folder / 'card.html'}", markup=False, soft_wrap=True)
    return code


def _tell(card: "Card") -> None:
    """The verdict, what was measured, changes, and what is in doubt."""
    from rich.table import Table
    from rich.text import Text

    from surefoot.card.words import finding_title, show_finding

    console = stdout()
    console.print(verdict_text(card.verdict, card.sentence))
    rows = [row for sheet in card.sheets for row in sheet.rows]
    columns = card.sheets[0].columns
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(Text(column), overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print()
    console.print(table)
    for each in card.differences:
        what = f"{each.slice}, {finding_title(each.name).lower()}"
        said = f"{each.subject}: {what} {show_finding(each)}, n = {each.clusters:,}"
        console.print(said, markup=False, soft_wrap=True)
    for subject in card.subjects:
        for told in subject.notes[1:]:
            console.print(f"{subject.name}: {told}.", markup=False, soft_wrap=True)
    console.print()
