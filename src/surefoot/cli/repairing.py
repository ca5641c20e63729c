"""`surefoot repair`: a better last layer from features that a network has left in a file."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from surefoot.cli.console import Wanted, command_line, deliver, progress_bars
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
    PullRequestOption,
    QuietOption,
    SeedOption,
    SourceOption,
    SplitOption,
    TargetOption,
    TextOption,
    TrustOption,
    columns_of,
    comma_separated,
)
from surefoot.errors import InputError

if TYPE_CHECKING:
    from surefoot.study.once.columns import Columns

__all__ = ["repair"]


def repair(
    features: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="Features and labels: .npz, .safetensors, CSV or Parquet; with --model, what the model reads.",
        ),
    ],
    target: TargetOption = None,
    groups: GroupsOption = None,
    split: SplitOption = None,
    cluster: ClusterOption = None,
    source: SourceOption = None,
    id_column: IdOption = None,
    head: Annotated[
        str | None,
        typer.Option("--head", metavar="MODEL", help="A saved model whose last layer to repair, not a new one."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", metavar="MODEL", help="Take features with this model, and repair its head: see features."
        ),
    ] = None,
    text: TextOption = None,
    images: ImagesOption = None,
    weights: Annotated[
        Path | None, typer.Option("--weights", metavar="FILE", help="Weights for a model named as file.py:Net.")
    ] = None,
    device: DeviceOption = "cpu",
    trust_code: TrustOption = False,
    columns: FeaturesOption = None,
    methods: Annotated[
        list[str] | None,
        typer.Option(
            "--methods", metavar="NAMES", help="Which repairs to try, such as dfr,afr,rwg,group_dro,jtt,self."
        ),
    ] = None,
    claim: ClaimsOption = None,
    confidence: ConfidenceOption = 0.95,
    seed: SeedOption = 0,
    out: OutOption = Path("runs"),
    as_json: JSONOption = False,
    junit: JUnitOption = None,
    pull_request: PullRequestOption = None,
    quiet: QuietOption = False,
) -> int:
    """Retrain the last layer so that the worst group gains; choose on held-out rows, judge once.

    Tries class-balanced retraining and AFR and, with groups, DFR. Of a table, columns of numbers and of words become
    features; each is told, with those left out. The chosen head lies in the run's folder as
    `model/`, ready for `surefoot look` and `surefoot predict`. With --model, DATA holds texts or image files: the
    model's features are taken first, and the repaired model is the folder `repaired/`, which from_pretrained loads.
    """
    if model is not None:
        if columns:
            raise InputError("--features names columns of a table; with --model the features are the model's.")
        if head is not None:
            raise InputError(
                "--model repairs that model's own head; leave out --head, or give features and no --model."
            )
        return _repair_model(
            model,
            features,
            columns_of(
                target, groups, split=split, cluster=cluster, source=source, identity=id_column, images=images,
                text=comma_separated(text),
            ),
            weights=weights,
            device=device,
            trust_code=trust_code,
            methods=comma_separated(methods) or None,
            claims=claim or (),
            confidence=confidence,
            seed=seed,
            out=out,
            wanted=Wanted(as_json, junit, pull_request, quiet),
        )  # fmt: skip
    from surefoot.hub.opening import is_pretrained
    from surefoot.study.once.repair import repair_features

    if head is not None and is_pretrained(head):
        raise InputError(f"--head {head} is a Hugging Face model folder; did you mean --model {head}?")
    with progress_bars(quiet=quiet) as progress:
        kept = repair_features(
            features,
            columns=columns_of(
                target,
                groups,
                split=split,
                cluster=cluster,
                source=source,
                identity=id_column,
                features=comma_separated(columns),
            ),
            head=head,
            methods=comma_separated(methods) or None,
            claims=claim or (),
            confidence=confidence,
            seed=seed,
            out=out,
            command=command_line(),
            progress=progress,
        )
    told = (*kept.origins, f"The repaired head: {kept.folder / 'model'}")
    wanted = Wanted(as_json, junit, pull_request, quiet)
    return deliver(kept.card, kept.folder, wanted, beneath=kept.warnings, extra=told)


def _repair_model(
    model: str,
    data: Path,
    columns: "Columns",
    *,
    weights: Path | None,
    device: str,
    trust_code: bool,
    methods: Sequence[str] | None,
    claims: Sequence[str],
    confidence: float,
    seed: int,
    out: Path,
    wanted: Wanted,
) -> int:
    from surefoot.hub.roads import repair_model
    from surefoot.robust.afr import NO_MISTAKES

    with progress_bars(quiet=wanted.quiet) as progress:
        made = repair_model(
            model,
            data,
            columns=columns,
            weights=weights,
            device=device,
            trust_code=trust_code,
            methods=methods,
            claims=claims,
            confidence=confidence,
            seed=seed,
            out=out,
            command=command_line(),
            progress=progress,
        )
    kept = made.kept
    notes = tuple(
        note
        for each in kept.card.subjects
        for note in each.notes
        if each.before is not None and (note == NO_MISTAKES or each.name == kept.card.chosen)
    )
    told = (*kept.origins, *notes, *made.told, f"The repaired head: {kept.folder / 'model'}")
    return deliver(kept.card, kept.folder, wanted, beneath=kept.warnings, extra=told)
