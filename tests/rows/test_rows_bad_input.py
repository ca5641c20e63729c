"""Whatever is wrong with a user's data is said in one sentence: what was given, what was expected, what to do."""

import io
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file

from surefoot.errors import InputError
from surefoot.rows.arrays import rows_from_arrays
from surefoot.rows.assign import roles_from_split
from surefoot.rows.reading import SPLIT_MEANING, read_rows
from surefoot.rows.tables import read_table


def refusal(call) -> str:
    with pytest.raises(InputError) as caught:
        call()
    return str(caught.value)


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_missing_file_and_a_strange_one(tmp_path):
    for name in ("a.csv", "a.npz", "a.parquet", "a.safetensors"):
        assert refusal(lambda: read_rows(tmp_path / name)) == f"There is no file {tmp_path / name}; check the path."  # noqa: B023
    path = written(tmp_path / "a.xlsx", "x")
    assert refusal(lambda: read_rows(path)) == (
        f"{path} ends in .xlsx; expected a .csv, .tsv or .parquet table, .npz, .safetensors or .pt features, or a "
        "folder of images."
    )
    assert refusal(lambda: read_rows(tmp_path)) == (
        f"The folder {tmp_path} has no metadata.csv and no class folders, and 0 pictures; expected a metadata.csv with "
        "file names and labels, or a folder of pictures for each class."
    )


def test_a_missing_column_is_answered_with_the_nearest(tmp_path):
    path = written(tmp_path / "a.csv", "id,label,background,f\n1,0,1,2\n")
    assert refusal(lambda: read_rows(path, attributes=["backgroud"])) == (
        f"{path} has no column 'backgroud' (did you mean 'background'?); its columns are: id, label, background, f."
    )
    assert refusal(lambda: read_rows(path, target="zzz")) == (
        f"{path} has no column 'zzz'; its columns are: id, label, background, f."
    )
    path = written(tmp_path / "b.csv", "id,answer,f\n1,0,1\n")
    assert refusal(lambda: read_rows(path)) == (
        f"{path} has no column called y, label, labels, target, targets, class or gold_label; "
        "name the column of the classes (its columns are: id, answer, f)."
    )
    path = written(tmp_path / "c.csv", "id,y,word\n1,0,x\n")
    assert refusal(lambda: read_rows(path)) == (
        f"{path} has neither numeric columns beside y, id nor a column of file names "
        "(filename, img_filename, file_name, image, path); name the features."
    )
    assert refusal(lambda: read_rows(path, features=["word"])) == (
        f"The column 'word' of {path} holds 'x' in line 2; expected a number in every row."
    )


def test_labels_outside_the_classes(tmp_path):
    path = written(tmp_path / "a.csv", "id,y,f\nr1,cat,1\nr2,bird,2\nr3,bird,3\n")
    assert refusal(lambda: read_rows(path, classes=["cat", "dog"])) == (
        "2 rows have a label outside the classes cat, dog (first: r2 has bird); mend the labels or name all classes."
    )
    assert refusal(lambda: rows_from_arrays(torch.zeros(3, 1), [0, 2, -1], classes=["a", "b"])) == (
        "2 rows have a label outside the classes a, b (first: row:1 has 2); mend the labels or name all classes."
    )
    path = written(tmp_path / "b.csv", "id,y,f\nr1,1,1\nr2,,2\n")
    assert refusal(lambda: read_rows(path)) == (
        "1 rows have no label (first: r2); give every row one, or leave it out."
    )
    values = np.linspace(0, 1, 50)
    assert refusal(lambda: rows_from_arrays(np.zeros((50, 1)), values)) == (
        "The 50 labels have 50 different values (such as 0); expected classes: name the column that holds them."
    )
    assert refusal(lambda: rows_from_arrays(np.zeros((2, 1)), np.array([[0.5, 0.6], [1.0, 0.0]]))) == (
        "Soft labels of shape (2, 2) must be probabilities [rows, classes] that sum to 1 (1 are not, first: row:0)."
    )


