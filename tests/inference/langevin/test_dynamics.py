"""Stationary variances against the solution of the recursion, self-checks, and resumption to the last bit.

Statistical tests compare a variance v estimated from n independent numbers, whose standard deviation is v √(2/n), at
4.5 of these (draws are thinned until they are independent): each has a false alarm rate below 1e-5, and a fixed seed.
"""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from inference.langevin.targets import LinearRegression, Normal, gaussian_mean, regression
from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian
from surefoot.errors import InputError
from surefoot.inference.chains.chains import Chains, load_chains
from surefoot.inference.langevin import dynamics, streams, walks
from surefoot.inference.langevin.dynamics import sghmc, sgld
from surefoot.inference.langevin.motion import RmsProp
from surefoot.inference.langevin.schedules import Constant, Cyclical, SineDecay
from surefoot.inference.langevin.settings import Sghmc, Sgld
from surefoot.inference.targets.make import make_target
from surefoot.inference.targets.target import Target
from surefoot.networks.build import build_mlp
from surefoot.rows.rows import make_rows

NOBODY: frozenset[str] = frozenset()


def values(chains: Chains) -> Tensor:
    (tensor,) = chains.as_draws().parameters.values()
    return tensor  # [draws × chains, size]


def found(chains: Chains, name: str) -> float:
    (value,) = [finding.value for finding in chains.diagnostics if finding.name == name]
    return value


def close(estimate: float, truth: float, count: int) -> None:
    assert abs(estimate / truth - 1) < 4.5 * math.sqrt(2 / count), (estimate, truth)


def predicted(curvature: float, step: float, decay: float, gradient_variance: float = 0.0) -> float:
    heat = 1 + step**2 * gradient_variance / (2 * (1 - decay))
    return heat / curvature / (1 - step**2 * curvature / (2 * (1 + decay)))


@pytest.mark.parametrize(("step", "decay", "thin"), [(0.5, 0.9, 60), (0.25, 0.9, 60), (1.2, 0.5, 15), (0.5, 0.0, 30)])
def test_the_variance_of_a_normal_is_biased_as_derived_and_the_kinetic_temperature_is_one(
    step: float, decay: float, thin: int
) -> None:
    size, draws = 20_000, 25
    target = Normal(torch.ones(size))
    start = torch.randn(1, size, generator=torch.Generator().manual_seed(1))
    settings = Sghmc(Constant(draws=draws, step=step, burn_in=2 * thin, thin=thin), decay)
    chains = sghmc(target, start, 7, settings, seen=NOBODY)
    variance, count = values(chains).square().mean().item(), size * draws
    close(variance, predicted(1.0, step, decay), count)
    assert abs(variance - 1) > 7 * math.sqrt(2 / count)  # the bias is there, so the formula is tested
    # The mean momentum of a step is N(0, 1) exactly, however coarse the step; so is its square's mean one.
    close(found(chains, "kinetic_temperature"), 1.0, count)
    close(found(chains, "configurational_temperature"), predicted(1.0, step, decay), count)


def test_the_bias_falls_with_the_square_of_the_step() -> None:
    """Twice as fine a step leaves a quarter of the bias, for Langevin dynamics too (linear in its rate h²)."""
    size, draws = 40_000, 25
    bias = {}
    for step, thin in ((1.0, 8), (0.5, 30)):
        start = torch.randn(1, size, generator=torch.Generator().manual_seed(1)) * math.sqrt(predicted(1.0, step, 0.0))
        chains = sgld(Normal(torch.ones(size)), start, 3, Sgld(Constant(draws, step, thin=thin)), seen=NOBODY)
        # In 1/v the bias is exactly −h²/2.
        bias[step] = 1 - 1 / values(chains).square().mean().item()
    # Each is known to 4.5 √(2/10⁶) = 0.0064.
    assert bias[1.0] == pytest.approx(0.5, abs=0.0064)
    assert bias[0.5] == pytest.approx(0.125, abs=0.0064)


