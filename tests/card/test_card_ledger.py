import multiprocessing
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from surefoot.card.ledger import Ledger, RunRow
from surefoot.errors import InputError

ROW = RunRow(
    run="digits-1",
    study="digits",
    study_digest="s1",
    verdict="passed",
    card_digest="c1",
    folder="runs/digits",
    created="2026-11-23T16:00:00+00:00",
    judge_digest="j1",
)


def test_runs_come_back_newest_first(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "deep" / "ledger.sqlite")
    assert ledger.runs() == ()
    assert ledger.judge_uses("j1") == 0
    assert not ledger.path.exists()
    later = replace(ROW, run="digits-2", created="2026-11-24T08:00:00+00:00", verdict="failed")
    ledger.record_run(later)
    ledger.record_run(ROW)
    assert ledger.runs() == (later, ROW)
    assert ledger.runs(limit=1) == (later,)
    ledger.record_run(replace(ROW, card_digest="c2"))
    assert [row.card_digest for row in ledger.runs()] == ["c1", "c2"]


def test_a_judge_set_counts_distinct_studies(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    assert ledger.note_judge_use("j1", "s1", "now") == 1
    assert ledger.note_judge_use("j1", "s1", "later") == 1
    ledger.record_run(ROW)
    assert ledger.judge_uses("j1") == 1
    ledger.record_run(replace(ROW, run="again"))
    assert ledger.judge_uses("j1") == 1
    ledger.record_run(replace(ROW, run="changed", study_digest="s2"))
    assert ledger.judge_uses("j1") == 2
    assert ledger.judge_uses("j2") == 0
    assert ledger.note_judge_use("j2", "s2", "now") == 1


def write_many(path: str, process: int) -> None:
    ledger = Ledger(Path(path))
    for number in range(50):
        ledger.record_run(
            replace(
                ROW, run=f"{process}-{number}", study_digest=f"study {process * 50 + number}", created=f"{number:03d}"
            )
        )


def test_four_processes_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_many, args=(str(path), number)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=120)
    assert [writer.exitcode for writer in writers] == [0, 0, 0, 0]
    ledger = Ledger(path)
    assert len({row.run for row in ledger.runs(limit=1000)}) == 200
    assert ledger.judge_uses("j1") == 200
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"this is not a database, however long it may be" * 30)
    for work in (
        lambda: Ledger(path).runs(),
        lambda: Ledger(path).record_run(ROW),
        lambda: Ledger(path).judge_uses("j"),
    ):
        with pytest.raises(InputError) as caught:
            work()
        assert str(caught.value) == (
            f"The ledger {path} is damaged or not a ledger (file is not a database); move it away, and the next run "
            "starts a new one."
        )
    assert path.read_bytes().startswith(b"this is not a database")


def test_a_newer_ledger_is_refused(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.record_run(ROW)
    with closing(sqlite3.connect(ledger.path)) as connection:
        connection.execute("PRAGMA user_version = 7")
    with pytest.raises(InputError) as caught:
        ledger.runs()
    assert str(caught.value) == (
        f"The ledger {ledger.path} has schema 7, and this surefoot knows 1; upgrade surefoot, or name another ledger."
    )


def test_a_failed_write_leaves_the_ledger_as_it_was(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.record_run(ROW)
    with closing(sqlite3.connect(ledger.path)) as connection:
        connection.execute("CREATE TRIGGER stop BEFORE INSERT ON judge_uses BEGIN SELECT RAISE(ABORT, 'no'); END")
        connection.commit()
    with pytest.raises(InputError, match="is damaged or not a ledger"):
        ledger.record_run(replace(ROW, run="second", study_digest="s2"))
    assert ledger.runs() == (ROW,)


def test_a_folder_in_the_way_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"Cannot write the ledger .*file/ledger\.sqlite \(.*\); choose a folder that"):
        Ledger(tmp_path / "file" / "ledger.sqlite").record_run(ROW)
    with pytest.raises(InputError, match=r"cannot be used \(unable to open database file\)"):
        Ledger(tmp_path).record_run(ROW)
