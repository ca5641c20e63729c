"""Many Langevin steps in machine code: the steps that one writes with the torch target's gradients, and their law."""

import math
from pathlib import Path

import pytest
import torch
from small_examples import UNIT, positions, posterior_of, rows_of, target_of
from torch import Tensor

from surefoot.density.functional import DirClip, Functional
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian
from surefoot.density.regression import GaussianNoise
from surefoot.errors import InputError
from surefoot.inference.langevin import dynamics, streams, walks
from surefoot.inference.langevin.dynamics import sghmc, sgld
from surefoot.inference.langevin.minibatches import Minibatches, each_batch
from surefoot.inference.langevin.motion import RmsProp
from surefoot.inference.langevin.schedules import Constant, Cyclical
from surefoot.inference.langevin.settings import Sghmc, Sgld
from surefoot.inference.small.sizes import Machine
from surefoot.inference.small.target import SmallTarget
from surefoot.inference.targets.make import make_target
from surefoot.networks.build import build_linear, build_mlp
from surefoot.rows.rows import Rows, make_rows

pytest.importorskip("llvmlite")

NOBODY: frozenset[str] = frozenset()
NUMBERS = make_rows(torch.randn(40, 3, generator=torch.Generator().manual_seed(5)).double(), torch.arange(40) / 20.0)
KEY = 0x123456789ABCDEF


def stepped(target: SmallTarget, u: Tensor, m: Tensor, index: Tensor, paces: Tensor, noise: Tensor) -> list[Tensor]:
    """The same steps by hand, with this noise `[chains, steps, size]`; position, momentum and what is told."""
    told = []
    for step, (h, spread) in enumerate(paces.tolist()):
        gradient = torch.empty_like(u)
        target.base.minibatch_gradient(u, index[:, step], gradient)
        earlier, before = m, u
        m = 0.8 * m + h * gradient + spread * noise[:, step]
        u = u + h * m
        told.append(torch.stack([u.sum(1), (before * gradient).sum(1), ((earlier + m) / 2).square().sum(1)], dim=1))
    return [u, m, torch.stack(told, dim=1)]


