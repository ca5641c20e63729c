"""Claims about a model whose numbers are in doubt are undecided, whatever their intervals say."""

import pytest

from surefoot.card.claims import Claim, judge_claims, verdict_of
from surefoot.findings.finding import Finding, Interval

WHY = "its chains have not mixed (split R̂ of the predictions 1.9)"


def measured(subject: str, value: float) -> Finding:
    interval = Interval(value - 0.02, value + 0.02, 0.95, "clustered")
    return Finding("accuracy", value, interval, 2400, 600, "proportion", "all", "higher", subject, "judge")


FINDINGS = [measured("base", 0.7), measured("base+bayes", 0.9), measured("base+bayes − base", 0.2)]


@pytest.mark.parametrize("bound", [0.8, 0.99])
@pytest.mark.parametrize("subject", ["base+bayes", "base+bayes − base", "chosen"])
def test_a_doubted_model_decides_nothing(subject: str, bound: float) -> None:
    claim = Claim("accuracy", subject, at_least=bound if subject != "base+bayes − base" else bound - 0.75)
    sure = judge_claims([claim], FINDINGS, chosen="base+bayes")[0]
    doubted = judge_claims([claim], FINDINGS, chosen="base+bayes", doubts={"base+bayes": [WHY]})[0]
    assert sure.status != "undecided"
    assert doubted.status == "undecided"
    assert WHY in doubted.reason
    assert WHY in doubted.sentence
    assert verdict_of([doubted], "base+bayes") == "undecided"


def test_others_are_judged_as_before() -> None:
    claim = Claim("accuracy", "base", at_least=0.6)
    assert judge_claims([claim], FINDINGS, doubts={"base+bayes": [WHY]}) == judge_claims([claim], FINDINGS)
