"""AFR on features that stay in their file takes the path that it takes in memory."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from surefoot.robust import afr_descent, afr_scoring
from surefoot.robust.afr import AFRSettings, afr
from surefoot.robust.head import LinearHead
from surefoot.rows import streamed
from surefoot.rows.roles import Role, Roles
from surefoot.rows.rows import Rows, cross_groups, make_rows
from surefoot.rows.streamed import FileFeatures

ROLES: tuple[Role, ...] = ("repair", "choose")
SETTINGS = AFRSettings(gammas=(4.0, 8.0), penalties=(0.0, 0.1), steps=60)


def roles_in(folder: Path, classes: int, rows: int = 2400, width: int = 16) -> tuple[Roles, Roles, LinearHead]:
    """Repair and choose rows of one half-precision matrix, every second one of each: in memory, and in a file."""
    generator = torch.Generator().manual_seed(classes)
    targets = torch.arange(rows) % classes
    shortcut = torch.where(torch.rand(rows, generator=generator) < 0.9, targets, (targets + 1) % classes)
    matrix = torch.randn(rows, width, generator=generator)
    matrix[:, 0] += targets
    matrix[:, 1] += 2.0 * shortcut
    matrix = matrix.half()
    path = folder / f"{classes}.bin"
    path.write_bytes(matrix.view(torch.uint8).numpy().tobytes())
    names = [str(label) for label in range(classes)]
    groups = cross_groups(targets, names, (shortcut == targets).long(), ["against", "along"])
    memory = make_rows(matrix.float(), targets, classes=names, groups=groups)
    file = replace(memory, inputs=FileFeatures.of(path, 0, torch.float16, rows, width))
    part = torch.arange(rows) // 2 % 2

    def parted(whole: Rows) -> Roles:
        return {role: whole.take(part == number) for number, role in enumerate(ROLES)}

    weight = 0.1 * torch.randn(classes, width, generator=generator)
    return parted(memory), parted(file), LinearHead(weight, torch.zeros(classes))


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("held_bytes", [2**30, 0])
def test_a_file_gives_the_head_that_memory_gives(
    classes: int, held_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory, file, base = roles_in(tmp_path, classes)
    monkeypatch.setattr(afr_scoring, "BLOCK_BYTES", 2**14)
    monkeypatch.setattr(streamed, "BLOCK", 256)
    monkeypatch.setattr(afr_descent, "HELD_BYTES", held_bytes)
    wanted = afr(memory, base, SETTINGS, 0)
    read = rows_read(monkeypatch)
    found = afr(file, base, SETTINGS, 0)
    assert max(read) == (1200 if held_bytes else 256)
    assert found.chosen == wanted.chosen
    assert [each.worst_group_accuracy for each in found.trials] == [each.worst_group_accuracy for each in wanted.trials]
    tolerance = 0 if held_bytes else 1e-6
    torch.testing.assert_close(found.head.weight, wanted.head.weight, rtol=0, atol=tolerance)
    torch.testing.assert_close(found.head.bias, wanted.head.bias, rtol=0, atol=tolerance)


def test_more_features_than_rows_are_read_at_once_for_their_products(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory, file, base = roles_in(tmp_path, 2, rows=240, width=400)
    monkeypatch.setattr(afr_descent, "HELD_BYTES", 0)
    monkeypatch.setattr(streamed, "BLOCK", 32)
    wanted = afr(memory, base, SETTINGS, 0)
    read = rows_read(monkeypatch)
    found = afr(file, base, SETTINGS, 0)
    assert max(read) == 120
    torch.testing.assert_close(found.head.weight, wanted.head.weight, rtol=0, atol=1e-6)


def rows_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each look into a file brought, filled while the test runs."""
    seen: list[int] = []
    read = FileFeatures.__getitem__

    def noted(self: FileFeatures, index: object, /) -> torch.Tensor:
        found = read(self, index)
        seen.append(len(found))
        return found

    monkeypatch.setattr(FileFeatures, "__getitem__", noted)
    return seen
