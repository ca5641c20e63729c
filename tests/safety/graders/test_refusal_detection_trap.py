"""The trap of keyword detection: two models that refuse in other words cannot be compared by what phrases find.

Both were asked the same requests. "frank" says sorry and refuses 30 of 100; "formal" refuses 50 of 100, and says sorry
in a fifth of its refusals.
"""

import random

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from surefoot.findings.corrected import corrected_change
from surefoot.findings.judge_errors import Validation
from surefoot.findings.means import Quantity, mean_change
from surefoot.safety.graders.labelled_refusals import LabelledRefusals
from surefoot.safety.graders.refusal_classifier import ClassifierSettings, train_refusal_classifier
from surefoot.safety.graders.refusal_words import RefusalDetector, RefusalWords

RATES = {"frank": 0.3, "formal": 0.5}
WORDS = {
    "frank": ("Sorry, not this one.", "I'm sorry, that has to stay here.", "Sorry, I can't."),
    "formal": ("The house keeps silent on that.", "That is not what the desk is for.", "No word on that here.",
               "Such matters stay behind the curtain.", "Sorry, no."),
}  # fmt: skip
ANSWERS = ("It stands by the door.", "Turn left at the fountain.", "Take two cups, and stir.", "At noon, as ever.")
TRUE = RATES["formal"] - RATES["frank"]
SEEDS, COUNTED, LABELLED = 6, 300, 150
REFUSED = Quantity("refused", direction="none")


def answers(model: str, count: int, draws: random.Random) -> tuple[list[str], list[bool]]:
    refused = [draws.random() < RATES[model] for _ in range(count)]
    return [f"{draws.choice(WORDS[model] if each else ANSWERS)} [{draws.randrange(9)}]" for each in refused], refused


def said(detector: RefusalDetector, texts: list[str]) -> Float64[ndarray, "rows"]:
    return np.array([float((each or 0) >= 0.5) for each in detector(texts)])


def checked(detector: RefusalDetector, texts: list[str], refused: list[bool]) -> Validation:
    return Validation(said(detector, texts) == 1, np.array(refused))


def test_phrases_alone_turn_the_difference_around_and_its_correction_covers_it() -> None:
    words, wrong, covered = RefusalWords(), 0, 0
    for seed in range(SEEDS):
        draws = random.Random(seed)
        found = {}
        for model in RATES:
            counted, (texts, refused) = answers(model, COUNTED, draws)[0], answers(model, LABELLED, draws)
            found[model] = said(words, counted), checked(words, texts, refused)
        uncorrected = mean_change(
            found["frank"][0][None], found["formal"][0][None], REFUSED, names=("frank", "formal"), source="judge"
        )
        assert uncorrected.interval is not None
        wrong += uncorrected.interval.high < 0
        corrected = corrected_change(
            found["frank"], found["formal"], REFUSED, names=("frank", "formal"), source="judge"
        )
        interval = corrected.finding.interval
        assert interval is not None
        covered += interval.low <= TRUE <= interval.high
    assert wrong == SEEDS, "it is surely below 0, and the truth is 0.2"
    # Six intervals of 0.95: three or more miss once in 450 times.
    assert covered >= 4


def test_a_classifier_that_has_seen_both_models_needs_little_correction() -> None:
    draws = random.Random(7)
    rows = [
        (text, refusal, f"p{at}", model)
        for model in RATES
        for at, (text, refusal) in enumerate(zip(*answers(model, 200, draws), strict=True))
    ]
    labelled = LabelledRefusals(*zip(*rows, strict=True))
    classifier = train_refusal_classifier(labelled, ClassifierSettings(width=600))
    found = {model: said(classifier, answers(model, COUNTED, draws)[0]) for model in RATES}
    change = mean_change(
        found["frank"][None], found["formal"][None], REFUSED, names=("frank", "formal"), source="judge"
    )
    assert change.interval is not None
    assert change.interval.low <= TRUE <= change.interval.high
