import math
import re

import pytest
import torch
from card_examples import finding

from surefoot.card.bounds import check_claim
from surefoot.card.claims import Claim, Judged, describe_claim, judge_claims, verdict_of, verdict_sentence
from surefoot.card.words import show_apart, show_finding, show_seconds, show_value
from surefoot.errors import InputError
from surefoot.findings.measure import measure
from surefoot.findings.predictions import predictions_for
from surefoot.rows.rows import cross_groups, make_rows


def judged(claim: Claim, **changes: object) -> Judged:
    return judge_claims([claim], [finding(**changes)])[0]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("low", "high", "at_least", "at_most", "status"),
    [
        (0.85, 0.91, 0.80, None, "passed"),
        (0.85, 0.91, 0.85, None, "passed"),  # the end itself is on the right side
        (0.85, 0.91, 0.86, None, "undecided"),
        (0.85, 0.91, 0.91, None, "undecided"),  # high is not below the bound
        (0.85, 0.91, 0.92, None, "failed"),
        (0.85, 0.91, None, 0.92, "passed"),
        (0.85, 0.91, None, 0.91, "passed"),
        (0.85, 0.91, None, 0.90, "undecided"),
        (0.85, 0.91, None, 0.85, "undecided"),
        (0.85, 0.91, None, 0.84, "failed"),
    ],
)
def test_a_claim_is_judged_by_its_interval(
    low: float, high: float, at_least: float | None, at_most: float | None, status: str
) -> None:
    claim = Claim("worst_group_accuracy", "erm", at_least=at_least, at_most=at_most)
    assert judged(claim, value=0.88, half=(low, high)).status == status


def test_the_needed_clusters_shrink_the_half_width_to_the_distance() -> None:
    """Value .88, interval to .85, bound .865: the half-width .03 must halve, so four times 600 clusters."""
    passing = judged(Claim("worst_group_accuracy", "erm", at_least=0.865), value=0.88, half=(0.85, 0.93))
    assert passing.needed == pytest.approx(2400, abs=1)
    # Below the bound it is the upper half-width, .05, that must shrink to .02 for the claim to fail.
    failing = judged(Claim("worst_group_accuracy", "erm", at_least=0.9), value=0.88, half=(0.85, 0.93))
    assert failing.needed == pytest.approx(600 * 2.5**2, abs=1)
    at_most = judged(Claim("worst_group_accuracy", "erm", at_most=0.9), value=0.88, half=(0.85, 0.93))
    assert at_most.needed == failing.needed


def test_enough_clusters_would_really_decide() -> None:
    value, half, clusters, bound = 0.88, 0.04, 150, 0.861
    first = judged(Claim("worst_group_accuracy", "erm", at_least=bound), value=value, half=half, clusters=clusters)
    assert first.status == "undecided"
    assert first.needed is not None
    for count, status in ((first.needed, "passed"), (first.needed - 1, "undecided")):
        shrunk = half * math.sqrt(clusters / count)
        again = judged(Claim("worst_group_accuracy", "erm", at_least=bound), value=value, half=shrunk, clusters=count)
        assert again.status == status


def test_a_value_on_its_bound_is_decided_by_no_number() -> None:
    tied = judged(Claim("worst_group_accuracy", "erm", at_least=0.88), value=0.88, half=0.03)
    assert (tied.status, tied.needed) == ("undecided", None)
    assert tied.sentence == (
        "Worst-group accuracy of “erm” is 88.0% [85.0, 91.0]: the value lies on the claimed minimum of 88.0%, so no "
        "number of rows is sure to decide it."
    )


def test_sentences_say_the_numbers() -> None:
    claim = Claim("worst_group_accuracy", "chosen", at_least=0.8)
    told = judge_claims([claim], [finding()], chosen="erm", labels={"erm": "CNN"})[0]
    assert told.sentence == (
        "Worst-group accuracy of “CNN” is 88.0% [85.0, 91.0]: the whole interval is at least 80.0%, as claimed."
    )
    assert told.claim.subject == "chosen"
    below = judged(Claim("worst_group_accuracy", "erm", at_least=0.95))
    assert below.reason == "the whole interval is below the claimed minimum of 95.0%."
    above = judged(Claim("worst_group_accuracy", "erm", at_most=0.5))
    assert above.reason == "the whole interval is above the claimed maximum of 50.0%."
    open_claim = judged(Claim("worst_group_accuracy", "erm", at_least=0.9))
    assert open_claim.reason == (
        "the interval contains the claimed minimum of 90.0%. About 1,350 independent clusters would decide it; "
        "600 were judged."
    )
    seeds = judged(Claim("worst_group_accuracy", "erm", at_least=0.9), per_seed=(0.86, 0.88, 0.9))
    assert seeds.reason == (
        "the interval contains the claimed minimum of 90.0%. About 1,350 independent clusters with 7 training seeds "
        "would decide it; there were 600 with 3."
    )


