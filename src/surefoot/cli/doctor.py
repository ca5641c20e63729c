"""`surefoot doctor`: is this machine, and this installation, fit to run a study?"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from surefoot.cli.console import print_json, stdout
from surefoot.cli.options import JSONOption, OutOption

if TYPE_CHECKING:
    from surefoot.cli.checks import Check, State

__all__ = ["doctor"]


def doctor(
    out: OutOption = Path("runs"),
    check: Annotated[bool, typer.Option("--check", help="Print only what is not well.")] = False,
    as_json: JSONOption = False,
) -> int:
    """Look at versions, threads, folders and data; say what is not well and what to do."""
    from surefoot.cli.checks import examine

    checks = examine(out)
    if as_json:
        print_json({"checks": [asdict(each) for each in checks]})
    else:
        shown = [each for each in checks if each.state != "good"] if check else checks
        _tell(shown)
        if not check and all(each.state == "good" for each in checks):
            print("All is well.")
    return 2 if any(each.state == "broken" for each in checks) else 0


def _tell(checks: "Sequence[Check]") -> None:
    from rich.table import Table
    from rich.text import Text

    if not checks:
        return
    table = Table.grid(padding=(0, 2, 0, 0))
    colours: "dict[State, str]" = {"good": "green", "note": "yellow", "broken": "bold red"}
    for each in checks:
        table.add_row(Text(each.state, style=colours[each.state]), Text(each.name, style="bold"), Text(each.text))
    stdout().print(table)
