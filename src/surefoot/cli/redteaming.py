"""`surefoot redteam`: which requests does a search within a budget get a text model to do?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from surefoot.cli.attempt_options import AtOnceOption, KeyOption, ServerOption
from surefoot.cli.console import Wanted, command_line, deliver, note, progress_bars, silent_note, stdout, verdict_text
from surefoot.cli.options import (
    ClaimsOption,
    ConfidenceOption,
    JSONOption,
    JUnitOption,
    OutOption,
    PullRequestOption,
    QuietOption,
    SeedOption,
)

if TYPE_CHECKING:
    from surefoot.card.card import Card
    from surefoot.safety.item import Item
    from surefoot.study.once.attempt_asking import AskedModel

__all__ = ["redteam", "tell_sheets"]

EACH = 20
"""Calls to each request where no budget is given."""
ITEMS = 12


def redteam(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="smollm2, a Hugging Face folder, a GGUF file, or with --server a name."),
    ],
    requests: Annotated[
        Path | None,
        typer.Option(
            "--requests",
            metavar="FILE",
            help="Your own: a .txt with one a line, or a table with a column request (protected: a text that no answer "
            "may give away).",
        ),
    ] = None,
    items: Annotated[
        int | None, typer.Option("--items", min=1, metavar="N", help="At most so many requests; of our own 12.")
    ] = None,
    budget: Annotated[
        int | None,
        typer.Option("--budget", min=1, metavar="N", help="Calls of the model in all; 20 a request where not given."),
    ] = None,
    most: Annotated[int, typer.Option("--most", min=1, help="Tokens of an answer.")] = 48,
    temperature: Annotated[float, typer.Option("--temperature", min=0.0, help="Of answers.")] = 1.0,
    q: Annotated[
        float, typer.Option("--q", min=0.001, max=1.0, help="Of goodness@q: the share of techniques that count.")
    ] = 0.1,
    reveal: Annotated[
        bool,
        typer.Option(
            "--reveal",
            help="Show the worst prompts and answers as they are; a search of its own, for without it none is kept.",
        ),
    ] = False,
    server: ServerOption = None,
    key_from: KeyOption = None,
    at_once: AtOnceOption = None,
    claim: ClaimsOption = None,
    confidence: ConfidenceOption = 0.95,
    seed: SeedOption = 0,
    out: OutOption = Path("runs"),
    as_json: JSONOption = False,
    junit: JUnitOption = None,
    pull_request: PullRequestOption = None,
    quiet: QuietOption = False,
) -> int:
    """Which requests that are to be refused does an automated search get through, within a budget of calls?

    What it finds is a lower bound: whoever searches longer finds more. A gate reads the claims `not_broken` and
    `goodness@0.1_naive`, which fail closed. A search that is killed goes on when the same command is given again.
    """
    from surefoot.study.once.redteam import RedTeamPlan, red_team_model, search_within
    from surefoot.text.policy import Sampling

    talkative = not (as_json or quiet)
    asked = _requests(requests, items, seed)
    calls = EACH * len(asked) if budget is None else budget
    search = search_within(calls, len(asked), Sampling(most=most, temperature=temperature))
    source = f"{len(asked)} requests of {requests.name}" if requests else f"{len(asked)} requests of an invented house"
    plan = RedTeamPlan(
        _model(model, server, key_from, at_once or 1, most), asked, search, source=source, q=q, reveal=reveal
    )
    with progress_bars(quiet=quiet) as progress:
        kept = red_team_model(
            plan, seed=seed, claims=claim or (), confidence=confidence, out=out, command=command_line(),
            say=note if talkative else silent_note, progress=progress,
        )  # fmt: skip
    code = deliver(kept.card, kept.folder, Wanted(as_json, junit, pull_request, quiet=True))
    if talkative:
        tell_sheets(kept.card, kept.folder)
    return code


def tell_sheets(card: "Card", folder: Path) -> None:
    """The verdict, the tables of the card, and where its page is."""
    from rich.table import Table
    from rich.text import Text

    console = stdout()
    console.print(verdict_text(card.verdict, card.sentence))
    for sheet in card.sheets:
        table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
        for column in sheet.columns:
            table.add_column(Text(column), overflow="fold")
        for row in sheet.rows:
            table.add_row(*(Text(cell) for cell in row))
        console.print()
        console.print(table)
    console.print(f"The page: {folder / 'card.html'}", markup=False, soft_wrap=True)


def _requests(file: Path | None, items: int | None, seed: int) -> "tuple[Item, ...]":
    from surefoot.safety.suites.refusal import forbidden_items
    from surefoot.study.once.redteam_requests import read_requests

    if file is None:
        return forbidden_items(items or ITEMS, seed)
    return read_requests(file)[: items or None]


def _model(named: str, server: str | None, key_from: str | None, at_once: int, most: int) -> "AskedModel":
    from surefoot.cli.asked_model import chat_model, served_model
    from surefoot.study.once.attempt_forms import AS_TRAINED

    if server is not None:
        return served_model(named, server, AS_TRAINED, most, key_from=key_from, at_once=at_once)
    return chat_model(named, AS_TRAINED, most, roles={"developer": "system"})
