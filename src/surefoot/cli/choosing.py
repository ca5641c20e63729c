"""`surefoot choose`: which of several networks and priors, by criteria that see no judge row."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from surefoot.cli.console import command_line, note, print_json, progress_bars, silent_note, stdout
from surefoot.cli.options import (
    ClusterOption,
    ConfidenceOption,
    FeaturesOption,
    GroupsOption,
    IdOption,
    ImagesOption,
    JSONOption,
    OutOption,
    QuietOption,
    SourceOption,
    SplitOption,
    TargetOption,
    TrustOption,
    columns_of,
    comma_separated,
)
from surefoot.errors import InputError
from surefoot.study.seeds import LAST_SEED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from surefoot.study.choice.record import Choice
    from surefoot.study.choice.run import Chosen

__all__ = ["choose"]

CANDIDATES = "Candidates"
CRITERIA = "Criteria"
SHOWN = 30
"""Candidates in the table of the terminal; the page has them all."""


def choose(
    data: Annotated[
        Path,
        typer.Argument(metavar="DATA", help="A table, features or images; or a study file (.yaml) with `candidates`."),
    ],
    target: TargetOption = None,
    groups: GroupsOption = None,
    split: SplitOption = None,
    cluster: ClusterOption = None,
    source: SourceOption = None,
    id_column: IdOption = None,
    images: ImagesOption = None,
    columns: FeaturesOption = None,
    widths: Annotated[
        str | None,
        typer.Option("--widths", metavar="16,64", help="Units of hidden layers.", rich_help_panel=CANDIDATES),
    ] = None,
    depths: Annotated[
        str | None,
        typer.Option(
            "--depths", metavar="0,1,2", help="Hidden layers; 0 is logistic regression.", rich_help_panel=CANDIDATES
        ),
    ] = None,
    precisions: Annotated[
        str | None,
        typer.Option(
            "--precisions", metavar="0.1,1,10", help="One over the prior's variance.", rich_help_panel=CANDIDATES
        ),
    ] = None,
    rates: Annotated[
        str | None,
        typer.Option("--rates", metavar="0.003,0.01", help="Of AdamW; without, L-BFGS.", rich_help_panel=CANDIDATES),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option("--epochs", min=1, help="Of AdamW; 300 usually.", rich_help_panel=CANDIDATES),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option("--seeds", metavar="0,1,2", help="Starts and divisions of the rows.", rich_help_panel=CANDIDATES),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            metavar="CRITERION",
            help="validation_loss (usually), validation_loss_averaged, conditional_evidence or evidence.",
            rich_help_panel=CRITERIA,
        ),
    ] = None,
    structure: Annotated[
        str | None,
        typer.Option("--structure", help="kron (usually), full or diag: of the curvature.", rich_help_panel=CRITERIA),
    ] = None,
    held_out: Annotated[
        float | None,
        typer.Option("--held-out", metavar="SHARE", help="Of the rows; 0.2 usually.", rich_help_panel=CRITERIA),
    ] = None,
    draws: Annotated[
        int | None,
        typer.Option("--draws", help="Networks averaged over; 100 usually.", rich_help_panel=CRITERIA),
    ] = None,
    confidence: ConfidenceOption = 0.95,
    split_seed: Annotated[
        int,
        typer.Option(
            "--split-seed", min=0, max=LAST_SEED, help="The seed by which judge rows are drawn, where no split says."
        ),
    ] = 0,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Worker processes; by default one per core.")
    ] = None,
    trust_code: TrustOption = False,
    out: OutOption = Path("runs"),
    as_json: JSONOption = False,
    quiet: QuietOption = False,
) -> int:
    """Which network, which prior? Ranks candidates by four criteria, and looks at the judge rows only afterwards.

    Every candidate is trained with every seed; each criterion ranks them by the rows learned from alone, says how sure
    it is of its first, and is then held against the accuracy on the judge rows. Candidates that are finished are never
    trained again: after a kill give the same command, or a larger grid. The chosen models are ready for `surefoot look`
    and `surefoot predict`.
    """
    from surefoot.study.choice.ask import asked_of_data, asked_of_study
    from surefoot.study.choice.run import choose as answer

    if epochs is not None and rates is None and data.suffix.lower() not in (".yaml", ".yml"):
        raise InputError(
            "--epochs is of AdamW, and without --rates candidates are trained by L-BFGS; give --rates as well."
        )
    told: dict[str, Any] = {
        "widths": _numbers("--widths", widths, int),
        "depths": _numbers("--depths", depths, int),
        "precisions": _numbers("--precisions", precisions, float),
        "rates": _numbers("--rates", rates, float),
        "epochs": epochs,
        "choose_by": by,
        "structure": structure,
        "held_out": held_out,
        "draws": draws,
    }
    given = {name: value for name, value in told.items() if value is not None}
    wanted = _numbers("--seeds", seeds, int)
    if data.suffix.lower() in (".yaml", ".yml"):
        question = asked_of_study(data, given, wanted)
    else:
        named = columns_of(
            target, groups, split=split, cluster=cluster, source=source, identity=id_column, images=images,
            features=comma_separated(columns),
        )  # fmt: skip
        question = asked_of_data(data, named, given, wanted, confidence=confidence, seed=split_seed)
    with progress_bars(quiet=quiet) as progress:
        chosen = answer(
            question,
            data.parent,
            out=out,
            workers=workers,
            trust_code=trust_code,
            command=command_line(),
            say=silent_note if as_json or quiet else note,
            progress=progress,
        )
    if as_json:
        print_json(_as_json(chosen))
    elif not quiet:
        _tell(chosen)
    return 0


def _numbers(option: str, given: str | None, kind: type[int] | type[float]) -> list[Any] | None:
    """The numbers that an option lists."""
    if given is None:
        return None
    try:
        return [kind(each) for each in comma_separated([given])]
    except ValueError:
        what = "whole numbers" if kind is int else "numbers"
        raise InputError(f"{option} is {given!r}; give {what} with commas between, such as {option} 1,10.") from None


def _as_json(chosen: "Chosen") -> dict[str, Any]:
    choice = chosen.choice
    return {
        "run": str(chosen.folder),
        "chosen": choice.chosen,
        "by": choice.choose_by,
        "model": str(chosen.model),
        "picks": {name: {"chosen": pick.chosen, "sure": pick.sure} for name, pick in choice.picks.items()},
        "agree": choice.agree,
        "page": str(chosen.folder / "page.html"),
        "choice": str(chosen.folder / "choice.json"),
    }


def _tell(chosen: "Chosen") -> None:
    from rich.table import Table
    from rich.text import Text

    from surefoot.card.words import show_finding, show_level
    from surefoot.study.choice.candidates import CRITERIA as ALL
    from surefoot.study.choice.doubted import SILENCE, WORDS
    from surefoot.study.choice.record import TITLES
    from surefoot.study.choice.words import show_about, show_best, show_correlation, show_score, show_untrained

    choice, console = chosen.choice, stdout()
    after = choice.hindsight
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("candidate", overflow="fold")
    for name in ALL:
        table.add_column(HEADS[name], justify="right")
    table.add_column("judge accuracy", justify="right")
    shown = choice.ranked_by(choice.choose_by)[:SHOWN]
    for each in shown:
        if not each.trained:
            table.add_row(Text(each.candidate.name), *["not trained"] * len(ALL), "–")
            continue
        cells = [_ranked(show_score(each.scores[name], name), each.scores[name].rank) for name in ALL]
        table.add_row(Text(each.candidate.name), *cells, show_finding(after.accuracies[each.candidate.name]))
    console.print()
    console.print(table)
    left = len(choice.ranked) - len(shown)
    rest = f" {left} more are on the page." if left else ""
    console.print(
        f"Ranks in brackets; evidences in nats (more is better), losses in nats a held-out row (less is better)."
        f"{rest}\n"
        f"Accuracy with {show_level(choice.confidence)} intervals was measured after all choices were fixed.",
        style="dim",
    )
    console.print()
    console.print(_taken(choice, [TITLES[name] for name in ALL]))
    console.print()
    console.print(choice.agree, markup=False, soft_wrap=True)
    console.print(f"The judge’s best, known in hindsight alone: {show_best(choice)}.", markup=False, soft_wrap=True)
    for name in ALL:
        line = f"{TITLES[name]} and judge accuracy: {show_correlation(after.agreement[name], choice.confidence)}."
        console.print(line, markup=False, soft_wrap=True)
    console.print()
    for lost in show_untrained(choice):
        console.print(f"Not trained: {lost}", markup=False, soft_wrap=True)
    own = [each for each in choice.doubts if choice.choose_by in each.about]
    refused = [each for each in choice.doubts if each not in own and each.severity == "refuse"]
    for each in (*own, *refused):
        told = f"{WORDS[each.severity]}, {show_about(each).lower()}: {each.sentence}"
        console.print(told, markup=False, soft_wrap=True)
    if rest := len(choice.doubts) - len(own) - len(refused):
        others = "1 doubt about another criterion is" if rest == 1 else f"{rest} doubts about other criteria are"
        console.print(f"{others} on the page.", style="dim")
    elif not choice.doubts:
        console.print(SILENCE, style="dim", soft_wrap=True)
    if chosen.reused:
        console.print(f"{chosen.reused} trainings were finished already and used again.", style="dim")
    each = ", one a seed" if len(choice.seeds) > 1 else ""
    console.print(f"The chosen model ({choice.chosen}): {chosen.model}{each}", markup=False, soft_wrap=True)
    console.print(f"The page: {chosen.folder / 'page.html'}", markup=False, soft_wrap=True)


HEADS = {
    "conditional_evidence": "conditional",
    "evidence": "evidence",
    "validation_loss_averaged": "averaged loss",
    "validation_loss": "loss",
}


def _ranked(shown: str, rank: int | None) -> str:
    return shown if shown == "–" else f"{shown} ({rank})"


def _taken(choice: "Choice", titles: "Sequence[str]") -> Any:
    """What each criterion takes, how sure, and what the judge says of it."""
    from rich.table import Table
    from rich.text import Text

    from surefoot.card.words import show_finding
    from surefoot.study.choice.words import show_behind, show_sure

    after = choice.hindsight
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("criterion", "takes", "how sure", "accuracy", "against the judge’s best"):
        table.add_column(column, overflow="fold")
    for title, (name, pick) in zip(titles, choice.picks.items(), strict=True):
        mark = " *" if name == choice.choose_by else ""
        if not pick.chosen:
            table.add_row(title + mark, "nobody", "–", "–", "–")
            continue
        sure, behind = show_sure(pick.sure), show_behind(choice, pick.chosen)
        table.add_row(title + mark, Text(pick.chosen), sure, show_finding(after.accuracies[pick.chosen]), Text(behind))
    return table
