"""A repaired head back in its model: loaded by its library, every other byte as it was, whole or absent."""

import csv
import json
from pathlib import Path

import pytest
import torch
from hub_examples import WORDS, save_image_model, save_text_model, some_texts, transformers
from PIL import Image
from safetensors import safe_open

from surefoot.card.serialise import read_card
from surefoot.cli.app import main
from surefoot.errors import InputError
from surefoot.hub import repaired as repaired_module
from surefoot.hub.classes import read_for
from surefoot.hub.opening import open_encoder
from surefoot.hub.repaired import check_can_write, write_repaired
from surefoot.robust.head import LinearHead
from surefoot.rows.reading import read_rows
from surefoot.rows.rows import Rows, make_rows
from surefoot.rows.texts import Texts
from surefoot.study.once.columns import Columns


def a_head(classes: int = 2) -> LinearHead:
    generator = torch.Generator().manual_seed(5)
    return LinearHead(torch.randn(classes, 16, generator=generator), torch.randn(classes, generator=generator))


def text_rows() -> Rows:
    return make_rows(Texts((some_texts(20),)), torch.arange(20) % 2)


def tensors(folder: Path) -> dict[str, bytes]:
    with safe_open(folder / "model.safetensors", framework="pt") as opened:
        return {name: opened.get_tensor(name).numpy().tobytes() for name in opened.keys()}  # noqa: SIM118


