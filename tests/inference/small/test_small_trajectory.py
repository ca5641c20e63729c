"""Compiled trajectories are those of single steps, whoever runs them, and HMC accepts them alike."""

import pytest
import torch
from small_examples import positions, posterior_of, rows_of, target_of

from surefoot.density.functional import DirClip, Functional
from surefoot.errors import InputError
from surefoot.inference.hamiltonian.hmc import hmc
from surefoot.inference.hamiltonian.settings import Hmc
from surefoot.inference.hamiltonian.state import leapfrog
from surefoot.inference.small import target as module
from surefoot.inference.small.protocol import WholeTrajectories
from surefoot.inference.small.target import SmallTarget

pytest.importorskip("llvmlite")


@pytest.fixture(scope="module")
def doubles() -> SmallTarget:
    return target_of(
        posterior_of((2, 8, 8, 3), functional=Functional(DirClip(0.5, -10.0))), rows_of(18, 2, 3), torch.float64
    )


@pytest.fixture(scope="module")
def floats(doubles: SmallTarget) -> SmallTarget:
    evidence = doubles.base.evidence
    return target_of(evidence.posterior, evidence.rows, torch.float32)


def moved(target: object, at: torch.Tensor, step: float, count: int, seed: int = 3) -> tuple[torch.Tensor, ...]:
    """Position, momentum and gradient at the end of a trajectory from `at`."""
    assert hasattr(target, "gradient")
    position, gradient = at.clone(), torch.empty_like(at)
    momentum = torch.randn(at.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(at.dtype)
    target.gradient(position, gradient)  # pyright: ignore
    leapfrog(target, position, momentum, gradient, step, count)  # pyright: ignore
    return position, momentum, gradient


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 2e-4)])
def test_a_trajectory_is_that_of_the_torch_target(
    doubles: SmallTarget, floats: SmallTarget, dtype: torch.dtype, tolerance: float
) -> None:
    target = doubles if dtype == torch.float64 else floats
    at = positions(target, chains=3)
    assert isinstance(target, WholeTrajectories)
    assert not isinstance(target.base, WholeTrajectories)
    for ours, theirs in zip(moved(target, at, 0.01, 50), moved(target.base, at, 0.01, 50), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)
    assert float((ours - at).abs().max()) > 0.1  # it went somewhere


def test_backwards_it_returns(doubles: SmallTarget) -> None:
    at = positions(doubles)
    position, momentum, gradient = moved(doubles, at, 0.01, 40)
    momentum.neg_()
    doubles.trajectory(position, momentum, gradient, 0.01, 40)
    torch.testing.assert_close(position, at, rtol=0, atol=1e-10)


def test_the_energy_error_is_of_second_order() -> None:
    """Four times smaller for half the step, over the same time. Without hidden layers: the kinks of ReLU add errors."""
    target = target_of(posterior_of((2, 3)), rows_of(18, 2, 3), torch.float64)
    at, momentum = positions(target, chains=1), positions(target, chains=1, seed=5)
    errors: list[float] = []
    for count in (8, 16):
        position, kicked, gradient = at.clone(), momentum.clone(), torch.empty_like(at)
        target.gradient(position, gradient)
        target.trajectory(position, kicked, gradient, 1.0 / count, count)
        before, after = (target.terms(where) for where in (at, position))
        kinetic = 0.5 * float(kicked.square().sum() - momentum.square().sum())
        errors.append(kinetic - float(after.likelihood - before.likelihood) - float(after.prior - before.prior))
    assert abs(errors[0]) > 1e-4
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.1)


@pytest.mark.parametrize("chains", [1, 2, 3, 5])
def test_threads_and_company_change_no_bit(floats: SmallTarget, chains: int, monkeypatch: pytest.MonkeyPatch) -> None:
    at = positions(floats, chains=5)
    alone = [moved(floats, at[:5], 0.01, 30)[part][:chains] for part in range(3)]
    monkeypatch.setattr(module, "WORTH_A_THREAD", 0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    together = moved(floats, at, 0.01, 30)
    for ours, theirs in zip(together, alone, strict=True):
        assert torch.equal(ours[:chains], theirs)


def test_a_wide_networks_trajectory_in_chunks_of_rows_and_on_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = target_of(posterior_of((7, 130, 67, 5)), rows_of(1301, 7, 5), torch.float64)
    at = 0.3 * positions(wide, chains=3)
    alone = moved(wide, at, 1e-3, 7)
    for ours, theirs in zip(alone, moved(wide.base, at, 1e-3, 7), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    monkeypatch.setattr(module, "WORTH_A_THREAD", 0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    for ours, theirs in zip(moved(wide, at, 1e-3, 7), alone, strict=True):
        assert torch.equal(ours, theirs)


def test_a_chain_that_leaves_for_infinity_leaves_the_others_alone(floats: SmallTarget) -> None:
    at = positions(floats, chains=3)
    at[1] = 1e30
    position, _, gradient = moved(floats, at, 0.01, 10)
    assert not bool(gradient[1].isfinite().all())
    others = moved(floats, at[[0, 2]], 0.01, 10)
    assert bool(position[[0, 2]].isfinite().all())
    assert bool(others[0].isfinite().all())


def test_the_call_writes_nothing_but_its_output(floats: SmallTarget) -> None:
    at = positions(floats)
    before, out = at.clone(), torch.empty_like(at)
    floats.gradient(at, out)
    assert torch.equal(at, before)
    with pytest.raises(InputError, match="at least one"):
        floats.trajectory(at, at.clone(), out, 0.1, 0)


def test_hmc_accepts_alike_and_finds_the_same_posterior(floats: SmallTarget) -> None:
    """Same seed, same momenta: the first transitions are equal to rounding, and so is the acceptance."""
    settings = Hmc(draws=12, burn_in=0, chains=3, step_size=0.05, adapt=False, trajectory=0.5)
    start = 0.3 * positions(floats, chains=3)
    ours = hmc(floats, start, 0, settings, seen=frozenset()).statistics()
    theirs = hmc(floats.base, start, 0, settings, seen=frozenset()).statistics()
    assert ours["leapfrogs"].equal(theirs["leapfrogs"])
    assert float(ours["accept_probability"].min()) < 0.99  # so that there is something to compare
    torch.testing.assert_close(ours["accept_probability"], theirs["accept_probability"], rtol=0, atol=0.02)
    torch.testing.assert_close(ours["log_likelihood"], theirs["log_likelihood"], rtol=0, atol=0.1)


def test_nothing_of_a_gradient_that_was_not_finite_is_left_for_the_next() -> None:
    target = target_of(posterior_of((3, 19, 6, 4)), rows_of(41, 3, 4), torch.float32)
    position = positions(target)
    before, after, broken = (torch.empty_like(position) for _ in range(3))
    target.gradient(position, before)
    target.gradient(torch.full_like(position, float("nan")), broken)
    target.gradient(position, after)
    assert broken.isnan().any()
    assert torch.equal(before, after)
