"""Features that no repair can use are told in a sentence."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from surefoot.errors import InputError
from surefoot.study.once.columns import Columns
from surefoot.study.once.predict import predict
from surefoot.study.once.repair import repair_features


def test_rows_of_one_class_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "one.npz", inputs=np.random.default_rng(0).normal(size=(40, 3)), y=np.zeros(40, dtype=int))
    with pytest.raises(InputError, match="of one class"):
        repair_features(tmp_path / "one.npz", out=tmp_path / "runs")


def people(path: Path, count: int, first: str, jobs: tuple[str, ...]) -> Path:
    """Raw columns: an id, words, numbers of which some are missing, a name for each."""
    random = np.random.default_rng(0)
    lines = ["id,income,sex,job,age,name"]
    for row in range(count):
        high = row % 2
        job = jobs[high] if random.random() < 0.5 else jobs[int(random.integers(len(jobs)))]
        age = "" if row % 11 == 0 else f"{random.normal(40 + 8 * high, 8):.4f}"
        lines.append(f"{first}{row},{('low', 'high')[high]},{'FM'[row // 2 % 2]},{job},{age},{first} person {row}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_raw_columns_are_encoded_now_and_when_the_model_reads_another_table(tmp_path: Path) -> None:
    path = people(tmp_path / "raw.csv", 400, "old", ("cook", "judge", "clerk"))
    columns = Columns(target="income", groups=("sex",))
    kept = repair_features(path, columns=columns, out=tmp_path / "runs")
    told = "\n".join(kept.origins)
    assert "Feature job: 3 columns of 0 and 1 (clerk, cook, judge)." in told
    assert "Feature age: a number, standardised; where missing" in told
    assert "Column 'name' left out" in told
    assert "Columns that name groups are no features: sex" in told
    assert set(kept.origins) <= set(kept.card.not_shown)
    model = kept.folder / "model"
    record = json.loads((model / "record.json").read_text())
    assert record["input_shape"] == [5]
    assert [each.get("words") or each.get("number") for each in record["provenance"]["columns"]] == ["job", "age"]
    new = people(tmp_path / "new.csv", 40, "new", ("cook", "pope", "judge"))
    given = list(csv.DictReader(io.StringIO(predict(str(model), new, columns=Columns(target="income")))))
    age, job = ([row[name] for row in csv.DictReader(io.StringIO(new.read_text()))] for name in ("age", "job"))
    (number,) = (each for each in record["provenance"]["columns"] if "number" in each)
    features = torch.tensor(
        [
            [*(float(word == each) for each in ("clerk", "cook", "judge")),
             0.0 if not value else (float(value) - number["centre"]) / number["scale"], float(not value)]
            for word, value in zip(job, age, strict=True)
        ]
    )  # fmt: skip
    expected = kept.head.probabilities(features)[:, 0]
    assert np.allclose([float(row["p_high"]) for row in given], expected.numpy(), atol=1e-5)
    short = tmp_path / "short.csv"
    short.write_text("id,income,job\nu,low,cook\n", encoding="utf-8")
    with pytest.raises(InputError, match="no column 'age'"):
        predict(str(model), short, columns=Columns(target="income"))


def test_other_rows_than_fit_leave_the_encoder_as_it_is(tmp_path: Path) -> None:
    path = people(tmp_path / "raw.csv", 400, "old", ("cook", "judge", "clerk"))
    header, *lines = path.read_text().splitlines()
    lines = [line for line in lines if line.split(",")[4]]  # two people of unknown age may be the same in two parts
    parts = [("fit", "repair", "choose", "judge")[row // 2 % 4] for row in range(len(lines))]
    changed = [
        line if part == "fit" else ",".join([*line.split(",")[:3], "pope", str(90 + row), f"other {row}"])
        for row, (line, part) in enumerate(zip(lines, parts, strict=True))
    ]
    recorded = []
    for name, body in (("a", lines), ("b", changed)):
        written = [f"{header},split", *(f"{line},{part}" for line, part in zip(body, parts, strict=True))]
        (tmp_path / f"{name}.csv").write_text("\n".join(written) + "\n", encoding="utf-8")
        columns = Columns(target="income", features=("sex", "job", "age"))
        kept = repair_features(
            tmp_path / f"{name}.csv", columns=columns, methods=["class_balanced"], out=tmp_path / "runs"
        )
        recorded.append(json.loads((kept.folder / "model" / "record.json").read_text())["provenance"]["columns"])
    assert recorded[0] == recorded[1]
    assert [each.get("words") for each in recorded[0]] == ["sex", "job", None]
