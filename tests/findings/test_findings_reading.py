"""Predictions from a table: the same numbers as were written, and clear refusals."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from surefoot.errors import InputError
from surefoot.findings.predictions import Predictions
from surefoot.findings.reading import read_told


def predictions_of(path: Path, **columns: Any) -> Predictions:
    return read_told(path, **columns).predictions


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def refusal(call) -> str:
    with pytest.raises(InputError) as caught:
        call()
    return str(caught.value)


def test_one_column_per_class(tmp_path):
    path = written(
        tmp_path / "p.csv", "id,label,place,patient,p_cat,p_dog,p_eel",
        "r1,dog,in,u,.2,.5,.3", "r2,cat,,u,.9,.1,0", "r3,eel,out,v,0,0,1",
    )  # fmt: skip
    read = predictions_of(path, groups=["place"], cluster="patient")
    assert read.probabilities.tolist() == [[[0.2, 0.5, 0.3], [0.9, 0.1, 0.0], [0.0, 0.0, 1.0]]]
    assert read.classes == ("cat", "dog", "eel")
    assert read.targets.tolist() == [1, 0, 2]
    assert read.clusters.tolist() == [[0], [0], [1]]
    assert read.ids.tolist() == ["r1", "r2", "r3"]
    members = {name: column.tolist() for name, column in zip(read.groups.names, read.groups.members.T, strict=True)}
    # Of the six combinations two occur; the row whose place is unknown is in neither.
    assert members == {"dog, place=in": [True, False, False], "eel, place=out": [False, False, True]}


def test_one_probability_of_class_one_and_ready_groups(tmp_path):
    path = written(tmp_path / "p.csv", "label,probability,group", "1,.75,a", "0,.25,b", "0,1,a")
    read = predictions_of(path)
    assert read.probabilities.tolist() == [[[0.25, 0.75], [0.75, 0.25], [0.0, 1.0]]]
    assert read.groups.names == ("a", "b")
    assert read.groups.members.tolist() == [[True, False], [False, True], [True, False]]
    assert read.correct().tolist() == [[1.0, 1.0, 0.0]]
    assert read.clusters.tolist() == [[0], [1], [2]]


def test_predicted_classes_without_probabilities_are_decisions(tmp_path):
    path = written(
        tmp_path / "p.csv", "id,label,seed,prediction", "a,cat,1,cat", "b,dog,1,eel", "b,dog,2,dog", "a,cat,2,eel"
    )
    read = predictions_of(path)
    assert read.decisions
    assert read.classes == ("cat", "dog", "eel")
    assert read.probabilities.tolist() == [[[1, 0, 0], [0, 0, 1]], [[0, 0, 1], [0, 1, 0]]]
    assert read.correct().tolist() == [[1.0, 0.0], [0.0, 1.0]]
    # Whole numbers are class numbers, as they are for labels; probabilities win where there are any.
    numbers = written(tmp_path / "n.csv", "label,said,prediction,p", "0,1.0,0,.25", "1,1.0,0,.75")
    assert predictions_of(numbers, prediction="said").probabilities.tolist() == [[[0, 1], [0, 1]]]
    assert predictions_of(numbers).probabilities.tolist() == [[[0.75, 0.25], [0.25, 0.75]]]
    assert not predictions_of(numbers).decisions


def test_seeds_are_stacked_whatever_the_order_of_the_lines(tmp_path):
    lines = [f"r{row},{row % 2},{seed},{(row + 1) / (seed + 5)}" for seed in (10, 2) for row in range(4)]
    shuffled = [lines[place] for place in np.random.default_rng(0).permutation(8)]
    read = predictions_of(written(tmp_path / "p.csv", "id,y,seed,p", *shuffled), target="y")
    assert read.probabilities.shape == (2, 4, 2)
    order = [int(name[1:]) for name in read.ids]
    assert sorted(order) == [0, 1, 2, 3]
    for place, seed in enumerate((2, 10)):
        assert torch.allclose(
            read.probabilities[place, :, 1],
            torch.tensor([(row + 1) / (seed + 5) for row in order], dtype=torch.float64),
        )
    assert read.targets.tolist() == [row % 2 for row in order]


def test_parquet_agrees_with_csv(tmp_path):
    frame = pd.DataFrame(
        {"id": [1, 2], "label": [0, 1], "p_0": [0.125, 0.5], "p_1": [0.875, 0.5], "group": ["u", None]}
    )
    frame.to_parquet(tmp_path / "p.parquet")
    frame.to_csv(tmp_path / "p.csv", index=False)
    first, second = predictions_of(tmp_path / "p.parquet"), predictions_of(tmp_path / "p.csv")
    assert torch.equal(first.probabilities, second.probabilities)
    assert torch.equal(first.groups.members, second.groups.members)
    assert first.groups.names == second.groups.names == ("u",)
    assert first.ids.tolist() == second.ids.tolist() == ["1", "2"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["id,label,p_0,p_1", "a,0,.5,.5", "b,1,.7,.7"],
         "1 rows have probabilities that do not sum to 1 (first: line 3, id b with 1.4); "
         "give one probability per class, all of them."),
        (["id,label,p_0,p_1", "a,0,.5,.5", "b,1,-2,3"],
         "1 rows have probabilities outside [0, 1] (first: line 3, id b with -2); give probabilities, not scores or "
         "logits."),
        (["id,label,p_0,p_1", "a,0,.5,", "b,1,nan,1"],
         "2 rows have probabilities that are NaN or missing (first: line 2, id a); give every row one per class."),
        (["id,label,p_0,p_1", "a,0,.5,.5", "b,2,.5,.5"],
         "1 rows have a label outside the classes 0, 1 (first: line 3, id b has 2); mend the labels or name all "
         "classes."),
        (["id,label,p", "a,cat,.5"],
         "The column 'p' of {path} is read as the probability of class 1, but there are labels such as cat; "
         "give one column per class, called p_<class>."),
        (["id,diagnosis,p", "a,0,.5"],
         "{path} has no column of true classes that is known by name (label, labels, target, y_true, actual, …; its "
         "columns are: id, diagnosis, p); name it with --target."),
        (["id,label,points", "a,0,12"],
         "{path} has no columns of probabilities that are known by name; expected one per class called p_<class>, or "
         "'probability' for class 1 of 0 and 1, or predicted classes in 'prediction', or their names in "
         "--probabilities or --prediction (its columns are: id, label, points)."),
        (["id,label,prediction", "a,0,1", "b,0,"],
         "1 rows have no class in the column 'prediction' (first: line 3, id b); give every row one."),
        (["id,label,p_cat", "a,cat,.5"],
         "{path} has probabilities of one class alone (p_cat); give one column per class."),
        (["id,label,p", "a,0,.5", "a,0,.6"],
         "1 ids repeat in {path} (first: the id a); give one prediction per id, or a column 'seed'."),
        (["id,label,seed,p", "a,0,1,.5", "a,0,1,.6"],
         "1 ids repeat in {path} (first: the id a with seed 1); give one prediction per id, or a column 'seed'."),
        (["id,label,seed,p", "a,0,1,.5", "a,0,2,.6", "b,1,1,.6"],
         "1 ids of {path} have no prediction for seed 2 (first: b); every seed must predict the same rows."),
        (["id,label,seed,p", "a,0,1,.5", "a,1,2,.6"],
         "1 ids have a different label for different seeds in {path} (first: line 2, id a); a row has one."),
        (["label,seed,p", "0,1,.5"],
         "{path} has the column 'seed' but no id; name each row, so that seeds can be matched."),
        (["id,label,p", "a,0,high"],
         "The column 'p' of {path} holds 'high' in line 2; expected a number in every row."),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path, lines, message):
    path = written(tmp_path / "p.csv", *lines)
    assert refusal(lambda: predictions_of(path)) == message.format(path=path)
