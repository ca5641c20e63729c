"""`surefoot teach`: a student from somebody's labels, and how far it got."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from surefoot.cli.console import (
    Wanted,
    command_line,
    deliver,
    note,
    progress_bars,
    silent_note,
)
from surefoot.cli.options import (
    AsOption,
    ClaimsOption,
    ClusterOption,
    ComposeOption,
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
    SplitsOption,
    TextOption,
    TrustOption,
    columns_of,
    comma_separated,
)
from surefoot.cli.students import SourceOptions, TextOptions, Training, student_of
from surefoot.cli.told_student import tell_student
from surefoot.errors import InputError
from surefoot.study.seeds import LAST_SEED

__all__ = ["teach"]

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
    text: TextOption = None,
    published: AsOption = None,
    splits: SplitsOption = None,
    compose: ComposeOption = None,
    student: Annotated[
        str,
        typer.Option(
            "--student",
            metavar="NAME",
            help="linear, mlp:64, mlp:64,64 or cnn; of texts: minilm, smollm2, a Hugging Face folder or name, a GGUF "
            "file.",
            rich_help_panel=STUDENT,
        ),
    ] = "linear",
    tune: Annotated[
        str | None,
        typer.Option(
            "--tune",
            metavar="HOW",
            help="What of a text model learns: full (usual), lora (low rank, by peft) or head.",
            rich_help_panel=STUDENT,
        ),
    ] = None,
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
        int | None,
        typer.Option("--epochs", min=1, help="Of AdamW; 20 usually, 2 of a whole text model.", rich_help_panel=STUDENT),
    ] = None,
    batch: Annotated[
        int | None, typer.Option("--batch", min=1, help="Rows a step; 64 usually, 32 texts.", rich_help_panel=STUDENT)
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate",
            help="The largest learning rate; 0.003 usually, of texts 0.0001 (full), 0.001 (lora) and 0.003 (head).",
            rich_help_panel=STUDENT,
        ),
    ] = None,
    microbatch: Annotated[
        int | None,
        typer.Option(
            "--microbatch", min=1, help="Texts that go through the model at once, for memory.", rich_help_panel=STUDENT
        ),
    ] = None,
    cut: Annotated[
        bool,
        typer.Option(
            "--cut", help="Cut and count texts longer than the model reads; else refused.", rich_help_panel=STUDENT
        ),
    ] = False,
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
    trust_code: TrustOption = False,
    as_json: JSONOption = False,
    junit: JUnitOption = None,
    pull_request: PullRequestOption = None,
    quiet: QuietOption = False,
) -> int:
    """A student taught by weak labels: a crowd's, a rule's, an old model's. Is it better than they are?

    With true labels of some rows it says how right both are, and with those of all how much of the gap to a student of
    the truth was recovered; without any, how often the student follows. What was trained is not trained again.
    """
    from surefoot.study.once.teach import teach_pupil

    if weak is None:
        raise InputError(
            f"No weak labels were named; teach is called like this: surefoot teach {data} --weak labels.csv"
        )
    named = columns_of(
        target, groups, split=split, cluster=cluster, source=source, identity=id_column, images=images,
        text=comma_separated(text), features=comma_separated(columns),
    )  # fmt: skip
    training = Training(loss, epochs, batch, rate, device)
    texts = TextOptions(tune, microbatch, cut=cut, trust_code=trust_code)
    rows = SourceOptions(data, named, published, splits, compose)
    pupil, named, reading = student_of(student, training, texts, rows)
    wanted = Wanted(as_json, junit, pull_request, quiet)
    with progress_bars(quiet=quiet) as progress:
        kept = teach_pupil(
            data,
            weak,
            pupil,
            columns=named,
            reading=reading,
            probabilities=comma_separated(probabilities),
            prediction=prediction,
            seen=seen,
            seeds=_whole(seeds),
            claims=claim or (),
            confidence=confidence,
            split_seed=split_seed,
            out=out,
            command=command_line(),
            say=silent_note if as_json or quiet else note,
            progress=progress,
        )
    code = deliver(kept.card, kept.folder, Wanted(as_json, junit, pull_request, quiet=True))
    if not (wanted.json or wanted.quiet):
        tell_student(kept)
    return code


def _whole(given: str) -> Sequence[int]:
    try:
        return [int(each) for each in comma_separated([given])]
    except ValueError:
        raise InputError(
            f"--seeds is {given!r}; give whole numbers with commas between, such as --seeds 0,1,2."
        ) from None
