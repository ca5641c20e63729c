"""The roads of the hub: what is taken for what, what is refused before it costs anything, what is left unchanged."""

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from hub_examples import save_image_model, save_text_model, some_texts, transformers
from PIL import Image

from surefoot.errors import InputError
from surefoot.hub.classes import read_for
from surefoot.hub.looking import look_at_pretrained, predict_pretrained
from surefoot.hub.opening import is_pretrained, open_encoder
from surefoot.hub.roads import repair_model
from surefoot.study.once.columns import Columns

COUNT = 240


def save_named(folder: Path, *names: str) -> Any:
    """A model of texts that names its classes; returns the module."""
    return save_text_model(
        folder, labels=len(names), id2label=dict(enumerate(names)), label2id={name: at for at, name in enumerate(names)}
    )


def own_classes(folder: Path, texts: tuple[str, ...]) -> list[int]:
    """What the model says of the texts, by its library alone."""
    module = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        given = tokenizer(list(texts), padding=True, return_tensors="pt")
        return module(**given).logits.argmax(dim=1).tolist()


def write_table(path: Path, texts: tuple[str, ...], labels: list[str], **columns: list[str]) -> Path:
    split = columns.pop("split", [("train", "train", "val", "test")[row % 4] for row in range(len(texts))])
    with path.open("w", newline="") as opened:
        written = csv.writer(opened)
        written.writerow(["text", "label", "split", *columns])
        written.writerows(zip(texts, labels, split, *columns.values(), strict=True))
    return path


@pytest.fixture
def texts() -> tuple[str, ...]:
    return tuple(dict.fromkeys(some_texts(2 * COUNT)))[:COUNT]


def test_numbers_for_names_are_said_and_names_are_not(tmp_path: Path) -> None:
    save_named(tmp_path / "model", "angular", "round", "other")
    encoder = open_encoder(str(tmp_path / "model"))
    table = write_table(tmp_path / "data.csv", ("bird", "water"), ["0", "1"])
    read = read_for(encoder, table, Columns())
    assert read.reading.rows.classes == ("angular", "round", "other")
    assert read.taken == "Labels 0, 1 are taken to be the model's classes 0 angular, 1 round."
    write_table(table, ("bird", "water"), ["Angular", "ROUND"])
    assert read_for(encoder, table, Columns()).taken == ""


def test_numbers_that_are_names_stay_names(tmp_path: Path) -> None:
    save_named(tmp_path / "model", "1", "0")
    table = write_table(tmp_path / "data.csv", ("bird", "water", "old"), ["0", "1", "1"])
    read = read_for(open_encoder(str(tmp_path / "model")), table, Columns())
    assert (read.taken, read.reading.rows.classes) == ("", ("1", "0"))
    assert read.reading.rows.targets.tolist() == [1, 0, 0]


def test_a_model_that_no_repair_betters_is_left_as_it_is(tmp_path: Path, texts: tuple[str, ...]) -> None:
    save_named(tmp_path / "model", "bad", "good")
    labels = [("bad", "good")[place] for place in own_classes(tmp_path / "model", texts)]
    table = write_table(tmp_path / "data.csv", texts, labels)
    made = repair_model(str(tmp_path / "model"), table, out=tmp_path / "runs")
    assert made.kept.card.chosen == "base"
    assert made.written is not None
    assert made.told[-1] == (
        f"No repair did better on the choose rows: {made.written.folder} holds your model unchanged."
    )
    old, new = tmp_path / "model" / "model.safetensors", made.written.folder / "model.safetensors"
    assert old.read_bytes() == new.read_bytes()


def test_without_a_repaired_folder_the_reason_is_said(tmp_path: Path, texts: tuple[str, ...]) -> None:
    save_named(tmp_path / "model", "bad", "good")
    table = write_table(tmp_path / "data.csv", texts, ["yes" if len(text) % 2 else "no" for text in texts])
    made = repair_model(str(tmp_path / "model"), table, out=tmp_path / "runs")
    assert made.written is None
    assert made.told[-1] == (
        "No repaired folder was written, because the model's 2 classes (bad, good) are not those of the data (no, "
        "yes); the base head here is a new one. To repair the model's own, give labels as its class names."
    )


def test_a_repaired_model_knows_what_it_has_seen(tmp_path: Path, texts: tuple[str, ...]) -> None:
    save_named(tmp_path / "model", "bad", "good")
    ids = [f"c{row}" for row in range(COUNT)]
    labels = ["good" if len(text) % 2 else "bad" for text in texts]
    table = write_table(tmp_path / "data.csv", texts, labels, id=ids)
    made = repair_model(str(tmp_path / "model"), table, out=tmp_path / "runs")
    assert made.written is not None
    looked = look_at_pretrained(str(made.written.folder), table, out=tmp_path / "runs")
    assert looked.kept.judged.startswith(f"Judged: the {COUNT // 4} test rows of data")
    learned = [row for row in range(COUNT) if row % 4 != 3]
    part = write_table(
        tmp_path / "learned.csv",
        tuple(texts[row] for row in learned),
        [labels[row] for row in learned],
        id=[ids[row] for row in learned],
        split=["test"] * len(learned),
    )
    with pytest.raises(InputError, match="already seen by"):
        look_at_pretrained(str(made.written.folder), part, out=tmp_path / "runs")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"columns": Columns(target="nope")}, "has no column 'nope'"),
        ({"claims": ["worst group is fine"]}, "cannot be understood"),
        ({"methods": ["dfr"]}, "'dfr' fits with groups, and"),
        ({"columns": Columns(target="one")}, "are of one class (a); repair needs two or more"),
        ({"columns": Columns(split="part")}, "has no choose rows"),
    ],
)
def test_what_is_wrong_is_said_before_features_are_taken(tmp_path: Path, given: dict[str, Any], said: str) -> None:
    save_named(tmp_path / "model", "bad", "good")
    table = write_table(
        tmp_path / "data.csv", some_texts(8), ["bad", "good"] * 4, one=["a"] * 8, part=["train", "test"] * 4
    )
    with pytest.raises(InputError) as caught:
        repair_model(str(tmp_path / "model"), table, out=tmp_path / "runs", **given)
    assert said in str(caught.value)
    assert ".safetensors" not in str(caught.value)
    assert not (tmp_path / "runs").exists()


