"""Features of published questions and of pairs of dialogues, by a model that reads texts."""

from pathlib import Path

import pytest
import torch
from hub_examples import save_text_model

import text_set_examples as examples
from surefoot.cli.app import main
from surefoot.rows.published.read import Composition, read_published
from surefoot.rows.reading import read_rows


def test_questions_and_dialogues_become_features_with_their_sources(tmp_path: Path) -> None:
    save_text_model(tmp_path / "model")
    for layout, folder in (
        ("sciq", examples.original(tmp_path / "SciQ", "sciq")),
        ("anthropic_hh", examples.dialogues(tmp_path / "hh")),
    ):
        out = tmp_path / f"{layout}.safetensors"
        given = [
            "--as",
            layout,
            "--compose",
            "seed=2",
            "--out",
            str(out),
            "--cache",
            str(tmp_path / "cache"),
            "--quiet",
        ]
        assert main(["features", str(tmp_path / "model"), str(folder), *given]) == 0
        back, published = read_rows(out), read_published(folder, layout, Composition(seed=2))  # type: ignore[arg-type]
        assert back.rows.classes == published.classes
        assert torch.equal(back.rows.targets, published.targets)
        assert back.rows.sources.tolist() == published.sources.tolist()
        assert back.split == published.split
        assert back.rows.groups.names == published.groups.names


def test_compose_without_a_layout_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_text_model(tmp_path / "model")
    given = ["--out", str(tmp_path / "o.safetensors"), "--compose", "balanced"]
    capsys.readouterr()
    assert main(["features", str(tmp_path / "model"), str(tmp_path), *given]) == 2
    told = capsys.readouterr().err
    assert "--splits and --compose speak of a published layout" in told
    assert told.count("\n") == 1
