"""`look`, `card` and `predict`: one finished model, or only what it said, measured on rows with labels."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from surefoot.cli.console import Wanted, command_line, deliver, note, progress_bars, silent_note
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
    PredictionOption,
    ProbabilitiesOption,
    PullRequestOption,
    QuietOption,
    SourceOption,
    TargetOption,
    TextOption,
    TrustOption,
    columns_of,
    comma_separated,
)

__all__ = ["card", "look", "predict"]

ModelArgument: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="A folder that surefoot saved a model in, one of Hugging Face, or your own: net.py:Net."
    ),
]
WeightsOption: TypeAlias = Annotated[
    Path | None, typer.Option("--weights", metavar="FILE", help="Weights of your own model: .safetensors, .pt or .pth.")
]
HeadOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--head", metavar="NAME", help="The final linear layer of your own model, if not the last."),
]


def look(
    model: ModelArgument,
    data: DataArgument,
    target: TargetOption = None,
    groups: GroupsOption = None,
    cluster: ClusterOption = None,
    source: SourceOption = None,
    id_column: IdOption = None,
    images: ImagesOption = None,
    text: TextOption = None,
    weights: WeightsOption = None,
    head: HeadOption = None,
    claim: ClaimsOption = None,
    confidence: ConfidenceOption = 0.95,
    trust_code: TrustOption = False,
    device: DeviceOption = "cpu",
    out: OutOption = Path("runs"),
    as_json: JSONOption = False,
    junit: JUnitOption = None,
    pull_request: PullRequestOption = None,
    quiet: QuietOption = False,
) -> int:
    """Where does a model fail? Measures it per group; judged are the test rows of DATA's split, else all.

    Of a Hugging Face folder the features are taken first, and its own head is measured on them.
    """
    from surefoot.hub.opening import is_pretrained
    from surefoot.study.once.measure import look as look_at

    columns = columns_of(
        target, groups, cluster=cluster, source=source, identity=id_column, images=images, text=comma_separated(text)
    )
    wanted = Wanted(as_json, junit, pull_request, quiet)
    if weights is None and head is None and is_pretrained(model):
        from surefoot.hub.looking import look_at_pretrained

        with progress_bars(quiet=quiet) as progress:
            looked = look_at_pretrained(
                model,
                data,
                columns=columns,
                claims=claim or (),
                trust_code=trust_code,
                device=device,
                confidence=confidence,
                out=out,
                command=command_line(),
                progress=progress,
            )
        kept = looked.kept
        beneath = (*looked.warnings, *filter(None, [kept.judged]))
        return deliver(kept.card, kept.folder, wanted, beneath=beneath, extra=looked.told)
    with progress_bars(quiet=quiet) as progress:
        kept = look_at(
            model,
            data,
            columns=columns,
            claims=claim or (),
            weights=weights,
            head=head,
            trust_code=trust_code,
            device=device,
            confidence=confidence,
            out=out,
            command=command_line(),
            progress=progress,
        )
    return deliver(kept.card, kept.folder, wanted, beneath=tuple(filter(None, [kept.judged])))


def card(
    predictions: Annotated[
        Path, typer.Argument(metavar="PREDICTIONS", help="A CSV or Parquet table: labels, probabilities, groups.")
    ],
    target: TargetOption = None,
    groups: GroupsOption = None,
    cluster: ClusterOption = None,
    id_column: IdOption = None,
    seed: Annotated[
        str | None, typer.Option("--seed", metavar="COLUMN", help="The column of training seeds, if there are several.")
    ] = None,
    probabilities: ProbabilitiesOption = None,
    prediction: PredictionOption = None,
    claim: ClaimsOption = None,
    confidence: ConfidenceOption = 0.95,
    out: OutOption = Path("runs"),
    as_json: JSONOption = False,
    junit: JUnitOption = None,
    pull_request: PullRequestOption = None,
    quiet: QuietOption = False,
) -> int:
    """A card from predictions alone: no model needed.

    The table has a column of labels (`label`, `target`, `y`, `y_true`, `actual`, …), probabilities, and any columns
    that name groups. Probabilities are one column per class (`p_cat`, `prob_cat`, `proba_cat`, `cat`, `p0`, `0`), or
    one of one class of two (`p_pos`; `p`, `probability`, `score`, `y_score`, `y_prob` of class 1, of 0 and 1); or there
    are predicted classes (`prediction`, `predicted`, `pred`, `y_pred`). Other names: --target, --probabilities,
    --prediction. What was read as what is said first.
    """
    from surefoot.study.once.measure import card_from_predictions

    kept = card_from_predictions(
        predictions,
        claims=claim or (),
        target=target,
        groups=comma_separated(groups),
        cluster=cluster,
        id_column=id_column,
        seed=seed,
        probabilities=comma_separated(probabilities),
        prediction=prediction,
        confidence=confidence,
        out=out,
        command=command_line(),
        say=silent_note if as_json or quiet else note,
    )
    return deliver(kept.card, kept.folder, Wanted(as_json, junit, pull_request, quiet))


def predict(
    model: ModelArgument,
    data: DataArgument,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="Write the CSV here instead of to stdout.")
    ] = None,
    target: TargetOption = None,
    groups: GroupsOption = None,
    cluster: ClusterOption = None,
    source: SourceOption = None,
    id_column: IdOption = None,
    images: ImagesOption = None,
    text: TextOption = None,
    weights: WeightsOption = None,
    head: HeadOption = None,
    trust_code: TrustOption = False,
    device: DeviceOption = "cpu",
    quiet: QuietOption = False,
) -> int:
    """A model's probabilities as CSV: id, label, groups, p_<class>; `surefoot card` reads it.

    Of a Hugging Face folder the features are taken first; they stay below runs/features.
    """
    from surefoot.files import write_text
    from surefoot.hub.opening import is_pretrained
    from surefoot.study.once.predict import predict as predictions_of

    columns = columns_of(
        target, groups, cluster=cluster, source=source, identity=id_column, images=images, text=comma_separated(text)
    )
    with progress_bars(quiet=quiet) as progress:
        if weights is None and head is None and is_pretrained(model):
            from surefoot.hub.looking import predict_pretrained

            table = predict_pretrained(
                model, data, columns=columns, trust_code=trust_code, device=device, progress=progress
            )
        else:
            table = predictions_of(
                model,
                data,
                columns=columns,
                weights=weights,
                head=head,
                trust_code=trust_code,
                device=device,
                progress=progress,
            )
    if to is None:
        print(table, end="")
    else:
        write_text(to, table)
    return 0