@pytest.mark.parametrize(("step", "decay"), [(0.1, 0.8), (0.05, 0.8), (0.1, 0.0)])
def test_gradient_noise_adds_the_variance_derived_and_shows_in_the_kinetic_temperature(
    step: float, decay: float
) -> None:
    chains, draws, thin, batch = 6_000, 12, 40 if step == 0.1 else 60, 4
    data = torch.randn(20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    target = gaussian_mean(data)
    noise = 20**2 / batch * data.var(correction=0).item()  # of N/B Σ_batch (y − μ), rows drawn with replacement
    start = target.mean + torch.randn(chains, 1, generator=torch.Generator().manual_seed(1)).double() / 21**0.5
    settings = Sghmc(Constant(draws, step, burn_in=thin, thin=thin), decay, batch, replacement=True)
    sampled = sghmc(target, start, 5, settings, seen=NOBODY)
    spread = (values(sampled) - target.mean).square().mean().item()
    close(spread, predicted(21.0, step, decay, noise), chains * draws)
    assert spread * 21 > 1.1  # the noise is no detail
    close(found(sampled, "kinetic_temperature"), 1 + step**2 * noise / (2 * (1 - decay)), chains * draws)
    standard_error = math.sqrt(spread / (chains * draws))
    assert values(sampled).mean().item() == pytest.approx(target.mean.item(), abs=4.5 * standard_error)


def test_shuffled_rows_heat_less_than_rows_drawn_with_replacement() -> None:
    """Within an epoch their errors cancel: most of the extra variance goes."""
    data = torch.randn(20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    target, chains, draws = gaussian_mean(data), 4_000, 10
    start = target.mean.expand(chains, 1).contiguous()
    extra = {}
    for replacement in (False, True):
        settings = Sghmc(Constant(draws, 0.1, burn_in=60, thin=40), 0.8, 4, replacement)
        spread = (values(sghmc(target, start, 5, settings, seen=NOBODY)) - target.mean).square().mean().item()
        extra[replacement] = spread / predicted(21.0, 0.1, 0.8) - 1
    # Each is known to 4.5 √(2/40,000) = 0.032.
    assert extra[True] > 0.3
    assert extra[False] < extra[True] - 0.1


def test_a_conjugate_regression_has_its_mean_and_covariance() -> None:
    target = regression(rows=50, size=3, seed=0)
    covariance = torch.linalg.inv(target.precision)
    stiffest = torch.linalg.eigvalsh(target.precision).max().item()
    step = 0.25 / math.sqrt(stiffest)
    chains, draws = 2_000, 6
    settings = Sghmc(Constant(draws, step, burn_in=600, thin=150), 0.97)
    drawn = values(sghmc(target, torch.zeros(chains, 3).double(), 2, settings, seen=NOBODY))
    # In coordinates of the posterior's own: identity, but for the bias (at most 0.25²/4 = 1.6 %).
    white = (drawn - target.mean) @ torch.linalg.cholesky(target.precision)
    assert (white.mean(dim=0).abs() < 4.5 / math.sqrt(chains * draws)).all()
    error = white.T @ white / len(white) - torch.eye(3)
    assert (error.abs() < 0.017 + 4.5 * math.sqrt(2 / (chains * draws))).all()
    assert covariance.diagonal().max() / covariance.diagonal().min() > 1.5  # no sphere


def test_a_frozen_preconditioner_samples_scales_four_orders_apart_alike() -> None:
    size, draws = 4_000, 25
    curvature = torch.tensor([1.0, 1e2, 1e4]).repeat_interleave(size)
    start = torch.randn(1, 3 * size, generator=torch.Generator().manual_seed(1)) * 3
    settings = Sghmc(Constant(draws, 0.04, burn_in=1500, thin=100), 0.9, preconditioner=RmsProp(decay=0.99), batch=None)
    drawn = values(sghmc(Normal(curvature), start, 3, settings, seen=NOBODY))
    ratios = (drawn.square() * curvature).reshape(draws, 3, size).mean(dim=(0, 2))
    # G ≈ √κ, so curvatures become √κ = 1, 10, 100, with biases 1/(1 − h² √κ / 3.8) of 1.000, 1.004 and 1.044; G is
    # itself estimated from a hundred steps, so 3 % are allowed on top.
    for ratio, root in zip(ratios.tolist(), (1.0, 10.0, 100.0), strict=True):
        assert ratio == pytest.approx(1 / (1 - 0.04**2 * root / 3.8), rel=0.03)


def test_a_moving_preconditioner_makes_draws_too_wide() -> None:
    """What is left out, Γ, is no detail: G follows the gradient of a chain that is slower than its average."""
    size, draws = 4_000, 25
    start = torch.randn(1, size, generator=torch.Generator().manual_seed(1))
    ratio = {}
    for freeze in (True, False):
        settings = Sghmc(Constant(draws, 0.04, burn_in=1500, thin=100), preconditioner=RmsProp(freeze=freeze))
        drawn = values(sghmc(Normal(torch.ones(size)), start, 3, settings, seen=NOBODY))
        ratio[freeze] = drawn.square().mean().item()
    assert ratio[True] == pytest.approx(1.0, abs=0.03)
    assert ratio[False] == pytest.approx(1.25, abs=0.08)


def test_named_tensors_start_a_run_as_positions_do() -> None:
    target, start = regression(30, 3, 1), torch.ones(2, 3).double()
    settings = settings_for("constant")
    by_name = sghmc(target, {"w": start}, 4, settings, seen=NOBODY)
    assert torch.equal(values(by_name), values(sghmc(target, start, 4, settings, seen=NOBODY)))


def test_the_preconditioner_divides_by_the_root_of_the_mean_square_and_then_stands_still() -> None:
    """Constant gradients c: G = |c| + floor from the first step, so each coordinate moves as if its slope were one."""

    class Slope(Normal):
        def gradient(self, position: Tensor, out: Tensor) -> None:
            self.calls += 1
            out.fill_(4.0 if self.calls <= 10 else 100.0)

    pacing = Cyclical(step=0.1, cycle=5, cycles=1, burn_in=10, explore=0.0, latest=1.0)
    settings = Sghmc(pacing, 0.0, preconditioner=RmsProp())
    statistics = sghmc(Slope(torch.ones(20_000)), torch.zeros(1, 20_000), 0, settings, seen=NOBODY)
    (position,) = values(statistics)
    rates = [pacing.at(step).step ** 2 for step in range(15)]
    # With γ = 0, u moves by h² ĝ/G: 4/4 in burn-in and 100/4 after it, and noise of variance 2h²/G.
    drift = sum(rates[:10]) + sum(rates[10:]) * 25
    deviation = math.sqrt(2 * sum(rates) / 4)
    assert position.mean().item() == pytest.approx(drift, abs=4.5 * deviation / math.sqrt(20_000))
    close(position.var().item(), deviation**2, 20_000)


def test_without_noise_cycles_climb() -> None:
    """Exploration alone is gradient ascent with momentum: no noise enters before a quarter of the cycle."""
    target = Normal(torch.full((3,), 4.0))
    settings = Sghmc(Cyclical(step=0.3, cycle=400, cycles=1, explore=0.8, latest=0.8025), 0.5)
    (drawn,) = values(sghmc(target, torch.full((1, 3), 5.0), 0, settings, seen=NOBODY))
    # One noisy step of at most h √(2(1 − γ)) ξ = 0.093 ξ from the mode: six standard deviations.
    assert (drawn.abs() < 0.6).all()
    assert (drawn != 0).all()


def test_langevin_dynamics_is_the_loop_one_would_write() -> None:
    target, start = regression(30, 3, 1), torch.zeros(2, 3).double()
    chains = sgld(target, start, 9, Sgld(Constant(draws=20, step=0.02)), seen=NOBODY)
    noise = streams.stream(9, streams.Purpose.NOISE)
    position, gradient = start.clone(), torch.empty_like(start)
    for drawn in values(chains).reshape(20, 2, 3):
        target.gradient(position, gradient)
        position = position + 0.02**2 * gradient + 0.02 * torch.empty_like(start).normal_(0, 2**0.5, generator=noise)
        torch.testing.assert_close(drawn, position, rtol=1e-10, atol=1e-12)


class Killed(Exception):
    pass


def settings_for(kind: str) -> Sghmc:
    pacing = {
        "constant": Constant(draws=40, step=0.02, burn_in=300, thin=17),
        "cyclical": Cyclical(step=0.05, cycle=333, cycles=3, samples=2, burn_in=100),
        "sine": SineDecay(step=0.02, steps=900),
    }[kind]
    return Sghmc(pacing, 0.9, batch=7, preconditioner=RmsProp(freeze=kind != "sine"))


@pytest.mark.parametrize("kind", ["constant", "cyclical", "sine"])
def test_a_killed_run_ends_with_the_same_bits(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamics, "CHECKPOINT_SECONDS", 0.0)
    target, start, settings = regression(30, 3, 1), torch.zeros(2, 3).double(), settings_for(kind)
    whole = sghmc(target, start, 4, settings, seen=frozenset({"a"}))

    killed_at: list[int] = []

    def kill(stage: str, done: int, total: int) -> None:
        if done not in killed_at:
            killed_at.append(done)
            raise Killed

    while True:
        try:
            resumed = sghmc(target, start, 4, settings, seen=frozenset({"a"}), folder=tmp_path / "run", progress=kill)
        except Killed:
            continue
        break
    assert len(killed_at) == math.ceil(settings.pacing.steps / walks.BLOCK)
    assert torch.equal(values(resumed), values(whole))
    for name, statistic in whole.statistics().items():
        assert torch.equal(resumed.statistics()[name], statistic)
    assert resumed.diagnostics == whole.diagnostics
    assert load_chains(tmp_path / "run").seen == {"a"}


def test_another_posterior_or_seed_does_not_resume_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamics, "CHECKPOINT_SECONDS", 0.0)
    start, settings = torch.zeros(2, 3).double(), settings_for("constant")

    def kill(stage: str, done: int, total: int) -> None:
        raise Killed

    def run(target: Target, seed: int) -> None:
        sghmc(target, start, seed, settings, seen=NOBODY, folder=tmp_path, progress=kill)

    with pytest.raises(Killed):
        run(regression(30, 3, 1), 4)
    with pytest.raises(InputError, match="another folder"):
        run(regression(30, 3, 2), 4)
    with pytest.raises(InputError, match="belongs to a run with another"):
        run(regression(30, 3, 1), 5)


def test_four_changed_labels_of_twenty_thousand_do_not_resume_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamics, "CHECKPOINT_SECONDS", 0.0)
    inputs = torch.randn(20_000, 3, generator=torch.Generator().manual_seed(0))
    labels = (inputs[:, 0] > 0).long()
    posterior = Posterior(build_mlp(3, 4, 2, seed=0), categorical, Gaussian(1.0))

    def run(labels: Tensor, kill: bool) -> Chains:
        def progress(stage: str, done: int, total: int) -> None:
            if kill:
                raise Killed

        target = make_target(posterior, make_rows(inputs, labels))
        start, settings = torch.zeros(1, target.size), Sgld(Constant(draws=300, step=1e-3), batch=10)
        return sgld(target, start, 0, settings, seen=NOBODY, folder=tmp_path, progress=progress)

    with pytest.raises(Killed):
        run(labels, kill=True)
    changed = labels.clone()
    changed[:4] = 1 - changed[:4]
    with pytest.raises(InputError, match="another folder"):
        run(changed, kill=False)
    assert run(labels, kill=False).draws == 300


