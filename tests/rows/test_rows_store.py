"""Rows travel between processes unchanged, and their digest tells any two apart."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from surefoot.errors import InputError
from surefoot.files import write_tensors
from surefoot.rows.digest import input_digests, rows_digest
from surefoot.rows.images import find_images
from surefoot.rows.rows import Groups, Rows, make_rows
from surefoot.rows.store import load_roles, save_roles


def varied() -> Rows:
    return make_rows(
        torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(0)),
        torch.tensor([0, 1, 1, 0]),
        classes=("Wasser", "地面"),
        groups=Groups(("alt", "jung, 🦉"), torch.tensor([[True, False], [True, True], [False, False], [False, True]])),
        weights=torch.tensor([1.0, 0.5, 2.0, 0.1]),
        ids=np.array(["a", "bird — 17", "", "é"]),
        sources=np.array([["x", ""], ["a much longer name", "y"], ["z", "z"], ["", ""]]),
        clusters=torch.tensor([[0, 9], [1, 9], [1, 8], [2, 7]]),
    )


def same(first: Rows, second: Rows) -> bool:
    return (
        torch.equal(first.inputs, second.inputs)
        and first.inputs.dtype == second.inputs.dtype
        and torch.equal(first.targets, second.targets)
        and first.classes == second.classes
        and first.groups.names == second.groups.names
        and torch.equal(first.groups.members, second.groups.members)
        and torch.equal(first.weights, second.weights)
        and first.ids.tolist() == second.ids.tolist()
        and first.sources.tolist() == second.sources.tolist()
        and torch.equal(first.clusters, second.clusters)
    )


def test_roles_come_back_exactly(tmp_path):
    soft = replace(varied(), targets=torch.rand(4, 2), inputs=torch.randn(4, 5).to(torch.bfloat16))
    empty = varied().take(torch.tensor([], dtype=torch.int64))
    roles = {"judge": varied(), "fit": soft, "choose": empty}
    save_roles(tmp_path / "roles.safetensors", roles)
    back = load_roles(tmp_path / "roles.safetensors")
    assert set(back) == set(roles)
    for role, rows in roles.items():
        assert same(back[role], rows)
        assert rows_digest(back[role]) == rows_digest(rows)


def test_slices_of_one_tensor_can_be_stored(tmp_path):
    whole = torch.arange(12.0).reshape(6, 2)
    targets = torch.tensor([0, 1] * 3)
    roles = {"fit": make_rows(whole[:4], targets[:4]), "judge": make_rows(whole[4:], targets[4:])}
    save_roles(tmp_path / "roles.safetensors", roles)
    assert torch.equal(load_roles(tmp_path / "roles.safetensors")["judge"].inputs, whole[4:])


def test_image_files_are_stored_by_path(tmp_path):
    for name in "ab":
        Image.fromarray(np.full((4, 3), ord(name), dtype=np.uint8)).save(tmp_path / f"{name}.png")
    rows = make_rows(find_images(["a.png", "b.png"], tmp_path), torch.tensor([0, 1]))
    save_roles(tmp_path / "roles.safetensors", {"fit": rows})
    back = load_roles(tmp_path / "roles.safetensors")["fit"]
    assert back.inputs == rows.inputs
    assert rows_digest(back) == rows_digest(rows)


def test_what_cannot_be_stored_or_read_is_refused(tmp_path):
    class Strange:
        def __len__(self) -> int:
            return 1

        def __getitem__(self, index):
            return torch.zeros(1, 1)[index]

    with pytest.raises(InputError) as caught:
        save_roles(tmp_path / "no.safetensors", {"fit": make_rows(Strange(), torch.tensor([0]))})
    assert str(caught.value) == (
        "The inputs of fit are a Strange, which cannot be stored; store rows whose inputs are a tensor or image files."
    )
    other = tmp_path / "other.safetensors"
    write_tensors(other, {"x": torch.zeros(1)})
    with pytest.raises(InputError) as caught:
        load_roles(other)
    assert str(caught.value) == f"{other} does not hold rows with roles (surefoot.roles.1); write it with save_roles."
    save_roles(tmp_path / "cut.safetensors", {"fit": varied()})
    content = (tmp_path / "cut.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(content[:-9])
    with pytest.raises(InputError, match="is not a readable safetensors file"):
        load_roles(tmp_path / "cut.safetensors")


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: replace(rows, inputs=rows.inputs + 1e-3),
        lambda rows: replace(rows, inputs=rows.inputs.reshape(4, 3, 2)),
        lambda rows: replace(rows, inputs=rows.inputs.double()),
        lambda rows: replace(rows, targets=1 - rows.targets),
        lambda rows: replace(rows, classes=("a", "b")),
        lambda rows: replace(rows, groups=Groups(("a", "b"), rows.groups.members)),
        lambda rows: replace(rows, groups=Groups(rows.groups.names, ~rows.groups.members)),
        lambda rows: replace(rows, weights=rows.weights * 2),
        lambda rows: replace(rows, ids=rows.ids[::-1]),
        lambda rows: replace(rows, sources=rows.sources[:, ::-1]),
        lambda rows: replace(rows, clusters=rows.clusters + 1),
        lambda rows: rows.take(torch.tensor([1, 0, 2, 3])),
    ],
)
def test_the_digest_sees_every_change(change):
    assert rows_digest(change(varied())) != rows_digest(varied())


def test_the_digest_does_not_see_how_strings_and_tensors_are_held():
    rows = varied()
    wide = replace(rows, ids=rows.ids.astype("<U90"), inputs=rows.inputs.transpose(1, 2).contiguous().transpose(1, 2))
    assert rows_digest(wide) == rows_digest(rows)


def test_input_digests_are_equal_exactly_for_equal_rows():
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randint(0, 3, (3000, 2, 3), generator=generator).float()
    digests = input_digests(inputs)
    numbers = torch.unique(inputs.reshape(3000, -1), dim=0, return_inverse=True)[1].tolist()
    assert len(set(digests)) == len(set(numbers)) == len(set(zip(digests, numbers, strict=True)))
