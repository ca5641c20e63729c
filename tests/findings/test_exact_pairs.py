"""McNemar's exact test against scipy's binomial test, and its error by enumeration."""

import numpy as np
import pytest
from scipy import stats

from surefoot.errors import InputError
from surefoot.findings.exact_pairs import mcnemar, sign_test


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (1, 0), (5, 5), (9, 1), (30, 14), (700, 610), (4000, 3600)])
def test_p_values_are_scipys(wins: int, losses: int) -> None:
    expected = stats.binomtest(wins, wins + losses, 0.5).pvalue if wins + losses else 1.0
    assert sign_test(wins, losses) == pytest.approx(expected, rel=1e-9)
    assert sign_test(losses, wins) == sign_test(wins, losses)


def test_only_rows_that_changed_count() -> None:
    random = np.random.default_rng(0)
    before, after = random.random(400) < 0.6, random.random(400) < 0.7
    table = [int((before & ~after).sum()), int((after & ~before).sum())]
    found = mcnemar(before, after)
    assert (found.lost, found.gained) == tuple(table)
    assert found.p_value == pytest.approx(stats.binomtest(table[0], sum(table), 0.5).pvalue)
    same = np.ones(50, dtype=bool)
    assert mcnemar(np.concatenate([before, same]), np.concatenate([after, same])) == found


def test_it_rejects_no_more_often_than_it_says() -> None:
    for count in (5, 12, 40):
        chance = sum(stats.binom.pmf(k, count, 0.5) for k in range(count + 1) if sign_test(k, count - k) <= 0.05)
        assert chance <= 0.05
        assert chance > 0.0 or count == 5


def test_what_are_no_pairs_is_refused() -> None:
    with pytest.raises(InputError, match="same rows"):
        mcnemar(np.ones(3, dtype=bool), np.ones(2, dtype=bool))
    with pytest.raises(InputError, match="same rows"):
        mcnemar(np.ones(0, dtype=bool), np.ones(0, dtype=bool))
    with pytest.raises(InputError, match="give counts"):
        sign_test(-1, 2)
