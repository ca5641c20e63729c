"""Balanced draws and source-disjoint halves."""

import numpy as np
import pytest
import torch

from surefoot.errors import InputError
from surefoot.robust.balance import balanced_draw, source_halves
from surefoot.robust.dfr import DFRSettings, dfr
from surefoot.rows.rows import Groups, Rows, make_rows


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def groups_of(numbers: torch.Tensor, count: int) -> Groups:
    return Groups(tuple(f"g{group}" for group in range(count)), numbers[:, None] == torch.arange(count))


def ids_of(count: int) -> np.ndarray:
    return np.array([f"row:{row:04d}" for row in range(count)])


def test_every_group_gets_as_many_rows_as_the_smallest_has_and_none_twice() -> None:
    numbers = torch.tensor([0] * 50 + [1] * 7 + [2] * 20 + [-1] * 5)
    groups = groups_of(numbers, 3)
    drawn = balanced_draw(groups, ids_of(82), generator(), role="repair", method="DFR")
    assert groups.take(drawn).counts().tolist() == [7, 7, 7]
    assert len(drawn.unique()) == len(drawn) == 21  # rows in no group are not drawn


def test_every_row_of_a_group_is_equally_likely() -> None:
    # 2,000 draws of 5 from 20: each row's count is binomial(2000, 1/4); a row outside ±4.9 σ happens with
    # probability 1e-6, so one of 20 does in 2e-5 of runs.
    groups = groups_of(torch.tensor([0] * 20 + [1] * 5), 2)
    counts, source = torch.zeros(25), generator(1)
    for _ in range(2000):
        counts[balanced_draw(groups, ids_of(25), source, role="repair", method="DFR")] += 1
    assert float((counts[:20] - 500).abs().max()) < 4.9 * (2000 * 0.25 * 0.75) ** 0.5
    assert counts[20:].tolist() == [2000] * 5


def test_the_draw_belongs_to_the_ids_and_not_to_the_order_of_rows() -> None:
    numbers, ids = torch.tensor([0] * 30 + [1] * 9), ids_of(39)
    drawn = balanced_draw(groups_of(numbers, 2), ids, generator(3), role="repair", method="DFR")
    order = torch.randperm(39, generator=generator(4))
    again = balanced_draw(groups_of(numbers[order], 2), ids[order.numpy()], generator(3), role="repair", method="DFR")
    assert ids[order.numpy()][again.numpy()].tolist() == ids[drawn.numpy()].tolist()
    other = balanced_draw(groups_of(numbers, 2), ids, generator(5), role="repair", method="DFR")
    assert other.tolist() != drawn.tolist()


def test_an_empty_group_is_refused_by_name() -> None:
    # Guards trap 5 of DFR: an empty group made an empty fit, or NaN that won the selection.
    with pytest.raises(InputError) as caught:
        balanced_draw(groups_of(torch.tensor([0, 0, 2]), 3), ids_of(3), generator(), role="repair", method="DFR")
    assert str(caught.value) == (
        "The group 'g1' has no repair rows, and DFR draws equally many of every group; add repair rows of it, or "
        "leave it out of the groups."
    )


def test_overlapping_groups_weigh_the_same_each() -> None:
    # Row i is expected m · Σ_{g ∋ i} 1/n_g times in a draw. 1,000 draws: the count of a row is a sum of independent
    # draws of variance at most Σ_g p_g(1 − p_g); a row outside ±5.2 σ happens with probability 2e-7, one of 40 in 8e-6.
    members = torch.zeros(40, 3, dtype=torch.bool)
    members[:20, 0], members[10:40:2, 1], members[15:22, 2] = True, True, True
    groups, ids, source = Groups(("a", "b", "c"), members), ids_of(40), generator(2)
    fewest = int(groups.counts().min())
    counts = torch.zeros(40)
    for _ in range(1000):
        drawn = balanced_draw(groups, ids, source, role="repair", method="DFR")
        assert len(drawn) == 3 * fewest
        counts += drawn.bincount(minlength=40)
    chances = members * (fewest / groups.counts())
    expected, spread = 1000 * chances.sum(dim=1), (1000 * (chances * (1 - chances)).sum(dim=1)).sqrt()
    assert bool(((counts - expected).abs() <= 5.2 * spread).all())
    assert counts[~members.any(dim=1)].sum() == 0  # rows in no group are never drawn


