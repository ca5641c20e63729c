"""The record of a grid says what was measured, its tables say the record, and the page has them."""

import json
import math
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from surefoot.findings.predictions import Predictions, predictions_for
from surefoot.rows.rows import Rows, make_rows
from surefoot.supervise.pairs import Grid, Size

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/weak-to-strong.md"
VISION = ROOT / "docs/data/weak-vision.json"
COUNT = 400


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "studies"))
    import weak_tables

    return weak_tables


def judge() -> Rows:
    return make_rows(torch.zeros(COUNT, 1), torch.arange(COUNT) % 2, classes=("no", "yes"))


def right(first: int, last: int) -> Predictions:
    """Two seeds that are right on rows from `first` to `last` alone."""
    rows = judge()
    place = torch.arange(COUNT)
    said = torch.where((place >= first) & (place < last), rows.targets, 1 - rows.targets)
    return predictions_for(rows, torch.nn.functional.one_hot(said, 2).double()[None].expand(2, -1, -1))


def grid() -> Grid:
    """The small one is right on 200 rows and the large one on 360; taught by it, on 280 and, boldly, on 320."""
    sizes = (Size("small", 10), Size("large", 1000))
    weak, strong = right(0, 200), right(0, 360)
    students = {
        (0, 0, "plain"): weak, (0, 0, "bold"): weak, (0, 1, "plain"): right(0, 280), (0, 1, "bold"): right(40, 360),
        (1, 1, "plain"): strong, (1, 1, "bold"): right(0, 359),
    }  # fmt: skip
    return Grid(sizes, judge(), {0: weak, 1: right(0, 359)}, {0: weak, 1: strong}, students)


@pytest.fixture
def record(pages: ModuleType) -> dict[str, Any]:
    return pages.record_of(grid(), {"rows": 1}, 2, baseline="plain")


def test_the_record_says_what_was_measured(record: dict[str, Any]) -> None:
    assert [(each["name"], each["supervisor"], each["ceiling"]) for each in record["sizes"]] == [
        ("small", 0.5, 0.5),
        ("large", 0.8975, 0.9),
    ]
    plain, bold = (
        next(each for each in record["pairs"] if (each["weak"], each["strong"], each["loss"]) == ("small", "large", of))
        for of in ("plain", "bold")
    )
    assert plain["recovered"]["value"] == pytest.approx((0.7 - 0.5) / (0.9 - 0.5))
    assert bold["recovered"]["value"] == pytest.approx((0.8 - 0.5) / (0.9 - 0.5))
    assert plain["against_baseline"] is None
    against = bold["against_baseline"]
    assert against["value"] == pytest.approx(0.1)
    assert 0 < against["low"] < 0.1 < against["high"]
    assert plain["disagreement"]["agreement_with_right_labels"]["value"] == 1.0
    assert bold["disagreement"]["agreement_with_right_labels"]["value"] == pytest.approx(160 / 200)
    assert bold["disagreement"]["agreement_with_wrong_labels"]["value"] == pytest.approx(40 / 200)
    # Halfway between the accuracies of 10 and 1,000 lies 100.
    assert plain["equivalent"] == {"size": pytest.approx(100.0), "beyond": ""}
    alone = [each for each in record["pairs"] if each["itself"]]
    assert len(alone) == 4
    assert all(each["recovered"] is None and "not" in each["refused"] for each in alone)


def test_a_record_is_plain_json_and_loses_nothing(pages: ModuleType, record: dict[str, Any]) -> None:
    again = json.loads(json.dumps(record, allow_nan=False))
    assert pages.tables(again) == pages.tables(record)
    assert pages.picture(again, "title", "bold") == pages.picture(record, "title", "bold")
    assert pages.rounded({"a": (1 / 3, 2)}) == {"a": [0.333333, 2]}


def test_tables_have_a_row_for_each_pair_and_loss(pages: ModuleType, record: dict[str, Any]) -> None:
    sizes, losses, plain, rest = pages.tables(record)
    assert "| large | 1,000 | 89.8 | 90.0 |" in sizes
    assert plain.count(" → ") == rest.count(" → ") == 3
    assert "| small → small (control) | 50.0 | 50.0 | 50.0 | no gap |" in plain
    told = pages.told(record["pairs"][2]["recovered"])
    assert re.fullmatch(r"0\.50 \[0\.\d\d, 0\.\d\d\]", told)
    assert f"| small → large | 50.0 | 70.0 | 90.0 | {told} | 100.0 | 60.0 | 100 |" in plain
    assert "| +10.0 [" in rest
    (bold,) = [line for line in losses.splitlines() if line.startswith("| bold ")]
    cells = [each.strip() for each in bold.strip("|").split("|")]
    assert cells == ["bold", "1", "0.75", "0.75", "—", "1 of 1", "0 of 1", "+0.0"]
    for block in (sizes, losses, plain):
        assert len({line.count("|") for line in block.splitlines()}) == 1


def test_small_numbers_have_no_sign_of_zero(pages: ModuleType) -> None:
    found = {"value": -0.001, "low": -0.2, "high": 0.004}
    assert pages.told(found) == "0.00 [−0.20, 0.00]"
    assert pages.told(found, 100, 1, "+") == "−0.1 [−20.0, +0.4]"
    assert pages.told(None) == "—"