@pytest.mark.parametrize("kind", ["bert", "distilbert", "roberta"])
def test_text_models_say_what_the_new_head_says(tmp_path: Path, kind: str) -> None:
    module = save_text_model(tmp_path / "model", kind)
    encoder, head, rows = open_encoder(str(tmp_path / "model")), a_head(), text_rows()
    written = write_repaired(encoder, head, rows, tmp_path / "out")
    assert written.difference < 1e-4
    old, new = tensors(tmp_path / "model"), tensors(written.folder)
    assert {name for name in old if old[name] != new[name]} == {f"{encoder.head}.weight", f"{encoder.head}.bias"}
    kept = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir() if path.suffix != ".safetensors"}
    assert kept == {path.name: path.read_bytes() for path in written.folder.iterdir() if path.suffix != ".safetensors"}
    again = transformers.AutoModelForSequenceClassification.from_pretrained(written.folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(written.folder)
    given = tokenizer("the bird flew", return_tensors="pt")
    entered: list[torch.Tensor] = []
    module.get_submodule(str(encoder.head)).register_forward_pre_hook(lambda _, inputs: entered.append(inputs[0]))
    with torch.no_grad():
        module(**given)
        assert torch.allclose(again(**given).logits, head.logits(entered[0]), atol=1e-4)


@pytest.mark.parametrize("kind", ["vit", "resnet", "convnext"])
def test_image_models_say_what_the_new_head_says(tmp_path: Path, kind: str) -> None:
    save_image_model(tmp_path / "model", kind)
    encoder = open_encoder(str(tmp_path / "model"))
    rows = make_rows(torch.rand(6, 3, 20, 20), torch.arange(6) % 2)
    written = write_repaired(encoder, a_head(), rows, tmp_path / "out")
    assert written.difference < 1e-3
    old, new = tensors(tmp_path / "model"), tensors(written.folder)
    assert {name for name in old if old[name] != new[name]} == {f"{encoder.head}.weight", f"{encoder.head}.bias"}


def test_weights_in_several_files_keep_their_files(tmp_path: Path) -> None:
    module = save_text_model(tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").unlink()
    module.save_pretrained(tmp_path / "model", max_shard_size="2KB")
    files = sorted(file.name for file in (tmp_path / "model").glob("*.safetensors"))
    assert len(files) > 2
    encoder = open_encoder(str(tmp_path / "model"))
    written = write_repaired(encoder, a_head(), text_rows(), tmp_path / "out")
    assert written.difference < 1e-4
    assert sorted(file.name for file in written.folder.glob("*.safetensors")) == files
    differ = [
        file for file in files if (tmp_path / "model" / file).read_bytes() != (written.folder / file).read_bytes()
    ]
    assert 1 <= len(differ) <= 2  # those that hold the head's weight and bias


def test_pickled_weights_become_safetensors(tmp_path: Path) -> None:
    module = save_text_model(tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").unlink()
    torch.save(module.state_dict(), tmp_path / "model" / "pytorch_model.bin")
    encoder = open_encoder(str(tmp_path / "model"))
    written = write_repaired(encoder, a_head(), text_rows(), tmp_path / "out")
    assert written.difference < 1e-4
    assert not list(written.folder.glob("*.bin"))


def test_a_head_in_sixteen_bits_is_rounded_and_said(tmp_path: Path) -> None:
    module = save_text_model(tmp_path / "model")
    module.half().save_pretrained(tmp_path / "model")
    encoder = open_encoder(str(tmp_path / "model"))
    written = write_repaired(encoder, a_head(), text_rows(), tmp_path / "out")
    assert 1e-6 < written.difference < 1e-1


def test_nothing_is_left_when_the_written_model_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_text_model(tmp_path / "model")
    monkeypatch.setattr(repaired_module, "_overwrite", lambda place, value: None)  # the old head stays
    with pytest.raises(InputError, match="nothing was written"):
        write_repaired(open_encoder(str(tmp_path / "model")), a_head(), text_rows(), tmp_path / "runs" / "out")
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_folder_that_exists_is_left_alone(tmp_path: Path) -> None:
    save_text_model(tmp_path / "model")
    with pytest.raises(InputError, match="exists already"):
        write_repaired(open_encoder(str(tmp_path / "model")), a_head(), text_rows(), tmp_path / "model")


def test_an_encoder_without_a_head_says_so(tmp_path: Path) -> None:
    save_text_model(tmp_path / "model", "plain")
    reason = check_can_write(open_encoder(str(tmp_path / "model")), 2)
    assert reason is not None
    assert "has no classification head" in reason


def test_classes_are_matched_by_name_in_the_model_s_order(tmp_path: Path) -> None:
    save_text_model(tmp_path / "model", labels=3, id2label={0: "ENTAILMENT", 1: "NEUTRAL", 2: "CONTRADICTION"})
    encoder = open_encoder(str(tmp_path / "model"))
    table = tmp_path / "data.csv"
    table.write_text("text,label\nbird,contradiction\nwater,entailment\nland,neutral\n")
    read = read_for(encoder, table, Columns())
    reading = read.reading
    assert (read.mismatch, read.taken) == (None, "")
    assert reading.rows.classes == ("entailment", "neutral", "contradiction")
    assert reading.rows.targets.tolist() == [2, 0, 1]
    table.write_text("text,label\nbird,yes\nwater,no\nland,perhaps\n")
    assert read_for(encoder, table, Columns()).mismatch is not None


def write_comments(path: Path, count: int = 600) -> None:
    """A class that a word tells, a shortcut word that mostly agrees, and splits."""
    generator = torch.Generator().manual_seed(0)
    lines = [["id", "text", "label", "place", "split"]]
    for row in range(count):
        label = int(torch.rand((), generator=generator) < 0.5)
        agree = float(torch.rand((), generator=generator)) < (0.9 if row % 2 else 0.5)
        place = label if agree else 1 - label
        noise = " ".join(WORDS[place] for place in torch.randint(len(WORDS), (8,), generator=generator).tolist())
        text = f"{('old', 'near')[label]} {('land', 'water')[place]} {noise}"
        split = ("train", "train", "val", "test")[row % 4]
        lines.append([f"c{row}", text, ("bad", "good")[label], ("land", "water")[place], split])
    with path.open("w", newline="") as opened:
        csv.writer(opened).writerows(lines)


def test_the_command_writes_features_that_read_back_as_the_same_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_text_model(tmp_path / "model")
    write_comments(tmp_path / "comments.csv", 40)
    assert main(["features", "model", "comments.csv", "--out", "f.safetensors", "--json", "-q"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["rows"], told["features"], told["head"]) == (40, 16, "f-head")
    given = read_rows(Path("comments.csv"), text=("text",))
    back = read_rows(Path("f.safetensors"))
    for one, other in ((given.rows.ids, back.rows.ids), (given.rows.sources, back.rows.sources)):
        assert one.tolist() == other.tolist()
    assert given.rows.classes == back.rows.classes
    assert given.rows.groups.names == back.rows.groups.names
    assert torch.equal(given.rows.groups.members, back.rows.groups.members)
    assert torch.equal(given.rows.targets, back.rows.targets)
    assert given.split == back.split


def test_the_command_repairs_a_model_of_texts_into_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_text_model(tmp_path / "model")
    write_comments(tmp_path / "comments.csv")
    assert main(["repair", "comments.csv", "--model", "model", "--text", "text"]) in (0, 10, 11)
    out = capsys.readouterr().out
    assert "loaded again with from_pretrained, same predictions on all 64 rows checked." in " ".join(out.split())
    (folder,) = Path("runs").glob("repair-*/repaired")
    changed = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    head = open_encoder(str(folder)).module.get_submodule("classifier")
    assert torch.equal(changed.classifier.weight, head.weight)  # type: ignore[arg-type]


def test_the_command_tries_the_methods_it_is_given_on_a_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_text_model(tmp_path / "model")
    write_comments(tmp_path / "comments.csv")
    asked = ["repair", "comments.csv", "--model", "model", "--text", "text", "--groups", "place", "-q", "--methods"]
    assert main([*asked, "rwg,class_balancd"]) == 2
    assert "There is no repair 'class_balancd'; did you mean 'class_balanced'?" in capsys.readouterr().err
    assert not Path("runs").exists()  # said before any feature is taken
    assert main([*asked, "rwg,class_balanced"]) in (0, 10, 11)
    (kept,) = Path("runs").glob("repair-*")
    assert [each.name for each in read_card(kept / "card.json").subjects] == ["base", "base+rwg", "base+class_balanced"]
    assert (kept / "repaired" / "config.json").is_file()


def test_image_files_named_in_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_image_model(tmp_path / "model", "vit")
    lines = ["filename,y,place,split"]
    for row in range(8):
        Image.new("RGB", (20 + row, 24), (30 * row, 90, 10)).save(tmp_path / f"{row}.png")
        lines.append(f"{row}.png,{row % 2},{row // 4},{row % 3}")
    (tmp_path / "metadata.csv").write_text("\n".join(lines) + "\n")
    assert main(["features", "model", "metadata.csv", "--out", "f.safetensors", "-q"]) == 0
    back = read_rows(Path("f.safetensors"))
    assert back.rows.ids.tolist() == [f"{row}.png" for row in range(8)]
    assert back.rows.inputs[:].shape == (8, 16)
    assert back.rows.groups.names == ("0, place=0", "0, place=1", "1, place=0", "1, place=1")