def test_each_block_of_steps_has_augmentations_of_its_own() -> None:
    class Augmented(LinearRegression):
        def minibatch_gradient(
            self, position: Tensor, index: Tensor, out: Tensor, generator: torch.Generator | None = None
        ) -> None:
            assert generator is not None
            drawn.append(torch.rand(1, generator=generator).item())
            super().minibatch_gradient(position, index, out)

    drawn: list[float] = []
    plain = regression(30, 3, 1)
    settings = Sghmc(Constant(draws=2 * walks.BLOCK, step=1e-3), batch=7)
    sghmc(
        Augmented(plain.features, plain.targets, plain.variance), torch.zeros(1, 3).double(), 0, settings, seen=NOBODY
    )
    # Two of 512 floats of 24 bits are the same by chance in 0.8 % of the seeds; the second block is no first again.
    assert len(drawn) == 2 * walks.BLOCK
    assert len(set(drawn)) > 2 * walks.BLOCK - 3


def test_seeds_and_chains_differ_and_a_seed_repeats() -> None:
    target, start = regression(30, 3, 1), torch.zeros(2, 3).double()
    once, again, other = (
        values(sghmc(target, start, seed, settings_for("constant"), seen=NOBODY)) for seed in (4, 4, 5)
    )
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert not torch.equal(once[0], once[1])
    assert torch.equal(start, torch.zeros(2, 3).double())


