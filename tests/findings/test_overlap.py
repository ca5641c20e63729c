"""Overlap, and values drawn again over scenes, against counting by hand and the normal limit."""

import math

import pytest
import torch

from surefoot.errors import InputError
from surefoot.findings.overlap import class_overlaps, count_overlap, mean_overlap
from surefoot.findings.redrawn import drawn_times, percentile_interval, redrawn


def one(scenes: int) -> torch.Tensor:
    return torch.ones(1, scenes, dtype=torch.float64)


def maps(seed: int, classes: int = 4) -> torch.Tensor:
    return torch.randint(classes, (6, 5, 7), generator=torch.Generator().manual_seed(seed))


def test_overlap_is_that_of_sets_of_pixels_over_all_scenes() -> None:
    said, true = maps(0), maps(1)
    overlap = count_overlap(said, true, 5)
    expected = []
    for label in range(4):
        left = {tuple(each) for each in (said == label).nonzero().tolist()}
        right = {tuple(each) for each in (true == label).nonzero().tolist()}
        expected.append(len(left & right) / len(left | right))
    found = class_overlaps(overlap, one(6))[0]
    assert found[:4].tolist() == pytest.approx(expected)
    assert math.isnan(found[4])
    assert float(mean_overlap(overlap, one(6))) == pytest.approx(sum(expected) / 4)


def test_a_perfect_map_is_one_a_wrong_one_zero_and_names_do_not_matter() -> None:
    true = maps(2)
    assert float(mean_overlap(count_overlap(true, true, 4), one(6))) == 1
    assert float(mean_overlap(count_overlap((true + 1) % 4, true, 4), one(6))) == 0
    said, order = maps(3), torch.tensor([2, 0, 3, 1])
    before, after = (
        mean_overlap(count_overlap(a, b, 4), one(6)) for a, b in ((said, true), (order[said], order[true]))
    )
    torch.testing.assert_close(before, after)


def test_all_background_has_the_background_share_over_the_classes() -> None:
    """IoU of background is its share of pixels; every other true class has none."""
    true = maps(4)
    share = float((true == 0).double().mean())
    assert float(mean_overlap(count_overlap(torch.zeros_like(true), true, 4), one(6))) == pytest.approx(share / 4)


def test_times_repeat_scenes() -> None:
    said, true = maps(5), maps(6)
    times = torch.tensor([[2.0, 0, 1, 0, 3, 0]], dtype=torch.float64)
    index = torch.tensor([0, 0, 2, 4, 4, 4])
    again = mean_overlap(count_overlap(said[index], true[index], 4), one(6))
    torch.testing.assert_close(mean_overlap(count_overlap(said, true, 4), times), again)


def test_redrawn_means_have_the_normal_error() -> None:
    """Of a plain mean the bootstrap's interval is mean ± 1.96 s/√n; quantiles of 4,000 resamples are off by 2 %."""
    values = torch.randn(900, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    value, again = redrawn(lambda times: (times @ values) / times.sum(dim=1), 900, resamples=4000)
    found = percentile_interval(again)
    reach = 1.96 * float(values.std(correction=0)) / 30
    assert value == pytest.approx(float(values.mean()))
    assert found.high - found.low == pytest.approx(2 * reach, rel=0.06)
    assert (found.high + found.low) / 2 == pytest.approx(value, abs=0.1 * reach)


def test_every_model_meets_the_same_resamples() -> None:
    assert torch.equal(drawn_times(50, resamples=9, seed=2), drawn_times(50, resamples=9, seed=2))
    assert not torch.equal(drawn_times(50, resamples=9, seed=2), drawn_times(50, resamples=9, seed=3))
    times = drawn_times(400, resamples=500)
    # A scene is drawn Poisson-like: variance 1 − 1/n.
    assert float(times.var()) == pytest.approx(1 - 1 / 400, rel=0.02)


def test_refusals() -> None:
    with pytest.raises(InputError, match="one class a pixel"):
        count_overlap(maps(0), maps(0)[:, :4], 4)
    with pytest.raises(InputError, match="not among 0 … 2"):
        count_overlap(maps(0), maps(1), 3)
    with pytest.raises(InputError, match="at least 2"):
        drawn_times(1)
    with pytest.raises(InputError, match="20 or more"):
        percentile_interval(torch.cat([torch.ones(19), torch.full((30,), math.nan)]))
