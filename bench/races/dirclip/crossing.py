"""Where compiled steps stop paying: microseconds of a gradient of one chain, compiled and as torch products.

    OMP_NUM_THREADS=1 .venv/bin/python bench/races/dirclip/crossing.py

One line a network and number of rows, on one thread, in processor time (so a busy machine does little harm): the time
to compile in seconds; of compiled steps, and of torch's with one chain and with four at once, which share products.
"""

import os
import time
from collections.abc import Callable

os.environ.setdefault("GOMP_SPINCOUNT", "0")

import torch

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian
from surefoot.inference.hamiltonian.state import leapfrog
from surefoot.inference.small.compile import this_machine
from surefoot.inference.small.target import SmallTarget
from surefoot.inference.targets.evidence import make_evidence
from surefoot.inference.targets.mlp import MlpTarget, make_mlp_target
from surefoot.inference.targets.mlp_shape import mlp_of
from surefoot.inference.targets.target import Target
from surefoot.networks.build import build_mlp
from surefoot.networks.product import measure_product, use_product
from surefoot.rows.rows import make_rows

SHAPES = (
    ((2, 10, 10, 10, 10, 10, 2), 18),
    ((10, 50, 2), 160),
    ((13, 50, 3), 1000),
    ((13, 50, 3), 10000),
    ((64, 32, 32, 10), 500),
    ((64, 50, 50, 10), 1797),
    ((64, 100, 10), 1797),
    ((64, 128, 128, 10), 1797),
    ((64, 256, 256, 10), 1797),
    ((64, 400, 400, 10), 1797),
    ((784, 200, 10), 1797),
    ((64, 64, 64, 10), 10000),
    ((64, 256, 256, 10), 10000),
)
SECONDS = 0.05


def base_of(widths: tuple[int, ...], count: int) -> MlpTarget:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(count, widths[0], generator=generator)
    targets = torch.randint(widths[-1], (count,), generator=generator)
    rows = make_rows(inputs, targets, classes=[str(label) for label in range(widths[-1])])
    network = build_mlp(widths[0], widths[1:-1], widths[-1], seed=0)
    layers = mlp_of(network, inputs)
    assert layers is not None
    return make_mlp_target(layers, make_evidence(Posterior(network, categorical, Gaussian(1.0)), rows, torch.float32))


def microseconds(target: Target, chains: int) -> float:
    """Of one step of one chain: the fastest of five bursts."""
    generator = torch.Generator().manual_seed(1)
    position, momentum = (torch.randn(chains, target.size, generator=generator) for _ in range(2))
    gradient = torch.empty_like(position)
    target.gradient(position, gradient)

    def burst(count: int) -> float:
        started = time.process_time()
        leapfrog(target, position, momentum, gradient, 1e-5, count)
        return time.process_time() - started

    count = 1
    while burst(count) < SECONDS:
        count *= 2
    return min(burst(count) for _ in range(5)) / count / chains * 1e6


def timed(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def main() -> None:
    torch.set_num_threads(1)
    machine = this_machine()
    assert machine is not None
    choice = measure_product()
    use_product(choice.name)
    print(f"torch products by {choice.name}")
    for widths, count in SHAPES:
        base = base_of(widths, count)
        target = SmallTarget(base, machine)  # whatever its size
        still = torch.zeros(1, target.size)
        compiling = timed(lambda target=target, still=still: target.gradient(still, torch.empty_like(still)))
        small, one, four = microseconds(target, 1), microseconds(base, 1), microseconds(base, 4)
        name = f"{'-'.join(str(width) for width in widths)} on {count} rows"
        print(f"{name}: {compiling:.2f} s to compile; {small:.1f} µs; torch {one:.1f}, four chains {four:.1f}")


if __name__ == "__main__":
    main()