def test_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    sghmc(regression(30, 3, 1), torch.zeros(2, 3).double(), 0, settings_for("constant"), seen=NOBODY)
    assert torch.equal(torch.get_rng_state(), before)


def test_work_is_counted() -> None:
    settings = Sghmc(Constant(draws=5, step=0.01, burn_in=10, thin=4), batch=6)
    chains = sghmc(regression(30, 3, 1), torch.zeros(2, 3).double(), 0, settings, seen=NOBODY)
    counted = {name: found(chains, name) for name in ("steps", "gradient_evaluations", "epochs")}
    assert counted == {"steps": 30.0, "gradient_evaluations": 60.0, "epochs": 6.0}


def test_a_step_too_large_names_chain_and_step() -> None:
    """γ = 0 and h²κ = 9: u grows by 8 a step; float32 ends near 8^42 ≈ 10^38."""
    start = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    with pytest.raises(InputError, match=r"chain [12] stopped being finite at step 4\d of 300 .*try a step of 1\.5"):
        sghmc(Normal(torch.ones(2)), start, 0, Sghmc(Constant(draws=300, step=3.0), 0.0), seen=NOBODY)


def bad_start(start: Tensor, settings: Sghmc, target: Target | None = None) -> None:
    sghmc(Normal(torch.ones(2)) if target is None else target, start, 0, settings, seen=NOBODY)


