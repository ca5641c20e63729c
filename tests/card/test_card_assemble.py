"""From predictions to a card; the guard itself is a law, in tests/laws/test_card_guard.py."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from card_examples import record

from surefoot.card.assemble import assemble_card
from surefoot.card.card import Card, RoleSummary, Subject, base_of, families
from surefoot.card.claims import Claim
from surefoot.card.page import page
from surefoot.card.serialise import card_digest, card_from_json, card_to_json
from surefoot.errors import InputError
from surefoot.findings.predictions import Predictions
from surefoot.rows.rows import Groups

ROWS, SEEDS = 400, 5


def made(right: tuple[float, float], seed: int) -> Predictions:
    """A model that is right at the given rates in groups a and b, 200 rows each, over five seeds."""
    generator = torch.Generator().manual_seed(seed)
    group = torch.arange(ROWS) % 2
    targets = torch.arange(ROWS) // 2 % 2
    correct = torch.rand(SEEDS, ROWS, generator=generator) < torch.tensor(right)[group]
    sure = 0.6 + 0.39 * torch.rand(SEEDS, ROWS, generator=generator)
    said = torch.where(correct, targets, 1 - targets)
    probabilities = torch.zeros(SEEDS, ROWS, 2).scatter(2, said[:, :, None], sure[:, :, None])
    probabilities += (1 - sure)[:, :, None] * (probabilities == 0)
    ids = np.array([f"judge:{row}" for row in range(ROWS)])
    members = torch.stack([group == 0, group == 1], dim=1)
    return Predictions(
        probabilities,
        targets,
        ("no", "yes"),
        Groups(("a", "b"), members),
        torch.arange(ROWS)[:, None],
        ids,
        ids[:, None],
    )


BASE, REPAIRED = made((0.98, 0.6), 0), made((0.95, 0.93), 1)
SUBJECTS = (Subject("erm", "ERM"), Subject("erm+dfr", "ERM → DFR", "erm"))


def card(**changes: Any) -> Card:
    given: dict[str, Any] = {
        "title": "t",
        "question": "q",
        "predictions": {"erm": BASE, "erm+dfr": REPAIRED},
        "subjects": SUBJECTS,
        "claims": (Claim("worst_group_accuracy", "chosen", at_least=0.8),),
        "roles_summary": (RoleSummary("judge", ROWS, ROWS, {"a": 200, "b": 200}),),
        "proportions": {"a": 0.95, "b": 0.05},
        "chosen": "erm+dfr",
        "seen": {"erm": frozenset({"fit:0"}), "erm+dfr": frozenset({"repair:0"})},
        "images": torch.zeros(ROWS, 1, 4, 4),
        "record": record(SEEDS),
        "not_shown": ("other groups",),
    }
    return assemble_card(**{**given, **changes})


def test_a_card_holds_what_was_measured() -> None:
    made_card = card()
    right = REPAIRED.correct().mean(dim=0)
    found = {(each.subject, each.name, each.slice): each for each in made_card.findings}
    assert found["erm+dfr", "accuracy", "all"].value == pytest.approx(float(right.mean()))
    assert found["erm+dfr", "accuracy", "b"].value == pytest.approx(float(right[1::2].mean()))
    worst = found["erm+dfr", "worst_group_accuracy", "all"].value
    assert worst == pytest.approx(min(float(right[::2].mean()), float(right[1::2].mean())))
    weighted = 0.95 * float(right[::2].mean()) + 0.05 * float(right[1::2].mean())
    assert found["erm+dfr", "weighted_accuracy", "all"].value == pytest.approx(weighted)
    change = {(each.name, each.slice): each for each in made_card.differences}
    before = BASE.correct().mean(dim=0)
    gained = float(right[1::2].mean() - before[1::2].mean())
    assert change["accuracy", "b"].value == pytest.approx(gained)
    assert {each.subject for each in made_card.differences} == {"erm+dfr − erm"}
    assert made_card.verdict == "passed"
    assert made_card.claims[0].claim.subject == "chosen"
    assert made_card.claims[0].finding == found["erm+dfr", "worst_group_accuracy", "all"]
    assert list(made_card.reliability) == list(made_card.confusion) == list(made_card.gallery) == ["erm", "erm+dfr"]
    assert sum(sum(row) for row in made_card.confusion["erm"]) == ROWS * SEEDS
    assert len(made_card.gallery["erm"]) == 12
    assert all(mistake.image for mistake in made_card.gallery["erm"])


def test_the_card_survives_json_and_drawing() -> None:
    made_card = card()
    again = card_from_json(card_to_json(made_card))
    assert again == made_card
    assert page(again) == page(made_card)
    assert card_digest(card()) == card_digest(made_card)


def test_a_claim_at_another_confidence_gets_an_interval_of_its_own() -> None:
    claims = (
        Claim("worst_group_accuracy", "chosen", at_least=0.8),
        Claim("worst_group_accuracy", "chosen", at_least=0.8, confidence=0.99),
    )
    usual, stricter = (each.finding for each in card(claims=claims).claims)
    assert usual is not None
    assert stricter is not None
    assert usual.value == stricter.value
    assert usual.interval is not None
    assert stricter.interval is not None
    assert stricter.interval.confidence == 0.99
    assert stricter.interval.low < usual.interval.low
    assert {each.interval.confidence for each in card(claims=claims).findings if each.interval} == {0.95}


def test_too_few_judge_rows_leave_a_claim_undecided_with_the_number() -> None:
    few = {name: thin(of, 40) for name, of in {"erm": BASE, "erm+dfr": REPAIRED}.items()}
    small = card(predictions=few, images=None, claims=(Claim("worst_group_accuracy", "chosen", at_least=0.8),))
    assert small.verdict == "undecided"
    needed = small.claims[0].needed
    assert needed is not None
    assert needed > 20
    assert (
        f"About {needed:,} independent rows of “b” with {math.ceil(5 * needed / 20)} training seeds" in small.sentence
    )


def test_without_a_choice_every_base_is_drawn_and_judged_by_name() -> None:
    look = card(chosen=None, claims=(), predictions={"erm": BASE}, subjects=SUBJECTS[:1], proportions=None, images=None)
    assert look.verdict == "undecided"
    assert list(look.gallery) == ["erm"]
    assert not look.differences
    assert not [each for each in look.findings if each.name == "weighted_accuracy"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"subjects": ()}, "The card has no subject; give the predictions of at least one model."),
        (
            {"predictions": {"erm": BASE}},
            'There are no predictions for the subject "erm+dfr"; give one entry per subject.',
        ),
        (
            {"subjects": SUBJECTS[:1]},
            'There are predictions for "erm+dfr", which is no subject; name it among the subjects.',
        ),
        (
            {"chosen": "erm+dfrr"},
            'chosen names "erm+dfrr", which is not a subject of this card; did you mean "erm+dfr"?',
        ),
        (
            {"subjects": (SUBJECTS[0], replace(SUBJECTS[1], before="xyz"))},
            'before names "xyz", which is not a subject of this card; the subjects are erm, erm+dfr.',
        ),
        (
            {"subjects": (replace(SUBJECTS[0], before="erm+dfr"), SUBJECTS[1])},
            'The subject "erm+dfr" repairs itself through "erm"; give one of them no before.',
        ),
        (
            {"subjects": (SUBJECTS[0], SUBJECTS[0])},
            "Subject names repeat in ['erm', 'erm']; give each subject its own name.",
        ),
        (
            {"predictions": {"erm": BASE, "erm+dfr": replace(REPAIRED, ids=REPAIRED.ids[::-1].copy())}},
            'The predictions of "erm" and "erm+dfr" are not about the same judge rows; give both the same rows, '
            "targets, classes and groups in the same order.",
        ),
    ],
)
def test_what_does_not_belong_together_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        card(**changes)
    assert str(caught.value) == message


def test_repairs_of_repairs_belong_to_their_first_base() -> None:
    subjects = (Subject("b", "b"), Subject("c", "c"), Subject("b+1", "", "b"), Subject("b+1+2", "", "b+1"))
    assert base_of(subjects, "b+1+2") == "b"
    assert [[each.name for each in family] for family in families(subjects)] == [["b", "b+1", "b+1+2"], ["c"]]


def thin(of: Predictions, rows: int) -> Predictions:
    return Predictions(
        of.probabilities[:, :rows],
        of.targets[:rows],
        of.classes,
        of.groups.take(torch.arange(rows)),
        of.clusters[:rows],
        of.ids[:rows],
        of.sources[:rows],
    )
