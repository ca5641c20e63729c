"""What a finished model says about rows: class probabilities, as a tensor or as CSV text."""

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.bayes.kept import load_posterior
from surefoot.errors import InputError
from surefoot.networks.network import embed, forward, head_of
from surefoot.networks.weights import OpenedModel
from surefoot.progress import Progress, silent
from surefoot.rows.encoding import Encoder, encoder_from_json
from surefoot.rows.grouping import MEMBER
from surefoot.rows.reading import SPLIT_MEANING, UNLABELLED, Reading
from surefoot.rows.rows import Groups, Rows
from surefoot.study.numerics import require_device
from surefoot.study.once.columns import USUAL, Columns
from surefoot.study.once.opening import open_to_predict
from surefoot.study.seen import Seen, seen_of_model
from surefoot.study.stored import COLUMNS, GROUPS

__all__ = [
    "SEEN", "encoder_of", "judged_rows", "predict", "probabilities_of", "reading_for", "rows_for", "with_groups_of",
]  # fmt: skip

CLUSTER = "cluster"
"""The column that says which rows hang together; the second way is in `cluster:2`, and so on."""
BATCH = 512  # rows a forward pass
SEEN = "seen"
"""The column that says of each row whether it, or a relative, was used to make the model: yes or no."""


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
    """A model's class probabilities as CSV text: id, label and group (where the data has them), p_<class> ….

    `card_from_predictions` reads it back. Where the model's folder says what the model has seen, `seen` is "yes" for
    those rows and their relatives, on which no card will judge. Rows that hang together get the number of their
    cluster, in a column for each way to hang together: `cluster`, `cluster:2`, ….
    """
    opened = open_to_predict(model, trust_code=trust_code, weights=weights, head=head)
    names = _classes(opened)
    rows = columns.read(data, labelled=False, encoder=encoder_of(opened)).rows
    labelled = rows.classes != (UNLABELLED,)
    if labelled:
        rows = rows_for(opened, columns, data)
    probabilities = probabilities_of(opened, rows, device=device, progress=progress)
    classes = names or (rows.classes if labelled else tuple(map(str, range(probabilities.shape[1]))))
    return _as_csv(rows, probabilities, classes, labelled=labelled, seen=seen_of_model(model))


def probabilities_of(
    opened: OpenedModel, rows: Rows, *, device: str = "cpu", progress: Progress = silent
) -> Float[Tensor, "rows classes"]:
    """The model's class probabilities, in batches; raises `InputError` when rows and model do not fit together."""
    if opened.draws is not None:
        return _averaged(opened, opened.draws, rows, progress)
    place = require_device(device)
    parameters = {name: tensor.to(place) for name, tensor in opened.parameters.items()}
    opened.network.module.to(place).eval()
    parts: list[Tensor] = []
    with torch.no_grad():
        for start in range(0, len(rows), BATCH):
            inputs = rows.inputs[start : start + BATCH].to(place)
            try:
                logits = forward(opened.network, parameters, inputs)
            except (RuntimeError, ValueError) as error:
                raise _unreadable(inputs, error) from error
            parts.append(logits.float().softmax(dim=1).cpu())
            progress("predicting", min(start + BATCH, len(rows)), len(rows))
    return torch.cat(parts)


def _averaged(opened: OpenedModel, draws: Path, rows: Rows, progress: Progress) -> Float[Tensor, "rows classes"]:
    """What all draws say together; computed on the CPU, where they were drawn."""
    kept = load_posterior(draws)
    try:
        forward(opened.network, opened.parameters, rows.inputs[:1])
        parts = [
            embed(opened.network, opened.parameters, rows.inputs[start : start + BATCH])
            for start in range(0, len(rows) if kept.part == "head" else 0, BATCH)
        ]
    except (RuntimeError, ValueError) as error:
        raise _unreadable(rows.inputs[:1], error) from error
    return kept.probabilities(opened.network, torch.cat(parts) if parts else rows.inputs, progress=progress)


def _unreadable(inputs: Tensor, error: Exception) -> InputError:
    return InputError(
        f"The model cannot read these rows: one input has shape {tuple(inputs.shape[1:])} ({_first_line(error)}); "
        "give rows of the kind that the model was made for."
    )


def encoder_of(opened: OpenedModel) -> Encoder | None:
    """How the columns of a table become this model's features, where its record says so."""
    told = None if opened.record is None else opened.record.provenance.get(COLUMNS)
    return None if told is None else encoder_from_json(told)


def _classes(opened: OpenedModel) -> tuple[str, ...] | None:
    """The names of the model's classes, where it was saved with them."""
    return None if opened.record is None else opened.record.classes


def rows_for(opened: OpenedModel, columns: Columns, data: Path) -> Rows:
    """The rows of `reading_for`, whatever the split of the file."""
    return reading_for(opened, columns, data).rows


