"""Rows without their smallest groups."""

import pytest
import torch

from surefoot.errors import InputError
from surefoot.rows.minority import remove_minority
from surefoot.rows.rows import Groups, Rows, make_rows


def waterbirds() -> Rows:
    """The group counts of Waterbirds' training rows."""
    group = torch.arange(4).repeat_interleave(torch.tensor([3498, 184, 56, 1057]))
    return make_rows(
        torch.arange(len(group), dtype=torch.float32)[:, None],
        group // 2,
        groups=Groups(("land/land", "land/water", "water/land", "water/water"), group[:, None] == torch.arange(4)),
    )


def test_the_two_smallest_groups_of_waterbirds_go_and_the_rest_stays_in_order() -> None:
    rows = waterbirds()
    left = remove_minority(rows, 2)
    assert left.groups.counts().tolist() == [3498, 0, 0, 1057]
    assert torch.equal(left.inputs[:], torch.cat([rows.inputs[:3498], rows.inputs[3738:]]))
    assert len(remove_minority(rows, 0)) == len(rows)


def test_a_row_in_a_small_and_a_large_group_goes() -> None:
    members = torch.tensor([[True, True, False], [True, False, False], [True, False, True], [False, False, True]])
    rows = make_rows(torch.arange(4.0)[:, None], torch.tensor([0, 1, 0, 1]), groups=Groups(("a", "b", "c"), members))
    assert remove_minority(rows, 1).inputs[:, 0].tolist() == [1.0, 2.0, 3.0]


def test_removing_too_many_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        remove_minority(waterbirds(), 3)
    assert str(caught.value) == "remove_minority was asked to remove 3 of 4 groups; at least two groups must be left."
