"""The arguments and options that several commands share."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from surefoot.study.seeds import LAST_SEED

if TYPE_CHECKING:
    from surefoot.rows.published.compose import Composition
    from surefoot.rows.published.read import Published
    from surefoot.study.once.columns import Columns

__all__ = [
    "AsOption",
    "ClaimsOption",
    "ClusterOption",
    "ComposeOption",
    "ConfidenceOption",
    "DataArgument",
    "DeviceOption",
    "FeaturesOption",
    "GroupsOption",
    "IdOption",
    "ImagesOption",
    "JSONOption",
    "JUnitOption",
    "LedgerOption",
    "OutOption",
    "PredictionOption",
    "ProbabilitiesOption",
    "PullRequestOption",
    "QuietOption",
    "RunsOption",
    "SeedOption",
    "SourceOption",
    "SplitOption",
    "SplitsOption",
    "TargetOption",
    "TextOption",
    "TrustOption",
    "columns_of",
    "comma_separated",
    "composition_of",
    "published_of",
]

OutOption: TypeAlias = Annotated[
    Path, typer.Option("--out", metavar="FOLDER", help="The folder of runs; this run gets a folder of its own in it.")
]
RunsOption: TypeAlias = Annotated[Path, typer.Option("--out", metavar="FOLDER", help="The folder of runs.")]
JSONOption: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, nothing else.")]
JUnitOption: TypeAlias = Annotated[
    Path | None, typer.Option("--junit", metavar="FILE", help="Also write the claims as JUnit XML, for CI.")
]
LedgerOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--ledger",
        metavar="LEDGER",
        envvar="SUREFOOT_LEDGER",
        show_envvar=True,
        help="Where runs are recorded: postgresql://NAME@HOST/DATABASE, or a file; by default ledger.sqlite in --out.",
    ),
]
PullRequestOption: TypeAlias = Annotated[
    Path | None, typer.Option("--pull-request", metavar="FILE", help="Also write a Markdown summary, for a comment.")
]
QuietOption: TypeAlias = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no table; errors only.")]
TrustOption: TypeAlias = Annotated[
    bool, typer.Option("--trust-code", help="Run the Python file that the model is named by. Only if you trust it.")
]
TargetOption: TypeAlias = Annotated[
    str | None, typer.Option("--target", metavar="COLUMN", help="The column of class labels.")
]
FeaturesOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--features", metavar="COLUMNS", help="The columns that are features; else all that are left."),
]
GroupsOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--groups", metavar="COLUMNS", help="Columns that name groups, with commas between or given again."),
]
ProbabilitiesOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--probabilities",
        metavar="COLUMNS",
        help="The probabilities: one column per class, in the order of the classes (numbers by size, words by "
        "spelling) unless named after them; or one, of the last of two classes.",
    ),
]
PredictionOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--prediction", metavar="COLUMN", help="The column of predicted classes, without probabilities."),
]
ClusterOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--cluster", metavar="COLUMN", help="Rows with the same value here count as one in intervals."),
]
SourceOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--source", metavar="COLUMN", help="Rows with the same value here (one patient) stay in one role."),
]
IdOption: TypeAlias = Annotated[str | None, typer.Option("--id", metavar="COLUMN", help="The column that names rows.")]
SplitOption: TypeAlias = Annotated[
    str | None, typer.Option("--split", metavar="COLUMN", help="The column that says train, val or test.")
]
ImagesOption: TypeAlias = Annotated[
    Path | None, typer.Option("--images", metavar="FOLDER", help="Where the image files that a table names lie.")
]
TextOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--text", metavar="COLUMN", help="The column of texts a model is to read; two with a comma are pairs."
    ),
]
DataArgument: TypeAlias = Annotated[
    Path, typer.Argument(metavar="DATA", help="A CSV or Parquet table, .npz or .safetensors, or a folder of images.")
]
ClaimsOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--claim", metavar="CLAIM", help='Such as "worst_group_accuracy >= 0.8"; may be given again.'),
]
ConfidenceOption: TypeAlias = Annotated[
    float, typer.Option("--confidence", min=0.5, max=0.9999, help="The confidence of every interval.")
]
DeviceOption: TypeAlias = Annotated[str, typer.Option("--device", help="Where to compute: cpu, cuda, cuda:1, mps.")]
SeedOption: TypeAlias = Annotated[
    int, typer.Option("--seed", min=0, max=LAST_SEED, help="The seed of everything drawn at random.")
]
AsOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--as",
        metavar="LAYOUT",
        help="DATA is a folder in a published layout: waterbirds, celeba, multinli, civilcomments, "
        "civilcomments-coarse, fmow, fmow-with-other, imagenet9; or of questions and texts: sciq, sciq_with_support, "
        "boolq, amazon_polarity, cosmos_qa, anthropic_hh, sst2, cola, paws, wic, openbookqa, piqa, hellaswag, "
        "social_i_qa, quartz.",
    ),
]
SplitsOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--splits", metavar="NAMES", help="With --as: only these splits, with commas between."),
]
ComposeOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--compose",
        metavar="HOW",
        help='With --as, of questions and texts: what is drawn and kept: "seed=1, rows=5000, balanced, overlap".',
    ),
]


def columns_of(
    target: str | None,
    groups: Sequence[str] | None,
    *,
    split: str | None = None,
    cluster: str | None = None,
    source: str | None = None,
    identity: str | None = None,
    images: Path | None = None,
    text: Sequence[str] = (),
    features: Sequence[str] = (),
) -> "Columns":
    """The columns that options name."""
    from surefoot.study.once.columns import Columns

    return Columns(
        target, comma_separated(groups), split, cluster, source, identity, tuple(features) or None, images, tuple(text)
    )


def comma_separated(given: Sequence[str] | None) -> tuple[str, ...]:
    """An option that takes several names at once, and may be given again.

    >>> comma_separated(["place, sex", "age"])
    ('place', 'sex', 'age')
    """
    return tuple(name.strip() for each in given or () for name in each.split(",") if name.strip())


def published_of(folder: Path, layout: str, splits: Sequence[str] | None, compose: str | None = None) -> "Published":
    """The published data set that `--as`, `--splits` and `--compose` name."""
    from difflib import get_close_matches

    from surefoot.errors import InputError
    from surefoot.rows.published.read import LAYOUTS, Layout, read_published

    known: dict[str, Layout] = {name: name for name in LAYOUTS}
    if layout not in known:
        near = get_close_matches(layout, LAYOUTS, n=1)
        advice = f"did you mean {near[0]!r}?" if near else f"the layouts are {', '.join(LAYOUTS)}."
        raise InputError(f"There is no published layout {layout!r}; {advice}")
    return read_published(folder, known[layout], composition_of(compose)).only(comma_separated(splits))


def composition_of(said: str | None) -> "Composition":
    """What `--compose` says.

    >>> composition_of("seed=1, rows=5000, balanced")
    Composition(seed=1, rows=5000, balanced=True, overlap=False)
    """
    from surefoot.errors import InputError
    from surefoot.rows.published.compose import Composition

    numbers: dict[str, int] = {}
    marks: set[str] = set()
    for part in comma_separated([said] if said else None):
        name, mark, value = (piece.strip() for piece in part.partition("="))
        if name in ("seed", "rows") and value.isdecimal():
            numbers[name] = int(value)
        elif name in ("balanced", "overlap") and not mark:
            marks.add(name)
        else:
            raise InputError(
                f"--compose does not know {part!r}; it may hold seed=NUMBER, rows=NUMBER, balanced, overlap."
            )
    return Composition(numbers.get("seed", 0), numbers.get("rows"), "balanced" in marks, "overlap" in marks)
