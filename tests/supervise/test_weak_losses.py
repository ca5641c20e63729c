"""Losses on weak labels: values by hand, gradients by finite differences, the course of confidence."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from surefoot.errors import InputError
from surefoot.supervise.harden import harden
from surefoot.supervise.losses import (
    PAPER,
    PAPER_SMALL,
    REPOSITORY,
    AdaptiveConfidence,
    Confidence,
    CrossEntropy,
    Product,
    ReverseCrossEntropy,
    WeakLoss,
)

EVERY: dict[str, WeakLoss] = {
    "cross_entropy": CrossEntropy(),
    "paper": PAPER,
    "paper_small": PAPER_SMALL,
    "repository": REPOSITORY,
    "argmax": Confidence(balance="none"),
    "reverse": ReverseCrossEntropy(),
    "adaptive": AdaptiveConfidence(),
    "adaptive_warm": AdaptiveConfidence(temperature=3.0),
    "product": Product(),
}


def some(rows: int, classes: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, classes, generator=generator, dtype=torch.float64)
    weak = torch.randn(rows, classes, generator=generator, dtype=torch.float64).mul(2).softmax(dim=1)
    return logits, weak


def held(loss: WeakLoss, logits: Tensor, weak: Tensor, done: float) -> Tensor:
    """The loss with what it aims at computed once, by hand, as a function of new logits: what gradients are of."""
    p = logits.softmax(dim=1)

    def cross(targets: Tensor, at: Tensor) -> Tensor:
        return -(targets * at.log_softmax(dim=1)).sum(dim=1)

    one_hot = torch.nn.functional.one_hot
    classes = logits.shape[1]
    if isinstance(loss, Confidence):
        alpha = loss.most * (1.0 if done >= loss.warmup else done / loss.warmup)
        hard = one_hot(harden(p, weak, loss.balance), classes).double()
        return lambda at: (1 - alpha) * cross(weak, at) + alpha * cross(hard, at)
    if isinstance(loss, AdaptiveConfidence):
        own, other = one_hot(p.argmax(1), classes).double(), one_hot(weak.argmax(1), classes).double()
        a = (cross(own, logits) / loss.temperature).exp()
        a = a / (a + (cross(other, logits) / loss.temperature).exp())
        return lambda at: (1 - a) * cross(weak, at) + a * cross(own, at)
    if isinstance(loss, Product):
        aimed = p * weak
        return lambda at: cross(aimed / aimed.sum(dim=1, keepdim=True), at)
    if isinstance(loss, ReverseCrossEntropy):
        return lambda at: -(at.softmax(dim=1) * weak.clamp(min=loss.floor).log()).sum(dim=1)
    return lambda at: cross(weak, at)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("done", [0.0, 0.07, 1.0])
def test_values_and_gradients(name: str, classes: int, done: float) -> None:
    """Central differences of the formula with its aims held fixed; step 1e-6, so an error of 1e-9."""
    loss = EVERY[name]
    logits, weak = some(9, classes, seed=classes)
    by_hand = held(loss, logits, weak, done)
    leaf = logits.clone().requires_grad_()
    found = loss(leaf, weak, done)
    assert torch.allclose(found, by_hand(logits), atol=1e-12)
    (gradient,) = torch.autograd.grad(found.sum(), leaf)
    step = 1e-6
    for row in range(0, 9, 4):
        for k in range(classes):
            up, down = logits.clone(), logits.clone()
            up[row, k] += step
            down[row, k] -= step
            slope = (by_hand(up)[row] - by_hand(down)[row]) / (2 * step)
            assert gradient[row, k].item() == pytest.approx(slope.item(), abs=1e-8)


@pytest.mark.parametrize("loss", [PAPER, PAPER_SMALL, REPOSITORY])
def test_the_warm_up_does_not_jump(loss: Confidence) -> None:
    """The published one goes from 0.05 to 0.5 of the weight between two steps; here none is steeper than the rest."""
    logits, weak = some(32, 2)
    course = [loss(logits, weak, at / 1000).mean().item() for at in range(1001)]
    steps = [abs(later - earlier) for earlier, later in pairwise(course)]
    apart = abs(course[-1] - course[0])
    assert apart > 0.05
    assert max(steps) <= apart / (1000 * loss.warmup) * 1.001
    assert [loss.weight(each) for each in (0.0, loss.warmup / 2, loss.warmup, 1.0)] == pytest.approx(
        [0, loss.most / 2, loss.most, loss.most]
    )


def test_without_warm_up_confidence_is_whole_at_once() -> None:
    assert Confidence(most=0.5, warmup=0.0).weight(0.0) == 0.5


def test_published_constants() -> None:
    assert (REPOSITORY.most, REPOSITORY.warmup, REPOSITORY.balance) == (0.5, 0.1, "weak")
    assert (PAPER.most, PAPER.warmup, PAPER.balance) == (0.75, 0.2, "even")
    assert (PAPER_SMALL.most, PAPER_SMALL.warmup, PAPER_SMALL.balance) == (0.5, 0.2, "even")


def test_adaptive_imitates_most_where_the_student_is_sure_of_another_class() -> None:
    logits = torch.tensor([[12.0, 0.0], [12.0, 0.0], [0.1, 0.0]])
    weak = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    share = AdaptiveConfidence().weights(logits, weak)
    assert share[0].item() == 0.5
    assert share[1].item() < 1e-5
    assert 0.4 < share[2].item() < 0.5


def test_reverse_is_lenient_with_an_unsure_supervisor() -> None:
    """Where weak labels are even, every student costs log 2: there is nothing to imitate."""
    logits = torch.tensor([[5.0, -5.0], [0.0, 0.0]], requires_grad=True)
    loss = ReverseCrossEntropy()(logits, torch.full((2, 2), 0.5), 0.5)
    assert loss.tolist() == pytest.approx([math.log(2)] * 2, abs=1e-6)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    assert gradient.abs().max().item() < 1e-7
    assert ReverseCrossEntropy()(logits, torch.tensor([[0.0, 1.0]] * 2), 0.0).isfinite().all()


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Confidence(most=1.5), "most"),
        (lambda: Confidence(warmup=-0.1), "warmup"),
        (lambda: ReverseCrossEntropy(floor=0.0), "floor"),
        (lambda: AdaptiveConfidence(temperature=0.0), "temperature"),
    ],
)
def test_numbers_out_of_range(make: object, named: str) -> None:
    with pytest.raises(InputError, match=named):
        make()  # type: ignore[operator]
