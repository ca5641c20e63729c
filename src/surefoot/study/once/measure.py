"""Roads without a study file: a card from predictions alone, a look at a finished model.

    kept = card_from_predictions(Path("predictions.csv"), claims=["worst_group_accuracy >= 0.8"])
    kept = look("model/", Path("rows.csv"))

Each returns what the command of the same name prints. `repair_features` is in `study/once/repair.py`,
`predict` in `study/once/predict.py`.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from surefoot.bayes.kept import digest_posterior
from surefoot.card.assemble import assemble_card
from surefoot.card.card import Card, Record, RoleSummary, Subject
from surefoot.card.claims import Claim
from surefoot.errors import InputError
from surefoot.files import digest_file, digest_json, digest_tensor
from surefoot.findings.names import AskAgain, listed
from surefoot.findings.predictions import Predictions, predictions_for
from surefoot.findings.reading import GROUPS, ReadPredictions, read_told
from surefoot.findings.told import without_rows
from surefoot.networks.weights import OpenedModel
from surefoot.progress import Progress, silent, unheard
from surefoot.rows.copies import about_repeats
from surefoot.rows.digest import identity_digest, rows_digest
from surefoot.rows.rows import Inputs, Rows
from surefoot.rows.texts import Texts
from surefoot.study.numerics import one_thread
from surefoot.study.once.behind import Behind
from surefoot.study.once.claim_text import parse_claim
from surefoot.study.once.columns import USUAL, Columns
from surefoot.study.once.keep import Asked, Kept, keep
from surefoot.study.once.marks import marks_of_predictions, marks_of_rows
from surefoot.study.once.opening import open_to_predict
from surefoot.study.once.predict import SEEN, judged_rows, probabilities_of, with_groups_of
from surefoot.study.seen import seen_of_model

__all__ = ["card_from_predictions", "look", "pictures_of", "summary_of_role"]

MODEL = "model"
"""The name of the one subject on a card of a single model."""
DECIDED = (
    "The file tells the predicted classes, not how sure the model was: losses, calibration and the surest errors are "
    "unknown."
)

OF_GROUPS = ("worst_group_accuracy", "worst_group_accuracy_seed_sd")


@one_thread()
def card_from_predictions(
    path: Path,
    *,
    claims: Sequence[str] = (),
    target: str | None = None,
    groups: Sequence[str] = (),
    cluster: str | None = None,
    id_column: str | None = None,
    seed: str | None = None,
    probabilities: Sequence[str] = (),
    prediction: str | None = None,
    confidence: float = 0.95,
    out: Path = Path("runs"),
    command: str = "",
    say: Callable[[str], None] = unheard,
) -> Kept:
    """A card from labels, probabilities and groups alone; nothing is known of the model, and the card says so.

    claims: as `parse_claim` reads them. say: is told, line by line, what was read as what, once the card is made.
    Raises `InputError` for a file or a claim that cannot be used, and for rows that a column `seen` marks with "yes"
    (`predict` writes it); no card is written then.
    """
    began = time.perf_counter()
    read = read_told(
        path,
        target=target,
        groups=groups,
        cluster=cluster,
        id_column=id_column,
        seed=seed,
        probabilities=probabilities,
        prediction=prediction,
    )
    predictions = read.predictions
    told = read.table.columns.get(SEEN, [])
    if (count := sum(value == "yes" for value in told)) > 0:
        raise InputError(
            f"{count} of {len(told)} rows in {path.name} were seen when the model was made (column {SEEN!r} says yes); "
            "judge on the others: leave these rows out."
        )
    made = [parse_claim(claim, MODEL, confidence) for claim in claims]
    for text, claim in zip(claims, made, strict=True):
        _refuse_without_groups(text, claim, read, groups)
    asked = Asked(
        road="card",
        name=path.stem,
        data=f"{len(predictions.ids):,} predictions from {path.name}",
        settings={
            "predictions": digest_file(path),
            "columns": {
                "target": read.target,
                "groups": list(groups),
                "cluster": cluster,
                "id": id_column,
                "seed": seed,
                "prediction": prediction,
                **({"probabilities": list(probabilities)} if probabilities else {}),
            },
            "claims": list(claims),
            "confidence": confidence,
        },
        seeds=(),
        judge_digest=identity_digest(predictions.ids, predictions.sources),
        command=command,
        marks=marks_of_predictions(predictions),
    )

    def make(record: Record) -> Card:
        return assemble_card(
            title=path.stem,
            question="How good are these predictions, and where do they fail?",
            predictions={MODEL: predictions},
            subjects=[Subject(MODEL, "the model")],
            claims=made,
            roles_summary=[_judged(predictions)],
            proportions=None,
            chosen=None,
            seen={},
            images=None,
            record=record,
            not_shown=(
                *((without_rows(read.empty),) if read.empty else ()),
                *read.doubts,
                "Which rows the model was trained on is unknown here: nothing could check that these rows were kept "
                "apart from training and from choosing.",
                "A group that the file does not name was not looked at.",
                *((DECIDED,) if predictions.decisions else ()),
                *(() if len(predictions.probabilities) > 1 else (ONE_RUN,)),
            ),
            confidence=confidence,
        )

    kept = keep(asked, out, {"read and measure": time.perf_counter() - began}, make)
    for line in read.told:
        say(line)
    return kept


@one_thread()
def look(
    model: str,
    data: Path,
    *,
    columns: Columns = USUAL,
    claims: Sequence[str] = (),
    weights: Path | None = None,
    head: str | None = None,
    trust_code: bool = False,
    device: str = "cpu",
    confidence: float = 0.95,
    out: Path = Path("runs"),
    command: str = "",
    behind: Behind | None = None,
    progress: Progress = silent,
) -> Kept:
    """Where does a finished model fail? A card with no mitigation; judged are the test rows of a split, else all rows.

    behind: the model and the data, where `model` is its last layer and `data` its features.
    model: a folder that surefoot saved, or "file.py:Net" with `weights` (its code runs only if trusted).
    Raises `InputError` when the model's record says that it has seen a source of these rows.
    """
    began = time.perf_counter()
    opened = open_to_predict(model, trust_code=trust_code, weights=weights, head=head)
    rows, judged = judged_rows(opened, columns, data, data.name if behind is None else behind.called)
    rows = with_groups_of(opened, rows)
    seen = seen_of_model(model)
    if seen is not None:
        seen.refuse(rows, f"the model in {model if behind is None else behind.model}")
    made = [parse_claim(claim, MODEL, confidence) for claim in claims]
    predictions = predictions_for(rows, probabilities_of(opened, rows, device=device, progress=progress)[None])
    asked = Asked(
        road="look",
        name=f"{Path(model.rpartition(':')[0] or model).stem}-{data.stem}" if behind is None else behind.title,
        data=f"{len(rows):,} rows from {data.name}" if behind is None else behind.data,
        settings={
            "model": _identity(opened),
            "rows": rows_digest(rows),
            "claims": list(claims),
            "confidence": confidence,
            "device": device,
        },
        seeds=(),
        judge_digest=identity_digest(rows.ids, rows.sources),
        command=command,
        marks=marks_of_rows(rows),
    )

    def make(record: Record) -> Card:
        return assemble_card(
            title=f"{Path(model).name} on {data.name}" if behind is None else behind.title,
            question="Where does this model fail?",
            predictions={MODEL: predictions},
            subjects=[Subject(MODEL, "the model")],
            claims=made,
            roles_summary=[summary_of_role("judge", rows)],
            proportions=None,
            chosen=None,
            seen={} if seen is None else {MODEL: seen.names_for(rows)},
            images=pictures_of(rows) if behind is None else behind.pictures_of(rows),
            record=record,
            not_shown=(
                *([judged] if judged else []),
                *(() if behind is None else (*behind.warnings, *behind.notes)),
                *((UNKNOWN_TRAINING,) if seen is None and behind is None else ()),
                *(() if seen is None else seen.told(rows)),
                *about_repeats(rows),
                "A group that the data does not name was not looked at.",
                ONE_RUN,
            ),
            confidence=confidence,
        )

    return replace(keep(asked, out, {"look": time.perf_counter() - began}, make), judged=judged)


ONE_RUN = "One training run: how much another would differ is not measured."
UNKNOWN_TRAINING = (
    "Which rows the model was trained on is unknown: nothing could check that these rows were kept apart from it."
)


def summary_of_role(role: str, rows: Rows) -> RoleSummary:
    """What a card says of one role."""
    counts = dict(zip(rows.groups.names, rows.groups.counts().tolist(), strict=True))
    return RoleSummary(role, len(rows), len(rows.origins()), counts)


def pictures_of(rows: Rows) -> Inputs | None:
    """The inputs where they are images `[rows, 1 or 3, height, width]`."""
    if isinstance(rows.inputs, Texts):
        return None
    shape = rows.inputs[:1].shape
    return rows.inputs if len(shape) == 4 and shape[1] in (1, 3) else None


def _refuse_without_groups(text: str, claim: Claim, read: ReadPredictions, named: Sequence[str]) -> None:
    """A claim on the worst group needs groups, all with rows."""
    if claim.finding not in OF_GROUPS:
        return
    groups = read.predictions.groups
    if not groups.names:
        empty = tuple(named) or tuple(name for name in GROUPS[:1] if name in read.table.columns)
        if empty:
            raise InputError(
                f'The claim "{text}" needs groups, and no row of {read.table.name} has a value in {listed(empty)}; '
                "fill it in, or name another column with --groups."
            )
        could = f"; columns that could be: {', '.join(read.could_be[:6])}" if read.could_be else ""
        offered = ("--groups", read.could_be[0]) if read.could_be else ()
        raise AskAgain(f'The claim "{text}" needs --groups{could}.', *offered)
    counts = groups.counts().tolist()
    if 0 in counts:
        raise InputError(
            f'The claim "{text}" speaks of all groups, and no row is in "{groups.names[counts.index(0)]}"; give rows '
            "of it, or leave its column out."
        )


def _judged(predictions: Predictions) -> RoleSummary:
    sources = len(np.unique(predictions.sources[predictions.sources != ""]))
    counts = dict(zip(predictions.groups.names, predictions.groups.counts().tolist(), strict=True))
    return RoleSummary("judge", len(predictions.ids), sources, counts)


def _identity(opened: OpenedModel) -> str:
    """sha256 over the names and contents of a model's tensors, and of a posterior's draws."""
    own = {name: digest_tensor(tensor) for name, tensor in sorted(opened.parameters.items())}
    if opened.draws is None:
        return digest_json(own)
    return digest_json([own, digest_posterior(opened.draws)])
