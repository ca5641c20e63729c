"""Mean-field VI against the known optimum for a conjugate linear regression, and its bound against the evidence."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from inference.langevin.targets import LinearRegression, Normal, regression
from surefoot.errors import InputError
from surefoot.inference.approximate import mean_field as module
from surefoot.inference.approximate.mean_field import MeanField, mean_field, normal_prior
from surefoot.inference.chains.chains import Chains
from surefoot.inference.targets.target import Terms

NOBODY: frozenset[str] = frozenset()
SETTINGS = MeanField(steps=1200, rate=0.02, draws=4000, judged=1000, pairs=4)


def values(chains: Chains) -> Tensor:
    (tensor,) = chains.as_draws().parameters.values()
    return tensor


def found(chains: Chains, name: str) -> float:
    (value,) = [finding.value for finding in chains.diagnostics if finding.name == name]
    return value


class Hidden(LinearRegression):
    """The same density, with all of it called prior: not a normal one in these coordinates any more."""

    def terms(self, position: Tensor) -> Terms:
        likelihood, prior = super().terms(position)
        return Terms(torch.zeros_like(prior), likelihood + prior)


class Tempered(LinearRegression):
    """The density to the power 1/T."""

    heat = 0.25
    quarter = math.pi / 2 * math.sqrt(heat)

    def gradient(self, position: Tensor, out: Tensor) -> None:
        super().gradient(position, out)
        out /= self.heat

    def terms(self, position: Tensor) -> Terms:
        likelihood, prior = super().terms(position)
        return Terms(likelihood / self.heat, prior / self.heat)


def like(target: LinearRegression, kind: type[LinearRegression]) -> LinearRegression:
    return kind(target.features, target.targets, target.variance)


def check_fit(chains: Chains, target: LinearRegression, heat: float = 1.0) -> None:
    """The optimum: the posterior's mean, and the inverse of the diagonal of its precision."""
    drawn, variance = values(chains), heat / target.precision.diagonal()
    # Of 4,000 draws: 4.5 standard errors, below 1e-5 for each number; 3 % for the end of the descent.
    assert ((drawn.mean(dim=0) - target.mean).abs() < (0.03 + 4.5 / 4000**0.5) * variance.sqrt()).all()
    assert ((drawn.var(dim=0) / variance - 1).abs() < 0.03 + 4.5 * math.sqrt(2 / 4000)).all()


@pytest.fixture(scope="module")
def target() -> LinearRegression:
    return regression(rows=30, size=4, seed=3)


@pytest.fixture(scope="module")
def fitted(target: LinearRegression) -> Chains:
    return mean_field(target, torch.zeros(1, 4).double(), 0, SETTINGS, seen=frozenset({"a"}))


def test_the_optimum_of_a_conjugate_regression(target: LinearRegression, fitted: Chains) -> None:
    check_fit(fitted, target)
    exact = torch.linalg.inv(target.precision).diagonal()
    assert (exact * target.precision.diagonal() > 1.1).any()  # the coordinates depend on each other, and q is narrower
    assert fitted.seen == {"a"}


def test_the_bound_is_the_evidence_minus_the_divergence_from_the_posterior(
    target: LinearRegression, fitted: Chains
) -> None:
    """KL(q ‖ posterior) = ½ (log det Λ − … ) in closed form: here ½ (Σ log Λ_ii − log det Λ) more than nothing."""
    precision = target.precision
    gap = 0.5 * (precision.diagonal().log().sum() - torch.logdet(precision)).item()
    (elbo,) = [finding for finding in fitted.diagnostics if finding.name == "elbo"]
    assert elbo.interval is not None
    # Its own 95 % interval, made twice as wide, misses with probability below 1e-4; 0.01 for the end of the descent.
    half = elbo.interval.high - elbo.value
    assert elbo.value == pytest.approx(target.log_evidence() - gap, abs=2 * half + 0.01)
    assert gap > 2 * half + 0.01  # the gap is seen
    fit_mean, fit_variance = target.mean, 1 / precision.diagonal()
    kl = 0.5 * (fit_mean.square() + fit_variance - 1 - fit_variance.log()).sum().item()
    assert found(fitted, "kl") == pytest.approx(kl, rel=0.02)


def test_a_prior_that_is_not_normal_is_averaged(target: LinearRegression) -> None:
    hidden = like(target, Hidden)
    assert normal_prior(hidden) is None
    chains = mean_field(hidden, torch.zeros(1, 4).double(), 0, SETTINGS, seen=NOBODY)
    check_fit(chains, target)
    assert {finding.name for finding in chains.diagnostics}.isdisjoint({"elbo", "kl"})
    assert math.isfinite(found(chains, "elbo_and_constant"))


