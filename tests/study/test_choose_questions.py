"""What may be asked of a choice and a study's candidates: seeds, own networks, curvatures that fit, and the ledger."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from surefoot.card.ledger import LEDGER, Ledger
from surefoot.cli import main
from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian
from surefoot.errors import InputError
from surefoot.evidence import criteria
from surefoot.evidence.criteria import CriteriaSettings, criteria_of
from surefoot.files import read_json
from surefoot.inference import ascend as ascending
from surefoot.inference.ascend import Ascend
from surefoot.networks.network import parameters_of
from surefoot.networks.spec import network_from_spec
from surefoot.study.choice import curvatures
from surefoot.study.choice.ask import asked_of_study
from surefoot.study.choice.curvatures import curvature_bytes, curvatures_of
from surefoot.study.choice.graph import choice_graph
from surefoot.study.choice.run import Chosen, choose
from surefoot.study.cost import Extent
from surefoot.study.graph import graph_of
from surefoot.study.numerics import numerics_of
from surefoot.study.plan import plan_study
from surefoot.study.run import run_study
from surefoot.study.schema import load_study
from surefoot.study.seeds import LAST_SEED, check_seeds
from surefoot.study.store import Store
from surefoot.study.stored import load_rows
from surefoot.study.work.perform import perform

NET = """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, entering=2, classes=2):
        super().__init__()
        self.first = nn.Linear(entering, 4)
        self.last = nn.Linear(4, classes)

    def forward(self, x):
        return self.last(torch.tanh(self.first(x)))


class Scaled(Net):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x):
        return self.last(self.scale * torch.tanh(self.first(x)))


def wide():
    return Net(entering=5)


def three():
    return Net(classes=3)


class Noisy(Net):
    def forward(self, x):
        return super().forward(x) + torch.randn(len(x), 2)


class Together(Net):
    def forward(self, x):
        return super().forward(x - x.mean(0))


def normed():
    return nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
"""
STUDY = """\
study: own
rows:
  table: {path: rows.csv, target: y, split: role, id: id, meaning: {fit: fit, choose: choose, judge: judge}}
candidates:
  depths: [0]
  precisions: [3]
  rounds: 3
  draws: 3
  named:
    mine: {network: {file: "net.py:Net", head: last}, precision: 3}
  choose_by: evidence
base:
  best: {candidate: chosen}
seeds: [0]
"""
COUNTING = """\
import os, signal, sys
from surefoot.cli import main
from surefoot.evidence import criteria
from surefoot.inference import ascend
criteria.SAVE_SECONDS = 0.0
climb, count = ascend.climb_epoch, [0]
def counted(*given):
    count[0] += 1
    print("epoch", count[0], file=sys.stderr, flush=True)
    if count[0] == {}:
        os.kill(os.getpid(), signal.SIGKILL)
    return climb(*given)
