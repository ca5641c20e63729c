"""Columns of decisions beside probabilities, gaps in scores, and the other ways in which a table can mislead."""

from pathlib import Path

import pytest

from surefoot.errors import InputError
from surefoot.findings.reading import read_told


def test_decisions_of_another_threshold_are_told_of(tmp_path: Path) -> None:
    lines = ["y_true,y_pred,p0,p1", *(f"{row % 2},{int(row % 4 > 0)},0.7,0.3" for row in range(40))]
    (tmp_path / "p.csv").write_text("\n".join(lines) + "\n")
    (told,) = [line for line in read_told(tmp_path / "p.csv").told if line.startswith("y_pred")]
    assert told.startswith("y_pred is not the likeliest class in 30 of 40 rows, as with another threshold")
    assert told.endswith("--prediction y_pred makes one of what was decided.")
    (tmp_path / "p.csv").write_text("\n".join(["y_true,y_pred,p0,p1", *["0,0,0.7,0.3", "1,0,0.7,0.3"] * 20]) + "\n")
    assert not [line for line in read_told(tmp_path / "p.csv").told if line.startswith("y_pred")]


def test_a_score_with_gaps_is_not_unknown(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("\n".join(["y,score", "0,0.2", "1,", "1,0.9", "0,"]) + "\n")
    with pytest.raises(InputError, match=r"^score in .*p.csv has 2 empty cells \(first: line 3\); give every row"):
        read_told(tmp_path / "p.csv")