def test_no_interval_is_undecided_and_says_what_to_do() -> None:
    claim = Claim("accuracy", "erm", slice="rare", at_least=0.5)
    told = judged(claim, name="accuracy", slice="rare", half=None, clusters=1)
    assert (told.status, told.needed) == ("undecided", None)
    assert told.sentence == (
        "Accuracy of “erm” on “rare” is 88.0%: it was measured on 1 independent cluster without an interval, so the "
        "claimed minimum can be neither confirmed nor refuted; judge on more independent rows, or claim a finding "
        "that has an interval."
    )


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        (
            Claim("worst_group_accuracy", "emr", at_least=0.8),
            'The claim on worst_group_accuracy of emr names the subject "emr", which was not measured; did you mean '
            '"erm"? Measured: "erm".',
        ),
        (
            Claim("worst_group_acuracy", "erm", at_least=0.8),
            'The claim on worst_group_acuracy of erm names the finding "worst_group_acuracy", which was not measured; '
            'did you mean "worst_group_accuracy"? Measured: "worst_group_accuracy".',
        ),
        (
            Claim("worst_group_accuracy", "erm", slice="water", at_least=0.8),
            'The claim on worst_group_accuracy of erm names the slice "water", which was not measured; '
            'Measured: "all".',
        ),
        (
            Claim("worst_group_accuracy", "chosen", at_least=0.8),
            "The claim on worst_group_accuracy names the chosen model, but none was chosen; name a subject instead.",
        ),
        (
            Claim("worst_group_accuracy", "erm"),
            "The claim on worst_group_accuracy of erm gives neither at_least nor at_most; give exactly one bound.",
        ),
        (
            Claim("worst_group_accuracy", "erm", at_least=0.1, at_most=0.2),
            "The claim on worst_group_accuracy of erm gives both at_least and at_most; give exactly one bound.",
        ),
        (
            Claim("worst_group_accuracy", "erm", at_least=math.nan),
            "The claim on worst_group_accuracy of erm has the bound nan; give a finite number.",
        ),
        (
            Claim("worst_group_accuracy", "erm", at_least=0.8, confidence=95.0),
            "The claim on worst_group_accuracy of erm has confidence 95; give a number from 0.5 to below 1, such as "
            "0.95.",
        ),
        (
            Claim("worst_group_accuracy", "erm", at_least=0.8, confidence=0.99),
            "The claim on worst_group_accuracy of erm asks for 99% confidence, but its interval was measured at 95%; "
            "measure at the claim's confidence, or write confidence: 0.95 in the claim.",
        ),
    ],
)
def test_a_claim_that_cannot_be_judged_is_refused(claim: Claim, message: str) -> None:
    with pytest.raises(InputError) as caught:
        judge_claims([claim], [finding()])
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("claim", "told"),
    [
        (Claim("worst_group_accuracy", "m", at_least=0.0), "at least 0.0% can never fail"),
        (
            Claim("worst_group_accuracy", "m", at_least=-1.0),
            "can never fail, for it always lies between 0.0% and 100.0%",
        ),
        (Claim("accuracy", "m", at_most=1.0), "at most 100.0% can never fail"),
        (Claim("accuracy", "m", at_least=1.0), "at least 100.0% can never hold"),
        (Claim("weighted_accuracy", "m", at_least=80.0), "inside that range (80 per cent is written 0.8)"),
        (Claim("brier", "m", at_most=25.0), "can never fail, for it always lies between 0.000 and 2.000"),
        (Claim("calibration_error", "m", at_most=5.0), "(5 per cent is written 0.05)"),
        (Claim("accuracy_seed_sd", "m", at_most=1.0), "can never fail"),
        (Claim("core_decodability", "m", at_least=0.0), "can never fail"),
        (Claim("nll", "m", at_least=0.0), "can never fail, for it always lies above 0.000 nats"),
        (Claim("accuracy", "m − b", at_least=-1.0), "at least −100.0 points can never fail"),
        (Claim("brier", "m − b", at_most=2.0), "can never fail, for it always lies between −2.000 and +2.000"),
    ],
)
def test_a_claim_that_no_measurement_could_fail_is_refused(claim: Claim, told: str) -> None:
    """Before the work (`check_claim`), and wherever a claim is judged."""
    with pytest.raises(InputError, match=re.escape(told)) as caught:
        check_claim(claim)
    with pytest.raises(InputError, match=re.escape(str(caught.value))):
        judge_claims([claim], [finding(claim.finding, subject=claim.subject)])


