"""Teaching all heads at once: it learns, at every size; it is the same again, and after it was killed."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from surefoot.errors import InputError
from surefoot.flex.dense.heads import DenseViT, Heads, build_dense
from surefoot.flex.dense.train import Course, Parts, Texts, losses_of, outputs_of, train_dense
from surefoot.flex.schedule import Schedule, size_at, uniform
from surefoot.networks.flexible import Shape
from surefoot.rows.digits import load_digits
from surefoot.rows.scenes import Scenes, make_scenes

TWO = uniform([(12, 12), (16, 16)])


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    return make_scenes(load_digits(), torch.arange(40), 24, seed=0)


@pytest.fixture(scope="module")
def texts() -> Texts:
    generator = torch.Generator().manual_seed(0)
    names, captions = torch.randn(10, 12, generator=generator), torch.randn(24, 12, generator=generator)
    return Texts(names, torch.arange(10), captions, torch.arange(24))


def fresh() -> DenseViT:
    shape = Shape((1, 48, 48), width=16, depth=1, heads=2, buffer=(16, 16), grid=(4, 4), pool="mean")
    return build_dense(shape, Heads(11, 12, joint=8, channels=8, picture=6), 0)


def loss(model: DenseViT, scenes: Scenes, texts: Texts, size: int) -> dict[str, float]:
    with torch.no_grad():
        every = losses_of(model, outputs_of(model, scenes, (size, size)), scenes, texts, texts.numbers)
    return {name: float(each) for name, each in every.items()}


def same(one: DenseViT, two: DenseViT) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


@pytest.mark.parametrize("name", ["segment", "centre", "offset", "scores", "boxes", "contrast"])
def test_each_loss_falls_at_both_sizes(name: str, scenes: Scenes, texts: Texts) -> None:
    model = fresh()
    before = [loss(model, scenes, texts, size)[name] for size in (12, 16)]
    alone = replace(Parts(0.0, 0.0, 0.0, 0.0, 0.0, 0.0), **{name: 1.0})
    train_dense(model, scenes, texts, Course(TWO, steps=25, batch=8), seed=0, parts=alone)
    after = [loss(model, scenes, texts, size)[name] for size in (12, 16)]
    assert all(now < 0.97 * then for now, then in zip(after, before, strict=True))


def test_a_part_of_no_weight_is_not_taught(scenes: Scenes, texts: Texts) -> None:
    model, start = fresh(), fresh()
    parts = Parts(contrast=0.0, boxes=0.0)
    train_dense(model, scenes, texts, Course(TWO, steps=5, batch=8, decay=0.0), seed=0, parts=parts)
    assert torch.equal(model.image.weight, start.image.weight)
    assert torch.equal(model.box.weight, start.box.weight)
    assert not torch.equal(model.vector.weight, start.vector.weight)


def test_the_seed_decides_and_other_random_numbers_do_not(scenes: Scenes, texts: Texts) -> None:
    models = [fresh(), fresh(), fresh()]
    for number, model in enumerate(models):
        torch.manual_seed(number)
        train_dense(model, scenes, texts, Course(TWO, steps=6, batch=8), seed=number // 2)
    assert same(models[0], models[1])
    assert not same(models[0], models[2])


def test_a_killed_run_goes_on_to_the_same_numbers(
    scenes: Scenes, texts: Texts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("surefoot.flex.dense.train.EVERY", 4)
    course = Course(TWO, steps=10, batch=8)
    whole, killed, again = fresh(), fresh(), fresh()
    train_dense(whole, scenes, texts, course, seed=0)
    steps: list[int] = []

    def kill(stage: str, done: int, total: int) -> None:
        steps.append(done)
        raise KeyboardInterrupt

    # The first word is said at the end of the run, when the last checkpoint is that of step 8.
    with pytest.raises(KeyboardInterrupt):
        train_dense(killed, scenes, texts, course, seed=0, checkpoint=tmp_path / "run", progress=kill)
    assert steps == [10]
    seen: list[int] = []

    def watched(schedule: Schedule, seed: int, step: int, steps: int) -> tuple[int, int]:
        seen.append(step)
        return size_at(schedule, seed, step, steps)

    monkeypatch.setattr("surefoot.flex.dense.train.size_at", watched)
    train_dense(again, scenes, texts, course, seed=0, checkpoint=tmp_path / "run")
    assert seen == [8, 9]
    assert same(whole, again)
    with pytest.raises(InputError, match="belongs to a run"):
        train_dense(fresh(), scenes, texts, course, seed=1, checkpoint=tmp_path / "run")
    other = (scenes, replace(texts, numbers=texts.numbers.roll(1))), (replace(scenes, boxes=scenes.boxes + 1), texts)
    for changed in other:
        with pytest.raises(InputError, match="another"):
            train_dense(fresh(), *changed, course, seed=0, checkpoint=tmp_path / "run")


def test_outputs_do_not_depend_on_the_batch(scenes: Scenes) -> None:
    model = fresh()
    for one, two in zip(outputs_of(model, scenes, (12, 12), 5), outputs_of(model, scenes, (12, 12), 24), strict=True):
        torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-4)


def test_refusals(scenes: Scenes, texts: Texts) -> None:
    with pytest.raises(InputError, match="at least one step"):
        train_dense(fresh(), scenes, texts, Course(TWO, steps=0), seed=0)
    with pytest.raises(InputError, match="as many scenes"):
        train_dense(fresh(), scenes, texts, Course(TWO, steps=1, batch=25), seed=0)
