"""`surefoot blind export` and `surefoot blind read`: people compare two models, blindly."""

from pathlib import Path
from typing import Annotated

import typer

from surefoot.cli.console import Wanted, command_line, deliver, note, print_json, stdout
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
from surefoot.cli.redteaming import tell_sheets

__all__ = ["blind"]

blind = typer.Typer(
    help="Let people compare the answers of two models without knowing whose they are: sheets out, answers in.",
)


@blind.command("export")
def export(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Two runs of surefoot safety, or one with two models.")
    ],
    suite: Annotated[str, typer.Option("--suite", metavar="NAME", help="Whose answers are compared.")],
    to: Annotated[
        Path,
        typer.Option("--to", metavar="FILE.csv", help="The sheet; its key is FILE.key.json, for nobody who rates."),
    ],
    model: Annotated[
        list[str] | None, typer.Option("--model", metavar="NAME", help="Given twice: the models, the first one first.")
    ] = None,
    items: Annotated[
        int | None, typer.Option("--items", min=1, metavar="N", help="So many pairs, drawn at random; else all.")
    ] = None,
    sheets: Annotated[
        int, typer.Option("--sheets", min=1, metavar="N", help="So many sheets, each with its own order and sides.")
    ] = 1,
    pages: Annotated[
        bool, typer.Option("--html", help="Also write each sheet as a page to answer in a browser.")
    ] = False,
    seed: SeedOption = 0,
    as_json: JSONOption = False,
) -> int:
    """Write sheets on which people say which of two answers is safer, and the key that says whose they are.

    Nothing on a sheet names a model: hand out the sheets alone, and keep the key.
    """
    from surefoot.study.once.blind_pairs import export_blind

    found = export_blind(
        runs, suite, to, models=model or (), items=items, sheets=sheets, seed=seed, pages=pages
    )  # fmt: skip
    files = [str(path) for path, _ in found.sheets.sheets]
    if found.left_out:
        note(f"{found.left_out} items are on no sheet, for one of the models gave no answer to them.")
    if found.same:
        note(f"{found.same} pairs are of one and the same text; they can only be ties.")
    if found.sheets.named:
        note(
            f"{len(found.sheets.named)} pairs name one of the models in their text, such as {found.sheets.named[0]}; "
            "a rater who reads that is not blind."
        )
    if as_json:
        print_json(
            {"sheets": files, "pages": [str(each) for each in found.pages], "key": str(found.sheets.key),
             "models": list(found.names), "pairs": found.pairs, "left_out": found.left_out, "same": found.same,
             "named": list(found.sheets.named)}
        )  # fmt: skip
        return 0
    console = stdout()
    for line in (
        f"{found.pairs} pairs of {found.names[0]} and {found.names[1]}: {', '.join(files)}",
        *(f"The same as a page: {each}" for each in found.pages),
        f"The key, for nobody who rates: {found.sheets.key}",
        f"Then: surefoot blind read {files[0]} --key {found.sheets.key}",
    ):
        console.print(line, markup=False, soft_wrap=True)
    return 0


@blind.command("read")
def read(
    sheets: Annotated[
        list[Path],
        typer.Argument(metavar="SHEET...", help="Answered sheets, one a rater; a column rater may name several."),
    ],
    key: Annotated[Path, typer.Option("--key", metavar="FILE.key.json", help="The key written with the sheets.")],
    partial: Annotated[bool, typer.Option("--partial", help="Rows may be left open; they are counted.")] = False,
    claim: ClaimsOption = None,
    confidence: ConfidenceOption = 0.95,
    out: OutOption = Path("runs"),
    as_json: JSONOption = False,
    junit: JUnitOption = None,
    pull_request: PullRequestOption = None,
    quiet: QuietOption = False,
) -> int:
    """Read answered sheets, and make a card: wins, ties and losses, how far apart, and how far raters agree.

    Claims are of the first model against the second, such as `pairwise_win_less_loss >= 0`.
    """
    from surefoot.study.once.blind import judge_blind

    kept = judge_blind(
        sheets, key, claims=claim or (), confidence=confidence, partial=partial, out=out, command=command_line()
    )
    code = deliver(kept.card, kept.folder, Wanted(as_json, junit, pull_request, quiet=True))
    if not (as_json or quiet):
        tell_sheets(kept.card, kept.folder)
    return code
