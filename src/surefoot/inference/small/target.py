"""The target of a small ReLU network: another target's density, with gradients and trajectories in machine code."""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from threading import Event

import torch
from jaxtyping import Float, Int
from torch import Tensor

from surefoot.errors import InputError
from surefoot.inference.small.batch import BatchCode, make_batch_code
from surefoot.inference.small.compile import Leapfrogs, compile_leapfrogs, this_machine
from surefoot.inference.small.facts import facts_of, sizes_of, slots_of
from surefoot.inference.small.fitting import why_not_small
from surefoot.inference.small.sizes import Machine, Plan, make_plan
from surefoot.inference.small.turns import turns
from surefoot.inference.targets.mlp import MlpTarget
from surefoot.inference.targets.target import Terms
from surefoot.networks.network import Parameters

__all__ = ["SmallTarget", "small_target"]

WORTH_A_THREAD = 10**8
"""Floating-point operations of a trajectory from which it is shared among threads: about two milliseconds."""


@dataclass(frozen=True)
class SmallTarget:
    """A target that offers whole trajectories; see `WholeTrajectories` and `MinibatchTarget`.

    The density and the meaning of positions are `base`'s. Gradients and trajectories run in machine code, which the
    first call compiles, on as many threads as torch has and at most one a chain; their bits do not depend on that
    number, nor on which chains run together. Minibatches' gradients too, on one thread; they have buffers, which one
    thread at a time may use.
    """

    base: MlpTarget
    machine: Machine
    _batches: dict[int, BatchCode] = field(default_factory=dict[int, BatchCode], init=False, repr=False, compare=False)
    _idle: list[Tensor] = field(default_factory=list[Tensor], init=False, repr=False, compare=False)

    @property
    def size(self) -> int:
        """Numbers in one position."""
        return self.base.size

    @property
    def rows(self) -> int:
        """N, all rows of the posterior."""
        return self.base.rows

    @property
    def quarter(self) -> float:
        """A quarter period of the prior oscillator: (π/2)·√T."""
        return self.base.quarter

    @property
    def dtype(self) -> torch.dtype:
        """Of positions and gradients; densities are summed in float64."""
        return self.base.dtype

    @cached_property
    def plan(self) -> Plan:
        """Sizes, and where everything lies."""
        return make_plan(sizes_of(self.base), self.machine)

    def gradient(self, position: Float[Tensor, "chains size"], out: Float[Tensor, "chains size"]) -> None:
        """∇ log density, tempered, written to `out`."""
        still = torch.zeros_like(position)
        self._run(position.clone(), still, out, 0.0, 1)

    def trajectory(
        self,
        position: Float[Tensor, "chains size"],
        momentum: Float[Tensor, "chains size"],
        gradient: Float[Tensor, "chains size"],
        step: float,
        count: int,
    ) -> None:
        """`count` leapfrog steps of size `step` for every chain, in place."""
        if count < 1:
            raise InputError(f"A trajectory of {count} steps was asked for; it takes at least one.")
        momentum.add_(gradient, alpha=step / 2)
        self._run(position, momentum, gradient, step, count)
        momentum.sub_(gradient, alpha=step / 2)

    def terms(self, position: Float[Tensor, "chains size"]) -> Terms:
        """The log density itself."""
        return self.base.terms(position)

    def parameters(self, position: Float[Tensor, "chains size"]) -> Parameters:
        """Named parameters `[chains, …]` of these positions; copies."""
        return self.base.parameters(position)

    def position(self, parameters: Parameters) -> Float[Tensor, "chains size"]:
        """The inverse of `parameters`: named tensors `[chains, …]` as positions."""
        return self.base.position(parameters)

    def minibatch_gradient(
        self,
        position: Float[Tensor, "chains size"],
        index: Int[Tensor, "chains batch"],
        out: Float[Tensor, "chains size"],
        generator: torch.Generator | None = None,
    ) -> None:
        """∇ [ (N/B) Σ_batch log likelihood + log prior ], tempered, for each chain its own rows.

        In machine code for batches of this size, which their first call compiles; `base`'s where rows are augmented.
        """
        if not self.steps_whole:
            self.base.minibatch_gradient(position, index, out, generator)
            return
        batch = self._batch(index.shape[1])
        for chain in range(len(position)):
            batch.gradient(position[chain], index[chain], out[chain])

    @property
    def steps_whole(self) -> bool:
        """Whether `langevin` is to be had: where rows are augmented it is not."""
        return self.base.evidence.posterior.augmentation is None

    @property
    def vectors(self) -> int:
        """Numbers in a vector; batches of all sizes have the same."""
        return self.plan.lanes

    def langevin(
        self,
        position: Float[Tensor, "chains size"],
        momentum: Float[Tensor, "chains size"],
        index: Int[Tensor, "chains steps batch"],
        paces: Float[Tensor, "steps 2"],
        decay: float,
        key: int,
        first: int,
    ) -> Float[Tensor, "chains steps 3"]:
        """Many Langevin steps for every chain, in place; see `WholeSteps`. The chains share torch's threads."""
        chains, steps, count = index.shape
        batch, keys = self._batch(count), (key & 0xFFFFFFFF, key >> 32)

        def run(chain: int) -> Tensor:
            room = batch.make_room()
            room.arrays[0][batch.slots], room.arrays[1][batch.slots] = position[chain], momentum[chain]
            told = batch.run(room, index[chain], paces, decay, keys, first, chain)
            position[chain], momentum[chain] = room.arrays[0][batch.slots], room.arrays[1][batch.slots]
            return told

        workers = min(chains, torch.get_num_threads())
        if workers == 1 or 6 * self.size * count * chains * steps < WORTH_A_THREAD:
            return torch.stack([run(chain) for chain in range(chains)])
        with ThreadPoolExecutor(workers) as pool:
            return torch.stack(list(pool.map(run, range(chains))))

    def _batch(self, count: int) -> BatchCode:
        if count not in self._batches:
            self._batches[count] = make_batch_code(self.base, self.plan, self._facts, self.machine, count)
        return self._batches[count]

    @cached_property
    def _leapfrogs(self) -> Leapfrogs:
        return compile_leapfrogs(self.plan)

    @cached_property
    def _facts(self) -> Tensor:
        return facts_of(self.base, self.plan)

    @cached_property
    def _slots(self) -> Int[Tensor, "size"]:
        return slots_of(self.base, self.plan)

    def _run(self, position: Tensor, momentum: Tensor, gradient: Tensor, step: float, count: int) -> None:
        """`count` times: drift, gradient, whole kick."""
        chains, plan = len(position), self.plan
        flat = torch.zeros(3, chains, plan.size, dtype=self.dtype)
        places = self._slots.expand(chains, -1)
        flat[0].scatter_(1, places, position)
        flat[1].scatter_(1, places, momentum)
        operations = 6 * plan.size * plan.sizes.rows * chains * count
        workers = torch.get_num_threads() if operations >= WORTH_A_THREAD else 1
        lists = turns(chains, count, workers)
        begun = [Event() for _ in range(chains)]

        call, facts = self._leapfrogs.call, self._facts  # made before any thread starts

        def run(worker: int) -> None:
            with self._work() as work:
                for turn in lists[worker]:
                    if turn.first:
                        begun[turn.chain].wait()
                    arrays = (*flat[:, turn.chain], facts, work)
                    at, kicked, slope, rows, room = (array.data_ptr() for array in arrays)
                    call(at, kicked, slope, rows, room, step, turn.last - turn.first)
                    begun[turn.chain].set()

        if len(lists) == 1:
            run(0)
        else:
            with ThreadPoolExecutor(len(lists)) as pool:
                list(pool.map(run, range(len(lists))))
        for array, out in zip(flat, (position, momentum, gradient), strict=True):
            torch.gather(array, 1, places, out=out)

    @contextmanager
    def _work(self) -> Generator[Float[Tensor, "_"]]:
        """The code's own numbers, kept from call to call: new pages of memory would cost time each."""
        try:
            work = self._idle.pop()
        except IndexError:
            work = torch.zeros(self.plan.work, dtype=self.dtype)
        yield work
        self._idle.append(work)


def small_target(base: MlpTarget) -> SmallTarget:
    """The same target with compiled trajectories.

    Raises `InputError` with the reason when there is no such code for its network, likelihood, priors or processor.

    >>> from surefoot.density.likelihoods import categorical
    >>> from surefoot.density.objective import Posterior
    >>> from surefoot.density.priors import Gaussian
    >>> from surefoot.inference.targets.evidence import make_evidence
    >>> from surefoot.inference.targets.mlp import make_mlp_target
    >>> from surefoot.inference.targets.mlp_shape import mlp_of
    >>> from surefoot.networks.build import build_mlp
    >>> from surefoot.rows.toys import dirclip_toy
    >>> rows, network = dirclip_toy(), build_mlp(2, (10,) * 5, 2, seed=0)
    >>> posterior = Posterior(network, categorical, Gaussian(1.0))
    >>> base = make_mlp_target(mlp_of(network, rows.inputs[:]), make_evidence(posterior, rows, torch.float32))
    >>> small_target(base).size
    492
    """
    reason = why_not_small(base)
    if reason is not None:
        raise InputError(f"Compiled trajectories are not to be had: {reason}; use the torch target.")
    machine = this_machine()
    assert machine is not None
    return SmallTarget(base, machine)
