"""Cards in MLflow: names and limits anywhere, a real server and a real database where it is installed."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from surefoot import mlflow as rim
from surefoot.card.card import Card
from surefoot.card.serialise import card_digest, read_card
from surefoot.card.write import write_card
from surefoot.cli import main
from surefoot.errors import InputError
from surefoot.inspect.card import card_of_logs
from surefoot.mlflow import log_card, metrics_of, params_of, tags_of

REAL = Path(__file__).parent / "data" / "hierarchy.eval"
CLAIM = "obeyed[hierarchy] >= 0.9"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run, with samples."""
    kept = card_of_logs([REAL], claims=[CLAIM], out=tmp_path / "runs")
    (kept.folder / "samples" / "m").mkdir(parents=True)
    (kept.folder / "samples" / "m" / "hierarchy.judged.jsonl").write_text('{"item": "a"}\n')
    return kept.folder


def with_settings(run: Path, to: Path, **more: Any) -> Path:
    """A card that differs from a run's in its settings."""
    card = read_card(run)
    write_card(replace(card, record=replace(card.record, settings={**card.record.settings, **more})), to)
    return to


def test_every_number_and_both_ends_of_its_interval_has_a_name(run: Path) -> None:
    card = read_card(run)
    found = metrics_of(card)
    bounded = sum(each.interval is not None for each in card.findings)
    assert len(found) == len(card.findings) + 2 * bounded
    obeyed = card.finding("obeyed", on="hierarchy")
    assert obeyed.interval is not None
    place = "surefoot/script/hierarchy/obeyed"
    ends = (found[place], found[f"{place}.low"], found[f"{place}.high"])
    assert ends == (obeyed.value, obeyed.interval.low, obeyed.interval.high)


def renamed(card: Card, *subjects: str) -> Card:
    return replace(card, findings=tuple(replace(card.findings[0], subject=each, interval=None) for each in subjects))


def test_names_are_ones_that_mlflow_takes_and_no_two_are_the_same(run: Path) -> None:
    card = read_card(run)
    strange = ("a:b", "a;b", "a_b", "../../x", "/y", "z//z", "later − earlier", "n" * 400, "n" * 401, "é")
    names = list(metrics_of(renamed(card, *strange)))
    assert len(names) == len(strange)
    assert max(map(len, names)) <= 250
    assert names[3].startswith("x/")
    assert names[6].startswith("later minus earlier/")


def test_what_is_too_long_is_told_and_never_cut(run: Path, tmp_path: Path) -> None:
    long = with_settings(
        run, tmp_path / "long", prompt="x" * 6001, fits="y" * 6000, nested={"a": {"b": [1, None]}}, empty=""
    )
    params, cut = params_of(read_card(long))
    assert cut == ("prompt",)
    assert params["fits"] == "y" * 6000
    assert params["prompt"].startswith("sha256 ")
    assert "6,001 characters" in params["prompt"]
    assert (params["nested.a.b"], params["empty"]) == ("[1,null]", '""')
    card = read_card(run)
    tags, none = tags_of(card)
    assert none == ()
    assert tags["surefoot.card"] == card_digest(card)
    assert tags["surefoot.claim.1"].startswith("undecided: ")
    assert tags_of(replace(card, sentence="s" * 8001))[1] == ("surefoot.sentence", "mlflow.note.content")


def test_requests_are_bounded() -> None:
    values = {str(at): "x" * (6000 if at % 2 else 1) for at in range(300)}
    batches = list(rim._batches(values))
    assert [pair for some in batches for pair in some] == list(values.items())
    assert all(len(some) <= 100 and sum(len(value) for _, value in some) <= 200_000 for some in batches)
    assert list(rim._batches({})) == []


