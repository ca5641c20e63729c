"""The store holds whole cells only, finds damage, and lets writers meet."""

import errno
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from surefoot.errors import InputError
from surefoot.study.cells import Cell
from surefoot.study.store import Store, open_store

CELL = Cell("train", "a cell", {"method": "m"})


def put(store: Store, text: str = "hello", cell: Cell = CELL) -> None:
    folder = store.begin(cell.address)
    (folder / "part").mkdir()
    (folder / "part" / "value.txt").write_text(text)
    store.finish(cell, folder, seconds=2.0, estimate=1.0)


def test_a_finished_cell_is_there_whole(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    assert store.damage(CELL.address) == ""
    put(store)
    assert store.has(CELL.address)
    assert store.damage(CELL.address, checksums=True) is None
    assert (store.path(f"{CELL.address}/part") / "value.txt").read_text() == "hello"
    assert [path.name for path in store.folder.iterdir()] == [CELL.address]


def test_nothing_is_there_before_it_is_finished(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    (store.begin(CELL.address) / "value.txt").write_text("half")
    assert not store.has(CELL.address)
    assert not store.path(CELL.address).exists()


@pytest.mark.parametrize("checksums", [False, True])
def test_damage_is_named(checksums: bool, tmp_path: Path) -> None:
    store = open_store(tmp_path)
    put(store)
    file = store.path(CELL.address) / "part" / "value.txt"
    file.write_text("hallo")
    found = store.damage(CELL.address, checksums=checksums)
    assert found == ("part/value.txt has other content than was recorded" if checksums else None)
    file.write_text("hell")
    assert store.damage(CELL.address, checksums=checksums) == "part/value.txt has another size than was recorded"
    file.unlink()
    assert store.damage(CELL.address, checksums=checksums) == "value.txt is missing"
    (store.path(CELL.address) / "record.json").write_text('{"files": [')
    assert store.damage(CELL.address, checksums=checksums) == "its record cannot be read"
    store.remove(CELL.address)
    put(store)
    assert store.damage(CELL.address, checksums=checksums) is None


def test_of_two_writers_the_first_wins_and_the_second_leaves_nothing(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    late = store.begin(CELL.address)
    put(store, "first")
    (late / "value.txt").write_text("second")
    store.finish(CELL, late, seconds=1.0, estimate=1.0)
    assert (store.path(CELL.address) / "part" / "value.txt").read_text() == "first"
    assert [path.name for path in store.folder.iterdir()] == [CELL.address]


def test_many_writers_at_once(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: put(store), range(40)))
    assert store.damage(CELL.address, checksums=True) is None
    assert [path.name for path in store.folder.iterdir()] == [CELL.address]


def test_what_a_dead_process_left_is_swept_and_what_a_live_one_writes_stays(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    own = store.begin(CELL.address)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead = own.with_name(own.name.replace(f".{os.getpid()}.", f".{ended.pid}."))
    dead.mkdir()
    elsewhere = own.with_name(f"{CELL.address}.another-host.{ended.pid}.x.partial")
    elsewhere.mkdir()
    open_store(tmp_path)
    assert own.exists()
    assert elsewhere.exists()
    assert not dead.exists()


def test_history_tells_what_cells_took(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    put(store)
    (past,) = store.history()
    assert (past.kind, past.method, past.seconds, past.estimate) == ("train", "m", 2.0, 1.0)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError) as caught:
        open_store(tmp_path / "file")
    where = tmp_path / "file" / "cells"
    assert (
        str(caught.value)
        == f"Cannot write to {where} (Not a directory); choose an output folder that you may write to."
    )


def test_a_full_disk_leaves_nothing_under_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(tmp_path)
    folder = store.begin(CELL.address)

    def full(self: Path, target: Path) -> Path:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(InputError) as caught:
        store.finish(CELL, folder, seconds=1.0, estimate=1.0)
    assert str(caught.value) == (
        f"Could not write {store.path(CELL.address)} (No space left on device); free space or choose another output "
        "folder."
    )
    assert list(store.folder.iterdir()) == []


def test_a_record_of_another_cell_or_of_no_files_is_damage(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    put(store)
    other = Cell("train", "another cell", {"method": "n"})
    store.path(CELL.address).rename(store.path(other.address))
    assert store.damage(other.address) == "its record is another cell's"
    put(store)
    record = store.path(CELL.address) / "record.json"
    told = json.loads(record.read_text())
    record.write_text(json.dumps({**told, "files": {}}))
    assert store.damage(CELL.address) == "its record names no files"


def test_damage_that_cannot_be_taken_away_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the same size as what was recorded, so that a look at sizes alone would let it pass."""
    store = open_store(tmp_path)
    put(store)
    file = store.path(CELL.address) / "part" / "value.txt"
    file.write_text("hallo")
    put(store)
    assert file.read_text() == "hello", "the damaged one was no first writer"
    file.write_text("hallo")

    def refuse(self: Path, target: Path) -> Path:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", refuse)
        with pytest.raises(InputError, match=r"^Cannot remove .* \(Permission denied\); make its folder one that you"):
            store.remove(CELL.address)
        with pytest.raises(InputError, match=r"^Cannot remove "):
            put(store)
    store.remove(CELL.address)
    assert not [path for path in store.folder.iterdir() if path.name == CELL.address]
    store.remove(CELL.address)


def test_a_file_that_cannot_be_read_is_damage(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    put(store)
    file = store.path(CELL.address) / "part" / "value.txt"
    file.unlink()
    file.symlink_to(file)
    assert store.damage(CELL.address) == "part/value.txt cannot be read"
    assert store.damage(CELL.address, checksums=True) == "part/value.txt cannot be read"


def test_a_cell_that_goes_while_history_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(tmp_path)
    put(store)
    monkeypatch.setattr(Store, "finished", lambda self: [CELL.address, "0" * 64])
    assert len(list(store.history())) == 1