def judged_rows(opened: OpenedModel, columns: Columns, data: Path, called: str) -> tuple[Rows, str]:
    """Those rows of `reading_for` that the file's split keeps for judging, all where it keeps none, and which in words.

    The other rows of a split are for training and choosing: the model may have been trained on them, and a look at
    them would say that it does better than it does. called: the data, as the user knows it.
    """
    reading = reading_for(opened, columns, data)
    order = ""
    if opened.record is None and _in_class_folders(data):
        order = f"The model's outputs are taken to be the folders in their order: {', '.join(reading.rows.classes)}. "
    if reading.split is None:
        return reading.rows, order.strip()
    judge = [SPLIT_MEANING.get(value) == "judge" for value in reading.split]
    values = ", ".join(sorted(set(reading.split)))
    if not any(judge):
        return reading.rows, f"{order}Judged: all rows; the split of {called} ({values}) keeps none for judging."
    if all(judge):
        return reading.rows, order.strip()
    named = ", ".join(sorted({value for value, kept in zip(reading.split, judge, strict=True) if kept}))
    others = len(judge) - sum(judge)
    told = f"{order}Judged: the {sum(judge):,} {named} rows of {called}; its other {others:,} were not looked at."
    return reading.rows.take(torch.tensor(judge).nonzero().ravel()), told


def _in_class_folders(data: Path) -> bool:
    """Whether the labels are names of folders, which whoever trains on them takes in the order of the alphabet."""
    return data.is_dir() and not (data / "metadata.csv").is_file()


def reading_for(opened: OpenedModel, columns: Columns, data: Path) -> Reading:
    """The labelled rows of `data`, with the classes of the model; raises `InputError` when that cannot be.

    Labels are names of the model's classes, or their numbers from 0 in the order of its outputs. Of a model that was
    saved without the names of its classes they are numbers: which output a word means, nobody has said.
    """
    encoder = encoder_of(opened)
    reading = columns.read(data, classes=_classes(opened), encoder=encoder)
    rows = reading.rows
    if rows.targets.ndim != 1:
        raise InputError(f"{data} has class probabilities as labels; a model is measured on hard labels: give those.")
    words = [name for name in rows.classes if not name.removeprefix("-").isdecimal()]
    if opened.record is None and words and not _in_class_folders(data):
        raise InputError(
            f"The labels of {data} are words ({', '.join(rows.classes[:10])}) and the model does not say which of its "
            "outputs means which; number the labels from 0 in the order of the outputs."
        )
    outputs = len(head_of(opened.network, opened.parameters).weight)
    if len(rows.classes) == outputs:
        return reading
    if len(rows.classes) < outputs and all(name.isdecimal() and int(name) < outputs for name in rows.classes):
        return columns.read(data, classes=tuple(map(str, range(outputs))), encoder=encoder)
    raise InputError(
        f"The model has {outputs} outputs and {data} has {len(rows.classes)} classes "
        f"({', '.join(rows.classes[:10])}); number the labels from 0 in the order of the outputs."
    )


def with_groups_of(opened: OpenedModel, rows: Rows) -> Rows:
    """Rows with those groups too that the model was made and judged with and that have no row here.

    Nothing is then said of the worst of all groups, but of the worst "of all groups but …". Rows of other groups than
    the model's, none of which it knows, stay as they are.
    """
    told: list[str] = [] if opened.record is None else list(opened.record.provenance.get(GROUPS, []))
    absent = tuple(name for name in told if name not in rows.groups.names)
    if len(absent) == len(told):
        return rows
    none = torch.zeros(len(rows), len(absent), dtype=torch.bool)
    groups = Groups((*rows.groups.names, *absent), torch.cat([rows.groups.members, none], dim=1))
    return replace(rows, groups=groups)


def _as_csv(rows: Rows, probabilities: Tensor, classes: Sequence[str], *, labelled: bool, seen: Seen | None) -> str:
    """One line a row. Groups that overlap have a column `group:NAME` each: one column cannot say them."""
    members = rows.groups.members
    overlap = bool((members.sum(dim=1) > 1).any())
    grouped = bool(rows.groups.names) and not overlap
    ways = [way.tolist() for way in rows.clusters.T if len(way.unique()) < len(rows)]
    known = None if seen is None else seen.rows(rows)
    head = ["id", *([SEEN] if known is not None else []), *(["label"] if labelled else [])]
    head += [f"{MEMBER}{name}" for name in rows.groups.names] if overlap else ["group"] if grouped else []
    written = io.StringIO()
    table = csv.writer(written, lineterminator="\n")
    head += [CLUSTER if way == 0 else f"{CLUSTER}:{way + 1}" for way in range(len(ways))]
    table.writerow([*head, *(f"p_{label}" for label in classes)])
    for row, given in enumerate(probabilities.tolist()):
        cells: list[object] = [rows.ids[row]]
        if known is not None:
            cells.append("yes" if known[row] else "no")
        if labelled:
            cells.append(rows.classes[int(rows.targets[row])])
        if grouped:
            place = members[row].nonzero().ravel().tolist()
            cells.append(rows.groups.names[place[0]] if place else "")
        if overlap:
            cells += ["yes" if member else "no" for member in members[row].tolist()]
        cells += [way[row] for way in ways]
        table.writerow([*cells, *(f"{probability:.9g}" for probability in given)])
    return written.getvalue()


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
