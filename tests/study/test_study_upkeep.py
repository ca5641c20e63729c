"""Upkeep finds every flipped byte and takes away what no run needs, nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from surefoot.errors import InputError
from surefoot.study.at_work import at_work
from surefoot.study.cells import Cell
from surefoot.study.needed import needed_below, write_needed
from surefoot.study.store import NOBODY, Store, open_store
from surefoot.study.upkeep import check_cells, remove_waste, repair, store_of, unneeded

CELLS = [Cell("train", f"cell {number}", {"number": number}) for number in range(4)]


def put(store: Store, cell: Cell) -> None:
    folder = store.begin(cell.address)
    (folder / "part").mkdir()
    (folder / "part" / "value.txt").write_text(cell.title)
    (folder / "choice.json").write_text("{}")
    store.finish(cell, folder, seconds=2.0, estimate=1.0)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Four cells: a run needs the first, a choice the second (and the first), nobody the others."""
    store = open_store(tmp_path)
    for cell in CELLS:
        put(store, cell)
    write_needed(tmp_path / "digits" / "0123456789ab", [CELLS[0].address])
    write_needed(tmp_path / "archive" / "choices" / "0123456789ab", [CELLS[0].address, CELLS[1].address])
    return store


def dead() -> int:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def names(out: Path) -> set[str]:
    return {path.name for path in (out / "cells").iterdir()}


def test_a_flipped_bit_is_found_and_removed(store: Store) -> None:
    assert [each.damage for each in check_cells(store)] == [None] * 4
    file = store.path(CELLS[1].address) / "part" / "value.txt"
    content = bytearray(file.read_bytes())
    content[0] ^= 1
    file.write_bytes(content)
    told: list[int] = []
    checked = check_cells(store, lambda _, done, total: told.append(done))
    assert told == [0, 1, 2, 3, 4]
    (damaged,) = [each for each in checked if each.damage is not None]
    assert (damaged.title, damaged.damage) == ("cell 1", "part/value.txt has other content than was recorded")
    with at_work(store.folder), pytest.raises(InputError, match="at work"):
        repair(store, checked)
    repair(store, checked)
    assert names(store.folder.parent) == {CELLS[number].address for number in (0, 2, 3)}


def test_cells_that_no_run_needs_go(store: Store, tmp_path: Path) -> None:
    found = unneeded(tmp_path)
    assert {each.path.name for each in found.waste} == {CELLS[2].address, CELLS[3].address}
    sizes = {
        path.name: sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        for path in store.folder.iterdir()
    }
    assert {each.path.name: each.bytes for each in found.waste} == {
        each.path.name: sizes[each.path.name] for each in found.waste
    }
    assert len(names(tmp_path)) == 4, "looking changes nothing"
    assert remove_waste(tmp_path) == found
    assert names(tmp_path) == {CELLS[0].address, CELLS[1].address}
    assert remove_waste(tmp_path).waste == ()


def test_a_run_that_does_not_say_what_it_needs_keeps_every_cell(store: Store, tmp_path: Path) -> None:
    old = tmp_path / "old" / "ab0123456789"
    old.mkdir(parents=True)
    (old / "study.json").write_text("{}")
    assert remove_waste(tmp_path).unsaid == (old,)
    assert len(names(tmp_path)) == 4
    (old / "cells.json").write_text('{"cells": [')
    assert remove_waste(tmp_path).unsaid == (old,), "a list that cannot be read is none"
    (old / "cells.json").write_text(json.dumps({"cells": [CELLS[3].address]}))
    assert [each.path.name for each in remove_waste(tmp_path).waste] == [CELLS[2].address]
    assert needed_below(tmp_path).addresses == {CELLS[number].address for number in (0, 1, 3)}


def test_nothing_goes_while_a_run_is_at_work(store: Store, tmp_path: Path) -> None:
    with at_work(store.folder):
        with pytest.raises(InputError, match="A run is at work"):
            remove_waste(tmp_path)
        assert len(unneeded(tmp_path).waste) == 2
    assert len(names(tmp_path)) == 4


def test_leftovers_of_dead_processes_go_and_those_of_others_stay(store: Store, tmp_path: Path) -> None:
    first, last = CELLS[0].address, "f" * 64
    own = store.begin(last)
    made = {
        "dead": own.name.replace(f".{os.getpid()}.", f".{dead()}."),
        "elsewhere": f"{last}.another-host.{dead()}.x.partial",
        "given back, finished": f"{first}.{NOBODY}.x.unfinished",
        "given back, needed": f"{'e' * 64}.{NOBODY}.x.unfinished",
        "given back, not needed": f"{'d' * 64}.{NOBODY}.x.unfinished",
    }
    for name in made.values():
        (store.folder / name).mkdir()
        (store.folder / name / "half").write_text("12345")
    write_needed(tmp_path / "digits" / "killed", ["e" * 64])
    found = remove_waste(tmp_path)
    gone = {each.path.name for each in found.waste if each.kind == "left by runs that were killed"}
    assert gone == {made["dead"], made["given back, finished"], made["given back, not needed"]}
    assert {path.name for path in found.others} == {own.name, made["elsewhere"]}
    assert names(tmp_path) >= {own.name, made["elsewhere"], made["given back, needed"]}


def test_half_written_files_of_runs_go(store: Store, tmp_path: Path) -> None:
    run = tmp_path / "digits" / "0123456789ab"
    (run / "models").mkdir()
    half = run / "models" / ".record.json.0123456789ab"
    for file in (half, run / "models" / ".record.json", run / ".hidden"):
        file.write_text("{")
    assert [each.path for each in remove_waste(tmp_path).waste if each.kind == "half-written files"] == [half]
    assert not half.exists()
    assert (run / ".hidden").exists()


def test_no_store_is_said_and_none_is_made(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        store_of(tmp_path / "nowhere")
    assert str(caught.value) == f"There are no cells in {tmp_path / 'nowhere'}; name the folder of runs with --out."
    assert list(tmp_path.iterdir()) == []
