"""Slices that are found in a model's errors: what is there is found, and what is not there is not."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.stats import fisher_exact
from scipy.stats import hypergeom as reference

from surefoot.errors import InputError
from surefoot.findings.clustering import cluster_design
from surefoot.findings.predictions import Predictions, predictions_for
from surefoot.robust.slices.conditions import Condition, conditions_of, holds
from surefoot.robust.slices.discover import DISCOVERED, DiscoverSettings, Discovery, discover_slices, discovered_groups
from surefoot.robust.slices.multiplicity import holm, hypergeometric_tail, worse_than
from surefoot.rows.rows import make_rows


def said(wrong: np.ndarray, clusters: np.ndarray | None = None) -> Predictions:
    """Predictions of two classes, of which `wrong` [seeds, rows] or [rows] are wrong."""
    wrong = np.atleast_2d(wrong)
    targets = torch.arange(wrong.shape[1]) % 2
    right = torch.nn.functional.one_hot(targets, 2).double()
    flipped = torch.where(torch.from_numpy(wrong)[:, :, None], 1 - right, right)
    names = None if clusters is None else torch.from_numpy(clusters)[:, None]
    sources = None if clusters is None else np.array([f"person:{name}" for name in clusters])[:, None]
    rows = make_rows(torch.zeros(len(targets), 1), targets, clusters=names, sources=sources)
    return predictions_for(rows, flipped)


def metadata(random: np.random.Generator, rows: int) -> dict[str, np.ndarray | list[str]]:
    """Six columns, two of which hang together."""
    age = random.normal(40, 12, rows).round()
    return {
        "sex": [str(value) for value in random.choice(["F", "M"], rows, p=[0.3, 0.7])],
        "age": age,
        "hours": age + random.normal(0, 10, rows),
        "place": [str(value) for value in random.choice(["north", "south", "east", "west", ""], rows)],
        "device": [str(value) for value in random.choice(["a", "b", "c"], rows, p=[0.8, 0.15, 0.05])],
        "batch": random.integers(0, 6, rows).astype(np.float64),
    }


def discover(seed: int, planted: float, *, rows: int = 2000, people: int | None = None) -> Discovery:
    """One data set where rows are wrong in 15 %, and women older than 50 in `planted`."""
    random = np.random.default_rng(seed)
    columns = metadata(random, rows)
    hit = (np.array(columns["sex"]) == "F") & (np.asarray(columns["age"]) > 50)
    chance = np.where(hit, planted, 0.15)
    clusters = None
    if people is not None:
        # People differ in how often the model is wrong about them; each has about rows / people rows.
        clusters = random.integers(0, people, rows)
        odds = np.log(chance / (1 - chance)) + random.normal(0, 1.0, people)[clusters]
        chance = 1 / (1 + np.exp(-odds))
        person = random.choice(["F", "M"], people, p=[0.3, 0.7])
        columns["sex"] = [str(person[name]) for name in clusters]
    wrong = random.random(rows) < chance
    return discover_slices(said(wrong, clusters), columns, DiscoverSettings(), seed)


def test_a_planted_slice_is_found_and_its_interval_holds() -> None:
    found = discover(1, 0.5)
    assert found.tried > 400
    best = found.confirmed[0]
    assert best.conditions[0] == Condition("sex", "=", "F")
    assert best.conditions[1].column in {"age", "hours"}  # hours are age and noise: either may win
    assert best.conditions[1].how == ">"
    assert best.accuracy_interval.low <= 0.5 <= best.accuracy_interval.high + 0.1  # cut at a quantile, not at 50
    assert best.accuracy_interval.confidence > 0.95  # all that were tested hold together
    assert best.adjusted <= 0.05
    assert best.difference_interval.high < 0


def test_with_nothing_there_nothing_is_found() -> None:
    # Each data set has a false find with probability at most .05; more than 3 of 8 do with probability 4e-4.
    assert sum(bool(discover(seed, 0.15).confirmed) for seed in range(8)) <= 3


@pytest.mark.slow
@pytest.mark.parametrize("people", [None, 400])
def test_false_finds_are_as_rare_as_stated(people: int | None) -> None:
    # 200 data sets without structure, with independent rows and with people: at most 5 % may have any find.
    # At exactly 5 % more than 22 of 200 are found with probability 2e-4.
    count = sum(bool(discover(seed, 0.15, people=people).confirmed) for seed in range(200))
    print(f"false finds with {people or 'no'} people: {count} of 200")
    assert count <= 22


@pytest.mark.slow
@pytest.mark.parametrize("people", [None, 400])
def test_the_intervals_of_all_candidates_hold_together(people: int | None) -> None:
    # Every slice that is tested has 15 % wrong; all intervals of one data set cover that in at least 95 %.
    # (With people, the expected error over people is estimated from 400,000 draws.)
    random = np.random.default_rng(7)
    odds = math.log(0.15 / 0.85) + (random.normal(0, 1.0, 400_000) if people else 0.0)
    truth = 1 - float(np.mean(1 / (1 + np.exp(-odds))))
    missed = 0
    for seed in range(200):
        candidates = discover(1000 + seed, 0.15, people=people).candidates
        missed += not all(each.accuracy_interval.low <= truth <= each.accuracy_interval.high for each in candidates)
    print(f"families of intervals that miss with {people or 'no'} people: {missed} of 200")
    assert missed <= 22


@pytest.mark.slow
def test_power_grows_with_the_difference() -> None:
    # Women over 50 are about 6 % of 2,000 rows: 60 in the confirm half. Share of data sets in which some confirmed
    # slice names sex.
    power = {}
    for planted in (0.3, 0.4, 0.5):
        hits = [
            any("sex" in {part.column for part in each.conditions} for each in discover(s, planted).confirmed)
            for s in range(50)
        ]
        power[planted] = sum(hits) / 50
    print(f"power: {power}")
    assert power[0.3] <= power[0.4] <= power[0.5]
    assert power[0.5] >= 0.9


def test_the_search_and_the_confirm_half_share_no_source() -> None:
    random = np.random.default_rng(3)
    people = random.integers(0, 150, 900)
    predictions = said(random.random(900) < 0.2, people)
    found = discover_slices(predictions, metadata(random, 900), DiscoverSettings(), 0)
    assert not set(people[found.search]) & set(people[found.confirm])
    assert len(found.search) + len(found.confirm) == 900


def test_the_confirm_half_has_no_part_in_what_is_tested() -> None:
    # Other errors in the confirm half change what is confirmed, never what is tested.
    random = np.random.default_rng(4)
    columns, wrong = metadata(random, 1200), random.random(1200) < 0.3
    first = discover_slices(said(wrong), columns, DiscoverSettings(), 0)
    changed = wrong.copy()
    changed[first.confirm] = random.random(len(first.confirm)) < 0.3
    second = discover_slices(said(changed), columns, DiscoverSettings(), 0)
    assert first.candidates
    assert sorted(each.name for each in first.candidates) == sorted(each.name for each in second.candidates)
    assert [each.p_value for each in first.candidates] != [each.p_value for each in second.candidates]


def test_a_slice_that_adds_nothing_to_a_better_one_is_not_tested() -> None:
    # All errors above 0 are in place=north; "north and anything" adds nothing.
    random = np.random.default_rng(5)
    columns = metadata(random, 3000)
    wrong = (np.array(columns["place"]) == "north") & (random.random(3000) < 0.6)
    found = discover_slices(said(wrong), columns, DiscoverSettings(), 0)
    assert found.candidates[0].name == "place=north"
    assert len(found.candidates) <= 3


def test_the_search_scores_as_counting_one_by_one_does() -> None:
    # The most suspicious pair by brute force is the first that is picked.
    from surefoot.robust.slices.search import search_slices

    random = np.random.default_rng(6)
    columns, wrong = metadata(random, 800), random.random(800) < 0.25
    told = conditions_of(columns, (0.25, 0.5, 0.75)).conditions
    masks = np.stack([holds(condition, columns) for condition in told])
    picked = search_slices(told, masks, 1.0 - wrong, depth=2, fewest=30, most=5)

    def score(mask: np.ndarray) -> float:
        inside, outside = wrong[mask], wrong[~mask]
        if min(len(inside), len(outside)) < 30:
            return -math.inf
        error = math.sqrt(wrong.mean() * (1 - wrong.mean()) * (1 / len(inside) + 1 / len(outside)))
        return float((inside.mean() - outside.mean()) / error)

    pairs = [
        pair
        for pair in combinations(range(len(told)), 2)
        if told[pair[0]].column != told[pair[1]].column
        or (
            {told[at].how for at in pair} == {"<=", ">"}
            and max(told[at].value for at in pair if told[at].how == ">")
            < min(told[at].value for at in pair if told[at].how == "<=")
        )
    ]
    best = max([(at,) for at in range(len(told))] + pairs, key=lambda chosen: score(masks[list(chosen)].all(axis=0)))
    assert picked.picked[0] == best


def test_fishers_test_is_the_reference() -> None:
    random = np.random.default_rng(8)
    for _ in range(20):
        wrong, inside = random.random(60) < 0.3, random.random(60) < 0.4
        ours = worse_than(1.0 - wrong[None], inside, ~inside, cluster_design(np.arange(60)[:, None]))
        table = [[(wrong & inside).sum(), (~wrong & inside).sum()], [(wrong & ~inside).sum(), (~wrong & ~inside).sum()]]
        assert ours == pytest.approx(fisher_exact(table, alternative="greater").pvalue, rel=1e-9)
    assert hypergeometric_tail(30, 900, 2000, 100_000) == pytest.approx(reference(100_000, 900, 2000).sf(29), rel=1e-6)


def test_holm_is_the_reference() -> None:
    # By hand, from Holm's own description.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == ()
    assert holm([0.9, 0.8]) == (1.0, 1.0)


def test_rows_of_one_person_count_once() -> None:
    # Every row ten times over is no more evidence: the p-value is about that of the rows taken once.
    random = np.random.default_rng(9)
    wrong, inside = random.random(300) < 0.2, random.random(300) < 0.3
    wrong |= inside & (random.random(300) < 0.15)
    once = worse_than(1.0 - wrong[None], inside, ~inside, cluster_design(np.arange(300)[:, None]))
    tenfold = worse_than(
        1.0 - np.repeat(wrong, 10)[None], np.repeat(inside, 10), ~np.repeat(inside, 10),
        cluster_design(np.repeat(np.arange(300), 10)[:, None]),
    )  # fmt: skip
    assert 1e-4 < once < 0.2
    assert once / 3 < tenfold < once * 3


def test_groups_for_a_repair_name_themselves_discovered_and_cover_every_row() -> None:
    found = discover(1, 0.5)
    columns = metadata(np.random.default_rng(99), 500)
    groups = discovered_groups(found.confirmed, columns)
    assert all(name.startswith(DISCOVERED) for name in groups.names)
    assert bool(groups.members.any(dim=1).all())
    first = (np.array(columns["sex"]) == "F") & holds(found.confirmed[0].conditions[-1], columns)
    assert groups.members[:, 0].sum() <= first.sum() or len(found.confirmed[0].conditions) == 2


def test_without_a_slice_there_are_no_groups() -> None:
    with pytest.raises(InputError, match="no slice to make groups of"):
        discovered_groups((), {"age": np.arange(4.0)})


def test_missing_values_are_in_no_comparison() -> None:
    columns = {"age": ["30", "", "70"], "sex": ["F", "", "M"]}
    assert holds(Condition("age", ">", 20.0), columns).tolist() == [True, False, True]
    assert holds(Condition("age", "<=", 50.0), columns).tolist() == [True, False, False]
    assert holds(Condition("sex", "=", ""), columns).tolist() == [False, True, False]


def test_columns_that_describe_nothing_are_refused() -> None:
    with pytest.raises(InputError, match=r"None of the columns can describe a slice: name \(60 different values\)"):
        conditions_of({"name": [f"n{row}" for row in range(60)]}, (0.5,))
    with pytest.raises(InputError, match=r"has 3 values for 4 rows"):
        discover_slices(said(np.zeros(4, dtype=bool)), {"a": ["x"] * 3}, DiscoverSettings(), 0)


def test_several_seeds_are_more_than_one() -> None:
    random = np.random.default_rng(11)
    columns = metadata(random, 2000)
    hit = np.array(columns["place"]) == "south"
    wrong = random.random((3, 2000)) < np.where(hit, 0.5, 0.1)
    found = discover_slices(said(wrong), columns, DiscoverSettings(depth=1), 0)
    assert found.confirmed[0].name == "place=south"
