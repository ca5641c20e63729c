"""Files of published sets that are not as published are refused in one sentence, with the file and the line."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

import text_set_examples as examples
from surefoot.errors import InputError
from surefoot.rows.published.read import Composition, read_published
from surefoot.rows.published.records import read_records

GOOD = '{"question": "a", "passage": "b", "answer": true}\n'


def boolq(text: str) -> Callable[[Path], None]:
    """A file for `boolq` with this text."""
    return lambda folder: (folder / "train.jsonl").write_text(text) and None


def sciq(text: str) -> Callable[[Path], None]:
    """A file for `sciq` with this text."""
    return lambda folder: (folder / "train.json").write_text(text) and None


def amazon(text: str) -> Callable[[Path], None]:
    """A file for `amazon_polarity` with this text."""
    return lambda folder: (folder / "train.csv").write_text(text) and None


def piqa(labels: str | None) -> Callable[[Path], None]:
    """Two records for `piqa`, and these labels."""

    def write(folder: Path) -> None:
        examples.write_lines(folder / "train.jsonl", [{"goal": "g", "sol1": "a", "sol2": "b"}] * 2)
        if labels is not None:
            (folder / "train-labels.lst").write_text(labels)

    return write


def openbook(**changed: object) -> Callable[[Path], None]:
    """A Parquet record for `openbookqa` with other values."""
    return lambda folder: examples.write_parquet(
        folder / "train-00000-of-00001.parquet", [{**examples.OPENBOOK["train"][0], **changed}]
    )


def packed_short(folder: Path) -> None:
    """Packed lines whose end is missing."""
    (folder / "train.jsonl.gz").write_bytes(gzip.compress(json.dumps(examples.HELPFUL).encode())[:-12])


def parquet_short(folder: Path) -> None:
    """A Parquet file whose end is missing."""
    openbook()(folder)
    path = folder / "train-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:-20])


WRONG: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "nothing": ("boolq", lambda _: None, r"^.* holds no train.jsonl and no dev.jsonl and none of the Hub's Parquet "),
    "empty lines": ("boolq", boolq("\n"), r"train.jsonl holds no records; expected at least one\.$"),
    "empty JSON": ("sciq", sciq("[]"), r"train.json holds no records"),
    "empty CSV": ("amazon_polarity", amazon(""), r"train.csv holds no records"),
    "a broken line": ("boolq", boolq(GOOD + "\n" + GOOD[:20]), r"^Line 3 of .*train.jsonl is not JSON \(Unterminated"),
    "broken JSON": ("sciq", sciq('[\n{"question": 1,\n'), r"train.json is not JSON \(line 3: "),
    "no list": ("sciq", sciq('{"question": "a"}'), r"train.json holds no list"),
    "no record": ("boolq", boolq(GOOD + "[1]\n"), r"^Line 2 of .*train.jsonl holds no named values"),
    "not UTF-8": (
        "boolq",
        lambda folder: (folder / "train.jsonl").write_bytes(b'{"question": "\xff"}') and None,
        r"train.jsonl is not in UTF-8",
    ),
    "packed and cut": ("anthropic_hh", packed_short, r"train.jsonl.gz is not readable .*it may be cut short"),
    "a column is missing": (
        "boolq",
        boolq(GOOD + '{"question": "a", "answer": true}\n'),
        r"^Line 2 of .*train.jsonl has no 'passage' \(it has question, answer\); give the file as it was published\.$",
    ),
    "a number for a text": ("boolq", boolq(GOOD.replace('"b"', "5")), r"^Line 1 of .* has 5 for 'passage'; expected a"),
    "an unknown answer": (
        "boolq",
        boolq(GOOD + GOOD.replace("true", '"maybe"')),
        r"^Line 2 of .*train.jsonl has the label 'maybe' in 'answer'; expected false or true\.$",
    ),
    "an unknown label": (
        "amazon_polarity",
        amazon('"1","a","b\nc"\n"3","a","b"\n'),
        r"^Line 3 of .*train.csv has the label '3' in 'label'; expected 1 or 2\.$",
    ),
    "a cell too few": (
        "amazon_polarity",
        amazon('"1","a","b"\n"2","a"\n'),
        r"^Line 2 of .*train.csv has 2 cells; expected 3: label, title, content\.$",
    ),
    "an open quotation": ("amazon_polarity", amazon('"1","a","b"\n"2","a","b'), r"^Line 2 of .*train.csv is not read"),
    "labels are missing": ("piqa", piqa(None), r"^There is no train-labels.lst beside .*train.jsonl"),
    "a label too few": ("piqa", piqa("0\n"), r"train.jsonl has 2 records and train-labels.lst 1 labels"),
    "a label too many": ("piqa", piqa("0\n1\n0\n"), r"train.jsonl has 2 records and train-labels.lst 3 labels"),
    "a key that is none": (
        "openbookqa",
        openbook(answerKey="E"),
        r"^Row 1 of .*parquet has the label 'E' in 'answ.* D\.$",
    ),
    "no list of texts": (
        "openbookqa",
        openbook(choices={"text": "a", "label": ["A"]}),
        r"^Choices in row 1 of .* has 'a'",
    ),
    "keys are missing": (
        "openbookqa",
        openbook(choices={"text": ["a", "b"], "label": ["A"]}, answerKey="A"),
        r"^2 texts and 1 labels are the choices in row 1 of .*parquet; expected one for each\.$",
    ),
    "no choices": (
        "openbookqa",
        openbook(choices=5),
        r"^Row 1 of .*parquet has 5 for 'choices'; expected named values",
    ),
    "Parquet and cut": ("openbookqa", parquet_short, r"parquet is not a readable Parquet file .*it may be cut short"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_files_are_refused_in_one_sentence(case: str, tmp_path: Path) -> None:
    layout, write, said = WRONG[case]
    write(tmp_path)
    with pytest.raises(InputError, match=said) as caught:
        read_published(tmp_path, layout)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_where_everything_is_in_the_later_split_there_is_a_sentence(tmp_path: Path) -> None:
    boolq(GOOD)(tmp_path)
    (tmp_path / "dev.jsonl").write_text(GOOD)
    assert read_published(tmp_path, "boolq").split == ("test",)
    one = {"chosen": "\n\nHuman: a", "rejected": "\n\nHuman: a"}
    examples.write_lines(tmp_path / "hh" / "train.jsonl", [one])
    with pytest.raises(InputError, match=r"No row of .* is left"):
        read_published(tmp_path / "hh", "anthropic_hh")


@pytest.mark.parametrize(("rows", "balanced"), [(0, False), (1, True)])
def test_too_few_rows_are_refused(rows: int, balanced: bool) -> None:
    with pytest.raises(InputError, match=f"rows is {rows}; give at least {rows + 1}"):
        Composition(rows=rows, balanced=balanced)


def test_a_set_that_is_read_as_it_stands_has_no_composition(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="waterbirds is read as it stands"):
        read_published(tmp_path, "waterbirds", Composition(seed=1))


def test_one_split_alone_is_read_and_the_others_are_counted_as_missing(tmp_path: Path) -> None:
    boolq(GOOD)(tmp_path)
    published = read_published(tmp_path, "boolq")
    assert published.split == ("train",)
    assert published.notes[-1] == "This folder has 1 train, 0 test rows; the published set has 9,427, 3,270."


def test_a_file_that_is_there_packed_and_unpacked_is_read_once(tmp_path: Path) -> None:
    for name in ("train.jsonl", "train.jsonl.gz"):
        examples.write_lines(tmp_path / name, [examples.HELPFUL])
    assert len(read_published(tmp_path, "anthropic_hh")) == 1


def test_shards_are_read_in_order_and_pickles_are_never_opened(tmp_path: Path) -> None:
    for number in (1, 0):
        records = [{"question": f"q{number}", "passage": f"p{number}", "answer": True}]
        examples.write_parquet(tmp_path / "train" / f"000{number}.parquet", records)
    (tmp_path / "train.pkl").write_bytes(b"\x80\x04cos\nsystem\n(S'touch pwned'\ntR.")
    assert read_published(tmp_path, "boolq").texts()[0] == (
        "Passage: p0\nQuestion: q0", "Passage: p1\nQuestion: q1",
    )  # fmt: skip


def test_lines_and_rows_are_named_as_a_person_counts_them(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b'x,y\r\n"1\n2",a\r\n"3\r",b\r\n')
    (tmp_path / "b.tsv").write_text('x\ty\n"1\t2\u2028"\n')
    records = [*read_records(tmp_path / "a.csv"), *read_records(tmp_path / "b.tsv")]
    assert [record.where for record in records] == [
        f"line 2 of {tmp_path / 'a.csv'}", f"line 4 of {tmp_path / 'a.csv'}", f"line 2 of {tmp_path / 'b.tsv'}",
    ]  # fmt: skip
    assert [dict(record.values) for record in records] == [
        {"x": "1\n2", "y": "a"}, {"x": "3\r", "y": "b"}, {"x": '"1', "y": '2\u2028"'},
    ]  # fmt: skip
