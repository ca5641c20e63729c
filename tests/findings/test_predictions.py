"""Predictions refuse what are no probabilities; confusion counts what they say."""

import re

import numpy as np
import pytest
import torch
from finding_examples import drawn, predictions
from sklearn.metrics import confusion_matrix

from surefoot.errors import InputError
from surefoot.findings.confusion import confusion
from surefoot.findings.predictions import Predictions, predictions_for
from surefoot.rows.rows import make_rows, no_groups


def test_confusion_agrees_with_sklearn_seed_by_seed() -> None:
    of = drawn()
    said = of.probabilities.argmax(dim=2).numpy()
    expected = sum(confusion_matrix(of.targets.numpy(), one, labels=range(3)) for one in said)
    np.testing.assert_array_equal(confusion(of), expected)


def test_of_equal_probabilities_the_first_class_is_said() -> None:
    of = predictions(torch.full((1, 2, 2), 0.5), torch.tensor([0, 1]))
    assert confusion(of) == ((1, 0), (1, 0))
    assert of.correct().tolist() == [[1.0, 0.0]]


def test_predictions_of_rows_keep_everything_rows_say_of_themselves() -> None:
    rows = make_rows(torch.zeros(3, 2), torch.tensor([0, 1, 1]))
    of = predictions_for(rows, torch.full((2, 3, 2), 0.5))
    assert (of.classes, of.ids.tolist(), of.clusters.tolist()) == (("0", "1"), rows.ids.tolist(), [[0], [1], [2]])


@pytest.mark.parametrize(
    ("chances", "targets", "message"),
    [
        (
            [[[0.5, 0.5], [float("nan"), 0.5]]],
            [0, 1],
            "1 rows have probabilities that are NaN or infinite (first: row:1); mend the model's outputs.",
        ),
        (
            [[[0.5, 0.5], [2.0, -1.0]], [[0.9, 0.3], [0.5, 0.5]]],
            [0, 1],
            "2 rows have probabilities that are negative or do not sum to one (first: row:0); give probabilities, not "
            "logits or scores.",
        ),
        (
            [[[0.5, 0.5], [0.5, 0.5]]],
            [0, 2],
            "1 rows have a target outside the 2 classes (first: row:1 with 2); number the classes from 0.",
        ),
        (
            [[[0.5, 0.2, 0.3], [0.5, 0.2, 0.3]]],
            [0, 1],
            "The probabilities have shape [seeds 1, rows 2, classes 3] for the 2 classes ('no', 'yes'); give at least "
            "one seed and one column per class.",
        ),
    ],
)
def test_refuses_what_are_no_probabilities(chances: list[list[list[float]]], targets: list[int], message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        predictions(torch.tensor(chances), torch.tensor(targets))


def test_refuses_one_row_too_few() -> None:
    ids = np.array(["x", "y"])
    message = "There are probabilities for 2 rows but 3 groups; give one per row."
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        Predictions(
            probabilities=torch.full((1, 2, 2), 0.5),
            targets=torch.tensor([0, 1]),
            classes=("no", "yes"),
            groups=no_groups(3),
            clusters=torch.arange(2)[:, None],
            ids=ids,
            sources=ids[:, None],
        )


def test_refuses_soft_targets() -> None:
    rows = make_rows(torch.zeros(2, 2), torch.full((2, 2), 0.5))
    message = "The rows have soft targets of shape (2, 2); predictions are measured against one class number per row."
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        predictions_for(rows, torch.full((1, 2, 2), 0.5))


def test_probabilities_rounded_to_two_decimals_pass() -> None:
    predictions(torch.tensor([[[0.33, 0.66], [0.505, 0.505]]]), torch.tensor([0, 1]))
