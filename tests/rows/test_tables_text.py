"""Text tables as spreadsheets write them: semicolons, tabs, decimal commas, compressed; and where a bad cell stands."""

import gzip
from pathlib import Path

import pytest

from surefoot.errors import InputError
from surefoot.rows.reading import read_rows
from surefoot.rows.tables import numbers, place_of, read_table, texts


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(("mark", "name"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")])
def test_another_mark_between_columns(mark: str, name: str, tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "y,f,word\n0,1,cat\n1,2,dog\n".replace(",", mark))
    table = read_table(path)
    assert dict(table.columns) == {"y": ["0", "1"], "f": ["1", "2"], "word": ["cat", "dog"]}
    assert table.notes == (f"columns parted by {name}",)
    assert read_rows(path).rows.inputs.tolist() == [[1.0], [2.0]]


def test_a_mark_within_cells_parts_nothing(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", 'y,note\n0,"a;b;c"\n1,d;e\n')
    assert dict(read_table(path).columns) == {"y": ["0", "1"], "note": ["a;b;c", "d;e"]}
    assert read_table(path).notes == ()
    path = written(tmp_path / "b.csv", "id;value, scaled;y\na;0,5;1\n")
    assert list(read_table(path).columns) == ["id", "value, scaled", "y"]


@pytest.mark.parametrize("name", ["a.tsv", "a.csv.gz", "a.tsv.gz"])
def test_names_of_text_tables(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    text = "y\tf\n0\t1\n" if "tsv" in name else "y,f\n0,1\n"
    path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    assert dict(read_table(path).columns) == {"y": ["0"], "f": ["1"]}
    if name.endswith("gz"):
        path.write_bytes(path.read_bytes()[:-9])
        with pytest.raises(InputError, match="it may be cut short"):
            read_table(path)
        path.write_bytes(b"y,f\n0,1\n")
        with pytest.raises(InputError, match="is not readable CSV"):
            read_table(path)


def test_decimal_commas_are_read_between_semicolons(tmp_path: Path) -> None:
    text = "y;p;more;people;word\n0;0,93;-1,5e3;1,234;a,b\n1;1;;2,500;c\n"
    table = read_table(written(tmp_path / "a.csv", text))
    assert numbers(table, "p").tolist() == [0.93, 1.0]
    assert texts(table, "more") == ["-1.5e3", ""]
    assert texts(table, "people") == ["1,234", "2,500"]  # as likely 1234 as 1.234: nobody guesses
    assert texts(table, "word") == ["a,b", "c"]
    assert table.notes == ("columns parted by semicolons", "decimal commas in p, more")
    tabs = read_table(written(tmp_path / "b.csv", text.replace(";", "\t")))
    with pytest.raises(InputError, match="holds '0,93' in line 2; it looks like a decimal comma: write a point"):
        numbers(tabs, "p")


def test_a_cell_is_found_by_the_line_it_begins_on(tmp_path: Path) -> None:
    table = read_table(written(tmp_path / "a.csv", 'y,note,f\n0,"two\nlines",1\n\n1,one,93%\n'))
    assert [place_of(table, row) for row in range(2)] == ["line 2", "line 5"]
    with pytest.raises(InputError, match="holds '93%' in line 5; it looks like percent: divide by 100"):
        numbers(table, "f")


def test_not_utf8_and_spreadsheets_say_what_to_save(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("y,f\ngrün,1\n".encode("latin-1"))
    (tmp_path / "b.xlsx").write_bytes(b"PK")
    for name in ("a.csv", "b.xlsx"):
        with pytest.raises(InputError, match="CSV UTF-8"):
            read_table(tmp_path / name)