def test_wrong_folders_and_places_are_one_sentence(run: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder, said in ((tmp_path / "none", "no folder of a run"), (tmp_path / "empty", "holds no card")):
        with pytest.raises(InputError, match=said):
            log_card(folder, str(tmp_path / "to"))
    with pytest.raises(InputError, match="Nowhere to log"):
        log_card(run, " ")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Cannot write to"):
        log_card(run, str(tmp_path / "file" / "to"))
    path = run / "card.json"
    path.write_text(path.read_text().replace("undecided", "passed"))
    with pytest.raises(InputError, match="changed since"):
        log_card(run, str(tmp_path / "to"))


def test_a_server_that_is_away_is_told_of_at_once(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()
    assert main(["log", str(run), "--to", f"http://me:secret@127.0.0.1:{free_port()}"]) == 2
    assert time.monotonic() - began < 5
    told = capsys.readouterr().err
    assert "No tracking server answers at http://127.0.0.1:" in told
    assert "Nothing was logged" in told
    assert "secret" not in told


def test_without_mlflow_it_says_what_to_install(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(InputError, match=r"pip install 'surefoot\[mlflow\]'"):
        log_card(run, str(tmp_path / "to"))


def test_a_part_of_mlflow_will_not_do_for_a_folder(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", ModuleType("mlflow"))
    monkeypatch.setitem(sys.modules, "mlflow.tracking", ModuleType("mlflow.tracking"))
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    with pytest.raises(InputError, match="takes MLflow itself"):
        log_card(run, str(tmp_path / "to"))


class Kept:
    """A run of a store that is kept here: as much of MLflow as a card takes, for where it is not installed."""

    def __init__(self, name: str, tags: dict[str, str]) -> None:
        self.info, self.data = SimpleNamespace(run_id=name), SimpleNamespace(tags=tags)


class Store:
    """Answers slowly, so that two who do not wait for one another meet."""

    def __init__(self) -> None:
        self.runs: list[Kept] = []
        self.between: Callable[[], object] = lambda: None
        self.failure: Exception | None = None

    def get_experiment_by_name(self, name: str) -> Any:
        return SimpleNamespace(lifecycle_stage="active", experiment_id="1")

    def search_runs(self, where: list[str], text: str, max_results: int = 1000) -> list[Kept]:
        if self.failure is not None:
            raise self.failure
        found = [each for each in self.runs if each.data.tags["surefoot.card"] in text]
        time.sleep(0.05)
        return found[:max_results]

    def create_run(self, where: str, moment: int, tags: dict[str, str], name: str) -> Kept:
        self.between()
        made = Kept(f"m{len(self.runs)}", dict(tags))
        self.runs.append(made)
        return made

    def delete_run(self, name: str) -> None:
        self.runs = [each for each in self.runs if each.info.run_id != name]

    def set_tag(self, name: str, key: str, value: str) -> None:
        next(each for each in self.runs if each.info.run_id == name).data.tags[key] = value

    def log_batch(self, name: str, **more: Any) -> None:
        time.sleep(0.01)

    def log_artifact(self, name: str, *more: Any) -> None: ...

    def log_artifacts(self, name: str, *more: Any) -> None: ...

    def set_terminated(self, name: str, status: str) -> None: ...


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    kept = Store()
    entities = SimpleNamespace(Param=tuple, Metric=tuple, RunTag=tuple)
    for name in ("Param", "Metric", "RunTag"):
        setattr(entities, name, lambda *of: of)
    mlflow = SimpleNamespace(
        tracking=SimpleNamespace(MlflowClient=lambda tracking_uri: kept), entities=entities,
        exceptions=SimpleNamespace(MlflowException=RuntimeError),
    )  # fmt: skip
    monkeypatch.setattr(rim, "_mlflow", lambda: mlflow)
    monkeypatch.setattr(rim, "_refuse_without_database", lambda: None)
    return kept


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks")
def test_two_who_log_one_card_at_once_make_one_run(run: Path, store: Store, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        logged = list(pool.map(lambda _: log_card(run, str(tmp_path / "to")), range(4)))
    assert sorted(each.state for each in logged) == ["logged", "there already", "there already", "there already"]
    assert len({each.run for each in logged}) == len(store.runs) == 1


@pytest.mark.parametrize(("other", "whole", "state"), [("a", False, "resumed"), ("z", True, "there already"),
                                                       ("z", False, "logged")])  # fmt: skip
def test_a_run_that_somebody_made_meanwhile_is_gone_on_with(
    other: str, whole: bool, state: str, run: Path, store: Store, tmp_path: Path
) -> None:
    """On another machine, whose locks are its own: all take the same run of several, a whole one first."""
    tags = {"surefoot.card": card_digest(read_card(run)), **({"surefoot.logged": "card samples"} if whole else {})}
    store.between = lambda: store.runs.append(Kept(other, tags))
    logged = log_card(run, str(tmp_path / "to"))
    assert logged.state == state
    assert logged.run == (other if state != "logged" else "m1")


def test_a_database_that_is_damaged_is_one_sentence(run: Path, store: Store, tmp_path: Path) -> None:
    store.failure = sqlite3.DatabaseError("file is \x1b[31mnot a database\nand more")
    with pytest.raises(InputError, match=r"failed \(file is ⟨U\+001B⟩\[31mnot a database\)"):
        log_card(run, str(tmp_path / "to"))


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """A tracking server on this machine, stopped afterwards."""
    pytest.importorskip("mlflow.server", reason="MLflow is not installed; make test-rims installs it beside")
    folder = tmp_path_factory.mktemp("server")
    port = free_port()
    began = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
         "--backend-store-uri", f"sqlite:///{folder / 'db.sqlite'}", "--artifacts-destination", str(folder / "kept")],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder, start_new_session=True,
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                with urllib.request.urlopen(f"{address}/health", timeout=2):
                    break
            except OSError:
                assert began.poll() is None, "the server ended"
                time.sleep(0.5)
        yield address
    finally:
        os.killpg(began.pid, signal.SIGKILL)  # it and its workers, which take half a minute to end by themselves
        began.wait(30)


def client_of(uri: str) -> Any:
    from mlflow.tracking import MlflowClient  # pyright: ignore[reportMissingImports]

    return MlflowClient(tracking_uri=uri)


def runs_of(uri: str, experiment: str) -> list[Any]:
    client = client_of(uri)
    return list(client.search_runs([client.get_experiment_by_name(experiment).experiment_id]))


real = pytest.mark.filterwarnings("ignore")  # of a stranger's package


@real
def test_a_card_is_logged_whole_and_once(run: Path, server: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["log", str(run), "--to", server, "--experiment", "whole"]
    assert main([*arguments, "--json"]) == 0
    (first,) = json.loads(capsys.readouterr().out)["logged"]
    assert main([*arguments, "--json"]) == 0
    (again,) = json.loads(capsys.readouterr().out)["logged"]
    assert (first["state"], again["state"], first["run"]) == ("logged", "there already", again["run"])
    card = read_card(run)
    (kept,) = runs_of(server, "whole")
    assert kept.data.metrics == pytest.approx(metrics_of(card))
    assert kept.data.params == params_of(card)[0]
    assert tags_of(card)[0].items() <= kept.data.tags.items()
    assert kept.data.tags["surefoot.verdict"] == "undecided"
    assert (kept.info.status, kept.info.run_name) == ("FINISHED", run.name)
    client = client_of(server)
    history = client.get_metric_history(first["run"], "surefoot/script/hierarchy/obeyed")
    assert len(history) == 1
    names = {each.path for folder in ("card", "samples/m") for each in client.list_artifacts(first["run"], folder)}
    assert names == {"card/card.html", "card/card.json", "card/card.md", "samples/m/hierarchy.judged.jsonl"}
    page = Path(client.download_artifacts(first["run"], "card/card.json"))
    assert card_digest(read_card(page)) == card_digest(card)


@real
def test_samples_stay_here_where_they_are_not_wanted_and_may_follow(run: Path, server: str) -> None:
    states = [log_card(run, server, experiment="apart", samples=wanted).state for wanted in (False, False, True, False)]
    assert states == ["logged", "there already", "resumed", "there already"]
    (kept,) = runs_of(server, "apart")
    assert kept.data.tags["surefoot.logged"] == "card samples"
    assert [each.path for each in client_of(server).list_artifacts(kept.info.run_id, "samples/m")]


@real
def test_what_was_broken_off_is_gone_on_with(run: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server goes away at every point in turn: one run comes of it, whole, and no number is there twice."""
    from mlflow.exceptions import MlflowException  # pyright: ignore[reportMissingImports]
    from mlflow.tracking import MlflowClient  # pyright: ignore[reportMissingImports]

    state = {"calls": 0, "broken at": 0}

    def breaking(method: str) -> None:
        real_one = getattr(MlflowClient, method)

        def call(self: Any, *given: Any, **named: Any) -> Any:
            state["calls"] += 1
            if state["calls"] == state["broken at"]:
                raise MlflowException("The connection broke off.\nAnd more.")
            return real_one(self, *given, **named)

        monkeypatch.setattr(MlflowClient, method, call)

    for method in ("log_batch", "log_artifact", "log_artifacts", "set_tag", "set_terminated"):
        breaking(method)
    ended, said = "", list[str]()
    while not ended:
        state |= {"calls": 0, "broken at": len(said) + 1}
        try:
            ended = log_card(run, server, experiment="broken").state
        except InputError as error:
            said.append(str(error))
    assert ended == "resumed"
    assert len(said) > 7
    assert all("(The connection broke off.)" in each and "\n" not in each for each in said)
    (kept,) = runs_of(server, "broken")
    card = read_card(run)
    assert kept.data.metrics == pytest.approx(metrics_of(card))
    assert kept.data.params == params_of(card)[0]
    client = client_of(server)
    assert kept.info.status == "FINISHED"
    assert len(client.get_metric_history(kept.info.run_id, "surefoot/script/hierarchy/obeyed")) == 1


@real
def test_long_values_and_strange_names_are_taken_by_a_real_server(run: Path, server: str, tmp_path: Path) -> None:
    many = {f"setting {at}; with: signs": "ü" * 6000 for at in range(120)}
    long = with_settings(run, tmp_path / "long", prompt="x" * 20_000, **many)
    logged = log_card(long, server, experiment="long")
    assert logged.cut == ("prompt",)
    (kept,) = runs_of(server, "long")
    assert sum(each == "ü" * 6000 for each in kept.data.params.values()) == 120


@real
def test_a_folder_will_do(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("mlflow.server", reason="MLflow is not installed; make test-rims installs it beside")
    place = tmp_path / "tracked"
    assert [log_card(run, str(place)).state for _ in range(2)] == ["logged", "there already"]
    assert log_card(run, f"sqlite:///{place / 'mlflow.db'}").state == "there already"
    (kept,) = runs_of(f"sqlite:///{place / 'mlflow.db'}", "surefoot")
    assert kept.info.artifact_uri.startswith(place.as_uri())
    assert sorted(each.name for each in place.iterdir()) == ["artifacts", "mlflow.db"]


@real
def test_a_folder_whose_database_is_damaged_is_one_sentence(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("mlflow.server", reason="MLflow is not installed; make test-rims installs it beside")
    place = tmp_path / "tracked"
    place.mkdir()
    (place / "mlflow.db").write_bytes(b"no database at all " * 200)
    with pytest.raises(InputError, match="failed"):
        log_card(run, str(place))


@real
def test_what_mlflow_refuses_is_one_sentence(run: Path, server: str) -> None:
    with pytest.raises(InputError, match="failed"):
        log_card(run, server, experiment="e" * 600)
    client = client_of(server)
    client.delete_experiment(client.create_experiment("gone"))
    with pytest.raises(InputError, match="was deleted there"):
        log_card(run, server, experiment="gone")
    with pytest.raises(InputError, match="failed"):
        log_card(run, "nosuchscheme://x")