def test_features_that_are_not_finite(tmp_path):
    path = written(tmp_path / "a.csv", "id,y,f,g0\nr1,1,1,2\nr2,0,,2\nr3,0,1,inf\n")
    assert refusal(lambda: read_rows(path)) == (
        "2 rows have features that are NaN or infinite (first: r2, r3; feature f is nan); "
        "mend these rows or leave them out."
    )
    inputs = torch.zeros(5, 2, 3)
    inputs[4, 1, 2] = -torch.inf
    inputs[2, 0, 1] = 3e38
    inputs[2, 0, 2] = 3e38
    assert refusal(lambda: rows_from_arrays(inputs, [0, 1, 0, 1, 0])) == (
        "1 rows have features that are NaN or infinite (first: row:4; feature 5 is -inf); "
        "mend these rows or leave them out."
    )


def test_lengths_that_differ(tmp_path):
    assert refusal(lambda: rows_from_arrays(np.zeros((3, 1)), [0, 1])) == (
        "There are 3 inputs but 2 targets; give one per row."
    )
    assert refusal(lambda: rows_from_arrays(np.zeros((2, 1)), [0, 1], attributes={"sex": ["m"]})) == (
        "There are 2 inputs but 1 sex; give one per row."
    )
    np.savez(tmp_path / "a.npz", x=np.zeros((3, 2)), y=[0, 1])
    assert refusal(lambda: read_rows(tmp_path / "a.npz")) == (
        f"{tmp_path / 'a.npz'} has 2 entries in y and 3 in x; give one per row."
    )


def test_ids_in_two_splits(tmp_path):
    path = written(tmp_path / "a.csv", "id,y,split,f\nr1,1,train,1\nr2,0,test,2\nr1,1,test,1\n")
    reading = read_rows(path)
    assert reading.split is not None
    assert refusal(lambda: roles_from_split(reading.rows, list(reading.split), SPLIT_MEANING)) == (
        "1 ids are in two splits (first: r1); a row has one role: remove it from one split."
    )
    assert refusal(lambda: read_rows(path, split_meaning={"train": "fit"})) == (
        f"{path} has the split 'test', which has no role (the meaning names 'train'); say what it means."
    )


def test_broken_csv(tmp_path):
    path = written(tmp_path / "a.csv", "")
    assert refusal(lambda: read_rows(path)) == f"{path} is empty; expected a table with named columns."
    path = written(tmp_path / "b.csv", "y,f\n")
    assert refusal(lambda: read_rows(path)) == f"{path} has no rows below its header; expected one line per row."
    path = written(tmp_path / "c.csv", "y,f\n1,2\n0,1,3\n")
    assert refusal(lambda: read_rows(path)) == (
        f"Line 3 of {path} has 3 cells and the header has 2; "
        "give every row one cell per column (quote cells that contain commas)."
    )
    path = written(tmp_path / "d.csv", "y,f,f\n1,2,3\n")
    assert refusal(lambda: read_rows(path)) == (
        f"The column 'f' appears 2 times in {path}; give every column its own name."
    )
    path = written(tmp_path / "e.csv", 'y,f\n1,"2\n')
    assert refusal(lambda: read_rows(path)) == (
        f"{path} is not readable CSV (unexpected end of data); it may be cut short."
    )
    path = tmp_path / "f.csv"
    path.write_bytes("y,f\nGrün,1\n".encode("latin-1"))
    message = refusal(lambda: read_rows(path))
    assert message.startswith(f"{path} is not in UTF-8 ('utf-8' codec can't decode")
    assert message.endswith("; save it again as “CSV UTF-8”.")
    path = written(tmp_path / "g.csv", "id,y,f\na,1,2\n,0,1\n")
    assert refusal(lambda: read_rows(path)) == f"Row 2 of {path} has no 'id'; give every row one."


