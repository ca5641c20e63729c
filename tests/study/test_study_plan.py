"""A plan says what is left, roughly how long it takes, and refuses what cannot fit, before anything runs."""

from dataclasses import replace
from pathlib import Path

import pytest

from surefoot import memory
from surefoot.errors import InputError
from surefoot.study.cells import Cell
from surefoot.study.cost import Extent, cost_of
from surefoot.study.engine.tasks import Task
from surefoot.study.numerics import numerics_of, product_of_this_machine
from surefoot.study.plan import Plan, plan_study, wall_time
from surefoot.study.schema import Study, load_study
from surefoot.study.store import open_store


def planned(study: Study, out: Path, workers: int | None = None) -> Plan:
    return plan_study(study, Path(), out=out, product="default", workers=workers)


def test_a_plan_lists_every_cell_and_writes_nothing(tiny: Study, tmp_path: Path) -> None:
    plan = planned(tiny, tmp_path / "runs", workers=2)
    kinds = [task.cell.kind for task in plan.tasks]
    assert {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)} == {
        "rows": 1, "train": 2, "features": 4, "repair": 6, "choose": 1, "predict": 2,
    }  # fmt: skip
    assert plan.finished == frozenset()
    assert plan.workers == 2
    assert 0 < plan.seconds < sum(task.seconds for task in plan.tasks)
    assert not (tmp_path / "runs").exists()


def test_finished_cells_need_no_time(tiny: Study, tmp_path: Path) -> None:
    plan = planned(tiny, tmp_path)
    store = open_store(tmp_path)
    for task in plan.tasks[1:3]:
        temporary = store.begin(task.cell.address)
        (temporary / "value.txt").write_text("done")
        store.finish(task.cell, temporary, seconds=1.0, estimate=task.estimate)
    later = planned(tiny, tmp_path)
    assert later.finished == {task.cell.address for task in plan.tasks[1:3]}
    assert {task.cell.address for task in later.left()}.isdisjoint(later.finished)
    assert later.seconds != plan.seconds


def test_estimates_learn_from_what_cells_took(tiny: Study, tmp_path: Path) -> None:
    """Three trainings that took four times as long as expected: the next is expected to take four times as long."""
    first = planned(tiny, tmp_path)
    store = open_store(tmp_path)
    for number in range(3):
        cell = replace(first.graph.train["stopped", 0], spec={"number": number})
        store.finish(cell, store.begin(cell.address), seconds=4.0, estimate=1.0)
    before = {task.cell.address: task for task in first.tasks}
    for task in planned(tiny, tmp_path).tasks:
        factor = 4.0 if task.cell.kind == "train" else 1.0
        assert task.seconds == pytest.approx(factor * before[task.cell.address].seconds)
        assert task.estimate == before[task.cell.address].estimate


def test_costs_grow_with_the_work(tiny: Study, tmp_path: Path) -> None:
    train = planned(tiny, tmp_path).graph.train["stopped", 0]
    small = Extent((1, 28, 14), 2, {"fit": 1000})
    large = Extent((1, 28, 14), 2, {"fit": 1_000_000})
    assert cost_of(train, tiny.network, large).seconds > 100 * cost_of(train, tiny.network, small).seconds
    assert cost_of(train, tiny.network, large).memory > 1_000_000 * 28 * 14 * 4


def test_what_cannot_fit_is_refused_before_it_runs(
    tiny: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: 100 * 2**20)
    with pytest.raises(InputError) as caught:
        planned(tiny, tmp_path)
    assert str(caught.value).startswith("The cell 'rows' needs about 40")
    assert str(caught.value).endswith(
        "MiB of memory and 100.0 MiB are available; use fewer rows or smaller inputs, or free memory."
    )


def test_no_workers_at_all(tiny: Study, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^0 workers were asked for; give at least 1\.$"):
        planned(tiny, tmp_path, workers=0)


def test_a_claim_about_a_group_that_is_not_there(tiny_text: str, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(tiny_text.replace("of: chosen", "of: chosen, slice: '2-5, top 0'"), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        planned(load_study(path), tmp_path)
    assert str(caught.value) == (
        "A claim is made of the group '2-5, top 0', which the rows do not have; did you mean '2–5, top 0'?"
    )


def test_a_device_that_is_not_there(tiny: Study, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'^The device "abacus" cannot be used here \(.*\); try --device cpu\.$'):
        plan_study(tiny, Path(), out=tmp_path, product="default", device="abacus")


def test_the_wall_time_is_that_of_a_schedule() -> None:
    first = Task(Cell("rows", "first", {}), 2.0, 2.0, 0)
    second = Task(Cell("train", "second", {"n": 1}, {"fit": first.cell.address}), 3.0, 3.0, 0)
    third = Task(Cell("train", "third", {"n": 2}, {"fit": first.cell.address}), 4.0, 4.0, 0)
    assert wall_time([first, second, third], 1) == 9.0
    assert wall_time([first, second, third], 2) == 6.0
    assert wall_time([], 2) == 0.0


def test_the_product_of_a_machine_is_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUREFOOT_CACHE", str(tmp_path))
    name = product_of_this_machine()
    assert name in ("default", "onednn")
    (kept,) = tmp_path.iterdir()
    other = {"default": "onednn", "onednn": "default"}[name]
    kept.write_text(kept.read_text().replace(f'"name": "{name}"', f'"name": "{other}"'))
    assert product_of_this_machine() == other, "remembered, not measured again"
    kept.write_text("{")
    assert product_of_this_machine() in ("default", "onednn"), "a damaged memory is measured anew"
    assert numerics_of(name)["threads"] == 1
