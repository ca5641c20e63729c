"""What each patch size costs on this machine: seconds, operations and memory of the plain transformer at that size.

Seconds are wall clock, of a whole forward pass of `rows` images, after a few that are not counted. Sizes take turns in
each round, so that a machine that slows down slows all of them; the median and the quartiles over rounds are told. They
are of this machine, its threads and its other work.

Operations are those of products and convolutions, a multiplication and an addition each counted, as torch counts them.
Memory is the most that tensors made during a pass take at one time: neither the weights nor the scratch of a kernel.
"""

import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from surefoot.errors import InputError
from surefoot.flex.fixed import fixed_at
from surefoot.networks.flexible import grid_of
from surefoot.networks.network import Network, Parameters
from surefoot.networks.patches import Size
from surefoot.progress import Progress, silent

__all__ = ["Cost", "measure_costs"]

WARM = 2


@dataclass(frozen=True)
class Cost:
    """Of one forward pass of `rows` images at a patch size.

    tokens: of the grid, of one image. seconds: the median; fast and slow: the quartiles. operations: of one image.
    memory: in bytes, of the whole pass.
    """

    size: Size
    tokens: int
    rows: int
    seconds: float
    fast: float
    slow: float
    operations: float
    memory: int


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

    Raises `InputError` for no size, fewer than three rounds, and sizes that do not divide the images.
    """
    if not sizes or rounds < 3:
        raise InputError(f"{len(sizes)} patch sizes and {rounds} rounds were given; give at least one and 3.")
    image = (images.shape[2], images.shape[3])
    tokens = [int(np.prod(grid_of(image, size))) for size in sizes]
    modules = [fixed_at(network, parameters, size).network.module for size in sizes]
    with torch.inference_mode():
        counts = [(_operations(module, images), _memory(module, images)) for module in modules]
        seconds = _seconds([lambda module=module: module(images) for module in modules], rounds, progress)
    costs: list[Cost] = []
    for size, count, (operations, memory), taken in zip(sizes, tokens, counts, seconds, strict=True):
        fast, middle, slow = (float(each) for each in np.quantile(taken, (0.25, 0.5, 0.75)))
        costs.append(Cost(size, count, len(images), middle, fast, slow, operations / len(images), memory))
    return tuple(costs)


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


def _operations(module: torch.nn.Module, images: Tensor) -> float:
    # Attention as two products, which is how it is counted; some of its kernels would not be.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        module(images)
    return float(counter.get_total_flops())


def _memory(module: torch.nn.Module, images: Tensor) -> int:
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
