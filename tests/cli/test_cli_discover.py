"""`surefoot discover`: a planted slice is found, written, read by `card`; that nothing is found is a normal answer."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from surefoot.cli import main
from surefoot.findings.finding import Interval
from surefoot.robust.slices.conditions import Condition
from surefoot.robust.slices.discover import Candidate, Discovery
from surefoot.rows.reading import read_rows
from surefoot.study.once.discover import without_redundant


def predictions(path: Path, *, planted: float, rows: int = 1200, seeds: int = 1) -> Path:
    """A table of predictions with metadata; wrong in 12 % of rows, and in `planted` of those of the night."""
    random = np.random.default_rng(0)
    light = random.choice(["day", "night"], rows, p=[0.8, 0.2])
    age, label = random.integers(18, 90, rows), random.integers(0, 2, rows)
    with path.open("w", newline="") as opened:
        table = csv.writer(opened)
        table.writerow(["id", "seed", "label", "p_0", "p_1", "light", "age", "seen"])
        for seed in range(seeds):
            wrong = random.random(rows) < np.where(light == "night", planted, 0.12)
            for row in range(rows):
                positive = 0.9 if (label[row] == 1) != wrong[row] else 0.1
                table.writerow([f"r{row}", seed, label[row], 1 - positive, positive, light[row], age[row], "no"])
    return path


def features(path: Path, rows: int = 3000) -> Path:
    """Features of which none tells the class at night, and metadata beside them."""
    random = np.random.default_rng(1)
    light = random.choice(["day", "night"], rows, p=[0.75, 0.25])
    y = random.integers(0, 2, rows)
    x = random.normal(size=(rows, 3))
    x[:, 0] += np.where(light == "day", 4 * y - 2, 0)
    x[:, 1] += 6 * (light == "night")
    with path.open("w", newline="") as opened:
        table = csv.writer(opened)
        table.writerow(["id", "y", "x0", "x1", "x2", "light"])
        table.writerows([f"r{row}", y[row], *x[row].round(5), light[row]] for row in range(rows))
    return path


def test_a_planted_slice_of_predictions_is_found_written_and_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, out = predictions(tmp_path / "p.csv", planted=0.4), tmp_path / "with_groups.csv"
    assert main(["discover", str(table), "--to", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in told["slices"]["candidates"] if each["confirmed"]] == ["light=night"]
    assert told["slices"]["candidates"][0]["accuracy_interval"]["low"] <= 0.6
    with out.open(newline="") as opened:
        written = list(csv.DictReader(opened))
    assert len(written) == told["slices"]["confirm_rows"] == 1200 - told["slices"]["searched_rows"]
    assert all((row["group:discovered: light=night"] == "yes") == (row["light"] == "night") for row in written)
    assert main(["card", str(out), "--out", str(tmp_path / "runs"), "--json"]) == 11
    card = json.loads(Path(json.loads(capsys.readouterr().out)["card"]).read_text())
    assert "discovered: light=night" in {finding["slice"] for finding in card["findings"]}


def test_columns_that_tell_the_answer_explain_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A column "correct" is 0 exactly where the model is wrong: it is no slice, unless it is asked for."""
    table = predictions(tmp_path / "p.csv", planted=0.12)
    with table.open(newline="") as opened:
        head, *rows = list(csv.reader(opened))
    with table.open("w", newline="") as opened:
        csv.writer(opened).writerows(
            [[*head, "correct"], *([*row, int((float(row[4]) > 0.5) == (row[2] == "1"))] for row in rows)]
        )
    assert main(["discover", str(table)]) == 0
    told = capsys.readouterr().out
    assert "Not searched, for they tell the answer: correct." in " ".join(told.split())
    assert "correct=0" not in told
    assert main(["discover", str(table), "--columns", "correct"]) == 0
    assert "correct=0" in capsys.readouterr().out