def test_a_row_drawn_for_two_groups_counts_twice_in_the_fit() -> None:
    # Every group named twice: each row counts twice, which is the fit of the groups named once with C doubled.
    label = torch.tensor([0, 1] * 15)
    inputs = torch.randn(30, 3, generator=generator(6)) + label[:, None]
    once = Groups(("0", "1"), label[:, None] == torch.arange(2))
    twice = Groups(("0", "1", "0 again", "1 again"), label[:, None] == torch.arange(4) % 2)
    heads = [
        dfr(
            {role: make_rows(inputs, label, groups=groups) for role in ("repair", "choose")},
            DFRSettings(strengths=(strength,), retrains=1),
            seed=0,
        ).head
        for groups, strength in ((once, 2.0), (twice, 1.0))
    ]
    torch.testing.assert_close(heads[1].weight, heads[0].weight, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(heads[1].bias, heads[0].bias, atol=1e-5, rtol=1e-5)
    assert bool((heads[0].weight != 0).any())


def composed(count: int, cores: int, tops: int, seed: int) -> Rows:
    """Rows made of two sources each, as dominoes are; with this many pairs all sources form one knot."""
    source = generator(seed)
    core = torch.randint(cores, (count,), generator=source)
    top = torch.randint(tops, (count,), generator=source)
    names = np.array([[f"core:{a}", f"top:{b}"] for a, b in zip(core.tolist(), top.tolist(), strict=True)])
    targets = torch.arange(count) % 2
    rare = torch.arange(count) < count // 20
    groups = groups_of(2 * targets + rare, 4)
    return make_rows(torch.zeros(count, 1), targets, groups=groups, ids=ids_of(count), sources=names)


def test_halves_share_no_source_even_where_all_rows_hang_together() -> None:
    rows = composed(2000, 200, 50, 0)
    halves = source_halves(rows, rows.groups, generator())
    first, second = rows.take(halves.first), rows.take(halves.second)
    assert not first.origins() & second.origins()
    assert len(first) + len(second) + halves.left_out == 2000
    whole = rows.groups.counts()
    for half in (first, second):
        # The rare groups (50 rows each) keep most of their rows; the common ones lose about half of theirs.
        assert (half.groups.counts() >= 0.35 * whole)[[1, 3]].all()
        assert (half.groups.counts() >= 0.15 * whole)[[0, 2]].all()


def test_rows_with_their_own_sources_are_halved_exactly_in_every_group() -> None:
    numbers = torch.tensor([0] * 40 + [1] * 10 + [-1] * 6)
    rows = make_rows(torch.zeros(56, 1), torch.zeros(56, dtype=torch.int64), groups=groups_of(numbers, 2))
    halves = source_halves(rows, rows.groups, generator())
    assert rows.groups.take(halves.first).counts().tolist() == [20, 5]
    assert rows.groups.take(halves.second).counts().tolist() == [20, 5]
    assert halves.left_out == 6


def test_rows_of_one_patient_stay_in_one_half_and_none_is_lost() -> None:
    patients = torch.arange(60) // 3
    rows = make_rows(
        torch.zeros(60, 1),
        torch.zeros(60, dtype=torch.int64),
        groups=groups_of(patients % 2, 2),
        clusters=patients[:, None],
    )
    halves = source_halves(rows, rows.groups, generator(7))
    assert not set(patients[halves.first].tolist()) & set(patients[halves.second].tolist())
    assert halves.left_out == 0
    assert len(halves.first) == len(halves.second) == 30


def test_the_halves_belong_to_the_ids_and_not_to_the_order_of_rows() -> None:
    rows = composed(300, 80, 40, 1)
    order = torch.randperm(300, generator=generator(2))
    shuffled = rows.take(order)
    ours = source_halves(rows, rows.groups, generator(3))
    theirs = source_halves(shuffled, shuffled.groups, generator(3))
    assert rows.ids[ours.first.numpy()].tolist() == shuffled.ids[theirs.first.numpy()].tolist()
    assert rows.ids[ours.second.numpy()].tolist() == shuffled.ids[theirs.second.numpy()].tolist()
