"""Features of data sets in the layouts they were published in, by a model of the Hugging Face library."""

import json
from pathlib import Path

import pytest
import torch
from hub_examples import save_image_model, save_text_model, transformers
from PIL import Image

import published_examples as examples
from surefoot.cli.app import main
from surefoot.hub.classes import read_published_for
from surefoot.hub.opening import open_encoder
from surefoot.networks.weights import load_model
from surefoot.rows.published.read import read_published
from surefoot.rows.reading import read_rows


def test_waterbirds_by_an_image_model_in_one_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module = save_image_model(tmp_path / "model", "resnet")
    folder, out = examples.waterbirds(tmp_path / "birds"), tmp_path / "birds.safetensors"
    given = ["--as", "waterbirds", "--splits", "train,test", "--out", str(out), "--cache", str(tmp_path / "cache")]
    assert main(["features", str(tmp_path / "model"), str(folder), *given, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    reading = read_rows(out)
    assert reading.rows.classes == ("landbird", "waterbird")
    assert set(reading.rows.groups.names) == {
        f"{bird}, place={place}" for bird in ("landbird", "waterbird") for place in ("land", "water")
    }
    published = read_published(folder, "waterbirds").only(["train", "test"])
    assert torch.equal(reading.rows.targets, published.targets)
    assert reading.split == published.split
    assert reading.rows.ids.tolist() == published.ids.tolist()
    head = load_model(Path(told["head"]))
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path / "model")
    with torch.no_grad():
        pictures = [Image.open(path).convert("RGB") for path in published.paths()]
        wanted = module(**processor(pictures, return_tensors="pt")).logits
    logits = reading.rows.inputs[:] @ head.parameters["head.weight"].T + head.parameters["head.bias"]
    assert torch.allclose(logits, wanted, atol=1e-4)
    assert wanted.std(dim=0).min() > 0.01


def test_a_head_that_names_the_classes_in_another_order_keeps_its_order(tmp_path: Path) -> None:
    module = save_image_model(tmp_path / "model", "resnet")
    module.config.id2label = {0: "Waterbird", 1: "landbird"}
    module.save_pretrained(tmp_path / "model")
    published = read_published(examples.waterbirds(tmp_path / "birds"), "waterbirds")
    rows = read_published_for(open_encoder(str(tmp_path / "model")), published).reading.rows
    assert rows.classes == ("waterbird", "landbird")
    module.config.id2label = {0: "cat", 1: "dog"}
    module.save_pretrained(tmp_path / "model")
    other = read_published_for(open_encoder(str(tmp_path / "model")), published)
    assert other.mismatch == "the model's 2 classes (cat, dog) are not those of waterbirds (landbird, waterbird)"
    assert torch.equal(rows.targets, 1 - published.targets)
    assert torch.equal(rows.groups.members, published.groups.members)


def test_a_head_of_other_classes_is_not_left_and_texts_are_read(tmp_path: Path) -> None:
    save_text_model(tmp_path / "model", labels=2)
    published = read_published(examples.multinli(tmp_path / "nli"), "multinli")
    made = read_published_for(open_encoder(str(tmp_path / "model")), published)
    assert made.mismatch is not None
    assert made.mismatch.startswith("the model's 2 classes")
    assert "are not those of multinli (contradiction, " in made.mismatch
    assert made.reading.split == published.split
    out = tmp_path / "nli.safetensors"
    given = ["--as", "multinli", "--out", str(out), "--cache", str(tmp_path / "cache"), "--quiet"]
    assert main(["features", str(tmp_path / "model"), str(tmp_path / "nli"), *given]) == 0
    assert read_rows(out).rows.inputs[:].shape == (len(published), 16)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--as", "waterbird"], "did you mean 'waterbirds'?"),
        (["--as", "waterbirds", "--text", "words"], "--as says what every column is"),
        (["--splits", "val"], "name it with --as"),
        (["--as", "waterbirds"], "The rows of waterbirds are images"),
    ],
)
def test_wrong_use_is_one_sentence(
    given: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_text_model(tmp_path / "model")
    folder = examples.waterbirds(tmp_path / "birds")
    out = ["--out", str(tmp_path / "o.safetensors"), "--cache", str(tmp_path / "cache")]
    capsys.readouterr()
    assert main(["features", str(tmp_path / "model"), str(folder), *out, *given]) == 2
    captured = capsys.readouterr().err
    assert said in captured
    assert captured.count("\n") == 1
