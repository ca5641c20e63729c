"""The machine's limit: float32 products (the faster of torch's two paths) or copies, per second."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch


def best_seconds(run: Callable[[], object], repeats: int = 12) -> float:
    times: list[float] = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def prepare(parameters: dict[str, Any]) -> Callable[[], dict[str, np.ndarray]]:
    def products() -> float:
        size = 1024
        left, right = torch.rand(size, size), torch.rand(size, size)
        out = torch.empty(size, size)
        default = best_seconds(lambda: torch.mm(left, right, out=out))
        torch.backends.mkldnn.matmul.fp32_precision = "bf16"
        other = best_seconds(lambda: torch.mm(left, right, out=out))
        return 2 * size**3 / min(default, other)

    def copies() -> float:
        source = torch.rand(64 * 2**20 // 4)
        target = torch.empty_like(source)
        return 2 * source.nbytes / best_seconds(lambda: target.copy_(source))

    measure = products if parameters["kind"] == "flops" else copies
    return lambda: {"per_second": np.array(measure())}
