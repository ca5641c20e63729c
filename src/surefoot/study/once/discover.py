"""Discover candidate groups: from predictions and their metadata, or from features and a head trained on them.

    found = discover_in_predictions(Path("predictions.csv"))
    found = discover_in_features(Path("rows.csv"), clusters=True)
    write_found(found, Path("with_groups.csv"))  # from `found.py`

From a file of features only choose rows are looked at: fit rows trained the head, and judge rows stay untouched, so
that a later `surefoot repair` of what was written may judge on them.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from surefoot.errors import InputError
from surefoot.findings.answers import NoAnswer
from surefoot.findings.names import ANSWERS, PREFIXES, AskAgain, listed
from surefoot.findings.predictions import predictions_for
from surefoot.findings.reading import SEEDS, holds_predictions, read_told
from surefoot.networks.network import head_of
from surefoot.networks.weights import open_model
from surefoot.robust.balanced import erm_head
from surefoot.robust.head import LinearHead
from surefoot.robust.slices.clusters import cluster_groups, discover_clusters
from surefoot.robust.slices.conditions import Metadata
from surefoot.robust.slices.discover import Candidate, DiscoverSettings, Discovery, discover_slices, discovered_groups
from surefoot.rows.features import read_features
from surefoot.rows.grouping import GROUPS, MEMBER
from surefoot.rows.reading import CLUSTERS, FILES, IDS, SOURCES, SPLITS, TARGETS
from surefoot.rows.roles import ROLES
from surefoot.rows.rows import Groups
from surefoot.rows.tables import Column, Table, column, is_numeric, read_table, texts
from surefoot.study.numerics import one_thread
from surefoot.study.once.columns import USUAL, Columns
from surefoot.study.once.found import Found
from surefoot.study.once.parted import give_roles
from surefoot.study.once.predict import SEEN

__all__ = ["discover_in_features", "discover_in_predictions", "of_features", "without_redundant"]

MOST_COLUMNS = 60
"""With more columns than this, those of numbers are taken for features and only those of text for metadata."""
FEATURE_FILES = (".npz", ".safetensors")
STACKED = ("probabilities", "probs", "predictions", "logits", "scores")
"""What an array of a model's answers may be called."""


def of_features(path: Path, *, target: str | None, asked: bool, head: str | None, named: bool) -> bool:
    """Whether a file is to be taken for features: where that was asked for, it is arrays, or a head is to be judged.

    asked: to train a head. named: columns of predictions were named. Any other table must say what the model said;
    nothing is trained unasked, for then another model would be judged than the one its owner means.
    Raises `InputError` for arrays that seem to hold predictions.
    """
    if path.suffix.lower() in FEATURE_FILES:
        answers = [name for name in read_features(path).columns if name.lower() in (*ANSWERS, *STACKED)]
        if answers and not asked and head is None:
            raise AskAgain(
                f"{path} holds {listed(answers)}, and predictions are read from tables alone; write them as a table "
                "with one column per class, or have a head trained on the features.",
                "--train",
            )
        return True
    return asked or (head is not None and not named and not holds_predictions(path, target=target))


@one_thread()
def discover_in_predictions(
    path: Path,
    *,
    names: Sequence[str] = (),
    target: str | None = None,
    cluster: str | None = None,
    id_column: str | None = None,
    seed_column: str | None = None,
    probabilities: Sequence[str] = (),
    prediction: str | None = None,
    settings: DiscoverSettings | None = None,
    seed: int = 0,
) -> Found:
    """Slices of the other columns of a table of predictions (those in `names`, where given).

    Columns that tell the answer (`ANSWERS`) are not searched unless named, and the origins say so.
    What is written are the rows of the confirm half alone: in the search half the slices look worse than they are.
    """
    settings = settings or DiscoverSettings()
    try:
        read = read_told(
            path,
            target=target,
            cluster=cluster,
            id_column=id_column,
            seed=seed_column,
            probabilities=probabilities,
            prediction=prediction,
        )
    except NoAnswer as error:
        raise AskAgain(f"{error} To have a head trained on a table of features: --train.", *error.add) from None
    predictions, table, identity = read.predictions, read.table, read.identity
    place = _first_places(None if identity is None else texts(table, identity), predictions.ids)
    said = read.answer.columns
    answers = [] if names else [name for name in table.columns if name not in said and name.lower() in ANSWERS]
    other = {identity, seed_column, cluster, *IDS, *SEEDS, *CLUSTERS, SEEN, *said, *answers}
    metadata = _metadata(table, place, names, lambda name: name in other or name.startswith((*PREFIXES, MEMBER)))
    found = without_redundant(discover_slices(predictions, metadata, settings, seed))
    origin = f"{len(predictions.ids):,} predictions of {path.name}: {_halves(found)}"
    return Found(
        slices=found,
        clusters=None,
        told=read.told[:2],
        target=read.target,
        origins=(origin, *([f"Not searched, for they tell the answer: {', '.join(answers)}."] if answers else [])),
        table=table,
        rows=place[found.confirm],
        groups=discovered_groups(found.confirmed, _at(metadata, found.confirm)) if found.confirmed else None,
        extra={},
    )


