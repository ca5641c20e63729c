"""The ledger on a real PostgreSQL server: what the file does, many writers, versions, and errors that keep a secret."""

import itertools
import multiprocessing
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path

import pytest
import test_card_ledger as on_file
from card_examples import usual
from postgres_server import PASSWORD, Server, missing, served
from test_card_ledger import CHOICE, ROW, look, named

from surefoot.card import ledger as ledgers
from surefoot.card.gate import is_recorded
from surefoot.card.ledger import Ledger, Used, ledger_of
from surefoot.card.ledger_postgres import PostgresServer
from surefoot.card.write import write_card
from surefoot.cli import main
from surefoot.errors import InputError

pytestmark = pytest.mark.skipif(missing() != "", reason=missing())
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    with served(tmp_path_factory.mktemp("postgres") / "server") as started:
        yield started


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    monkeypatch.delenv("SUREFOOT_LEDGER", raising=False)


@pytest.fixture
def database(server: Server) -> str:
    """A new and empty one."""
    name = f"ledger{next(NUMBERS)}"
    server.ask(f"CREATE DATABASE {name}")
    return name


@pytest.fixture
def url(server: Server, database: str) -> str:
    return server.url(database)


@pytest.fixture
def write_example(tmp_path: Path) -> Callable[[str], Path]:
    """Write an example card as the run `name` below tmp_path/runs and return its folder."""

    def write(name: str) -> Path:
        write_card(usual(), tmp_path / "runs" / name)
        return tmp_path / "runs" / name

    return write


SAME = (
    on_file.test_another_split_of_the_same_rows_is_a_look_at_them,
    on_file.test_a_dropped_row_new_names_and_new_inputs_are_seen_through,
    on_file.test_the_same_question_again_adds_nothing,
    on_file.test_equal_digests_of_other_rows_are_other_rows,
    on_file.test_inputs_that_many_rows_share_tell_nothing,
    on_file.test_roads_without_marks_count_by_digest_as_before,
    on_file.test_a_judge_set_counts_distinct_studies,
)