def test_broken_npz(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=np.zeros((30, 20)), y=np.arange(30) % 2)
    whole = path.read_bytes()
    for cut in (0, 3, len(whole) // 2, len(whole) - 5):
        path.write_bytes(whole[:cut])
        assert refusal(lambda: read_rows(path)).startswith(f"{path} is not a readable npz file (")
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 255
    path.write_bytes(bytes(damaged))
    assert refusal(lambda: read_rows(path)).startswith(f"{path} is not a readable npz file (Bad CRC-32")


def test_pickled_arrays_are_never_loaded(tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    path = tmp_path / "a.npz"
    np.savez(path, x=np.array([Trap()], dtype=object), y=np.array([0]))
    assert refusal(lambda: read_rows(path)) == (
        f"The array 'x' in {path} holds pickled Python objects, which are never loaded; save it as numbers or strings."
    )
    assert not (tmp_path / "sprung").exists()


def test_broken_safetensors_and_parquet(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file({"x": np.zeros((3, 2)), "y": np.zeros(3)}, path)
    path.write_bytes(path.read_bytes()[:-4])
    assert refusal(lambda: read_rows(path)).startswith(f"{path} is not a readable safetensors file (")
    path = tmp_path / "a.parquet"
    pd.DataFrame({"y": [0, 1], "f": [1.0, 2.0]}).to_parquet(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert refusal(lambda: read_rows(path)).startswith(f"{path} is not a readable Parquet file (")
    pd.DataFrame({"y": [0, 1], "e": [[1.0], [2.0, 3.0]]}).to_parquet(path)
    assert refusal(lambda: read_rows(path)) == (
        f"The column 'e' of {path} holds lists of different lengths (1 and 2); expected equally long lists of numbers."
    )


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "a.parquet"
    pd.DataFrame({"y": [0, 1], "f": [1.0, 2.0]}).to_parquet(path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert refusal(lambda: read_rows(path)) == (
        f'Reading {path} needs pyarrow; install it with: pip install "surefoot[parquet]"'
    )


def test_broken_and_missing_images(tmp_path):
    for name in ("a.png", "b.png"):
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(tmp_path / name)
    Image.fromarray(np.zeros((5, 4, 3), dtype=np.uint8)).save(tmp_path / "small.png")
    metadata = tmp_path / "metadata.csv"
    written(metadata, "filename,y\na.png,0\nb.png,1\nsmall.png,1\n")
    rows = read_rows(tmp_path).rows
    assert refusal(lambda: rows.inputs[torch.tensor([2])]) == (
        f"The image {tmp_path / 'small.png'} is 5×4 pixels and the first is 16×16; "
        "give the size to which all images are to be brought."
    )
    whole = (tmp_path / "b.png").read_bytes()
    (tmp_path / "b.png").write_bytes(whole[: len(whole) // 2])
    assert refusal(lambda: rows.inputs[:2]) == (
        f"{tmp_path / 'b.png'} is not a readable image (OSError); it may be cut short: replace it or leave it out."
    )
    (tmp_path / "a.png").write_bytes(b"no image")
    assert refusal(lambda: read_rows(tmp_path)) == (
        f"{tmp_path / 'a.png'} is not a readable image (UnidentifiedImageError); "
        "it may be cut short: replace it or leave it out."
    )
    (tmp_path / "b.png").unlink()
    assert refusal(lambda: read_rows(tmp_path)) == (
        f"1 of 3 images are missing from {tmp_path} (first: b.png); check the folder and the column of file names."
    )
    assert refusal(lambda: rows.inputs[1]) == (
        f"There is no image {tmp_path / 'b.png'}; check the folder and the column of file names."
    )


def test_images_of_another_kind(tmp_path):
    Image.fromarray(np.zeros((4, 4), dtype=np.uint8)).save(tmp_path / "grey.png")
    Image.fromarray(np.zeros((4, 4, 3), dtype=np.uint8)).save(tmp_path / "colour.png")
    Image.fromarray(np.zeros((4, 4), dtype=np.uint16)).save(tmp_path / "deep.png")
    written(tmp_path / "metadata.csv", "filename,y\ngrey.png,0\ncolour.png,1\ndeep.png,1\n")
    inputs = read_rows(tmp_path).rows.inputs
    assert refusal(lambda: inputs[1]) == (
        f"The image {tmp_path / 'colour.png'} has colours and the first has none; make all of one kind."
    )
    assert refusal(lambda: inputs[2]) == (
        f"The image {tmp_path / 'deep.png'} has more than 8 bits a channel; convert it to 8 bits."
    )


def forged_npz(path: Path, rows: int) -> None:
    """An npz whose header announces far more than the file holds."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (rows, 512)})
    with zipfile.ZipFile(path, "w") as members:
        members.writestr("x.npy", header.getvalue())


def test_files_that_would_not_fit_are_refused_before_anything_is_allocated(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    forged_npz(path, 10**12)
    message = refusal(lambda: read_rows(path))
    assert message.startswith(f"Reading {path} needs about 7.3 PiB of memory and ")
    assert message.endswith("are available; use fewer rows or smaller inputs, or free memory.")

    table = written(tmp_path / "a.csv", "y,f\n" + "1,2\n" * 1000)
    pd.DataFrame({"y": [0, 1] * 500, "f": [1.0, 2.0] * 500}).to_parquet(tmp_path / "a.parquet")
    save_file({"x": np.zeros((1000, 2)), "y": np.zeros(1000)}, tmp_path / "a.safetensors")
    monkeypatch.setattr("surefoot.memory.available_memory", lambda: 10_000)
    for given in (table, tmp_path / "a.parquet", tmp_path / "a.safetensors"):
        message = refusal(lambda: read_rows(given))  # noqa: B023
        assert message.startswith(f"Reading {given} needs about ")
        assert "of memory and 9.8 KiB are available; use fewer rows" in message


def test_what_a_csv_announces_covers_what_it_takes(tmp_path):
    """The estimate is no less than the strings and the list slots that reading really makes."""
    path = written(tmp_path / "a.csv", "y,f,word\n" + "".join(f"{n % 2},{n / 7:.6f},w{n}\n" for n in range(2000)))
    announced = path.stat().st_size + 60 * (3 * 2001)
    columns = read_table(path).columns.values()
    assert sum(sys.getsizeof(cell) + 8 for cells in columns for cell in cells) <= announced


def test_contradicting_caches(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, embeddings_val=np.zeros((2, 1)), embeddings_test=np.zeros((2, 1)), y_val=[0, 1])
    assert refusal(lambda: read_rows(path)) == (f"{path} has y for some splits but no y_test; give it for every split.")
    np.savez(path, embeddings=np.zeros((2, 1)), y=[0, 1], metadata_array=np.array([[0, 1, 1], [0, 0, 1]]))
    assert refusal(lambda: read_rows(path)) == (
        f"{path} gives y twice, differently: as an array and in metadata_array; keep one."
    )
    np.savez(path, embeddings=np.zeros((2, 1)), y=[0, 1], groups=np.array([[0, 2], [1, 0]]))
    assert refusal(lambda: read_rows(path)) == (
        f"groups in {path} is no membership matrix [rows, groups] of zeros and ones."
    )
    np.savez(path, one=np.zeros((2, 1)), two=np.zeros((2, 1)), y=[0, 1])
    assert refusal(lambda: read_rows(path)) == (f"{path} has several arrays (one, two); name the features among them.")


def test_an_attribute_with_too_many_values(tmp_path):
    path = written(tmp_path / "a.csv", "y,age,f\n" + "".join(f"{n % 2},{n},0\n" for n in range(1500)))
    assert refusal(lambda: read_rows(path, attributes=["age"])) == (
        "The attribute age has 1500 different values; groups need one with a few (at most 1000): "
        "put its values into bands first."
    )


def test_an_empty_column_without_a_name_names_no_rows(tmp_path):
    path = written(tmp_path / "a.csv", ",x,y\n,0.5,0\n,0.7,1\n")
    assert len(read_rows(path).rows) == 2
