"""The wrap-around rule: every step once and in order, equal shares, and nobody waits in a circle."""

from hypothesis import given
from hypothesis import strategies as st

from surefoot.inference.small.turns import turns


@given(chains=st.integers(1, 20), steps=st.integers(1, 50), workers=st.integers(1, 12))
def test_every_schedule(chains: int, steps: int, workers: int) -> None:
    lists = turns(chains, steps, workers)
    assert len(lists) == min(chains, workers)
    parts = sorted(turn for own in lists for turn in own)
    for chain in range(chains):
        own = [(turn.first, turn.last) for turn in parts if turn.chain == chain]
        assert [first for first, _ in own] == [0, *[last for _, last in own[:-1]]]
        assert own[-1][1] == steps
        assert len(own) <= 2
    loads = [sum(turn.last - turn.first for turn in own) for own in lists]
    assert max(loads) - min(loads) <= 1
    for own in lists:
        # Only the last turn of a list may wait for another's, and that is the first of its list.
        assert all(turn.first == 0 for turn in own[:-1])
    begun = {turn.chain for own in lists for turn in own[:1]}
    assert all(own[-1].chain in begun for own in lists if own[-1].first)


@given(chains=st.integers(2, 12), steps=st.integers(1, 50), workers=st.integers(2, 6))
def test_a_second_half_starts_after_the_first_has_ended_when_all_run_equally_fast(
    chains: int, steps: int, workers: int
) -> None:
    ends: dict[int, int] = {}
    starts: dict[int, int] = {}
    for own in turns(chains, steps, workers):
        now = 0
        for turn in own:
            if turn.first:
                starts[turn.chain] = now
            else:
                ends[turn.chain] = now + turn.last
            now += turn.last - turn.first
    assert all(ends[chain] <= start + 1 for chain, start in starts.items())  # shares may differ by one step
