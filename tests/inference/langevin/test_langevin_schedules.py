"""Schedules against published formulas, and the traps of their ends."""

import math

import pytest

from surefoot.errors import InputError
from surefoot.inference.langevin.schedules import Constant, Cyclical, Pacing, SineDecay

COURSES: list[Pacing] = [
    Constant(draws=7, step=0.1),
    Constant(draws=3, step=0.1, burn_in=5, thin=4, first=0.4),
    Cyclical(step=0.2, cycle=50, cycles=3, samples=4),
    Cyclical(step=0.2, cycle=7, cycles=2, burn_in=3, latest=1.0),
    SineDecay(step=0.1, steps=9),
]


@pytest.mark.parametrize("course", COURSES)
def test_as_many_steps_are_kept_as_promised(course: Pacing) -> None:
    kept = [step for step in range(course.steps) if course.keeps(step)]
    assert len(kept) == course.draws
    assert all(step >= course.settled for step in kept)
    assert all(course.at(step).step > 0 for step in range(course.steps))


def test_burn_in_falls_along_half_a_cosine_of_the_rate_and_ends_at_the_step() -> None:
    course = Constant(draws=1, step=0.1, burn_in=100, first=0.5)
    for step in (0, 13, 50, 99):
        published = 0.01 + (0.25 - 0.01) * (1 + math.cos(math.pi * step / 100)) / 2
        assert course.at(step).step ** 2 == pytest.approx(published, rel=1e-12)
    assert course.at(100).step == 0.1


def test_cycles_follow_the_published_cosine_and_explore_without_noise() -> None:
    course = Cyclical(step=0.3, cycle=40, cycles=2)
    for step in (0, 9, 10, 25, 39, 40, 71):
        share = step % 40 / 40
        pace = course.at(step)
        assert pace.step**2 == pytest.approx(0.09 * (1 + math.cos(math.pi * share)) / 2, rel=1e-12)
        assert pace.noise == (0.0 if share < 0.25 else 1.0)


def test_published_thresholds_end_where_nothing_moves_and_ours_before() -> None:
    ours, published = Cyclical(1.0, 1000, 1, samples=3), Cyclical(1.0, 1000, 1, samples=3, latest=1.0)
    kept = [step for step in range(1000) if published.keeps(step)]
    assert kept == [499, 749, 999]  # ¼ + k ¾ / 3 of the cycle
    assert published.at(kept[-1]).step ** 2 < 1e-5
    last = max(step for step in range(1000) if ours.keeps(step))
    assert ours.at(last).step ** 2 == pytest.approx((1 + math.cos(math.pi * 0.9)) / 2, rel=0.02)


def test_sine_decay_holds_then_cools_while_noise_warms_up() -> None:
    course = SineDecay(step=0.2, steps=300)
    assert course.at(149).step == 0.2
    assert course.at(225).step ** 2 == pytest.approx(0.04 * math.sin(0.75 * math.pi))
    assert [course.at(step).noise ** 2 for step in (50, 150, 250)] == pytest.approx([0.0, 0.5, 1.0])
    assert [step for step in range(300) if course.keeps(step)] == [299]
    assert SineDecay(step=0.2, steps=300, warm_up=False).at(0).noise == 1.0


@pytest.mark.parametrize(
    "make",
    [
        lambda: Constant(draws=0, step=0.1),
        lambda: Constant(draws=1, step=0.0),
        lambda: Constant(draws=1, step=math.nan),
        lambda: Constant(draws=1, step=0.1, first=-1.0),
        lambda: Constant(draws=1, step=0.1, burn_in=-1),
        lambda: Cyclical(step=0.1, cycle=10, cycles=1, explore=0.9),
        lambda: Cyclical(step=0.1, cycle=4, cycles=1, samples=4),
        lambda: SineDecay(step=0.1, steps=0),
    ],
)
def test_numbers_out_of_range_are_refused(make) -> None:
    with pytest.raises(InputError, match=r"give|take"):
        make()
