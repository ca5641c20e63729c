"""`surefoot sample`: from features or a saved model to a posterior, a card, and the same draws after a kill."""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_examples import write_features

from surefoot.bayes.kept import load_posterior
from surefoot.cli import main
from surefoot.files import digest_file
from surefoot.networks.build import build_mlp
from surefoot.networks.network import parameters_of
from surefoot.networks.weights import ModelRecord, save_model
from surefoot.study.stored import load_seen

QUICK = ["--sampler", "hmc", "--draws", "12", "--burn-in", "8"]

KILLED = """\
import os, signal, sys
import surefoot.bayes.sample
from surefoot.cli import main
from surefoot.inference.chains.writer import ChainWriter
surefoot.bayes.sample.SAVE_EVERY = 0.0
save, saved = ChainWriter.checkpoint, [0]
def killed(writer, state):
    save(writer, state)
    saved[0] += 1
    if saved[0] == 13:
        os.kill(os.getpid(), signal.SIGKILL)
ChainWriter.checkpoint = killed
main(sys.argv[1:])
"""

Call = Callable[[Sequence[str]], tuple[int, str, str]]


@pytest.fixture
def call(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """One command in a folder of its own: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def call(words: Sequence[str]) -> tuple[int, str, str]:
        code = main(list(words))
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("small") / "small.npz"
    write_features(path, rows=300, agree=0.8, seed=0)
    return path


def model_of(out: str) -> Path:
    (folder,) = re.findall(r"The posterior: (\S+)", out)
    return Path(folder)


def shards(model: Path) -> dict[str, str]:
    found = {path.name: digest_file(path) for path in (model / "chains").glob("shard-*")}
    assert found
    return found


def test_features_alone_give_a_posterior_beside_a_plain_head(small: Path, call: Call, tmp_path: Path) -> None:
    code, out, told = call(["sample", str(small), "--groups", "a", "--claim", "accuracy >= 0.1", *QUICK])
    assert told.startswith("Sampling 4 chains of 10 numbers (hmc): about ")
    assert code == 11, "twelve draws are doubted, whatever the bound"
    assert "its chains have not mixed" in out
    assert "base head" in out
    assert "Bayesian head (hmc)" in out
    assert re.search(r"Chains: 4 of 12 draws; accepted \d+ %", out)
    assert "split R̂" in out
    assert "effective draws" in out
    model = model_of(out)
    card = json.loads((model.parent / "card.json").read_text())
    assert [each["name"] for each in card["subjects"]] == ["base", "bayes"]
    assert {each["role"] for each in card["roles"]} == {"fit", "repair", "choose", "judge"}
    assert "bayes" in card["reliability"]
    seen = load_seen(model)
    assert len(seen) == 120, "the fit rows, four tenths of 300, and no others"
    assert load_posterior(model).chains.draws == 12
    assert call(["predict", str(model), str(small)])[0] == 0
    np.savez(tmp_path / "wide.npz", inputs=np.zeros((3, 7), dtype=np.float32), y=np.array([0, 1, 0]))
    code, _, refusal = call(["predict", str(model), "wide.npz"])
    assert code == 2
    assert "cannot read these rows: one input has shape (7,)" in refusal
    code, _, refusal = call(["look", str(model), str(small)])
    assert code == 2
    assert "already seen" in refusal


def test_the_same_posterior_is_not_sampled_twice_and_another_seed_is(small: Path, call: Call, tmp_path: Path) -> None:
    first = call(["sample", str(small), *QUICK])
    code, out, told = call(["sample", str(small), *QUICK, "--claim", "accuracy >= 0.99"])
    assert "from an earlier run, and are used again" in told
    assert code in (10, 11)
    assert shards(model_of(out)) == shards(model_of(first[1]))
    assert model_of(out) != model_of(first[1]), "another question is another card"
    assert len(list((tmp_path / "runs" / "posteriors").iterdir())) == 1
    other = call(["sample", str(small), *QUICK, "--seed", "1"])
    assert shards(model_of(other[1])) != shards(model_of(first[1]))
    again = call(["sample", str(small), *QUICK, "--out", "elsewhere"])
    assert shards(model_of(again[1])) == shards(model_of(first[1])), "the same seed, the same draws"


def test_a_killed_command_goes_on_and_ends_with_the_same_draws(small: Path, call: Call, tmp_path: Path) -> None:
    words = ["sample", str(small), *QUICK]
    ran = subprocess.run([sys.executable, "-c", KILLED, *words], cwd=tmp_path, check=False, capture_output=True)
    assert ran.returncode == -signal.SIGKILL
    (place,) = (tmp_path / "runs" / "posteriors").iterdir()
    assert (place / "chains" / "unfinished.safetensors").is_file()
    code, out, told = call(words)
    assert code == 11
    assert told.startswith("Going on from what lies in runs/posteriors/")
    whole = call([*words, "--out", "whole"])
    assert shards(model_of(out)) == shards(model_of(whole[1]))
    assert {each.name for each in place.iterdir()} >= {"chains", "body", "bayes.json", "seen.json"}
    assert not (place / "chains" / "unfinished.safetensors").exists()


def small_network(folder: Path) -> Path:
    network = build_mlp(4, (3,), 2, seed=0)
    spec = {"mlp": {"inputs": 4, "hidden": [3], "classes": 2}}
    save_model(folder, parameters_of(network), ModelRecord(spec, network.head, ("0", "1"), (4,), {}))
    return folder


def test_the_head_and_the_whole_of_a_saved_network(small: Path, call: Call, tmp_path: Path) -> None:
    """A head leaves the body alone; a network has 23 numbers. `look` finds the card's numbers on the judge rows."""
    model = small_network(tmp_path / "net")
    code, out, told = call(["sample", str(model), str(small), *QUICK])
    assert code == 11
    assert "4 chains of 8 numbers" in told, "two classes over three features and a one"
    code, out, told = call(
        ["sample", str(model), str(small), "--part", "network", "--step-size", "0.2", "--sampler", "hmc",
         "--draws", "5", "--burn-in", "5"]
    )  # fmt: skip
    assert code == 11
    assert "4 chains of 23 numbers" in told
    posterior = model_of(out)
    seen = load_seen(posterior)
    table = list(csv.DictReader(io.StringIO(call(["predict", str(posterior), str(small)])[1])))
    card = json.loads((posterior.parent / "card.json").read_text())
    accuracy = {
        each["subject"]: each for each in card["findings"] if (each["name"], each["slice"]) == ("accuracy", "all")
    }
    unseen = [row for row in table if row["seen"] == "no"]
    assert len(unseen) == len(table) - len(seen)
    drawn = torch.cat([each.parameters["head.bias"].flatten(0, 1) for each in load_posterior(posterior).chains])
    assert drawn.shape == (20, 2)
    assert accuracy["bayes"]["count"] == 60


def test_a_saved_model_that_has_seen_judge_rows_is_refused(small: Path, call: Call, tmp_path: Path) -> None:
    """The head that `repair` left has seen every row but its judge rows: another seed judges on some of those."""
    assert call(["repair", str(small), "--methods", "class_balanced"])[0] == 11
    (left,) = (tmp_path / "runs").glob("repair-*/model")
    code, _, told = call(["sample", str(left), str(small), *QUICK])
    assert code == 11, "the same seed judges on the same rows, which it has not seen"
    code, _, told = call(["sample", str(left), str(small), *QUICK, "--seed", "1"])
    assert code == 2
    assert "already seen" in told or "already" in told


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--sampler", "hcm"], "There is no sampler 'hcm'; did you mean 'hmc'?"),
        (["--prior", "empcv"], "There is no prior 'empcv'; did you mean 'empcov'?"),
        (["--part", "hed"], "There is no part 'hed'; did you mean 'head'?"),
        (["--part", "network"], "give one: surefoot sample MODEL DATA --part network"),
        (["--learn", "judge"], "a posterior is given the fit or the repair rows"),
        (["--posterior-temperature", "0.1", "--likelihood-temperature", "0.1"], "set one"),
        (["--sampler", "sgld"], "give it a step_size, such as 0.003"),
        (["--alpha", "0.9"], "alpha was given without functional"),
        (["--sampler", "hmc", "--burn-in", "0", "--step-size", "1.5", "--precision", "0.0001"], "try step_size="),
        (["--claim", "accuracy > x"], "a claim is a bound"),
        (["--draws", "10000000000000"], "Keeping the draws needs about"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    words: list[str], sentence: str, small: Path, call: Call, tmp_path: Path
) -> None:
    code, out, told = call(["sample", str(small), *words])
    assert (code, out) == (2, "")
    assert sentence in told
    assert not list(tmp_path.glob("runs/sample-*")), "no card is written, and no judge row looked at"
    assert not (tmp_path / "runs" / "ledger.sqlite").exists()


def test_three_paths_and_none(call: Call, small: Path) -> None:
    assert "sample takes MODEL DATA, or features alone" in call(["sample", "a", "b", "c"])[2]
    assert "surefoot sample runs/my-run/model data.csv" in call(["sample"])[2]
    assert "There is no folder nowhere" in call(["sample", "nowhere", str(small)])[2]


def test_batch_normalisation_names_the_way_out(call: Call, small: Path, tmp_path: Path) -> None:
    """A network of the user's own, saved by a study; its head can be sampled all the same."""
    (tmp_path / "net.py").write_text(
        "from torch import nn\n\n\ndef Net():\n"
        "    return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 2))\n",
        encoding="utf-8",
    )
    from surefoot.networks.spec import network_from_spec

    spec = {"file": f"{tmp_path / 'net.py'}:Net"}
    network = network_from_spec(spec, 0, trust_code=True)
    save_model(tmp_path / "net", parameters_of(network), ModelRecord(spec, network.head, ("0", "1"), (4,), {}))
    words = ["sample", str(tmp_path / "net"), str(small), *QUICK]
    assert "pass --trust-code" in call(words)[2]
    code, _, told = call([*words, "--trust-code", "--part", "network"])
    assert code == 2
    assert "batch normalisation" in told
    assert "or sample the head alone" in told
    assert call([*words, "--trust-code"])[0] == 11


def test_nothing_is_said_but_the_card_as_json(call: Call, small: Path) -> None:
    code, out, told = call(["sample", str(small), *QUICK, "--json", "--claim", "accuracy of base >= 0.5"])
    answer = json.loads(out)
    assert told == ""
    assert answer["verdict"] == "passed"
    assert code == 0, "the base has no chains to doubt"
    assert os.path.exists(answer["card"])