@one_thread()
def discover_in_features(
    path: Path,
    *,
    columns: Columns = USUAL,
    head: str | None = None,
    names: Sequence[str] = (),
    slices: bool = True,
    clusters: bool = False,
    settings: DiscoverSettings | None = None,
    seed: int = 0,
) -> Found:
    """Slices of metadata, clusters of features, or both (each then at half of the level), among the choose rows.

    The head is a saved model's last layer, or one trained here on the fit rows. What is written are all rows, their
    roles as the split.
    """
    settings = settings or DiscoverSettings()
    table = read_features(path) if path.suffix.lower() in FEATURE_FILES else read_table(path)
    reading = columns.read(path)
    parted = give_roles(reading, seed)
    choose = parted.roles["choose"]
    base, origin = _head(head) if head is not None else (erm_head(parted.roles["fit"]), "a plain head, trained here")
    predictions = predictions_for(choose, base.probabilities(choose.inputs[:].float())[None].double())
    if slices and clusters:
        settings = replace(settings, level=settings.level / 2)
    where = {name: row for row, name in enumerate(reading.rows.ids.tolist())}
    place = np.array([where[name] for name in choose.ids.tolist()], dtype=np.int64)
    everything = np.arange(len(reading.rows))
    other = {*SPLITS, *IDS, *SOURCES, *CLUSTERS, *FILES, *GROUPS, columns.split, columns.id, columns.source}
    whole = _metadata(table, everything, names, lambda name: name in other or name.startswith(MEMBER)) if slices else {}
    sliced = cut = None
    groups: list[Groups] = []
    if slices:
        sliced = without_redundant(discover_slices(predictions, _at(whole, place), settings, seed))
        groups += [discovered_groups(sliced.confirmed, whole)] if sliced.confirmed else []
    if clusters:
        cut = discover_clusters(predictions, choose.inputs[:].float(), settings, seed)
        inputs = reading.rows.inputs[:].float()
        groups += [cluster_groups(cut, inputs, reading.rows.targets)] if cut.discovery.confirmed else []
    role_of = {name: role for role in ROLES if role in parted.roles for name in parted.roles[role].ids.tolist()}
    split = columns.split or next((name for name in SPLITS if name in table.columns), SPLITS[0])
    looked = sliced if sliced is not None else cut.discovery if cut is not None else None
    told = f"{len(choose):,} choose rows of {path.name}" + ("" if looked is None else f": {_halves(looked)}")
    return Found(
        slices=sliced,
        clusters=cut,
        origins=(parted.origin, f"Errors: of {origin}, on the {told}"),
        told=(),
        target=None,
        table=table,
        rows=everything,
        groups=_joined(groups) if groups else None,
        extra={split: [role_of[name] for name in reading.rows.ids.tolist()]},
    )


def _metadata(
    table: Table, rows: NDArray[np.int64], names: Sequence[str], skip: Callable[[str], bool]
) -> dict[str, Column]:
    """The columns that may describe slices, at `rows` of the table."""
    if names:
        chosen = list(names)
    else:
        flat = [name for name, values in table.columns.items() if isinstance(values, list) or values.ndim == 1]
        chosen = [name for name in flat if not skip(name)]
        if len(chosen) > MOST_COLUMNS:
            chosen = [name for name in chosen if name in TARGETS or _is_text(table, name)]
    found = {name: column(table, name) for name in chosen}
    for name, values in found.items():
        if not isinstance(values, list) and values.ndim > 1:
            raise InputError(f"{name} in {table.name} has {values.ndim} axes; slices are made of single columns.")
    if not found:
        raise InputError(
            f"{table.name} has no columns beside ids, probabilities and features to make slices of; add some (age, "
            "place, camera, …), or look for clusters of features with --clusters."
        )
    return _at(found, rows)


def _is_text(table: Table, name: str) -> bool:
    return isinstance(table.columns[name], list) and not is_numeric(table, name)


def _at(columns: Metadata, rows: NDArray[np.int64]) -> dict[str, Column]:
    """The columns at these rows."""
    return {
        name: [values[row] for row in rows.tolist()] if isinstance(values, list) else values[rows]
        for name, values in columns.items()
    }


def _first_places(ids: Sequence[str] | None, wanted: NDArray[Any]) -> NDArray[np.int64]:
    """Where in the table each prediction's row stands first (it stands once per seed)."""
    if ids is None:
        return np.arange(len(wanted))
    place: dict[str, int] = {}
    for row, name in enumerate(ids):
        place.setdefault(name, row)
    return np.array([place[name] for name in wanted.tolist()], dtype=np.int64)


def without_redundant(found: Discovery) -> Discovery:
    """Without the slices that are part of another confirmed one and no worse than it; a note names them."""
    kept: list[Candidate] = []
    notes: list[str] = []
    for each in found.candidates:
        wider = [other for other in found.confirmed if set(other.conditions) < set(each.conditions)]
        better = next((other for other in wider if each.confirmed and each.accuracy >= other.accuracy), None)
        if better is None:
            kept.append(each)
        else:
            notes.append(f"Not listed: “{each.name}”, part of “{better.name}” and no worse than it.")
    return replace(found, candidates=tuple(kept), notes=(*found.notes, *notes))


def _head(model: str) -> tuple[LinearHead, str]:
    opened = open_model(model)
    own = head_of(opened.network, opened.parameters)
    return LinearHead(own.weight, own.bias), f"the last layer of {model}"


def _halves(found: Discovery) -> str:
    return f"{len(found.search):,} to search, {len(found.confirm):,} others to confirm."


def _joined(groups: Sequence[Groups]) -> Groups:
    """Slices and clusters side by side, with one group of the rows in none of them."""
    names = [name for part in groups for name in part.names[:-1]]
    members = torch.cat([part.members[:, :-1] for part in groups], dim=1)
    return Groups((*names, groups[0].names[-1]), torch.cat([members, ~members.any(dim=1, keepdim=True)], dim=1))
