"""Roles: exact stratification, families together, the same answer whatever the order of the rows."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from surefoot.errors import InputError
from surefoot.rows.assign import assign_roles, check_roles, cross_fit, families, roles_from_split
from surefoot.rows.rows import Groups, Rows, cross_groups, make_rows

QUARTERS = {"fit": 0.4, "repair": 0.1, "choose": 0.2, "judge": 0.3}
quick = settings(max_examples=25, deadline=None, derandomize=True)


def grouped(count: int, seed: int = 0) -> Rows:
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(0, 2, (count,), generator=generator)
    attribute = torch.randint(-1, 3, (count,), generator=generator)
    return make_rows(
        torch.arange(float(count))[:, None],
        targets,
        classes=("a", "b"),
        groups=cross_groups(targets, ("a", "b"), attribute, ("x", "y", "z")),
        ids=np.array([f"row:{row:05d}" for row in range(count)]),
    )


sizes, seeds = st.integers(20, 60), st.integers(0, 2**32)


def tangled(count: int, seed: int) -> Rows:
    """Rows whose sources and inputs are shared at random."""
    generator = np.random.default_rng(seed)
    sources = generator.integers(0, 4 * count, (count, 2)).astype(str)
    sources[generator.random((count, 2)) < 0.3] = ""
    inputs = torch.from_numpy(generator.integers(0, 6 * count, (count, 1, 1, 1)).astype(np.float32))
    targets = torch.from_numpy(generator.integers(0, 2, count))
    ids = np.array([f"row:{row:03d}" for row in range(count)])
    return make_rows(inputs, targets, classes=("a", "b"), ids=ids, sources=sources)


def reference_families(rows: Rows) -> list[set[int]]:
    """Connected components by plain search."""
    keys = [
        {name for name in sources if name} | {float(value)}
        for sources, value in zip(rows.sources.tolist(), rows.inputs[:].flatten(), strict=True)
    ]
    left, found = set(range(len(rows))), []
    while left:
        family = {left.pop()}
        waiting = list(family)
        while waiting:
            row = waiting.pop()
            near = {other for other in left if keys[row] & keys[other]}
            left -= near
            family |= near
            waiting += near
        found.append(family)
    return found


@quick
@given(sizes, seeds)
def test_families_are_the_connected_components(count, seed):
    rows = tangled(count, seed)
    numbers = families(rows).tolist()
    ours = [{row for row, of in enumerate(numbers) if of == number} for number in range(max(numbers) + 1)]
    assert sorted(map(sorted, ours)) == sorted(map(sorted, reference_families(rows)))


def test_a_long_chain_is_one_family():
    links = np.array([[str(row), str(row + 1)] for row in np.random.default_rng(0).permutation(500)])
    rows = make_rows(torch.arange(500.0)[:, None], torch.zeros(500, dtype=torch.int64), sources=links)
    assert families(rows).unique().tolist() == [0]


@quick
@given(sizes, seeds)
def test_no_family_crosses_a_role_and_no_row_is_lost(count, seed):
    rows = tangled(count, seed)
    roles = assign_roles(rows, {"fit": 0.6, "judge": 0.4}, seed)
    check_roles(roles)
    assert sorted(name for part in roles.values() for name in part.ids) == sorted(rows.ids)


@quick
@given(st.integers(0, 1000), st.integers(30, 200))
def test_each_stratum_is_split_to_within_one_row(seed, count):
    rows = grouped(count, seed)
    roles = assign_roles(rows, QUARTERS, seed)
    for label in (0, 1):
        for pattern in rows.groups.members.unique(dim=0):

            def inside(part: Rows) -> int:
                return int(((part.targets == label) & (part.groups.members == pattern).all(dim=1)).sum())  # noqa: B023

            for role, fraction in QUARTERS.items():
                assert abs(inside(roles[role]) - fraction * inside(rows)) <= 1 + 1e-9
    for role, fraction in QUARTERS.items():
        assert abs(len(roles[role]) - fraction * count) <= 3


@quick
@given(sizes, seeds)
def test_the_order_of_the_rows_does_not_matter(count, seed):
    rows = tangled(count, seed)
    order = np.random.default_rng([seed, 1]).permutation(count)
    first = assign_roles(rows, {"fit": 0.6, "judge": 0.4}, seed)
    second = assign_roles(rows.take(torch.from_numpy(order)), {"fit": 0.6, "judge": 0.4}, seed)
    for role in first:
        assert set(first[role].ids) == set(second[role].ids)


def test_rows_keep_their_order_and_the_seed_matters():
    rows = grouped(200)
    roles = assign_roles(rows, QUARTERS, 0)
    for part in roles.values():
        assert part.ids.tolist() == sorted(part.ids)
        assert torch.equal(part.inputs[:, 0].long(), torch.tensor([int(name[4:]) for name in part.ids]))
    assert set(roles["fit"].ids) != set(assign_roles(rows, QUARTERS, 1)["fit"].ids)


def test_many_tiny_strata_do_not_all_go_to_the_largest_role():
    members = torch.from_numpy(((np.arange(64)[:, None] >> np.arange(6)) & 1).astype(bool))
    names = tuple(f"attribute {number}" for number in range(6))
    rows = make_rows(torch.arange(64.0)[:, None], torch.zeros(64, dtype=torch.int64), groups=Groups(names, members))
    sizes = {role: len(part) for role, part in assign_roles(rows, QUARTERS, 0).items()}
    assert sum(abs(sizes[role] - 64 * QUARTERS[role]) for role in QUARTERS) <= 3


def test_assignment_looks_random_to_the_inputs():
    """Mean input of a role differs from the whole by no more than 4 standard errors (false alarms 6e-5 a role)."""
    rows = grouped(4000)
    for part in assign_roles(rows, QUARTERS, 7).values():
        mean = part.inputs.mean().item()
        error = 4000 / np.sqrt(12) / np.sqrt(len(part))
        assert abs(mean - 1999.5) < 4 * error


@quick
@given(st.integers(2, 6), st.integers(0, 1000))
def test_cross_fitting_holds_every_row_out_once(folds, seed):
    rows = grouped(90)
    pairs = cross_fit(rows, folds, seed)
    assert len(pairs) == folds
    assert torch.equal(torch.cat([held for _, held in pairs]).sort().values, torch.arange(90))
    for train, held in pairs:
        assert torch.equal(torch.cat([train, held]).sort().values, torch.arange(90))
        assert abs(int(rows.targets[held].sum()) - int(rows.targets.sum()) / folds) <= 4


def test_a_split_column_gives_roles():
    rows = grouped(6)
    meaning = {"train": "fit", "valid": "choose", "test": "judge", "extra": "fit"}
    roles = roles_from_split(rows, ["train", "test", "train", "valid", "extra", "test"], meaning)
    assert {role: part.ids.tolist() for role, part in roles.items()} == {
        "fit": ["row:00000", "row:00002", "row:00004"],
        "choose": ["row:00003"],
        "judge": ["row:00001", "row:00005"],
    }


def refusal(call) -> str:
    with pytest.raises(InputError) as caught:
        call()
    return str(caught.value)


def test_bad_fractions_are_refused():
    rows = grouped(10)
    assert refusal(lambda: assign_roles(rows, {"fit": 0.5, "judge": 0.4}, 0)) == (
        "The fractions (fit 0.5, judge 0.4) sum to 0.9; make them sum to 1."
    )
    assert refusal(lambda: assign_roles(rows, {"fit": 1.0, "judge": 0.0}, 0)) == (
        "The fraction of judge is 0.0; give more than 0, or leave the role out."
    )
    assert refusal(lambda: assign_roles(grouped(3), QUARTERS, 0)) == (
        "3 rows cannot fill 4 roles; give at least one row per role, or fewer roles."
    )


def test_a_role_that_would_be_empty_is_refused():
    rows = make_rows(torch.zeros(5, 1, 2, 2), torch.tensor([0, 1, 0, 1, 0]))
    assert refusal(lambda: assign_roles(rows, {"fit": 0.5, "judge": 0.5}, 0)) == (
        "The role judge would get no rows: the 5 rows form 1 families that share a source or an identical input "
        "and must stay together; give more rows, a larger fraction for judge, or fewer roles."
    )
    assert refusal(lambda: cross_fit(rows, 2, 0)) == (
        "5 rows in 1 families (shared sources or identical inputs) cannot make 2 folds; "
        "give more rows or at most 1 folds."
    )
    assert refusal(lambda: cross_fit(rows, 1, 0)) == "1 folds were asked for; cross-fitting needs at least 2."


def test_ids_in_two_splits_are_refused():
    rows = grouped(5)
    ids = np.array(["a", "b", "a", "c", "b"])
    rows = make_rows(rows.inputs, rows.targets, classes=rows.classes, ids=ids)
    meaning = {"0": "fit", "2": "judge"}
    assert refusal(lambda: roles_from_split(rows, ["0", "0", "2", "2", "2"], meaning)) == (
        "2 ids are in two splits (first: a, b); a row has one role: remove it from one split."
    )
    assert refusal(lambda: roles_from_split(rows, ["0", "0", "0", "1", "0"], meaning)) == (
        "The split '1' has no role (the meaning names '0', '2'); say which of fit, repair, choose, judge it is, "
        "or leave its rows out."
    )
    assert refusal(lambda: roles_from_split(rows, ["0"], meaning)) == (
        "There are 5 rows but 1 split values; give one per row."
    )
