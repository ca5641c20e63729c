"""The salience study: its students are what it says, what must be 0 and 1 is, it runs in small and is published."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression, LogisticRegression

from surefoot.rows.rows import make_rows
from surefoot.rows.salience import known_accuracies, known_recovery, salience_world
from surefoot.supervise.losses import CrossEntropy

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "studies"))
    import weak_salience

    return weak_salience


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    return json.loads((ROOT / "docs/data/weak-salience.json").read_text(encoding="utf-8"))


def test_least_squares_is_sklearns(script: ModuleType) -> None:
    generator = torch.Generator().manual_seed(0)
    inputs, signs = torch.randn(80, 3, generator=generator) + 1, torch.rand(80, generator=generator)
    labels = torch.stack([signs, 1 - signs], dim=1)
    rows = make_rows(inputs, (signs < 0.5).long())
    said = script.by_squares(rows, labels, rows, 0)
    line = LinearRegression().fit(inputs.double().numpy(), 2.0 * (signs < 0.5).double().numpy() - 1)
    scores = torch.from_numpy(line.predict(inputs.double().numpy()))
    assert torch.allclose((said[:, 1] / said[:, 0]).log().double(), 2 * scores, atol=1e-4)


@pytest.mark.parametrize(("salience", "mistakes"), [(0.0, "proxy"), (0.5, "proxy"), (4.0, "proxy"), (1.0, "random")])
def test_least_squares_recovers_what_is_known(script: ModuleType, salience: float, mistakes: str) -> None:
    """With 20,000 rows to learn from, its accuracy is the known one but for the judged rows (deviation .003)."""
    settings = replace(script.Settings(), rows=20_000, judged=20_000)
    world = script.world_of(settings, salience, mistakes)
    parts, labels = salience_world(world, {"fit": settings.rows, "judge": settings.judged}, 3)
    said = script.by_squares(parts["fit"], labels["fit"], parts["judge"], 0)
    accuracy = float((said.argmax(dim=1) == parts["judge"].targets).double().mean())
    assert abs(accuracy - known_accuracies(world)[1]) < 0.014


def test_the_taught_head_is_the_logistic_regression_of_the_soft_labels(script: ModuleType) -> None:
    settings = script.Settings()
    world = script.world_of(settings, 0.75, "proxy")
    parts, labels = salience_world(world, {"fit": settings.rows, "judge": 1000}, 0)
    said = script.by_loss(CrossEntropy(), settings)(parts["fit"], labels["fit"], parts["judge"], 0)
    rows = parts["fit"].inputs.numpy()
    twice = LogisticRegression(C=np.inf).fit(
        np.concatenate([rows, rows]),
        np.repeat([0, 1], len(rows)),
        sample_weight=np.concatenate([labels["fit"][:, 0].numpy(), labels["fit"][:, 1].numpy()]),
    )
    best = twice.predict_proba(parts["judge"].inputs.numpy())
    assert np.abs(said.double().numpy() - best).max() < 0.03


def test_a_quick_run_prints_its_tables_and_is_not_published(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["weak_salience.py", "--quick", "--seeds", "1"])
    script.main()
    printed, err = capsys.readouterr()
    assert "[4/4] b = 2, random" in err
    record = script.study(script.QUICK, 1)
    assert printed.strip() == "\n\n".join(script.tables(record))
    assert printed.count("\n| proxy |") == printed.count("\n| random |") == 4
    assert [each["known"]["recovered"] for each in record["worlds"]] == pytest.approx([1, 0.0031, 1, 1], abs=1e-3)
    monkeypatch.setattr(sys, "argv", ["weak_salience.py", "--quick", "--publish"])
    with pytest.raises(SystemExit):
        script.main()


def test_shares_are_of_the_students_own_ceiling_and_seeds_learn_from_other_rows(script: ModuleType) -> None:
    settings = replace(script.QUICK, rows=2000, judged=2000, batch=200)
    found = script.measure(settings, 0.5, "proxy", 2)["students"]
    for each in found.values():
        share = (each["accuracy"] - each["supervisor"]) / (each["ceiling"] - each["supervisor"])
        assert each["recovered"]["value"] == pytest.approx(share)
        assert len(set(each["recovered"]["per_seed"])) == 2
    entropy = found["cross-entropy"]["ceiling"]
    assert found["confidence .5"]["ceiling"] == found["confidence .75"]["ceiling"] == entropy
    assert found["least squares"]["ceiling"] != entropy


def test_the_page_and_its_picture_are_those_of_the_record(script: ModuleType, published: dict[str, Any]) -> None:
    import weak_tables

    page = (ROOT / "docs/weak-to-strong.md").read_text(encoding="utf-8")
    assert weak_tables.with_blocks(page, "salience", script.tables(published)) == page
    assert script.picture(published) == (ROOT / "docs/images/weak-salience.svg").read_text(encoding="utf-8")
    assert published["settings"] == json.loads(json.dumps(script.asdict(script.Settings())))
    assert published["seeds"] >= 3


def test_where_it_must_be_nothing_or_all_the_published_line_is(script: ModuleType, published: dict[str, Any]) -> None:
    for world in published["worlds"]:
        known = known_recovery(script.world_of(script.Settings(), world["salience"], world["mistakes"]))
        assert world["known"]["recovered"] == pytest.approx(known, abs=1e-5)
        squares = world["students"]["least squares"]["recovered"]
        assert abs(squares["value"] - known) < 0.05
        if world["mistakes"] == "random" or world["salience"] == 0:
            assert known == pytest.approx(1)
        if world["mistakes"] == "proxy" and world["salience"] >= 2:
            assert abs(known) < 0.01
