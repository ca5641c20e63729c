"""Features that stay in their file give what the same features give in memory."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor

from surefoot.errors import InputError
from surefoot.robust.balanced import erm_head
from surefoot.robust.head import logits_of
from surefoot.robust.methods import method_of
from surefoot.robust.protocol import score
from surefoot.robust.softmax import slopes
from surefoot.rows import features as features_module
from surefoot.rows import streamed
from surefoot.rows.assign import assign_roles
from surefoot.rows.digest import input_digests, rows_digest
from surefoot.rows.reading import read_rows
from surefoot.rows.roles import Roles
from surefoot.rows.streamed import FileFeatures

KINDS = (torch.float16, torch.float32, torch.float64, torch.bfloat16)


def _file(folder: Path, matrix: Tensor) -> FileFeatures:
    """The matrix behind a few other bytes."""
    path = folder / "matrix.bin"
    path.write_bytes(b"before!" + matrix.contiguous().view(torch.uint8).numpy().tobytes())
    return FileFeatures.of(path, 7, matrix.dtype, *matrix.shape)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes, an attribute that agrees with them in nine rows of ten, and few copies."""
    generator = torch.Generator().manual_seed(3)
    rows = 1500
    y = torch.randint(2, (rows,), generator=generator)
    a = torch.where(torch.rand(rows, generator=generator) < 0.9, y, 1 - y)
    x = torch.randn(rows, 12, generator=generator)
    x[:, 0] += 1.5 * (2 * y - 1)
    x[:, 1] += 2.0 * (2 * a - 1)
    x[:, 2] = 4.0  # constant
    x[-3:] = x[:3]
    y[-3:] = y[:3]
    path = tmp_path_factory.mktemp("world") / "world.safetensors"
    save_file({"x": x.half(), "y": y, "a": a}, path)
    return path


@pytest.mark.parametrize("kind", KINDS)
@given(st.data())
@settings(max_examples=25, deadline=None)
def test_any_index_gives_what_a_tensor_gives(
    kind: torch.dtype, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    rows, width = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 5))
    matrix = torch.randn(rows, width, generator=torch.Generator().manual_seed(rows)).to(kind)
    lazy, plain = _file(tmp_path_factory.mktemp("any"), matrix), matrix.float()
    index = torch.tensor(data.draw(st.lists(st.integers(0, rows - 1), max_size=60)), dtype=torch.int64)
    mask = torch.tensor(data.draw(st.lists(st.booleans(), min_size=rows, max_size=rows)))
    start, stop = sorted((data.draw(st.integers(0, rows)), data.draw(st.integers(0, rows))))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(streamed, "SPAN_BYTES", data.draw(st.sampled_from((1, 64, 2**20))))
        patched.setattr(streamed, "SPARSE", data.draw(st.sampled_from((1, 2, 16))))
        assert torch.equal(lazy[index], plain[index])
        assert torch.equal(lazy[mask], plain[mask])
        assert torch.equal(lazy[start:stop], plain[start:stop])
        assert torch.equal(lazy.pick(index)[:], plain[index])
        for one in (rows - 1, -1, np.int64(0), torch.tensor(rows - 1)):
            assert torch.equal(lazy[one], plain[one])
        assert torch.equal(lazy[index.tolist()], plain[index])
        assert torch.equal(lazy[...], plain)
        with pytest.raises(IndexError):
            lazy[rows]
        assert lazy.pick(index).shape == (len(index), width)


@pytest.mark.parametrize("kind", KINDS)
def test_digests_are_those_of_the_same_rows_in_memory(tmp_path: Path, kind: torch.dtype) -> None:
    matrix = torch.randn(9, 4).to(kind)
    matrix[2, 1], matrix[3] = -0.0, matrix[5]
    lazy = _file(tmp_path, matrix)
    assert lazy.digests() == input_digests(matrix.float() + 0.0)
    picked = torch.tensor([5, 3, 0])
    assert lazy.pick(picked).digests() == input_digests(matrix.float()[picked] + 0.0)
    assert not bool(lazy[2][1].signbit())


