"""`surefoot teach`: a student from somebody's labels, and how far it got."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from surefoot.cli.console import (
    Wanted,
    command_line,
    deliver,
    note,
    progress_bars,
    silent_note,
    stdout,
    verdict_text,
)
from surefoot.cli.options import (
    ClaimsOption,
    ClusterOption,
    ConfidenceOption,
    DeviceOption,
    FeaturesOption,
    GroupsOption,
    IdOption,
    ImagesOption,
    JSONOption,
    JUnitOption,
    OutOption,
    PredictionOption,
    PullRequestOption,
    QuietOption,
    SourceOption,
    SplitOption,
    columns_of,
    comma_separated,
)
from surefoot.errors import InputError
from surefoot.study.seeds import LAST_SEED

if TYPE_CHECKING:
    from surefoot.study.once.teach import KeptStudent

__all__ = ["teach"]

TOLD = 3
"""So many of the card's limits are told at once, the gravest first."""
LABELS = "Weak labels"
STUDENT = "Student"


def teach(
    data: Annotated[
        Path,
        typer.Argument(metavar="DATA", help="A CSV or Parquet table, .npz or .safetensors, or a folder of images."),
    ],
    weak: Annotated[
        Path | None,
        typer.Option(
            "--weak",
            metavar="LABELS",
            help="A table: id, and p_<class> for each class, or label.",
            rich_help_panel=LABELS,
        ),
    ] = None,
    seen: Annotated[
        Path | None,
        typer.Option(
            "--seen",
            metavar="FILE",
            help="Ids of the rows that the supervisor was trained on: a text, a table, or a model’s folder.",
            rich_help_panel=LABELS,
        ),
    ] = None,
    probabilities: Annotated[
        list[str] | None,
        typer.Option(
            "--probabilities",
            metavar="COLUMNS",
            help="The columns of LABELS, where names do not say it.",
            rich_help_panel=LABELS,
        ),
    ] = None,
    prediction: PredictionOption = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--target", metavar="COLUMN", help="The true labels, of some rows or of all; empty where unknown."
        ),
    ] = None,
    groups: GroupsOption = None,
    split: SplitOption = None,
    cluster: ClusterOption = None,
    source: SourceOption = None,
    id_column: IdOption = None,
    images: ImagesOption = None,
    columns: FeaturesOption = None,
    student: Annotated[
        str,
        typer.Option("--student", metavar="NAME", help="linear, mlp:64, mlp:64,64 or cnn.", rich_help_panel=STUDENT),
    ] = "linear",
    loss: Annotated[
        str,
        typer.Option(
            "--loss",
            metavar="NAME",
            help="cross_entropy, confidence, confidence_repository, reverse or adaptive.",
            rich_help_panel=STUDENT,
        ),
    ] = "cross_entropy",
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="Of AdamW; 20 usually.", rich_help_panel=STUDENT)
    ] = None,
    batch: Annotated[
        int | None, typer.Option("--batch", min=1, help="Rows a step; 64 usually.", rich_help_panel=STUDENT)
    ] = None,
    rate: Annotated[
        float | None, typer.Option("--rate", help="The largest learning rate; 0.003 usually.", rich_help_panel=STUDENT)
    ] = None,
    seeds: Annotated[
        str, typer.Option("--seeds", metavar="0,1,2", help="Starts of the student.", rich_help_panel=STUDENT)
    ] = "0,1,2",
    claim: ClaimsOption = None,
    confidence: ConfidenceOption = 0.95,
    split_seed: Annotated[
        int,
        typer.Option(
            "--split-seed", min=0, max=LAST_SEED, help="The seed by which judge rows are drawn, where no split says."
        ),
    ] = 0,
    out: OutOption = Path("runs"),
    device: DeviceOption = "cpu",
    as_json: JSONOption = False,
    junit: JUnitOption = None,
    pull_request: PullRequestOption = None,
    quiet: QuietOption = False,
) -> int:
    """A student taught by weak labels: a crowd's, a rule's, an old model's. Is it better than they are?

    With true labels of some rows it says how right both are, and with those of all how much of the gap to a student of
    the truth was recovered; without any, how often the student follows. What was trained is not trained again.
    """
    from surefoot.study.once.teach import teach_student

    if weak is None:
        raise InputError(
            f"No weak labels were named; teach is called like this: surefoot teach {data} --weak labels.csv"
        )
    given = [
        name for name, value in {"--epochs": epochs, "--batch": batch, "--rate": rate}.items() if value is not None
    ]
    if given and student.strip() == "linear" and loss == "cross_entropy":
        raise InputError(
            f"{given[0]} is of AdamW, and a linear student of cross-entropy is solved; leave it out, or give another "
            "--student or --loss."
        )
    wanted = Wanted(as_json, junit, pull_request, quiet)
    with progress_bars(quiet=quiet) as progress:
        kept = teach_student(
            data,
            weak,
            columns=columns_of(
                target, groups, split=split, cluster=cluster, source=source, identity=id_column, images=images,
                features=comma_separated(columns),
            ),
            probabilities=comma_separated(probabilities),
            prediction=prediction,
            seen=seen,
            student=student,
            loss=loss,
            epochs=20 if epochs is None else epochs,
            batch=64 if batch is None else batch,
            rate=3e-3 if rate is None else rate,
            seeds=_whole(seeds),
            claims=claim or (),
            confidence=confidence,
            split_seed=split_seed,
            device=device,
            out=out,
            command=command_line(),
            say=silent_note if as_json or quiet else note,
            progress=progress,
        )  # fmt: skip
    code = deliver(kept.card, kept.folder, Wanted(as_json, junit, pull_request, quiet=True))
    if not (wanted.json or wanted.quiet):
        _tell(kept)
    return code


