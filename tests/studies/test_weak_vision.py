"""The vision setting keeps its rows apart, freezes bodies, runs in small, goes on where it was, and is published."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch

from surefoot.networks.network import forward
from surefoot.rows.digits import load_digits
from surefoot.rows.rows import Rows, concatenate
from surefoot.supervise.labels import WeakLabels, weak_labels
from surefoot.supervise.losses import CrossEntropy
from surefoot.supervise.soft_probe import fit_soft_probe

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "studies"))
    import weak_vision

    return weak_vision


def truth(rows: Rows) -> WeakLabels:
    return weak_labels(rows, torch.nn.functional.one_hot(rows.targets, 10).float(), seen=frozenset(), by="truth")


def test_rows_are_apart_and_digits_are_moved_whole(script: ModuleType) -> None:
    unlabelled, labelled, judge = parts = script.moved_digits(script.Settings())
    assert [len(each) for each in parts] == [1500, 2000, 1500]
    assert not unlabelled.origins() & labelled.origins()
    assert not (unlabelled.origins() | labelled.origins()) & judge.origins()
    originals = load_digits().images[[int(name[-4:]) for name in judge.ids.tolist()]].float() / 255
    moved = judge.inputs[:][:, 0]
    inner = (originals[:, :4].amax((1, 2)) + originals[:, -4:].amax((1, 2)) == 0) & (
        originals[:, :, :4].amax((1, 2)) + originals[:, :, -4:].amax((1, 2)) == 0
    )
    assert int(inner.sum()) > 300
    for image, original in zip(moved[inner][:50], originals[inner][:50], strict=True):
        assert any(
            torch.equal(image, original.roll((down, along), (0, 1))) for down in range(-4, 5) for along in range(-4, 5)
        )
    assert not torch.equal(moved, originals)


def test_sizes_grow_and_count_every_number(script: ModuleType) -> None:
    sizes = [script.size_of(width) for width in script.Settings().widths]
    assert [each.numbers for each in sizes] == sorted({each.numbers for each in sizes})
    # 10 w to the first convolution, then 3×3×w×2w + 2w, 3×3×2w×2w + 2w, and 8w × 10 + 10 to the head.
    assert sizes[0].numbers == 20 + (72 + 4) + (144 + 4) + 170


def test_a_taught_head_is_near_the_best_head_of_the_frozen_features(script: ModuleType, tmp_path: Path) -> None:
    """Long enough, its cross-entropy on its own rows comes near the smallest there is, found by another road."""
    settings = replace(script.QUICK, widths=(4, 5), labelled=1500, judged=100, epochs=60, batch=500, rate=0.05)
    unlabelled, labelled, judge = script.moved_digits(settings)
    setting = script.Digits(settings, unlabelled, concatenate(labelled, judge), tmp_path)
    labels = truth(labelled)
    loss = script.recipes(settings)["cross-entropy, untrained body"]
    said = setting(0, labels, loss, 0, labelled, judge).labelled.double()
    own = float(-(labels.rows.targets * said.log()).sum(dim=1).mean())
    features = setting.features_of(4, 0, False)[: len(labelled)]
    assert float(features.std(dim=0).max()) > 0
    best = fit_soft_probe(features, labels.rows.targets).loss
    assert best - 1e-6 <= own < best + 0.05
    assert not list(tmp_path.iterdir())  # a body that is not trained is not kept


def test_a_body_knows_which_way_digits_are_turned_and_is_kept(script: ModuleType, tmp_path: Path) -> None:
    settings = replace(script.QUICK, widths=(6, 7), unlabelled=300, turning=10)
    unlabelled, labelled, judge = script.moved_digits(settings)
    setting = script.Digits(settings, unlabelled, concatenate(labelled, judge), tmp_path)
    body = setting.body(6, 0)
    assert [each.name for each in tmp_path.iterdir()] == ["body of cnn6, seed 0.safetensors"]
    network = script.build(6, 4, 0)
    with torch.no_grad():
        right = [
            float((forward(network, body, judge.inputs[:].rot90(way, (2, 3))).argmax(dim=1) == way).float().mean())
            for way in range(4)
        ]
    assert sum(right) / 4 > 0.35  # by chance .25, with a standard error of .013
    script.write_tensors(tmp_path / "body of cnn6, seed 0.safetensors", {name: body[name] + 1 for name in body})
    kept = setting.body(6, 0)
    assert all(torch.equal(kept[name], body[name] + 1) for name in body)  # what lies there is taken
    script.write_tensors(tmp_path / "body of cnn6, seed 0.safetensors", body)
    trained, fresh = (setting.features_of(6, 0, pretrained) for pretrained in (True, False))
    assert not torch.allclose(trained, fresh)
    assert torch.equal(setting.features_of(6, 0, True), trained)


def test_supervisors_and_ceilings_are_taught_as_the_baseline_is(script: ModuleType, tmp_path: Path) -> None:
    settings = replace(script.QUICK, widths=(1, 2), labelled=60, judged=40, unlabelled=20, turning=1)
    unlabelled, labelled, judge = script.moved_digits(settings)
    setting = script.Digits(settings, unlabelled, concatenate(labelled, judge), tmp_path)
    every = script.recipes(settings)
    plain = setting(1, truth(labelled), CrossEntropy(), 0, labelled, judge).judge
    said = {name: setting(1, truth(labelled), recipe, 0, labelled, judge).judge for name, recipe in every.items()}
    assert torch.equal(said.pop(script.BASELINE), plain)
    assert len(said) == 6
    assert len({each.numpy().tobytes() for each in said.values()}) == 6  # every recipe is one of its own
    assert not any(torch.equal(each, plain) for each in said.values())


def test_it_goes_on_where_it_was_and_a_quick_run_is_not_published(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = replace(script.QUICK, judged=60, unlabelled=20, labelled=80, widths=(1, 2), turning=1, epochs=2)
    monkeypatch.setattr(script, "QUICK", small)
    monkeypatch.setattr(sys, "argv", ["weak_vision.py", "--quick", "--folder", str(tmp_path)])
    script.main()
    first, err = capsys.readouterr()
    assert "[50/50] teaching" in err  # two seeds of 2 supervisors, 2 ceilings and 3 pairs by 7 recipes
    assert first.count(" → ") == 3 * 7
    monkeypatch.setattr(script.Digits, "__call__", lambda *_: pytest.fail("taught again"))
    script.main()
    assert capsys.readouterr().out == first
    monkeypatch.setattr(sys, "argv", ["weak_vision.py", "--quick", "--publish"])
    with pytest.raises(SystemExit):
        script.main()


def test_the_picture_is_that_of_the_record_and_settings_are_those_of_the_study(script: ModuleType) -> None:
    record = json.loads((ROOT / "docs/data/weak-vision.json").read_text(encoding="utf-8"))
    drawn = (ROOT / "docs/images/weak-vision.svg").read_text(encoding="utf-8")
    assert script.picture(record, script.TITLE, "confidence .75") == drawn
    assert record["settings"] == json.loads(json.dumps(script.asdict(script.Settings())))
    assert {each["loss"] for each in record["pairs"]} == set(script.recipes(script.Settings()))
    assert [(each["name"], each["numbers"]) for each in record["sizes"]] == [
        tuple(script.size_of(width)) for width in script.Settings().widths
    ]