@pytest.mark.parametrize(
    "claim",
    [
        Claim("accuracy", "m", at_least=0.001),
        Claim("calibration_error", "m", at_most=0.05),
        Claim("brier", "m", at_most=1.9),
        Claim("nll", "m", at_most=9e99),  # it has no upper end
        Claim("nll", "m − b", at_most=0.0),
        Claim("worst_group_accuracy", "m − b", at_least=0.0),
        Claim("accuracy", "m", at_least=0.5, confidence=0.5),
    ],
)
def test_a_claim_inside_the_range_can_be_made(claim: Claim) -> None:
    check_claim(claim)


@pytest.mark.parametrize("confidence", [0.0001, 0.4999, 1.0, math.nan])
def test_a_confidence_that_is_none_is_refused(confidence: float) -> None:
    with pytest.raises(InputError, match=r"give a number from 0\.5 to below 1"):
        check_claim(Claim("accuracy", "m", at_least=0.5, confidence=confidence))


def test_a_claim_on_the_spread_over_seeds_needs_two() -> None:
    claim = Claim("accuracy_seed_sd", "m", at_most=0.05)
    check_claim(claim, seeds=2)
    with pytest.raises(InputError, match="there is one seed; give two or more seeds, or leave the claim out"):
        check_claim(claim, seeds=1)


def test_an_unusual_confidence_is_said_wherever_the_claim_is() -> None:
    for status, bound in (("passed", 0.8), ("undecided", 0.89), ("failed", 0.95)):
        claim = Claim("worst_group_accuracy", "erm", at_least=bound, confidence=0.8)
        told = judge_claims([claim], [finding(confidence=0.8)])[0]
        assert told.status == status
        assert "80% interval" in told.reason
        assert told.reason in told.sentence
        assert describe_claim(claim, "proportion").endswith("(at 80% confidence)")
    usual = Claim("worst_group_accuracy", "erm", at_least=0.8)
    assert describe_claim(usual, "proportion") == "Worst-group accuracy is at least 80.0%"


def test_the_bound_of_a_difference_is_in_points() -> None:
    claim = Claim("accuracy", "student − weak", at_least=-0.05)
    assert describe_claim(claim, "proportion") == "Accuracy is at least −5.0 points"


def test_the_group_that_may_yet_lie_below_is_the_one_to_judge_more_of() -> None:
    """Worst group b, .70 of 500 rows; three rows of c, all right, may be .29: it is c that keeps .6 undecided."""
    groups = [
        finding("accuracy", 0.70, (0.66, 0.74), slice="b", clusters=500),
        finding("accuracy", 1.0, (0.44, 1.0), slice="c", clusters=3),
        finding("accuracy", 0.9, (0.85, 0.95), slice="a", clusters=400),
    ]
    worst = finding("worst_group_accuracy", 0.70, (0.29, 0.75), clusters=500)
    told = judge_claims([Claim("worst_group_accuracy", "erm", at_least=0.6)], [worst, *groups])[0]
    assert told.needed == math.ceil(3 * (0.71 / 0.4) ** 2)
    assert told.reason.endswith("About 10 independent clusters of “c” would decide it; 3 were judged.")
    # Below its bound the lowest group alone decides.
    low = judge_claims([Claim("worst_group_accuracy", "erm", at_least=0.72)], [worst, *groups])[0]
    assert low.needed == math.ceil(500 * (0.05 / 0.02) ** 2)
    assert "of “" not in low.reason


def test_the_verdict_is_about_the_chosen_model() -> None:
    held = judge_claims([Claim("worst_group_accuracy", "plain", at_least=0.8)], [finding(subject="plain")])
    assert verdict_of(held) == "passed"
    assert verdict_of(held, "plain") == "passed"
    assert verdict_of(held, "plain+cb") == "undecided"
    assert verdict_sentence(held, "plain+cb", {"plain+cb": "the repair"}) == (
        "No claim is about the chosen model “the repair”, so whether it may ship is undecided; 1 of 1 claim about "
        "other models holds."
    )
    gained = finding(subject="plain+cb − plain", value=0.3)
    claimed = judge_claims([Claim("worst_group_accuracy", "plain+cb − plain", at_least=0.1)], [gained])
    assert verdict_of((*held, *claimed), "plain+cb") == "passed"
    assert verdict_of(claimed, "plain") == "undecided", "what the repair gained says nothing of the model before it"
    lost = judge_claims([Claim("worst_group_accuracy", "plain", at_least=0.95)], [finding(subject="plain")])
    assert verdict_of(lost, "plain+cb") == "failed"


