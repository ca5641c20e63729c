"""Read predictions made elsewhere: labels, class probabilities and groups from a table; no model is needed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, SupportsIndex, overload

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from surefoot.errors import InputError
from surefoot.findings.answers import Answer, find_answer, no_answer
from surefoot.findings.names import DECISIONS, few_valued, find_target, listed, written_alike
from surefoot.findings.predictions import Predictions
from surefoot.findings.probabilities import values_of
from surefoot.findings.told import told_of_groups
from surefoot.rows.arrays import attribute_groups, class_numbers, cluster_numbers, given_groups
from surefoot.rows.grouping import MEMBER, attribute_texts, columns_behind, member_groups
from surefoot.rows.rows import Groups, Names, no_groups
from surefoot.rows.tables import Table, column, place_of, read_table, texts

__all__ = ["GROUPS", "ReadPredictions", "holds_predictions", "read_told"]

GROUPS = ("group", "groups")
IDS = ("id", "ids")
SEEDS = ("seed", "seeds")
CLUSTERS = ("cluster", "clusters")


@dataclass(frozen=True)
class ReadPredictions:
    """Predictions, the table they are of, and what a reader must know of how it was read.

    target, answer: the column of labels, and those of what the model said. identity: of ids, if any. told: lines.
    empty: combinations of class and attribute that no row has; they are no groups. doubts: sentences for the card, too.
    could_be: columns not used that could name groups.
    """

    predictions: Predictions
    table: Table
    target: str
    answer: Answer
    identity: str | None
    told: tuple[str, ...]
    empty: tuple[str, ...]
    doubts: tuple[str, ...]
    could_be: tuple[str, ...]


def read_told(
    path: Path,
    *,
    target: str | None = None,
    groups: Sequence[str] = (),
    cluster: str | None = None,
    id_column: str | None = None,
    seed: str | None = None,
    probability_prefix: str | None = None,
    probabilities: Sequence[str] = (),
    prediction: str | None = None,
) -> ReadPredictions:
    """Read a text table or a `.parquet` file with one row per prediction, and say what was read as what.

    target: the column of the true labels; else the one with a usual name (`names.TARGETS`).
    probabilities: one column per class in the order of the classes, or one of the last of two classes. Not named, they
    are known by their names: `p_<class>` and the like (`names.PREFIXES`, or the prefix given), in the order of the
    columns; `p0`, `p1` or the classes themselves, where every class has one; one of a class of two. See `answers`.
    Without any of these a column `prediction` (`names.DECISIONS`, or the one named by `prediction`) is read as
    predicted classes, and nothing is said of confidence.
    groups: attributes to cross with the class, and with one another where * stands between them; a column called
    `group` and columns called `group:NAME` (yes or no) are taken as they are, and are used when no other is named.
    Of crossed attributes the groups are the combinations that some row has.
    cluster: rows that share it count as one piece of evidence. `cluster`, `id` and `seed` columns are found by these
    names. With a seed column every id appears once per seed, and the seeds are stacked in increasing order.

    Raises `InputError` for a missing column (with the nearest name), labels outside the classes, probabilities
    that are NaN, outside [0, 1] or do not sum to 1 within 1e-3, ids that repeat, and columns that may mean two things.
    """
    table = read_table(path)
    target = find_target(table, target)
    labels = texts(table, target)
    identity = _found(table, id_column, IDS)
    seeded = _found(table, seed, SEEDS)
    clustered = _found(table, cluster, CLUSTERS)
    ways = () if clustered is None else (clustered, *(each for each in table.columns if _further_way(each, clustered)))
    member = tuple(name for name in table.columns if name.startswith(MEMBER))
    ready = () if groups or not member else member
    grouping = tuple(groups) or ready or tuple(name for name in GROUPS[:1] if name in table.columns)
    behind = [name for each in grouping for name in columns_behind(table, each)]
    ids = [f"row:{row}" for row in range(len(labels))] if identity is None else texts(table, identity)
    places = _Places(table, len(labels), None if identity is None else ids)
    used = {target, *behind, *ways, *(name for name in (identity, seeded) if name is not None)}
    free = [name for name in table.columns if name not in used]
    answer = find_answer(
        table,
        labels,
        free,
        places,
        probabilities=probabilities,
        prefix=probability_prefix,
        prediction=prediction,
    )
    if answer is None:
        raise no_answer(table, labels, free, places)
    values, classes, note = values_of(table, answer, labels, places)
    targets, classes = class_numbers(labels, classes, places)
    if seeded is not None and identity is None:
        raise InputError(f"{path} has the column {seeded!r} but no id; name each row, so that seeds can be matched.")
    order = _stacked(path, ids, None if seeded is None else texts(table, seeded))
    for name in (target, *behind, *ways):
        _refuse_disagreement(table, name, order, places)
    first = order[0]
    names: Names = np.array(ids, dtype=np.str_)[first]
    kept = torch.from_numpy(first)
    every = _groups(table, grouping, targets, classes).take(kept)
    occurring, empty = _occurring(every, member)
    left = [name for name in free if name not in answer.columns]
    other = _other_decisions(table, left, values, classes) if answer.classes else ()
    could_be = () if grouping else few_valued(table, left)
    seeds = "" if seeded is None else f" ({len(order)} seeds of {len(first):,})"
    lines = (
        f"Read {table.name}: {len(labels):,} rows{seeds}{''.join(f', {each}' for each in table.notes)}",
        f"labels: {target} (classes {listed(classes, 8)}); {answer.told}{f' ({note})' if note else ''}",
        *told_of_groups(table, grouping, occurring, empty, could_be, ready=(*GROUPS, *member)),
        *([f"not used: {listed(left)}"] if left else []),
        *other,
    )
    return ReadPredictions(
        predictions=Predictions(
            probabilities=torch.from_numpy(values[order]),
            targets=targets[kept],
            classes=classes,
            groups=occurring,
            clusters=cluster_numbers(
                np.array([texts(table, each) for each in ways], np.str_).T[first] if ways else names
            ),
            ids=names,
            sources=names[:, None],
            decisions=not answer.classes,
        ),
        table=table,
        target=target,
        answer=answer,
        identity=identity,
        told=lines,
        empty=empty,
        doubts=other,
        could_be=tuple(could_be),
    )


def holds_predictions(path: Path, *, target: str | None = None) -> bool:
    """Whether a table says, by the names of its columns, what a model said of its rows."""
    table = read_table(path)
    target = find_target(table, target)
    labels = texts(table, target)
    free = [
        name
        for name in table.columns
        if name not in (target, *IDS, *SEEDS, *CLUSTERS) and not any(_further_way(name, each) for each in CLUSTERS)
    ]
    return find_answer(table, labels, free, _Places(table, len(labels), None)) is not None


@dataclass(frozen=True)
class _Places(Sequence[str]):
    """Where each row stands, in words: its line in the file, and its id where there is one. Made when asked for."""

    table: Table
    rows: int
    ids: Sequence[str] | None

    def __len__(self) -> int:
        return self.rows

    @overload
    def __getitem__(self, row: SupportsIndex) -> str: ...

    @overload
    def __getitem__(self, row: slice) -> list[str]: ...

    def __getitem__(self, row: SupportsIndex | slice) -> str | list[str]:
        if isinstance(row, slice):
            return [self[each] for each in range(self.rows)[row]]
        at = range(self.rows)[row]
        place = place_of(self.table, at)
        return place if self.ids is None else f"{place}, id {self.ids[at]}"


def _found(table: Table, given: str | None, usual: Sequence[str]) -> str | None:
    if given is not None:
        column(table, given)
        return given
    return next((name for name in usual if name in table.columns), None)


def _further_way(name: str, clustered: str) -> bool:
    """Whether a column is one more way in which rows hang together, as `predict` writes them: `cluster:2`."""
    return name.startswith(f"{clustered}:") and name.removeprefix(f"{clustered}:").isdecimal()


def _other_decisions(
    table: Table, left: Sequence[str], values: NDArray[np.float64], classes: Sequence[str]
) -> tuple[str, ...]:
    """Where a column of predicted classes is not the likeliest class, which of the two the card speaks of."""
    said: list[str] = []
    likeliest = np.array(classes, dtype=np.str_)[values.argmax(axis=1)]
    for name in (each for each in left if each.lower() in DECISIONS):
        try:
            decided = np.array(written_alike(classes, texts(table, name), name)[0], dtype=np.str_)
        except InputError:
            continue
        count = int((decided != likeliest).sum())
        if count and set(decided.tolist()) <= {*classes}:
            said.append(
                f"{name} is not the likeliest class in {count:,} of {len(decided):,} rows, as with another threshold: "
                f"this card is of the likeliest class, and --prediction {name} makes one of what was decided."
            )
    return tuple(said)


def _stacked(path: Path, ids: Sequence[str], seeds: Sequence[str] | None) -> NDArray[np.int64]:
    """Where in the file each seed's prediction of each row stands, `[seeds, rows]`; rows as they first appear."""
    if seeds is None and len(set(ids)) == len(ids):
        return np.arange(len(ids), dtype=np.int64)[None]
    given = [""] * len(ids) if seeds is None else list(seeds)
    repeated = [pair for pair, count in Counter(zip(ids, given, strict=True)).items() if count > 1]
    if repeated:
        name, seed = repeated[0]
        where = f"the id {name}" if seeds is None else f"the id {name} with seed {seed}"
        raise InputError(
            f"{len(repeated)} ids repeat in {path} (first: {where}); give one prediction per id, or a column 'seed'."
        )
    place = {pair: row for row, pair in enumerate(zip(ids, given, strict=True))}
    rows = list(dict.fromkeys(ids))
    different = sorted(set(given), key=lambda seed: (len(seed), seed) if seed.isdecimal() else (0, seed))
    for seed in different:
        absent = [name for name in rows if (name, seed) not in place]
        if absent:
            raise InputError(
                f"{len(absent)} ids of {path} have no prediction for seed {seed} (first: {absent[0]}); "
                "every seed must predict the same rows."
            )
    return np.array([[place[name, seed] for name in rows] for seed in different], dtype=np.int64)


