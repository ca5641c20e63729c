"""The numbers in the columns that say what a model said, checked; refusals name the line and the cell as written."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from surefoot.errors import InputError
from surefoot.findings.answers import FAR, Answer, classes_of
from surefoot.findings.names import AskAgain, between_zero_and_one, written_alike
from surefoot.rows.arrays import class_numbers
from surefoot.rows.tables import Table, numbers, texts

__all__ = ["values_of"]


def values_of(
    table: Table, answer: Answer, labels: Sequence[str], places: Sequence[str]
) -> tuple[NDArray[np.float64], tuple[str, ...], str]:
    """Probabilities `[rows, classes]`, the classes, and how predicted classes were read; of these, zeros and ones.

    places: where each row stands. Raises `InputError` for cells that are missing, that are no numbers, are outside
    [0, 1] or do not sum to 1, for numbers where predicted classes are expected, and for classes that are not those of
    the labels.
    """
    if not answer.classes:
        return _certain(table, answer.columns[0], labels, places)
    read = np.stack([numbers(table, name).astype(np.float64) for name in answer.columns], axis=1)
    _refuse_improbable(table, answer, read, places)
    if answer.of is None:
        return read, answer.classes, ""
    first = answer.classes[0] == answer.of
    return np.concatenate([read, 1 - read] if first else [1 - read, read], axis=1), answer.classes, ""


def _certain(
    table: Table, decided: str, labels: Sequence[str], places: Sequence[str]
) -> tuple[NDArray[np.float64], tuple[str, ...], str]:
    """Zeros and ones of predicted classes; the classes are those of labels and predictions."""
    said = texts(table, decided)
    missing = [place for place, value in zip(places, said, strict=True) if not value]
    if missing:
        raise InputError(
            f"{len(missing)} rows have no class in the column {decided!r} (first: {missing[0]}); give every row one."
        )
    among = set(labels)
    within = None if set(said) <= among else between_zero_and_one(table, decided)
    if within is not None and (parts := np.flatnonzero(within != np.round(within))).size:
        classes = classes_of(labels, places)
        told = (
            f"The column {decided!r} of {table.name} holds numbers between 0 and 1 (such as {said[parts[0]]} in "
            f"{places[parts[0]]}), not classes"
        )
        if len(classes) == 2:
            raise AskAgain(
                f"{told}; if they are the probability of {classes[1]}, name them as that.",
                "--probabilities",
                decided,
                drop="--prediction",
            )
        raise InputError(f"{told}; name a column of predicted classes, or the probabilities with --probabilities.")
    said, note = written_alike(among - {""}, said, decided)
    both, twice = [*labels, *said], [*places, *places]
    numbered, classes = class_numbers(both, classes_of(both, twice), twice)
    return np.eye(len(classes))[numbered[len(labels) :].numpy()], classes, note


def _refuse_improbable(table: Table, answer: Answer, values: NDArray[np.float64], places: Sequence[str]) -> None:
    missing = np.flatnonzero(np.isnan(values).any(axis=1))
    if len(missing):
        raise InputError(
            f"{len(missing)} rows have probabilities that are NaN or missing (first: {places[missing[0]]}); "
            "give every row one per class."
        )
    outside = np.argwhere((values < 0) | (values > 1))
    sums = values.sum(axis=1)
    if len(outside):
        row, at = (int(place) for place in outside[0])
        one = answer.of is not None
        percent = bool((values >= 0).all() and (values <= 100).all()) and (one or bool(np.allclose(sums, 100, atol=1)))
        told = "it looks like percent: divide by 100" if percent else "give probabilities, not scores or logits"
        raise InputError(
            f"{len(np.unique(outside[:, 0]))} rows have probabilities outside [0, 1] (first: {places[row]} with "
            f"{texts(table, answer.columns[at])[row]}); {told}."
        )
    wrong = np.flatnonzero(np.abs(sums - 1) > FAR) if answer.of is None else []
    if len(wrong):
        raise InputError(
            f"{len(wrong)} rows have probabilities that do not sum to 1 (first: {places[wrong[0]]} with "
            f"{sums[wrong[0]]:g}); give one probability per class, all of them."
        )
