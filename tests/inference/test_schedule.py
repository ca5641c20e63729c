"""Schedules against torch's own schedulers, step by step."""

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

from surefoot.inference.schedule import momentum_at, rate_at


@pytest.mark.parametrize("steps", [2, 3, 7, 10, 400])
@pytest.mark.parametrize("kind", ["adamw", "sgd"])
def test_one_cycle_is_torchs(steps: int, kind: str) -> None:
    weight = [torch.nn.Parameter(torch.zeros(1))]
    optimiser = torch.optim.AdamW(weight) if kind == "adamw" else torch.optim.SGD(weight, momentum=0.9)
    scheduler = OneCycleLR(optimiser, 0.3, total_steps=steps)
    for step in range(steps):
        group = optimiser.param_groups[0]
        assert rate_at("one_cycle", 0.3, step, steps) == pytest.approx(group["lr"], rel=1e-12)
        momentum = group["betas"][0] if kind == "adamw" else group["momentum"]
        assert momentum_at("one_cycle", None, step, steps) == pytest.approx(momentum, rel=1e-12)
        optimiser.step()
        if step < steps - 1:
            scheduler.step()


def test_cosine_is_torchs() -> None:
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    scheduler = CosineAnnealingLR(optimiser, T_max=50)
    for step in range(50):
        assert rate_at("cosine", 0.3, step, 50) == pytest.approx(optimiser.param_groups[0]["lr"], rel=1e-10)
        optimiser.step()
        scheduler.step()


def test_a_given_momentum_is_held() -> None:
    assert {momentum_at("one_cycle", 0.7, step, 10) for step in range(10)} == {0.7}
    assert momentum_at("constant", None, 3, 10) == momentum_at("cosine", None, 3, 10) == 0.9
    assert rate_at("constant", 0.3, 9, 10) == 0.3


def test_a_single_step_has_a_rate() -> None:
    assert rate_at("one_cycle", 1.0, 0, 1) == pytest.approx(1 / 25 / 1e4)
