"""Descent through several links ends at the root, and numbers that only count are no links."""

import numpy as np
import pytest
import torch

from surefoot.errors import InputError
from surefoot.rows.arrays import rows_from_arrays
from surefoot.rows.assign import assign_roles, check_roles, families, roles_from_split
from surefoot.rows.descent import resolved
from surefoot.rows.roles import Roles
from surefoot.rows.rows import Rows, concatenate, make_rows


def roots(ids: list[str], sources: list[str]) -> list[str]:
    return resolved(np.array(ids), np.array(sources)[:, None])[:, 0].tolist()


def test_links_are_followed_to_the_root() -> None:
    ids = ["photo", "crop", "spin", "fog", "other"]
    assert roots(ids, ["patient", "photo", "crop", "crop", ""]) == ["patient"] * 4 + [""]
    assert roots(["a", "b", "c"], ["b", "a", "b"]) == ["a", "a", "a"]  # a ring has one name


def test_a_chain_of_a_thousand_links_has_one_root() -> None:
    order = np.random.default_rng(0).permutation(1000)
    ids = [f"frame {row}" for row in order]
    sources = [f"frame {row - 1}" if row else "film" for row in order]
    assert set(roots(ids, sources)) == {"film"}


def test_numbers_are_links_only_where_every_chain_ends_at_a_row_without_a_source() -> None:
    assert roots(["0", "1", "2"], ["", "0", "1"]) == ["", "0", "0"]
    rows, patients = [str(row) for row in range(60)], [str(row // 3) for row in range(60)]
    assert roots(rows, patients) == patients
    inputs = torch.arange(60.0)[:, None]
    read = rows_from_arrays(inputs, [0, 1] * 30, ids=rows, sources=patients)
    assert len(families(read).unique()) == 20


def photos() -> Rows:
    """Twenty photos of a patient each, and a crop of every photo, which names the photo."""
    ids = [f"p{row}" for row in range(20)] + [f"crop{row}" for row in range(20)]
    sources = [f"patient{row}" for row in range(20)] + [f"p{row}" for row in range(20)]
    return rows_from_arrays(torch.arange(40.0)[:, None], [0, 1] * 20, ids=ids, sources=sources)


def test_a_crop_of_a_photo_of_a_patient_stays_with_the_photo() -> None:
    rows = photos()
    assert len(rows.origins()) == 20 == len(rows.clusters.unique())
    for part in assign_roles(rows, {"fit": 0.5, "judge": 0.5}, seed=0).values():
        numbers = [name.removeprefix("crop").removeprefix("p") for name in part.ids.tolist()]
        assert sorted(numbers) == sorted(2 * sorted(set(numbers)))
    with pytest.raises(InputError, match="20 sources are in both fit and judge"):
        roles_from_split(rows, ["fit"] * 20 + ["judge"] * 20, {"fit": "fit", "judge": "judge"})


def test_a_source_that_is_an_id_of_another_role_is_refused() -> None:
    """Rows that were made apart, so that nothing could follow the link."""
    fit = make_rows(torch.zeros(1, 2), torch.tensor([0]), ids=np.array(["p0"]), sources=np.array([["patient0"]]))
    judge = make_rows(torch.ones(1, 2), torch.tensor([0]), ids=np.array(["crop"]), sources=np.array([["p0"]]))
    assert families(concatenate(fit, judge)).tolist() == [0, 0]
    both: list[Roles] = [{"fit": fit, "judge": judge}, {"fit": judge, "judge": fit}]
    for roles in both:
        with pytest.raises(InputError, match=r"1 sources are in both fit and judge \(first: 'p0'"):
            check_roles(roles)
