"""Pictures in class folders are the table that a metadata.csv would be, in an order that nothing but names decides."""

from pathlib import Path

import pytest
from PIL import Image

from surefoot.errors import InputError
from surefoot.rows.class_folders import read_class_folders
from surefoot.rows.reading import SPLIT_MEANING


def pictures(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(path)


def columns(folder: Path) -> dict[str, list[str]]:
    return {name: list(values) for name, values in read_class_folders(folder, SPLIT_MEANING).columns.items()}


def test_class_folders_give_labels_in_the_order_of_names(tmp_path: Path) -> None:
    pictures(tmp_path, "round/b.png", "round/a.JPG", "angular/deep/c.png")
    (tmp_path / "round" / "notes.txt").write_text("")
    (tmp_path / "empty").mkdir()
    assert columns(tmp_path) == {
        "file_name": ["angular/deep/c.png", "round/a.JPG", "round/b.png"],
        "label": ["angular", "round", "round"],
    }


def test_split_folders_give_splits_in_the_order_of_use(tmp_path: Path) -> None:
    pictures(tmp_path, "test/round/1.png", "Train/round/2.png", "val/angular/3.png", "Train/angular/2.png")
    assert columns(tmp_path) == {
        "file_name": ["Train/angular/2.png", "Train/round/2.png", "val/angular/3.png", "test/round/1.png"],
        "label": ["angular", "round", "angular", "round"],
        "split": ["train", "train", "val", "test"],
    }


def test_classes_may_be_called_as_splits_are(tmp_path: Path) -> None:
    pictures(tmp_path, "0/a.png", "1/deep/b.png", "test/c.png")
    assert columns(tmp_path)["label"] == ["0", "1", "test"]
    assert "split" not in columns(tmp_path)


def test_a_table_for_each_split_is_one_table(tmp_path: Path) -> None:
    for part in ("test", "train"):
        pictures(tmp_path, f"{part}/x/1.png")
        (tmp_path / part / "metadata.csv").write_text("file_name,label,place\nx/1.png,round,sea\n")
    assert columns(tmp_path) == {
        "file_name": ["train/x/1.png", "test/x/1.png"],
        "label": ["round", "round"],
        "place": ["sea", "sea"],
        "split": ["train", "test"],
    }
    (tmp_path / "test" / "metadata.csv").write_text("file_name,label\nx/1.png,round\n")
    with pytest.raises(InputError, match="has the columns file_name, label and"):
        columns(tmp_path)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ((), "no class folders, and 0 pictures"),
        (("a.png",), "no class folders, and 1 picture;"),
        (("images/a.png",), r"pictures in one folder alone \(images\)"),
        (("train/a/1.png", "test/2.png"), "test holds 1 picture beside its 0 class folders"),
        (("a/1.png", "b/2.png", "3.png"), "holds 1 picture beside its 2 class folders"),
        (("train/a/1.png", "train/b/2.png", "more/3.png"), r"beside them, folders of pictures \(more\)"),
    ],
)
def test_what_is_not_class_folders_is_said_with_what_was_found(
    tmp_path: Path, names: tuple[str, ...], said: str
) -> None:
    pictures(tmp_path, *names)
    with pytest.raises(InputError, match=said):
        columns(tmp_path)


def test_a_table_of_another_name_is_pointed_at(tmp_path: Path) -> None:
    pictures(tmp_path, "images/a.png")
    (tmp_path / "labels.csv").write_text("filename,label\nimages/a.png,round\n")
    with pytest.raises(InputError, match=r"but tables \(labels.csv\) that can be given in its place"):
        columns(tmp_path)
