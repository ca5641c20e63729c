"""Every form of file the field uses gives the rows one would write by hand."""

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file

from surefoot.errors import InputError
from surefoot.rows.arrays import attribute_groups, class_numbers, rows_from_arrays
from surefoot.rows.assign import roles_from_split
from surefoot.rows.images import ImageFiles
from surefoot.rows.reading import SPLIT_MEANING, describe, read_rows, rows_from_dataframe
from surefoot.rows.rows import Groups, Rows


def write_csv(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def members(rows: Rows) -> dict[str, list[int]]:
    """The rows of each group."""
    columns = zip(rows.groups.names, rows.groups.members.T, strict=True)
    return {name: column.nonzero().squeeze(1).tolist() for name, column in columns}


def pictures(folder: Path, names: list[str], size: tuple[int, int] = (4, 3)) -> None:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((*size, 3), 10 * number, dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)


def test_the_canonical_table_with_features(tmp_path):
    path = write_csv(
        tmp_path / "rows.csv", "id,filename,split,y,a,f0,f1", "u,x.png,0,1,0,0.5,1", "v,y.png,2,0,1,-2,1e3"
    )
    reading = read_rows(path)
    rows = reading.rows
    assert rows.inputs.tolist() == [[0.5, 1.0], [-2.0, 1000.0]]
    assert rows.inputs.dtype == torch.float32
    assert rows.targets.tolist() == [1, 0]
    assert rows.classes == ("0", "1")
    assert members(rows) == {"0, a=0": [], "0, a=1": [1], "1, a=0": [0], "1, a=1": []}
    assert rows.ids.tolist() == ["u", "v"]
    assert reading.split == ("0", "2")
    assert reading.described.splitlines() == [
        "inputs: f0, f1 (2 numbers a row)", "classes: y", "groups: class × a", "split: split", "ids: id",
        "not used: filename",
    ]  # fmt: skip
    assert set(roles_from_split(rows, list(reading.split), SPLIT_MEANING)) == {"fit", "judge"}


def test_waterbirds_folder(tmp_path):
    names = ["001.Albatross/one.jpg", "two.png"]
    pictures(tmp_path, names)
    write_csv(
        tmp_path / "metadata.csv",
        "img_id,img_filename,y,split,place,place_filename",
        f"1,{names[0]},0,0,1,/o/ocean/1.jpg",
        f"2,{names[1]},1,1,0,/f/forest/2.jpg",
    )
    reading = read_rows(tmp_path)
    rows = reading.rows
    assert isinstance(rows.inputs, ImageFiles)
    assert rows.inputs[:].shape == (2, 3, 4, 3)
    assert torch.equal(rows.inputs[1], torch.full((3, 4, 3), 10 / 255))
    assert members(rows)["0, place=1"] == [0]
    assert members(rows)["1, place=0"] == [1]
    assert rows.ids.tolist() == ["1", "2"]
    assert reading.split == ("0", "1")
    assert "not used: place_filename" in reading.described
    second = rows.take(torch.tensor([False, True]))
    assert isinstance(second.inputs, ImageFiles)
    assert second.inputs.paths == (tmp_path / "two.png",)
    resized = read_rows(tmp_path / "metadata.csv", image_size=(8, 6)).rows
    assert torch.equal(resized.inputs[torch.tensor([1])], torch.full((1, 3, 8, 6), 10 / 255))


def test_resizing_averages_like_pillow(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    write_csv(tmp_path / "metadata.csv", "filename,y", "x.png,0")
    half = read_rows(tmp_path, image_size=(4, 4)).rows.inputs[0]
    expected = np.asarray(Image.fromarray(pixels).resize((4, 4), Image.Resampling.BILINEAR)) / 255
    assert half.shape == (1, 4, 4)
    assert np.allclose(half[0].numpy(), expected)


def test_spurious_and_group_columns(tmp_path):
    path = write_csv(tmp_path / "a.csv", "y,spurious,group,f", "0,1,1,.1", "1,0,2,.2")
    assert members(read_rows(path).rows) == {
        "0, spurious=0": [], "0, spurious=1": [0], "1, spurious=0": [1], "1, spurious=1": [],
    }  # fmt: skip
    path = write_csv(tmp_path / "b.csv", "y,group,f", "0,1,.1", "1,2,.2", "1,,.3")
    assert members(read_rows(path).rows) == {"group 1": [0], "group 2": [1]}


def test_words_missing_attributes_and_several_attributes(tmp_path):
    path = write_csv(
        tmp_path / "a.csv", "y,place,sex,f,patient", "dog,in,m,1,p7", "cat,,f,2,p8", "dog,out,,3,p7", "cat,out,m,4,"
    )
    rows = read_rows(path, attributes=["place", "sex"], source="patient").rows
    assert rows.classes == ("cat", "dog")
    assert members(rows) == {
        "cat, place=in": [], "cat, place=out": [3], "dog, place=in": [0], "dog, place=out": [2],
        "cat, sex=f": [1], "cat, sex=m": [3], "dog, sex=f": [], "dog, sex=m": [0],
    }  # fmt: skip
    assert rows.sources.tolist() == [["p7"], ["p8"], ["p7"], [""]]
    clusters = rows.clusters[:, 0].tolist()
    assert clusters[0] == clusters[2]
    assert len(set(clusters)) == 3
    full = members(read_rows(path, attributes=["place", "sex"], full_crossing=True).rows)
    assert list(full)[8:] == [
        f"{label}, place={place}, sex={sex}" for label in ("cat", "dog") for place in ("in", "out") for sex in "fm"
    ]
    assert full["dog, place=in, sex=m"] == [0]
    assert full["cat, place=out, sex=m"] == [3]
    assert sum(len(rows) for name, rows in full.items() if name.count("=") == 2) == 2


def test_clusters_do_not_become_sources(tmp_path):
    path = write_csv(tmp_path / "a.csv", "y,f,hospital", "0,1,A", "1,2,A", "0,3,B")
    rows = read_rows(path, cluster="hospital", features=["f"]).rows
    assert rows.clusters.tolist() == [[0], [0], [1]]
    assert [source.rsplit(":", 2)[1:] for (source,) in rows.sources.tolist()] == [
        ["row", "0"],
        ["row", "1"],
        ["row", "2"],
    ]


def test_csv_quoting_marks_and_an_unnamed_index(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes('\ufeff,y,text,f\r\n10,"a, b","two\nlines",1\r\n\r\n11,"say ""hi""",x,2\r\n'.encode())
    reading = read_rows(path)
    assert reading.rows.classes == ("a, b", 'say "hi"')
    assert reading.rows.ids.tolist() == ["10", "11"]
    assert reading.rows.inputs.tolist() == [[1.0], [2.0]]


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": ["r1", "r2", "r3"],
            "y": [1, 0, 1],
            "place": ["in", None, "out"],
            "f0": [0.25, 1.5, -3.0],
            "f1": np.array([1, 2, 3], dtype=np.int16),
        }
    )


def same(first: Rows, second: Rows) -> bool:
    return (
        torch.equal(first.inputs, second.inputs)
        and torch.equal(first.targets, second.targets)
        and first.classes == second.classes
        and members(first) == members(second)
        and first.ids.tolist() == second.ids.tolist()
    )


def test_csv_parquet_and_frames_agree(tmp_path, frame):
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "a.parquet")
    read = rows_from_dataframe(frame)
    assert read.rows.inputs.tolist() == [[0.25, 1.0], [1.5, 2.0], [-3.0, 3.0]]
    assert members(read.rows) == {"0, place=in": [], "0, place=out": [], "1, place=in": [0], "1, place=out": [2]}
    assert same(read.rows, read_rows(tmp_path / "a.csv").rows)
    assert same(read.rows, read_rows(tmp_path / "a.parquet").rows)


