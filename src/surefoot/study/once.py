"""Roads without a study file: a card from predictions alone, a look at a finished model, a model's predictions.

    kept = card_from_predictions(Path("predictions.csv"), claims=["worst_group_accuracy >= 0.8"])
    kept = look("model/", Path("rows.csv"))
    table = predict("model/", Path("rows.csv"))

Each returns what the command of the same name prints. Nothing here trains; `repair_features` is in
`study/once_repair.py`.
"""

import csv
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.card.assemble import assemble_card
from surefoot.card.card import Card, Record, RoleSummary, Subject
from surefoot.errors import InputError
from surefoot.files import digest_file, digest_json, digest_tensor, read_json
from surefoot.findings.predictions import Predictions, predictions_for
from surefoot.findings.reading import read_predictions
from surefoot.networks.network import forward
from surefoot.networks.weights import OpenedModel, open_model
from surefoot.progress import Progress, silent
from surefoot.rows.digest import rows_digest
from surefoot.rows.reading import Reading, read_rows
from surefoot.rows.roles import refuse_seen
from surefoot.rows.rows import Inputs, Rows
from surefoot.study.claim_text import parse_claim
from surefoot.study.keep import Asked, Kept, keep

__all__ = [
    "USUAL",
    "Columns",
    "card_from_predictions",
    "look",
    "predict",
    "probabilities_of",
    "seen_by",
    "summary_of_role",
]

BATCH = 512  # rows a forward pass
MODEL = "model"
"""The name of the one subject on a card of a single model."""


@dataclass(frozen=True)
class Columns:
    """Which columns of a data set mean what; None and () leave it to their usual names."""

    target: str | None = None
    groups: tuple[str, ...] = ()
    split: str | None = None
    cluster: str | None = None
    source: str | None = None
    id: str | None = None
    features: tuple[str, ...] | None = None
    images: Path | None = None

    def read(self, path: Path) -> Reading:
        """The rows of a file or folder, by these columns."""
        return read_rows(
            path,
            target=self.target,
            attributes=self.groups,
            split=self.split,
            cluster=self.cluster,
            source=self.source,
            id_column=self.id,
            features=self.features,
            images=self.images,
        )


USUAL = Columns()
"""Every column by its usual name."""


def card_from_predictions(
    path: Path,
    *,
    claims: Sequence[str] = (),
    target: str = "label",
    groups: Sequence[str] = (),
    cluster: str | None = None,
    confidence: float = 0.95,
    out: Path = Path("runs"),
    command: str = "",
) -> Kept:
    """A card from labels, probabilities and groups alone; nothing is known of the model, and the card says so.

    claims: as `parse_claim` reads them. Raises `InputError` for a file or a claim that cannot be used; no card
    is written then.
    """
    began = time.perf_counter()
    predictions = read_predictions(path, target=target, groups=groups, cluster=cluster)
    made = [parse_claim(claim, MODEL, confidence) for claim in claims]
    asked = Asked(
        road="card",
        name=path.stem,
        data=f"{len(predictions.ids):,} predictions from {path.name}",
        settings={"predictions": digest_file(path), "claims": list(claims), "confidence": confidence},
        seeds=(),
        judge_digest=_digest_of(predictions),
        command=command,
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
                "Which rows the model was trained on is unknown here: nothing could check that these rows were kept "
                "apart from training and from choosing.",
                "A group that the file does not name was not looked at.",
                "One set of predictions: how much another training run would differ is not measured.",
            ),
            confidence=confidence,
        )

    return keep(asked, out, {"read and measure": time.perf_counter() - began}, make)


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
    progress: Progress = silent,
) -> Kept:
    """Where does a finished model fail? A card with no mitigation; every row given is a judge row.

    model: a folder that surefoot saved, or "file.py:Net" with `weights` (its code runs only if trusted).
    Raises `InputError` when the model's record says that it has seen a source of these rows.
    """
    began = time.perf_counter()
    rows = columns.read(data).rows
    opened = open_model(model, trust_code=trust_code, weights=weights, head=head)
    rows, matched = _with_classes_of(opened, rows)
    seen = seen_by(model)
    if seen is not None:
        refuse_seen(rows, seen, f"the model in {model}")
    made = [parse_claim(claim, MODEL, confidence) for claim in claims]
    predictions = predictions_for(rows, probabilities_of(opened, rows, device=device, progress=progress)[None])
    asked = Asked(
        road="look",
        name=f"{Path(model.rpartition(':')[0] or model).stem}-{data.stem}",
        data=f"{len(rows):,} rows from {data.name}",
        settings={
            "model": _identity(opened),
            "claims": list(claims),
            "confidence": confidence,
            "device": device,
        },
        seeds=(),
        judge_digest=rows_digest(rows),
        command=command,
    )

    def make(record: Record) -> Card:
        return assemble_card(
            title=f"{Path(model).name} on {data.name}",
            question="Where does this model fail?",
            predictions={MODEL: predictions},
            subjects=[Subject(MODEL, "the model", notes=() if matched is None else (matched,))],
            claims=made,
            roles_summary=[summary_of_role("judge", rows)],
            proportions=None,
            chosen=None,
            seen={} if seen is None else {MODEL: seen},
            images=_pictures(rows),
            record=record,
            not_shown=(
                *(() if seen is not None else (UNKNOWN_TRAINING,)),
                "A group that the data does not name was not looked at.",
                "One training run: how much another would differ is not measured.",
            ),
            confidence=confidence,
        )

    return keep(asked, out, {"look": time.perf_counter() - began}, make)