def test_labels_that_are_missing_are_said_before_features_are_taken(tmp_path: Path) -> None:
    save_named(tmp_path / "model", "bad", "good")
    (tmp_path / "data.csv").write_text("text,split\nbird,train\nwater,test\n")
    with pytest.raises(InputError, match=r"data\.csv has no column called y, label"):
        repair_model(str(tmp_path / "model"), tmp_path / "data.csv", out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def pictures(folder: Path, count: int) -> Path:
    """Pictures of several sizes and kinds, and their table."""
    lines = ["file_name,label,split"]
    folder.mkdir()
    generator = torch.Generator().manual_seed(0)
    for row in range(count):
        size = (20 + row % 3, 24)
        values = torch.randint(256, (size[1], size[0], 3), generator=generator, dtype=torch.uint8).numpy()
        Image.fromarray(values).convert("L" if row % 5 == 0 else "RGB").save(folder / f"{row}.png")
        lines.append(f"{row}.png,{('angular', 'round')[row % 2]},{('train', 'train', 'val', 'test')[row // 2 % 4]}")
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_pictures_of_any_size_and_kind_are_read_and_unreadable_ones_counted(tmp_path: Path) -> None:
    save_image_model(tmp_path / "model", "resnet")
    folder = pictures(tmp_path / "pics", 64)
    made = repair_model(str(tmp_path / "model"), folder, out=tmp_path / "runs")
    assert made.written is not None
    for name in ("3.png", "9.png"):
        (folder / name).write_bytes(b"")
    with pytest.raises(InputError, match=r"2 of 64 pictures cannot be read \(first: .*3.png\); replace or leave out"):
        repair_model(str(tmp_path / "model"), folder, out=tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_looking_at_a_model_finds_what_its_library_says(tmp_path: Path, texts: tuple[str, ...]) -> None:
    save_named(tmp_path / "model", "bad", "good")
    said = own_classes(tmp_path / "model", texts)
    labels = [("bad", "good")[place if row % 10 else 1 - place] for row, place in enumerate(said)]
    table = write_table(tmp_path / "data.csv", texts, labels, split=["test"] * COUNT)
    looked = look_at_pretrained(str(tmp_path / "model"), table, out=tmp_path / "runs")
    card = looked.kept.card
    (found,) = [each.value for each in card.findings if each.name == "accuracy"]
    assert found == pytest.approx(0.9)
    write_table(table, texts, ["yes"] * COUNT)
    with pytest.raises(InputError, match="cannot be measured on"):
        look_at_pretrained(str(tmp_path / "model"), table, out=tmp_path / "runs")


@pytest.mark.parametrize("labelled", [True, False])
def test_predictions_are_the_model_s_own(tmp_path: Path, labelled: bool) -> None:
    module = save_named(tmp_path / "model", "bad", "good")
    lines = ["text,label" if labelled else "text", *(f"{text},good" if labelled else text for text in some_texts(12))]
    (tmp_path / "data.csv").write_text("\n".join(lines) + "\n")
    table = predict_pretrained(str(tmp_path / "model"), tmp_path / "data.csv", out=tmp_path / "runs").splitlines()
    assert table[0] == ("id,label,p_bad,p_good" if labelled else "id,p_bad,p_good")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")
    for line, text in zip(table[1:], some_texts(12), strict=True):
        with torch.no_grad():
            wanted = module(**tokenizer(text, return_tensors="pt")).logits.softmax(dim=1)[0]
        assert torch.allclose(torch.tensor([float(each) for each in line.split(",")[-2:]]), wanted, atol=1e-5)


def test_a_model_without_a_head_says_nothing_of_classes(tmp_path: Path) -> None:
    save_text_model(tmp_path / "model", "plain")
    with pytest.raises(InputError, match="has no classification head"):
        look_at_pretrained(str(tmp_path / "model"), tmp_path / "data.csv")


def test_folders_that_hold_half_a_model_are_told_apart(tmp_path: Path) -> None:
    save_image_model(tmp_path / "model", "resnet")
    assert is_pretrained(str(tmp_path / "model"))
    (tmp_path / "empty").mkdir()
    for named, said in (
        (tmp_path / "empty", r"empty holds neither config\.json \(Hugging Face\) nor record\.json \(surefoot\)"),
        (
            tmp_path / "model" / "model.safetensors",
            r"is a file of weights alone; give the folder of the model: .*model\.",
        ),
    ):
        with pytest.raises(InputError, match=said):
            open_encoder(str(named))
    (tmp_path / "model" / "preprocessor_config.json").unlink()
    with pytest.raises(InputError, match=r"holds no preprocessor_config\.json.* from the resnet model"):
        open_encoder(str(tmp_path / "model"))


class Runs:
    """What a pickle does when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return (Path.touch, (self.path,))


def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    module = save_text_model(tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").unlink()
    torch.save({**module.state_dict(), "more": Runs(tmp_path / "ran")}, tmp_path / "model" / "pytorch_model.bin")
    with pytest.raises(InputError, match="could not be loaded"):
        open_encoder(str(tmp_path / "model"))
    assert not (tmp_path / "ran").exists()
