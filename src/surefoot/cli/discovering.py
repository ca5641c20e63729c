"""`surefoot discover`: candidate groups where none are given, found on one half of the rows, confirmed on the other."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from surefoot.cli.console import note, print_json, stdout
from surefoot.cli.options import (
    ClusterOption,
    IdOption,
    JSONOption,
    PredictionOption,
    ProbabilitiesOption,
    QuietOption,
    SeedOption,
    SourceOption,
    SplitOption,
    TargetOption,
    columns_of,
    comma_separated,
)
from surefoot.errors import InputError

if TYPE_CHECKING:
    from surefoot.robust.slices.discover import Candidate, Discovery
    from surefoot.study.once.found import Found

__all__ = ["discover"]


def discover(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="Predictions with further columns, as `card` reads them; or features, as `repair` does.",
        ),
    ],
    metadata: Annotated[
        list[str] | None,
        typer.Option("--columns", metavar="COLUMNS", help="The columns that slices are made of; else all others."),
    ] = None,
    depth: Annotated[int, typer.Option("--depth", min=1, max=3, help="Conditions in a slice, at most.")] = 2,
    fewest: Annotated[int, typer.Option("--fewest", min=2, help="Rows of a slice in each half, at least.")] = 30,
    level: Annotated[float, typer.Option("--level", help="The chance of any false find.")] = 0.05,
    clusters: Annotated[
        bool, typer.Option("--clusters", help="Look for clusters in feature space, too (features only).")
    ] = False,
    slices: Annotated[bool, typer.Option("--slices/--no-slices", help="Look for slices of columns.")] = True,
    head: Annotated[
        str | None,
        typer.Option("--head", metavar="MODEL", help="A saved model whose last layer reads the features."),
    ] = None,
    train: Annotated[
        bool, typer.Option("--train", help="DATA are features: train a plain head on them, and look where it fails.")
    ] = False,
    target: TargetOption = None,
    probabilities: ProbabilitiesOption = None,
    prediction: PredictionOption = None,
    split: SplitOption = None,
    cluster: ClusterOption = None,
    source: SourceOption = None,
    id_column: IdOption = None,
    seed: SeedOption = 0,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="Write the rows with the groups that were confirmed.")
    ] = None,
    as_json: JSONOption = False,
    quiet: QuietOption = False,
) -> int:
    """Find slices of the data where a model is wrong more often than elsewhere; confirm them on other rows.

    DATA says what the model said, in columns as `card` reads them. Of features, the model is --head, or a plain head
    that is trained here (--train; for arrays without being asked). That no slice survives is a normal answer. A slice
    describes errors; it does not explain them.
    """
    from surefoot.robust.slices.discover import DiscoverSettings
    from surefoot.study.once.discover import discover_in_features, discover_in_predictions, of_features
    from surefoot.study.once.found import write_found

    if not data.is_file():
        raise InputError(f"There is no file {data}; check the path.")
    settings = DiscoverSettings(depth=depth, fewest=fewest, level=level)
    names = comma_separated(metadata)
    if not slices and not clusters:
        raise InputError("--no-slices leaves nothing to look for; add --clusters.")
    said = comma_separated(probabilities)
    if not of_features(data, target=target, asked=train, head=head, named=bool(said or prediction)):
        if clusters or head or split:
            raise InputError(
                f"{data} holds predictions; --clusters, --head and --split are for features (with --train): leave "
                "them out."
            )
        found = discover_in_predictions(
            data,
            names=names,
            target=target,
            cluster=cluster,
            id_column=id_column,
            probabilities=said,
            prediction=prediction,
            settings=settings,
            seed=seed,
        )
    else:
        found = discover_in_features(
            data,
            columns=columns_of(target, None, split=split, cluster=cluster, source=source, identity=id_column),
            head=head,
            names=names,
            slices=slices,
            clusters=clusters,
            settings=settings,
            seed=seed,
        )
    written = to is not None and found.groups is not None
    if to is not None and written:
        write_found(found, to)
    if as_json:
        print_json(_as_json(found, to if written else None))
    elif not quiet:
        for line in found.told:
            note(line)
        _tell(found, level, to, written)
        if (group := _one_column(found)) is not None and not written:
            options = {"--target": target, "--probabilities": ",".join(said), "--prediction": prediction}
            options |= {"--cluster": cluster, "--id": id_column, "--groups": group}
            words = [word for option, value in options.items() if value for word in (option, value)]
            print(f"Next: surefoot card {shlex.join([str(data), *words])}")
    return 0


def _one_column(found: "Found") -> str | None:
    """The column of the first slice of predictions that is one value of one column; a card can take it for groups."""
    if found.slices is None or found.target is None:
        return None
    for each in found.slices.confirmed:
        (first, *more) = each.conditions
        if not more and first.how == "=" and first.column != found.target:
            return first.column
    return None


def _tell(found: "Found", level: float, to: Path | None, written: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    console = stdout()
    for line in found.origins:
        console.print(line, markup=False, soft_wrap=True)
    for search, kind in zip(found.discoveries, _kinds(found), strict=True):
        console.print()
        console.print(_sentence(search, kind, level), markup=False, soft_wrap=True)
        shown = search.confirmed
        if shown:
            table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
            for column in ("discovered", "rows", "accuracy", "the rest", "difference", "p (Holm)"):
                table.add_column(column, overflow="fold")
            for each in shown:
                table.add_row(Text(each.name), *map(Text, _cells(each)))
            console.print(table)
        for line in search.notes:
            console.print(line, style="dim", markup=False, soft_wrap=True)
    if any(search.confirmed for search in found.discoveries):
        console.print()
        console.print(
            "Numbers are of the confirm half; intervals hold for everything tested together. A slice describes errors, "
            "it does not explain them.",
            style="dim",
            soft_wrap=True,
        )
    if to is not None:
        rows = f"{len(found.rows):,} rows with their groups: {to}"
        console.print(
            rows if written else "Nothing was confirmed, so nothing was written.", markup=False, soft_wrap=True
        )


def _kinds(found: "Found") -> tuple[str, ...]:
    slices = () if found.slices is None else ("slices",)
    return (*slices, *(() if found.clusters is None else ("clusters",)))


def _sentence(search: "Discovery", kind: str, level: float) -> str:
    tried = f"{search.tried:,} {kind} tried, {len(search.candidates)} tested"
    if not search.candidates:
        return f"No {kind[:-1]} stands out in the search half ({search.tried:,} tried)."
    if not search.confirmed:
        return f"No {kind[:-1]} survives ({tried}): what the search half showed may be chance."
    return f"{len(search.confirmed)} confirmed ({tried}; chance of any false find at most {level:g})."


def _cells(each: "Candidate") -> tuple[str, ...]:
    from surefoot.card.words import show_number, show_value

    interval, apart = (
        ", ".join(show_number(end, "proportion", signed=signed) for end in (of.low, of.high))
        for of, signed in ((each.accuracy_interval, False), (each.difference_interval, True))
    )
    return (
        f"{each.rows:,}",
        f"{show_value(each.accuracy, 'proportion')} [{interval}]",
        show_value(each.rest, "proportion"),
        f"{show_value(each.difference, 'proportion', signed=True)} [{apart}]",
        f"{each.adjusted:.2g}",
    )


def _as_json(found: "Found", to: Path | None) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "origins": list(found.origins),
        "written": None if to is None else str(to),
        **{
            kind: {
                "tried": search.tried,
                "searched_rows": len(search.search),
                "confirm_rows": len(search.confirm),
                "candidates": [asdict(each) for each in search.candidates],
                "notes": list(search.notes),
            }
            for search, kind in zip(found.discoveries, _kinds(found), strict=True)
        },
    }