def test_predicted_classes_are_predictions_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, classes = predictions(tmp_path / "p.csv", planted=0.4), tmp_path / "classes.csv"
    with table.open(newline="") as opened, classes.open("w", newline="") as to:
        writer = csv.writer(to)
        writer.writerow(["id", "label", "prediction", "score", "light", "age"])
        for row in csv.DictReader(opened):
            told = int(float(row["p_1"]) > 0.5)
            writer.writerow([row["id"], row["label"], told, row["p_1"], row["light"], row["age"]])
    assert main(["discover", str(classes), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in found["slices"]["candidates"] if each["confirmed"]] == ["light=night"]


def test_no_other_model_is_judged_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table that does not say what the model said is refused; `--train` asks for a head, whatever the columns."""
    monkeypatch.chdir(tmp_path)
    features(Path("rows.csv"), 600)
    assert main(["discover", "rows.csv"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "rows.csv has no columns of probabilities that are known by name" in told
    assert told.endswith("To have a head trained on a table of features: --train.\n")
    assert main(["discover", "rows.csv", "--clusters"]) == 2
    capsys.readouterr()
    assert main(["discover", "rows.csv", "--train"]) == 0
    assert "a plain head, trained here" in capsys.readouterr().out
    odd = predictions(Path("p.csv"), planted=0.4).read_text().replace("p_0,p_1", "u,v")
    Path("p.csv").write_text(odd)
    assert main(["discover", "p.csv"]) == 2
    assert capsys.readouterr().err.endswith(" Try: surefoot discover p.csv --probabilities u,v\n")
    assert main(["discover", "p.csv", "--probabilities", "u,v"]) == 0
    told = capsys.readouterr()
    assert "predictions of p.csv" in told.out
    assert told.err.splitlines()[1] == "labels: label (classes 0, 1); probabilities: u of 0, v of 1"


def test_arrays_that_seem_to_be_predictions_are_no_features(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(3)
    y, path = random.integers(0, 2, 400), tmp_path / "f.npz"
    np.savez(path, probs=random.random((400, 2)).astype(np.float32), y=y, light=random.integers(0, 2, 400))
    assert main(["discover", str(path)]) == 2
    assert "f.npz holds probs, and predictions are read from tables alone" in capsys.readouterr().err


def test_the_next_step_and_one_style_of_intervals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    predictions(Path("p.csv"), planted=0.4)
    assert main(["discover", "p.csv", "--target", "label"]) == 0
    told = capsys.readouterr()
    assert told.out.splitlines()[-1] == "Next: surefoot card p.csv --target label --groups light"
    (row,) = [line for line in told.out.splitlines() if line.startswith("light=night")]
    assert re.search(r"\d\d\.\d% \[\d\d\.\d, \d\d\.\d\] +\d\d\.\d% +−\d+\.\d points \[−", row)
    assert main(["discover", "p.csv", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_part_of_a_slice_that_is_no_worse_is_not_listed() -> None:
    def candidate(accuracy: float, *names: str) -> Candidate:
        told = tuple(Condition(name, "=", "x") for name in names)
        interval = Interval(0.0, 1.0, 0.95, "none")
        return Candidate(" and ".join(names), told, 40, accuracy, interval, 0.9, accuracy - 0.9, interval,
                         0.001, 0.01, accuracy < 0.8, 40, accuracy)  # fmt: skip

    every = [candidate(0.5, "a"), candidate(0.4, "a", "b"), candidate(0.5, "a", "c"), candidate(0.6, "d", "e")]
    none = np.zeros(0, dtype=np.int64)
    left = without_redundant(Discovery(tuple(every), 9, none, none, ("first",)))
    assert [each.name for each in left.candidates] == ["a", "a and b", "d and e"]
    assert left.notes == ("first", "Not listed: “a and c”, part of “a” and no worse than it.")


def test_nothing_is_a_normal_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = predictions(tmp_path / "p.csv", planted=0.12)
    assert main(["discover", str(table), "--columns", "light", "--to", str(tmp_path / "out.csv")]) == 0
    told = capsys.readouterr().out
    assert "No slice stands out" in told or "No slice survives" in told
    assert "Nothing was confirmed" in told
    assert not (tmp_path / "out.csv").exists()


def test_seeds_are_stacked_and_rows_counted_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = predictions(tmp_path / "p.csv", planted=0.4, rows=600, seeds=2)
    assert main(["discover", str(table), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["slices"]
    assert told["searched_rows"] + told["confirm_rows"] == 600
    assert told["candidates"][0]["name"] == "light=night"


def test_slices_and_clusters_of_features_are_written_for_a_repair(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, out = features(tmp_path / "rows.csv"), tmp_path / "with_groups.csv"
    arguments = ["discover", str(table), "--train", "--columns", "light,y", "--clusters", "--to", str(out)]
    assert main(arguments) == 0
    told = capsys.readouterr().out
    assert "light=night" in told
    assert "chance of any false find" in told
    reading = read_rows(out)
    names = reading.rows.groups.names
    assert names[0] == "discovered: light=night"
    assert names[-1] == "discovered: in no discovered slice"
    assert any("cluster" in name for name in names)
    assert reading.split is not None
    assert set(reading.split) == {"fit", "repair", "choose", "judge"}
    assert reading.rows.inputs.shape == (3000, 3)  # groups are no features
    assert bool(reading.rows.groups.members.any(dim=1).all())


def test_features_in_arrays_are_written_as_arrays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(2)
    y, night = random.integers(0, 2, 2500), random.random(2500) < 0.25
    x = random.normal(size=(2500, 4)).astype(np.float32)
    x[:, 0] += np.where(night, 0, 4 * y - 2)
    np.savez(tmp_path / "f.npz", x=x, y=y, a=random.integers(0, 2, 2500), night=night.astype(np.int64))
    out = tmp_path / "g.npz"
    assert main(["discover", str(tmp_path / "f.npz"), "--to", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    first = told["slices"]["candidates"][0]["name"]
    assert first.endswith("night=1")
    assert read_rows(out).rows.groups.names[0] == f"discovered: {first}"  # memberships win over the array `a`


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["p.csv", "--clusters"], "holds predictions; --clusters, --head and --split are for features"),
        (["p.csv", "--columns", "lihgt"], "did you mean 'light'?"),
        (["p.csv", "--no-slices"], "leaves nothing to look for"),
        (["nowhere.csv"], "There is no file nowhere.csv"),
        (["p.csv", "--level", "0.7"], "level is 0.7"),
        (["p.csv", "--to", "out.npz"], "out.npz ends in .npz; p.csv is written as .csv."),
    ],
)
def test_wrong_use_is_one_sentence(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    predictions(Path("p.csv"), planted=0.5, rows=800)
    assert main(["discover", *arguments]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert not Path("out.npz").exists()


def test_the_card_says_what_its_groups_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["label,p_0,p_1,group:discovered: night,group:old"]
    lines += ["0,.9,.1,yes,yes", "1,.1,.9,yes,no", "0,.9,.1,no,yes", "1,.2,.8,,"] * 10
    (tmp_path / "p.csv").write_text("\n".join(lines) + "\n")
    assert main(["card", str(tmp_path / "p.csv"), "--out", str(tmp_path / "runs"), "--json"]) == 11
    told = json.loads(Path(json.loads(capsys.readouterr().out)["card"]).read_text())["not_shown"]
    assert any(line.startswith("1 group was discovered in a model's errors, not given") for line in told)
    assert "10 of 40 judge rows are in no group (unknown): they count for the mean alone." in told
    assert "10 judge rows are in several groups and count in each of them." in told


def test_predictions_keep_groups_that_overlap(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, out = features(tmp_path / "rows.csv", 400), tmp_path / "p.csv"
    lines = table.read_text().splitlines()
    more = [f"{line},{'yes' if row % 3 else 'no'},{'yes' if row % 2 else 'no'}" for row, line in enumerate(lines[1:])]
    table.write_text("\n".join([f"{lines[0]},group:u,group:v", *more]) + "\n")
    code = main(["repair", str(table), "--out", str(tmp_path / "runs"), "--json"])
    assert code == 11
    run = json.loads(capsys.readouterr().out)["run"]
    assert main(["predict", f"{run}/model", str(table), "--to", str(out), "--quiet"]) == 0
    with out.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert [row["group:u"] == "yes" for row in rows] == [bool(row % 3) for row in range(400)]
    assert [row["group:v"] == "yes" for row in rows] == [bool(row % 2) for row in range(400)]
