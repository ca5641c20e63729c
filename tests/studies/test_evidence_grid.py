"""The grid of criteria: rows stay apart, orders are those of scipy, choices cost what they should, it resumes."""

import json
import math
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from scipy.stats import spearmanr

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian
from surefoot.evidence.laplace.expand import expand
from surefoot.evidence.parts import part_rows
from surefoot.inference.ascend import Ascend, ascend
from surefoot.networks.network import forward, parameters_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "studies"))
    import evidence_grid

    return evidence_grid


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "studies"))
    import evidence_grid_tables

    return evidence_grid_tables


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    return json.loads((ROOT / "docs/data/evidence-grid.json").read_text(encoding="utf-8"))


def made(width: int, precision: float, seed: int, **values: float) -> dict[str, Any]:
    """A record whose criteria all are `width`, unless told otherwise."""
    of = ["evidence", "conditional", "drawn", "drawn_scaled", "bma", "bma_scaled", "map", "map_rest", "unscaled"]
    judged = [
        "accuracy", "likelihood", "bma_likelihood", "scaled_accuracy", "scaled_likelihood",
    ]  # fmt: skip
    return {
        "refused": None, "kind": "MLP", "depth": 1, "width": width, "given": precision, "tuned": False, "seed": seed,
        "offset": 0.0, "effective": 1.0, "scaled_effective": 1.0, "scale": 1.0, "structures": {},
        **dict.fromkeys(of, -float(width)), **{f"judge_{name}": width / 100 for name in judged}, **values,
    }  # fmt: skip


def test_judged_rows_are_the_same_for_every_seed_and_never_learnt_from(script: ModuleType) -> None:
    (learn, judge), (other, again) = script.split_rows(script.Settings(), 0), script.split_rows(script.Settings(), 1)
    assert (len(learn), len(judge)) == (500, 1000)
    assert judge.ids.tolist() == again.ids.tolist()
    assert not (set(learn.ids.tolist()) | set(other.ids.tolist())) & set(judge.ids.tolist())
    assert set(learn.ids.tolist()) != set(other.ids.tolist())


def test_every_candidate_is_a_cell_once(script: ModuleType) -> None:
    every = list(script.cells(script.Settings(), 2))
    assert len(every) == len({cell.name() for cell in every}) == 2 * (3 * 4 + 2 * 3) * (5 + 1)


def test_a_convolutional_network_climbs_to_a_mode_by_lbfgs(script: ModuleType) -> None:
    """At λ = 100 the log posterior is nearly quadratic, and its mode is reached to the last digits of float32."""
    settings = script.QUICK
    rows, _ = script.split_rows(settings, 0)
    network = script.Cell(0, "CNN", 1, 4, 100.0).network(settings)
    posterior = Posterior(network, categorical, Gaussian(100.0))
    climb = Ascend(epochs=10, optimiser="lbfgs", rate=1.0, schedule="constant")
    mode = ascend(posterior, rows, parameters_of(network), 0, climb).point()
    start = expand(posterior, rows, parameters_of(network), structure="diag")
    assert expand(posterior, rows, mode, structure="diag").offset < 1e-3 < 0.5 < start.offset


def test_a_cell_is_told_per_row_and_by_the_known_rows_alone(script: ModuleType) -> None:
    """What held-out rows say comes of a network that has not seen them: it is made again here."""
    settings = script.QUICK
    cell = script.Cell(0, "MLP", 1, 4, 1.0)
    record = script.run(cell, settings)
    rows, _ = script.split_rows(settings, 0)
    known, later = part_rows(rows, 0.8, 0)
    network = cell.network(settings)
    posterior = Posterior(network, categorical, Gaussian(1.0))
    climb = Ascend(epochs=settings.rounds, optimiser="lbfgs", rate=1.0, schedule="constant")
    first = Ascend(epochs=settings.epochs, batch=100, rate=1e-2)
    point = ascend(posterior, known, parameters_of(network), 0, first).point()
    for _ in range(2):  # to the first mode, and once more where the criteria begin
        point = ascend(posterior, known, point, 0, climb).point()
    with torch.no_grad():
        logs = forward(network, point, later.inputs[:]).double().log_softmax(dim=1)
    assert record["map"] == pytest.approx(float(logs.gather(1, later.targets[:, None]).mean()), rel=1e-4)
    for name in ("drawn", "drawn_scaled", "bma", "bma_scaled", "unscaled", "evidence"):  # of classes: logs of shares
        assert -math.inf < record[name] < 0
    kron = record["structures"]["kron"]
    assert kron["evidence"] == pytest.approx(record["evidence"], rel=1e-9)


