"""Roles of rows whose columns become features: a study and a repair draw, check and refuse alike."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest

from surefoot.errors import InputError
from surefoot.progress import silent
from surefoot.rows.encoding import code_columns, fit_encoder
from surefoot.rows.parting import draw_roles, encode_roles
from surefoot.rows.reading import Reading, read_rows
from surefoot.rows.tables import Table
from surefoot.study.once.columns import Columns
from surefoot.study.once.parted import give_roles
from surefoot.study.once.repair import repair_features
from surefoot.study.work.rows import make_roles, make_rows_of

COLUMNS = Columns(target="income")
Spelling: TypeAlias = Callable[[str], str]


def written(path: Path, **columns: Iterable[object]) -> Path:
    lists = {name: list(values) for name, values in columns.items()}
    lines = [",".join(lists), *(",".join(map(str, row)) for row in zip(*lists.values(), strict=True))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def numbers(count: int = 200) -> tuple[np.ndarray, list[str]]:
    random = np.random.default_rng(0)
    income = random.integers(0, 2, count)
    return random.normal(size=(count, 3)) + income[:, None], ["low", "high"] * (count // 2)


def copied(path: Path, change: Spelling, word: Spelling = str) -> Path:
    """A table with its own split, in which every judge row is a fit row whose cells are spelled otherwise."""
    values, income = numbers()
    split = ["train"] * 100 + ["val"] * 50 + ["test"] * 50
    cells = [[repr(float(value)) for value in row] for row in values]
    job = [("cook", "judge")[row % 2] for row in range(200)]
    for row in range(50):
        cells[150 + row] = [change(cell) for cell in cells[row]]
        job[150 + row] = word(job[row])
    parts = {f"f{place}": [row[place] for row in cells] for place in range(3)}
    return written(path, income=income, job=job, split=split, **parts)


SPELLINGS: dict[str, Spelling] = {
    "a zero more": lambda cell: cell + "0" if "e" not in cell else cell,
    "a space": lambda cell: f" {cell}",
    "a sign": lambda cell: cell if cell[0] == "-" else f"+{cell}",
    "the same float32": lambda cell: repr(float(cell) * (1 + 1e-12)),
}


def study_rows(path: Path, tmp_path: Path, **more: object) -> None:
    spec = {"table": {"target": "income", "attributes": []}, "seed": 0, **more}
    make_roles(spec, {"data": path}, tmp_path / "rows", silent)


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_a_fit_row_that_is_spelled_otherwise_is_no_judge_row(spelling: Spelling, tmp_path: Path) -> None:
    path = copied(tmp_path / "t.csv", spelling)
    with pytest.raises(InputError, match="inputs are in both fit and judge"):
        repair_features(path, columns=COLUMNS, methods=["class_balanced"], out=tmp_path / "runs")
    with pytest.raises(InputError, match="inputs are in both fit and judge"):
        study_rows(path, tmp_path)


def test_words_lose_the_spaces_around_them(tmp_path: Path) -> None:
    path = copied(tmp_path / "t.csv", str, lambda word: f" {word}")
    with pytest.raises(InputError, match="inputs are in both fit and judge"):
        repair_features(path, columns=COLUMNS, methods=["class_balanced"], out=tmp_path / "runs")


def test_one_number_has_one_code_and_missing_one_spelling() -> None:
    coded = code_columns(Table("t", {"a": ["1", "1.0", " 1", "01", "2"], "b": ["", "?", "NA", "3", "-0"]}), ["a", "b"])
    assert coded.codes.tolist() == [[0, 2], [0, 2], [0, 2], [0, 1], [1, 0]]
    words = code_columns(Table("t", {"zip": ["02139", "2139", "02139 ", "x"]}), ["zip"])
    assert words.codes[:, 0].tolist() == [0, 1, 0, 2]


def test_a_model_reads_words_as_it_learned_them_where_all_look_like_numbers() -> None:
    columns = {"zip": ["02139"] * 12 + ["x"] * 12}
    coded = code_columns(Table("t", columns), ["zip"])
    encoder = fit_encoder(coded, coded.codes)
    assert encoder.read(Table("new", {"zip": ["02139", " 02139", "2139"]})).tolist() == [[1, 0], [1, 0], [0, 0]]


def test_roles_that_were_drawn_here_are_not_refused(tmp_path: Path) -> None:
    """Rare words became no feature: 600 people have three kinds of features, and are people all the same."""
    random = np.random.default_rng(0)
    job = random.choice(["cook", "judge", "nurse"], 600)
    town = [f"t{row % 200}" for row in range(600)]
    path = written(tmp_path / "t.csv", job=job, town=town, income=np.where(random.random(600) < 0.5, "low", "high"))
    shares = {"fit": 0.5, "repair": 0.1, "choose": 0.2, "judge": 0.2}
    study_rows(path, tmp_path, roles=shares)
    kept = repair_features(path, columns=COLUMNS, methods=["class_balanced"], out=tmp_path / "runs")
    assert any("have the same features as rows that were learned from" in words for words in kept.card.not_shown)
    assert any("repeat another's inputs exactly" in words for words in kept.card.not_shown)


def named_twice(path: Path) -> Reading:
    """Fifty people with measurements, each in the table four times under four names."""
    values, income = numbers(50)
    values, names = np.tile(values, (4, 1)), [f"name {row}" for row in range(200)]
    parts = {f"f{place}": values[:, place] for place in range(3)}
    return read_rows(written(path, name=names, income=income * 4, **parts), target="income", coded=True)


def test_copies_under_other_names_share_a_role_and_a_cluster(tmp_path: Path) -> None:
    reading = named_twice(tmp_path / "t.csv")
    assert reading.coded is not None
    roles = draw_roles(reading.rows, reading.coded, {"fit": 0.5, "choose": 0.2, "judge": 0.3}, 0)
    encoded = encode_roles(roles, reading.coded, roles).roles
    digits = {role: {tuple(row) for row in rows.inputs[:].tolist()} for role, rows in encoded.items()}
    assert sum(map(len, digits.values())) == 50
    assert {len(rows): len(rows.clusters[:, 1].unique()) for rows in encoded.values()} == {
        len(rows): len(rows) // 4 for rows in encoded.values()
    }
    assert [len(rows) for rows in give_roles(reading, 0).roles.values()] == [80, 40, 40, 40]
    made = make_rows_of(
        {"table": {"target": "income", "attributes": []}, "roles": {"fit": 0.5, "judge": 0.5}, "seed": 0},
        {"data": tmp_path / "t.csv"},
    )
    assert {role: len(rows) % 4 for role, rows in made.roles.items()} == {"fit": 0, "judge": 0}