@pytest.mark.parametrize("test", SAME, ids=lambda test: test.__name__.removeprefix("test_"))
def test_it_counts_as_the_file_does(
    test: Callable[[Path], None], url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The very tests of the file, with the server in its place."""
    monkeypatch.setattr(on_file, "Ledger", lambda _: Ledger(url))
    test(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_runs_and_choices_come_back_newest_first(url: str, server: Server, database: str) -> None:
    ledger = Ledger(url)
    assert (ledger.runs(), ledger.choices(), ledger.run(ROW.run), ledger.judge_uses("j1")) == ((), (), None, 0)
    assert server.ask("SELECT to_regclass('surefoot.runs')", database) == [[None]], "reading makes nothing"
    later = replace(ROW, run="digits-2", created="2026-11-24T08:00:00+00:00", verdict="failed")
    ledger.record_run(later)
    ledger.record_run(ROW)
    assert ledger.choices() == ()
    assert ledger.runs() == (later, ROW)
    assert ledger.runs(limit=1) == (later,)
    ledger.record_run(replace(later, created=ROW.created, card_digest="c2"))
    assert [row.card_digest for row in ledger.runs()] == ["c2", "c1"], "of one time, the last to be written is first"
    assert ledger.run(ROW.run) == ROW
    for each in (replace(CHOICE, choice="0456", accuracy=1 / 3), CHOICE, replace(CHOICE, accuracy=0.5)):
        ledger.record_choice(each)
    assert [each.accuracy for each in ledger.choices()] == [0.5, 1 / 3]
    assert ledger.judge_uses("j1") == 1


def write_many(url: str, process: int) -> None:
    ledger = Ledger(url)
    for number in range(15):
        ledger.record_run(replace(ROW, run=f"{process}-{number}", study_digest=f"study {process * 15 + number}"))


def test_four_processes_write_at_once_from_the_first_table_on(url: str) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_many, args=(url, number)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=120)
    assert [writer.exitcode for writer in writers] == [0, 0, 0, 0]
    ledger = Ledger(url)
    assert len({row.run for row in ledger.runs(limit=1000)}) == 60
    assert ledger.judge_uses("j1") == 60


def test_an_error_leaves_everything_as_it_was(url: str, server: Server, database: str) -> None:
    ledger = Ledger(url)
    ledger.record_run(ROW)
    server.ask("ALTER TABLE surefoot.judge_uses ADD CHECK (study_digest != 's2')", database)
    with pytest.raises(
        InputError, match=r"^The ledger postgresql://owner@127\.0\.0\.1:\d+/\w+ cannot be used \(new row"
    ):
        ledger.record_run(replace(ROW, run="second", study_digest="s2"))
    assert ledger.runs() == (ROW,)


def test_an_older_ledger_is_brought_to_our_version_and_a_newer_one_refused(
    url: str, server: Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from surefoot.card import ledger_postgres

    with monkeypatch.context() as older:
        older.setattr(ledger_postgres, "VERSION", 1)
        older.setattr(ledger_postgres, "STEPS", ledger_postgres.STEPS[:1])
        with PostgresServer(url).writing() as execute:
            execute("INSERT INTO judge_uses (judge_digest, study_digest, created) VALUES ('j', 'old', 'then')")
    assert server.ask("SELECT version FROM surefoot.ledger", database) == [[1]]
    assert Ledger(url).judge_uses("j") == 1
    assert server.ask("SELECT version FROM surefoot.ledger", database) == [[2]]
    assert look(Ledger(url), "new", named(*range(10)), "j") == Used(2, 0.0)
    server.ask("UPDATE surefoot.ledger SET version = 7", database)
    for work in (Ledger(url).runs, lambda: Ledger(url).record_run(ROW)):
        with pytest.raises(InputError, match=r"has schema 7, and this surefoot knows 2; upgrade surefoot, or"):
            work()


def test_what_is_wrong_is_a_sentence_without_the_password(
    url: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = url.replace("owner@", "owner:s3cret@")
    with pytest.raises(InputError, match=r"\(password authentication failed for user \"owner\"\); make sure") as wrong:
        Ledger(secret).runs()
    assert "s3cret" not in str(wrong.value) + repr(Ledger(secret)._database())  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(InputError, match=r'\(database "nowhere" does not exist\)'):
        Ledger(server.url("nowhere")).runs()
    with pytest.raises(InputError, match=r"cannot be used \(Can't create a connection to host localhost and port 1 "):
        Ledger("postgresql://me@localhost:1/ledger").runs()
    with pytest.raises(InputError, match="cannot be used"):
        Ledger(f"{url}?sslmode=require").runs()
    for odd in ("postgresql://me@host", "postgresql://me@host:x/d", "postgresql://h/d?options=1", "postgresql://h/a/b"):
        with pytest.raises(InputError, match=r"cannot be read; expected postgresql://NAME@HOST:PORT/DATABASE"):
            Ledger(odd).runs()


def test_somebody_who_may_only_read_reads(url: str, server: Server, database: str) -> None:
    Ledger(url).record_run(ROW)
    server.ask(f"CREATE ROLE reader_{database} LOGIN PASSWORD '{PASSWORD}'", database)
    server.ask(f"GRANT USAGE ON SCHEMA surefoot TO reader_{database}", database)
    server.ask(f"GRANT SELECT ON ALL TABLES IN SCHEMA surefoot TO reader_{database}", database)
    reader = Ledger(server.url(database, f"reader_{database}"))
    assert reader.runs() == (ROW,)
    with pytest.raises(InputError, match=r"\(permission denied for table"):
        reader.record_run(ROW)


def test_history_and_diff_read_it_by_option_and_by_environment(
    url: str, tmp_path: Path, write_example: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    ledger = Ledger(url)
    for name in ("one", "two"):
        folder = write_example(name)
        ledger.record_run(replace(ROW, run=f"digits-{name}", folder=str(folder)))
    assert main(["history", "--out", str(tmp_path), "--ledger", url]) == 0
    assert capsys.readouterr().out.count("digits") >= 2
    monkeypatch.setenv("SUREFOOT_LEDGER", url)
    assert main(["diff", "digits-one", "digits-two"]) == 0
    assert capsys.readouterr().out.startswith("The cards are the same: ")
    assert ledger_of(tmp_path) == ledger
    assert ledger_of(tmp_path, "other.sqlite") == Ledger("other.sqlite")
    assert main(["diff", "digits-one", "nosuch"]) == 2
    ledger.record_run(replace(ROW, run="away", folder="elsewhere/away"))
    assert main(["diff", "digits-one", "away"]) == 2
    assert "The run away lies in elsewhere/away, as its ledger says" in capsys.readouterr().err


def test_the_gate_asks_it(url: str, write_example: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_example("one")
    assert not is_recorded(folder)
    Ledger(url).record_run(replace(ROW, run=folder.name, card_digest="another"))
    monkeypatch.setenv("SUREFOOT_LEDGER", url)
    assert is_recorded(folder)
    assert main(["gate", str(folder)]) == 2


def test_without_pg8000_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pg8000", None)
    with pytest.raises(InputError) as caught:
        Ledger("postgresql://me@localhost/ledger").runs()
    assert str(caught.value) == (
        'A ledger on PostgreSQL needs pg8000; install it with: pip install "surefoot[postgres]"'
    )
    assert ledgers.LEDGER == "ledger.sqlite"
