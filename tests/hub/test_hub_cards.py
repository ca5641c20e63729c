"""A card of a pretrained model speaks of the user's model and data, and begins with what nobody can check."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hub_examples import save_image_model, some_texts
from test_hub_roads import own_classes, pictures, save_named, write_table

from surefoot.card.serialise import read_card
from surefoot.cli.app import main
from surefoot.hub.looking import look_at_pretrained
from surefoot.hub.roads import repair_model
from surefoot.rows.images import ImageFiles
from surefoot.rows.rows import make_rows
from surefoot.study.once.behind import Behind

UNKNOWN = "surefoot cannot know what model was trained on; if it saw judge rows, these numbers are too good."


def test_the_card_of_a_repair_speaks_of_the_model_and_the_pictures(tmp_path: Path) -> None:
    save_image_model(tmp_path / "model", "resnet")
    folder = pictures(tmp_path / "pics", 80)
    made = repair_model(str(tmp_path / "model"), folder, out=tmp_path / "runs")
    card = made.kept.card
    assert made.kept.warnings[-1] == UNKNOWN
    assert UNKNOWN in card.not_shown[:2]
    assert card.title == "Repair of model on pics"
    assert made.kept.folder.name.startswith("repair-model-on-pics-")
    assert card.record.data.startswith("pics: 80 rows of image files, colour and grey, 24×20 to 24×22 pixels; inputs:")
    assert any(note == "Base head: the model's own last layer; what it has seen is unknown." for note in card.not_shown)
    assert "runs" not in " ".join(card.not_shown)
    assert all(mistake.image for mistakes in card.gallery.values() for mistake in mistakes)


def test_classes_in_another_order_are_doubted_by_rows_that_do_not_judge(tmp_path: Path) -> None:
    texts = tuple(dict.fromkeys(some_texts(500)))[:240]
    save_named(tmp_path / "model", "bad", "good")
    said = own_classes(tmp_path / "model", texts)
    split = [("train", "train", "val", "test")[row % 4] for row in range(240)]
    flipped = [str(1 - place) for place in said]
    table = write_table(tmp_path / "data.csv", texts, flipped)
    kept = repair_model(str(tmp_path / "model"), table, out=tmp_path / "runs").kept
    assert kept.warnings[0] == (
        "The model's own head is right on 0 % of the 180 fit, repair and choose rows, less than chance (50 %): are the "
        "classes in another order? Give labels as the model's class names."
    )
    assert kept.card.not_shown[:2] == kept.warnings
    assert "Labels 0, 1 are taken to be the model's classes 0 bad, 1 good." in kept.card.not_shown
    # Only the judge rows flipped: nothing is to be doubted, for nobody looks at them.
    mixed = [str(place) if part != "test" else str(1 - place) for place, part in zip(said, split, strict=True)]
    write_table(table, texts, mixed)
    assert repair_model(str(tmp_path / "model"), table, out=tmp_path / "runs").kept.warnings == (UNKNOWN,)
    looked = look_at_pretrained(str(tmp_path / "model"), write_table(table, texts, flipped), out=tmp_path / "runs")
    assert looked.warnings[0].startswith("The model's own head is right on 0 % of the 240 rows given")
    assert looked.kept.card.title == "model on data.csv"


def test_the_commands_look_and_predict_open_what_save_pretrained_wrote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_image_model(tmp_path / "model", "resnet")
    pictures(tmp_path / "pics", 40)
    assert main(["look", "model", "pics"]) == 11
    out = capsys.readouterr().out
    assert out.splitlines()[1] == UNKNOWN
    (folder,) = Path("runs").glob("look-model-on-pics-*")
    assert read_card(folder / "card.json").title == "model on pics"
    assert main(["predict", "model", "pics", "-q"]) == 0
    assert capsys.readouterr().out.startswith("id,label,p_")


def test_a_head_that_is_a_whole_model_is_pointed_at_its_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_image_model(tmp_path / "model", "resnet")
    assert main(["repair", "features.npz", "--head", "model"]) == 2
    assert "did you mean --model model?" in capsys.readouterr().err


def test_class_folders_are_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = pictures(tmp_path / "pics", 16)
    for line in (folder / "metadata.csv").read_text().splitlines()[1:]:
        name, label, split = line.split(",")
        target = tmp_path / "by" / split / label / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (folder / name).rename(target)
    assert main(["rows", str(tmp_path / "by"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["rows"], told["classes"]) == (16, ["angular", "round"])
    assert told["roles"] == {"fit": 8, "choose": 4, "judge": 4}


def test_pictures_stand_beside_their_own_rows(tmp_path: Path) -> None:
    pictures(tmp_path / "pics", 6)
    files = ImageFiles(tuple(tmp_path / "pics" / f"{row}.png" for row in range(6)), (24, 20), "rgb", resize=True)
    rows = make_rows(files, torch.arange(6) % 2, ids=np.array([f"{row}.png" for row in range(6)]))
    known = Behind("model", "model on pics", "pics", "", rows=rows)
    shown = known.pictures_of(rows.take(torch.tensor([4, 1])))
    assert shown is not None
    assert torch.equal(shown[:], files[[4, 1]])
    twice = Behind(
        "model", "model on pics", "pics", "", rows=make_rows(files, torch.arange(6) % 2, ids=np.array(["a"] * 6))
    )
    assert twice.pictures_of(rows) is None
