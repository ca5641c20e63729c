"""`surefoot teach`: what a user sees, what is left behind, and what is refused in one sentence."""

import csv
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from surefoot.cli import main

Call = Callable[[Sequence[str]], tuple[int, str, str]]


@pytest.fixture
def call(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """One command in a folder of its own, where data.csv, bare.csv and weak.csv lie: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    inputs = random.normal(size=(150, 2))
    truth = (inputs.sum(axis=1) > 0).astype(int)
    said = 1 / (1 + np.exp(-inputs[:, 0] - random.normal(size=150)))
    rows = [[f"a{row}", *(f"{each:.4f}" for each in line)] for row, line in enumerate(inputs)]
    write("bare.csv", ["id", "u", "v"], rows)
    write("data.csv", ["id", "u", "v", "label"], [[*row, "ny"[t]] for row, t in zip(rows, truth, strict=True)])
    write("weak.csv", ["id", "p_n", "p_y"], [[row[0], 1 - p, p] for row, p in zip(rows, said, strict=True)])

    def call(words: Sequence[str]) -> tuple[int, str, str]:
        code = main(list(words))
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


def write(name: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with Path(name).open("w", newline="") as opened:
        csv.writer(opened).writerows([head, *rows])


def test_with_truth_a_table_a_page_and_a_model(call: Call, tmp_path: Path) -> None:
    words = ["teach", "data.csv", "--weak", "weak.csv", "--student", "mlp:4", "--epochs", "2", "--seeds", "0,1"]
    code, out, told = call([*words, "--claim", "gap_recovered >= 0.99", "--junit", "claims.xml"])
    assert code in (10, 11)
    assert told.startswith("Teaching on 120 rows, judging on 30: student (mlp:4, cross-entropy, 2 epochs), short base")
    for word in ("weak labels (weak.csv)", "short baseline (mlp:4", "ceiling (mlp:4", "student − weak: ",
                 "student − short: ", "ceiling − weak: ", "Agreement with wrong labels: ", "--seen names",
                 "weak labels: 150 of weak.csv; probabilities: p_n of n, p_y of y, by id"):  # fmt: skip
        assert word in out, word
    (folder,) = (tmp_path / "runs").glob("teach-data-*")
    assert {"card.html", "card.md", "card.json", "model"} <= {each.name for each in folder.iterdir()}
    assert ElementTree.parse("claims.xml").getroot().attrib["tests"] == "1"
    model = f"runs/{folder.name}/model/seed-0"
    assert f"The student: {model}, one a start" in out
    code, predicted, _ = call(["predict", model, "data.csv"])
    assert code == 0
    seen = [line.split(",")[1] for line in predicted.splitlines()[1:]]
    assert (seen.count("yes"), seen.count("no")) == (120, 30)
    code, _, told = call(["look", model, "data.csv"])
    assert code == 2
    assert "already seen by the model" in told
    fresh = [[f"b{row}", 0.1 * row - 1.03, 0.2, "ny"[row > 8]] for row in range(20)]
    write("fresh.csv", ["id", "u", "v", "label"], fresh)
    assert call(["look", model, "fresh.csv"])[0] == 11
    _, out, _ = call([*words, "--claim", "gap_recovered >= 0.99"])
    assert "6 trainings were finished already and used again." in out


def test_a_claim_on_a_gap_that_there_is_not_stays_undecided(call: Call, tmp_path: Path) -> None:
    rows = [line.split(",") for line in Path("data.csv").read_text().split()[1:]]
    write("some.csv", ["id", "u", "v", "truth"], [[*r[:3], r[3] if at % 3 == 0 else ""] for at, r in enumerate(rows)])
    code, out, _ = call(
        ["teach", "some.csv", "--weak", "weak.csv", "--target", "truth", "--claim", "gap_recovered >= 0.2"]
    )
    assert code == 11
    assert "There is no ceiling: 100 of the 100 rows" in out
    (folder,) = (tmp_path / "runs").glob("teach-some-*")
    assert call(["gate", str(folder)])[0] == 11
    card = json.loads((folder / "card.json").read_text())
    card["claims"][0]["status"] = card["verdict"] = "passed"
    (tmp_path / "forged").mkdir()
    (tmp_path / "forged" / "card.json").write_text(json.dumps(card))
    assert call(["gate", "forged"])[0] == 2


def test_without_truth_agreement_decides(call: Call) -> None:
    code, out, _ = call(
        ["teach", "bare.csv", "--weak", "weak.csv", "--claim", "supervisor_agreement >= 0.25", "--json"]
    )
    assert code == 0
    read = json.loads(out)
    assert read["verdict"] == "passed"
    assert "accuracy" not in read["sentence"]
    code, out, told = call(
        ["teach", "bare.csv", "--weak", "weak.csv", "--claim", "supervisor_agreement >= 0.999", "-q"]
    )
    assert (code, out, told) == (10, "", "")
    code, out, _ = call(["teach", "bare.csv", "--weak", "weak.csv"])
    assert code == 11
    assert "accuracy  " not in out
    assert "There are no true labels of judge rows" in out


def test_a_convolutional_student_of_a_folder_of_images(call: Call, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    lines: list[list[object]] = []
    for row in range(60):
        name = f"pics/{'dot' if row % 2 else 'bar'}/r{row}x.png"
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 60, (8, 8)).astype(np.uint8)
        pixels[3, 2:6] = 60 if row % 2 else 255
        Image.fromarray(pixels).save(tmp_path / name)
        lines.append([name.removeprefix("pics/"), 0.9 if row % 2 else 0.2])
    write("weak_pics.csv", ["file_name", "p_dot"], lines)
    words = ["teach", "pics", "--weak", "weak_pics.csv", "--student", "cnn:4", "--epochs", "6", "--batch", "8"]
    code, out, _ = call([*words, "--seeds", "0", "--claim", "accuracy >= 0.6"])
    assert code == 0, out
    (folder,) = (tmp_path / "runs").glob("teach-pics-*")
    saved = json.loads((folder / "model" / "seed-0" / "record.json").read_text())
    assert saved["spec"] == {"cnn": {"shape": [1, 8, 8], "channels": [4], "hidden": 64, "classes": 2}}
    # What was judged here is what the model that is left says.
    code, out, _ = call(["predict", f"runs/{folder.name}/model/seed-0", "pics"])
    judged = [line.split(",") for line in out.splitlines()[1:] if line.split(",")[1] == "no"]
    head = out.splitlines()[0].split(",")
    dot = head.index("p_dot")
    right = np.mean([(float(line[dot]) > 0.5) == (line[2] == "dot") for line in judged])
    card = json.loads((folder / "card.json").read_text())
    (found,) = (
        each
        for each in card["findings"]
        if each["name"] == "accuracy" and each["subject"] == "student" and each["slice"] == "all"
    )
    assert found["value"] == pytest.approx(right)


@pytest.mark.slow
def test_the_python_of_the_document_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    document = Path(__file__).resolve().parents[2] / "docs" / "teach.md"
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", document.read_text(encoding="utf-8"), flags=re.DOTALL):
        exec(compile(block, document.name, "exec"), names)
    found = {name: names["kept"].card.finding("accuracy", of=name).value for name in ("weak", "student", "short")}
    # The table of the document; other processors may move a row or two of 347.
    assert found == pytest.approx({"weak": 0.761, "student": 0.797, "short": 0.802}, abs=0.01)


def test_rows_without_ids_are_named_by_their_number(call: Call) -> None:
    features = np.random.default_rng(0).normal(size=(80, 3)).astype(np.float32)
    np.savez("f.npz", features=features, labels=(features[:, 0] > 0).astype(int))
    write("by_number.csv", ["id", "probability"], [[row, 0.8 if features[row, 0] > 0.2 else 0.3] for row in range(80)])
    write("in_order.csv", ["probability"], [[0.8 if features[row, 0] > 0.2 else 0.3] for row in range(80)])
    read = [
        json.loads(call(["teach", "f.npz", "--weak", name, "--json"])[1]) for name in ("by_number.csv", "in_order.csv")
    ]
    assert read[0]["sentence"] == read[1]["sentence"]
    write("short.csv", ["probability"], [[0.5]] * 79)
    code, _, told = call(["teach", "f.npz", "--weak", "short.csv"])
    assert code == 2
    assert "79 lines and no column of ids, and the data has 80 rows" in told


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ([], "No weak labels were named; teach is called like this: surefoot teach data.csv --weak labels.csv"),
        (["--weak", "nowhere.csv"], "There is no file nowhere.csv"),
        (["--weak", "bare.csv"], "has no labels that are known by name"),
        (["--weak", "other.csv"], "1 of 2 ids in other.csv are no row of the data (first: z)"),
        (["--weak", "weak.csv", "--target", "lable"], "label"),
        (["--weak", "weak.csv", "--student", "forest"], "There is no student 'forest'"),
        (["--weak", "weak.csv", "--student", "cnn"], "A row holds 2 numbers, and the student cnn reads images"),
        (["--weak", "weak.csv", "--loss", "luck"], "There is no loss 'luck'"),
        (
            ["--weak", "weak.csv", "--epochs", "5"],
            "--epochs is of AdamW, and a linear student of cross-entropy is solved",
        ),
        (["--weak", "weak.csv", "--student", "mlp:3", "--rate", "0"], "rate is 0.0; give a positive learning rate"),
        (["--weak", "weak.csv", "--seeds", "0,x"], "--seeds is '0,x'"),
        (["--weak", "weak.csv", "--seeds", "0,0"], "give different ones"),
        (["--weak", "weak.csv", "--seen", "weak.csv"], "trained on 150 of the rows that it labels (first: a0)"),
        (["--weak", "weak.csv", "--claim", "accuracy >= 2"], "bounds a proportion by 2"),
        (
            ["--weak", "weak.csv", "--claim", "acuracy >= 0.5"],
            "on 'acuracy', which is not measured; did you mean 'accuracy'?",
        ),
        (["--weak", "weak.csv", "--features", "u,label"], "label is both a feature and the true label"),
        (["--weak", "one.csv"], "Every row of one.csv has the class n in the column 'label', of which nothing can be"),
        (["--weak", "data.csv"], "The column label of data.csv would be both the truth and the weak labels"),
        (["--weak", "weak.csv", "--device", "gpu"], 'The device "gpu" cannot be used here'),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(call: Call, words: list[str], match: str) -> None:
    write("other.csv", ["id", "p_n", "p_y"], [["a0", 0.5, 0.5], ["z", 0.5, 0.5]])
    write("one.csv", ["id", "label"], [[f"a{row}", "n"] for row in range(150)])
    code, out, told = call(["teach", "data.csv", *words])
    assert (code, out) == (2, "")
    assert match in told
    assert "Traceback" not in told
    assert told.splitlines()[-1].startswith("surefoot: ")


def test_a_student_reads_nobody_s_answer_off_a_column_unless_it_is_named(call: Call) -> None:
    """Weak labels in the data's own table, and data and labels given the wrong way round."""
    weak = {line.split(",")[0]: line.split(",")[2] for line in Path("weak.csv").read_text().split()[1:]}
    lines = [line.split(",") for line in Path("bare.csv").read_text().split()[1:]]
    write("both.csv", ["id", "u", "v", "p_n", "p_y"], [[*r, 1 - float(weak[r[0]]), weak[r[0]]] for r in lines])
    for words in (
        ["both.csv", "--weak", "both.csv"],
        ["both.csv", "--weak", "weak.csv"],
        ["weak.csv", "--weak", "data.csv"],
    ):
        code, out, told = call(["teach", *words])
        assert (code, out) == (2, "")
        assert "has the columns p_n, p_y, called as somebody's answer is" in told, words
    assert call(["teach", "both.csv", "--weak", "both.csv", "--features", "u,v"])[0] == 11
