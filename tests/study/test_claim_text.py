"""Claims typed at a prompt."""

import pytest

from surefoot.card.claims import Claim
from surefoot.errors import InputError
from surefoot.study.once.claim_text import parse_claim


@pytest.mark.parametrize(
    ("text", "claim"),
    [
        ("worst_group_accuracy >= 0.8", Claim("worst_group_accuracy", "model", at_least=0.8)),
        ("accuracy[land, water]>=75%", Claim("accuracy", "model", slice="land, water", at_least=0.75)),
        ("accuracy[ 2–5, top 1 ] ≥ .75", Claim("accuracy", "model", slice="2–5, top 1", at_least=0.75)),
        ("calibration_error of base+dfr <= 0.05", Claim("calibration_error", "base+dfr", at_most=0.05)),
        ("nll ≤ 1.5", Claim("nll", "model", at_most=1.5)),
        ("accuracy >= 90 % at 99 %", Claim("accuracy", "model", at_least=0.9, confidence=0.99)),
        ("accuracy[a] of b >= 1e-1 at 0.9", Claim("accuracy", "b", slice="a", at_least=0.1, confidence=0.9)),
    ],
)
def test_a_claim_means_what_it_says(text: str, claim: Claim) -> None:
    assert parse_claim(text, "model") == claim


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "accuracy 0.8",
            'The claim "accuracy 0.8" cannot be understood; write it like "worst_group_accuracy >= 0.8" or '
            '"accuracy[group name] >= 75%".',
        ),
        (
            "accuracy >= high",
            'The claim "accuracy >= high" has "high" where a number belongs; write it like '
            '"worst_group_accuracy >= 0.8" or "accuracy[group name] >= 75%".',
        ),
        ("accuracy == 1", 'The claim "accuracy == 1" uses "=="; a claim is a bound: use >= or <=.'),
        ("accuracy >= 80", 'The claim "accuracy >= 80" bounds a proportion by 80; write 0.8 or 80%.'),
    ],
)
def test_a_claim_that_means_nothing_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError) as raised:
        parse_claim(text, "model")
    assert str(raised.value) == message


def test_the_confidence_of_the_card_is_the_claims_unless_it_says_otherwise() -> None:
    assert parse_claim("nll <= 1", "m", confidence=0.9).confidence == 0.9
    assert parse_claim("nll <= 1 at 99%", "m", confidence=0.9).confidence == 0.99


@pytest.mark.parametrize("dash", ["-", "−"])
def test_a_difference_of_two_models_may_be_claimed(dash: str) -> None:
    claim = parse_claim(f"accuracy of longer {dash} imitated <= -0.05 at 99%", "model")
    assert (claim.subject, claim.at_most, claim.confidence) == ("longer − imitated", -0.05, 0.99)
    assert parse_claim("accuracy of vit-16 >= 0.5", "model").subject == "vit-16"
