"""A card from classifiers and arrays: the numbers of scikit-learn's own metrics, and nothing judged twice."""

from dataclasses import replace
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
from surefoot.card.serialise import card_digest, card_from_json, card_to_json
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


def test_paths_and_claims_may_be_strings(tmp_path: Path) -> None:
    model = fitted()["repaired"]
    one = card_of(model, JUDGE.X, JUDGE.y, groups=JUDGE.place, claims="worst_group_accuracy >= 0.6", out=str(tmp_path))
    assert [judged.claim.at_least for judged in one.claims] == [0.6]
    (folder,) = tmp_path.glob("card-*")
    assert Card.read(str(folder)) == one


def test_a_claim_may_name_another_model() -> None:
    claims = ["worst_group_accuracy of plain >= 0.6", "worst_group_accuracy >= 0.6"]
    card = card_of(fitted(), JUDGE.X, JUDGE.y, groups=JUDGE.place, claims=claims)
    assert [judged.claim.subject for judged in card.claims] == ["plain", "repaired"]


def test_a_card_at_the_prompt_is_short() -> None:
    card = card_of(fitted(), JUDGE.X, JUDGE.y, groups=JUDGE.place, title="Birds <i>")
    said = repr(card)
    assert len(said) < 600
    assert said.startswith("Card “Birds <i>”: undecided\nNo claim was made")
    for model in ("plain", "repaired"):
        worst, mean = (value(card, model, name) for name in ("worst_group_accuracy", "accuracy"))
        (line,) = [line for line in said.splitlines() if line.startswith(model)]
        assert f"{100 * worst:.1f}%" in line
        assert f"{100 * mean:.1f}%" in line
    html = card._repr_html_()
    assert "Birds &lt;i&gt;" in html
    assert html.count("<tr>") == 3
    alone = card_of(fitted()["repaired"], JUDGE.X, JUDGE.y)
    assert "DFRClassifier" in repr(alone)


def test_many_models_at_the_prompt_are_counted() -> None:
    right = np.stack([JUDGE.y == "land", JUDGE.y == "water"], axis=1).astype(float)
    card = card_of({f"model {number}": right for number in range(12)}, JUDGE.X, JUDGE.y)
    assert repr(card).endswith("and 2 more models")
    assert "model 9" in repr(card)
    assert "model 10" not in repr(card)


def test_a_card_is_saved_and_read_back(tmp_path: Path) -> None:
    card = card_of(fitted(), JUDGE.X, JUDGE.y, groups=JUDGE.place)
    written = card.save(str(tmp_path / "deep" / "card"))
    assert written == tmp_path / "deep" / "card" / "card.html"
    assert written.read_text(encoding="utf-8") == page(card)
    again = Card.read(written.parent)
    assert again == card
    assert card_digest(again) == card_digest(card)
    assert Card.read(str(written.with_name("card.json"))) == card


def test_one_finding_by_its_name() -> None:
    card = card_of(fitted(), JUDGE.X, JUDGE.y, groups=JUDGE.place)
    for model in ("plain", "repaired"):
        assert card.finding("worst_group_accuracy", of=model).value == value(card, model, "worst_group_accuracy")
    gain = card.finding("accuracy", of="repaired", against="plain")
    assert gain.value == value(card, "repaired − plain", "accuracy")
    assert card.finding("accuracy", of="plain", on="land, lake").slice == "land, lake"
    alone = card_of(fitted()["plain"], JUDGE.X, JUDGE.y)
    assert alone.finding("accuracy").subject == "model"
    chosen = replace(card, chosen="repaired")
    assert chosen.finding("nll").subject == "repaired"
    for asked, said in [
        ({"name": "accuracy"}, 'say of which one: "plain", "repaired"'),
        ({"name": "accuracy", "of": "repared"}, 'no model "repared"; did you mean "repaired"'),
        ({"name": "acuracy", "of": "plain"}, 'no finding "acuracy"; did you mean "accuracy"'),
        ({"name": "accuracy", "of": "plain", "on": "lake"}, 'no slice "lake"'),
        ({"name": "accuracy", "of": "plain", "against": "repaired"}, 'no model "plain − repaired"'),
    ]:
        with pytest.raises(InputError, match=said):
            card.finding(**asked)


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("an unknown label", {"y": ["land"] * 799 + ["sea"]}, "'sea'"),
    ("too few labels", {"y": ["land"]}, "800 rows in X but 1 labels"),
    ("no model", {"models": {}}, "no model"),
    ("probabilities of another width", {"models": np.full((800, 3), 1 / 3)}, r"give \[rows, 2\]"),
    ("no probabilities", {"models": LinearSVC().fit(LEARN.X, LEARN.y)}, "no predict_proba"),
    ("models in a list", {"models": [fitted()["plain"]] * 2}, "several by name"),
    ("a claim that is a number", {"claims": [0.6]}, "A claim is 0.6; write it as text"),
    ("groups by name", {"groups": "place"}, r"groups is 'place'; give the column itself"),
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


def test_rows_seen_in_double_precision_or_with_another_zero_are_known() -> None:
    X = LEARN.X[:60].astype(np.float64) + 1e-12
    X[:, 0] = 0.0
    y = LEARN.y[:60]
    model = LogisticRegression().fit(X, y)
    signed = X.copy()
    signed[:, 0] = -0.0
    for judged in (X.astype(np.float32), signed):
        with pytest.raises(InputError, match="60 of 60 rows"):
            card_of(model, judged, y, seen=X)
