"""The looks at students of digits: heads are those of the other study, whole networks begin at their bodies, the looks
measure what they say, all runs in small and goes on where it was, and what is published is of the record."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch

from surefoot.supervise.labels import halve, true_labels
from surefoot.supervise.losses import PAPER, CrossEntropy

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "studies"))
    import weak_analyses

    return weak_analyses


@pytest.fixture
def tuned(script: ModuleType) -> ModuleType:
    del script
    import weak_tuned

    return weak_tuned


def small(script: ModuleType) -> object:
    return replace(script.QUICK, judged=80, unlabelled=60, labelled=120, widths=(1, 2, 3, 4), turning=1, epochs=2)


def test_a_head_is_that_of_the_vision_study(script: ModuleType, tuned: ModuleType, tmp_path: Path) -> None:
    import weak_vision

    setting, labelled, judge = tuned.setting_of(small(script), tmp_path)
    labels = true_labels(halve(labelled, 0).student)
    for loss in (CrossEntropy(), PAPER):
        recipe = weak_vision.Recipe(loss, 2, "cosine")
        want = setting.digits(3, labels, recipe, 0, labels.rows, judge)
        own = setting(3, labels, tuned.Way(loss, 2, tuned=False), 0, labels.rows, judge)
        assert torch.equal(own.labelled, want.labelled)
        assert torch.equal(own.judge, want.judge)


def test_a_whole_network_begins_at_its_body_with_a_fresh_head(
    script: ModuleType, tuned: ModuleType, tmp_path: Path
) -> None:
    setting, labelled, judge = tuned.setting_of(small(script), tmp_path)
    labels = true_labels(halve(labelled, 0).student)
    body = setting.digits.body(4, 0)
    fresh = setting.ready(3, labels, tuned.Way(pretrained=False), 0, ()).learner.start
    start = setting.ready(3, labels, tuned.Way(), 0, (judge,)).learner.start
    assert set(start) == set(fresh)
    for name, each in start.items():
        assert torch.equal(each, fresh[name] if name.startswith("head") else body[name])
    point = setting.point(3, labels, tuned.Way(epochs=1), 0)
    moved = [name for name in start if not torch.equal(point[name], start[name])]
    assert set(moved) == set(start)  # every layer descends


def test_labels_of_every_structure_are_as_right_as_the_supervisor(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import weak_looks

    setting, labelled, judge = script.setting_of(small(script), tmp_path)
    monkeypatch.setattr(weak_looks, "SIMULATED", ((1, 3, weak_looks.HEAD),))
    (found,) = weak_looks.simulated(setting, labelled, judge, 2)
    accuracies = {round(each["supervisor"], 9) for each in found["rows"].values()}
    assert len(accuracies) == 1
    assert len(found["rows"]) == 6
    # Certain labels of the supervisor's own classes are not its soft ones.
    own = found["rows"]["the supervisor's own, hard"], found["rows"]["the supervisor's own, soft"]
    assert own[0]["supervisor"] == own[1]["supervisor"]


def test_intervals_over_seeds(script: ModuleType) -> None:
    import weak_looks

    found = weak_looks.over_seeds([1.0, 2.0, 3.0])
    assert found["value"] == 2
    assert found["high"] - 2 == pytest.approx(4.302653 / 3**0.5, rel=1e-5)  # t of two degrees of freedom
    assert weak_looks.over_seeds([4.0])["low"] == 4


@pytest.mark.slow
def test_it_runs_in_small_and_goes_on_where_it_was(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(script, "QUICK", small(script))
    monkeypatch.setattr(sys, "argv", ["weak_analyses.py", "--quick", "--folder", str(tmp_path)])
    script.main()
    first, err = capsys.readouterr()
    assert "a course of cnn1 → cnn4" in err
    import weak_looks
    import weak_tuned

    monkeypatch.setattr(weak_tuned, "teach", lambda *_, **__: pytest.fail("taught again"))
    monkeypatch.setattr(weak_looks, "teach_watched", lambda *_, **__: pytest.fail("taught again"))
    script.main()
    assert capsys.readouterr().out == first


def test_what_is_published_is_of_the_record(script: ModuleType) -> None:
    from weak_tables import with_blocks

    record = json.loads((ROOT / "docs/data/weak-analyses.json").read_text(encoding="utf-8"))
    frozen = json.loads((ROOT / "docs/data/weak-vision.json").read_text(encoding="utf-8"))
    assert script.picture(record) == (ROOT / "docs/images/weak-analyses.svg").read_text(encoding="utf-8")
    page = (ROOT / "docs/weak-analyses.md").read_text(encoding="utf-8")
    assert with_blocks(page, "analyses", script.tables(record, frozen)) == page
    assert record["settings"] == json.loads(json.dumps(script.asdict(script.SETTINGS)))
    assert record["seeds"] == 5
