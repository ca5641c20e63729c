"""What sampling should take, measured on one gradient before it begins."""

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from surefoot.bayes.posterior import posterior_of
from surefoot.bayes.settings import BayesSettings
from surefoot.inference.targets.make import make_target, target_memory
from surefoot.memory import human_bytes, require_disk
from surefoot.networks.network import Network, Parameters
from surefoot.rows.rows import Rows

__all__ = ["Forecast", "forecast"]

PROCESS_BYTES = 400 * 2**20
"""Python, torch and our modules."""
FEWEST = 3
"""Gradients that are timed, the fastest of which counts."""


class Forecast(NamedTuple):
    """Numbers in one draw of a chain, and about how many seconds, bytes of memory and of disk sampling takes."""

    size: int
    seconds: float
    memory: int
    disk: int

    def told(self, settings: BayesSettings) -> str:
        """
        >>> Forecast(1290, 90.0, 600 * 2**20, 2 * 2**20).told(BayesSettings())
        '4 chains of 1,290 numbers (nuts): about 2 minutes, 600.0 MiB of memory and 2.0 MiB of disk.'
        """
        chains = "1 chain" if settings.starts == 1 else f"{settings.starts} chains"
        memory, disk = human_bytes(self.memory), human_bytes(self.disk)
        return (
            f"{chains} of {self.size:,} numbers ({settings.sampler.replace('_', ' ')}): about "
            f"{_duration(self.seconds)}, {memory} of memory and {disk} of disk."
        )


def forecast(
    network: Network, rows: Rows, starts: Sequence[Parameters], settings: BayesSettings, folder: Path
) -> Forecast:
    """Time one gradient at the starts and multiply; trajectories of hmc and nuts are taken to have 100 steps.

    Raises `InputError` for what no sampler may have, and when there is too little memory or disk (in `folder`).
    """
    posterior = posterior_of(network, rows, settings)
    target = make_target(posterior, rows, chains=settings.starts, fixed=starts[0])
    own = [name for name, tensor in network.module.named_parameters() if tensor.requires_grad]
    position = target.position({name: torch.stack([start[name] for start in starts]) for name in own})
    gradient, passes = torch.empty_like(position), settings.passes(len(rows))
    batch = min(settings.batch, len(rows))
    if settings.sees_batches:
        index = torch.arange(batch).expand(len(position), batch).contiguous()
        each = _fastest(lambda: (target.minibatch_gradient(position, index, gradient), torch.randn_like(position)))
        passes *= math.ceil(len(rows) / batch)
    else:
        each = _fastest(lambda: target.gradient(position, gradient))
    disk = 4 * target.size * settings.starts * settings.draws
    require_disk(disk, folder, "Keeping the draws")
    memory = PROCESS_BYTES + target_memory(posterior, rows, settings.starts)
    return Forecast(target.size, passes * each, memory, disk)


def _fastest(work: Callable[[], object]) -> float:
    times: list[float] = []
    for _ in range(FEWEST):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def _duration(seconds: float) -> str:
    if seconds < 1.5:
        return "a second"
    if seconds < 90:
        return f"{round(seconds)} seconds"
    return f"{round(seconds / 60)} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
