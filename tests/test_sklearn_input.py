"""What is given to the classifiers: groups in any shape, and wrong input told in one sentence of the rim's words."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler

from sklearn_examples import world
from surefoot.errors import InputError
from surefoot.sklearn import (
    AFRClassifier,
    DFRClassifier,
    GroupDROClassifier,
    worst_group_accuracy,
)


def test_names_of_features_are_kept_and_checked() -> None:
    of = world(200)
    frame = pd.DataFrame(of.X, columns=list("abcdef"))
    fitted = DFRClassifier(C=1.0, retrains=2, balance="classes").fit(frame, of.y)
    assert fitted.feature_names_in_.tolist() == list("abcdef")
    with pytest.raises(ValueError, match="feature names"):
        fitted.predict(frame[list("fedcba")])


def test_rows_of_unknown_group_are_left_out_of_draws() -> None:
    of = world(300)
    place = of.place.astype(object)
    place[::3] = None
    known = np.arange(300) % 3 != 0
    fitted = GroupDROClassifier(penalty=0.1).fit(of.X, of.y, groups=place)
    assert len(fitted.groups_) == 4
    noted = DFRClassifier(C=1.0, retrains=2).fit(of.X, of.y, groups=place)
    assert any("100 of 300" in note and "no group" in note for note in noted.notes_)
    assert np.array_equal(place[known], of.place[known])


def test_groups_may_be_positional_and_a_data_frame() -> None:
    of = world(300)
    said = np.roll(of.y, 1)
    light = np.where(np.arange(300) % 3 == 0, "night", "day")
    frame = pd.DataFrame({"place": of.place, "light": light})
    alone = [worst_group_accuracy(of.y, said, groups=column) for column in (of.place, light)]
    assert worst_group_accuracy(of.y, said, of.place) == alone[0]
    assert worst_group_accuracy(of.y, said, frame[["place"]]) == alone[0]
    assert worst_group_accuracy(of.y, said, of.place[:, None]) == alone[0]
    assert worst_group_accuracy(of.y, said, frame) == min(alone)
    fitted = DFRClassifier(C=1.0, retrains=2, random_state=0).fit(of.X, of.y, groups=frame)
    assert fitted.groups_[:4] == ("land, place=field", "land, place=lake", "land, light=day", "land, light=night")
    flag = pd.DataFrame({"lake": of.place == "lake"})  # one column is that column, not one group
    assert worst_group_accuracy(of.y, said, flag) == alone[0]


def test_what_a_reader_must_know_is_said_in_the_words_of_the_rim() -> None:
    of = world(300)
    place = of.place.astype(object)
    place[0], place[1:40] = "rare", None
    notes = DFRClassifier(C=1.0, retrains=2).fit(of.X, of.y, groups=place).notes_
    assert any("has 1 row and" in note and "without a group (None) are left out" in note for note in notes)
    assert any("39 of 300 rows are in no group" in note for note in notes)


BAD: list[tuple[str, Any, dict[str, Any], str]] = [
    ("too few groups", DFRClassifier(C=1.0), {"groups": ["a"] * 3}, "100 rows but 3 groups"),
    ("a matrix of numbers", DFRClassifier(C=1.0), {"groups": np.zeros((100, 2))}, "boolean matrix"),
    ("all groups missing", DFRClassifier(C=1.0), {"groups": [None] * 100}, "Every group value is missing"),
    ("a balance that is none", DFRClassifier().set_params(balance="group"), {}, '"groups" or "classes"'),
    ("what to balance over", GroupDROClassifier().set_params(over="group"), {}, '"groups" or "classes"'),
    ("groups by name", DFRClassifier(C=1.0), {"groups": "place"}, r"itself, one value per row: groups=df\["),
    (
        "a measurement for groups",
        DFRClassifier(C=1.0),
        {"X": np.zeros((1001, 1)), "y": ["a", *["b"] * 1000], "groups": np.arange(1001) / 7},
        "1,001 different values; give an attribute with a few",
    ),
    ("a negative C", DFRClassifier(C=-1.0, balance="classes"), {}, "^C is -1.0; give a positive number"),
    ("C in words", DFRClassifier(C="1", balance="classes"), {}, "^C is '1'; give a positive number"),
    ("one of Cs", DFRClassifier(Cs=(1.0, 0.0), balance="classes"), {}, "^One of Cs is 0.0"),
    ("Cs alone", DFRClassifier(Cs=0.1, balance="classes"), {}, r"as Cs=\(0.1,\), or that one alone as C=0.1"),
    ("no Cs", DFRClassifier(Cs=(), balance="classes"), {}, "at least one"),
    ("half a retrain", DFRClassifier(C=1.0, retrains=2.5, balance="classes"), {}, "whole number of at least 1"),
    (
        "no such loss",
        DFRClassifier(C=1.0, multiclass="ovr", balance="classes"),
        {},
        '"one_versus_rest" or "multinomial"',
    ),
    ("no such intercept", DFRClassifier(C=1.0, intercept=False, balance="classes"), {}, '"penalised" or "free"'),
    ("a negative penalty", GroupDROClassifier(penalty=-1.0, over="classes"), {}, "^penalty is -1.0"),
    ("penalties alone", GroupDROClassifier(penalties=0.1, over="classes"), {}, "alone as penalty=0.1"),
    (
        "a negative adjustment",
        GroupDROClassifier(adjustment=-1.0, over="classes"),
        {},
        "^adjustment is -1.0; give 0 or",
    ),
    ("gammas alone", AFRClassifier(gammas=4.0, selection="classes"), {}, r"as gammas=\(4.0,\)"),
    ("a share in words", AFRClassifier(repair_share="a", selection="classes"), {}, "repair_share is 'a'"),
    ("no shares", AFRClassifier(repair_share=0.7, choose_share=0.3, selection="classes"), {}, "leave rows"),
    (
        "a class of one",
        AFRClassifier(selection="accuracy"),
        {"y": ["rare", *["a"] * 99]},
        "class rare has too few rows",
    ),
    (
        "a group of one, halved",
        DFRClassifier(),
        {"groups": ["rare", *["a"] * 99]},
        "rare' has 1 row; choosing C needs at least 2: give C=…, or merge the group",
    ),
    (
        "a class of one, halved",
        DFRClassifier(balance="classes"),
        {"y": ["rare", *["a"] * 99]},
        "class 'rare' has 1 row",
    ),
    (
        "a group of one, for group DRO",
        GroupDROClassifier(),
        {"groups": ["rare", *["a"] * 99]},
        "choosing penalty needs at least 2",
    ),
    (
        "a class without groups",
        DFRClassifier(C=1.0),
        {"y": ["a"] * 50 + ["b"] * 50, "groups": ["in"] * 50 + [None] * 50},
        "none of the 50 rows that it can draw from is of class 'b'; add rows of it",
    ),
    ("one class", DFRClassifier(), {"y": ["only"] * 100}, "at least 2 classes"),
    ("a base that is not linear", AFRClassifier(StandardScaler(), selection="classes"), {}, "no coef_"),
]


@pytest.mark.parametrize(("estimator", "changed", "said"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_wrong_input_is_told_in_a_sentence(estimator: Any, changed: dict[str, Any], said: str) -> None:
    of = world(100)
    with pytest.raises(InputError, match=said) as raised:
        clone(estimator).fit(**{"X": of.X, "y": of.y, **changed})
    assert str(raised.value).endswith(".")
