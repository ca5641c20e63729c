"""Shares of a whole: all of it once, as equal as can be, as few as can be."""

import pytest

from surefoot.inference.small.tiles import shares


@pytest.mark.parametrize("most", [1, 2, 5, 6, 30])
@pytest.mark.parametrize("total", [1, 2, 6, 7, 29, 30, 31, 1797])
def test_shares_cover_all_once(total: int, most: int) -> None:
    runs = shares(total, most)
    covered = [
        run.first + turn * run.size + place for run in runs for turn in range(run.times) for place in range(run.size)
    ]
    assert covered == list(range(total))
    sizes = [run.size for run in runs]
    assert max(sizes) <= most
    assert max(sizes) - min(sizes) <= 1
    assert sum(run.times for run in runs) == -(-total // most)
