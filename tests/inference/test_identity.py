"""Who may go on with a run: what differs in what is computed has another identity, and what does not has the same."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from surefoot.density.pools import mean
from surefoot.files import digest_json
from surefoot.inference.checkpoint import identity


def marked(right: int, *, twice: bool = False) -> Callable[[str], float]:
    def reward(answer: str) -> float:
        return (1 + twice) * float(len(answer) % 2 == right)

    return reward


def counted(held: Any) -> Callable[[], Any]:
    return lambda: held


class Grader:
    """A plain object, as a user writes one."""

    def __init__(self, turned: bool, within: Any = None) -> None:
        self.turned, self.within = turned, within

    def grade(self, answer: str) -> float:
        return float((answer == "1") != self.turned)


class Slotted:
    __slots__ = ("rate",)

    def __init__(self, rate: float) -> None:
        self.rate = rate


class Counting(Grader):
    calls = 0

    def identity_parts(self) -> tuple[bool]:
        return (self.turned,)


@dataclass
class Settings:
    rate: float
    calls: int = field(default=0, compare=False)


class Layer(nn.Module):
    """Whose description says nothing of its weights."""

    def __init__(self, seed: int, average: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, generator=torch.Generator().manual_seed(seed)))
        self.register_buffer("average", torch.tensor(average))

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs * self.weight


def cycle(rate: float) -> Grader:
    one = Grader(False)
    one.within = [Grader(True, one), Slotted(rate)]
    return one


def recursive(last: int) -> Callable[[int], int]:
    def fall(number: int) -> int:
        return last if number == 0 else fall(number - 1)

    return fall


OTHERS: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "weights": (lambda: Layer(0), lambda: Layer(1)),
    "buffers": (lambda: Layer(0), lambda: Layer(0, 0.5)),
    "weights within": (lambda: Grader(True, [Layer(0)]), lambda: Grader(True, [Layer(1)])),
    "closures": (lambda: marked(0), lambda: marked(1)),
    "closures over modules": (lambda: counted(Layer(0)), lambda: counted(Layer(1))),
    "constants": (lambda: lambda x: x + 1, lambda: lambda x: x + 2),
    "code": (lambda: lambda x: x + 1, lambda: lambda x: x - 1),
    "names": (lambda: lambda x: x.sin(), lambda: lambda x: x.cos()),
    "defaults": (lambda: lambda x, y=1: x, lambda: lambda x, y=2: x),
    "keyword defaults": (lambda: lambda x, *, y=1: x, lambda: lambda x, *, y=2: x),
    "nested functions": (lambda: lambda x: [lambda: x + 1], lambda: lambda x: [lambda: x + 2]),
    "recursive functions": (lambda: recursive(0), lambda: recursive(1)),
    "attributes": (lambda: Grader(False), lambda: Grader(True)),
    "bound methods": (lambda: Grader(False).grade, lambda: Grader(True).grade),
    "slots": (lambda: Slotted(0.1), lambda: Slotted(0.2)),
    "cycles": (lambda: cycle(0.1), lambda: cycle(0.2)),
    "parts that it says": (lambda: Counting(False), lambda: Counting(True)),
    "fields": (lambda: Settings(0.1), lambda: Settings(0.2)),
    "bound arguments": (lambda: partial(marked, 0), lambda: partial(marked, 1)),
    "paths": (lambda: Path("a"), lambda: Path("b")),
    "types of numbers": (lambda: torch.float32, lambda: torch.float64),
    "arrays": (lambda: np.arange(3), lambda: np.arange(3) + 1),
    "bytes": (lambda: b"a", lambda: b"b"),
    "generators": (lambda: torch.Generator().manual_seed(0), lambda: torch.Generator().manual_seed(1)),
    "infinity": (lambda: float("inf"), lambda: -float("inf")),
    "sets of objects": (lambda: {Path("a"), Path("b")}, lambda: {Path("a"), Path("c")}),
}


@pytest.mark.parametrize("what", OTHERS)
def test_what_computes_otherwise_is_another_run(what: str) -> None:
    one, other = OTHERS[what]
    assert identity(one()) == identity(one())
    assert identity(one()) != identity(other())


def test_what_changes_while_a_run_goes_on_can_be_left_out() -> None:
    counting = Counting(True)
    told = identity(counting, Settings(0.1), marked(0, twice=True))
    counting.calls = 7
    assert identity(counting, Settings(0.1, calls=5), marked(0, twice=True)) == told


def test_what_has_nothing_to_say_counts_by_its_type() -> None:
    """Two locks differ in their places in memory alone, which no run may be known by."""
    assert identity(Grader(True, threading.Lock())) == identity(Grader(True, threading.Lock()))
    assert identity(Grader(True, object())) != identity(Grader(True, threading.Lock()))


def test_the_same_parts_are_one_run_whether_or_not_they_are_one_object() -> None:
    one = Slotted(0.1)
    assert identity([one, one], Grader(True, one)) == identity([Slotted(0.1), Slotted(0.1)], Grader(True, Slotted(0.1)))


def test_functions_of_libraries_count_by_name_so_that_runs_of_earlier_versions_go_on() -> None:
    assert identity(mean, nn.functional.relu) == digest_json(["mean", "relu"])