@pytest.mark.parametrize("count", [1, 13, 16])
@pytest.mark.parametrize(
    ("given", "rows"),
    [
        (posterior_of((3, 17, 4)), rows_of(40, 3, 4, weighted=True)),
        (posterior_of((3, 6, 5, 4), Gaussian(4.0), posterior_temperature=0.3), rows_of(40, 3, 4, soft=True)),
        (posterior_of((3, 6, 4), functional=Functional(DirClip(0.6, -10.0))), rows_of(40, 3, 4)),
        (Posterior(build_mlp(3, (6,), 1, seed=0), GaussianNoise(0.5), UNIT), NUMBERS),
    ],
)
def test_steps_are_those_by_hand(given: Posterior, rows: Rows, count: int) -> None:
    target = target_of(given, rows, torch.float64)
    generator = torch.Generator().manual_seed(count)
    start, momentum = positions(target, 3), torch.randn(3, target.size, generator=generator).double()
    index = torch.randint(40, (3, 5, count), generator=generator)
    paces = torch.tensor([[0.01, 0.0], [0.02, 0.0], [0.01, 0.7], [0.0, 0.0], [0.03, 0.5]]).double()
    # The noise itself, seen from steps of length zero without memory: m′ = σ ξ.
    seen, still = torch.zeros(3, 5, target.size).double(), torch.tensor([[0.0, 1.0]]).double()
    for step in range(5):
        u, m = start.clone(), torch.zeros_like(momentum)
        target.langevin(u, m, index[:, step : step + 1], still, 0.0, KEY, 7 + step)
        seen[:, step] = m
    expected = stepped(target, start, momentum, index, paces, seen)
    u, m = start.clone(), momentum.clone()
    told = target.langevin(u, m, index, paces, 0.8, KEY, 7)
    for ours, theirs in zip((u, m, told), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def test_noise_differs_between_steps_chains_keys_and_coordinates_and_fills_no_padding() -> None:
    target = target_of(posterior_of((3, 17, 4)), rows_of(40, 3, 4), torch.float32)

    def noise(key: int, first: int, chains: int) -> Tensor:
        u, m = torch.zeros(chains, target.size), torch.zeros(chains, target.size)
        index = torch.zeros(chains, 1, 4, dtype=torch.int64)
        target.langevin(u, m, index, torch.tensor([[0.0, 1.0]]), 0.0, key, first)
        return m

    base = noise(KEY, 0, 2)
    drawn = [base[0], base[1], noise(KEY, 1, 1)[0], noise(KEY + 1, 0, 1)[0], noise(KEY + 2**32, 0, 1)[0]]
    together = torch.cat(drawn)
    assert len(together.unique()) == len(together)
    assert torch.equal(base[0], noise(KEY, 0, 1)[0])
    # Of some hundred coordinates each pair of streams has a correlation of standard deviation 1/√size.
    correlations = torch.corrcoef(torch.stack(drawn)).fill_diagonal_(0.0)
    assert correlations.abs().max() < 4.5 / math.sqrt(target.size)


def test_a_batchs_gradient_does_not_change_what_padding_holds() -> None:
    """Noise in the weights of units that do not exist would reach the logits after some steps."""
    target = target_of(posterior_of((3, 17, 4)), rows_of(40, 3, 4), torch.float64)
    index, paces = torch.randint(40, (1, 50, 8), generator=torch.Generator().manual_seed(1)), torch.ones(50, 2) * 0.3
    u, m = positions(target, 1), torch.zeros(1, target.size).double()
    target.langevin(u, m, index, paces.double() * torch.tensor([0.1, 1.0]), 0.9, KEY, 0)
    room = target._batch(8).make_room()  # pyright: ignore[reportPrivateUsage]
    batch = target._batch(8)  # pyright: ignore[reportPrivateUsage]
    room.arrays[0][batch.slots] = u[0]
    batch.run(room, index[0], paces.double(), 0.9, (1, 2), 0, 0)
    padding = torch.ones(len(room.arrays[0]), dtype=torch.bool)
    padding[batch.slots] = False
    assert padding.any()
    assert (room.arrays[:2, padding] == 0).all()


def values(target: SmallTarget, settings: Sghmc, seed: int = 3, chains: int = 2, **given: object) -> Tensor:
    run = sghmc(target, positions(target, chains), seed, settings, seen=NOBODY, **given)  # pyright: ignore[reportArgumentType]
    return torch.cat([tensor.flatten(1) for _, tensor in sorted(run.as_draws().parameters.items())], dim=1)


PACINGS = [
    Constant(draws=30, step=0.02, burn_in=200, thin=11),
    Constant(draws=300, step=0.02),
    Cyclical(step=0.05, cycle=333, cycles=2, samples=2, burn_in=100),
]


@pytest.mark.parametrize("pacing", PACINGS)
def test_a_killed_run_ends_with_the_same_bits(
    pacing: Constant | Cyclical, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamics, "CHECKPOINT_SECONDS", 0.0)
    target, settings = target_of(posterior_of((3, 6, 4)), rows_of(40, 3, 4), torch.float32), Sghmc(pacing, batch=7)
    whole, stopped = values(target, settings), set[int]()

    def kill(stage: str, done: int, total: int) -> None:
        if done not in stopped:
            stopped.add(done)
            raise KeyboardInterrupt

    while True:
        try:
            resumed = values(target, settings, folder=tmp_path / "run", progress=kill)
        except KeyboardInterrupt:
            continue
        break
    assert len(stopped) == math.ceil(pacing.steps / walks.BLOCK)
    assert torch.equal(resumed, whole)


def test_a_processor_with_other_vectors_does_not_go_on_with_other_noise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamics, "CHECKPOINT_SECONDS", 0.0)
    base = target_of(posterior_of((3, 6, 4)), rows_of(40, 3, 4), torch.float32).base
    wide, narrow = SmallTarget(base, Machine(32, 16)), SmallTarget(base, Machine(16, 32))
    settings = Sghmc(Constant(draws=300, step=0.02), batch=7)
    assert not torch.equal(values(wide, settings), values(narrow, settings))

    def kill(stage: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        values(wide, settings, folder=tmp_path, progress=kill)
    with pytest.raises(InputError, match="drew noise by vectors of 8 numbers and this processor draws by 4, which"):
        values(narrow, settings, folder=tmp_path)
    assert torch.equal(values(wide, settings, folder=tmp_path), values(wide, settings))


def test_draws_do_not_depend_on_thinning_threads_or_other_chains(monkeypatch: pytest.MonkeyPatch) -> None:
    target = target_of(posterior_of((3, 6, 4)), rows_of(40, 3, 4), torch.float32)
    often, seldom = Constant(draws=300, step=0.02), Constant(draws=30, step=0.02, thin=10)
    each = values(target, Sghmc(often, batch=7)).view(300, 2, -1)
    assert torch.equal(values(target, Sghmc(seldom, batch=7)).view(30, 2, -1), each[9::10])
    monkeypatch.setattr("surefoot.inference.small.target.WORTH_A_THREAD", 0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert torch.equal(values(target, Sghmc(often, batch=7)).view(300, 2, -1), each)


def test_a_preconditioner_is_run_step_by_step_with_torchs_noise() -> None:
    target = target_of(posterior_of((3, 6, 4)), rows_of(40, 3, 4), torch.float32)
    settings = Sghmc(Constant(draws=5, step=0.01, burn_in=50), batch=7, preconditioner=RmsProp())
    plain = Sghmc(settings.pacing, batch=7)
    assert values(target, settings).isfinite().all()
    assert not torch.equal(values(target, settings), values(target, plain))


@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_a_regressions_posterior_is_sampled_with_its_variances(decay: float) -> None:
    """64 chains of 100 draws; lags are counted in, so the mean of 5 ratios of variances is known to 2 % or better."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(400, 4, generator=generator)
    noise, truth = 8.0, torch.randn(4, generator=generator)
    targets = inputs @ truth + noise * torch.randn(400, generator=generator)
    rows = make_rows(inputs, targets)
    target = make_target(Posterior(build_linear(4, 1, seed=0), GaussianNoise(noise), UNIT), rows)
    assert isinstance(target, SmallTarget)
    design = torch.cat([inputs, torch.ones(400, 1)], dim=1).double()
    exact = torch.linalg.inv(design.T @ design / noise**2 + torch.eye(5).double())
    pacing = Constant(draws=100, step=0.03, burn_in=1_000, thin=60)
    if not decay:
        pacing = Constant(draws=100, step=0.1, burn_in=1_000, thin=40)
    settings = Sghmc(pacing, decay, batch=200) if decay else Sgld(pacing, batch=200)
    sample = sghmc if isinstance(settings, Sghmc) else sgld
    run = sample(target, torch.zeros(64, target.size), 0, settings, seen=NOBODY)  # pyright: ignore[reportArgumentType]
    drawn = run.as_draws().parameters
    flat = torch.cat([drawn["head.weight"].flatten(1), drawn["head.bias"].flatten(1)], dim=1).double()
    mean = exact @ design.T @ targets.double() / noise**2
    ratio = (flat - mean).square().mean(0) / exact.diagonal()
    kinetic = {finding.name: finding.value for finding in run.diagnostics}["kinetic_temperature"]
    # Gradient noise and step size widen by O(h²): told by the kinetic temperature and the known curvature.
    curvature = 1 / exact.diagonal().mean()
    widened = kinetic / (1 - pacing.step**2 * curvature / (2 * (1 + decay)))
    assert abs(ratio.mean() / widened - 1) < 0.05
    # Gradient noise adds h² V / (2 (1 − γ)), which is below a hundredth here.
    assert abs(kinetic - 1) < 0.02


def test_a_run_is_its_steps_one_by_one_with_their_own_paces() -> None:
    """Cyclical, noise off and on, over two blocks: against steps asked for one at a time."""
    target = target_of(posterior_of((3, 6, 4)), rows_of(40, 3, 4), torch.float32)
    pacing = Cyclical(step=0.05, cycle=180, cycles=2, samples=2, burn_in=10)
    drawn = values(target, Sghmc(pacing, 0.8, batch=7), seed=5)
    start, seed, wide = positions(target, 2), 5, math.sqrt(2 * (1 - 0.8))
    u, m = start.clone(), torch.empty_like(start)
    m.normal_(generator=streams.stream(seed, streams.Purpose.MOMENTUM, 0))
    batches = each_batch(Minibatches(40, 7, 2, seed))
    kept: list[Tensor] = []
    for step in range(pacing.steps):
        pace = pacing.at(step)
        paces = torch.tensor([[pace.step, pace.noise * wide]])
        index = next(batches)[:, None]
        target.langevin(u, m, index, paces, 0.8, streams.key_of(seed, streams.Purpose.NOISE), step)
        if pacing.keeps(step):
            kept.append(torch.cat([t.flatten(1) for _, t in sorted(target.parameters(u).items())], dim=1))
    assert torch.equal(drawn, torch.cat(kept))
    assert {pacing.at(step).noise for step in range(pacing.steps)} == {0.0, 1.0}


def test_noise_does_not_come_again_after_four_billion_steps() -> None:
    target = target_of(posterior_of((3, 6, 4)), rows_of(40, 3, 4), torch.float32)
    drawn: list[Tensor] = []
    for first in (5, 5 + 2**32):
        u, m = torch.zeros(1, target.size), torch.zeros(1, target.size)
        target.langevin(u, m, torch.zeros(1, 1, 4, dtype=torch.int64), torch.tensor([[0.0, 1.0]]), 0.0, KEY, first)
        drawn.append(m)
    assert not (drawn[0] == drawn[1]).any()


def test_a_chain_that_leaves_the_numbers_is_named_with_its_step() -> None:
    target = target_of(posterior_of((3, 6, 4)), rows_of(40, 3, 4), torch.float32)
    with pytest.raises(InputError, match=r"chain 1 stopped being finite at step \d+ of 300"):
        values(target, Sghmc(Constant(draws=3, step=30.0, thin=100), batch=7))
