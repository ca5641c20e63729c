"""`surefoot repair`: a better last layer from features that a network has left in a file."""

from pathlib import Path
from typing import Annotated

import typer

from surefoot.cli.console import Wanted, command_line, deliver, progress_bars
from surefoot.cli.options import (
    ClaimsOption,
    ClusterOption,
    ConfidenceOption,
    GroupsOption,
    IdOption,
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

__all__ = ["repair"]


def repair(
    features: Annotated[
        Path, typer.Argument(metavar="FEATURES", help="Features and labels: .npz, .safetensors, CSV or Parquet.")
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

    Tries class-balanced retraining and, with groups, DFR and AFR. The chosen head lies in the run's folder as
    `model/`, ready for `surefoot look` and `surefoot predict`.
    """
    from surefoot.study.once_repair import repair_features

    with progress_bars(quiet=quiet) as progress:
        kept = repair_features(
            features,
            columns=columns_of(target, groups, split=split, cluster=cluster, source=source, identity=id_column),
            head=head,
            claims=claim or (),
            confidence=confidence,
            seed=seed,
            out=out,
            command=command_line(),
            progress=progress,
        )
    told = (*kept.origins, f"The repaired head: {kept.folder / 'model'}")
    return deliver(kept.card, kept.folder, Wanted(as_json, junit, pull_request, quiet), extra=told)
