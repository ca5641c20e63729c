"""The study of flexible digits: its models differ as is said, it goes on where it was, and its page says its data."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch

from surefoot.networks.flexible import FlexibleViT, at_patch
from surefoot.networks.network import forward
from surefoot.networks.weights import load_model
from surefoot.study.stored import load_seen

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "docs" / "data" / "flex-digits.json"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "studies"))
    import flex_digits

    return flex_digits


@pytest.mark.parametrize(("setting", "within"), [("large", 1e-3), ("small", 0.02)])
def test_equal_compute_is_that_of_the_fixed_models_together(script: ModuleType, setting: str, within: float) -> None:
    recipe = script.RECIPES[setting]
    costs = script.costs_of(recipe)
    models = {model.name: model for model in script.models_of(recipe, setting)}
    fixed = [models[f"fixed {size}"] for size in recipe.sizes]
    longer = models["flexible, equal compute"]
    shares = script.shares_of(script.schedule_of(recipe, longer.sizes, longer.schedule))
    together = sum(each.epochs * costs[each.patch] for each in fixed)
    assert sum(shares.values()) == pytest.approx(1)
    assert longer.epochs * sum(shares[size] * costs[size] for size in recipe.sizes) == pytest.approx(
        together, rel=within
    )  # fmt: skip
    # Two for each of 12 w² weights of a block and each token, 4 w for each pair of tokens, the patches, and the head.
    for size in recipe.sizes:
        tokens, width = (48 // size) ** 2, recipe.width
        block = 24 * tokens * width**2 + 4 * tokens**2 * width
        assert costs[size] == recipe.depth * block + 2 * tokens * size**2 * width + 2 * width * 10


def test_fixed_and_tuned_models_keep_their_own_kernel_and_flexible_ones_the_recipes(script: ModuleType) -> None:
    recipe = script.RECIPES["large"]
    shapes = {model.name: script.shape_of(recipe, model) for model in script.models_of(recipe, "large")}
    assert (shapes["fixed 12"].buffer, shapes["fixed 12"].grid) == ((12, 12), (4, 4))
    assert shapes["fixed 8 tuned on itself"] == shapes["fixed 8"]
    assert (shapes["flexible, equal steps"].buffer, shapes["flexible, equal steps"].grid) == ((48, 48), (6, 6))
    # A probe differs from the flexible model in what its name says, and in nothing else.
    assert replace(shapes["kernel of 16 × 16"], buffer=(48, 48)) == shapes["flexible, equal steps"]
    assert replace(shapes["positions drawn from N(0, .02²)"], spread=2.0) == shapes["flexible, equal steps"]
    assert shapes["rate up to 3e-3"] == shapes["flexible, equal steps"] == shapes["flexible, equal compute"]


def test_in_small_it_runs_and_goes_on_where_it_was(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipes = {
        name: replace(recipe, fit=40, choose=20, judge=30, batch=8) for name, recipe in script.QUICK.items()
    }  # fmt: skip
    recipe = recipes["large"]
    record, benches = script.study(recipes, range(3), tmp_path)
    blocks = script.blocks_of(record)
    assert "fixed 16 tuned on itself" in blocks["flexify"][0]
    bench = benches["large"]
    models = {model.name: model for model in script.models_of(recipe, "large")}
    points = {name: bench.get(model, 0).point for name, model in models.items() if "compute, " not in name}
    assert len({float(point["kernel"].sum()) for point in points.values()}) == len(points)
    assert points["fixed 16"]["kernel"].shape[2:] == (16, 16)

    # What is kept is the logits of the kept model at each size.
    model = models["flexible, equal steps"]
    network = script.network_of(recipe, model, 0)
    judge = bench.roles["judge"]
    for size in recipe.sizes:
        said = forward(at_patch(network, size), points[model.name], judge.inputs[:])
        assert torch.allclose(said, bench.get(model, 0).logits["judge"][size], atol=1e-5)
    accuracy = record["settings"]["large"]["models"]
    own = next(each for each in accuracy if each["name"] == model.name)["accuracy"]["24"]
    right = [
        (bench.get(model, seed).logits["judge"][24].argmax(1) == judge.targets).double().mean() for seed in range(3)
    ]
    assert own["value"] == pytest.approx(float(sum(right) / 3), abs=1e-6)

    monkeypatch.setattr(script, "train_at_sizes", None)
    monkeypatch.setattr(script, "ascend", None)
    capsys.readouterr()
    again, _ = script.study(recipes, range(3), tmp_path)
    assert again == record
    assert not capsys.readouterr().err


def test_rows_as_a_file_are_read_by_surefoot(script: ModuleType, tmp_path: Path) -> None:
    from surefoot.rows.reading import read_rows

    roles = script.rows_of(replace(script.QUICK["large"], fit=40, choose=10, judge=20))
    script.write_data(tmp_path / "digits.npz", roles)
    table = read_rows(tmp_path / "digits.npz")
    rows = table.rows
    assert len(rows) == 70
    assert torch.equal(rows.targets[:40], roles["fit"].targets)
    assert torch.allclose(rows.inputs[:40].reshape(40, 1, 48, 48).float(), roles["fit"].inputs[:], atol=2e-3)
    assert rows.origins() == frozenset.union(*(each.origins() for each in roles.values()))


def test_the_page_says_what_the_record_says(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    from flex_digits_tables import blocks_of, picture

    record = json.loads(RECORD.read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "flex-digits.md").read_text(encoding="utf-8")
    changed = page
    for name, blocks in blocks_of(record).items():
        changed = script.with_blocks(changed, name, blocks)
    assert changed == page
    assert (ROOT / "docs" / "images" / "flex-digits.svg").read_text(encoding="utf-8") == picture(record)


def test_the_example_model_is_as_good_as_the_page_says(script: ModuleType) -> None:
    """On the judge rows of the study, at the coarsest size, that of the first seed."""
    saved = load_model(ROOT / "studies" / "flex-digits")
    assert isinstance(saved.network.module, FlexibleViT)
    recipe, record = script.RECIPES["large"], json.loads(RECORD.read_text(encoding="utf-8"))
    judge = script.scaled_digits(script.LARGE, sizes={"judge": recipe.judge})["judge"]
    said = script.logits_of(at_patch(saved.network, 24), saved.parameters, judge)
    right = float((said.argmax(1) == judge.targets).double().mean())
    assert right == pytest.approx(record["example"]["24"], abs=5e-4)
    assert not load_seen(ROOT / "studies" / "flex-digits") & judge.origins()
    assert (ROOT / "studies" / "flex-digits" / "model.safetensors").stat().st_size < 2_000_000
    assert "flex_digits" in sys.modules