def test_numbers_that_are_not_finite_are_named(tmp_path: Path) -> None:
    matrix = torch.zeros(9, 4)
    matrix[6, 2] = torch.inf
    with pytest.raises(InputError, match=r"NaN or infinite \(first: row 7\)"):
        _file(tmp_path, matrix).digests()


def test_a_file_that_changes_is_refused(tmp_path: Path) -> None:
    lazy = _file(tmp_path, torch.zeros(9, 4))
    with lazy.path.open("ab") as opened:
        opened.write(b"more")
    with pytest.raises(InputError, match="was changed while it was read"):
        lazy[:]


def test_a_file_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    whole = _file(tmp_path, torch.zeros(9, 4))
    with pytest.raises(InputError, match="is cut short"):
        FileFeatures.of(whole.path, whole.offset, torch.float32, 10, 4)[:]


def test_large_matrices_stay_in_their_file_and_are_the_same_rows(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = read_rows(world).rows
    monkeypatch.setattr(features_module, "LARGE", 1)
    lazy = read_rows(world).rows
    assert isinstance(lazy.inputs, FileFeatures)
    assert not isinstance(plain.inputs, FileFeatures)
    assert rows_digest(lazy.with_inputs(lazy.inputs[:])) == rows_digest(plain)
    assert lazy.clusters.shape[1] == 2  # copies are a cluster either way
    for role, rows in assign_roles(lazy, {"fit": 0.5, "choose": 0.5}, 0).items():
        assert rows.ids.tolist() == assign_roles(plain, {"fit": 0.5, "choose": 0.5}, 0)[role].ids.tolist()


def _both(world: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Roles, Roles]:
    shares = {"fit": 0.4, "repair": 0.3, "choose": 0.3}
    plain = assign_roles(read_rows(world).rows, shares, 0)
    monkeypatch.setattr(features_module, "LARGE", 1)
    monkeypatch.setattr(streamed, "BLOCK", 64)
    monkeypatch.setattr(slopes, "STATISTICS_BLOCK", 64)
    return plain, assign_roles(read_rows(world).rows, shares, 0)


def test_the_base_head_is_the_same_optimum(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, lazy = _both(world, monkeypatch)
    ours, theirs = erm_head(lazy["fit"]), erm_head(plain["fit"])
    assert torch.allclose(ours.weight, theirs.weight, atol=2e-4)
    assert float(ours.weight[:, 2].abs().max()) == 0.0
    assert score(ours, lazy["choose"]) == score(ours, plain["choose"])
    assert torch.allclose(logits_of(ours, lazy["choose"].inputs), ours.logits(plain["choose"].inputs[:]), atol=1e-5)


@pytest.mark.parametrize("name", ["dfr", "dfr_choose", "class_balanced", "afr"])
def test_repairs_are_the_same(world: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    plain, lazy = _both(world, monkeypatch)
    method, head = method_of(name), erm_head(plain["fit"])
    settings_of = method.usual("groups")
    ours, theirs = method.run(lazy, head, settings_of, 5), method.run(plain, head, settings_of, 5)
    assert ours.chosen == theirs.chosen
    assert [each.worst_group_accuracy for each in ours.trials] == [each.worst_group_accuracy for each in theirs.trials]
    assert torch.allclose(ours.head.weight, theirs.head.weight, atol=1e-5)
    assert torch.allclose(ours.head.bias, theirs.head.bias, atol=1e-5)
    assert ours.notes == theirs.notes


def test_dfr_reads_no_more_than_it_draws_at_once(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, lazy = _both(world, monkeypatch)
    largest = 0
    read = FileFeatures.__getitem__

    def watched(self: FileFeatures, index: object) -> Tensor:
        nonlocal largest
        found = read(self, index)
        largest = max(largest, len(found) if found.ndim == 2 else 1)
        return found

    head = erm_head(lazy["fit"])
    monkeypatch.setattr(FileFeatures, "__getitem__", watched)
    method = method_of("dfr")
    method.run(lazy, head, replace(method.usual("groups"), retrains=2), 5)
    fewest = int(np.min(lazy["repair"].groups.counts().numpy()))
    assert largest == 4 * fewest
    assert 64 < largest < len(lazy["repair"])