def _whole(given: str) -> Sequence[int]:
    try:
        return [int(each) for each in comma_separated([given])]
    except ValueError:
        raise InputError(
            f"--seeds is {given!r}; give whole numbers with commas between, such as --seeds 0,1,2."
        ) from None


def _tell(kept: "KeptStudent") -> None:
    from rich.table import Table
    from rich.text import Text

    from surefoot.card.reading import WORST, summary
    from surefoot.card.words import finding_title, show_finding, show_level

    card, console = kept.card, stdout()
    console.print(verdict_text(card.verdict, card.sentence))
    names = [name for name in ("accuracy", WORST, "supervisor_agreement") if any(f.name == name for f in card.findings)]
    heads = {"accuracy": "accuracy", WORST: "worst group", "supervisor_agreement": "as its supervisor says"}
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for column in ("model", *(heads[name] for name in names)):
        table.add_column(column, overflow="fold")
    for subject in card.subjects:
        found = [summary(card, name, subject.name) for name in names]
        table.add_row(Text(subject.label), *(Text("–" if each is None else show_finding(each)) for each in found))
    console.print()
    console.print(table)
    for each in card.findings:
        if each.name in DISAGREEMENT and each.subject == "student":
            console.print(f"{finding_title(each.name)}: {show_finding(each)}", markup=False, soft_wrap=True)
    for each in card.differences:
        if each.name == "accuracy" and each.slice == "all":
            console.print(f"{each.subject}: {show_finding(each)}", markup=False, soft_wrap=True)
    level = next(each.interval.confidence for each in card.findings if each.interval is not None)
    console.print(f"On {card.roles[-1].rows:,} judge rows; in brackets: {show_level(level)} intervals.", style="dim")
    for line in (each for each in card.not_shown[:TOLD] if each not in kept.origins):
        console.print(line, markup=False, soft_wrap=True)
    console.print()
    for line in kept.origins:
        console.print(line, markup=False, style="dim", soft_wrap=True)
    if kept.reused:
        console.print(f"{kept.reused} trainings were finished already and used again.", style="dim")
    model = next(iter(kept.models.values()))
    each_seed = ", one a start" if len(kept.models) > 1 else ""
    console.print(f"The student: {model}{each_seed}", markup=False, soft_wrap=True)
    console.print(f"The page: {kept.folder / 'card.html'}", markup=False, soft_wrap=True)


DISAGREEMENT = (
    "gap_recovered",
    "agreement_with_right_labels",
    "agreement_with_wrong_labels",
    "right_in_disagreement",
)
