"""`surefoot store`: are the finished cells of a folder of runs whole, and what lies there that no run needs?"""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from surefoot.cli.console import note, print_json, progress_bars, stdout
from surefoot.cli.options import JSONOption, QuietOption, RunsOption
from surefoot.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from surefoot.study.upkeep import Checked, Unneeded, Waste

__all__ = ["store"]

DAMAGED = 10
Action: TypeAlias = Literal["check", "gc"]


def store(
    action: Annotated[
        Action, typer.Argument(metavar="check|gc", help="Look for damage, or take away what no run needs.")
    ],
    out: RunsOption = Path("runs"),
    repair: Annotated[
        bool, typer.Option("--repair", help="check: remove damaged cells; the next run computes them again.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="gc: say what would go, and take nothing away.")] = False,
    as_json: JSONOption = False,
    quiet: QuietOption = False,
) -> int:
    """Look after finished cells: `check` reads them all again, `gc` removes those that no run needs.

    check compares every file with the sha256 that was recorded; exit code 10 where something is damaged. gc keeps every
    cell that the folder of some run names, and whatever a process works in; delete the folder of a run to let go of it.
    """
    if repair and action != "check":
        raise InputError("--repair belongs to: surefoot store check")
    if dry_run and action != "gc":
        raise InputError("--dry-run belongs to: surefoot store gc")
    return _check(out, repair, as_json, quiet) if action == "check" else _collect(out, dry_run, as_json, quiet)


def _check(out: Path, wanted: bool, as_json: bool, quiet: bool) -> int:
    from surefoot.study.upkeep import check_cells, repair, store_of

    cells = store_of(out)
    with progress_bars(quiet=quiet or as_json) as progress:
        checked = check_cells(cells, progress)
    damaged = [each for each in checked if each.damage is not None]
    if wanted and damaged:
        repair(cells, damaged)
    if as_json:
        told = [{"cell": each.title, "address": each.address, "damage": each.damage} for each in damaged]
        read = sum(each.bytes for each in checked)
        print_json({"cells": len(checked), "bytes": read, "damaged": told, "removed": wanted and bool(damaged)})
    elif not quiet:
        _tell_check(out, checked, damaged, wanted)
    return DAMAGED if damaged else 0


def _tell_check(out: Path, checked: "Sequence[Checked]", damaged: "Sequence[Checked]", removed: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    from surefoot.card.words import show_count
    from surefoot.memory import human_bytes

    console = stdout()
    if damaged:
        table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
        for column in ("damaged cell", "address", "what is wrong"):
            table.add_column(column, overflow="fold")
        for each in damaged:
            table.add_row(Text(each.title), each.address[:12], Text(each.damage or ""))
        console.print(table)
        console.print()
    read = f"{show_count(len(checked), 'cell')}, {human_bytes(sum(each.bytes for each in checked))} read"
    if not damaged:
        console.print(f"{read}: every file is as it was recorded.")
    elif removed:
        console.print(f"{read}; {len(damaged)} damaged and removed: the next run that needs them computes them again.")
    else:
        console.print(
            f"{read}; {len(damaged)} damaged. A run computes what it needs of them again; to remove them now:"
        )
        console.print(f"surefoot store check --out {shlex.quote(str(out))} --repair", markup=False, soft_wrap=True)


def _collect(out: Path, dry_run: bool, as_json: bool, quiet: bool) -> int:
    from surefoot.study.upkeep import remove_waste, unneeded

    found = unneeded(out) if dry_run else remove_waste(out)
    if as_json:
        waste = [{"path": str(each.path), "kind": each.kind, "bytes": each.bytes} for each in found.waste]
        told = {"bytes": sum(each.bytes for each in found.waste), "removed": not dry_run, "waste": waste}
        print_json({**told, "runs_that_do_not_say": [str(path) for path in found.unsaid]})
    elif not quiet:
        _tell_waste(out, found, dry_run)
    return 0


def _tell_waste(out: Path, found: "Unneeded", dry_run: bool) -> None:
    from rich.table import Table

    from surefoot.card.words import show_count
    from surefoot.memory import human_bytes

    console = stdout()
    if found.waste:
        table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
        table.add_column("what")
        table.add_column("how many", justify="right")
        table.add_column("size", justify="right")
        for kind in dict.fromkeys(each.kind for each in found.waste):
            of_kind = [each for each in found.waste if each.kind == kind]
            table.add_row(kind, str(len(of_kind)), human_bytes(_total(of_kind)))
        console.print(table)
        console.print()
    size = human_bytes(_total(found.waste))
    if not dry_run:
        console.print(f"{size} freed.")
    elif found.waste:
        console.print(
            f"{size} would be freed by: surefoot store gc --out {shlex.quote(str(out))}", markup=False, soft_wrap=True
        )
    else:
        console.print("Nothing lies there that no run needs.")
    if found.unsaid:
        which = ", ".join(str(path) for path in found.unsaid[:3]) + (", …" if len(found.unsaid) > 3 else "")
        note(
            f"Every finished cell was kept: {show_count(len(found.unsaid), 'run')} of an older surefoot "
            f"({which}) did not write down which cells they need. Run them again (what is finished is used again), or "
            "delete their folders."
        )
    if found.others:
        note(f"Left alone: {show_count(len(found.others), 'folder')} of processes at work or on other machines.")


def _total(waste: "Iterable[Waste]") -> int:
    return sum(each.bytes for each in waste)
