"""Right, wrong and not attempted: by hand, by the identities that tie them, and the coverage of F."""

import numpy as np
import pytest
from scipy import stats

from surefoot.errors import InputError
from surefoot.findings.finding import Finding
from surefoot.findings.intervals import wilson
from surefoot.safety.abstention import Answered, abstention_findings


def outcomes(correct: int, incorrect: int, shunned: int, unscored: int = 0) -> list[Answered | None]:
    return [*["correct"] * correct, *["incorrect"] * incorrect, *["not attempted"] * shunned, *[None] * unscored]


def found(of: list[Answered | None], clusters: np.ndarray | None = None) -> dict[str, Finding]:
    findings = abstention_findings(list[str | None](of), subject="model", source="judge", clusters=clusters)
    return {each.name: each for each in findings}


def test_the_card_s_o1_mini_leaves_a_third_not_attempted() -> None:
    """SimpleQA: accuracy .07 and hallucination .60, so .33 were not attempted, and nine of ten answers are wrong."""
    of = found(outcomes(7, 60, 33))
    assert of["accuracy_of_all"].value == 0.07
    assert of["hallucination_of_all"].value == 0.6
    assert of["abstention"].value == 0.33
    assert of["hallucination_of_attempted"].value == pytest.approx(60 / 67)
    assert (of["hallucination_of_attempted"].count, of["accuracy_of_all"].count) == (67, 100)
    overall, attempted = 7 / 100, 7 / 67
    assert of["factuality_f"].value == pytest.approx(2 * overall * attempted / (overall + attempted))


def test_shares_add_up() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        c, i, n = (int(each) for each in random.integers(0, 30, size=3))
        of = found(outcomes(c, i, n + 1))
        assert of["accuracy_of_all"].value + of["hallucination_of_all"].value + of["abstention"].value == pytest.approx(
            1.0
        )
        assert of["factuality_f"].value == pytest.approx(2 * c / (c + i + n + 1 + c + i))
        if c + i:
            attempted = 1 - of["abstention"].value
            assert of["hallucination_of_attempted"].value * attempted == pytest.approx(of["hallucination_of_all"].value)


def test_intervals_of_shares_are_wilsons_and_that_of_f_is_wilsons_where_all_is_attempted() -> None:
    of = found(outcomes(30, 20, 0))
    expected = wilson(30.0, 50.0, 0.95)
    for name in ("accuracy_of_all", "factuality_f"):
        interval = of[name].interval
        assert interval is not None
        assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), rel=1e-6)


def test_what_could_not_be_scored_is_counted_and_in_nothing_else() -> None:
    of = found(outcomes(3, 4, 3, 5))
    assert (of["unscored"].value, of["unscored"].count) == (pytest.approx(1 / 3), 15)
    assert of["accuracy_of_all"] == found(outcomes(3, 4, 3))["accuracy_of_all"]
    assert of["factuality_f"] == found(outcomes(3, 4, 3))["factuality_f"]
    assert list(found(outcomes(0, 0, 0, 4))) == ["unscored"]
    assert "hallucination_of_attempted" not in found(outcomes(0, 0, 4))
    assert found(outcomes(0, 0, 4))["factuality_f"].value == 0.0


def test_copies_are_no_evidence() -> None:
    once = outcomes(20, 15, 15)
    four = [each for each in once for _ in range(4)]
    of = found(four, (np.arange(200) // 4)[:, None])
    for name, single in found(once).items():
        assert of[name].value == pytest.approx(single.value)
        if name == "unscored":
            continue
        assert single.interval is not None
        wide = of[name].interval
        assert wide is not None
        assert wide.high - wide.low == pytest.approx(single.interval.high - single.interval.low, rel=0.12)


@pytest.mark.slow
@pytest.mark.parametrize("chances", [(0.4, 0.4, 0.2), (0.07, 0.6, 0.33), (0.9, 0.02, 0.08)])
def test_f_is_covered(chances: tuple[float, float, float]) -> None:
    """400 sets of 120 questions; a rate below .898 would come about once in a million."""
    random = np.random.default_rng(3)
    c, i, n = chances
    truth = 2 * c / (2 * c + 2 * i + n)
    hits = 0
    for counts in random.multinomial(120, chances, size=400):
        interval = found(outcomes(*(int(each) for each in counts)))["factuality_f"].interval
        assert interval is not None
        hits += interval.low <= truth <= interval.high
    print(f"\nF at {chances}: {hits / 400:.3f}")
    assert hits >= stats.binom.ppf(1e-6, 400, 0.95)


def test_what_is_no_outcome_is_refused() -> None:
    with pytest.raises(InputError, match="There are 0 outcomes"):
        found([])
    with pytest.raises(InputError, match="one of them 'maybe'"):
        abstention_findings(["maybe"], subject="m", source="j")
    with pytest.raises(InputError, match="3 clusters"):
        found(outcomes(1, 1, 0), np.zeros((3, 1), dtype=np.int64))
