"""Doubt about the order of classes: raised by a swap, never by a head that is merely bad."""

import pytest
import torch
from torch import Tensor

from surefoot.robust.class_order import doubt_order


def said(targets: Tensor, right: float, classes: int, seed: int) -> Tensor:
    """Logits of a head that is right on a share of the rows, and elsewhere says anything."""
    generator = torch.Generator().manual_seed(seed)
    by_chance = torch.randint(classes, targets.shape, generator=generator)
    known = torch.rand(targets.shape, generator=generator) < right
    return torch.nn.functional.one_hot(torch.where(known, targets, by_chance), classes).float()


def test_a_swap_is_told_with_the_share_that_is_right_and_chance() -> None:
    targets = torch.arange(400) % 2
    logits = said(targets, 0.5, 2, 0)
    right = float((logits.flip(1).argmax(dim=1) == targets).float().mean())
    assert doubt_order(logits, targets, "fit rows") is None
    assert doubt_order(logits.flip(1), targets, "fit rows") == (
        f"The model's own head is right on {100 * right:.0f} % of the 400 fit rows, less than chance (50 %): are the "
        "classes in another order? Give labels as the model's class names."
    )


def test_two_of_five_classes_that_changed_places_are_told() -> None:
    targets = torch.arange(1000) % 5
    logits = said(targets, 0.9, 5, 1)[:, [1, 0, 2, 3, 4]]
    told = doubt_order(logits, targets, "rows")
    assert told is not None
    assert "with its classes in another order" in told


@pytest.mark.parametrize("constant", [0, 1])
def test_a_head_that_always_says_one_class_is_bad_and_not_swapped(constant: int) -> None:
    targets = (torch.arange(300) < 30).long()
    logits = torch.nn.functional.one_hot(torch.full_like(targets, constant), 2).float()
    assert doubt_order(logits, targets, "rows") is None


def test_a_head_of_chance_is_doubted_about_never() -> None:
    """False alarms at chance: 1 in 700 by the normal limit, and a gain of 0.1 besides; of 300 here none is expected."""
    alarms = 0
    for seed in range(300):
        targets = torch.randint(10, (400,), generator=torch.Generator().manual_seed(seed))
        alarms += doubt_order(said(targets, 0.0, 10, 1000 + seed), targets, "rows") is not None
    assert alarms <= 1


def test_few_rows_say_nothing() -> None:
    targets = torch.arange(10) % 2
    assert doubt_order(said(targets, 1.0, 2, 0).flip(1), targets, "rows") is None
