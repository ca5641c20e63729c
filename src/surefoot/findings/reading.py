"""Read predictions made elsewhere: labels, class probabilities and groups from a table; no model is needed."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from surefoot.errors import InputError
from surefoot.findings.predictions import Predictions
from surefoot.rows.arrays import attribute_groups, class_numbers, cluster_numbers, given_groups
from surefoot.rows.grouping import MEMBER, attribute_texts, columns_behind, member_groups
from surefoot.rows.rows import Groups, Names, no_groups
from surefoot.rows.tables import Table, column, numbers, read_table, texts

__all__ = ["read_predictions"]

PREFIXES = ("p_", "prob_", "probability_")
SINGLE = ("probability", "prob", "p")
DECISIONS = ("prediction", "predicted", "pred", "y_pred")
GROUPS = ("group", "groups")
IDS = ("id", "ids")
SEEDS = ("seed", "seeds")
CLUSTERS = ("cluster", "clusters")


def read_predictions(
    path: Path,
    *,
    target: str = "label",
    groups: Sequence[str] = (),
    cluster: str | None = None,
    id_column: str | None = None,
    seed: str | None = None,
    probability_prefix: str | None = None,
    prediction: str | None = None,
) -> Predictions:
    """Read a `.csv` or `.parquet` file with one row per prediction.

    target: the column of the true labels. Probabilities are one column per class, `p_<class>` (or `prob_`,
    `probability_`, or the prefix given), in the order of the classes; or one column `probability`, `prob` or `p`
    of class 1 when the labels are 0 and 1. Without any of these a column `prediction`, `predicted`, `pred` or `y_pred`
    (or the one named by `prediction`) is read as predicted classes, and nothing is said of confidence.
    groups: attributes to cross with the class, and with one another where * stands between them; a column called
    `group` and columns called `group:NAME` (yes or no) are taken as they are, and are used when no other is named.
    cluster: rows that share it count as one piece of evidence. `cluster`, `id` and `seed` columns are found by these
    names. With a seed column every id appears once per seed, and the seeds are stacked in increasing order.

    Raises `InputError` for a missing column (with the nearest name), labels outside the classes, probabilities
    that are NaN, outside [0, 1] or do not sum to 1 within 1e-3, and ids that repeat.
    """
    table = read_table(path)
    labels = texts(table, target)
    identity = _found(table, id_column, IDS)
    seeded = _found(table, seed, SEEDS)
    clustered = _found(table, cluster, CLUSTERS)
    member = tuple(name for name in table.columns if name.startswith(MEMBER))
    ready = () if groups or not member else member
    grouping = tuple(groups) or ready or tuple(name for name in GROUPS[:1] if name in table.columns)
    behind = [name for each in grouping for name in columns_behind(table, each)]
    ids = [f"row:{row}" for row in range(len(labels))] if identity is None else texts(table, identity)
    used = {target, *behind, *(name for name in (identity, seeded, clustered) if name is not None)}
    decided = _column_of_decisions(table, prediction, probability_prefix, used)
    if decided is None:
        probabilities, classes = _probabilities(table, labels, probability_prefix, used, ids)
    else:
        probabilities, classes = _certain(table, decided, labels, ids)
    targets, classes = class_numbers(labels, classes, ids)
    if seeded is not None and identity is None:
        raise InputError(f"{path} has the column {seeded!r} but no id; name each row, so that seeds can be matched.")
    order = _stacked(path, ids, None if seeded is None else texts(table, seeded))
    for name in (target, *behind, *([clustered] if clustered else [])):
        _refuse_disagreement(table, name, order, ids)
    first = order[0]
    names: Names = np.array(ids, dtype=np.str_)[first]
    kept = torch.from_numpy(first)
    return Predictions(
        probabilities=torch.from_numpy(probabilities[order]),
        targets=targets[kept],
        classes=classes,
        groups=_groups(table, grouping, targets, classes).take(kept),
        clusters=cluster_numbers(names if clustered is None else np.array(texts(table, clustered), np.str_)[first]),
        ids=names,
        sources=names[:, None],
        decisions=decided is not None,
    )


def _found(table: Table, given: str | None, usual: Sequence[str]) -> str | None:
    if given is not None:
        column(table, given)
        return given
    return next((name for name in usual if name in table.columns), None)


def _column_of_decisions(table: Table, given: str | None, prefix: str | None, used: set[str]) -> str | None:
    """The column of predicted classes: the one given, or one of the usual names where nothing tells probabilities."""
    if given is not None:
        column(table, given)
        return given
    free = [name for name in table.columns if name not in used]
    prefixes = PREFIXES if prefix is None else (prefix,)
    if any(name.startswith(prefixes) or name in SINGLE for name in free):
        return None
    return next((name for name in free if name.lower() in DECISIONS), None)


def _certain(
    table: Table, decided: str, labels: Sequence[str], ids: Sequence[str]
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Zeros and ones `[rows, classes]` of predicted classes; the classes are those of labels and predictions."""
    said = texts(table, decided)
    missing = [name for name, value in zip(ids, said, strict=True) if not value]
    if missing:
        raise InputError(
            f"{len(missing)} rows have no class in the column {decided!r} (first: {missing[0]}); give every row one."
        )
    numbered, classes = class_numbers([*labels, *said], None, [*ids, *ids])
    values = np.eye(len(classes))[numbered[len(labels) :].numpy()]
    return values, classes


