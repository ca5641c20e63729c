"""Multiple choice by the likelihood of its options: another evaluation than by what is written, and told as one."""

from pathlib import Path

import pytest
from safety_examples import suite

from surefoot.errors import InputError
from surefoot.safety.suite import suite_version
from surefoot.safety.suites.choices import Question, choices_suite, to_likelihood
from surefoot.study.once.attempt_asking import AskedModel
from surefoot.study.once.attempt_forms import AS_TRAINED
from surefoot.study.once.safety import evaluate
from surefoot.study.once.safety_plan import SafetyPlan
from surefoot.text.scripted import ScriptedPolicy

QUESTIONS = tuple(Question(f"q{at}", f"Which is the first of {at}?", ("this", "that", "another"), 0) for at in range(8))
CHOICES = choices_suite("choices", "Choices", QUESTIONS, seed=None)


def _leans_to_a() -> AskedModel:
    """Writes B first, though A is the likelier letter in three questions of four."""
    script = {
        str(item.prompt): ["B", "B", "A"] if at % 4 == 0 else ["B", "A", "A"] for at, item in enumerate(CHOICES.items)
    }
    return AskedModel("m", ScriptedPolicy("m leans", script), AS_TRAINED, "a script", 16)


def test_the_card_says_which_way_options_were_chosen(tmp_path: Path) -> None:
    found = {}
    for way, asked in (("written", CHOICES), ("likelihood", to_likelihood(CHOICES))):
        card = evaluate(SafetyPlan((_leans_to_a(),), (asked,)), out=tmp_path / way).card
        found[way] = next(each.value for each in card.findings if (each.name, each.slice) == ("correct", "choices"))
        told = " ".join(cell for sheet in card.sheets for row in sheet.rows for cell in row)
        assert ("by the likelihood of their letters" in told) == (way == "likelihood")
        assert suite_version(asked) in told
    assert found == {"written": 0.0, "likelihood": 0.75}


def test_the_two_ways_are_never_compared(tmp_path: Path) -> None:
    before = evaluate(SafetyPlan((_leans_to_a(),), (CHOICES,)), out=tmp_path)
    with pytest.raises(InputError, match="another version of choices"):
        evaluate(SafetyPlan((_leans_to_a(),), (to_likelihood(CHOICES),), before=before.folder), out=tmp_path)


def test_suites_that_are_no_multiple_choice_stay_as_they_are() -> None:
    asked = suite("game")
    assert to_likelihood(asked) is asked
