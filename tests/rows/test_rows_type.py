"""Rows keep what belongs together together, and say so when it does not fit."""

import numpy as np
import pytest
import torch

from surefoot.errors import InputError
from surefoot.rows.rows import Groups, concatenate, cross_groups, make_rows, numbered
from surefoot.rows.texts import Texts


def refusal(call) -> str:
    with pytest.raises(InputError) as caught:
        call()
    return str(caught.value)


def example():
    targets = torch.tensor([0, 1, 1, 0, 1])
    return make_rows(
        torch.arange(10.0).reshape(5, 2),
        targets,
        classes=("a", "b"),
        groups=cross_groups(targets, ("a", "b"), torch.tensor([0, 1, -1, 1, 0]), ("x", "y")),
        weights=torch.arange(5.0),
        sources=np.array([["s0", "t"], ["s1", ""], ["s0", "t"], ["s3", "u"], ["s4", ""]]),
    )


def test_groups_are_numbered_as_the_field_does():
    """g = class · values + value; an unknown attribute is in no group."""
    assert example().groups.members.long().tolist() == [
        [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0],
    ]  # fmt: skip


@pytest.mark.parametrize("index", [torch.tensor([3, 0, 3]), torch.tensor([True, False, True, False, True])])
def test_taking_rows_takes_every_part(index):
    rows = example()
    places = index.nonzero().squeeze(1).tolist() if index.dtype == torch.bool else index.tolist()
    taken = rows.take(index)
    assert taken.inputs.tolist() == [rows.inputs[place].tolist() for place in places]
    assert taken.targets.tolist() == [int(rows.targets[place]) for place in places]
    assert taken.weights.tolist() == [float(place) for place in places]
    assert taken.ids.tolist() == [f"row:{place}" for place in places]
    assert taken.sources.tolist() == [rows.sources[place].tolist() for place in places]
    assert taken.clusters.tolist() == [rows.clusters[place].tolist() for place in places]
    assert taken.groups.members.tolist() == [rows.groups.members[place].tolist() for place in places]


def test_clusters_follow_sources_and_an_empty_source_is_alone():
    first, second = example().clusters.T.tolist()
    assert first[0] == first[2]
    assert len(set(first)) == 4
    assert second[0] == second[2]
    assert len(set(second)) == 4
    assert numbered(np.array([["", ""]])).shape == (1, 2)


def test_a_row_that_names_no_source_descends_from_itself():
    """Otherwise no guard could tell that a model has seen it."""
    rows = example()
    assert rows.origins() == {"s0", "s1", "s3", "s4", "t", "u"}
    sources = np.array([["s0", "t"], ["", ""], ["", "t"], ["s3", "u"], ["", ""]])
    some = make_rows(rows.inputs, rows.targets, sources=sources)
    assert some.origins() == {"s0", "t", "s3", "u", "row:1", "row:4"}


def test_parts_joined_are_the_whole():
    rows = example()
    joined = concatenate(rows.take(torch.arange(2)), rows.take(torch.arange(2, 5)))
    assert torch.equal(joined.inputs, rows.inputs)
    assert torch.equal(joined.groups.members, rows.groups.members)
    assert torch.equal(joined.clusters, rows.clusters)
    assert joined.sources.tolist() == rows.sources.tolist()
    assert joined.origins() == {"s0", "s1", "s3", "s4", "t", "u"}


def test_texts_joined_stay_texts():
    pairs = Texts((("it rains", "it snows", "it hails"), ("dry", "cold", "hard")))
    rows = make_rows(pairs, torch.tensor([0, 1, 0]), classes=("a", "b"))
    joined = concatenate(rows.take(torch.arange(1)), rows.take(torch.arange(1, 3)))
    assert joined.inputs == pairs
    assert joined.ids.tolist() == rows.ids.tolist()
    single = make_rows(Texts((("it rains",),)), torch.tensor([0]), classes=("a", "b"))
    assert refusal(lambda: concatenate(rows, single)) == (
        "Rows with 2 columns of text and 1 column of text cannot be joined; give texts with as many columns, or no "
        "texts at all."
    )
    numbers = make_rows(torch.zeros(1, 2), torch.tensor([0]), classes=("a", "b"))
    assert "1 column of text and Tensor" in refusal(lambda: concatenate(single, numbers))
    assert "Tensor and 1 column of text" in refusal(lambda: concatenate(numbers, single))


def test_rows_with_other_ways_of_hanging_together_are_not_joined():
    one = make_rows(torch.zeros(1, 2), torch.tensor([0]), classes=("a", "b"))
    two = make_rows(
        torch.zeros(1, 2), torch.tensor([0]), classes=("a", "b"), ids=np.array(["x"]), sources=np.array([["s", "t"]])
    )
    assert refusal(lambda: concatenate(one, two)) == (
        "Rows with 1 columns of sources and 1 of clusters cannot be joined to rows with 2 and 2; give both as many."
    )


def test_what_does_not_fit_is_refused():
    assert refusal(lambda: make_rows(torch.zeros(3, 1), torch.tensor([0, 1]))) == (
        "There are 3 inputs but 2 targets; give one per row."
    )
    assert refusal(lambda: Groups(("a",), torch.zeros(2, 2, dtype=torch.bool))) == (
        "1 group names were given for 2 membership columns; give one name per column."
    )
    assert refusal(lambda: Groups(("a", "a"), torch.zeros(2, 2, dtype=torch.bool))) == (
        "Group names repeat in ('a', 'a'); give each group its own name."
    )
    other = make_rows(torch.zeros(1, 2), torch.tensor([0]), classes=("a", "c"))
    assert refusal(lambda: concatenate(example(), other)).endswith("use the same names in the same order.")
