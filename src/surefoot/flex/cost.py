"""What a network costs on this machine: seconds, operations and memory; of a flexible one, at each patch size.

Seconds are wall clock, of a whole forward pass of `rows` inputs, after a few that are not counted. Networks take turns
in each round, so that a machine that slows down slows all of them; the median and the quartiles over rounds are told.
They are of this machine, its threads and its other work. The interval of a median is between order statistics: the
count of passes below the median is binomial (n, ½), whatever their distribution (David and Nagaraja 2003, "Order
statistics", §7.1); it says how well this run knows its median, not what another day would bring.

Operations are those of products and convolutions, a multiplication and an addition each counted, as torch counts them.
Memory is the most that tensors made during a pass take at one time: neither the weights nor the scratch of a kernel.
"""

import copy
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from surefoot.errors import InputError
from surefoot.findings.finding import Finding, Interval
from surefoot.flex.fixed import fixed_at
from surefoot.networks.network import Network, Parameters
from surefoot.networks.patches import Size
from surefoot.progress import Progress, silent

__all__ = ["COSTS", "Cost", "cost_findings", "costs_of", "loaded", "measure_costs"]

COSTS = ("milliseconds", "megaflops", "mebibytes")
"""The findings that a cost becomes: of a pass, of an input, of a pass."""
COUNTED = "counted"
"""The method of an interval that is one number."""
WARM = 2


@dataclass(frozen=True)
class Cost:
    """Of one forward pass of `rows` inputs.

    times: seconds of each pass that was counted. operations: of one input. memory: in bytes, of the whole pass.
    """

    rows: int
    times: tuple[float, ...]
    operations: float
    memory: int

    @property
    def seconds(self) -> float:
        """The median."""
        return self._quantile(0.5)

    @property
    def fast(self) -> float:
        """The lower quartile."""
        return self._quantile(0.25)

    @property
    def slow(self) -> float:
        """The upper quartile: one pass in four is slower."""
        return self._quantile(0.75)

    def _quantile(self, share: float) -> float:
        return float(np.quantile(self.times, share))


def measure_costs(
    network: Network,
    parameters: Parameters,
    sizes: Sequence[Size],
    images: Tensor,
    *,
    rounds: int = 15,
    progress: Progress = silent,
) -> tuple[Cost, ...]:
    """The cost of each size for these images `[rows, channels, height, width]`, in the order given.

    Each is that of the plain transformer at its size (`fixed_at`). Raises `InputError` for no size, fewer than three
    rounds, and sizes that do not divide the images.
    """
    if not sizes:
        raise InputError("No patch size was given to measure; give at least one.")
    plain = [fixed_at(network, parameters, size) for size in sizes]
    return costs_of([each.network.module for each in plain], images, rounds=rounds, progress=progress)


def costs_of(
    modules: Sequence[nn.Module], inputs: Tensor, *, rounds: int = 15, progress: Progress = silent
) -> tuple[Cost, ...]:
    """The cost of each module for these inputs `[rows, …]`, in the order given.

    Raises `InputError` for fewer than three rounds.

    >>> (cost,) = costs_of([nn.Linear(8, 4)], torch.zeros(2, 8), rounds=3)
    >>> cost.operations, cost.memory, cost.fast <= cost.seconds <= cost.slow
    (64.0, 32, True)
    """
    if rounds < 3:
        raise InputError(f"{rounds} rounds of timing were asked for; give at least 3.")
    with torch.inference_mode():
        counts = [(_operations(module, inputs), _memory(module, inputs)) for module in modules]
        seconds = _seconds([lambda module=module: module(inputs) for module in modules], rounds, progress)
    return tuple(
        Cost(len(inputs), tuple(taken.tolist()), operations / len(inputs), memory)
        for (operations, memory), taken in zip(counts, seconds, strict=True)
    )


def loaded(network: Network, parameters: Parameters) -> nn.Module:
    """A module of its own with these tensors, as it would be deployed."""
    module = copy.deepcopy(network.module).eval()
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        tensor.data = parameters[name].detach().clone()
    return module


def cost_findings(cost: Cost, subject: str, confidence: float = 0.95) -> tuple[Finding, ...]:
    """A cost as findings: `milliseconds` of a pass (median), `megaflops` of an input, `mebibytes` of a pass.

    The median has an interval where there are passes enough for this confidence: six for 95 %. What is counted is
    exact, and its interval is the number itself.
    """
    count = len(cost.times)

    def found(name: str, value: float, unit: str, interval: Interval | None = None) -> Finding:
        return Finding(name, value, interval, count, count, unit, "all", "lower", subject, "this machine")

    counts = ((COSTS[1], cost.operations / 1e6, "megaflops"), (COSTS[2], cost.memory / 2**20, "MiB"))
    return (
        found(COSTS[0], 1e3 * cost.seconds, "ms", _median_interval(cost.times, confidence)),
        *(found(name, value, unit, Interval(value, value, confidence, COUNTED)) for name, value, unit in counts),
    )


def _median_interval(times: Sequence[float], confidence: float) -> Interval | None:
    """From the k-th smallest to the k-th largest, k as large as 1 − 2 P(below < k) allows; in milliseconds."""
    count, ordered = len(times), sorted(times)
    below, least = 0.0, 0
    for rank in range(count // 2):
        below += comb(count, rank) / 2.0**count
        if 2 * below > 1 - confidence:
            break
        least = rank + 1
    if least == 0:
        return None
    return Interval(1e3 * ordered[least - 1], 1e3 * ordered[-least], confidence, "order statistics")


def _seconds(passes: Sequence[Callable[[], Any]], rounds: int, progress: Progress) -> np.ndarray:
    """`[passes, rounds]`; each round begins with another pass."""
    taken = np.empty((len(passes), rounds))
    for number in range(-WARM, rounds):
        for place in range(len(passes)):
            which = (place + number) % len(passes)
            start = time.perf_counter()
            passes[which]()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if number >= 0:
                taken[which, number] = time.perf_counter() - start
        if number >= 0:
            progress("timing", number + 1, rounds)
    return taken


def _operations(module: nn.Module, images: Tensor) -> float:
    # Attention as two products, which is how it is counted; some of its kernels would not be.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        module(images)
    return float(counter.get_total_flops())


def _memory(module: nn.Module, images: Tensor) -> int:
    with _Live() as live:
        module(images)
    return live.most


class _Live(TorchDispatchMode):
    """Counts bytes of tensors that are made and not yet let go."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        before = {_key(leaf) for leaf in tree_leaves((args, kwargs or {})) if isinstance(leaf, Tensor)}
        made = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, Tensor) and (key := _key(leaf)) not in self.known | before:
                storage = leaf.untyped_storage()
                self.known.add(key)
                self.now += storage.nbytes()
                weakref.finalize(storage, self._gone, key, storage.nbytes())
        self.most = max(self.most, self.now)
        return made

    def _gone(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.now -= size


def _key(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