def _refuse_disagreement(table: Table, name: str, order: NDArray[np.int64], places: Sequence[str]) -> None:
    if len(order) == 1:
        return
    values: NDArray[Any] = np.array(texts(table, name), dtype=np.str_)[order]
    differ = np.flatnonzero((values != values[0]).any(axis=0))
    if len(differ):
        raise InputError(
            f"{len(differ)} ids have a different {name} for different seeds in {table.name} "
            f"(first: {places[order[0, differ[0]]]}); a row has one."
        )


def _groups(table: Table, names: Sequence[str], targets: Int[Tensor, "rows"], classes: Sequence[str]) -> Groups:
    ready = [given_groups(texts(table, name)) for name in names if name in GROUPS]
    members = [name for name in names if name.startswith(MEMBER)]
    ready += [member_groups(table, members)] if members else []
    crossed = {name: attribute_texts(table, name) for name in names if name not in (*GROUPS, *members)}
    parts = ready + ([attribute_groups(targets, classes, crossed)] if crossed else [])
    if not parts:
        return no_groups(len(targets))
    return Groups(tuple(name for part in parts for name in part.names), torch.cat([part.members for part in parts], 1))


def _occurring(groups: Groups, member: Sequence[str]) -> tuple[Groups, tuple[str, ...]]:
    """The groups without those combinations that no row has; and their names.

    A group with a column of its own was meant to be there, and stays, unmeasured.
    """
    own = {name.removeprefix(MEMBER).strip() for name in member}
    counts = groups.counts().tolist()
    kept = [at for at, name in enumerate(groups.names) if counts[at] or name in own]
    empty = tuple(name for at, name in enumerate(groups.names) if at not in set(kept))
    return (Groups(tuple(groups.names[at] for at in kept), groups.members[:, kept]), empty) if empty else (groups, ())