ascend.climb_epoch = counted
sys.exit(main(sys.argv[1:]))
"""
TRUST = "is code from a file, which runs only with --trust-code (in Python: trust_code=True)."
NUMERICS = numerics_of("default")


def write(folder: Path, text: str = STUDY) -> Path:
    random = np.random.default_rng(0)
    y = np.arange(180) % 2
    inputs = random.normal(size=(180, 2)) + 1.5 * y[:, None]
    roles = np.repeat(["fit", "choose", "judge"], 60)
    lines = [f"r{n},{a},{b},{of},{role}" for n, ((a, b), of, role) in enumerate(zip(inputs, y, roles, strict=True))]
    (folder / "rows.csv").write_text("\n".join(["id,a,b,y,role", *lines]))
    (folder / "net.py").write_text(NET)
    (folder / "study.yaml").write_text(text)
    return folder / "study.yaml"


def ask(file: Path, **told: Any) -> Chosen:
    question = asked_of_study(file, {})
    return choose(question, file.parent, out=file.parent / "runs", engine="in_process", product="default", **told)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("own"))


@pytest.fixture(scope="module")
def chosen(file: Path) -> Chosen:
    return ask(file, trust_code=True)


def test_an_own_network_has_the_criteria_of_its_rows_as_they_are(file: Path, chosen: Chosen) -> None:
    """Against `criteria_of` itself, on the rows without any scale: what is inside an own network cannot be folded."""
    graph = choice_graph(asked_of_study(file, {}), file.parent, NUMERICS)
    store = Store(file.parent / "runs" / "cells")
    rows = load_rows(store.path(graph.rows.address) / "fit")
    network = network_from_spec({"file": f"{file.parent}/net.py:Net", "head": "last"}, 0, trust_code=True)
    climb = Ascend(epochs=3, batch=1, optimiser="lbfgs", rate=1.0, schedule="constant")
    settings = CriteriaSettings(structure="kron", draws=3)
    torch.set_num_threads(1)
    posterior = Posterior(network, categorical, Gaussian(3.0))
    expected = criteria_of(posterior, rows, parameters_of(network), 0, climb, settings)
    told = read_json(store.path(graph.candidates["mine", 0].address) / "criteria.json")
    scores = {each.candidate.name: each.scores for each in chosen.choice.ranked}["mine"]
    assert told["parameters"] == 2 * 4 + 4 + 4 * 2 + 2
    assert scores["evidence"].value == expected.evidence
    assert scores["validation_loss"].value == pytest.approx(expected.map_loss, rel=1e-6)
    assert "own network net.py:Net; precision 3" in (chosen.folder / "page.html").read_text()


def test_the_saved_own_network_opens_with_trust_and_not_without(
    file: Path, chosen: Chosen, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "mine" in chosen.choice.models, "some criterion takes it"
    model = chosen.folder / "models" / "mine" / "seed-0"
    assert main(["predict", str(model), str(file.parent / "rows.csv"), "--target", "y", "--trust-code"]) == 0
    assert capsys.readouterr().out.startswith("id,seen,label,p_0,p_1")
    assert main(["predict", str(model), str(file.parent / "rows.csv"), "--target", "y"]) == 2
    assert "pass --trust-code" in capsys.readouterr().err


def test_a_study_takes_an_own_network_and_trains_nothing_anew(file: Path, chosen: Chosen) -> None:
    assert chosen.choice.chosen
    outcome = run_study(
        load_study(file), file.parent, out=file.parent / "runs", engine="in_process", product="default", trust_code=True
    )
    graph = graph_of(load_study(file), file.parent, NUMERICS)
    assert {cell.address for cell in graph.candidates.values()} <= set(outcome.reused)


def test_code_runs_only_where_it_is_trusted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = STUDY.replace("mine: {", "linear: {network: {linear: {}}}\n    mine: {")
    file = write(tmp_path, text)
    (tmp_path / "net.py").write_text("raise SystemExit(77)")
    refused = f"The network net.py:Net of the candidate mine {TRUST}"
    with pytest.raises(InputError) as caught:
        ask(file)
    assert str(caught.value) == refused
    with pytest.raises(InputError) as caught:
        plan_study(load_study(file), tmp_path, out=tmp_path / "runs", product="default")
    assert str(caught.value) == refused
    for command in ("choose", "run", "plan"):
        assert main([command, str(file), "--out", str(tmp_path / "runs")]) == 2
        assert capsys.readouterr().err == f"surefoot: {refused}\n"


def test_code_is_part_of_the_address_and_other_candidates_are_used_again(tmp_path: Path) -> None:
    file = write(tmp_path)
    question = asked_of_study(file, {})
    before = choice_graph(question, tmp_path, NUMERICS).candidates
    (tmp_path / "net.py").write_text(NET.replace("tanh", "relu"))
    after = choice_graph(question, tmp_path, NUMERICS).candidates
    assert before["linear-p3", 0].address == after["linear-p3", 0].address
    assert before["mine", 0].address != after["mine", 0].address
    study = graph_of(load_study(file), tmp_path, NUMERICS).candidates
    assert {cell.address for cell in study.values()} == {cell.address for cell in after.values()}
    (tmp_path / "net.py").unlink()
    with pytest.raises(InputError, match=r"^The study names net\.py, which is not in "):
        choice_graph(question, tmp_path, NUMERICS)


def test_code_that_changes_meanwhile_is_noticed(tmp_path: Path) -> None:
    file = write(tmp_path)

    def edit(stage: str, done: int, total: int) -> None:
        (tmp_path / "net.py").write_text(NET + "\n# edited\n")

    with pytest.raises(InputError, match="The user's code changed while candidates were trained"):
        ask(file, trust_code=True, progress=edit)
    assert not list((tmp_path / "runs" / "cells").glob("*/criteria.json"))


@pytest.mark.parametrize(
    ("name", "match"),
    [
        (
            "Scaled",
            r'candidate mine has no kron curvature \("scale" is in .*: Kronecker blocks.*use the structure diag',
        ),
        ("wide", r"candidate mine could not take a row of shape \[2\] \(RuntimeError: .*mend .*net\.py:wide"),
        ("three", "candidate mine: it has 3 outputs and the rows have 2 classes"),
        ("normed", "candidate mine: The network has batch normalisation"),
        ("Noisy", "candidate mine: it gives other numbers for the same rows each time"),
        ("Together", "candidate mine: its numbers for a row hang on which rows come with it"),
        ("absent", 'defines no "absent"'),
    ],
)
def test_a_network_that_cannot_be_is_refused_before_anything_runs(tmp_path: Path, name: str, match: str) -> None:
    file = write(tmp_path, STUDY.replace("net.py:Net", f"net.py:{name}").replace(", head: last", ""))
    with pytest.raises(InputError, match=match):
        ask(file, trust_code=True)
    with pytest.raises(InputError, match=match):
        plan_study(load_study(file), tmp_path, out=tmp_path / "runs", product="default", trust_code=True)
    assert not list((tmp_path / "runs" / "cells").iterdir())


def test_a_network_without_kronecker_blocks_is_chosen_of_by_the_diagonal(tmp_path: Path) -> None:
    text = STUDY.replace("net.py:Net", "net.py:Scaled").replace("  rounds: 3", "  rounds: 3\n  structure: diag")
    found = ask(write(tmp_path, text), trust_code=True)
    scores = {each.candidate.name: each.scores for each in found.choice.ranked}["mine"]
    assert scores["evidence"].value is not None


def test_a_studys_curvature_that_does_not_fit_is_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = STUDY.replace("depths: [0]", "depths: [0, 12]\n  widths: [40]\n  structure: full")
    file = write(
        tmp_path, text.replace('mine: {network: {file: "net.py:Net", head: last}', "mine: {network: {linear: {}}")
    )
    planned = plan_study(load_study(file), tmp_path, out=tmp_path / "runs", product="default")
    memory = {task.cell.title: task.memory for task in planned.tasks}
    (cell,) = [each.cell for each in planned.tasks if "40x12" in each.cell.title]
    extent = Extent((2,), 2, {"fit": 60})
    assert memory[cell.title] - curvature_bytes(cell.spec, extent, "full") < 2**31
    assert curvatures_of([cell], extent)[cell.address] == curvature_bytes(cell.spec, extent, "full") > 3 * 2**30
    monkeypatch.setattr(curvatures, "available_memory", lambda: 3 * 2**30)
    told = r"^The full curvature of the candidate 40x12-p3 needs about .* use the structure kron, which needs"
    for trial in (
        lambda: plan_study(load_study(file), tmp_path, out=tmp_path / "runs", product="default"),
        lambda: run_study(load_study(file), tmp_path, out=tmp_path / "runs", engine="in_process", product="default"),
        lambda: ask(file),
    ):
        with pytest.raises(InputError, match=told):
            trial()
    assert not list((tmp_path / "runs").glob("cells/*/record.json"))


def test_finished_candidates_need_no_memory(file: Path, chosen: Chosen, monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen.choice.chosen
    monkeypatch.setattr(curvatures, "available_memory", lambda: 1)
    assert ask(file, trust_code=True).reused == 2


def test_draws_of_an_own_network_are_counted_by_its_parameters(file: Path) -> None:
    """4 bytes a parameter and draw, beyond the expansion; of built-in networks `cost_of` counts them."""
    extent = Extent((2,), 2, {"fit": 60})
    cells = choice_graph(asked_of_study(file, {}), file.parent, NUMERICS).candidates
    found = curvatures_of(cells.values(), extent)
    for (name, _), cell in cells.items():
        more = 4 * 3 * 22 if name == "mine" else 0
        assert found[cell.address] == curvature_bytes(cell.spec, extent, "kron") + more


def test_a_choice_is_in_the_ledger_and_in_history(
    file: Path, chosen: Chosen, capsys: pytest.CaptureFixture[str]
) -> None:
    out = file.parent / "runs"
    (row,) = Ledger(out / LEDGER).choices()
    choice = chosen.choice
    assert (row.name, row.criterion, row.chosen) == ("own", "evidence", choice.chosen)
    assert row.accuracy == choice.hindsight.accuracies[choice.chosen].value
    assert Path(row.folder) == chosen.folder
    assert row.created == read_json(chosen.folder / "choice.json")["record"]["created"]
    again = ask(file, trust_code=True)
    (row,) = Ledger(out / LEDGER).choices()
    assert row.created == again.choice.record["created"]
    assert main(["history", "--out", str(out), "--json"]) == 0
    assert [each["choice"] for each in json.loads(capsys.readouterr().out)["choices"]] == [chosen.folder.name]


@pytest.mark.parametrize("seeds", [[], [1, 1], [-1], [LAST_SEED + 1], [0, 12345678901234567890123]])
def test_seeds_that_no_generator_takes_are_refused(file: Path, seeds: list[int]) -> None:
    with pytest.raises(InputError, match=r"^The seeds are "):
        asked_of_study(file, {}, seeds)


def test_the_last_seed_is_one_everywhere(tmp_path: Path) -> None:
    assert check_seeds([LAST_SEED, 0]) == (LAST_SEED, 0)
    study = load_study(write(tmp_path, STUDY.replace("seeds: [0]", f"seeds: [{LAST_SEED}]")))
    assert study.seeds == [LAST_SEED]
    for over in (LAST_SEED + 1, 12345678901234567890):
        with pytest.raises(InputError) as caught:
            load_study(write(tmp_path, STUDY.replace("seeds: [0]", f"seeds: [{over}]")))
        assert str(caught.value).endswith(f" is {over}; expected at most {LAST_SEED}.")


class Killed(BaseException):
    """Stands for a power cut."""


@pytest.mark.parametrize("rate", ["", ", rate: 0.01"])
def test_a_candidate_killed_in_a_training_goes_on_and_ends_with_the_same_bits(
    rate: str, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after three of the four epochs of either training; none of those is trained again, and nothing else."""
    text = STUDY.replace("  rounds: 3", "  rounds: 4\n  epochs: 4").replace("head: last}", "head: last}" + rate)
    question = asked_of_study(write(tmp_path, text), {})
    graph = choice_graph(question, tmp_path, NUMERICS)
    cell = graph.candidates["mine", 0]
    whole, store = Store(tmp_path / "whole"), Store(tmp_path / "cells")
    for each in (whole, store):
        perform(graph.rows, each)
    perform(cell, whole)
    monkeypatch.setattr(criteria, "SAVE_SECONDS", 0.0)
    trained: list[int] = []
    climb = ascending.climb_epoch

    def counted(*given: Any) -> Any:
        trained.append(given[4])
        return climb(*given)

    monkeypatch.setattr(ascending, "climb_epoch", counted)
    for last in (3, 7):

        def kill(stage: str, done: int, total: int, last: int = last) -> None:
            if stage == "training" and len(trained) == last:
                raise Killed

        with pytest.raises(Killed):
            perform(cell, store, progress=kill)
        assert not store.has(cell.address)
    perform(cell, store)
    assert trained == [0, 1, 2, 3, 0, 1, 2, 3]
    files = read_json(whole.path(cell.address) / "record.json")["files"]
    assert read_json(store.path(cell.address) / "record.json")["files"] == files
    assert not [name for name in files if "unfinished" in name]
    assert not list((tmp_path / "cells").glob("*unfinished"))


@pytest.mark.slow
def test_a_choice_killed_by_the_system_goes_on_within_a_candidate(tmp_path: Path) -> None:
    """SIGKILL in the middle of the second candidate's second training; its first one is not trained again."""
    write(
        tmp_path,
        STUDY.replace('mine: {network: {file: "net.py:Net", head: last}', "mine: {network: {mlp: {hidden: [4]}}"),
    )
    words = ["choose", "study.yaml", "--workers", "1", "--out"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def epochs(out: str, kill_at: int) -> list[str]:
        ran = subprocess.run(
            [sys.executable, "-c", COUNTING.format(kill_at), *words, out],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ran.returncode == (-signal.SIGKILL if kill_at else 0), ran.stderr
        return [line for line in ran.stderr.splitlines() if line.startswith("epoch")]

    assert len(epochs("whole", 0)) == 12
    assert len(epochs("killed", 11)) == 11
    assert len(epochs("killed", 0)) == 2, "the one that was killed, and the last"
    models = [sorted((tmp_path / out).glob("cells/*/model/model.safetensors")) for out in ("whole", "killed")]
    assert [each.read_bytes() for each in models[0]] == [each.read_bytes() for each in models[1]]
    assert len(models[0]) == 2
