"""Wrong input, end to end: exit code 2, one sentence on stderr, no traceback, nothing written."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from surefoot.cli import main

STUDY = """\
study: small
rows:
  features: {{path: features.npz}}
  roles: {{fit: 0.4, repair: 0.2, choose: 0.2, judge: 0.2}}
network: {network}
base:
  base: {{epochs: 1}}
"""


def arrays(rows: int = 60) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    y = np.arange(rows) % 2
    return {"inputs": random.normal(size=(rows, 3)).astype(np.float32), "y": y, "a": (np.arange(rows) // 2) % 2}


def features(folder: Path, **changed: np.ndarray) -> None:
    np.savez(folder / "features.npz", **{**arrays(), **changed})


def spoiled(folder: Path) -> None:
    inputs = arrays()["inputs"]
    inputs[[4, 7], 1] = np.nan
    features(folder, inputs=inputs)


def cut(name: str, content: bytes = b"PK\x03\x04 the rest is missing") -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return write


def text(name: str, *lines: str) -> Callable[[Path], None]:
    return cut(name, ("\n".join(lines) + "\n").encode())


def pickled(folder: Path) -> None:
    np.savez(folder / "features.npz", inputs=arrays()["inputs"], y=np.array([{}] * 60, dtype=object))


def crossing(folder: Path) -> None:
    ids = [f"dog{row}" for row in range(60)]
    ids[59] = "dog0"
    features(folder, ids=np.array(ids), split=np.array(["train", "val", "test"] * 20))


def no_judge(folder: Path) -> None:
    features(folder, split=np.array(["train", "val"] * 30))


def lonely_group(folder: Path) -> None:
    features(folder, a=np.array([0] * 59 + [1]))


def with_labels(*labels: float) -> Callable[[Path], None]:
    return lambda folder: features(folder, y=np.array([labels[row % len(labels)] for row in range(60)]))


def few(folder: Path) -> None:
    np.savez(folder / "features.npz", inputs=arrays(4)["inputs"], y=np.arange(4))


def blocked(folder: Path) -> None:
    text("p.csv", "label,p", "0,0.1", "1,0.8")(folder)
    (folder / "runs").write_text("a file, where a folder should be")


def study(changed: str = "", network: str = "{linear: {}}") -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        features(folder)
        (folder / "study.yaml").write_text(STUDY.format(network=network) + changed)

    return write


def own_code(folder: Path) -> None:
    features(folder)
    (folder / "net.py").write_text("raise SystemExit('this code must not run')")


P_CSV = text("p.csv", "label,group,p", "0,a,0.1", "1,a,0.8", "1,b,0.3", "0,b,0.4")

CASES: dict[str, tuple[Callable[[Path], None], list[str], str]] = {
    "no such file": (
        lambda folder: None,
        ["card", "p.csv"],
        "There is no file p.csv",
    ),
    "no such column": (
        P_CSV,
        ["card", "p.csv", "--target", "lable"],
        "'label'",
    ),
    "no such group column": (
        P_CSV,
        ["card", "p.csv", "--groups", "grop"],
        "'group'",
    ),
    "label outside the classes": (
        text("p.csv", "label,p_cat,p_dog", "cat,0.5,0.5", "cow,0.5,0.5"),
        ["card", "p.csv"],
        "cow",
    ),
    "probabilities that are none": (
        text("p.csv", "label,p_0,p_1", "0,2.5,-1.5", "1,0.5,0.5"),
        ["card", "p.csv"],
        "1 rows have probabilities outside [0, 1] (first: line 2 with 2.5); give probabilities, not scores or logits.",
    ),
    "a claim nobody can read": (
        P_CSV,
        ["card", "p.csv", "--claim", "it is good"],
        'The claim "it is good" cannot be understood; write it like "worst_group_accuracy >= 0.8" or '
        '"accuracy[group name] >= 75%".',
    ),
    "a claim on nothing measured": (
        P_CSV,
        ["card", "p.csv", "--claim", "acuracy >= 0.5"],
        'The claim on acuracy of model names the finding "acuracy", which was not measured; did you mean "accuracy"?',
    ),
    "a strict bound": (
        P_CSV,
        ["card", "p.csv", "--claim", "accuracy > 0.5"],
        'The claim "accuracy > 0.5" uses ">"; a claim is a bound: use >= or <=.',
    ),
    "a proportion above one": (
        P_CSV,
        ["card", "p.csv", "--claim", "accuracy >= 80"],
        'The claim "accuracy >= 80" bounds a proportion by 80; write 0.8 or 80%.',
    ),
    "out is a file": (
        blocked,
        ["card", "p.csv"],
        "Cannot write the ledger runs/ledger.sqlite",
    ),
    "features that are not finite": (
        spoiled,
        ["repair", "features.npz"],
        "NaN",
    ),
    "a cut npz": (
        cut("features.npz"),
        ["repair", "features.npz"],
        "features.npz is not a readable npz file",
    ),
    "a cut safetensors": (
        cut("features.safetensors"),
        ["repair", "features.safetensors"],
        "features.safetensors is not a readable safetensors file",
    ),
    "a cut parquet": (
        cut("p.parquet"),
        ["card", "p.parquet"],
        "p.parquet",
    ),
    "pickled labels": (
        pickled,
        ["repair", "features.npz"],
        "The array 'y' in features.npz holds pickled Python objects, which are never loaded; save it as numbers or "
        "strings.",
    ),
    "an id in two splits": (
        crossing,
        ["repair", "features.npz"],
        "dog0",
    ),
    "no judge rows": (
        no_judge,
        ["repair", "features.npz"],
        "The split of the file (train, val) has no judge rows; repair needs rows to train, to choose and to judge on: "
        "give all three, or leave the split out to have one made.",
    ),
    "class numbers with a gap": (
        with_labels(0, 3),
        ["repair", "features.npz"],
        "No row of features.npz is of class 1, and its classes are 0, 1, 2, 3 (whole numbers from 0 are class "
        "numbers); number the labels without a gap, or give them as words.",
    ),
    "labels that are no classes": (
        lambda folder: features(folder, y=np.random.default_rng(1).normal(size=60)),
        ["repair", "features.npz"],
        "The 60 labels have 60 different values",
    ),
    "one row of each class": (
        few,
        ["repair", "features.npz"],
        "The class 0 has 1 rows and none of them is a fit row, so no head can learn it; give more rows of it, or leave "
        "it out.",
    ),
    "words where fit rows have numbers": (
        text(
            "t.csv",
            "y,age,split",
            *(f"{row % 2},{row},{('train', 'val')[row // 2 % 2]}" for row in range(40)),
            "0,old,test",
            "1,99,test",
        ),
        ["repair", "t.csv"],
        "The column 'age' of t.csv holds 'old'; its fit rows hold numbers: mend the cell, or leave it empty.",
    ),
    "no column that can be a feature": (
        text("t.csv", "y,note", *(f"{row % 2},note {row}" for row in range(100))),
        ["repair", "t.csv"],
        "No column of t.csv can be a feature: Column 'note' left out: nearly every row has a value of its own",
    ),
    "--as without a folder of that layout": (
        features,
        ["features", "minilm", ".", "--as", "waterbirds", "--out", "o.safetensors"],
        ". holds no metadata.csv; give the folder of Waterbirds that does.",
    ),
    "a group that a role lacks": (
        lonely_group,
        ["repair", "features.npz"],
        "rows, and",
    ),
    "an unknown key": (
        study("sedes: [0]\n"),
        ["run", "study.yaml"],
        "Unknown key 'sedes' in study.yaml, line 8; did you mean 'seeds'?",
    ),
    "no study": (
        lambda folder: None,
        ["plan", "study.yaml"],
        "There is no study file study.yaml; check the path, or write one with `surefoot init`.",
    ),
    "code that is not trusted, in a study": (
        lambda folder: (study(network='{file: "net.py:Net"}')(folder), own_code(folder))[0],
        ["run", "study.yaml"],
        "The network net.py:Net is code from a file, which runs only with --trust-code (in Python: trust_code=True).",
    ),
    "code that is not trusted": (
        own_code,
        ["look", "net.py:Net", "features.npz"],
        "net.py:Net is code that would run on this machine; if you trust net.py, pass --trust-code "
        "(in Python: trust_code=True).",
    ),
    "a model that is none": (
        features,
        ["look", "nowhere", "features.npz"],
        "nowhere",
    ),
    "a card that is none": (
        text("old.json", "{}"),
        ["gate", "old.json"],
        "old.json: This is not a card: the key surefoot_card is missing; give the card.json of a run.",
    ),
    "a ledger that is none": (
        lambda folder: ((folder / "runs").mkdir(), cut("runs/ledger.sqlite", b"x" * 5000)(folder))[0],
        ["history"],
        "The ledger runs/ledger.sqlite is damaged or not a ledger",
    ),
}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("case", CASES)
def test_wrong_input_is_one_sentence(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare, arguments, said = CASES[case]
    monkeypatch.chdir(tmp_path)
    prepare(tmp_path)
    before = contents(tmp_path)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("surefoot: ")
    assert captured.err.endswith((".\n", "?\n"))
    assert captured.err.count("\n") == 1
    assert said in captured.err
    assert contents(tmp_path) == before


def test_the_exit_code_reaches_the_shell(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "surefoot", "rows", "nothing.csv"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": ""}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "surefoot: There is no file nothing.csv; check the path.\n"


@pytest.mark.parametrize(
    ("labels", "classes"),
    [((3, 7), ["3", "7"]), ((-1, 1), ["-1", "1"]), ((0.0, 1.0), ["0", "1"]), ((1.0, 2.0), ["1", "2"])],
)
def test_labels_that_are_not_numbered_from_zero_are_names(
    labels: tuple[float, ...], classes: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    y = np.array([labels[row % 2] for row in range(200)])
    inputs = random.normal(size=(200, 3)) + (np.arange(200) % 2)[:, None]
    np.savez("features.npz", inputs=inputs.astype(np.float32), y=y)
    assert main(["repair", "features.npz", "--quiet", "--methods", "class_balanced"]) in (0, 10, 11)
    (record,) = Path("runs").glob("*/model/record.json")
    assert json.loads(record.read_text())["classes"] == classes
