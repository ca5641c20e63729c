"""Posteriors in a study: heads and networks from a file to a card, resumed after a kill, opened by look."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from surefoot.card.serialise import card_digest
from surefoot.errors import InputError
from surefoot.export.models import export_model
from surefoot.files import read_json
from surefoot.rows.rows import Rows
from surefoot.rows.worlds import gaussian_world
from surefoot.study.cells import Cell
from surefoot.study.once.columns import Columns
from surefoot.study.once.discover import discover_in_features
from surefoot.study.once.measure import look
from surefoot.study.once.probe import probe_layers
from surefoot.study.plan import plan_study
from surefoot.study.run import Outcome, run_study
from surefoot.study.schema import Study, load_study, study_json_schema
from surefoot.study.store import NOBODY, Store, open_store
from surefoot.study.stored import load_rows
from surefoot.study.work.kinds import work_of

STUDY = """\
study: sure
rows:
  table:
    path: rows.csv
    target: y
    attributes: [place]
    split: role
    id: id
    meaning: {fit: fit, choose: choose, judge: judge}
network:
  mlp: {hidden: [3]}
base:
  plain: {epochs: 3, rate: 0.02, batch: 20}
mitigations:
  head: {method: bayes, sampler: hmc, draws: 120, burn_in: 20}
  few: {method: bayes, part: network, sampler: hmc, draws: 5, burn_in: 5, step_size: 0.2, chains: 2}
claims:
  - {finding: accuracy, of: plain+few, at_least: 0.1}
"""
COLUMNS = Columns(target="y", groups=("place",), id="id", features=("core", "spurious"))
SIZES = {"fit": 60, "choose": 60, "judge": 100}

RUN = """\
import os, signal, sys
from pathlib import Path
import surefoot.bayes.sample
from surefoot.inference.chains.writer import ChainWriter
from surefoot.study.run import run_study
from surefoot.study.schema import load_study
surefoot.bayes.sample.SAVE_EVERY = 0.0
save, saved = ChainWriter.checkpoint, [0]
def killed(writer, state):
    save(writer, state)
    saved[0] += 1
    if saved[0] == 30:
        os.kill(os.getpid(), signal.SIGKILL)
ChainWriter.checkpoint = killed
run_study(load_study(Path(sys.argv[1])), Path(sys.argv[1]).parent, out=Path(sys.argv[2]), engine="in_process",
          product="default")
