"""The study of label noise: its views, rows and beliefs, that it resumes, and that its page says what its data say."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from surefoot.density.dirichlet import NoisyDirichlet
from surefoot.networks.build import build_mlp
from surefoot.rows.rows import make_rows
from surefoot.study.schema import load_study

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "studies"))
    import label_noise

    return label_noise


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "studies"))
    import label_noise_tables

    return label_noise_tables


def test_views_are_the_nine_shifts_of_a_row_equally_often(script: ModuleType) -> None:
    """χ² of nine counts with 8 degrees of freedom is above 42.7 with probability 1e-6; the seed is fixed."""
    count = 9_000
    images = torch.arange(1.0, 1 + count * 64).view(count, 64)  # no two pixels are equal, and none is zero
    views = script.shifted(images, torch.Generator().manual_seed(0)).view(count, 8, 8)
    counts, matched = [], torch.zeros(count, dtype=torch.long)
    for down in (-1, 0, 1):
        for across in (-1, 0, 1):
            moved = torch.zeros(count, 8, 8)
            for row in range(8):
                for column in range(8):
                    if 0 <= row - down < 8 and 0 <= column - across < 8:
                        moved[:, row, column] = images.view(count, 8, 8)[:, row - down, column - across]
            same = (views == moved).flatten(1).all(dim=1)
            counts.append(int(same.sum()))
            matched += same
    assert (matched == 1).all()
    assert sum((each - count / 9) ** 2 / (count / 9) for each in counts) < 42.7


def test_judged_rows_are_the_same_for_every_seed_and_never_learnt_from(script: ModuleType) -> None:
    (learn, judge), (other, again) = script.split_rows(script.Settings(), 0), script.split_rows(script.Settings(), 1)
    assert (len(learn), len(judge)) == (1000, 597)
    assert judge.ids.tolist() == again.ids.tolist()
    assert not (set(learn.ids.tolist()) | set(other.ids.tolist())) & set(judge.ids.tolist())
    assert set(learn.ids.tolist()) != set(other.ids.tolist())


def test_what_is_stated_becomes_the_concentration(script: ModuleType) -> None:
    """α_ε = q/(K(1 − q)): 0.2 of ten classes is 0.025, 0.5 is 0.1; 0.01 by itself stays 0.01."""
    network, found = build_mlp(64, 4, 10, seed=0), dict[tuple[float, str], float]()
    for noise in (0.0, 0.2, 0.5):
        for model in script.models(noise, augmented=False):
            likelihood = script.posterior_of(network, model, script.Settings(), False).likelihood
            if isinstance(likelihood, NoisyDirichlet):
                found[noise, model.name] = likelihood.noise
    assert found[0.0, "noisy Dirichlet, q stated"] == pytest.approx(0.01 / 9.9)
    assert found[0.2, "noisy Dirichlet, q stated"] == pytest.approx(0.025)
    assert found[0.5, "noisy Dirichlet, q stated"] == pytest.approx(0.1)
    assert found[0.2, "noisy Dirichlet, 0.05 stated"] == pytest.approx(0.05 / 9.5)
    assert found[0.2, "noisy Dirichlet, 0.5 stated"] == pytest.approx(0.1)
    assert found[0.5, "noisy Dirichlet, α_ε = 0.01"] == 0.01


def test_a_killed_study_goes_on_to_the_same_numbers(
    script: ModuleType, pages: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = script.Settings(
        rows=60, judged=80, hidden=(6,), views=2, burn_in=12, draws=6, trajectory=0.1, noises=(0.2,)
    )
    names = ("softmax, T = 1", "softmax, T = 0.1", "noisy Dirichlet, q stated", "MAP")
    every = script.models
    monkeypatch.setattr(script, "models", lambda *given: [each for each in every(*given) if each.name in names])
    monkeypatch.setattr(script, "TO_FIT", replace(script.TO_FIT, epochs=20))
    judge = script.split_rows(settings, 0)[1]

    first = script.study(settings, 1, tmp_path / "one", finished=False)
    told = pages.summarise(first, judge, 1)
    assert [(block["noise"], block["augmented"]) for block in told["blocks"]] == [(0.2, False), (0.2, True)]
    assert all(tuple(each["name"] for each in block["models"]) == names for block in told["blocks"])

    (inner,) = (tmp_path / "one").iterdir()
    removed = [cell for cell in first if cell.augmented][:2] + [cell for cell in first if not cell.augmented][:1]
    for cell in removed:
        (inner / f"{cell.name()}.json").unlink()
    assert len(script.study(settings, 1, tmp_path / "one", finished=True)) == len(first) - 3
    monkeypatch.setattr(script, "kept", _counting(script.kept, calls := []))
    again = script.study(settings, 1, tmp_path / "one", finished=False)
    assert sum(answer is None for answer in calls) == 3  # what was there was not computed anew
    assert pages.summarise(again, judge, 1) == told


def test_chains_that_were_sampled_before_the_kill_are_read_and_not_sampled_anew(
    script: ModuleType, tmp_path: Path
) -> None:
    rows = script.split_rows(script.Settings(rows=30), 0)[0]
    network = build_mlp(64, 4, 10, seed=0)
    settings = script.Settings(burn_in=10, draws=4, trajectory=0.1)
    posterior = script.posterior_of(network, script.Model("softmax, T = 1"), settings, False)
    start = dict(network.module.named_parameters())
    starts = [{name: tensor.detach() for name, tensor in start.items()}] * 2
    one = script.sample(posterior, rows, starts, 0, settings, tmp_path / "chains").as_draws().parameters
    two = script.sample(posterior, rows, starts, 0, settings, tmp_path / "chains").as_draws().parameters
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_model_that_refuses_its_start_is_told_as_refused(script: ModuleType, tmp_path: Path) -> None:
    """Six hidden units cannot learn 150 labels by heart, half of them drawn at random: no start for DirClip."""
    settings = script.Settings(rows=150, judged=50, hidden=(6,), noises=(0.5,))
    (model,) = (each for each in script.models(0.5, False) if each.alpha == 0.5)
    cell = script.Cell(0, 0.5, False, model)
    script.run(cell, settings, tmp_path, {})
    record = script.kept(cell, tmp_path)
    assert "below α = 0.8 (here 0.5)" in record["refused"]
    assert max(record["start_fit"]) < 0.95


def test_differences_are_those_of_the_accuracies(pages: ModuleType) -> None:
    """Of four rows T = 0.1 has one right that T = 1 has wrong: 25 points, whatever the interval."""
    judge = make_rows(torch.zeros(4, 1), torch.tensor([0, 1, 0, 1]), classes=["a", "b"])
    right = torch.tensor([[0.9, 0.1], [0.1, 0.9], [0.9, 0.1], [0.1, 0.9]], dtype=torch.float64)
    wrong = right.clone()
    wrong[3] = torch.tensor([0.6, 0.4])
    found: dict[Any, Any] = {
        SimpleNamespaceCell(seed=0, name=name): {
            "refused": None,
            "probabilities": made,
            "accuracies": [share],
            "seconds": 0.0,
        }
        for name, made, share in (("softmax, T = 1", wrong, 0.75), ("softmax, T = 0.1", right, 1.0))
    }
    (difference,) = pages.summarise(found, judge, 1)["differences"]
    assert difference["what"] == "q = 0.2, no views: softmax, T = 0.1 − softmax, T = 1"
    assert difference["accuracy"]["value"] == pytest.approx(0.25)
    assert difference["nll"]["value"] == pytest.approx(float((torch.tensor(0.4) / 0.9).log()) / 4, rel=1e-6)


def test_what_is_not_finished_in_every_seed_is_not_told(pages: ModuleType) -> None:
    judge = make_rows(torch.zeros(2, 1), torch.tensor([0, 1]), classes=["a", "b"])
    record = {"refused": None, "probabilities": torch.eye(2).double(), "accuracies": [1.0], "seconds": 0.0}
    found = {SimpleNamespaceCell(seed=0, name="softmax, T = 1"): record}
    assert [len(block["models"]) for block in pages.summarise(found, judge, 2)["blocks"]] == [0]


@pytest.mark.slow
def test_quick_runs_as_a_command(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["label_noise.py", "--quick", "--folder", str(tmp_path)])
    script.main()
    out, err = capsys.readouterr()
    assert "**q = 0.2, views**" in out
    assert f"[{err.count(chr(10))}/{err.count(chr(10))}]" in err  # every cell was told, the last as the last
    monkeypatch.setattr(sys, "argv", ["label_noise.py", "--quick", "--publish"])
    with pytest.raises(SystemExit):
        script.main()


def test_the_page_and_its_picture_are_those_of_the_data(pages: ModuleType) -> None:
    record = json.loads((ROOT / "docs/data/label-noise.json").read_text(encoding="utf-8"))
    page = (ROOT / "docs/label-noise.md").read_text(encoding="utf-8")
    assert pages.with_tables(page, record) == page
    assert pages.tables(record) in page
    assert (ROOT / "docs/images/label-noise.svg").read_text(encoding="utf-8") == pages.picture(record)


def test_the_pages_calls_are_calls(tmp_path: Path) -> None:
    text = (ROOT / "docs/label-noise.md").read_text(encoding="utf-8")
    (yaml,) = re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)
    begun = "study: noisy\nrows: {coloured_digits: {correlation: 0.95}}\nnetwork: {mlp: {hidden: [16]}}\n"
    (tmp_path / "study.yaml").write_text(f"{begun}base: {{plain: {{epochs: 1}}}}\n{yaml}seeds: [0]\n", encoding="utf-8")
    assert set(load_study(tmp_path / "study.yaml").mitigations) == {"doubting", "cold"}
    (python,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    names: dict[str, Any] = {}
    with torch.random.fork_rng():
        exec(compile(python, "label-noise.md", "exec"), names)
    assert (len(names["views"]), names["posterior"].likelihood.noise) == (300, pytest.approx(0.025))
    assert names["views"].weights.unique().tolist() == pytest.approx([1 / 3])


class SimpleNamespaceCell(SimpleNamespace):
    """A cell of q = 0.2 without views, known by its seed and the name of its model."""

    def __init__(self, seed: int, name: str) -> None:
        super().__init__(seed=seed, noise=0.2, augmented=False, model=SimpleNamespace(name=name))

    def __hash__(self) -> int:  # type: ignore[override]
        return hash((self.seed, self.model.name))


def _counting(function: Any, answers: list[Any]) -> Any:
    def counted(*given: Any) -> Any:
        answers.append(function(*given))
        return answers[-1]

    return counted
