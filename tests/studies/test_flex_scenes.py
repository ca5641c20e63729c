"""The study of scenes: baselines by hand, models and cells kept, page and curves made again from the record."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from surefoot.rows.digits import load_digits
from surefoot.rows.scenes import NAMES, make_scenes

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "docs" / "data" / "flex-scenes.json"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "studies"))
    import flex_scenes

    return flex_scenes


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "studies"))
    import flex_scenes_tables

    return flex_scenes_tables


def data_of(fit: int, judge: int) -> object:
    from flex_scenes_data import QUESTIONS, Data

    scenes = [make_scenes(load_digits(), torch.arange(9, 5000, 50), count, seed=count) for count in (fit, judge)]
    generator = torch.Generator().manual_seed(0)
    names = {words: torch.randn(10, 12, generator=generator) for words in QUESTIONS}
    captions = torch.randn(fit + judge, 12, generator=generator)
    return Data(*scenes, torch.arange(fit), torch.arange(fit, fit + judge), captions, names)


def test_components_are_connected_bright_pixels(told: ModuleType) -> None:
    scenes = make_scenes(load_digits(), torch.arange(0, 5000, 50), 30, seed=0, noise=0.0)
    for pixels, instances in zip(told.components(scenes), scenes.instances, strict=True):
        count = int(pixels.max())
        assert sorted(set(pixels.flatten().tolist())) == list(range(count + 1))
        # Each digit of 14 pixels or more has bright pixels, and no two that do not touch are one component.
        for number in range(1, int(instances.max()) + 1):
            assert bool((pixels[instances == number] > 0).any())
        for number in range(1, count + 1):
            down, across = (pixels == number).nonzero(as_tuple=True)
            for other in range(number + 1, count + 1):
                there = (pixels == other).nonzero()
                apart = torch.maximum(
                    (down[:, None] - there[:, 0]).abs(), (across[:, None] - there[:, 1]).abs()
                )  # fmt: skip
                assert int(apart.min()) > 1


def test_baselines_are_what_they_say(told: ModuleType) -> None:
    fit, judge = (make_scenes(load_digits(), torch.arange(9, 5000, 25), 60, seed=seed) for seed in (1, 2))
    found = told.baselines(fit, judge, torch.arange(60) // 2, 20)
    share = float((judge.instances == 0).double().mean())
    assert found["blind"]["recall"] == pytest.approx(2 / 20)
    assert found["blind"]["overlap"] == pytest.approx(share / 11)
    assert found["blind"]["panoptic"] < found["blind"]["overlap"] + 0.01
    assert found["blind"]["boxes"] < 0.02
    # Almost every digit is found; one in ten names is right.
    assert 0.05 < found["brightness"]["boxes"] < 0.15
    assert found["brightness"]["overlap"] > found["blind"]["overlap"]
    assert found["brightness"]["panoptic"] > found["blind"]["panoptic"]
    # Bright pixels are called the digit that is seen most while learning.
    usual = int(torch.bincount(fit.labels[fit.labels >= 0]).argmax()) + 1
    bright = torch.stack(told.components(judge)) > 0
    overlaps = [
        float((said & (judge.classes == label)).sum() / (said | (judge.classes == label)).sum())
        for label, said in ((0, ~bright), (usual, bright))
    ]
    assert found["brightness"]["overlap"] == pytest.approx(sum(overlaps) / 11)


def test_fixed_models_have_the_flexible_ones_start_and_steps(script: ModuleType) -> None:
    models = list(script.models(script.Settings(), 2))
    assert [each.name for each in models if each.seed == 1] == [
        "flexible", "fixed 8", "fixed 12", "fixed 16", "long",
    ]  # fmt: skip
    assert {each.times for each in models} == {1, 3}
    assert {each.sizes for each in models if each.name in ("flexible", "long", "eight names")} == {(8, 12, 16)}
    (held,) = [each for each in models if each.name == "eight names"]
    assert set(range(10)) - set(held.known) == {NAMES.index("four"), NAMES.index("seven")}


def test_the_study_runs_in_small_and_goes_on_where_it_was(
    script: ModuleType, told: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(script.QUICK, fit=20, judge=20, gallery=10, steps=2, batch=4)
    data = data_of(20, 20)
    every = script.study(settings, 1, data, tmp_path)
    assert [f"{each.model} at {each.size}" for each in every] == [
        "flexible at 12", "flexible at 16", "fixed 12 at 12", "fixed 16 at 16", "long at 12", "long at 16",
        "eight names at 12", "eight names at 16",
    ]  # fmt: skip
    given = (data.fit, data.judge, data.judge_numbers, vars(settings), 1, script.HELD_OUT)  # type: ignore[attr-defined]
    record = told.record_of(every, *given)

    def taught_again(*_: object, **__: object) -> None:
        raise AssertionError("what was finished is taught again")

    monkeypatch.setattr(script, "train_dense", taught_again)
    again = told.record_of(script.study(settings, 1, data, tmp_path), *given)
    assert again == record
    # The measure at weights of one is the table's value: hits are a plain mean.
    hits = float(every[0].counts["hits"].double().mean())
    (row,) = [each for each in record["compared"] if (each["task"], each["size"]) == ("recall", 12)]
    assert row["flexible"]["value"] == pytest.approx(hits, rel=1e-5)
    assert len(told.tables(record)) == 3
    script.draw(settings, data, tmp_path, tmp_path / "shown.png")
    assert (tmp_path / "shown.png").stat().st_size > 2000


def test_the_page_says_what_the_record_says(told: ModuleType) -> None:
    from weak_tables import with_blocks

    record = json.loads(RECORD.read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "flex-scenes.md").read_text(encoding="utf-8")
    again = page
    for name, block in zip(("scenes-claims", "scenes-sizes", "scenes-names"), told.tables(record), strict=True):
        again = with_blocks(again, name, [block])
    assert again == page
    curves = (ROOT / "docs" / "images" / "flex-scenes-sizes.svg").read_text(encoding="utf-8")
    assert curves == told.pictures(record)


def test_quick_and_publish_exclude_each_other(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["flex_scenes.py", "--quick", "--publish"])
    with pytest.raises(SystemExit):
        script.main()


def test_the_pages_examples_run() -> None:
    page = (ROOT / "docs" / "flex-scenes.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    with torch.random.fork_rng():
        for code in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL):
            exec(compile(code, "flex-scenes.md", "exec"), names)
    assert len(names["boxes"]) == len(names["segments"]) == 3
    assert names["said"].classes.shape == (3, 11, 24, 24)
