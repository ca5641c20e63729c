"""Columns of decisions beside probabilities, gaps in scores, and the other ways in which a table can mislead."""

from pathlib import Path

import pytest

from surefoot.errors import InputError
from surefoot.findings.reading import read_told
from surefoot.study.once.measure import card_from_predictions


def test_decisions_of_another_threshold_are_told_of(tmp_path: Path) -> None:
    lines = ["y_true,y_pred,p0,p1", *(f"{row % 2},{int(row % 4 > 0)},0.7,0.3" for row in range(40))]
    (tmp_path / "p.csv").write_text("\n".join(lines) + "\n")
    read = read_told(tmp_path / "p.csv")
    (told,) = read.doubts
    assert told in read.told
    assert told.startswith("y_pred is not the likeliest class in 30 of 40 rows, as with another threshold")
    assert told.endswith("--prediction y_pred makes one of what was decided.")
    (tmp_path / "p.csv").write_text("\n".join(["y_true,y_pred,p0,p1", *["0,0,0.7,0.3", "1,0,0.7,0.3"] * 20]) + "\n")
    assert not [line for line in read_told(tmp_path / "p.csv").told if line.startswith("y_pred")]


def test_a_score_with_gaps_is_not_unknown(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("\n".join(["y,score", "0,0.2", "1,", "1,0.9", "0,"]) + "\n")
    with pytest.raises(InputError, match=r"^score in .*p.csv has 2 empty cells \(first: line 3\); give every row"):
        read_told(tmp_path / "p.csv")


def table(folder: Path, labels: str, said: str, also: str = "") -> Path:
    lines = [f"label,prediction{also and ',p_0,p_1'}"]
    lines += [f"{label},{each}{also}" for label, each in zip(labels.split("|"), said.split("|"), strict=True)]
    (folder / "p.csv").write_text("\n".join(lines) + "\n")
    return folder / "p.csv"


@pytest.mark.parametrize(
    ("labels", "said", "note"),
    [
        ("0|1|1|0", "True|True|True|False", " (True read as 1, False as 0)"),
        ("False|True|True|False", "1|1|1|0", " (1 read as True, 0 as False)"),
        ("False|True|True|False", "TRUE|TRUE|TRUE|FALSE", " (TRUE read as True, FALSE as False)"),
        ("Cat|Dog|Dog|Cat", "dog|dog|dog|cat", " (dog read as Dog, cat as Cat)"),
        ("cat|dog|dog|cat", "dog |dog |dog |cat ", " ('dog ' read as dog, 'cat ' as cat)"),
        ("cat|dog|dog|cat", "dog|dog|dog|Cat", " (Cat read as cat)"),
        ("no|yes|yes|no", "1.0|1.0|1.0|0.0", " (1.0 read as yes, 0.0 as no)"),
        ("0|1|1|0", "Yes|Yes|Yes|No", " (Yes read as 1, No as 0)"),
        ("0|1|1|0", "1.0|1.0|1.0|0.0", ""),
        ("a|A|A|a", "A|A|A|a", ""),
        ("cat|dog|dog|cat", "bird|dog|dog|cat", ""),
    ],
)  # fmt: skip
def test_predicted_classes_in_another_writing(labels: str, said: str, note: str, tmp_path: Path) -> None:
    read = read_told(table(tmp_path, labels, said))
    assert read.predictions.correct().tolist() == [[0, 1, 1, 1]]
    assert set(labels.split("|")) <= set(read.predictions.classes)
    assert read.told[1].endswith(f"; predicted classes: prediction{note}")


@pytest.mark.parametrize(
    ("labels", "said", "message"),
    [
        ("0|1|1", "cat|dog|dog",
         "None of the predicted classes in prediction (cat, dog) is a class of the labels (0, 1); write them alike."),
        ("0|1|2", "False|True|True", "None of the predicted classes in prediction (False, True) is a class of the "
         "labels (0, 1, 2); write them alike."),
        ("0|1|1", "True|yes|no", "None of the predicted classes in prediction (True, no, yes) is a class of the labels "
         "(0, 1); write them alike."),
        ("0|1|1", "-1|1|1",
         "The predicted class '-1' in prediction is no class of the labels (0, 1); write them alike."),
        ("Cat|Dog|Dog", "Cat|cat|Dog", "The predicted classes 'Cat' and 'cat' in prediction differ in case or spaces "
         "alone, and the labels have 'Cat'; write them alike."),
        ("a|A|b", "B|B|B",
         "None of the predicted classes in prediction (B) is a class of the labels (A, a, b); write them alike."),
    ],
)  # fmt: skip
def test_predicted_classes_that_are_no_labels(labels: str, said: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_told(table(tmp_path, labels, said))
    assert str(caught.value) == message


def test_a_model_that_is_always_wrong_is_not_refused(tmp_path: Path) -> None:
    assert read_told(table(tmp_path, "0|0|0", "1|1|1")).predictions.correct().tolist() == [[0, 0, 0]]
    assert read_told(table(tmp_path, "cat|dog|cat", "dog|cat|dog")).predictions.correct().tolist() == [[0, 0, 0]]


def test_decisions_in_another_writing_are_told_of(tmp_path: Path) -> None:
    told = read_told(table(tmp_path, "0|1|1|0", "True|True|True|True", ",0.7,0.3")).told
    assert any(line.startswith("prediction is not the likeliest class in 4 of 4 rows") for line in told)


@pytest.mark.parametrize(("name", "groups"), [("place", ["place"]), ("group", [])])
def test_groups_of_empty_cells(name: str, groups: list[str], tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("\n".join([f"label,p,{name}", *["0,0.2,", "1,0.9,"] * 10]) + "\n")
    with pytest.raises(InputError) as caught:
        card_from_predictions(path, claims=["worst_group_accuracy >= 0.5"], groups=groups, out=tmp_path / "runs")
    assert str(caught.value) == (
        f'The claim "worst_group_accuracy >= 0.5" needs groups, and no row of {path} has a value in {name}; fill it '
        "in, or name another column with --groups."
    )
