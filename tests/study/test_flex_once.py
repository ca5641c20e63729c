"""`fit_budget`: what is trained and kept, which size a budget buys, what claims within one mean, what is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import surefoot.study.once.flex as road
from surefoot.errors import InputError
from surefoot.flex.cost import Cost
from surefoot.flex.distil import Lesson, Teacher
from surefoot.flex.schedule import uniform
from surefoot.inference.settings import Ascend
from surefoot.networks.weights import open_model
from surefoot.rows.reading import read_rows
from surefoot.study.once.flex import KeptFlexible, fit_budget
from surefoot.study.once.flex_train import Regimen, Tutor, at_size, patches_of, train_flexible
from surefoot.study.once.flex_words import Plan
from surefoot.study.once.measure import look
from surefoot.study.once.predict import probabilities_of
from surefoot.study.seen import seen_of_model

ROWS, SIDE = 160, 12
SETTINGS = Ascend(epochs=6, batch=16, rate=3e-3)
PLAN = Plan((3, 4, 6), lambda sizes: Regimen(uniform(sizes), SETTINGS), (16, 1, 2), rounds=7)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Noise that is brighter on the left or on the right; pixels from 0 to 255."""
    random = np.random.default_rng(0)
    sides = np.arange(ROWS) % 2
    pixels = random.uniform(0, 120, size=(ROWS, 1, SIDE, SIDE))
    pixels[sides == 0, :, :, : SIDE // 2] += 100
    pixels[sides == 1, :, :, SIDE // 2 :] += 100
    path = tmp_path / "sides.npz"
    np.savez(path, x=pixels.astype(np.float32), y=np.array(["left", "right"])[sides])
    return path


@pytest.fixture
def slower(monkeypatch: pytest.MonkeyPatch) -> None:
    """Finer patches take longer, by a made-up clock: 4 ms for 6 × 6, 9 ms for 4 × 4, 16 ms for 3 × 3."""

    def costs(_network: Any, _parameters: Any, sizes: Any, images: Any, **_told: Any) -> tuple[Cost, ...]:
        return tuple(Cost(len(images), ((SIDE / p) ** 2 / 1000,) * 7, 1e6, 2**20) for p, _ in sizes)

    monkeypatch.setattr(road, "measure_costs", costs)


def fitted(data: Path, plan: Plan = PLAN, **told: Any) -> KeptFlexible:
    return fit_budget(data, plan, out=data.parent / "runs", **told)


@pytest.mark.usefixtures("slower")
def test_the_best_size_within_the_budget_is_chosen_on_choose_rows(data: Path) -> None:
    kept = fitted(data, budget=0.010)
    scores = {each.name: each.score for each in kept.candidates}
    assert list(scores) == ["patch-3", "patch-4", "patch-6"]
    allowed = ("patch-4", "patch-6")
    best = max(allowed, key=lambda name: (scores[name], name == "patch-6"))
    assert kept.chosen.name == kept.card.chosen == best
    assert kept.card.finding("accuracy").value > 0.8
    judged = kept.card.finding("milliseconds", of="patch-3")
    assert (judged.value, judged.unit, judged.direction) == (pytest.approx(16.0), "ms", "lower")


@pytest.mark.usefixtures("slower")
def test_a_claim_within_a_budget_is_of_the_model_that_the_budget_buys(data: Path) -> None:
    claims = [
        "accuracy within 5ms >= 0.5",
        "accuracy at 5 ms >= 0.5",
        "accuracy within 1ms >= 0.5",
        "milliseconds <= 9.5",
    ]
    kept = fitted(data, budget=0.010, claims=claims)
    first, again, none, time = kept.card.claims
    assert first.finding is not None
    assert first.finding.subject == "patch-6"
    assert "within 5 ms" in first.sentence
    assert again.claim == first.claim
    assert none.status == "undecided"
    assert "within 1 ms here; the nearest is patch 6 × 6 with 4 ms" in none.sentence
    assert time.status == "passed"
    assert kept.card.verdict == "undecided"


@pytest.mark.usefixtures("slower")
def test_the_only_budget_that_is_claimed_is_chosen_for(data: Path) -> None:
    kept = fitted(data, claims=["accuracy within 5ms >= 0.5"])
    assert kept.chosen.name == "patch-6"
    assert kept.card.verdict == kept.card.claims[0].status == "passed"
    two = fitted(data, claims=["accuracy within 5ms >= 0.5", "accuracy within 50ms >= 0.5"])
    assert two.card.verdict == "passed"


def test_a_teacher_reads_pixels_as_they_are(data: Path, tmp_path: Path) -> None:
    """With pixels of 0 to 255 a student of a good teacher is as good as with pixels of 0 to 1."""
    regimen = replace(PLAN.regimen(((6, 6),)), settings=replace(SETTINGS, epochs=20))  # type: ignore[misc]
    scores = []
    for name, scale in (("bright", 1.0), ("small", 1 / 255)):
        with np.load(data) as opened:
            np.savez(tmp_path / f"{name}.npz", x=opened["x"] * scale, y=opened["y"])
        plan = replace(PLAN, patches=(6,), regimen=lambda _: regimen)
        first = fit_budget(tmp_path / f"{name}.npz", plan, out=tmp_path / name)
        opened_model = open_model(str(first.model))
        teacher = Teacher(opened_model.network, opened_model.parameters, classes=("left", "right"))
        tutor = Tutor(teacher, "it", None, None, Lesson())
        taught = replace(plan, regimen=lambda _, tutor=tutor: replace(regimen, tutor=tutor))
        scores.append(fit_budget(tmp_path / f"{name}.npz", taught, out=tmp_path / f"{name} taught").chosen.score)
    assert scores[0] == pytest.approx(scores[1], abs=0.05)
    assert min(scores) > 0.85


@pytest.mark.usefixtures("slower")
def test_a_budget_that_no_size_meets_names_the_nearest_and_keeps_the_training(data: Path) -> None:
    with pytest.raises(InputError, match=r"within 2 ms here; the nearest is patch 6 × 6 with 4 ms and .*% right"):
        fitted(data, budget=0.002)
    runs = data.parent / "runs"
    assert [each.name for each in runs.iterdir()] == ["flex"]
    assert fitted(data, budget=0.010).reused


def test_the_model_that_is_left_is_the_chosen_size(data: Path) -> None:
    kept = fitted(data)
    opened = open_model(str(kept.model))
    rows = read_rows(data).rows
    assert opened.record is not None
    assert opened.record.spec["vit"]["patch"] == [int(kept.chosen.name[-1])] * 2
    assert opened.record.provenance["patches"] == [[3, 3], [4, 4], [6, 6]]
    said = probabilities_of(opened, rows)
    seen = seen_of_model(str(kept.model))
    assert seen is not None
    judge = torch.from_numpy(~seen.rows(rows))
    assert int(judge.sum()) == 32
    right = (said.argmax(dim=1) == rows.targets)[judge].double().mean()
    assert float(right) == pytest.approx(kept.card.finding("accuracy").value)
    other = probabilities_of(at_size(opened, (6, 6)), rows)
    right = (other.argmax(dim=1) == rows.targets)[judge].double().mean()
    assert float(right) == pytest.approx(kept.card.finding("accuracy", of="patch-6").value)
    assert {role.role: role.rows for role in kept.card.roles} == {"fit": 64, "repair": 32, "choose": 32, "judge": 32}
    with pytest.raises(InputError, match="seen"):
        look(str(kept.model), data, out=data.parent / "runs")


def test_a_finished_model_is_measured_as_it_is_and_its_sizes_are_known(data: Path) -> None:
    first = fitted(data)
    again = fit_budget(
        data,
        Plan(rounds=6),
        model=open_model(str(first.model)),
        called="model",
        seen=None,
        out=data.parent / "runs",
    )
    assert [each.name for each in again.candidates] == ["patch-3", "patch-4", "patch-6"]
    assert [each.score for each in again.candidates] == [each.score for each in first.candidates]
    assert not any("never trained" in line for line in again.card.not_shown)
    tuned = fit_budget(
        data,
        replace(PLAN, patches=(4,)),
        model=open_model(str(first.model)),
        called="model",
        seen=seen_of_model(str(first.model)),
        out=data.parent / "tuned",
    )
    later = fit_budget(
        data, Plan((4, 6), rounds=6), model=open_model(str(tuned.model)), called="model", out=data.parent / "runs"
    )
    assert any("was trained at patch 6 × 6 earlier" in line for line in later.card.not_shown)
    assert not any("never trained" in line for line in later.card.not_shown)
    strange = fit_budget(
        data, Plan((2, 6), rounds=6), model=open_model(str(first.model)), called="model", out=data.parent / "runs"
    )
    assert any("never trained at patch 2 × 2:" in line for line in strange.card.not_shown)


def test_a_model_may_not_be_judged_on_what_it_has_seen(data: Path) -> None:
    first = fitted(data)
    with pytest.raises(InputError, match="seen"):
        fit_budget(
            data,
            Plan(rounds=6),
            model=open_model(str(first.model)),
            called="it",
            seen=seen_of_model(str(first.model)),
            seed=1,
            out=data.parent / "runs",
        )


def test_a_killed_training_ends_as_one_that_was_not(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import surefoot.study.once.flex_train as training

    whole = fitted(data)

    class Stopped(Exception):
        pass

    def stopping(stage: str, done: int, total: int) -> None:
        if stage == "training" and done == 3:
            raise Stopped

    monkeypatch.setattr(training, "SAVE_SECONDS", 0.0)
    with pytest.raises(Stopped):
        fit_budget(data, PLAN, out=tmp_path / "other", progress=stopping)
    (folder,) = (tmp_path / "other" / "flex").iterdir()
    assert [each.name for each in folder.iterdir()] == ["checkpoint.safetensors"]
    told: list[int] = []
    rest = fit_budget(
        data,
        PLAN,
        out=tmp_path / "other",
        progress=lambda stage, done, _: told.append(done) if stage == "training" else None,
    )
    assert told == [4, 5, 6]
    one, other = (open_model(str(each.model)).parameters for each in (whole, rest))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_the_scale_of_pixels_does_not_matter(data: Path, tmp_path: Path) -> None:
    """Images times 1/64 are trained alike and predicted alike, from the pixels as they are."""
    kept = fitted(data)
    with np.load(data) as opened:
        np.savez(tmp_path / "small.npz", x=opened["x"] / 64, y=opened["y"])
    small = fit_budget(tmp_path / "small.npz", PLAN, out=tmp_path / "small")
    assert [each.score for each in kept.candidates] == [each.score for each in small.candidates]


def test_usual_sizes_are_those_of_two_to_eight_tokens_a_side() -> None:
    assert patches_of((48, 48), ()) == ((24, 24), (16, 16), (12, 12), (8, 8), (6, 6))
    assert patches_of((48, 48), (), [(8, 8)]) == ((8, 8),)
    assert patches_of((48, 48), (16,), [(8, 8)]) == ((16, 16),)
    with pytest.raises(InputError, match="name one twice"):
        patches_of((48, 48), (8, 8))
    with pytest.raises(InputError, match="7 × 7 pixels does not divide"):
        patches_of((48, 48), (7,))
    with pytest.raises(InputError, match="96 × 96"):
        patches_of((48, 48), (96,))
    with pytest.raises(InputError, match="No square patch cuts images of 47"):
        patches_of((47, 47), ())


def test_what_cannot_be_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither a model nor a training"):
        fit_budget(data, Plan(), out=tmp_path / "runs")
    with pytest.raises(InputError, match="at_once is 0"):
        Plan(at_once=0)
    with pytest.raises(InputError, match="1000 images a pass were asked for and 32 are there"):
        fitted(data, replace(PLAN, at_once=1000))
    np.savez(tmp_path / "flat.npz", x=np.zeros((20, 5), np.float32), y=np.arange(20) % 2)
    with pytest.raises(InputError, match="a patch size is of images"):
        fit_budget(tmp_path / "flat.npz", PLAN, out=tmp_path / "runs")
    first = fitted(data)
    np.savez(tmp_path / "wide.npz", x=np.zeros((20, 1, 24, 24), np.float32), y=np.array(["left", "right"] * 10))
    with pytest.raises(InputError, match="is for images of 1×12×12, and these are 1×24×24"):
        fit_budget(tmp_path / "wide.npz", Plan(rounds=6), model=open_model(str(first.model)), called="it", out=tmp_path)


def test_a_training_that_another_seed_would_make_is_another(data: Path, tmp_path: Path) -> None:
    rows = read_rows(data).rows
    regimen = Regimen(uniform([(4, 4)]), replace(SETTINGS, epochs=1))
    from surefoot.study.once.flex_train import begin_fresh

    begun = begin_fresh(rows, [(4, 4)], (8, 1, 1), 0)
    first = train_flexible(begun, rows, regimen, 0, tmp_path, {}, lambda *_: None)
    other = train_flexible(begun, rows, regimen, 1, tmp_path, {}, lambda *_: None)
    again = train_flexible(begun, rows, regimen, 0, tmp_path, {}, lambda *_: None)
    assert (first.again, other.again, again.again) == (False, False, True)
    assert not torch.equal(first.opened.parameters["kernel"], other.opened.parameters["kernel"])
    assert torch.equal(first.opened.parameters["kernel"], again.opened.parameters["kernel"])
