"""Advantages against numpy written apart, and what they refuse. On average: laws/test_reinforcement.py."""

import numpy as np
import pytest
import torch

from surefoot.errors import InputError
from surefoot.reason.advantages import Estimator, advantages

REWARDS = [[1.0, 0.0, 0.5, 0.0], [0.25, 0.25, 0.25, 0.25], [0.0, 0.0, 0.0, 1.0]]


def by_hand(rewards: list[list[float]], estimator: Estimator) -> list[list[float]]:
    everything = [reward for group in rewards for reward in group]
    found = []
    for group in rewards:
        row = []
        for at, reward in enumerate(group):
            others = [other for place, other in enumerate(group) if place != at]
            row.append(
                {
                    "reinforce": reward,
                    "centred": reward - sum(everything) / len(everything),
                    "rloo": reward - sum(others) / len(others),
                    "grpo": (reward - np.mean(group)) / (np.std(group, ddof=1) + 1e-4),
                    "dr_grpo": reward - np.mean(group),
                }[estimator]
            )
        found.append(row)
    return found


@pytest.mark.parametrize("estimator", ["reinforce", "centred", "rloo", "grpo", "dr_grpo"])
def test_each_is_its_equation(estimator: Estimator) -> None:
    found = advantages(torch.tensor(REWARDS, dtype=torch.float64), estimator)
    assert np.allclose(found.values.numpy(), by_hand(REWARDS, estimator), atol=1e-12)
    assert found.flat.tolist() == [False, True, False]
    compares = estimator in ("rloo", "grpo", "dr_grpo")
    assert found.taught.tolist() == [True, not compares, True]


@pytest.mark.parametrize("estimator", ["rloo", "grpo", "dr_grpo"])
def test_equal_rewards_teach_exactly_nothing(estimator: Estimator) -> None:
    """0.1 has no exact mean over seven samples; over 1e-4 what rounding leaves would be an advantage."""
    rewards = torch.full((1, 7), 0.1)
    assert float((rewards - rewards.mean()).abs().max()) > 0, "rounding leaves nothing here; take another number"
    found = advantages(rewards, estimator)
    assert found.values.tolist() == [[0.0] * 7]
    assert not found.taught.any()


def test_a_scale_of_rewards_goes_into_all_but_grpo() -> None:
    rewards = torch.tensor(REWARDS[:1])
    for estimator, power in (("reinforce", 1), ("centred", 1), ("rloo", 1), ("dr_grpo", 1), ("grpo", 0)):
        once, more = (advantages(rewards * times, estimator).values for times in (1, 8))
        assert torch.allclose(more, once * 8**power, rtol=1e-3), estimator


@pytest.mark.parametrize("estimator", ["rloo", "grpo", "dr_grpo"])
def test_one_sample_has_no_other_to_compare_with(estimator: Estimator) -> None:
    with pytest.raises(InputError, match="draw at least 2"):
        advantages(torch.ones(3, 1), estimator)
    assert advantages(torch.ones(3, 1), "centred").values.tolist() == [[0.0]] * 3


def test_rewards_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(InputError, match="1 of 4 rewards"):
        advantages(torch.tensor([[1.0, float("nan")], [0.0, 1.0]]), "rloo")
    with pytest.raises(InputError, match="0 prompts"):
        advantages(torch.ones(0, 4), "rloo")
