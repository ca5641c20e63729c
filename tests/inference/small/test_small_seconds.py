"""Time told beforehand is the time of the steps themselves."""

import time

import pytest
import torch
from torch import Tensor

from surefoot.errors import InputError
from surefoot.inference.small.seconds import leapfrog_seconds
from surefoot.inference.targets.target import Terms
from surefoot.networks.network import Parameters


class Slow:
    """A standard normal whose gradient takes five milliseconds, and much longer at the first call."""

    size, quarter, dtype = 2, 1.5708, torch.float64

    def __init__(self) -> None:
        self.calls = 0

    def gradient(self, position: Tensor, out: Tensor) -> None:
        self.calls += 1
        time.sleep(0.005 if self.calls > 1 else 0.3)
        out.copy_(-position)

    def terms(self, position: Tensor) -> Terms:
        return Terms(torch.zeros(len(position)).double(), -position.square().sum(dim=1).double() / 2)

    def parameters(self, position: Tensor) -> Parameters:
        return {"u": position.clone()}

    def position(self, parameters: Parameters) -> Tensor:
        return parameters["u"]


class Whole(Slow):
    """The same with trajectories of one millisecond a step."""

    def trajectory(self, position: Tensor, momentum: Tensor, gradient: Tensor, step: float, count: int) -> None:
        time.sleep(0.001 * count)


def test_seconds_of_gradients_leave_out_what_happens_once() -> None:
    """A sleep is never shorter than asked for; a busy machine may make it longer, so the upper limit is wide."""
    assert 5.0 <= leapfrog_seconds(Slow(), 3, 1000) < 15.0


def test_seconds_of_whole_trajectories() -> None:
    target = Whole()
    assert 1.0 <= leapfrog_seconds(target, 3, 1000) < 3.0
    assert target.calls == 0


def test_no_steps_take_no_time_and_no_chains_are_refused() -> None:
    assert leapfrog_seconds(Whole(), 1, 0) == 0
    with pytest.raises(InputError, match="at least one chain"):
        leapfrog_seconds(Whole(), 0, 5)
