import multiprocessing
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from surefoot.card.ledger import ChoiceRow, Ledger, RunRow, Used
from surefoot.card.row_marks import MOST, RowMarks, marks
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
CHOICE = ChoiceRow(
    choice="0123",
    name="digits",
    criterion="evidence",
    chosen="linear-p1",
    accuracy=0.75,
    folder="runs/choices/0123",
    created="2026-11-24T16:00:00+00:00",
    judge_digest="j1",
)


def test_a_text_that_is_none_is_told(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(path)
    ledger.record_run(RunRow("r", "s", "d", "passed", "c", "f", "2026-01-01", "j"))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE runs SET study = CAST(x'fffe' AS TEXT)")
        connection.commit()
    with pytest.raises(InputError, match="cannot be used"):
        ledger.runs()


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


def test_choices_come_back_newest_first_and_are_no_runs(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "deep" / "ledger.sqlite")
    assert ledger.choices() == ()
    assert not ledger.path.exists()
    ledger.record_run(ROW)
    assert ledger.choices() == ()
    later = replace(CHOICE, choice="0456", created="2026-11-25T16:00:00+00:00", chosen="8-p1")
    for each in (later, CHOICE, replace(CHOICE, accuracy=0.5)):
        ledger.record_choice(each)
    assert ledger.choices() == (later, replace(CHOICE, accuracy=0.5))
    assert ledger.choices(limit=1) == (later,)
    assert ledger.runs() == (ROW,)
    assert ledger.judge_uses("j1") == 1


def test_a_ledger_with_choices_keeps_its_version(tmp_path: Path) -> None:
    """A surefoot that knows no choices opens it, reads runs and writes on."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.record_run(ROW)
    ledger.record_choice(CHOICE)
    with closing(sqlite3.connect(ledger.path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
        columns = [row[1] for row in connection.execute("PRAGMA table_info(runs)")]
    assert columns == [*RunRow.__dataclass_fields__]


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


def named(*numbers: int, inputs: str = "x", names: str = "im") -> RowMarks:
    """Rows by number, whose inputs and names begin with these letters."""
    return marks(inputs=[f"{inputs}{n}" for n in numbers], names=[f"{names}_{n}" for n in numbers])


def look(ledger: Ledger, study: str, rows: RowMarks | None, digest: str | None = None) -> Used:
    return ledger.note_use(study if digest is None else digest, study, "now", rows)


def test_another_split_of_the_same_rows_is_a_look_at_them(tmp_path: Path) -> None:
    """Twenty seeds draw a fifth of 1,000 rows each: every one shares rows with those before it."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    rng = np.random.default_rng(0)
    used = [look(ledger, f"seed {n}", named(*rng.permutation(1000)[:200].tolist())) for n in range(20)]
    assert [each.cards for each in used] == list(range(1, 21))
    assert used[0].share == 0.0
    assert used[1].share == pytest.approx(0.2, abs=0.1)
    assert used[19].share is not None
    assert used[19].share > 0.95


def test_a_dropped_row_new_names_and_new_inputs_are_seen_through(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    assert look(ledger, "first", named(*range(100))) == Used(1, 0.0)
    assert look(ledger, "dropped", named(*range(99))) == Used(2, 1.0)
    assert look(ledger, "renamed", named(*range(100), names="other")) == Used(3, 1.0)
    assert look(ledger, "written anew", named(*range(100), inputs="y")) == Used(3, 1.0), "by its names"
    assert look(ledger, "half", named(*range(50, 150))) == Used(5, 0.5)
    assert look(ledger, "fresh", named(*range(500, 600))) == Used(1, 0.0)
    assert look(ledger, "hardly any", named(99, *range(200, 300))) == Used(1, 0.0), "fewer than a twentieth are shared"


def test_the_same_question_again_adds_nothing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    first = look(ledger, "s", named(*range(100)), "j")
    assert look(ledger, "s", named(*range(100)), "j") == first == Used(1, 0.0)
    ledger.record_run(replace(ROW, study_digest="s", judge_digest="j"))
    assert look(ledger, "s", named(*range(100)), "j") == Used(1, 0.0)
    assert look(ledger, "t", named(*range(100)), "j") == Used(2, 1.0)
    assert look(ledger, "s", named(*range(100)), "j").cards == 2


def test_equal_digests_of_other_rows_are_other_rows(tmp_path: Path) -> None:
    """Two files of equal length without ids once shared a digest."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    assert look(ledger, "a", named(*range(40)), "rows 0 to 39").cards == 1
    assert look(ledger, "b", named(*range(40), inputs="y", names="z"), "rows 0 to 39") == Used(1, 0.0)


def test_inputs_that_many_rows_share_tell_nothing(tmp_path: Path) -> None:
    """Blank inputs in two data sets are no sign of the same rows; the very same set is known even so."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    blank = marks(inputs=["blank"] * 30)
    assert look(ledger, "a", blank, "j") == Used(1, 0.0)
    assert look(ledger, "b", blank, "another") == Used(1, 0.0)
    assert look(ledger, "c", blank, "j") == Used(2, 1.0)


def test_roads_without_marks_count_by_digest_as_before(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    assert look(ledger, "a", None, "j") == Used(1, None)
    assert look(ledger, "b", named(*range(10)), "j") == Used(2, 0.0)
    assert look(ledger, "c", None, "j") == Used(3, None)


def test_a_large_set_is_known_by_a_sample(tmp_path: Path) -> None:
    """Shares of rows from `MOST` marks: of 100,000 rows 30 % are shared, told to a point (five standard errors)."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    rows = 100_000
    assert look(ledger, "a", named(*range(rows))).cards == 1
    second = look(ledger, "b", named(*range(70_000, 70_000 + rows)))
    assert second.cards == 2
    assert second.share == pytest.approx(0.3, abs=0.016)
    assert ledger.path.stat().st_size < 2.5 * 2 * 2 * 8 * MOST


def test_an_old_ledger_is_read_and_written_on(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        for statement in (
            "CREATE TABLE runs (run TEXT PRIMARY KEY, study TEXT, study_digest TEXT, verdict TEXT, card_digest TEXT, "
            "folder TEXT, created TEXT, judge_digest TEXT)",
            "CREATE TABLE judge_uses (judge_digest TEXT NOT NULL, study_digest TEXT NOT NULL, created TEXT NOT NULL, "
            "PRIMARY KEY (judge_digest, study_digest))",
            "INSERT INTO judge_uses VALUES ('j', 'old', 'then')",
            "PRAGMA user_version = 1",
        ):
            connection.execute(statement)
        connection.commit()
    ledger = Ledger(path)
    assert ledger.judge_uses("j") == 1
    assert look(ledger, "new", named(*range(10)), "j").cards == 2
    assert look(ledger, "old", named(*range(10)), "j").cards == 2, "the old question, now with its rows"
    assert look(ledger, "other", named(*range(9)), "k").cards == 3


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
        f"The ledger {ledger.path} has schema 7, and this surefoot knows 2; upgrade surefoot, or name another ledger."
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
