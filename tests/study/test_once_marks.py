"""By what rows are known again from one road, file and command to the next."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from surefoot.card.ledger import Ledger
from surefoot.card.row_marks import RowMarks, marks
from surefoot.files import digest_bytes, digest_json
from surefoot.findings.predictions import predictions_for
from surefoot.rows.rows import Groups, Rows, make_rows
from surefoot.study.once import marks as marks_module
from surefoot.study.once.marks import marks_of_inputs, marks_of_predictions, marks_of_rows


def features(count: int, seed: int = 0, ids: list[str] | None = None) -> Rows:
    generator = torch.Generator().manual_seed(seed)
    names = None if ids is None else np.array(ids, dtype=np.str_)
    return make_rows(torch.randn(count, 3, generator=generator), torch.arange(count) % 2, ids=names)


def cards(ledger: Path, *looks: RowMarks) -> list[int]:
    """How many cards each look makes, all under one digest, as two files without ids once had."""
    return [Ledger(ledger).note_use("j", str(number), "now", each).cards for number, each in enumerate(looks)]


def test_inputs_tell_rows_without_names(tmp_path: Path) -> None:
    rows = features(40)
    dropped = rows.take(torch.arange(1, 40))
    wide = rows.with_inputs(rows.inputs[:].double())
    looks = [marks_of_rows(each) for each in (rows, dropped, wide, features(40, seed=1))]
    assert cards(tmp_path / "l.sqlite", *looks) == [1, 2, 3, 1]
    assert cards(tmp_path / "m.sqlite", marks_of_rows(rows), marks_of_inputs(rows.inputs[:].half().float())) == [1, 1]
    assert cards(tmp_path / "n.sqlite", marks_of_rows(rows), marks_of_inputs(rows.inputs[:])) == [1, 2]


def test_a_name_of_its_own_is_known_whatever_the_inputs(tmp_path: Path) -> None:
    named = [f"im_{row}" for row in range(40)]
    looks = [marks_of_rows(features(40, seed, named)) for seed in (0, 1)]
    assert cards(tmp_path / "l.sqlite", *looks) == [1, 2]
    counted = [marks_of_rows(features(40, seed, [str(row) for row in range(40)])) for seed in (0, 1)]
    assert cards(tmp_path / "m.sqlite", *counted) == [1, 1], "two files that count their rows"


def test_predictions_without_names_are_known_by_all_labels_together(tmp_path: Path) -> None:
    rows = features(40)
    one, other = (torch.rand(1, 40, 2, generator=torch.Generator().manual_seed(n)).softmax(dim=2) for n in (0, 1))
    same = [marks_of_predictions(predictions_for(rows, each)) for each in (one, other)]
    assert cards(tmp_path / "a.sqlite", *same) == [1, 2], "another model on as many rows with the same labels in order"
    elsewhere = replace(rows, targets=1 - rows.targets)
    apart = [marks_of_predictions(predictions_for(each, said)) for each, said in ((rows, one), (elsewhere, other))]
    assert cards(tmp_path / "b.sqlite", *apart) == [1, 1], "other labels, of equal length"


def test_predictions_are_known_by_what_was_said(tmp_path: Path) -> None:
    rows, renamed = (
        features(40, ids=[f"im_{row}" for row in range(40)]),
        features(40, ids=[f"p{row}" for row in range(40)]),
    )
    said = torch.rand(1, 40, 2, generator=torch.Generator().manual_seed(3)).softmax(dim=2)
    looks = [marks_of_predictions(predictions_for(each, said)) for each in (rows, renamed)]
    fewer = marks_of_predictions(predictions_for(renamed.take(torch.arange(39)), said[:, :39]))
    another = marks_of_predictions(predictions_for(rows, 1 - said))
    assert cards(tmp_path / "l.sqlite", *looks, fewer, another) == [1, 2, 3, 2]


def test_marks_made_in_pieces_are_those_of_whole_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks_module, "AT_ONCE", 3)
    probabilities = torch.rand(2, 7, 2, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    probabilities /= probabilities.sum(dim=2, keepdim=True)
    groups = Groups(("one", "é"), torch.rand(7, 2, generator=torch.Generator().manual_seed(5)) < 0.5)
    rows = make_rows(torch.zeros(7, 1), torch.tensor([0, 1, 1, 0, 1, 0, 0]), groups=groups)
    rows = replace(
        rows, sources=np.array([["", "b"], ["", ""], ["row:7", ""], ["x", "y"], ["", ""], ["é", ""], ["", ""]])
    )
    firsts = ["row:0", "row:1", "row:7", "x", "row:4", "é", "row:6"]
    firsts[0] = "b"
    targets = [[target] for target in rows.targets.tolist()]
    whole = digest_json([firsts, targets, ["one", "é"], groups.members.tolist()])
    contents = [
        digest_bytes(probabilities[:, row].contiguous().numpy().tobytes() + repr(targets[row]).encode())
        for row in range(7)
    ]
    names = [f"{whole}:{name}" if name.startswith("row:") else name for name in firsts]
    found, wanted = marks_of_predictions(predictions_for(rows, probabilities)), marks(inputs=contents, names=names)
    for kind in ("inputs", "names"):
        assert found.by_kind[kind].tolist() == wanted.by_kind[kind].tolist()
        assert found.telling[kind].tolist() == wanted.telling[kind].tolist()