def test_a_temperature_scales_all_variances(target: LinearRegression) -> None:
    cold = like(target, Tempered)
    assert normal_prior(cold) == pytest.approx(0.25)
    fitted = mean_field(cold, torch.zeros(1, 4).double(), 0, SETTINGS, seen=NOBODY)
    check_fit(fitted, target, heat=0.25)

    # The integral that the bound is of: ∫ p(y | w)^{1/T} N(w; 0, T) dw, a normal likelihood of variance σ²T but for its
    # constant. Its distance from the optimum is that without a temperature, since all variances shrink alike.
    heat, rows = 0.25, target.rows
    wide = heat * (target.features @ target.features.T + target.variance * torch.eye(rows).double())
    integral = torch.distributions.MultivariateNormal(torch.zeros(rows).double(), wide).log_prob(target.targets).item()
    integral += rows / 2 * math.log(2 * math.pi * target.variance * heat)
    integral -= rows / (2 * heat) * math.log(2 * math.pi * target.variance)
    gap = 0.5 * (target.precision.diagonal().log().sum() - torch.logdet(target.precision)).item()
    (elbo,) = [finding for finding in fitted.diagnostics if finding.name == "elbo"]
    assert elbo.interval is not None
    # Twice its own 95 % interval misses with probability below 1e-4; 0.01/T for the end of the descent.
    assert elbo.value == pytest.approx(integral - gap, abs=2 * (elbo.interval.high - elbo.value) + 0.04)
    mean, variance = target.mean, heat / target.precision.diagonal()
    kl = 0.5 * ((mean.square() + variance) / heat - 1 - (variance / heat).log()).sum().item()
    assert found(fitted, "kl") == pytest.approx(kl, rel=0.02)


def test_normal_priors_are_told_from_others() -> None:
    assert normal_prior(Normal(torch.ones(3))) == pytest.approx(1.0)
    assert normal_prior(Normal(torch.tensor([1.0, 1.0, 1.01]))) is None


def test_minibatches_reach_the_same_optimum(target: LinearRegression) -> None:
    settings = MeanField(steps=2000, rate=0.02, draws=4000, judged=2, batch=10, pairs=2)
    drawn = values(mean_field(target, target.mean[None], 0, settings, seen=NOBODY))
    variance = 1 / target.precision.diagonal()
    # The noise of the batches dies out with the rate, not wholly: a quarter of a deviation and a fifth of a variance.
    assert ((drawn.mean(dim=0) - target.mean).abs() < 0.25 * variance.sqrt()).all()
    assert ((drawn.var(dim=0) / variance - 1).abs() < 0.2).all()


class Killed(Exception):
    pass


def test_a_killed_fit_ends_with_the_same_bits(
    target: LinearRegression, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHECKPOINT_SECONDS", 0.0)
    start, settings = torch.zeros(1, 4).double(), MeanField(steps=700, batch=7, draws=20, judged=4)
    whole = mean_field(target, start, 4, settings, seen=NOBODY)
    killed_at: list[int] = []

    def kill(stage: str, done: int, total: int) -> None:
        if done not in killed_at:
            killed_at.append(done)
            raise Killed

    for _ in range(3):
        with pytest.raises(Killed):
            mean_field(target, start, 4, settings, seen=NOBODY, folder=tmp_path, progress=kill)
    resumed = mean_field(target, start, 4, settings, seen=NOBODY, folder=tmp_path, progress=kill)
    assert killed_at == [256, 512, 700]
    assert torch.equal(values(resumed), values(whole))
    assert resumed.diagnostics == whole.diagnostics


def test_what_does_not_fit_is_refused(target: LinearRegression) -> None:
    with pytest.raises(InputError, match="call once for each"):
        mean_field(target, torch.zeros(2, 4).double(), 0, MeanField(steps=1), seen=NOBODY)
    with pytest.raises(InputError, match="stopped being finite at step 1 of 50"):
        mean_field(Normal(torch.full((2,), math.nan)), torch.zeros(1, 2), 0, MeanField(steps=50), seen=NOBODY)
    with pytest.raises(InputError, match="give at least 2"):
        MeanField(steps=1, judged=1)
    with pytest.raises(InputError, match="positive"):
        MeanField(steps=1, scale=0.0)