"""


def write_table(folder: Path) -> None:
    world = gaussian_world(sizes=SIZES, correlation=0.8)
    lines = ["id,y,place,role,core,spurious"]
    for role, rows in world.roles.items():
        lines += [line(role, rows, row) for row in range(len(rows))]
    (folder / "rows.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def line(role: str, rows: Rows, row: int) -> str:
    group = rows.groups.names[int(rows.groups.members[row].nonzero()[0])]
    place = "left" if "shortcut negative" in group else "right"
    core, spurious = rows.inputs[row : row + 1][0].tolist()
    return f"{role}-{row},{rows.classes[int(rows.targets[row])]},{place},{role},{core:.7f},{spurious:.7f}"


def run(study: Study, folder: Path, out: Path) -> Outcome:
    return run_study(study, folder, out=out, engine="in_process", product="default")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("sure")
    write_table(made)
    (made / "study.yaml").write_text(STUDY, encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def study(folder: Path) -> Study:
    return load_study(folder / "study.yaml")


@pytest.fixture(scope="module")
def outcome(folder: Path, study: Study) -> Outcome:
    return run(study, folder, folder / "runs")


def value(outcome: Outcome, subject: str, name: str) -> float:
    return next(
        each.value for each in outcome.card.findings if (each.subject, each.name, each.slice) == (subject, name, "all")
    )


def test_a_head_and_a_network_come_to_a_card(outcome: Outcome) -> None:
    labels = {each.name: each.label for each in outcome.card.subjects}
    assert labels["plain+head"].endswith("Bayesian head (hmc)")
    assert labels["plain+few"].endswith("Bayesian network (hmc)")
    assert value(outcome, "plain+head", "accuracy") > 0.7, "a line tells these classes in 84 rows of 100"
    (subject,) = (each for each in outcome.card.subjects if each.name == "plain+head")
    assert any(note.startswith("Chains: 4 of 120 draws; accepted") for note in subject.notes)


def test_doubts_make_claims_undecided(outcome: Outcome) -> None:
    """The bound of .1 is far below what was measured: only the chains are in doubt."""
    (judged,) = outcome.card.claims
    assert value(outcome, "plain+few", "accuracy") > 0.3
    assert judged.status == "undecided"
    assert "its chains have not mixed" in judged.sentence
    assert outcome.card.verdict == "undecided"


@pytest.mark.parametrize("subject", ["plain+head", "plain+few"])
def test_look_opens_the_posterior_and_finds_the_numbers_of_the_card(
    subject: str, folder: Path, outcome: Outcome, tmp_path: Path
) -> None:
    header, *lines = (folder / "rows.csv").read_text().splitlines()
    judge = [each for each in lines if each.startswith("judge")]
    (tmp_path / "judge.csv").write_text("\n".join([header, *judge]) + "\n", encoding="utf-8")
    model = outcome.folder / "models" / subject / "seed-0"
    looked = look(str(model), tmp_path / "judge.csv", columns=COLUMNS, out=tmp_path / "runs").card
    found = {(each.name, each.slice): each.value for each in looked.findings}
    for each in outcome.card.findings:
        if each.subject == subject and each.slice == "all" and (each.name, "all") in found:
            assert found[each.name, "all"] == each.value, each.name
    seen = folder / "rows.csv"
    with pytest.raises(InputError, match="already seen"):
        look(str(model), seen, columns=COLUMNS, out=tmp_path / "runs")


def test_what_wants_one_network_refuses_many(folder: Path, outcome: Outcome, tmp_path: Path) -> None:
    model = str(outcome.folder / "models" / "plain+head" / "seed-0")
    refusal = "holds a posterior, many networks in one; look and predict average over them"
    with pytest.raises(InputError, match=refusal):
        export_model(model, tmp_path / "head.safetensors")
    with pytest.raises(InputError, match=refusal):
        probe_layers(model, folder / "rows.csv", columns=COLUMNS, out=tmp_path / "runs")
    with pytest.raises(InputError, match=refusal):
        discover_in_features(folder / "rows.csv", columns=COLUMNS, head=model)


def test_a_posterior_that_has_seen_judge_rows_is_refused(folder: Path, study: Study, outcome: Outcome) -> None:
    """The cell of the judgement itself refuses, whatever the graph says."""
    out = folder / "runs"
    plan = plan_study(study, folder, out=out, product="default")
    store = Store(out / "cells")
    cell = plan.graph.predict["plain", 0]
    inputs = {name: store.path(reference) for name, reference in cell.inputs.items()}
    inputs["judge"] = store.path(plan.graph.rows.address) / "fit"
    with pytest.raises(InputError, match="already seen by the base training"):
        work_of(cell)(cell.spec, inputs, folder, lambda stage, done, total: None)
    sampled = plan.graph.repair["plain", "few", 0]
    seen = frozenset(read_json(store.path(sampled.address) / "seen.json"))
    assert seen == load_rows(inputs["judge"]).origins()
    assert "judge" not in "".join(sampled.inputs), "no sample cell is given judge rows"


def test_the_plan_knows_what_samples_take(folder: Path, study: Study, tmp_path: Path) -> None:
    """Ten times the draws take ten times the time, but for what is fixed."""
    few = plan_study(study, folder, out=tmp_path, product="default")
    text = STUDY.replace("draws: 120, burn_in: 20", "draws: 1200, burn_in: 200")
    (tmp_path / "study.yaml").write_text(text, encoding="utf-8")
    many = plan_study(load_study(tmp_path / "study.yaml"), folder, out=tmp_path, product="default")

    def seconds(tasks: object) -> float:
        return next(each.seconds for each in tasks if each.cell.title.startswith("plain+head"))  # type: ignore[attr-defined]

    assert seconds(few.tasks) > 0.1
    assert 8 < seconds(many.tasks) / seconds(few.tasks) < 10.5


def test_the_schema_for_editors_has_the_posterior() -> None:
    schema = study_json_schema()
    (mitigation,) = schema["properties"]["mitigations"]["patternProperties"].values()
    name = mitigation["discriminator"]["mapping"]["bayes"].rpartition("/")[2]
    keys = schema["$defs"][name]["properties"]
    assert {"part", "prior", "precision", "posterior_temperature", "sampler", "draws", "step_size"} <= set(keys)
    assert set(keys["sampler"]["enum"]) == {"hmc", "nuts", "sghmc", "sgld", "mean_field", "swag", "laplace"}


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("draws: 120", "drows: 120", "did you mean 'draws'"),
        ("sampler: hmc, draws: 120", "sampler: hcm, draws: 120", "expected 'hmc', 'nuts'"),
        ("draws: 120", "posterior_temperature: 0.1, likelihood_temperature: 0.1", "were given at once"),
        ("burn_in: 20", "burn_in: 0", "burn_in is 0, and in it hmc finds its step"),
    ],
)
def test_a_study_file_says_what_is_wrong_with_a_posterior(
    before: str, after: str, sentence: str, tmp_path: Path
) -> None:
    (tmp_path / "study.yaml").write_text(STUDY.replace(before, after, 1), encoding="utf-8")
    with pytest.raises(InputError, match=sentence):
        load_study(tmp_path / "study.yaml")


def test_a_killed_study_goes_on_in_its_chain_and_ends_with_the_same_card(
    folder: Path, study: Study, outcome: Outcome, tmp_path: Path
) -> None:
    """kill -9 at the 30th checkpoint of 140; the rest is what the second run samples, and the card is the same."""
    out = tmp_path / "runs"
    ran = subprocess.run([sys.executable, "-c", RUN, str(folder / "study.yaml"), str(out)], check=False)
    assert ran.returncode == -signal.SIGKILL
    (left,) = (out / "cells").glob("*.unfinished")
    assert (left / "chains" / "unfinished.safetensors").is_file()
    iterations: list[tuple[int, int]] = []
    import surefoot.study.engine.in_process as engine

    heard: Callable[..., float] = engine.perform

    def perform(cell: Cell, store: Store, *, estimate: float = 0.0, progress: object = None) -> float:
        def hear(stage: str, done: int, total: int) -> None:
            if stage.startswith("sampling") and total == 140:
                iterations.append((done, total))

        return heard(cell, store, estimate=estimate, progress=hear)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "perform", perform)
        resumed = run(study, folder, out)
    assert iterations[0] == (31, 140)
    assert card_digest(resumed.card) == card_digest(outcome.card)
    assert not list((out / "cells").glob("*.unfinished"))
    assert not list((out / "cells").glob("*.partial"))


ADDRESS = "a" * 64


def test_a_lasting_folder_is_taken_over_from_who_is_gone_and_from_nobody_else(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    mine = store.begin(ADDRESS, lasting=True)
    (mine / "draws").write_text("many")
    assert store.begin(ADDRESS, lasting=True) != mine, "somebody works in the first"
    store.leave(mine)
    (given_back,) = store.folder.glob(f"{ADDRESS}.{NOBODY}.*")
    (given_back / ".half.123456").write_text("half-written")
    store.sweep()
    again = store.begin(ADDRESS, lasting=True)
    assert (again / "draws").read_text() == "many"
    assert [path.name for path in again.iterdir()] == ["draws"]
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    orphan = again.with_name(again.name.replace(f".{os.getpid()}.", f".{ended.pid}."))
    again.rename(orphan)
    open_store(tmp_path)
    (left,) = store.folder.glob(f"{ADDRESS}.{NOBODY}.*")
    assert (left / "draws").read_text() == "many", "what a killed run left is kept, for whoever comes next"
    assert (store.begin(ADDRESS, lasting=True) / "draws").read_text() == "many"


def test_an_empty_or_finished_lasting_folder_does_not_stay(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.leave(store.begin(ADDRESS, lasting=True))
    assert not list(store.folder.iterdir())
    cell = Cell("sample", "a cell", {"method": "bayes"})
    for _ in range(2):
        folder = store.begin(cell.address, lasting=True)
        (folder / "draws").write_text("many")
        (folder / "record.json").write_text("a killed run's")
        store.leave(folder)
    (left,) = store.folder.iterdir()
    folder = store.begin(cell.address, lasting=True)
    store.finish(cell, folder, 1.0, 1.0)
    assert store.damage(cell.address, checksums=True) is None
    left.mkdir()
    (left / "draws").write_text("many")
    store.sweep()
    assert [path.name for path in store.folder.iterdir()] == [cell.address]