def _probabilities(
    table: Table, labels: Sequence[str], prefix: str | None, used: set[str], ids: Sequence[str]
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Checked probabilities `[rows, classes]` and the classes they are of."""
    free = [name for name in table.columns if name not in used]
    named = [
        (beginning, [name for name in free if name.startswith(beginning) and name != beginning])
        for beginning in (PREFIXES if prefix is None else (prefix,))
    ]
    beginning, columns = next(((start, found) for start, found in named if found), ("", []))
    single = next((name for name in SINGLE if name in free), None) if prefix is None else None
    if columns:
        classes = tuple(name.removeprefix(beginning) for name in columns)
        if len(classes) == 1:
            raise InputError(
                f"{table.name} has probabilities of one class alone ({columns[0]}); give one column per class."
            )
        values = np.stack([numbers(table, name).astype(np.float64) for name in columns], axis=1)
    elif single is not None:
        classes = ("0", "1")
        if not set(labels) <= {*classes, ""}:
            other = sorted(set(labels) - {*classes, ""})[0]
            raise InputError(
                f"The column {single!r} of {table.name} is read as the probability of class 1, but there are labels "
                f"such as {other}; give one column per class, called {PREFIXES[0]}<class>."
            )
        positive = numbers(table, single).astype(np.float64)
        values = np.stack([1 - positive, positive], axis=1)
    else:
        expected = PREFIXES[0] if prefix is None else prefix
        raise InputError(
            f"{table.name} has no columns of probabilities; expected one per class called {expected}<class>, or "
            f"{SINGLE[0]!r} for class 1 of 0 and 1, or predicted classes in {DECISIONS[0]!r} (its columns are: "
            f"{', '.join(list(table.columns)[:20])})."
        )
    _refuse_improbable(values, ids)
    return values, classes


def _refuse_improbable(values: NDArray[np.float64], ids: Sequence[str]) -> None:
    missing = np.flatnonzero(np.isnan(values).any(axis=1))
    if len(missing):
        raise InputError(
            f"{len(missing)} rows have probabilities that are NaN or missing (first: {ids[missing[0]]}); "
            "give every row one per class."
        )
    outside = np.flatnonzero(((values < 0) | (values > 1)).any(axis=1))
    if len(outside):
        row = values[outside[0]]
        raise InputError(
            f"{len(outside)} rows have probabilities outside [0, 1] (first: {ids[outside[0]]} with "
            f"{row[(row < 0) | (row > 1)][0]:g}); give probabilities, not scores or logits."
        )
    sums = values.sum(axis=1)
    wrong = np.flatnonzero(np.abs(sums - 1) > 1e-3)
    if len(wrong):
        raise InputError(
            f"{len(wrong)} rows have probabilities that do not sum to 1 (first: {ids[wrong[0]]} with "
            f"{sums[wrong[0]]:g}); give one probability per class, all of them."
        )


def _stacked(path: Path, ids: Sequence[str], seeds: Sequence[str] | None) -> NDArray[np.int64]:
    """Where in the file each seed's prediction of each row stands, `[seeds, rows]`; rows as they first appear."""
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


def _refuse_disagreement(table: Table, name: str, order: NDArray[np.int64], ids: Sequence[str]) -> None:
    values: NDArray[Any] = np.array(texts(table, name), dtype=np.str_)[order]
    differ = np.flatnonzero((values != values[0]).any(axis=0))
    if len(differ):
        raise InputError(
            f"{len(differ)} ids have a different {name} for different seeds in {table.name} "
            f"(first: {ids[order[0, differ[0]]]}); a row has one."
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
