"""Agreement of raters: Krippendorff's own example, by hand, and what cannot be told."""

import itertools

import numpy as np
import pytest

from surefoot.findings.finding import Finding
from surefoot.safety.pairwise import Judgement, Outcome, pairwise_findings
from surefoot.safety.rater_agreement import alpha_of, rater_agreement

OBSERVERS = ("12332141 2...", "12332241 25.3", ".33323422 51.", "12332441 251.")
"""Krippendorff (2011), example C: four observers, twelve units, some missing."""


def judged(*rows: str) -> list[Judgement]:
    """A row a conversation, a letter a rater."""
    names: dict[str, Outcome] = {"w": "win", "t": "tie", "l": "loss"}
    return [
        Judgement(str(at), f"r{who}", names[said])
        for at, row in enumerate(rows)
        for who, said in enumerate(row)
        if said != "."
    ]


def by_name(found: tuple[Finding, ...]) -> dict[str, Finding]:
    return {each.name: each for each in found}


def test_alpha_is_that_of_the_published_example() -> None:
    units = [[row.replace(" ", "")[at] for row in OBSERVERS] for at in range(12)]
    assert alpha_of([[each for each in unit if each != "."] for unit in units]) == pytest.approx(0.743, abs=5e-4)


def test_alpha_is_its_definition_by_pairs() -> None:
    draws = np.random.default_rng(4)
    for _ in range(5):
        units = [[str(each) for each in draws.integers(0, 3, size=draws.integers(2, 5))] for _ in range(9)]
        values = [each for unit in units for each in unit]
        n = len(values)
        observed = sum(
            (a != b) / (len(unit) - 1) for unit in units for a, b in itertools.permutations(unit, 2)
        ) / n  # fmt: skip
        expected = sum(a != b for a, b in itertools.permutations(values, 2)) / (n * (n - 1))
        assert alpha_of(units) == pytest.approx(1 - observed / expected)


def test_agreement_is_the_share_of_pairs_of_raters_who_say_the_same() -> None:
    found = by_name(rater_agreement(judged("ww", "wt", "lll", "wwl", "w."), subject="a vs b", source="raters"))
    assert found["rater_agreement"].value == pytest.approx((1 + 0 + 1 + 1 / 3) / 4)
    assert (found["rater_agreement"].count, found["rater_alpha"].interval) == (4, None)
    assert found["rater_alpha"].value == pytest.approx(alpha_of(["ww", "wt", "lll", "wwl"]))


def test_what_cannot_be_told_is_not() -> None:
    assert rater_agreement(judged("w", "l"), subject="a vs b", source="raters") == ()
    same = rater_agreement(judged("ww", "ww"), subject="a vs b", source="raters")
    assert [each.name for each in same] == ["rater_agreement"], "chance would agree as well"


def test_alphas_interval_covers() -> None:
    """Two raters who are right with probability .8, of 60 things by a coin: truth .36 (.6 squared). 120 tables: at a
    true rate of .95, fewer than 104 hold the truth once in a thousand times."""
    draws = np.random.default_rng(0)
    inside = 0
    for _ in range(120):
        truth = draws.random(60) < 0.5
        said = [np.where(draws.random(60) < 0.8, truth, ~truth) for _ in range(2)]
        rows = ["".join("w" if each[at] else "l" for each in said) for at in range(60)]
        interval = by_name(rater_agreement(judged(*rows), subject="a", source="r"))["rater_alpha"].interval
        assert interval is not None
        inside += interval.low <= 0.36 <= interval.high
    assert inside >= 104


def test_a_few_raters_do_not_stand_for_others() -> None:
    """Without raters as a way the interval is that over conversations; a cluster joins conversations."""
    judgements = judged(*(["ww"] * 12 + ["ll"] * 6 + ["wl"] * 6))
    few, many = (
        by_name(pairwise_findings(judgements, names=("a", "b"), source="r", raters_vary=each))["pairwise_win"]
        for each in (False, True)
    )
    assert few.value == many.value == pytest.approx(30 / 48)
    assert (few.clusters, many.clusters) == (24, 2)
    joined = [Judgement(e.conversation, e.rater, e.outcome, str(int(e.conversation) // 8)) for e in judgements]
    assert pairwise_findings(joined, names=("a", "b"), source="r", raters_vary=False)[0].clusters == 3


def interval_of(judgements: list[Judgement]) -> tuple[float, float]:
    interval = by_name(rater_agreement(judgements, subject="a", source="r"))["rater_alpha"].interval
    assert interval is not None
    return interval.low, interval.high


def test_alphas_interval_knows_what_hangs_together() -> None:
    """Twenty conversations, four times each in one cluster: as wide as twenty alone, and twice as wide as eighty."""
    rows = ["ww", "ll", "wl", "ww", "ll"] * 4
    few = interval_of(judged(*rows))
    many = judged(*(row for row in rows for _ in range(4)))
    joined = [Judgement(e.conversation, e.rater, e.outcome, str(int(e.conversation) // 4)) for e in many]
    alone, together = interval_of(many), interval_of(joined)
    assert together[1] - together[0] == pytest.approx(few[1] - few[0], rel=0.1)
    assert together[1] - together[0] > 1.6 * (alone[1] - alone[0])


def test_a_draw_in_which_all_say_the_same_counts_as_agreement() -> None:
    """One of ten is lost to everybody: (9/10)^10 = 35 % of draws are without it, and all others are of full agreement;
    with one more that they differ on, draws without both (11 %) have no value, and more than a fortieth is 1."""
    assert interval_of(judged(*["ww"] * 9, "ll")) == (1.0, 1.0)
    low, high = interval_of(judged(*["ww"] * 9, "wl"))
    assert low < 0.0
    assert high == 1.0