UNKNOWN_TRAINING = (
    "Which rows the model was trained on is unknown: nothing could check that these rows were kept apart from it."
)


def predict(
    model: str,
    data: Path,
    *,
    columns: Columns = USUAL,
    weights: Path | None = None,
    head: str | None = None,
    trust_code: bool = False,
    device: str = "cpu",
    progress: Progress = silent,
) -> str:
    """A model's class probabilities as CSV text: id, label (where the data has one), groups, p_<class> ….

    `card_from_predictions` reads it back.
    """
    reading = columns.read(data)
    opened = open_model(model, trust_code=trust_code, weights=weights, head=head)
    rows, _ = _with_classes_of(opened, reading.rows)
    probabilities = probabilities_of(opened, rows, device=device, progress=progress)
    names = rows.groups.names
    written = io.StringIO()
    table = csv.writer(written, lineterminator="\n")
    table.writerow(["id", "label", *(["group"] if names else []), *(f"p_{label}" for label in rows.classes)])
    for row, given in enumerate(probabilities.tolist()):
        inside = [name for name, member in zip(names, rows.groups.members[row].tolist(), strict=True) if member]
        group = ["; ".join(inside)] if names else []
        table.writerow([rows.ids[row], rows.classes[int(rows.targets[row])], *group, *(f"{p:.9g}" for p in given)])
    return written.getvalue()


def probabilities_of(
    opened: OpenedModel, rows: Rows, *, device: str = "cpu", progress: Progress = silent
) -> Float[Tensor, "rows classes"]:
    """The model's class probabilities, in batches; raises `InputError` when rows and model do not fit together."""
    place = _device(device)
    parameters = {name: tensor.to(place) for name, tensor in opened.parameters.items()}
    opened.network.module.to(place).eval()
    parts: list[Tensor] = []
    with torch.no_grad():
        for start in range(0, len(rows), BATCH):
            inputs = rows.inputs[start : start + BATCH].to(place)
            try:
                logits = forward(opened.network, parameters, inputs)
            except (RuntimeError, ValueError) as error:
                shape = tuple(inputs.shape[1:])
                raise InputError(
                    f"The model cannot read these rows: one input has shape {shape} ({_first_line(error)}); "
                    "give rows of the kind that the model was made for."
                ) from error
            parts.append(logits.float().softmax(dim=1).cpu())
            progress("predicting", min(start + BATCH, len(rows)), len(rows))
    return torch.cat(parts)


def seen_by(model: str) -> frozenset[str] | None:
    """The sources that a saved model has seen, as recorded beside it; None when there is no such record."""
    file = Path(model) / "seen.json"
    return frozenset(str(name) for name in read_json(file)) if file.is_file() else None


def summary_of_role(role: str, rows: Rows) -> RoleSummary:
    """What a card says of one role."""
    counts = dict(zip(rows.groups.names, rows.groups.counts().tolist(), strict=True))
    return RoleSummary(role, len(rows), len(rows.origins()), counts)


def _pictures(rows: Rows) -> Inputs | None:
    """The inputs where they are images `[rows, 1 or 3, height, width]`."""
    shape = rows.inputs[:1].shape
    return rows.inputs if len(shape) == 4 and shape[1] in (1, 3) else None


def _with_classes_of(opened: OpenedModel, rows: Rows) -> tuple[Rows, str | None]:
    """The rows with targets numbered as the model numbers its classes, and a sentence where that was by number.

    A saved model names its classes, so data that has only some of them, or in another order, is matched by name.
    """
    if opened.record is None or rows.classes == opened.record.classes:
        return rows, None
    wanted = opened.record.classes
    said = None
    if set(rows.classes) <= set(wanted):
        numbers = [wanted.index(name) for name in rows.classes]
    elif all(name.isdigit() and int(name) < len(wanted) for name in rows.classes):
        numbers = [int(name) for name in rows.classes]
        pairs = ", ".join(f"{name} is {wanted[number]}" for name, number in zip(rows.classes, numbers, strict=True))
        said = f"The data numbers its classes and the model names them; they were matched by number: {pairs}."
    else:
        unknown = next(name for name in rows.classes if name not in wanted)
        raise InputError(
            f'The data has the class "{unknown}", which the model does not know (it knows {", ".join(wanted)}); '
            "rename the labels, or leave those rows out."
        )
    return replace(rows, targets=torch.tensor(numbers)[rows.targets], classes=wanted), said


def _judged(predictions: Predictions) -> RoleSummary:
    sources = len({name for name in predictions.sources.ravel().tolist() if name})
    counts = dict(zip(predictions.groups.names, predictions.groups.counts().tolist(), strict=True))
    return RoleSummary("judge", len(predictions.ids), sources, counts)


def _device(named: str) -> torch.device:
    """The device of a name, checked to be there."""
    try:
        place = torch.device(named)
        torch.zeros(1, device=place)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f'The device "{named}" cannot be used here ({_first_line(error)}); try --device cpu.'
        ) from None
    return place


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _identity(opened: OpenedModel) -> str:
    """sha256 over the names and contents of a model's tensors."""
    return digest_json({name: digest_tensor(tensor) for name, tensor in sorted(opened.parameters.items())})


def _digest_of(predictions: Predictions) -> str:
    """The identity of the rows that were predicted, whatever was predicted for them."""
    return digest_json(
        {
            "ids": predictions.ids.tolist(),
            "targets": digest_tensor(predictions.targets),
            "groups": [predictions.groups.names, digest_tensor(predictions.groups.members)],
        }
    )
