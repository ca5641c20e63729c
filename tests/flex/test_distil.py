"""Distillation against a loop written by hand, shared crops and mixup, and what a killed run ends with."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, kl_div, log_softmax

from surefoot.errors import InputError
from surefoot.flex.crops import Crop
from surefoot.flex.distil import Lesson, Teacher, distil, divergence
from surefoot.flex.flexify import flexify
from surefoot.flex.schedule import Drawn, size_at, uniform
from surefoot.inference import ascend as ascending
from surefoot.inference.settings import Ascend
from surefoot.networks.flexible import FlexibleViT, Shape, at_patch, build_vit
from surefoot.networks.network import Network, forward, parameters_of
from surefoot.rows.rows import Rows, make_rows

SIZES = ((8, 8), (4, 4))
SMALL = Shape((1, 16, 16), width=8, depth=1, heads=2, buffer=(8, 8), grid=(2, 2), pool="mean")
LARGE = replace(SMALL, image=(1, 32, 32), width=12, grid=(4, 4))
SETTINGS = Ascend(epochs=2, batch=8, rate=1e-2)


@pytest.fixture
def rows() -> Rows:
    generator = torch.Generator().manual_seed(0)
    return make_rows(torch.randn(24, 1, 32, 32, generator=generator), torch.arange(24) % 3)


@pytest.fixture
def student() -> Network:
    return build_vit(SMALL, classes=3, patch=8, seed=0)


@pytest.fixture
def teacher() -> Teacher:
    """Its head is drawn, so that it says something."""
    network = build_vit(LARGE, classes=3, patch=8, seed=1)
    head = torch.randn(3, 12, generator=torch.Generator().manual_seed(1))
    return Teacher(network, {**parameters_of(network), "head.weight": head}, seen=frozenset({"a"}))


def test_the_divergence_is_that_of_torch() -> None:
    generator = torch.Generator().manual_seed(0)
    said, learnt = torch.randn(2, 5, 4, generator=generator, dtype=torch.float64)
    for temperature in (1.0, 3.0):
        by_torch = kl_div(
            log_softmax(learnt / temperature, 1), log_softmax(said / temperature, 1), reduction="none", log_target=True
        ).sum(1)
        assert torch.allclose(divergence(said, learnt, temperature), temperature**2 * by_torch)


def test_its_gradient_keeps_its_scale_when_the_temperature_is_high() -> None:
    """At a high temperature it is that of half the squared distance of centred logits, over the classes (Hinton)."""
    said, learnt = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    learnt.requires_grad_()
    (gradient,) = torch.autograd.grad(divergence(said, learnt, 1e4).sum(), learnt)
    apart = (learnt - learnt.mean(1, keepdim=True)) - (said - said.mean(1, keepdim=True))
    assert torch.allclose(gradient, apart.detach() / 4, atol=1e-3)


def test_it_is_the_loop_written_by_hand(rows: Rows, student: Network, teacher: Teacher) -> None:
    """SGD in the order of the rows, at the sizes drawn, with torch's own resize."""
    settings = Ascend(3, 8, 0.1, "sgd", schedule="constant", momentum=0.9, shuffle=False)
    view = Drawn(uniform(SIZES), 4)
    got = distil(
        student, parameters_of(student), teacher, rows, 0, settings, lesson=Lesson(temperature=2.0), view=view
    ).point()

    own = build_vit(SMALL, classes=3, patch=8, seed=0).module
    assert isinstance(own, FlexibleViT)
    optimiser = torch.optim.SGD(own.parameters(), lr=0.1, momentum=0.9)
    images = rows.inputs[:]
    for step in range(9):
        batch = images[8 * (step % 3) : 8 * (step % 3) + 8]
        with torch.no_grad():
            said = (forward(teacher.network, teacher.parameters, batch) / 2).softmax(1)
        small = interpolate(batch, size=(16, 16), mode="bilinear", antialias=True)
        learnt = (own.at(size_at(view.schedule, 4, step, 9))(small) / 2).log_softmax(1)
        loss = 4 * (said * (said.log() - learnt)).sum(1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    for name, tensor in own.named_parameters():
        assert torch.allclose(got[name], tensor, atol=1e-5), name
    assert not torch.allclose(got["kernel"], parameters_of(student)["kernel"], atol=1e-3)


def test_labels_are_not_read_and_what_the_teacher_saw_is_told(rows: Rows, student: Network, teacher: Teacher) -> None:
    start = parameters_of(student)
    one = distil(student, start, teacher, rows, 0, SETTINGS)
    other = distil(student, start, teacher, rows.with_targets(rows.targets.flip(0)), 0, SETTINGS)
    assert all(torch.equal(one.point()[name], other.point()[name]) for name in start)
    assert one.seen == rows.origins() | {"a"}


def test_a_teacher_that_is_copied_from_the_start_teaches_nothing(rows: Rows, student: Network) -> None:
    """KL is zero and least there, whatever is cropped and mixed: student and teacher see the same."""
    start = {**parameters_of(student), "head.weight": torch.randn(3, 8, generator=torch.Generator().manual_seed(3))}
    settings = Ascend(3, 8, 0.1, "sgd", mixup=1.0, shift=2)
    draws = distil(student, start, Teacher(student, start), rows, 0, settings, lesson=Lesson(crop=Crop()))
    assert draws.diagnostics[0].value < 1e-8  # nats, of float32
    for name, tensor in draws.point().items():
        assert torch.allclose(tensor, start[name], atol=1e-4), name


class Watched(nn.Module):
    """Keeps the images it is shown."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.head = nn.Linear(side * side, 3)
        self.shown: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.shown.append(images.detach())
        return self.head(images.flatten(1))


def test_both_see_one_crop_and_one_mixture_each_at_its_resolution(rows: Rows) -> None:
    """Planes a·row + b·column stay planes wherever they are cut, so that a small image says what the large one must."""
    # Resizing is exact on planes away from edges; the middle of a crop is compared.
    generator = torch.Generator().manual_seed(0)
    slopes = torch.randn(24, 3, 1, 1, generator=generator)
    down, across = torch.arange(32.0)[:, None] + 0.5, torch.arange(32.0)[None] + 0.5
    planes = slopes[:, :1] * down + slopes[:, 1:2] * across + 10 * slopes[:, 2:]
    scenes = rows.with_inputs(planes)
    seen, said = Watched(16), Watched(24)
    learner, knower = Network(seen, "head"), Network(said, "head")
    student_images: list[Tensor] = []

    def view(module: nn.Module, step: int, steps: int) -> nn.Module:
        assert isinstance(module, Watched)
        student_images.append(torch.empty(0))
        module.shown = student_images
        return module

    distil(
        learner, parameters_of(learner), Teacher(knower, parameters_of(knower), image=(24, 24)), scenes, 0,
        replace(SETTINGS, mixup=1.0), lesson=Lesson(crop=Crop(0.3), image=(16, 16)), view=view,
    )  # fmt: skip
    shown = [each for each in student_images if len(each)]
    assert len(shown) == len(said.shown) == 6
    for small, large in zip(shown, said.shown, strict=True):
        # The middle pixel of 16 lies at 8.5/16 = 12.75/24, a quarter of a pixel after that of 24.
        ours = small[:, 0, 4:12, 4:12]
        places = (torch.arange(4, 12) + 0.5) * 24 / 16 - 0.5
        low = places.floor().long()
        rest = (places - low)[None]
        rows_of = large[:, 0, low] * (1 - rest[..., None]) + large[:, 0, low + 1] * rest[..., None]
        theirs = rows_of[:, :, low] * (1 - rest) + rows_of[:, :, low + 1] * rest
        # Taps of a triangle at whole pixels are a plane's only to a twentieth of a pixel or so.
        assert (ours - theirs).abs().max() < 0.02 * ours.std()
        assert large.std() > 1
    assert not torch.equal(shown[0], shown[3])


def test_a_killed_run_ends_with_the_same_weights(
    rows: Rows, student: Network, teacher: Teacher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, settings = parameters_of(student), replace(SETTINGS, epochs=3, mixup=0.5, shift=1)
    kept = tmp_path / "run.safetensors"

    def run(
        teacher: Teacher = teacher, lesson: Lesson | None = None, checkpoint: Path | None = None
    ) -> dict[str, Tensor]:
        lesson = Lesson(2.0, Crop(0.5)) if lesson is None else lesson
        view = Drawn(uniform(SIZES), 1)
        draws = distil(student, start, teacher, rows, 0, settings, lesson=lesson, view=view, checkpoint=checkpoint)
        return dict(draws.point())

    whole = run()
    climb: Callable[..., Tensor] = ascending.climb_epoch

    def killed(*arguments: object) -> Tensor:
        if arguments[4] == 2:
            raise KeyboardInterrupt
        return climb(*arguments)

    monkeypatch.setattr(ascending, "climb_epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        run(checkpoint=kept)
    monkeypatch.undo()
    again = run(checkpoint=kept)
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    changed = {**teacher.parameters, "head.bias": torch.ones(3)}
    for other in (
        lambda: run(teacher=replace(teacher, parameters=changed), checkpoint=kept),
        lambda: run(lesson=Lesson(2.0, Crop(0.4)), checkpoint=kept),
        lambda: run(lesson=Lesson(1.0, Crop(0.5)), checkpoint=kept),
    ):
        with pytest.raises(InputError, match="another"):
            other()


def test_the_teacher_is_left_as_it_is(rows: Rows, student: Network, teacher: Teacher) -> None:
    before = {name: tensor.clone() for name, tensor in teacher.parameters.items()}
    distil(student, parameters_of(student), teacher, rows, 0, SETTINGS)
    assert all(torch.equal(before[name], teacher.parameters[name]) for name in before)
    assert not teacher.network.module.training


class Plain(nn.Module):
    """A transformer of somebody's own, at one patch size."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(1, 8, kernel_size=8, stride=8)
        self.positions = nn.Parameter(torch.zeros(1, 4, 8))
        self.head = nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patch(images).flatten(2).transpose(1, 2) + self.positions
        return self.head(tokens.relu().mean(1))


def test_a_flexified_student_learns_of_its_plain_self(rows: Rows) -> None:
    """At another size it moves towards what the plain module says; the images are made for the module."""
    torch.manual_seed(0)
    module = Plain()
    plain = Network(module, "head")
    flexible = Network(flexify(module, 16), "module.head")
    start = parameters_of(flexible)
    small = interpolate(rows.inputs[:], size=(16, 16), mode="bilinear", antialias=True)
    said = forward(plain, parameters_of(plain), small)
    before = float(divergence(said, forward(at_patch(flexible, 4), start, small)).mean())
    draws = distil(
        flexible, start, Teacher(plain, parameters_of(plain), image=(16, 16)), rows, 0, Ascend(20, 8, 1e-2),
        view=Drawn(uniform(SIZES), 0),
    )  # fmt: skip
    after = float(divergence(said, forward(at_patch(flexible, 4), draws.point(), small)).mean())
    assert after < 0.5 * before


def test_what_cannot_be_taught_is_refused(rows: Rows, student: Network, teacher: Teacher) -> None:
    start = parameters_of(student)
    four = build_vit(LARGE, classes=4, patch=8, seed=0)
    named = Teacher(four, parameters_of(four), classes=("a", "b", "c", "d"))
    with pytest.raises(InputError, match=r"teacher knows 4 classes \(a, b, c, d\) and the student 3"):
        distil(student, start, named, rows, 0, SETTINGS)
    other = replace(teacher, classes=("1", "0", "2"))
    with pytest.raises(InputError, match="classes are 1, 0, 2 and those of the rows 0, 1, 2"):
        distil(student, start, other, rows, 0, SETTINGS)
    flat = make_rows(torch.zeros(4, 5), torch.tensor([0, 1, 2, 0]))
    with pytest.raises(InputError, match="no images"):
        distil(student, start, teacher, flat, 0, SETTINGS)
    for temperature in (0.0, float("inf"), float("nan")):
        with pytest.raises(InputError, match="temperature"):
            Lesson(temperature)


def test_crops_differ_by_step_and_seed(rows: Rows, student: Network, teacher: Teacher) -> None:
    start = parameters_of(student)
    lesson = Lesson(crop=Crop(0.3))
    settings = replace(SETTINGS, shuffle=False)
    one = distil(student, start, teacher, rows, 0, settings, lesson=lesson).point()
    two = distil(student, start, teacher, rows, 1, settings, lesson=lesson).point()
    none = distil(student, start, teacher, rows, 0, settings).point()
    assert not torch.equal(one["kernel"], two["kernel"])
    assert not torch.equal(one["kernel"], none["kernel"])
    assert np.isfinite(one["kernel"].numpy()).all()
