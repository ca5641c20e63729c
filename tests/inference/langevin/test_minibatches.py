"""Which rows are seen: each once an epoch, by each chain in its own order, the same after a resumption."""

from itertools import islice

import pytest
import torch

from surefoot.errors import InputError
from surefoot.inference.langevin.minibatches import Minibatches, batches_between, each_batch


def taken(minibatches: Minibatches, count: int, first: int = 0) -> torch.Tensor:
    return torch.stack(list(islice(each_batch(minibatches, first), count)))  # [steps, chains, batch]


def test_every_row_is_seen_once_an_epoch_by_each_chain_in_its_own_order() -> None:
    seen = taken(Minibatches(rows=60, batch=5, chains=3, seed=1), 24)
    for epoch in (seen[:12], seen[12:]):
        for chain in range(3):
            assert sorted(epoch[:, chain].flatten().tolist()) == list(range(60))
    assert not torch.equal(seen[:12], seen[12:])
    assert not torch.equal(seen[:, 0], seen[:, 1])


def test_rows_that_fill_no_batch_wait_by_chance() -> None:
    minibatches = Minibatches(rows=11, batch=4, chains=500, seed=0)
    assert minibatches.per_epoch == 2
    counts = torch.bincount(taken(minibatches, 40).flatten(), minlength=11).double()
    # 500 chains × 20 epochs leave 3 of 11 rows out: each row is seen 10,000 · 8/11 times, with variance n p (1 − p).
    expected, deviation = 10_000 * 8 / 11, (10_000 * 8 / 11 * 3 / 11) ** 0.5
    # Eleven rows at 5 standard deviations: false alarms below 1e-5 (and the seed is fixed).
    assert ((counts - expected).abs() < 5 * deviation).all()


def test_replacement_repeats_rows_within_an_epoch() -> None:
    seen = taken(Minibatches(rows=60, batch=5, chains=1, seed=1, replacement=True), 12)
    # All 60 draws differ with probability 60!/60^60 < 1e-24.
    assert len(seen.unique()) < 60
    assert int(seen.min()) >= 0
    assert int(seen.max()) < 60


@pytest.mark.parametrize("replacement", [False, True])
def test_a_run_that_starts_in_the_middle_sees_the_same_rows(replacement: bool) -> None:
    minibatches = Minibatches(rows=23, batch=4, chains=2, seed=5, replacement=replacement)
    whole = taken(minibatches, 30)
    for first in (0, 1, 5, 17):
        assert torch.equal(taken(minibatches, 30 - first, first), whole[first:])


def test_a_batch_larger_than_the_rows_is_refused() -> None:
    with pytest.raises(InputError, match="between 1 and all"):
        Minibatches(rows=3, batch=4, chains=1, seed=0)


@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize(("first", "last"), [(0, 1), (0, 12), (5, 30), (12, 24), (23, 25)])
def test_batches_together_are_those_one_by_one(first: int, last: int, replacement: bool) -> None:
    minibatches = Minibatches(rows=62, batch=5, chains=3, seed=1, replacement=replacement)
    together = batches_between(minibatches, first, last)
    assert torch.equal(together.transpose(0, 1), taken(minibatches, last - first, first))
