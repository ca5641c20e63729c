"""`surefoot release`: one card for everything that was judged of a release."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from surefoot.cli.console import Wanted, command_line, deliver, stdout
from surefoot.cli.options import JSONOption, JUnitOption, OutOption, PullRequestOption, QuietOption

if TYPE_CHECKING:
    from surefoot.card.card import Card

__all__ = ["release", "text_addresses"]


def release(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A YAML file: release, ships, parts; claims, model, sign_offs.")
    ],
    out: OutOption = Path("runs"),
    as_json: JSONOption = False,
    junit: JUnitOption = None,
    pull_request: PullRequestOption = None,
    quiet: QuietOption = False,
) -> int:
    """One card for a whole release: cards that were made before, their claims judged again, and what ships.

    Parts are runs of any command. The release is as bad as the worst of them; a part that is required and missing
    leaves it undecided. `surefoot gate` and `surefoot sign` take its card as any other.
    """
    from surefoot.study.once.release import make_release

    kept = make_release(file, text=text_addresses, out=out, command=command_line())
    code = deliver(kept.card, kept.folder, Wanted(as_json, junit, pull_request, quiet=True))
    if not (as_json or quiet):
        _tell_parts(kept.card, kept.folder)
    return code


def text_addresses(named: str) -> frozenset[str]:
    """By what cards know a text model: two ways, for its developer's messages may be asked as the system's."""
    from surefoot.hub.chat import chat_policy
    from surefoot.hub.language import open_language_model
    from surefoot.study.once.attempt_asking import policy_address

    model = open_language_model(named)
    return frozenset(policy_address(chat_policy(model, roles=each)) for each in ({"developer": "system"}, None))


def _tell_parts(card: "Card", folder: Path) -> None:
    """The verdict, the parts, and where the page lies."""
    from rich.table import Table
    from rich.text import Text

    from surefoot.cli.console import verdict_text

    console = stdout()
    console.print(verdict_text(card.verdict, card.sentence), soft_wrap=True)
    sheet = card.sheets[0]
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for column in sheet.columns[:SHOWN]:
        table.add_column(Text(column), overflow="fold")
    for row in sheet.rows:
        table.add_row(*(Text(cell) for cell in row[:SHOWN]))
    console.print()
    console.print(table)
    console.print(f"\nThe page: {folder / 'card.html'}", markup=False, soft_wrap=True)


SHOWN = 6
"""Columns of the table of parts that a terminal has room for; the page has them all."""