def test_frames_with_missing_values_of_every_kind():
    frame = pd.DataFrame(
        {
            "y": pd.Series([0, 1, 1], dtype="int64"),
            "a": pd.Series([1, pd.NA, 0], dtype="Int64"),
            "kind": pd.Categorical(["x", None, "y"]),
            "flag": [True, False, True],
            "f": [1.0, 2.0, 3.0],
        }
    )
    rows = rows_from_dataframe(frame, attributes=["a", "kind", "flag"], features=["f"]).rows
    found = {name: rows for name, rows in members(rows).items() if rows}
    assert found == {
        "0, a=1": [0], "1, a=0": [2], "0, kind=x": [0], "1, kind=y": [2],
        "0, flag=1": [0], "1, flag=0": [1], "1, flag=1": [2],
    }  # fmt: skip


def test_parquet_columns_of_lists_are_features(tmp_path):
    frame = pd.DataFrame({"label": [0, 1], "embedding": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], "other": [7, 8]})
    frame.to_parquet(tmp_path / "a.parquet")
    reading = read_rows(tmp_path / "a.parquet")
    assert reading.rows.inputs.tolist() == [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    assert "not used: other" in reading.described
    both = read_rows(tmp_path / "a.parquet", features=["other", "embedding"]).rows.inputs
    assert both.tolist() == [[7.0, 1.0, 2.0, 3.0], [8.0, 4.0, 5.0, 6.0]]


def test_npz_of_plain_names(tmp_path):
    inputs = np.random.default_rng(0).normal(size=(4, 2, 3))
    members_given = np.array([[1, 0], [1, 1], [0, 0], [0, 1]], dtype=bool)
    np.savez(
        tmp_path / "a.npz", inputs=inputs, y=np.array([0, 2, 1, 0]), groups=members_given,
        group_names=np.array(["old", "young"]), split=np.array(["train", "val", "test", "train"]),
        ids=np.array(["p", "q", "r", "s"]), classes=np.array(["a", "b", "c"]),
        sources=np.array([["1", "2"], ["1", ""], ["3", "4"], ["", ""]]), clusters=np.array([5, 5, 6, 7]),
    )  # fmt: skip
    classes_by_number = read_rows(tmp_path / "a.npz")
    rows = classes_by_number.rows
    assert np.array_equal(rows.inputs.numpy(), inputs.astype(np.float32))
    assert rows.targets.tolist() == [0, 2, 1, 0]
    assert rows.classes == ("a", "b", "c")
    assert members(rows) == {"old": [0, 1], "young": [1, 3]}
    assert classes_by_number.split == ("train", "val", "test", "train")
    assert rows.sources.tolist() == [["1", "2"], ["1", ""], ["3", "4"], ["", ""]]
    assert rows.clusters.tolist() == [[0], [0], [1], [2]]


def test_npz_caches_with_one_set_of_arrays_per_split(tmp_path):
    test, val = np.arange(6.0).reshape(3, 2), np.arange(4.0).reshape(2, 2) - 9
    np.savez(
        tmp_path / "emb.npz", embeddings_test=test, y_test=[0, 1, 1], g_test=[0, 3, 2], p_test=[0, 1, 0],
        embeddings_val=val, y_val=[1, 0], g_val=[3, 1], p_val=[1, 1],
    )  # fmt: skip
    reading = read_rows(tmp_path / "emb.npz")
    assert reading.rows.inputs.tolist() == [*val.tolist(), *test.tolist()]
    assert reading.rows.targets.tolist() == [1, 0, 0, 1, 1]
    assert reading.split == ("val", "val", "test", "test", "test")
    # g = y · 2 + p is the number of the group that class × p gives.
    assert reading.rows.groups.members.long().argmax(dim=1).tolist() == [3, 1, 0, 3, 2]
    np.savez(tmp_path / "x.npz", x_test=test, y_test=[0, 1, 1], x_val=val, y_val=[1, 0])
    assert read_rows(tmp_path / "x.npz").rows.inputs.tolist() == reading.rows.inputs.tolist()
    assert read_rows(tmp_path / "x.npz").split == reading.split
    np.savez(tmp_path / "two.npz", embeddings=test, labels=[0, 1, 1])
    assert read_rows(tmp_path / "two.npz").rows.targets.tolist() == [0, 1, 1]


def test_a_pt_file_of_tensors_and_the_cache_of_afr(tmp_path):
    torch.manual_seed(0)
    e, later = torch.randn(4, 3), torch.randn(2, 3)
    y, g = torch.tensor([0, 1, 1, 0]), torch.tensor([0, 3, 2, 1])
    cache = {"e": e, "y": y, "g": g, "pred": 1 - y, "w0": torch.ones(2, 3), "b0": torch.ones(2),
             "test_e": later.double(), "test_y": y[:2], "test_g": g[:2], "test_pred": y[:2]}  # fmt: skip
    torch.save(cache, tmp_path / "afr.pt")
    reading = read_rows(tmp_path / "afr.pt")
    assert torch.equal(reading.rows.inputs[:], torch.cat([e, later]))
    assert reading.rows.targets.tolist() == [0, 1, 1, 0, 0, 1]
    assert reading.split == ("train",) * 4 + ("test",) * 2
    assert members(reading.rows) == {"group 0": [0, 4], "group 1": [3], "group 2": [2], "group 3": [1, 5]}
    torch.save({"x": e.half(), "labels": y}, tmp_path / "plain.pt")
    plain = read_rows(tmp_path / "plain.pt").rows
    assert torch.equal(plain.inputs[:], e.half().float())


def test_a_pt_file_of_objects_is_never_loaded(tmp_path):
    torch.save({"e": Path("an object")}, tmp_path / "objects.pt")
    with pytest.raises(InputError, match="Python objects are never loaded"):
        read_rows(tmp_path / "objects.pt")
    (tmp_path / "cut.pt").write_bytes(b"PK\x03\x04 the rest is missing")
    with pytest.raises(InputError, match=r"is not a readable \.pt file"):
        read_rows(tmp_path / "cut.pt")


def test_wilds_metadata_array(tmp_path):
    metadata = np.array([[1, 0, 1], [0, 1, 1]])  # background, y, from_source_domain
    np.savez(tmp_path / "a.npz", embeddings=np.eye(2), metadata_array=metadata)
    assert members(read_rows(tmp_path / "a.npz").rows) == {
        "0, attribute=0": [], "0, attribute=1": [0], "1, attribute=0": [1], "1, attribute=1": [],
    }  # fmt: skip
    names = np.array(["background", "y", "from_source_domain"])
    np.savez(tmp_path / "b.npz", embeddings=np.eye(2), metadata_array=metadata, metadata_fields=names)
    rows = read_rows(tmp_path / "b.npz", attributes=["background"]).rows
    assert rows.targets.tolist() == [0, 1]
    assert members(rows)["0, background=1"] == [0]


def test_safetensors_features(tmp_path):
    strings = {
        "ids": json.dumps(["a", "b"]),
        "split": json.dumps(["train", "test"]),
        "classes": json.dumps(["no", "yes"]),
    }
    arrays = {"x": np.eye(2, dtype=np.float32), "y": np.array([1, 0]), "a": np.array([0, 1])}
    save_file(arrays, tmp_path / "a.safetensors", metadata=strings)
    reading = read_rows(tmp_path / "a.safetensors")
    assert reading.rows.ids.tolist() == ["a", "b"]
    assert reading.split == ("train", "test")
    assert members(reading.rows) == {"no, a=0": [], "no, a=1": [1], "yes, a=0": [0], "yes, a=1": []}


def test_soft_labels(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.eye(2), y=np.array([[0.25, 0.75], [1.0, 0.0]]))
    rows = read_rows(tmp_path / "a.npz").rows
    assert rows.targets.tolist() == [[0.25, 0.75], [1.0, 0.0]]
    assert rows.classes == ("0", "1")


def test_class_numbers():
    names = [str(row) for row in range(9)]
    assert class_numbers(["0", "2"], None, names)[1] == ("0", "1", "2")
    assert class_numbers(["10", "9", "-1"], None, names)[1] == ("-1", "9", "10")
    assert class_numbers(["b", "a", "10"], None, names)[1] == ("10", "a", "b")
    assert class_numbers(["b", "a"], ["b", "x", "a"], names)[0].tolist() == [0, 2]


def test_arrays_keep_integers_and_number_named_classes():
    rows = rows_from_arrays(
        np.arange(6).reshape(3, 2), np.array([1, 0, 1]), classes=["no", "yes"], groups=["p", "", "q"]
    )
    assert rows.inputs.dtype == torch.int64
    assert rows.targets.tolist() == [1, 0, 1]
    assert members(rows) == {"p": [0], "q": [2]}
    both = rows_from_arrays(
        torch.zeros(2, 1, dtype=torch.float64), [0, 1], attributes={"a": [0, 1]},
        groups=Groups(("all",), torch.ones(2, 1, dtype=torch.bool)),
    )  # fmt: skip
    assert both.inputs.dtype == torch.float32
    assert both.groups.names[:2] == ("all", "0, a=0")


def test_overlapping_groups_agree_with_a_loop():
    generator = np.random.default_rng(3)
    targets = torch.from_numpy(generator.integers(0, 3, 50))
    attributes = {name: generator.choice(["", "u", "v"], 50).tolist() for name in ("a", "b")}
    groups = attribute_groups(targets, ("x", "y", "z"), attributes, full_crossing=True)
    for name, column in zip(groups.names, groups.members.T, strict=True):
        label, *wanted = name.split(", ")
        for row in range(50):
            has = [attributes[part.split("=")[0]][row] == part.split("=")[1] for part in wanted]
            assert bool(column[row]) == ("xyz"[int(targets[row])] == label and all(has))
    assert len(groups.names) == 3 * (2 + 2 + 4)


def test_describe_says_what_matters(tmp_path):
    path = write_csv(tmp_path / "a.csv", "y,place,f,patient", "0,in,1,p", "1,,1,q", "1,out,3,p", "1,out,4,r")
    assert describe(read_rows(path, source="patient").rows) == [
        "4 rows; inputs: 1 numbers each (float32)",
        "classes: 0 (1 row, 25.0 %), 1 (3 rows, 75.0 %)",
        "groups:",
        "  0, place=in (1 row, 25.0 %)",
        "  0, place=out (0 rows, 0.0 %)",
        "  1, place=in (0 rows, 0.0 %)",
        "  1, place=out (2 rows, 50.0 %)",
        "  in no group (unknown): 1 row",
        "sources: 3 distinct; rows that share one must share a role",
        "clusters, which intervals count instead of rows: 3",
        "identical inputs: 1 row repeats another; they must share its role",
    ]


def test_a_table_survives_the_csv_module_and_ours(tmp_path):
    """Whatever the csv module writes is read back cell by cell."""
    cells = [["y", "text", "f"], ["1", 'a,"b"\n', "1"], ["0", "", "2.5"]]
    with (tmp_path / "a.csv").open("w", newline="") as opened:
        csv.writer(opened).writerows(cells)
    rows = read_rows(tmp_path / "a.csv", attributes=["text"]).rows
    assert members(rows) == {'0, text=a,"b"\n': [], '1, text=a,"b"\n': [0]}


def test_rows_without_ids_descend_from_the_content_of_their_file(tmp_path):
    """Two files may each have a row 0; only the same content makes them the same row."""
    first = write_csv(tmp_path / "a.csv", "y,f", "0,1", "1,2")
    same = write_csv(tmp_path / "b.csv", "y,f", "0,1", "1,2")
    other = write_csv(tmp_path / "c.csv", "y,f", "0,1", "1,3")
    assert read_rows(first).rows.origins() == read_rows(same).rows.origins()
    assert not read_rows(first).rows.origins() & read_rows(other).rows.origins()
    assert read_rows(first).rows.ids.tolist() == ["row:0", "row:1"]


def test_rows_without_labels_are_read_when_labels_are_not_needed(tmp_path):
    path = write_csv(tmp_path / "a.csv", "f,place", "1,land", "2,water")
    reading = read_rows(path, labelled=False)
    assert reading.rows.classes == ("unlabelled",)
    assert reading.rows.groups.names == ()
    assert reading.rows.inputs[:].tolist() == [[1], [2]]
    assert read_rows(write_csv(tmp_path / "b.csv", "f,y", "1,0", "2,1"), labelled=False).rows.classes == ("0", "1")
