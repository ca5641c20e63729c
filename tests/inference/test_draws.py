"""Draws survive a round trip to disk to the last bit."""

import json
from pathlib import Path

import pytest
import torch

from surefoot.errors import InputError
from surefoot.findings.finding import Finding, Interval
from surefoot.inference.draws import Draws, load_draws, save_draws


def some_draws(seed: int = 0) -> Draws:
    generator = torch.Generator().manual_seed(seed)
    interval = Interval(0.1, 0.7, 0.95, "wilson")
    finding = Finding(
        "accuracy", 1 / 3, interval, 9, 4, "proportion", "all", "higher", "s", "choose", per_seed=(0.1, 1 / 7)
    )
    return Draws(
        parameters={
            "z.weight": torch.randn(2, 3, 4, generator=generator),
            "a.count": torch.tensor([3, 5]),
            "b.half": torch.randn(2, 2, generator=generator).to(torch.bfloat16),
        },
        diagnostics=(finding,),
        seen=frozenset({"digits:0001", "digits:0002"}),
    )


def test_round_trip_is_exact(tmp_path: Path) -> None:
    draws = some_draws()
    save_draws(draws, tmp_path / "out")
    loaded = load_draws(tmp_path / "out")
    assert list(loaded.parameters) == list(draws.parameters)
    for name, tensor in draws.parameters.items():
        assert loaded.parameters[name].dtype == tensor.dtype
        assert torch.equal(loaded.parameters[name], tensor)
    assert (loaded.diagnostics, loaded.seen) == (draws.diagnostics, draws.seen)


def test_a_point_has_no_draw_axis() -> None:
    draws = some_draws()
    assert torch.equal(draws.point(1)["z.weight"], draws.parameters["z.weight"][1])


def test_files_of_two_saves_do_not_mix(tmp_path: Path) -> None:
    save_draws(some_draws(), tmp_path / "one")
    save_draws(some_draws(seed=1), tmp_path / "two")
    (tmp_path / "one" / "draws.safetensors").replace(tmp_path / "two" / "draws.safetensors")
    with pytest.raises(InputError) as raised:
        load_draws(tmp_path / "two")
    assert str(raised.value) == (
        f"{tmp_path}/two/draws.safetensors is not the file that draws.json describes; compute the draws anew."
    )


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        load_draws(tmp_path)
    assert str(raised.value) == f"There is no file {tmp_path}/draws.json; check the path."
    save_draws(some_draws(), tmp_path)
    tensors = tmp_path / "draws.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-7])
    with pytest.raises(InputError, match=r"draws\.safetensors is not a readable safetensors file .* cut short"):
        load_draws(tmp_path)
    assert json.loads((tmp_path / "draws.json").read_text())["seen"] == ["digits:0001", "digits:0002"]
