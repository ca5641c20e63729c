"""What millions of rows need: names and digests in pieces and as hashes give what they give all at once."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from surefoot.errors import InputError
from surefoot.files import digest_json
from surefoot.rows import assign, descent, digest
from surefoot.rows.arrays import rows_from_arrays
from surefoot.rows.assign import check_roles, families
from surefoot.rows.descent import is_number
from surefoot.rows.digest import identity_digest
from surefoot.rows.rows import Rows, make_rows


def rows_of(sources: list[str], seed: int = 0) -> Rows:
    inputs = torch.randn(len(sources), 3, generator=torch.Generator().manual_seed(seed))
    return rows_from_arrays(inputs, [0, 1] * (len(sources) // 2), sources=np.array(sources))


def all_the_same(names: NDArray[np.character]) -> NDArray[np.int64]:
    """The worst hash there can be."""
    return np.zeros(len(names), dtype=np.int64)


def test_the_identity_is_that_of_the_sorted_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "AT_ONCE", 3)
    ids = np.array(["b", "a", "é", '"', "10", "9", "b"])
    sources = np.array([["x", ""], ["y", "p"], ["z", ""], ["", ""], ["y", "a"], ["x", ""], ["w", "q"]])
    listed = sorted([str(name), *of] for name, of in zip(ids, sources.tolist(), strict=True))
    assert identity_digest(ids, sources) == digest_json(listed)
    assert identity_digest(ids[:0], sources[:0]) == digest_json([])


def test_families_do_not_trust_a_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of(["a", "b", "a", "", "", "c", "b", "d"])
    wanted = families(rows)
    assert wanted.tolist() == [0, 1, 0, 2, 3, 4, 1, 5]
    monkeypatch.setattr(assign, "_hashes", all_the_same)
    assert torch.equal(families(rows), wanted)


def test_roles_are_apart_though_hashes_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of(["a", "b", "c", "d"])
    monkeypatch.setattr(assign, "_hashes", all_the_same)
    first, second, third = (rows.take(torch.tensor(index)) for index in ([0, 1], [2, 3], [1, 2]))
    check_roles({"fit": first, "judge": second})
    with pytest.raises(InputError, match="1 ids are in both fit and judge"):
        check_roles({"fit": first, "judge": third})


@pytest.mark.parametrize("kind", ["sources", "id as source", "inputs"])
def test_anything_that_two_roles_share_is_found(kind: str) -> None:
    one, other = torch.randn(2, 2, 3, generator=torch.Generator().manual_seed(1)).unbind(0)
    names, sources = (["a", "b"], ["c", "d"]), (["p", "q"], ["r", "s"])
    if kind == "sources":
        sources = (["p", "q"], ["r", "q"])
    elif kind == "id as source":
        sources = (["p", "q"], ["r", "a"])
    else:
        other = one.flip(0)
    made = [
        make_rows(inputs, torch.tensor([0, 1]), ids=np.array(ids), sources=np.array(of)[:, None])
        for inputs, ids, of in zip((one, other), names, sources, strict=True)
    ]
    with pytest.raises(InputError, match="2 inputs are" if kind == "inputs" else "1 sources are"):
        check_roles({"fit": made[0], "judge": made[1]})


def test_numbers_are_known_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descent, "AT_ONCE", 2)
    names = np.array([["1", "-2"], ["a1", ""], ["½", "03"]])
    assert is_number(names).tolist() == [[True, True], [False, False], [False, True]]


def test_names_that_were_made_up_are_followed_where_a_source_is_one() -> None:
    inputs = torch.randn(4, 3, generator=torch.Generator().manual_seed(2))
    rows = rows_from_arrays(inputs, [0, 1, 0, 1], sources=["p", "row:0", "q", "row:1"])
    assert rows.sources[:, 0].tolist() == ["p", "p", "q", "p"]
