"""`surefoot flex`: one transformer of every patch size, and the size that a budget buys."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from surefoot.cli.console import Wanted, command_line, deliver, note, progress_bars, silent_note, stdout, verdict_text
from surefoot.cli.options import (
    ClaimsOption,
    ClusterOption,
    ConfidenceOption,
    DataArgument,
    DeviceOption,
    GroupsOption,
    IdOption,
    ImagesOption,
    JSONOption,
    JUnitOption,
    OutOption,
    PullRequestOption,
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
    from surefoot.networks.weights import OpenedModel
    from surefoot.study.once.flex import KeptFlexible
    from surefoot.study.seen import Seen

__all__ = ["flex"]

TRAINING = "Training"
TIMING = "Timing"
EPOCHS = 30


def flex(
    data: DataArgument,
    budget: Annotated[
        str | None,
        typer.Option("--budget", metavar="TIME", help="What a pass may take here: 20ms, 0.5s, 800us."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="MODEL",
            help="A transformer that surefoot saved, or a ViT folder of Hugging Face; without, one is trained.",
        ),
    ] = None,
    patches: Annotated[
        str | None,
        typer.Option(
            "--patches", metavar="8,12,16", help="Pixels a side; usually all that leave 2 to 8 tokens a side."
        ),
    ] = None,
    target: TargetOption = None,
    groups: GroupsOption = None,
    split: SplitOption = None,
    cluster: ClusterOption = None,
    source: SourceOption = None,
    id_column: IdOption = None,
    images: ImagesOption = None,
    size: Annotated[
        str,
        typer.Option(
            "--size",
            metavar="W,D,H",
            help="A new transformer’s width, blocks and heads, or Ti, S, B, L.",
            rich_help_panel=TRAINING,
        ),
    ] = "64,4,2",
    epochs: Annotated[
        int | None,
        typer.Option(
            "--epochs",
            min=0,
            help=f"{EPOCHS} usually; with --model 0, which measures it as it is.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    schedule: Annotated[
        str,
        typer.Option(
            "--schedule",
            metavar="NAME",
            help="How sizes are drawn: uniform, by_tokens (as much work for each), curriculum (coarse ones first).",
            rich_help_panel=TRAINING,
        ),
    ] = "uniform",
    batch: Annotated[int, typer.Option("--batch", min=1, help="Images a step.", rich_help_panel=TRAINING)] = 64,
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate", help="The largest learning rate; 0.003 usually, 0.0003 with --model.", rich_help_panel=TRAINING
        ),
    ] = None,
    shift: Annotated[
        int, typer.Option("--shift", min=0, help="Random shifts, in pixels.", rich_help_panel=TRAINING)
    ] = 0,
    at_once: Annotated[int, typer.Option("--at-once", min=1, help="Images a pass.", rich_help_panel=TIMING)] = 1,
    rounds: Annotated[
        int, typer.Option("--rounds", min=6, help="Passes that are timed at each size.", rich_help_panel=TIMING)
    ] = 31,
    threads: Annotated[int, typer.Option("--threads", min=1, help="While timing.", rich_help_panel=TIMING)] = 1,
    claim: ClaimsOption = None,
    confidence: ConfidenceOption = 0.95,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    out: OutOption = Path("runs"),
    as_json: JSONOption = False,
    junit: JUnitOption = None,
    pull_request: PullRequestOption = None,
    quiet: QuietOption = False,
) -> int:
    """Which patch size is right for a budget of time? One vision transformer is measured at all of them.

    Trains it on images, a patch size drawn for each step, or opens one that is there; times each size on this machine,
    and chooses the best that is quick enough. Claims are of that one, or say a budget: "accuracy within 5ms >= 0.9".
    The run's folder holds it as `model/`, for `look`, `predict` and `export`.
    """
    from surefoot.study.budget import parse_budget
    from surefoot.study.once.flex import Plan, fit_budget

    opened, seen = (None, None) if model is None else _opened(model)
    count = epochs if epochs is not None else EPOCHS if model is None else 0
    if count == 0 and model is None:
        raise InputError("Without a model there is nothing to measure before it is trained; give --epochs 1 or more.")
    plan = Plan(
        tuple(_whole("--patches", patches)) if patches is not None else (),
        _regimen(schedule, count, batch, rate or (3e-3 if model is None else 3e-4), shift, device) if count else None,
        _size(size),
        at_once,
        rounds,
        threads,
    )
    with progress_bars(quiet=quiet) as progress:
        kept = fit_budget(
            data,
            plan,
            model=opened,
            called=model or "",
            seen=seen,
            budget=None if budget is None else parse_budget(budget),
            columns=columns_of(
                target, groups, split=split, cluster=cluster, source=source, identity=id_column, images=images
            ),
            claims=claim or (),
            confidence=confidence,
            seed=seed,
            device=device,
            out=out,
            command=command_line(),
            say=silent_note if as_json or quiet else note,
            progress=progress,
        )
    wanted = Wanted(as_json, junit, pull_request, quiet=True)
    code = deliver(kept.card, kept.folder, wanted)
    if not (as_json or quiet):
        _tell(kept)
    return code


def _opened(model: str) -> "tuple[OpenedModel, Seen | None]":
    """The model to begin with, and what it is known to have seen."""
    from surefoot.hub.opening import is_pretrained
    from surefoot.networks.weights import open_model
    from surefoot.study.seen import seen_of_model

    if is_pretrained(model):
        from surefoot.hub.vit_folder import open_vit_folder

        return open_vit_folder(Path(model)), None
    return open_model(model), seen_of_model(model)


def _regimen(name: str, epochs: int, batch: int, rate: float, shift: int, device: str):
    from collections.abc import Sequence

    from surefoot.flex.schedule import schedule_named
    from surefoot.inference.settings import Ascend
    from surefoot.networks.patches import Size
    from surefoot.study.once.flex_train import Regimen

    settings = Ascend(epochs=epochs, batch=batch, rate=rate, shift=shift)

    def of(sizes: Sequence[Size]) -> Regimen:
        return Regimen(schedule_named(name, sizes), settings, device)

    return of


def _size(said: str) -> tuple[int, int, int]:
    from surefoot.networks.flexible import SIZES

    if said in SIZES:
        return SIZES[said]
    try:
        width, depth, heads = (int(each) for each in said.split(","))
    except ValueError:
        raise InputError(
            f"--size is {said!r}; give width, blocks and heads, such as 64,4,2, or one of {', '.join(SIZES)}."
        ) from None
    return width, depth, heads


def _whole(option: str, said: str) -> list[int]:
    try:
        return [int(each) for each in comma_separated([said])]
    except ValueError:
        raise InputError(f"{option} is {said!r}; give whole numbers with commas between, such as 8,12,16.") from None


def _tell(kept: "KeptFlexible") -> None:
    """The verdict, and every size beside the others."""
    from rich.table import Table
    from rich.text import Text

    from surefoot.card.reading import summary
    from surefoot.card.words import show_finding, show_value

    card, console = kept.card, stdout()
    console.print(verdict_text(card.verdict, card.sentence))
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for column in ("", "ms a pass [quartiles]", "million operations", "MiB", "choose rows", "judge rows"):
        table.add_column(Text(column), overflow="fold")
    labels = {subject.name: subject.label for subject in card.subjects}
    for each in kept.candidates:
        cost, judged = each.cost, summary(card, "accuracy", each.name)
        times = f"{1e3 * cost.seconds:.2f} [{1e3 * cost.fast:.2f}, {1e3 * cost.slow:.2f}]"
        style = "bold" if each.name == kept.chosen.name else ""
        cells = (
            labels[each.name] + (" ← chosen" if style else ""),
            times,
            f"{cost.operations / 1e6:,.2f}",
            f"{cost.memory / 2**20:.2f}",
            show_value(each.score, "proportion"),
            "–" if judged is None else show_finding(judged),
        )
        table.add_row(*(Text(cell, style=style) for cell in cells))
    console.print()
    console.print(table)
    for line in card.not_shown[:3]:
        console.print(line, markup=False, style="dim", soft_wrap=True)
    if kept.reused:
        console.print("The training was finished already and used again.", style="dim")
    console.print(f"The model: {kept.model}", markup=False, soft_wrap=True)
    console.print(f"The page: {kept.folder / 'card.html'}", markup=False, soft_wrap=True)
