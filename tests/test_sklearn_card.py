"""A card from classifiers and arrays: the numbers of scikit-learn's own metrics, and nothing judged twice."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from sklearn_examples import World, world
from surefoot.card.card import Card
from surefoot.card.ledger import Ledger
from surefoot.card.page import page
from surefoot.card.serialise import card_from_json, card_to_json
from surefoot.errors import InputError
from surefoot.files import read_json
from surefoot.sklearn import DFRClassifier, card_of, worst_group_accuracy

LEARN, JUDGE = world(600), world(800, 0.5, seed=1)


def fitted() -> dict[str, Any]:
    plain = make_pipeline(StandardScaler(), LogisticRegression()).fit(LEARN.X, LEARN.y)
    repaired = DFRClassifier(C=1.0, retrains=3, random_state=0).fit(LEARN.X, LEARN.y, groups=LEARN.place)
    return {"plain": plain, "repaired": repaired}


def value(card: Card, subject: str, name: str, slice_: str = "all") -> float:
    found = [
        each.value
        for each in (*card.findings, *card.differences)
        if (each.subject, each.name, each.slice) == (subject, name, slice_)
    ]
    assert len(found) == 1, (subject, name, slice_)
    return found[0]


def test_the_numbers_are_those_of_the_metrics() -> None:
    models = fitted()
    card = card_of(models, JUDGE.X, JUDGE.y, groups=JUDGE.place, claims=["worst_group_accuracy >= 0.6"], seen=LEARN.X)
    for name, model in models.items():
        said = model.predict(JUDGE.X)
        assert value(card, name, "accuracy") == pytest.approx(accuracy_score(JUDGE.y, said))
        assert value(card, name, "nll") == pytest.approx(log_loss(JUDGE.y, model.predict_proba(JUDGE.X)))
        assert value(card, name, "worst_group_accuracy") == pytest.approx(
            worst_group_accuracy(JUDGE.y, said, groups=JUDGE.place)
        )
    gained = value(card, "repaired", "accuracy") - value(card, "plain", "accuracy")
    assert value(card, "repaired − plain", "accuracy") == pytest.approx(gained)
    assert card.claims[0].claim.subject == "repaired"
    assert card.verdict == "passed"
    assert card.groups == ("land, field", "land, lake", "water, field", "water, lake")
    assert card_from_json(card_to_json(card)) == card
    assert "worst" in page(card).lower()


def test_one_model_or_its_probabilities_give_the_same_findings() -> None:
    model = fitted()["repaired"]
    one = card_of(model, JUDGE.X, JUDGE.y, groups=JUDGE.place)
    other = card_of(model.predict_proba(JUDGE.X), JUDGE.X, JUDGE.y, groups=JUDGE.place)
    assert one.findings == other.findings
    assert one.subjects[0].label == "DFRClassifier"
    assert one.subjects[0].chosen == ({"C": 1.0},)


def test_clusters_widen_intervals() -> None:
    model = fitted()["repaired"]
    twice = World(np.repeat(JUDGE.X, 2, axis=0), np.repeat(JUDGE.y, 2), np.repeat(JUDGE.place, 2))
    single = card_of(model, JUDGE.X, JUDGE.y)
    doubled = card_of(model, twice.X, twice.y, clusters=np.repeat(np.arange(len(JUDGE.y)), 2))
    assert single.findings[0].interval is not None
    assert doubled.findings[0].interval is not None
    assert doubled.findings[0].interval.low == pytest.approx(single.findings[0].interval.low, abs=1e-3)
    assert doubled.findings[0].clusters == len(JUDGE.y)


def test_rows_that_were_learned_from_are_refused() -> None:
    model = fitted()["repaired"]
    mixed = np.concatenate([JUDGE.X, LEARN.X[5:6]]).astype(np.float64)
    with pytest.raises(InputError, match=r"1 of 801 rows \(first: row 800\)"):
        card_of(model, mixed, [*JUDGE.y, LEARN.y[5]], seen=LEARN.X)
    told = card_of(model, JUDGE.X, JUDGE.y).not_shown
    assert any("unknown" in line for line in told)


def test_a_card_on_disk_is_noted_in_the_ledger(tmp_path: Path) -> None:
    models = fitted()
    card = card_of(models, JUDGE.X, JUDGE.y, out=tmp_path)
    folder = next(tmp_path.glob("card-*"))
    assert card_from_json(read_json(folder / "card.json")).findings == card.findings
    assert Ledger(tmp_path / "ledger.sqlite").judge_uses(card.record.judge_digest) == 1
    again = card_of(models["plain"], JUDGE.X, JUDGE.y, out=tmp_path)
    assert again.record.judge_uses == 2


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("an unknown label", {"y": ["land"] * 799 + ["sea"]}, "'sea'"),
    ("too few labels", {"y": ["land"]}, "800 rows in X but 1 labels"),
    ("no model", {"models": {}}, "no model"),
    ("probabilities of another width", {"models": np.full((800, 3), 1 / 3)}, r"give \[rows, 2\]"),
    ("no probabilities", {"models": LinearSVC().fit(LEARN.X, LEARN.y)}, "no predict_proba"),
    ("a claim on nothing", {"claims": ["speed >= 1"]}, "speed"),
    ("groups of another length", {"groups": ["a"]}, "800 rows but 1 groups"),
    (
        "other classes",
        {"models": {"one": fitted()["plain"], "two": LogisticRegression().fit([[0.0], [1.0]], [0, 1])}},
        "the same classes",
    ),
]


@pytest.mark.parametrize(("changed", "said"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_wrong_input_is_told_in_a_sentence(changed: dict[str, Any], said: str) -> None:
    given: dict[str, Any] = {"models": fitted()["plain"], "X": JUDGE.X, "y": JUDGE.y, **changed}
    with pytest.raises(InputError, match=said):
        card_of(given.pop("models"), given.pop("X"), given.pop("y"), **given)
