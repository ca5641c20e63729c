"""A probe of features that stay in their file finds what it finds in memory."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from surefoot.rows import copies, features, streamed
from surefoot.rows.streamed import FileFeatures
from surefoot.study.once.probe import probe_features


def test_a_file_gives_what_memory_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    y = torch.randint(2, (900,), generator=generator)
    a = torch.where(torch.rand(900, generator=generator) < 0.9, y, 1 - y)
    x = torch.randn(900, 6, generator=generator)
    x[:, 0] += 1.5 * y
    x[:, 1] += 3.0 * a
    path = tmp_path / "world.safetensors"
    save_file({"x": x.half(), "y": y, "a": a}, path)
    memory = probe_features([path], out=tmp_path / "memory")
    monkeypatch.setattr(features, "LARGE", 1)
    monkeypatch.setattr(copies, "LOOKED_AT", 64)
    monkeypatch.setattr(streamed, "BLOCK", 64)
    looked = FileFeatures.__getitem__
    most: list[int] = []

    def watched(self: FileFeatures, index: object, /) -> torch.Tensor:
        read = looked(self, index)
        most.append(len(read))
        return read

    monkeypatch.setattr(FileFeatures, "__getitem__", watched)
    file = probe_features([path], out=tmp_path / "file")
    assert 0 < max(most) < 900
    values = [
        {(each.subject, each.name, each.slice): each.value for each in kept.card.findings} for kept in (memory, file)
    ]
    assert values[0].keys() == values[1].keys()
    for key, value in values[0].items():
        assert value == pytest.approx(values[1][key], abs=1e-4, nan_ok=True), key
