"""`surefoot probe`, end to end, against the probe itself and what its files must agree on."""

import json
from pathlib import Path

import numpy as np
import pytest

from surefoot.card.serialise import read_card
from surefoot.cli import main
from surefoot.networks.build import build_mlp
from surefoot.networks.network import parameters_of
from surefoot.networks.weights import ModelRecord, save_model
from surefoot.robust.dfr import DFRSettings
from surefoot.robust.probe import Representation, probe
from surefoot.rows.assign import roles_from_split
from surefoot.rows.reading import SPLIT_MEANING, read_rows
from surefoot.study.stored import save_seen

SPLITS = ("train", "val", "val", "test")


def arrays(rows: int = 1200) -> dict[str, np.ndarray]:
    random = np.random.default_rng(4)
    y = random.integers(0, 2, rows)
    a = np.where(random.random(rows) < 0.65, y, 1 - y)
    inputs = random.normal(size=(rows, 3)).astype(np.float32)
    inputs[:, 0] += 4 * y - 2
    inputs[:, 1] += 6 * a - 3
    place = np.array(["land", "water"])[a]
    return {"inputs": inputs, "y": y, "place": place, "split": np.array(SPLITS * (rows // 4))}


def write(path: Path, **changed: np.ndarray) -> Path:
    np.savez(path, **{**arrays(), **changed})
    return path


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("features")
    without = arrays()["inputs"].copy()
    without[:, 1] = 0
    return write(folder / "both.npz"), write(folder / "core.npz", inputs=without)


def test_files_are_probed_as_the_library_does(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["probe", *map(str, pair), "--json", "--out", str(tmp_path)])
    assert code == 11  # nothing was claimed
    said = json.loads(capsys.readouterr().out)
    reading = read_rows(pair[0])
    assert reading.split is not None
    roles = roles_from_split(reading.rows, reading.split, SPLIT_MEANING)
    expected = probe([Representation("both", (roles,))], DFRSettings(learn="choose"))
    got = {(each["subject"], each["name"]): each["value"] for each in said["findings"]}
    for each in expected.findings:
        assert got[each.subject, each.name] == each.value
    # Features without it: 300 tosses in four unequal groups; ±.11 is three standard errors (false alarm .003).
    assert got["core", "shortcut_decodability_mean"] == pytest.approx(0.5, abs=0.11)
    assert got["core − both", "shortcut_decodability"] < -0.5
    card = read_card(Path(said["card"]))
    page = (Path(said["run"]) / "card.html").read_text()
    assert "What the features hold" in page
    assert "What each repair changed" not in page
    assert {subject.name for subject in card.subjects} == {"both", "core"}


@pytest.mark.parametrize(
    ("claim", "code"),
    [
        ("core_decodability >= 0.5", 0),
        ("shortcut_decodability_mean of both <= 0.6", 10),
        ("shortcut_decodability of core − both <= 0", 2),
    ],
)
def test_claims_decide_the_exit_code(pair: tuple[Path, Path], tmp_path: Path, claim: str, code: int) -> None:
    assert main(["probe", str(pair[0]), "--claim", claim, "-q", "--out", str(tmp_path)]) == code


def test_files_of_other_rows_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = write(tmp_path / "one.npz")
    for name, changed in {
        "labels": {"y": 1 - arrays()["y"]},
        "groups": {"place": np.roll(arrays()["place"], 1)},
        "split": {"split": np.array(["val", "train", "val", "test"] * 300)},
    }.items():
        other = write(tmp_path / "two.npz", **changed)
        assert main(["probe", str(first), str(other), "--out", str(tmp_path)]) == 2
        assert f"different {name}" in capsys.readouterr().err
    assert main(["probe", str(write(tmp_path / "no.npz", split=np.array(["train"] * 1200)))]) == 2
    assert "has no choose rows" in capsys.readouterr().err


def saved_model(folder: Path) -> Path:
    network = build_mlp(3, (5,), 2, seed=0)
    record = ModelRecord({"mlp": {"inputs": 3, "hidden": [5], "classes": 2}}, "head", ("0", "1"), (3,))
    save_model(folder, parameters_of(network), record)
    return folder


def test_layers_of_a_model_are_probed_and_its_own_head_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, data = saved_model(tmp_path / "model"), write(tmp_path / "rows.npz")
    code = main(["probe", str(model), str(data), "--layers", "hidden1,head", "--json", "--out", str(tmp_path / "runs")])
    assert code == 11
    card = read_card(Path(json.loads(capsys.readouterr().out)["card"]))
    core = {each.subject: each.value for each in card.findings if each.name == "core_decodability"}
    assert core.keys() == {"hidden1", "head"}
    assert core["hidden1"] > 0.8  # every direction of the inputs is still there before the ReLU: Φ(2) = .977
    own = next(each.value for each in card.findings if (each.subject, each.name) == ("head", "worst_group_accuracy"))
    reading = read_rows(data)
    from surefoot.networks.network import forward

    network = build_mlp(3, (5,), 2, seed=0)
    assert reading.split is not None
    judge = roles_from_split(reading.rows, reading.split, SPLIT_MEANING)["judge"]
    right = forward(network, parameters_of(network), judge.inputs[:]).argmax(dim=1) == judge.targets
    assert own == pytest.approx(min(float(right[members].double().mean()) for members in judge.groups.members.T))


def test_a_model_that_has_seen_the_judge_rows_is_not_probed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, data = saved_model(tmp_path / "model"), write(tmp_path / "rows.npz")
    save_seen(read_rows(data).rows.origins(), model)
    assert main(["probe", str(model), str(data), "--out", str(tmp_path / "runs")]) == 2
    assert "already seen" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
