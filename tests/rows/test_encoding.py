"""Columns become features by the fit rows alone, and in the same way in every other table."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from surefoot.errors import InputError
from surefoot.rows.encoding import (
    Encoder,
    NumberColumn,
    WordColumn,
    code_columns,
    encoder_from_json,
    fit_encoder,
)
from surefoot.rows.reading import read_rows
from surefoot.rows.tables import Column, Table


def people(count: int = 60, seed: int = 0) -> dict[str, Column]:
    """Ages, of which some are missing; jobs, of which one is rare; a name for each."""
    random = np.random.default_rng(seed)
    return {
        "age": ["" if row % 7 == 0 else f"{random.normal(40, 9):.2f}" for row in range(count)],
        "job": ["king" if row == 5 else ("cook", "judge")[int(random.integers(2))] for row in range(count)],
        "name": [f"person {seed} {row}" for row in range(count)],
    }


def fitted(columns: dict[str, Column], fit: slice = slice(None), rare: int = 10) -> Encoder:
    coded = code_columns(Table("t", columns), list(columns))
    return fit_encoder(coded, coded.codes[fit], rare=rare)


def test_numbers_and_words_as_one_would_write_them() -> None:
    columns = people()
    encoder = fitted({name: columns[name] for name in ("age", "job")})
    assert encoder.features == ("age", "age missing", "job=cook", "job=judge", "job=other")
    known = np.array([float(age) for age in columns["age"] if age])
    expected = [
        [
            0.0 if not age else (float(age) - known.mean()) / known.std(),
            float(not age),
            *(float(job == word) for word in ("cook", "judge", "king")),
        ]
        for age, job in zip(columns["age"], columns["job"], strict=True)
    ]
    assert np.allclose(encoder.read(Table("t", columns)).numpy(), expected, atol=1e-6)


def test_other_rows_have_no_part_in_the_encoder() -> None:
    first, second = people(seed=0), people(seed=1)
    mixed = {name: [*first[name][:40], *second[name][:20]] for name in first}
    stray = {**mixed, "age": [*mixed["age"][:40], *["old"] * 20], "job": [*mixed["job"][:40], *["pope"] * 20]}
    fit = slice(0, 40)
    assert fitted(first, fit) == fitted(mixed, fit) == fitted(stray, fit)


def test_what_no_fit_row_has() -> None:
    encoder = fitted({"job": ["cook"] * 12 + ["judge"] * 12, "age": ["1", "2", "3", "4"] * 6})
    assert encoder.features == ("job=cook", "job=judge", "age")
    table = Table("new", {"age": ["", "2.5"], "job": ["king", ""]})
    assert encoder.read(table).tolist() == [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]  # the mean of age is 2.5
    rare = fitted({"job": ["cook"] * 12 + ["judge"] * 2, "age": ["1", "2"] * 7})
    assert rare.features == ("job=cook", "job=other", "age")
    assert rare.read(table)[:, :2].tolist() == [[0.0, 1.0], [0.0, 1.0]]


def test_an_empty_word_is_a_value() -> None:
    encoder = fitted({"job": ["cook"] * 12 + [""] * 12})
    assert encoder.columns == (WordColumn("job", ("", "cook")),)


def test_columns_that_cannot_help_are_left_out_with_a_sentence() -> None:
    columns: dict[str, Column] = {**people(), "same": ["x"] * 60, "nothing": [""] * 60}
    columns["counter"] = [str(row) for row in range(60)]
    columns["rare"] = [str(("a", "b", "c", "d")[row % 4]) + str(row // 8) for row in range(60)]
    encoder = fitted(columns)
    assert encoder.names == ("age", "job")
    assert encoder.left_out == (
        "Column 'name' left out: nearly every row has a value of its own (60 in 60 fit rows): an id or a text.",
        "Column 'same' left out: all fit rows have the value 'x'.",
        "Column 'nothing' left out: no fit row has a value.",
        "Column 'counter' left out: it counts the rows: whole numbers that only grow.",
        "Column 'rare' left out: none of its 32 values is that of 10 fit rows or more.",
    )
    with pytest.raises(InputError, match="No column of t can be a feature"):
        fitted({name: columns[name] for name in ("name", "same")})


def test_numbers_alone_are_taken_as_they_are() -> None:
    values = np.random.default_rng(0).normal(3, 2, (30, 2))
    encoder = fitted({"x": values[:, 0], "z": values[:, 1]})
    assert all(isinstance(each, NumberColumn) and each.plain for each in encoder.columns)
    read = encoder.read(Table("t", {"z": values[:, 1], "x": values[:, 0]}))  # by name, not by place
    assert torch.equal(read, torch.from_numpy(values.astype(np.float32)))


def test_json_gives_back_the_same_encoder() -> None:
    encoder = fitted(people())
    again = encoder_from_json(json.loads(json.dumps(encoder.to_json())))
    assert again.columns == encoder.columns
    with pytest.raises(InputError, match="record of its columns"):
        encoder_from_json([{"letters": "job"}])


def test_a_word_among_numbers_and_an_infinite_number_are_refused() -> None:
    encoder = fitted({"age": ["1", "2", "4"], "job": ["a", "b", "a"]}, rare=1)
    with pytest.raises(InputError, match="The column 'age' of new holds 'old'"):
        encoder.read(Table("new", {"age": ["1", "old"], "job": ["a", "a"]}))
    with pytest.raises(InputError, match="'inf'"):
        encoder.read(Table("new", {"age": ["1", "inf"], "job": ["a", "a"]}))
    with pytest.raises(InputError, match="infinite"):
        fitted({"age": ["1", "inf", "2"]})


def test_coded_rows_are_equal_exactly_when_their_cells_are(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("y,age,job\n0,1,cook\n1,1,cook\n0,,cook\n1,1.0,cook\n", encoding="utf-8")
    codes = read_rows(path, coded=True).rows.inputs[:]
    assert codes[0].equal(codes[1])
    assert not codes[0].equal(codes[2])


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_csv_and_parquet_give_the_same_features(form: str, tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame({"y": [0, 1] * 15, "age": [1.5, None, 3.0] * 10, "job": ["cook", None] * 15})
    path = tmp_path / f"a.{form}"
    frame.to_csv(path, index=False) if form == "csv" else frame.to_parquet(path)
    coded = read_rows(path, coded=True).coded
    assert coded is not None
    encoder = fit_encoder(coded, coded.codes)
    assert encoder.features == ("age", "age missing", "job=", "job=cook")
    features = encoder.encode(coded, coded.codes)
    assert features[1].tolist() == [0.0, 1.0, 1.0, 0.0]
    assert torch.equal(read_rows(path, encoder=encoder).rows.inputs[:], features)