def test_a_difference_can_be_claimed() -> None:
    gain = finding(value=0.4, half=0.05, subject="erm+dfr − erm")
    told = judge_claims([Claim("worst_group_accuracy", "erm+dfr − erm", at_least=0.2)], [gain])[0]
    assert told.status == "passed"
    assert told.sentence.startswith("Worst-group accuracy of “erm+dfr − erm” is +40.0 points [+35.0, +45.0]: the whole")
    assert "at least +20.0 points" in told.sentence


def statuses(*given: str) -> list[Judged]:
    bounds = {"passed": 0.8, "undecided": 0.88, "failed": 0.95}
    return [judged(Claim("worst_group_accuracy", "erm", at_least=bounds[each])) for each in given]


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        ((), "undecided"),
        (("passed",), "passed"),
        (("passed", "passed"), "passed"),
        (("passed", "undecided"), "undecided"),
        (("undecided", "failed", "passed"), "failed"),
        (("failed",), "failed"),
    ],
)
def test_the_verdict_is_the_worst_of_the_claims(given: tuple[str, ...], verdict: str) -> None:
    assert verdict_of(statuses(*given)) == verdict


def test_the_verdict_in_a_sentence() -> None:
    assert verdict_sentence([]).startswith("No claim was made")
    assert verdict_sentence(statuses("passed", "passed")) == (
        "All 2 claims hold: every interval lies wholly on the claimed side of its bound."
    )
    assert verdict_sentence(statuses("passed", "failed")).startswith("1 of 2 claims fails. Worst-group accuracy of")
    assert verdict_sentence(statuses("failed", "failed")).startswith("2 of 2 claims fail. ")
    assert verdict_sentence(statuses("passed", "undecided")).startswith("1 of 2 claims cannot be decided yet. ")


def test_numbers_are_said_one_way() -> None:
    assert show_finding(finding(value=0.8812, half=0.0312)) == "88.1% [85.0, 91.2]"
    assert show_finding(finding(value=-0.031, half=0.01, subject="a − b")) == "−3.1 points [−4.1, −2.1]"
    assert show_value(-0.0001, "proportion", signed=True) == "0.0 points"
    assert show_value(12345.0, "rows") == "12,345 rows"
    assert show_apart(0.79996, 0.8, "proportion") == ("79.996%", "80.000%")
    assert show_apart(0.8, 0.8, "proportion") == ("80.0%", "80.0%")
    assert [show_seconds(each) for each in (0.04, 59.94, 59.96, 3600.0)] == [
        "0.0 s",
        "59.9 s",
        "1 min 0 s",
        "60 min 0 s",
    ]


@pytest.mark.parametrize("ends", [(float("nan"), 0.9), (0.8, float("nan")), (0.95, 0.1)])
def test_ends_that_make_no_interval_decide_nothing(ends: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="which is no interval; measure again"):
        judge_claims([Claim("worst_group_accuracy", "erm", at_least=0.5)], [finding(half=ends)])


def test_a_number_measured_twice_is_not_picked_from() -> None:
    claim = Claim("worst_group_accuracy", "erm", at_least=0.5)
    good, bad = finding(value=0.9), finding(value=0.1)
    with pytest.raises(InputError, match="means 2 findings that differ; measure it once"):
        judge_claims([claim], [good, bad])
    assert judge_claims([claim], [good, good])[0].status == "passed"


def test_an_empty_group_leaves_a_claim_about_all_groups_without_a_number() -> None:
    """Otherwise leaving the worst group out of the judge rows would turn a claim green."""
    targets = torch.arange(80) % 2
    attribute = torch.where(targets == 1, 0, torch.arange(80) // 2 % 2)
    groups = cross_groups(targets, ["c0", "c1"], attribute, ["s0", "s1"])
    rows = make_rows(torch.zeros(80, 1), targets, groups=groups)
    certain = torch.nn.functional.one_hot(targets, 2).float()[None]
    measured = measure(predictions_for(rows, certain), subject="erm", source="judge")
    with pytest.raises(InputError, match='"all groups but c1, s1"'):
        judge_claims([Claim("worst_group_accuracy", "erm", at_least=0.5)], measured)
    assert judge_claims([Claim("worst_group_accuracy", "erm", "all groups but c1, s1", at_least=0.5)], measured)
