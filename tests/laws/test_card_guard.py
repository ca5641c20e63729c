"""Law 4: a card refuses judge rows whose source any fit, repair or choice has seen."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from surefoot.card.assemble import assemble_card
from surefoot.card.card import Card, Record, Subject
from surefoot.errors import InputError
from surefoot.findings.predictions import Predictions, predictions_for
from surefoot.rows.rows import Names, Rows, make_rows

ROWS = 40
RECORD = Record("", (0,), {}, {}, "", "", 1, "", {})


def composed(first: Names, second: Names, role: str) -> Rows:
    """Rows composed of two source images each, as a domino is."""
    ids = np.array([f"composed:{role}:{row}" for row in range(len(first))])
    targets = torch.arange(len(first)) % 2
    return make_rows(torch.zeros(len(first), 3), targets, ids=ids, sources=np.stack([first, second], axis=1))


def names(kind: str, numbers: range) -> Names:
    return np.array([f"{kind}:{number}" for number in numbers])


def predicted(rows: Rows) -> Predictions:
    probabilities: Tensor = torch.full((1, len(rows), 2), 0.5)
    probabilities[0, :, 0] = 0.6
    probabilities[0, :, 1] = 0.4
    return predictions_for(rows, probabilities)


def judge_with(seen: dict[str, frozenset[str]]) -> Card:
    judge = composed(names("digit", range(ROWS)), names("shortcut", range(ROWS)), "judge")
    return assemble_card(
        title="",
        question="",
        predictions={"erm": predicted(judge), "erm+dfr": predicted(judge)},
        subjects=(Subject("erm", "ERM"), Subject("erm+dfr", "DFR", "erm")),
        claims=(),
        roles_summary=(),
        proportions=None,
        chosen=None,
        seen=seen,
        images=None,
        record=RECORD,
        not_shown=(),
    )


def test_untouched_rows_are_judged() -> None:
    fit = composed(names("digit", range(100, 140)), names("shortcut", range(100, 140)), "fit")
    assert judge_with({"erm": fit.origins(), "erm+dfr": frozenset({"digit:99"})}).verdict == "undecided"


@pytest.mark.parametrize("name", ["erm", "erm+dfr"])
@pytest.mark.parametrize("source", ["digit:3", "shortcut:3"])
def test_one_shared_source_through_any_parent_is_enough(name: str, source: str) -> None:
    """Whichever subject saw it: the base's fit, the repair or the choice all count, for every number on the card."""
    with pytest.raises(InputError) as caught:
        judge_with({"erm": frozenset({"digit:999"}), "erm+dfr": frozenset({"digit:998"}), name: frozenset({source})})
    assert str(caught.value) == (
        f'1 sources of the judge rows (first: {source}) were already seen by "{name}"; '
        "judge on rows that no fit, repair or choice has touched."
    )


def test_descent_survives_corruption_and_embedding() -> None:
    """A fit on features of a corrupted copy of a judge row has still seen its sources."""
    judge = composed(names("digit", range(ROWS)), names("shortcut", range(ROWS)), "judge")
    corrupted = judge.take(torch.tensor([7])).with_inputs(torch.randn(1, 5))
    renamed = dataclasses.replace(corrupted, ids=np.array(["features:of:noise:7"]))
    with pytest.raises(InputError, match=r"2 sources of the judge rows \(first: digit:7\) were already seen"):
        judge_with({"erm": renamed.origins()})