def test_orders_and_choices(pages: ModuleType) -> None:
    """Width 30 is the best network; the evidence prefers width 10, and λ = 1 is right."""
    cells = [
        made(
            width,
            precision,
            seed,
            evidence=-float(width),
            map=float(width) + precision,
            bma=-precision,
            conditional=1.0 if width == 10 else -1.0,
            judge_accuracy=(width + precision) / 100,
        )
        for seed in (0, 1)
        for precision in (0.1, 1.0)
        for width in (10, 20, 30)
    ]
    told = pages.summarise(cells, (0.1, 1.0))
    found = {
        (each["group"], each["level"], each["criterion"], each["target"]): each["finding"]
        for each in told["correlations"]
    }
    assert found["both", "1", "evidence", "judge_accuracy"]["value"] == pytest.approx(-1)
    assert found["MLP", "all", "map", "judge_accuracy"]["value"] == pytest.approx(1)
    assert found["CNN", "all", "map", "judge_accuracy"] is None
    picks = {each["criterion"]: each for each in told["picks"] if not each["tuned"]}
    assert picks["map"]["picks"] == [["MLP", 1, 30, "1"]] * 2
    assert picks["map"]["accuracies"] == [0.31, 0.31]
    assert picks["evidence"]["picks"][0][2] == 10
    assert told["chosen_from"][0]["best"] == [0.31, 0.31]
    # bma takes the wrong precision, and loses 0.9 points by it; the evidence is the same at both and orders none.
    assert told["within"]["bma"]["judge_accuracy"]["lost"] == pytest.approx(0.009)
    assert told["within"]["bma"]["judge_accuracy"]["below_zero"] == 3
    assert told["within"]["map"]["judge_accuracy"]["lost"] == pytest.approx(0)
    assert told["within"]["map"]["judge_accuracy"]["mean"] == pytest.approx(1)
    assert told["within"]["evidence"] == {}
    assert told["draws"]["MLP"]["impossible"] == 4


def test_a_candidate_that_is_missing_for_a_seed_is_left_out(pages: ModuleType) -> None:
    cells = [made(width, 1.0, seed) for seed in (0, 1) for width in (1, 2, 3)]
    cells[-1]["refused"] = "no"
    assert [key[2] for key in pages.by_candidate(cells)] == [1, 2]


def test_it_resumes_and_a_quick_run_is_not_published(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(script, "QUICK", replace(script.QUICK, mlp=((1,), (4,)), hidden=4, epochs=3, rounds=1))
    monkeypatch.setattr(sys, "argv", ["evidence_grid.py", "--quick", "--folder", str(tmp_path)])
    script.main()
    first, err = capsys.readouterr()
    assert "[6/6]" in err
    assert first.count("| --- ") >= 6
    monkeypatch.setattr(script, "run", lambda *_: pytest.fail("computed again"))
    script.main()
    assert capsys.readouterr().out == first
    monkeypatch.setattr(sys, "argv", ["evidence_grid.py", "--quick", "--publish"])
    with pytest.raises(SystemExit):
        script.main()


def test_the_page_and_its_picture_are_those_of_the_data(pages: ModuleType, published: dict[str, Any]) -> None:
    page = (ROOT / "docs/evidence-grid.md").read_text(encoding="utf-8")
    assert pages.with_tables(page, published) == page
    assert pages.picture(published) == (ROOT / "docs/images/evidence-grid.svg").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="fewer places"):
        pages.with_tables("<!-- numbers --><!-- /numbers -->", published)


