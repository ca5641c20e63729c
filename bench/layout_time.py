"""Where the demo's network spends its time: images channels first or last, ReLU before the pooling or after it.

python bench/layout_time.py      milliseconds of a training step of 64 and of 512 rows forwards, medians of 5
"""

import time
from collections.abc import Callable
from statistics import median

import torch
from torch import nn

LAYOUTS = {"channels first": torch.contiguous_format, "channels last": torch.channels_last}


def network(pool_first: bool) -> nn.Sequential:
    torch.manual_seed(0)
    after: list[nn.Module] = [nn.MaxPool2d(2), nn.ReLU()] if pool_first else [nn.ReLU(), nn.MaxPool2d(2)]
    convolutions = [nn.Conv2d(1, 16, 3, padding=1), *after, nn.Conv2d(16, 32, 3, padding=1), *after]
    return nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(32 * 7 * 3, 64), nn.ReLU(), nn.Linear(64, 2))


def work(pool_first: bool, layout: torch.memory_format, rows: int, train: bool) -> Callable[[], None]:
    net, inputs, targets = network(pool_first), torch.rand(rows, 1, 28, 14), torch.randint(2, (rows,))
    for part in net.parameters():
        if part.ndim == 4:
            part.data = part.data.clone(memory_format=layout)

    def run() -> None:
        with torch.set_grad_enabled(train):
            logits = net(inputs.contiguous(memory_format=layout))
        if train:
            net.zero_grad()
            nn.functional.cross_entropy(logits, targets).backward()

    return run


def milliseconds(run: Callable[[], None], times: int = 30) -> float:
    run()
    began = time.process_time()
    for _ in range(times):
        run()
    return (time.process_time() - began) / times * 1e3


if __name__ == "__main__":
    torch.set_num_threads(1)
    for rows, train in ((64, True), (512, False)):
        for name, layout in LAYOUTS.items():
            for pool_first in (False, True):
                run = work(pool_first, layout, rows, train)
                taken = median(milliseconds(run) for _ in range(5))
                order = "pooling first" if pool_first else "ReLU first"
                print(f"{'a step of' if train else 'forwards'} {rows}, {name}, {order}: {taken:.1f} ms")
