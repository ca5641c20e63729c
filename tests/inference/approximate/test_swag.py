"""SWAG: moments of recorded positions against numpy, draws against the stated covariance, the walk against torch."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from inference.langevin.targets import LinearRegression, regression
from surefoot.errors import InputError
from surefoot.inference.approximate import swag as module
from surefoot.inference.approximate.swag import Moments, Swag, draw, no_moments, record, swag
from surefoot.inference.chains.chains import Chains

NOBODY: frozenset[str] = frozenset()


def values(chains: Chains) -> Tensor:
    (tensor,) = chains.as_draws().parameters.values()
    return tensor


def recorded(positions: Tensor, rank: int) -> Moments:
    moments = no_moments(positions[0])
    for position in positions:
        moments = record(moments, position, rank)
    return moments


def test_moments_are_those_of_the_recorded_positions() -> None:
    positions = torch.randn(30, 2, 5, generator=torch.Generator().manual_seed(0)) * 1e-4 + 3.0
    moments = recorded(positions, rank=6)
    plain = positions.double().numpy()
    np.testing.assert_allclose(moments.mean.numpy(), plain.mean(axis=0), rtol=1e-12)
    # Relative to a spread of 1e-8 beside squares of 9: float32 sums of squares would have no digit right.
    np.testing.assert_allclose(moments.variance.numpy(), plain.var(axis=0), rtol=1e-6)
    for column, number in enumerate(range(24, 30)):  # deviations from the mean of the positions up to each
        expected = plain[number] - plain[: number + 1].mean(axis=0)
        np.testing.assert_allclose(moments.deviations[:, column].numpy(), expected, atol=1e-9)


def test_draws_have_half_the_diagonal_and_half_the_low_rank_covariance() -> None:
    size, rank, count = 3, 4, 40_000
    generator = torch.Generator().manual_seed(1)
    walk = torch.randn(12, 1, size, generator=generator, dtype=torch.float64).cumsum(dim=0)
    moments = recorded(walk, rank)
    together = Moments(*(part.expand(count, *part.shape[1:]) for part in (moments.mean, moments.spread)),
                       moments.deviations.expand(count, rank, size), moments.count)  # fmt: skip
    drawn = draw(together, torch.Generator().manual_seed(2))
    deviations = moments.deviations[0].T
    covariance = (moments.variance[0].diag() + deviations @ deviations.T / (rank - 1)) / 2
    errors = (drawn.T.cov() - covariance).abs()
    # A covariance of n normal draws has standard deviation √((c_ij² + c_ii c_jj)/n); nine at 4.5: below 1e-4.
    variances = covariance.diagonal()
    assert (errors < 4.5 * ((covariance**2 + variances[:, None] * variances) / count).sqrt()).all()
    assert ((drawn.mean(dim=0) - moments.mean[0]).abs() < 4.5 * (variances / count).sqrt()).all()


def test_the_walk_is_stochastic_gradient_descent_on_the_mean_loss() -> None:
    target, rate, decay = regression(20, 3, 0), 0.03, 0.8
    settings = Swag(rate, recorded=4, every=5, burn_in=10, rank=4, draws=3000, decay=decay)
    drawn = values(swag(target, torch.zeros(1, 3).double(), 0, settings, seen=NOBODY))
    point = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    optimiser, positions = torch.optim.SGD([point], lr=rate, momentum=decay), []
    for step in range(1, 31):
        gradient = torch.empty(1, 3, dtype=torch.float64)
        target.gradient(point.detach(), gradient)
        point.grad = -gradient / target.rows
        optimiser.step()
        if step in (15, 20, 25, 30):
            positions.append(point.detach().clone())
    moments = recorded(torch.stack(positions), 4)
    low = moments.deviations[0].square().sum(dim=0) / 3
    deviation = ((moments.variance[0] + low) / 2).sqrt()
    assert ((drawn.mean(dim=0) - moments.mean[0]).abs() < 4.5 * deviation / 3000**0.5).all()
    assert ((drawn.var(dim=0) / deviation**2 - 1).abs() < 4.5 * math.sqrt(2 / 3000)).all()


def test_chains_are_walks_of_their_own() -> None:
    target = regression(20, 3, 0)
    start = torch.stack([target.mean, target.mean])
    settings = Swag(0.05, recorded=30, every=4, rank=5, draws=200, batch=5)
    chains = swag(target, start, 0, settings, seen=frozenset({"a"}))
    drawn = values(chains).reshape(200, 2, 3)
    assert not torch.equal(drawn[:, 0], drawn[:, 1])
    assert (drawn.std(dim=0) > 1e-3).all()  # batches of five of twenty rows keep it walking
    assert chains.seen == {"a"}
    assert {finding.name: finding.value for finding in chains.diagnostics}["recorded"] == 30.0


def test_each_step_has_augmentations_of_its_own() -> None:
    class Augmented(LinearRegression):
        def minibatch_gradient(
            self, position: Tensor, index: Tensor, out: Tensor, generator: torch.Generator | None = None
        ) -> None:
            assert generator is not None
            drawn.append(torch.rand(1, generator=generator).item())
            super().minibatch_gradient(position, index, out)

    drawn: list[float] = []
    plain = regression(20, 3, 0)
    target = Augmented(plain.features, plain.targets, plain.variance)
    swag(target, torch.zeros(1, 3).double(), 0, Swag(0.01, recorded=5, every=4, rank=2, draws=1, batch=5), seen=NOBODY)
    assert len(drawn) == len(set(drawn)) == 20


class Killed(Exception):
    pass


def test_a_killed_walk_ends_with_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHECKPOINT_SECONDS", 0.0)
    target, start = regression(20, 3, 0), torch.zeros(2, 3).double()
    settings = Swag(0.05, recorded=6, every=7, burn_in=9, rank=3, draws=8, batch=6)
    whole = swag(target, start, 2, settings, seen=NOBODY)
    killed_at: list[int] = []

    def kill(stage: str, done: int, total: int) -> None:
        if done not in killed_at:
            killed_at.append(done)
            raise Killed

    for _ in range(6):
        with pytest.raises(Killed):
            swag(target, start, 2, settings, seen=NOBODY, folder=tmp_path, progress=kill)
    resumed = swag(target, start, 2, settings, seen=NOBODY, folder=tmp_path, progress=kill)
    assert killed_at == [16, 23, 30, 37, 44, 51]
    assert torch.equal(values(resumed), values(whole))
    assert resumed.diagnostics == whole.diagnostics


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match="give a rank from 2"):
        Swag(0.1, recorded=3, every=1, rank=4)
    with pytest.raises(InputError, match="positive learning rate"):
        Swag(0.0, recorded=3, every=1, rank=2)
    with pytest.raises(InputError, match="record at least 2"):
        draw(recorded(torch.zeros(1, 1, 2), 2), torch.Generator())
    target, settings = regression(20, 3, 0), Swag(1e4, recorded=400, every=1, rank=2)
    with pytest.raises(InputError, match=r"chain 1 stopped being finite by step \d+"):
        swag(target, torch.ones(1, 3).double(), 0, settings, seen=NOBODY)