def test_what_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    fine = Sghmc(Constant(draws=3, step=0.1))
    with pytest.raises(InputError, match=r"\[chains, 2\]"):
        bad_start(torch.zeros(1, 3), fine)
    with pytest.raises(InputError, match="chain 2 is not finite"):
        bad_start(torch.tensor([[0.0, 0.0], [0.0, math.nan]]), fine)
    with pytest.raises(InputError, match="leave batch out"):
        bad_start(torch.zeros(1, 2), Sghmc(Constant(draws=3, step=0.1), batch=2))
    with pytest.raises(InputError, match="between 1 and all"):
        bad_start(torch.zeros(1, 3).double(), Sghmc(Constant(draws=3, step=0.1), batch=31), regression(30, 3, 0))
    with pytest.raises(InputError, match="give a folder"):
        bad_start(torch.zeros(1, 2), Sghmc(Constant(draws=10**13, step=0.1)))
    with pytest.raises(InputError, match="frozen after burn-in"):
        Sghmc(Constant(draws=3, step=0.1), preconditioner=RmsProp())
    with pytest.raises(InputError, match="one minus the friction"):
        Sghmc(Constant(draws=3, step=0.1), decay=1.0)
    with pytest.raises(InputError, match="give a batch size"):
        bad_start(torch.zeros(1, 2), Sghmc(Constant(draws=3, step=0.1), replacement=True))


def test_the_regression_of_these_tests_is_consistent() -> None:
    """Its minibatch gradient is unbiased, and its gradient is that of its terms."""
    target: LinearRegression = regression(12, 3, 0)
    position = torch.randn(2, 3, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    terms = target.terms(position)
    (by_autograd,) = torch.autograd.grad((terms.likelihood + terms.prior).sum(), position)
    whole, part = torch.empty(2, 3).double(), torch.empty(2, 3).double()
    target.gradient(position.detach(), whole)
    torch.testing.assert_close(whole, by_autograd)
    mean = torch.zeros_like(whole)
    for first in range(0, 12, 4):
        target.minibatch_gradient(position.detach(), torch.arange(first, first + 4).expand(2, 4), part)
        mean += part / 3
    torch.testing.assert_close(mean, whole)
