"""Law: a duplicate or a descendant never crosses a role, and judge rows that anything saw are refused."""

import numpy as np
import pytest
import torch

from surefoot.errors import InputError
from surefoot.rows.assign import assign_roles, check_roles, roles_from_split
from surefoot.rows.coloured import coloured_digits
from surefoot.rows.dominoes import dominoes
from surefoot.rows.roles import refuse_seen
from surefoot.rows.rows import Rows, concatenate, make_rows


def collected(count: int = 40) -> Rows:
    """Rows as they were collected: every one its own source."""
    inputs = torch.randn(count, 3, generator=torch.Generator().manual_seed(0))
    return make_rows(inputs, torch.arange(count) % 2, ids=np.array([f"photo:{row:02d}" for row in range(count)]))


def renamed(rows: Rows, what: str, inputs: torch.Tensor) -> Rows:
    """The same rows seen differently under new names, which keep their descent."""
    seen = rows.with_inputs(inputs)
    return make_rows(inputs, seen.targets, ids=np.char.add(f"{what}:", rows.ids), sources=rows.sources)


def test_descendants_get_the_role_of_their_source():
    rows = collected()
    corrupted = renamed(rows, "fog", rows.inputs * 0.5)
    again = renamed(corrupted, "crop", corrupted.inputs + 1)
    roles = assign_roles(concatenate(concatenate(rows, corrupted), again), {"fit": 0.5, "judge": 0.5}, seed=3)
    role_of = {name: role for role, part in roles.items() for name in part.ids}
    for name in rows.ids:
        assert role_of[name] == role_of[f"fog:{name}"] == role_of[f"crop:fog:{name}"]


def test_duplicates_are_kept_and_share_a_role():
    rows = collected()
    stranger = make_rows(rows.inputs.clone(), rows.targets, ids=np.array([f"copy:{row:02d}" for row in range(40)]))
    roles = assign_roles(concatenate(rows, stranger), {"fit": 0.5, "judge": 0.5}, seed=3)
    assert sum(len(part) for part in roles.values()) == 80
    role_of = {name: role for role, part in roles.items() for name in part.ids}
    assert all(role_of[f"photo:{row:02d}"] == role_of[f"copy:{row:02d}"] for row in range(40))


def test_judge_rows_without_a_source_are_known_by_their_ids():
    rows = collected(4)
    bare = make_rows(rows.inputs, rows.targets, ids=rows.ids, sources=np.full((4, 1), "", dtype=np.str_))
    with pytest.raises(InputError, match=r"4 sources of the judge rows .first: photo:00. were already seen by it"):
        refuse_seen(bare, bare.origins(), "it")


def test_an_original_without_a_source_stays_with_the_copies_that_name_it():
    """The plainest table of augmented data: the source of a copy is the id of its original, whose own is empty."""
    names = np.array([f"photo:{row:02d}" for row in range(40)])
    inputs = torch.randn(80, 3, generator=torch.Generator().manual_seed(0))
    ids, sources = np.append(names, np.char.add("crop:", names)), np.append(np.full(40, ""), names)[:, None]
    rows = make_rows(inputs, torch.arange(80) % 2, ids=ids, sources=sources)
    for part in assign_roles(rows, {"fit": 0.5, "judge": 0.5}, seed=0).values():
        originals = {name for name in part.ids.tolist() if name.startswith("photo")}
        assert {name.removeprefix("crop:") for name in part.ids.tolist()} == originals
    assert len(rows.clusters.unique()) == 40
    with pytest.raises(InputError, match="40 sources are in both fit and judge"):
        roles_from_split(rows, ["fit"] * 40 + ["judge"] * 40, {"fit": "fit", "judge": "judge"})


@pytest.mark.parametrize("roles", [dominoes(), coloured_digits()], ids=["dominoes", "coloured digits"])
def test_generated_roles_keep_the_law(roles):
    check_roles(roles)


def test_a_split_that_breaks_the_law_is_refused():
    rows = collected(4)
    meaning = {"train": "fit", "test": "judge"}
    both = concatenate(rows, renamed(rows, "fog", rows.inputs * 0.5))
    with pytest.raises(InputError) as caught:
        roles_from_split(both, ["train"] * 4 + ["test"] * 4, meaning)
    assert str(caught.value) == (
        "4 sources are in both fit and judge (first: 'photo:00'); a row, its descendants and its duplicates must "
        "all have one role: remove one side, or let assign_roles split the rows."
    )
    copies = concatenate(rows, make_rows(rows.inputs.clone(), rows.targets, ids=np.array(list("abcd"))))
    with pytest.raises(InputError) as caught:
        roles_from_split(copies, ["train"] * 4 + ["test"] * 3 + ["train"], meaning)
    assert str(caught.value).startswith("3 inputs are in both fit and judge (first: 'photo:0")
    assert "byte for byte);" in str(caught.value)
    with pytest.raises(InputError, match="2 ids are in both fit and choose"):
        check_roles({"fit": rows.take(torch.tensor([0, 1, 2])), "choose": rows.take(torch.tensor([1, 2]))})


def test_judging_rows_that_were_seen_is_refused():
    rows = collected(6)
    descendant = renamed(rows, "fog", rows.inputs * 0.5)
    seen = descendant.take(torch.tensor([4, 1])).origins()
    with pytest.raises(InputError) as caught:
        refuse_seen(rows, seen, "fit")
    assert str(caught.value) == (
        "2 sources of the judge rows (first: photo:01) were already seen by fit; "
        "judge on rows that no fit, repair or choice has touched."
    )
    refuse_seen(rows.take(torch.tensor([0, 2, 3, 5])), seen, "fit")
