"""Which columns make the groups, and which rows are in which."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from surefoot.errors import InputError
from surefoot.findings.measure import measure
from surefoot.findings.predictions import Predictions
from surefoot.findings.reading import read_told
from surefoot.rows.reading import read_rows
from surefoot.rows.rows import Groups


def predictions_of(path: Path, **columns: Any) -> Predictions:
    return read_told(path, **columns).predictions


def members(groups: Groups) -> dict[str, list[int]]:
    columns = zip(groups.names, groups.members.T, strict=True)
    return {name: column.nonzero().squeeze(1).tolist() for name, column in columns}


def table(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_attributes_are_crossed_with_one_another_where_asked(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", "y,f,sex,age,id", "0,1,F,9,a", "1,2,M,10,b", "0,3,,10,c", "1,4,F,10,d", "0,5,F,,e")
    groups = read_rows(path, attributes=["sex*age"]).rows.groups
    assert members(groups) == {
        "0, sex=F, age=9": [0], "0, sex=F, age=10": [], "0, sex=M, age=10": [],
        "1, sex=F, age=9": [], "1, sex=F, age=10": [3], "1, sex=M, age=10": [1],
    }  # fmt: skip
    assert int(groups.members.sum(dim=1).max()) == 1  # each known row is in one group, so draws can be balanced
    both = read_rows(path, attributes=["sex", "sex*age"])
    assert both.rows.groups.names[:2] == ("0, sex=F", "0, sex=M")
    assert "groups: class × sex, sex*age" in both.described


def test_three_attributes_and_three_classes(tmp_path: Path) -> None:
    lines = [f"{row % 3},{row % 2},{row // 2 % 2},{row // 4 % 2},{row}.5" for row in range(24)]
    path = table(tmp_path / "t.csv", "label,u,v,w,f", *lines)
    groups = read_rows(path, attributes=["u*v*w"]).rows.groups
    assert len(groups.names) == 3 * 8
    assert groups.counts().tolist() == [1] * 24
    assert groups.names[0] == "0, u=0, v=0, w=0"
    assert groups.names[8] == "1, u=0, v=0, w=0"  # g = class · values + value


def test_a_part_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", "y,f,sex", "0,1,F", "1,2,M")
    with pytest.raises(InputError, match=r"has no column 'sexx' \(did you mean 'sex'\?\)"):
        read_rows(path, attributes=["sex*sexx"])


def test_columns_of_memberships_may_overlap(tmp_path: Path) -> None:
    path = table(
        tmp_path / "t.csv", "y,f,group:old,group: a, b ".replace(", b", ";b"), "0,1,yes,1", "1,2,no,TRUE", "0,3,,0"
    )
    rows = read_rows(path)
    assert members(rows.rows.groups) == {"old": [0], "a;b": [0, 1]}
    assert "groups: 2 columns group:…" in rows.described
    assert rows.rows.inputs.shape == (3, 1)  # memberships are no features
    table(path, "y,f,group:old", "0,1,perhaps", "1,2,no")
    with pytest.raises(InputError, match="holds 'perhaps' in line 2; expected yes or no"):
        read_rows(path)


def test_predictions_with_overlapping_groups_are_measured_one_by_one(tmp_path: Path) -> None:
    # Sixteen overlapping groups work the same: each accuracy is over its own rows, the worst is their minimum.
    lines = ["label,p_0,p_1,group:x,group:y", "0,.9,.1,1,1", "1,.8,.2,1,0", "1,.1,.9,0,1", "0,.3,.7,0,1", "0,.9,.1,,0"]
    predictions = predictions_of(table(tmp_path / "p.csv", *lines))
    found = {(each.name, each.slice): each for each in measure(predictions, subject="m", source="judge")}
    assert found["accuracy", "x"].value == 1 / 2
    assert found["accuracy", "y"].value == 2 / 3
    assert found["accuracy", "all"].value == 3 / 5
    assert found["worst_group_accuracy", "all"].value == 1 / 2


def test_a_group_without_rows_is_neither_zero_nor_the_worst(tmp_path: Path) -> None:
    # Guards the published evaluation, where a group without samples scored 0 and became the worst group.
    lines = ["label,p_0,p_1,group:x,group:none", "0,.9,.1,1,0", "1,.1,.9,1,0", "1,.9,.1,0,0"]
    predictions = predictions_of(table(tmp_path / "p.csv", *lines))
    found = {(each.name, each.slice): each for each in measure(predictions, subject="m", source="judge")}
    assert ("accuracy", "none") not in found
    assert ("worst_group_accuracy", "all") not in found
    assert found["worst_group_accuracy", "all groups but none"].value == 1.0
    assert all(each.value == each.value for each in found.values())


def test_groups_that_are_not_class_by_attribute_are_taken_as_they_are(tmp_path: Path) -> None:
    # A cache of 62 classes and regions holds g = region and p = region: groups are regions, not 62 × regions.
    y, region = np.array([0, 1, 2, 0]), np.array([0, 1, 1, 0])

    def cached(name: str, numbers: np.ndarray) -> Groups:
        arrays = {"embeddings": np.eye(4, dtype=np.float32), "y": y, "p": region, "g": numbers}
        stacked = {f"{key}_{split}": values for key, values in arrays.items() for split in ("val", "test")}
        np.savez(tmp_path / name, **stacked)
        return read_rows(tmp_path / name).rows.groups

    assert cached("regions.npz", region).names == ("group 0", "group 1")
    crossed = cached("crossed.npz", 2 * y + region)
    assert crossed.names[:2] == ("0, p=0", "0, p=1")
    assert torch.equal(crossed.members.long().argmax(dim=1), torch.from_numpy(np.tile(2 * y + region, 2)))


def test_rows_that_miss_an_attribute_are_in_none_of_its_groups(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", "y,f,sex,race", "0,1,F,a", "1,2,,b", "0,3,M,")
    groups = read_rows(path, attributes=["sex", "race"]).rows.groups
    assert {name: rows for name, rows in members(groups).items() if rows} == {
        "0, sex=F": [0], "0, sex=M": [2], "0, race=a": [0], "1, race=b": [1],
    }  # fmt: skip
