"""A card from fitted classifiers, or from their probabilities, and arrays of rows to judge on."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from surefoot.card.assemble import assemble_card
from surefoot.card.card import Card, Record, RoleSummary, Subject
from surefoot.errors import InputError
from surefoot.files import digest_bytes, digest_json, digest_tensor
from surefoot.findings.predictions import Predictions
from surefoot.rows.copies import about_repeats, with_copies
from surefoot.rows.rows import Inputs, make_rows, no_groups, numbered
from surefoot.rows.texts import Texts
from surefoot.sklearn.arrays import class_names, groups_from
from surefoot.study.once.claim_text import parse_claim
from surefoot.study.once.keep import Asked, keep
from surefoot.study.once.marks import marks_of_rows

__all__ = ["card_of"]


def card_of(
    models: Any,
    X: Any,
    y: Any,
    *,
    groups: Any = None,
    claims: Any = (),
    seen: Any = None,
    clusters: Any = None,
    cross_class: bool = True,
    confidence: float = 0.95,
    title: str = "Classifiers on held-out rows",
    out: str | Path | None = None,
) -> Card:
    """Measure fitted classifiers on rows that nothing has learned from, per group, with intervals.

    models: one, or several by name. Each is a fitted classifier or pipeline with `predict_proba` and `classes_`, or a
      matrix of probabilities [rows, classes in sorted order]. Of several the first is the base and each other one a
      repair of it: the card compares them row by row.
    X: whatever the classifiers read. groups: one value a row, a data frame of columns, or a boolean matrix.
    claims: one line of text, or several: "worst_group_accuracy >= 0.8", "accuracy[water, lake] >= 75%" of one group,
      "worst_group_accuracy of plain >= 0.6" of the model named plain (else of the last), "… at 99%" for another
      confidence.
    seen: the X that was learned from, if at hand: a row of X that is among them is refused.
    clusters: one value a row where rows are not independent (a patient's), so that intervals count them once.
    out: a folder of runs; the card is written below it and the look noted in its ledger, as the commands do.
      Without, `card.save("folder")` writes the card alone.

    At a prompt the card shows its verdict and a line a model; `card.finding(…)` is any number with its interval.
    Raises `InputError` for labels that a model does not know, rows that were seen, and claims that cannot be judged.

    >>> from surefoot.sklearn import DFRClassifier
    >>> X, y, place = [[0.1], [0.9], [0.2], [0.8]] * 10, [0, 1, 0, 1] * 10, list("abba") * 10
    >>> fitted = DFRClassifier(C=1.0, random_state=0).fit(X, y, groups=place)
    >>> fresh = [[0.15], [0.85]] * 40
    >>> card_of(fitted, fresh, [0, 1] * 40, groups=["a", "b"] * 40, claims="worst_group_accuracy >= 0.8")
    Card “Classifiers on held-out rows”: passed
    Worst-group accuracy of “DFRClassifier” is 100.0% [91.2, 100.0]: the whole interval is at least 80.0%, as claimed.
    <BLANKLINE>
    Model          Worst group           which is    Mean
    DFRClassifier  100.0% [91.2, 100.0]  0, a; 1, b  100.0% [95.4, 100.0]
    """
    named: Mapping[str, Any] = models if isinstance(models, Mapping) else {"model": models}
    if not named:
        raise InputError("There is no model to make a card of; give at least one.")
    labels = np.asarray(y)
    if labels.ndim != 1 or not len(labels):
        raise InputError(f"y has shape {labels.shape}; give one label per row.")
    prints = _fingerprints(X)
    if len(prints) != len(labels):
        raise InputError(f"There are {len(prints)} rows in X but {len(labels)} labels; give one per row.")
    _refuse_seen(X, seen)
    classes = _classes(named, labels)
    targets = _numbers(labels, classes)
    names = class_names(classes)
    division = no_groups(len(labels)) if groups is None else groups_from(groups, targets, names, cross_class)
    ids = np.array([f"row:{row}" for row in range(len(labels))], dtype=np.str_)
    together = ids if clusters is None else np.asarray(clusters).astype(np.str_)
    rows = with_copies(make_rows(_inputs(X), targets, classes=names, ids=ids, clusters=numbered(together[:, None])))
    predictions = {
        name: Predictions(
            probabilities=_probabilities(name, model, X, classes)[None],
            targets=targets,
            classes=names,
            groups=division,
            clusters=rows.clusters,
            ids=ids,
            sources=ids[:, None],
        )
        for name, model in named.items()
    }
    first, last = next(iter(named)), list(named)[-1]
    subjects = [Subject(name, _label(name, model), None if name == first else first, _notes(model), _chosen(model))
                for name, model in named.items()]  # fmt: skip
    lines = _lines(claims)
    made = [parse_claim(line, last, confidence) for line in lines]
    settings = {
        "predictions": {name: digest_tensor(of.probabilities) for name, of in predictions.items()},
        "labels": digest_tensor(targets),
        "groups": [list(division.names), digest_tensor(division.members)],
        "claims": list(lines),
        "confidence": confidence,
    }
    asked = Asked("card", title, f"{len(labels):,} rows", settings, (), digest_json(sorted(prints)), "card_of")
    asked = replace(asked, marks=marks_of_rows(rows))
    counts = dict(zip(division.names, division.counts().tolist(), strict=True))

    def make(record: Record) -> Card:
        return assemble_card(
            title=title,
            question="How good are these classifiers, and where do they fail?",
            predictions=predictions,
            subjects=subjects,
            claims=made,
            roles_summary=[RoleSummary("judge", len(labels), len(np.unique(together)), counts)],
            proportions=None,
            chosen=None,
            seen={},
            images=None,
            record=record,
            not_shown=(*_not_shown(seen is not None, out is not None), *about_repeats(rows)),
            confidence=confidence,
        )

    return make(_record(asked)) if out is None else keep(asked, Path(out), {}, make).card


def _lines(claims: Any) -> tuple[str, ...]:
    """One claim, or several."""
    lines = (claims,) if isinstance(claims, str) else tuple(claims) if isinstance(claims, Iterable) else (claims,)
    for line in lines:
        if not isinstance(line, str):
            raise InputError(f'A claim is {line!r}; write it as text, such as "worst_group_accuracy >= 0.8".')
    return lines


def _record(asked: Asked) -> Record:
    return Record(
        command=asked.command,
        seeds=asked.seeds,
        versions={
            "surefoot": version("surefoot"),
            "torch": version("torch"),
            "scikit-learn": version("scikit-learn"),
            "python": python_version(),
        },
        settings=asked.settings,
        data=asked.data,
        judge_digest=asked.judge_digest,
        judge_uses=1,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        times={},
    )


def _not_shown(checked: bool, noted: bool) -> tuple[str, ...]:
    apart = (
        "Rows were compared with those learned from by their content alone: a changed copy of one would not be noticed."
        if checked
        else "Which rows the classifiers learned from is unknown here: nothing could check that these were kept apart."
    )
    ledger = () if noted else ("This look was noted in no ledger: how often these rows were looked at is unknown.",)
    return (
        apart,
        "A group that was not given was not looked at.",
        "One fit: how much another seed would differ is not measured.",
        *ledger,
    )


def _classes(named: Mapping[str, Any], labels: NDArray[Any]) -> NDArray[Any]:
    """The classes that all models agree on; those of the labels where there are probabilities alone."""
    found = {name: np.asarray(model.classes_) for name, model in named.items() if hasattr(model, "classes_")}
    if not found:
        return np.unique(labels)
    first = next(iter(found))
    for name, classes in found.items():
        if not np.array_equal(classes, found[first]):
            raise InputError(
                f'"{first}" knows the classes {found[first].tolist()} and "{name}" {classes.tolist()}; compare '
                "classifiers of the same classes."
            )
    return found[first]


def _numbers(labels: NDArray[Any], classes: NDArray[Any]) -> torch.Tensor:
    place = {label: number for number, label in enumerate(classes.tolist())}
    outside = [label for label in labels.tolist() if label not in place]
    if outside:
        raise InputError(
            f"{len(outside)} rows have a label that the classifier does not know (first: {outside[0]!r}); it knows "
            f"{classes.tolist()}: leave these rows out or mend the labels."
        )
    return torch.tensor([place[label] for label in labels.tolist()], dtype=torch.int64)


def _probabilities(name: str, model: Any, X: Any, classes: NDArray[Any]) -> torch.Tensor:
    if hasattr(model, "predict_proba"):
        return torch.from_numpy(np.array(model.predict_proba(X)))
    if hasattr(model, "predict"):
        raise InputError(
            f'"{name}" ({type(model).__name__}) has no predict_proba; give a classifier with probabilities, or wrap it '
            "in CalibratedClassifierCV."
        )
    try:
        given = np.array(model, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(
            f'"{name}" is a {type(model).__name__}; give a fitted classifier or a matrix of probabilities, and several '
            'by name: {"plain": …, "repaired": …}.'
        ) from None
    if given.ndim != 2 or given.shape[1] != len(classes):
        raise InputError(
            f'The probabilities of "{name}" have shape {given.shape}; give [rows, {len(classes)}], one column per '
            f"class in the order {classes.tolist()}."
        )
    return torch.from_numpy(given)


def _label(name: str, model: Any) -> str:
    return name if name != "model" or not hasattr(model, "predict_proba") else type(_last(model)).__name__


def _notes(model: Any) -> tuple[str, ...]:
    return tuple(getattr(_last(model), "notes_", ()))


def _chosen(model: Any) -> tuple[Mapping[str, float], ...]:
    chosen = getattr(_last(model), "chosen_", None)
    return () if chosen is None else (chosen,)


def _last(model: Any) -> Any:
    """Through a search and a pipeline, to the classifier itself."""
    model = getattr(model, "best_estimator_", model)
    return model.steps[-1][1] if hasattr(model, "steps") else model


def _refuse_seen(X: Any, seen: Any) -> None:
    """Compared as float32: one row may be float64 where a model learned and float32 where it is judged."""
    if seen is None:
        return
    prints = _fingerprints(X, narrow=True)
    known = set(_fingerprints(seen, narrow=True))
    crossing = [row for row, content in enumerate(prints) if content in known]
    if crossing:
        raise InputError(
            f"{len(crossing)} of {len(prints)} rows (first: row {crossing[0]}) are, byte for byte, among those learned "
            "from; judge on other rows."
        )


def _inputs(X: Any) -> Inputs:
    """X as rows that can be compared: numbers, texts, or the codes of a table of words."""
    table = np.asarray(X)
    if table.dtype.kind in "biuf":
        return torch.from_numpy(np.ascontiguousarray(table, dtype=np.float64)) + 0.0
    if table.ndim == 1:
        return Texts((tuple(str(value) for value in table.tolist()),))
    columns = table.reshape(len(table), -1).astype(np.str_).T
    return torch.from_numpy(np.stack([np.unique(each, return_inverse=True)[1].reshape(-1) for each in columns], axis=1))


def _fingerprints(X: Any, *, narrow: bool = False) -> list[str]:
    """One digest of content per row: numbers as float64 (narrow: float32), −0 as 0; anything else as written."""
    table = np.asarray(X)
    if table.ndim == 0:
        raise InputError(f"X is {X!r}; give one row per label.")
    if table.dtype.kind in "biuf":
        numbers = np.ascontiguousarray(table, dtype=np.float32 if narrow else np.float64).reshape(len(table), -1) + 0
        return [digest_bytes(row.tobytes()) for row in numbers]
    return [digest_json([str(value) for value in np.ravel(row)]) for row in table]
