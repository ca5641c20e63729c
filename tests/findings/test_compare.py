"""Paired differences: values, antisymmetry, the gain from pairing, and what is refused."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from finding_examples import drawn, find, right_and_wrong

from surefoot.errors import InputError
from surefoot.findings.compare import compare
from surefoot.findings.finding import Finding
from surefoot.findings.measure import measure
from surefoot.findings.predictions import Predictions
from surefoot.rows.rows import Groups


def compared(before: Predictions, after: Predictions) -> tuple[Finding, ...]:
    weights = {name: 1 / len(before.groups.names) for name in before.groups.names} or None
    return compare(before, after, before_name="erm", after_name="dfr", source="judge", proportions=weights)


def similar(seed: int) -> tuple[Predictions, Predictions]:
    """Two models that disagree on a few rows."""
    one, other = drawn(seed=seed), drawn(seed=seed + 100, sharpness=3.0)
    mixed = torch.where((torch.arange(400) % 8 == 0)[None, :, None], other.probabilities, one.probabilities)
    return one, replace(one, probabilities=mixed)


def test_values_are_the_differences_of_what_each_model_measures() -> None:
    before, after = similar(0)
    weights = dict.fromkeys(before.groups.names, 1 / 6)
    one = measure(before, subject="erm", source="judge", proportions=weights)
    two = measure(after, subject="dfr", source="judge", proportions=weights)
    differences = compared(before, after)
    assert [(each.name, each.slice) for each in differences] == [
        (each.name, each.slice) for each in one if not each.name.endswith("_seed_sd")
    ]
    for each in differences:
        first, second = find(one, each.name, each.slice), find(two, each.name, each.slice)
        assert each.value == pytest.approx(second.value - first.value, abs=1e-12)
        assert each.per_seed == pytest.approx(np.subtract(second.per_seed, first.per_seed), abs=1e-12)
        assert (each.direction, each.unit, each.subject) == (second.direction, second.unit, "dfr − erm")


def test_swapping_the_models_turns_every_interval_round() -> None:
    before, after = similar(1)
    for there, back in zip(compared(before, after), compared(after, before), strict=True):
        assert there.interval is not None
        assert back.interval is not None
        assert there.value == pytest.approx(-back.value)
        assert (there.interval.low, there.interval.high) == pytest.approx((-back.interval.high, -back.interval.low))


def test_pairing_narrows_the_interval() -> None:
    before, after = (replace(each, probabilities=each.probabilities[:1]) for each in similar(2))
    alone = find(measure(after, subject="dfr", source="judge"), "accuracy").interval
    paired = find(compared(before, after), "accuracy").interval
    assert alone is not None
    assert paired is not None
    assert paired.high - paired.low < 0.6 * (alone.high - alone.low)


def test_a_model_against_itself_is_zero_but_not_for_certain() -> None:
    of = drawn()
    differences = compared(of, of)
    for each in differences:
        assert each.value == 0
        if each.name in {"nll", "brier"}:
            assert each.interval is None
        else:
            assert each.interval is not None
            assert each.interval.low < 0 < each.interval.high
            if "calibration" not in each.name:
                # Nothing changed in 40 clusters. The worst of six groups asks its pairs for 99.3 %.
                assert each.interval.high < (0.24 if each.name == "worst_group_accuracy" else 0.13)


def test_the_worst_group_may_change_from_one_to_another() -> None:
    """Group a goes from .5 to .9 and b from .9 to .7: the worst goes from .5 to .7, though no group gained .2."""
    index = torch.arange(2_000)
    first, place = index < 1_000, index % 1_000
    before = torch.where(first, place < 500, place < 900)
    after = torch.where(first, place < 900, place < 700)
    groups = {"a": first, "b": ~first}
    differences = compared(right_and_wrong(before[None], groups), right_and_wrong(after[None], groups))
    worst = find(differences, "worst_group_accuracy")
    assert worst.value == pytest.approx(0.2)
    assert worst.interval is not None
    assert 0.13 < worst.interval.low < 0.2 < worst.interval.high < 0.27
    assert find(differences, "accuracy", "a").value == pytest.approx(0.4)


def test_zero_probabilities_are_told_of_both_models() -> None:
    chance = torch.tensor([[[1.0, 0.0], [0.5, 0.5], [0.2, 0.8]]])
    before = right_and_wrong(torch.tensor([[True, True, False]]))
    before = replace(before, probabilities=torch.tensor([[[0.3, 0.7], [1.0, 0.0], [0.1, 0.9]]]))
    found = find(compared(before, replace(before, probabilities=chance)), "nll")
    assert found.interval is not None
    assert found.interval.method.endswith(
        "; before: 1 probabilities of zero counted as 1.4e-45; after: 1 probabilities of zero counted as 1.4e-45"
    )


def test_refuses_predictions_that_are_not_pairs() -> None:
    of = drawn()
    odd = of.ids.copy()
    odd[3] = "row:x"
    fewer = replace(of, probabilities=of.probabilities[:2])
    cases = {
        '"erm" and "dfr" speak of 400 and 200 rows; a paired comparison needs the same rows.': drawn(rows=200),
        '"erm" and "dfr" speak of different rows (row 3 is row:3 and row:x); a paired comparison needs the same rows '
        "in the same order.": replace(of, ids=odd),
        "\"erm\" and \"dfr\" have the classes ('a', 'b', 'c') and ('x', 'y', 'z'); compare models of one "
        "task.": replace(of, classes=("x", "y", "z")),
        '"erm" and "dfr" have different targets for the same rows; a paired comparison needs one truth.': replace(
            of, targets=(of.targets + 1) % 3
        ),
        '"erm" and "dfr" have different groups for the same rows; a paired comparison needs one truth.': replace(
            of, groups=Groups(of.groups.names, ~of.groups.members)
        ),
        '"erm" and "dfr" have different clusters for the same rows; a paired comparison needs one truth.': replace(
            of, clusters=of.clusters[:, :1]
        ),
        '"erm" and "dfr" have 3 and 2 training seeds; a paired comparison needs the same seeds.': fewer,
    }
    for message, other in cases.items():
        with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
            compared(of, other)