def test_only_a_whole_interval_is_clear(pages: ModuleType, record: dict[str, Any]) -> None:
    bold = next(each for each in record["pairs"] if not each["itself"] and each["loss"] == "bold")
    for low, high, told in ((-0.01, 0.2, "0 of 1 | 0 of 1"), (-0.2, -0.01, "0 of 1 | 1 of 1")):
        bold["against_baseline"] = {"value": 0.0, "low": low, "high": high}
        (line,) = [line for line in pages.tables(record)[1].splitlines() if line.startswith("| bold ")]
        assert told in line


def test_a_student_beyond_the_scale_is_told_so(pages: ModuleType, record: dict[str, Any]) -> None:
    record["pairs"][2]["equivalent"] = {"size": 1000.0, "beyond": "+"}
    assert "| > 1,000 |" in pages.tables(record)[2]
    record["pairs"][2]["equivalent"] = {"size": 10.0, "beyond": "−"}
    assert "| < 10 |" in pages.tables(record)[2]


def test_the_picture_has_every_loss_and_pair(pages: ModuleType, record: dict[str, Any]) -> None:
    drawn = pages.picture(record, "A title", "bold")
    assert drawn.count('font-weight="600"') == 7
    assert "By the student's size: bold" in drawn.replace("&#x27;", "'")
    # A legend's line and the pair's: small → large is drawn in four panels for each loss that they show.
    assert drawn.count("<circle") > 20


def test_without_a_clear_gap_no_share_is_drawn_and_the_title_says_why(
    pages: ModuleType, record: dict[str, Any]
) -> None:
    for each in record["pairs"]:
        each["recovered"] = None
    drawn = pages.picture(record, "A title", "bold")
    assert drawn.count('font-weight="600"') == 4
    assert "A title. No pair has a clear gap" in drawn
    assert "gap recovered" not in drawn


@pytest.mark.parametrize("numbers", [(13e6, 22e6), (3e3, 100e3), (3e3, 130e6)])
def test_axes_of_sizes_have_a_few_ticks(pages: ModuleType, numbers: tuple[float, float]) -> None:
    axis = pages._sizes_axis([{"numbers": each} for each in numbers], "numbers")
    assert 2 <= len(axis.ticks) <= 6
    assert all(axis.low <= tick <= axis.high for tick in axis.ticks)


def test_blocks_go_to_their_own_setting_alone(pages: ModuleType) -> None:
    page = "a <!-- numbers: x -->old<!-- /numbers: x --> b <!-- numbers: y -->old<!-- /numbers: y --> c"
    told = pages.with_blocks(page, "x", ["new\\1"])
    assert (
        told == "a <!-- numbers: x -->\n\nnew\\1\n\n<!-- /numbers: x --> b <!-- numbers: y -->old<!-- /numbers: y --> c"
    )
    assert pages.with_blocks(told, "x", ["new\\1"]) == told
    with pytest.raises(ValueError, match="1 places"):
        pages.with_blocks(page, "x", ["one", "two"])
    with pytest.raises(ValueError, match="0 places"):
        pages.with_blocks(page, "z", ["one"])


def test_the_pages_tables_are_those_of_the_record(pages: ModuleType) -> None:
    page, record = PAGE.read_text(encoding="utf-8"), json.loads(VISION.read_text(encoding="utf-8"))
    assert pages.with_blocks(page, "vision", pages.tables(record)) == page
    record["pairs"][0]["student"] += 0.01
    assert pages.with_blocks(page, "vision", pages.tables(record)) != page


def test_published_shares_are_those_of_the_accuracies() -> None:
    record = json.loads(VISION.read_text(encoding="utf-8"))
    number = len(record["sizes"])
    losses = {each["loss"] for each in record["pairs"]}
    assert len(record["pairs"]) == len(losses) * number * (number + 1) // 2
    assert record["seeds"] >= 3
    assert number >= 4
    for each in record["pairs"]:
        weak, student, ceiling = (each[of] for of in ("supervisor", "student", "ceiling"))
        assert math.isclose(each["gap"]["value"], ceiling - weak, abs_tol=2e-6)
        if each["recovered"] is None:
            assert each["refused"]
            continue
        assert math.isclose(each["recovered"]["value"], (student - weak) / (ceiling - weak), abs_tol=2e-4)
        assert each["recovered"]["low"] <= each["recovered"]["value"] <= each["recovered"]["high"]


def test_the_reading_has_no_interval_that_is_in_no_table() -> None:
    page = PAGE.read_text(encoding="utf-8")
    tables = re.findall(r"<!-- numbers: .*?<!-- /numbers: .*?-->", page, flags=re.DOTALL)
    reading = page
    for table in tables:
        reading = reading.replace(table, "")
    intervals = re.findall(r"[+−]?[\d.]+ \[[+−]?[\d.]+, [+−]?[\d.]+\]", " ".join(reading.split()))
    assert len(intervals) > 5
    assert [each for each in intervals if not any(f"| {each} |" in table for table in tables)] == []


def test_the_pages_call_is_a_call() -> None:
    (python,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    names: dict[str, Any] = {}
    with torch.random.fork_rng():
        exec(compile(python, "weak-to-strong.md", "exec"), names)
    imitates, believes = names["shares"]
    assert abs(imitates) < 0.1
    assert 0.3 < believes < 0.5
    assert names["agreed"]["agreement_with_wrong_labels"] < 0.4 < 0.8 < names["agreed"]["agreement_with_right_labels"]