def test_the_published_correlations_are_scipys(pages: ModuleType, published: dict[str, Any]) -> None:
    seeds = range(published["seeds"])
    for group, kinds in (("MLP", ("MLP",)), ("both", ("MLP", "CNN"))):
        for criterion in ("evidence", "map"):
            own = []
            for seed in seeds:
                mine = [
                    each
                    for each in published["cells"]
                    if each["kind"] in kinds and each["seed"] == seed and not each["tuned"]
                ]
                assert all(each["refused"] is None for each in mine)
                own.append(
                    spearmanr([each[criterion] for each in mine], [each["judge_accuracy"] for each in mine]).statistic
                )
            (told,) = [
                each["finding"]
                for each in published["correlations"]
                if (each["group"], each["level"], each["criterion"], each["target"])
                == (group, "all", criterion, "judge_accuracy")
            ]
            assert told["value"] == pytest.approx(math.fsum(own) / len(own), abs=1e-12)


def test_the_published_differences_are_those_of_the_correlations(published: dict[str, Any]) -> None:
    """Their value; and pairing counts: two criteria that are nearly one have far shorter intervals than two that were
    independent would have, and none has a much longer one."""
    of = {
        (each["group"], each["criterion"], each["target"]): each["finding"]
        for each in published["correlations"]
        if each["level"] == "all"
    }
    shorter: dict[tuple[str, str], list[float]] = {}
    for each in published["differences"]:
        one, other = (of[each["group"], each[side], each["target"]] for side in ("first", "second"))
        assert each["finding"]["value"] == pytest.approx(one["value"] - other["value"], abs=1e-12)
        low, high = (each["finding"]["interval"][end] for end in ("low", "high"))
        assert low < each["finding"]["value"] < high
        apart = math.hypot(*(side["interval"]["high"] - side["interval"]["low"] for side in (one, other)))
        shorter.setdefault((each["first"], each["second"]), []).append((high - low) / apart)
    assert sum(map(len, shorter.values())) == 54
    assert max(shorter["drawn_scaled", "bma_scaled"]) < 0.5
    assert max(map(max, shorter.values())) < 1.5


def leaves(record: Any) -> Iterator[Any]:
    """Names and values of a record, in its order."""
    if isinstance(record, dict):
        for name, value in record.items():
            yield name
            yield from leaves(value)
    elif isinstance(record, list):
        yield len(record)
        for value in record:
            yield from leaves(value)
    else:
        yield record


def test_the_page_is_told_again_from_its_cells(
    script: ModuleType, published: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is trained, and nothing changes."""
    for name in ("docs/data", "docs/images"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "docs/data/evidence-grid.json").write_text(json.dumps(published), encoding="utf-8")
    page = (ROOT / "docs/evidence-grid.md").read_text(encoding="utf-8")
    (tmp_path / "docs/evidence-grid.md").write_text(page.replace("0.40 [", "9.99 ["), encoding="utf-8")
    monkeypatch.setattr(script, "ROOT", tmp_path)
    monkeypatch.setattr(script, "DATA", tmp_path / "docs/data/evidence-grid.json")
    monkeypatch.setattr(script, "run", lambda *_: pytest.fail("trained"))
    monkeypatch.setattr(sys, "argv", ["evidence_grid.py", "--told"])
    script.main()
    told = (tmp_path / "docs/evidence-grid.md").read_text(encoding="utf-8").split("## Honest reading")[0]
    assert told == page.split("## Honest reading")[0]
    again = json.loads((tmp_path / "docs/data/evidence-grid.json").read_text(encoding="utf-8"))
    assert set(again) == set(published)
    for ours, theirs in zip(leaves(again), leaves(published), strict=True):  # of floats the last bits are a machine's
        assert ours == (pytest.approx(theirs, rel=1e-9) if isinstance(theirs, float) else theirs)


def test_the_reading_has_no_interval_that_is_in_no_table() -> None:
    told, reading = (ROOT / "docs/evidence-grid.md").read_text(encoding="utf-8").split("## Honest reading")
    intervals = re.findall(r"−?[\d.]+ \[−?[\d.]+, −?[\d.]+\]", " ".join(reading.split()))
    assert len(intervals) > 15
    assert [each for each in intervals if f"| {each} |" not in told] == []


def test_the_pages_call_is_a_call() -> None:
    text = (ROOT / "docs/evidence-grid.md").read_text(encoding="utf-8")
    (python,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    names: dict[str, Any] = {}
    with torch.random.fork_rng():
        exec(compile(python, "evidence-grid.md", "exec"), names)
    assert names["correlation"].name == "spearman_correlation"
