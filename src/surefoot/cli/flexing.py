"""`surefoot flex`: one transformer of every patch size, and the size that a budget buys."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from surefoot.cli.console import Wanted, command_line, deliver, note, progress_bars, silent_note, stdout, verdict_text
from surefoot.cli.flex_parts import opened_transformer, pool_of, regimen_of, size_of, tutor_of, whole_numbers
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
)
from surefoot.errors import InputError

if TYPE_CHECKING:
    from surefoot.study.once.flex import KeptFlexible

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
    pool: Annotated[
        str,
        typer.Option(
            "--pool",
            metavar="NAME",
            help="What a new one’s head reads: mean of the tokens, or a token of its own, as Hugging Face’s do.",
            rich_help_panel=TRAINING,
        ),
    ] = "mean",
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
            "--rate", help="The largest learning rate; 0.0015 usually, 0.0003 with --model.", rich_help_panel=TRAINING
        ),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            "--teacher",
            metavar="MODEL",
            help="Learn to say what it says, and no label: a saved model, a ViT folder, or “itself” (with --model).",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    temperature: Annotated[
        float, typer.Option("--temperature", help="At which a teacher is listened to.", rich_help_panel=TRAINING)
    ] = 1.0,
    mixup: Annotated[
        float, typer.Option("--mixup", min=0, help="α of mixup; 0 mixes nothing.", rich_help_panel=TRAINING)
    ] = 0.0,
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
    from surefoot.inference.settings import Ascend
    from surefoot.study.budget import parse_budget
    from surefoot.study.once.flex import Plan, fit_budget

    opened, seen = (None, None) if model is None else opened_transformer(model)
    count = epochs if epochs is not None else EPOCHS if model is None else 0
    if count == 0 and model is None:
        raise InputError("Without a model there is nothing to measure before it is trained; give --epochs 1 or more.")
    if teacher is not None and not count:
        raise InputError("A teacher was named and nothing is trained; give --epochs 1 or more.")
    usual = 1.5e-3 if model is None else 3e-4
    settings = Ascend(epochs=max(count, 1), batch=batch, rate=usual if rate is None else rate, shift=shift, mixup=mixup)
    regimen = regimen_of(schedule, settings, device, tutor_of(teacher, opened, seen, temperature))
    plan = Plan(
        tuple(whole_numbers("--patches", patches)) if patches is not None else (),
        regimen if count else None,
        size_of(size),
        pool_of(pool),
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
