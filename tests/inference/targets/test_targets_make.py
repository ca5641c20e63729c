"""Both targets against plain autograd of the posterior's own log density, and against each other."""

import math

import pytest
import target_examples as examples
import torch
from torch import nn

from surefoot.density.dirichlet import DirectDirichlet
from surefoot.density.functional import DirClip, Functional
from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior, fixed_views
from surefoot.density.priors import Gaussian
from surefoot.errors import InputError
from surefoot.inference.targets import make
from surefoot.inference.targets.autograd import AutogradTarget, make_autograd_target
from surefoot.inference.targets.evidence import make_evidence
from surefoot.inference.targets.make import make_target, target_memory
from surefoot.inference.targets.mlp import MlpTarget
from surefoot.inference.targets.target import MinibatchTarget, Target
from surefoot.networks.network import Network
from surefoot.rows.rows import make_rows

CASES = examples.cases()
CHAINS = 3


def target_of(case: examples.Case, dtype: torch.dtype = torch.float64) -> MinibatchTarget:
    return make_target(case.posterior, case.rows, dtype=dtype, compiled=False)


def by_autograd(case: examples.Case, dtype: torch.dtype = torch.float64) -> AutogradTarget:
    return make_autograd_target(make_evidence(case.posterior, case.rows, dtype))


def gradient_of(target: Target, position: torch.Tensor) -> torch.Tensor:
    out = torch.full_like(position, torch.nan)
    target.gradient(position, out)
    return out


@pytest.mark.parametrize("name", CASES)
def test_gradients_and_densities_are_the_posteriors_own(name: str) -> None:
    case = CASES[name]
    for target in (target_of(case), by_autograd(case)):
        position = examples.randn(CHAINS, target.size, seed=10)
        gradient, terms = gradient_of(target, position), target.terms(position)
        for chain in range(CHAINS):
            expected = examples.plain_gradient(case, target, position[chain])
            torch.testing.assert_close(gradient[chain], expected, rtol=1e-10, atol=1e-10)
            parameters = {key: tensor[chain] for key, tensor in target.parameters(position).items()}
            density = examples.plain_density(case, parameters)
            torch.testing.assert_close((terms.likelihood + terms.prior)[chain], density, rtol=1e-10, atol=1e-10)


def test_the_kernel_runs_stacks_of_linear_layers_and_nothing_else() -> None:
    for name, case in CASES.items():
        kind = AutogradTarget if name.startswith("knotted") else MlpTarget
        assert isinstance(target_of(case), kind), name
        assert isinstance(target_of(case), MinibatchTarget)


@pytest.mark.parametrize("name", CASES)
def test_a_minibatch_of_all_rows_has_the_full_gradient(name: str) -> None:
    case = CASES[name]
    for target in (target_of(case), by_autograd(case)):
        position = examples.randn(CHAINS, target.size, seed=11)
        index = torch.stack([torch.roll(torch.arange(examples.ROWS), chain) for chain in range(CHAINS)])
        out = torch.full_like(position, torch.nan)
        target.minibatch_gradient(position, index, out)
        torch.testing.assert_close(out, gradient_of(target, position), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", CASES)
def test_the_mean_over_single_rows_is_the_full_gradient(name: str) -> None:
    """Each chain at the same position has a row of its own: their mean must be the full gradient (law 1)."""
    case = CASES[name]
    for target in (target_of(case), by_autograd(case)):
        position = examples.randn(1, target.size, seed=12)
        index = torch.arange(examples.ROWS)[:, None]
        out = torch.full((examples.ROWS, target.size), torch.nan, dtype=torch.float64)
        target.minibatch_gradient(position.expand(examples.ROWS, -1).clone(), index, out)
        expected = gradient_of(target, position)[0]
        torch.testing.assert_close(out.mean(dim=0), expected, rtol=1e-9, atol=1e-9)
        assert out.std(dim=0).max() > 1e-3  # rows really differ


@pytest.mark.parametrize("mode", ["mean", "sum"])
@pytest.mark.parametrize("network", [examples.mlp(7), examples.knotted()], ids=["mlp", "knotted"])
def test_augmented_rows(mode: str, network: Network) -> None:
    case = examples.augmented(mode, network)
    fixed = fixed_views(case.posterior, case.rows, seed=5)
    plain = examples.Case(fixed.posterior, fixed.rows)
    target = make_target(case.posterior, case.rows, dtype=torch.float64, seed=5)
    position = examples.randn(2, target.size, seed=13)
    assert target.rows == examples.ROWS
    torch.testing.assert_close(
        gradient_of(target, position)[1],
        examples.plain_gradient(plain, target, position[1]),
        rtol=1e-10,
        atol=1e-10,
    )
    parameters = {key: tensor[1] for key, tensor in target.parameters(position).items()}
    total = target.terms(position).likelihood[1] + target.terms(position).prior[1]
    torch.testing.assert_close(total, examples.plain_density(plain, parameters), rtol=1e-10, atol=1e-10)

    # A minibatch draws one view of each row from the generator, chain after chain; both targets draw alike.
    index = torch.tensor([[0, 4, 7, 9], [2, 3, 3, 10]])
    outs = [torch.empty_like(position) for _ in range(3)]
    target.minibatch_gradient(position, index, outs[0], torch.Generator().manual_seed(1))
    again = make_autograd_target(make_evidence(case.posterior, case.rows, torch.float64))
    moved = again.position(target.parameters(position))
    again.minibatch_gradient(moved, index, outs[1], torch.Generator().manual_seed(1))
    target.minibatch_gradient(position, index, outs[2], torch.Generator().manual_seed(2))
    slopes = again.coordinates.layout.views(outs[1])
    mine = target.parameters(outs[0])
    bare = target.parameters(torch.zeros_like(outs[0]))
    for key, slope in slopes.items():  # equal scales everywhere: θ(g) − θ(0) is half the gradient by name
        torch.testing.assert_close(mine[key] - bare[key], 0.5 * slope, rtol=1e-10, atol=1e-10)
    assert not torch.allclose(outs[0], outs[2])
    with pytest.raises(InputError, match="generator"):
        target.minibatch_gradient(position, index, outs[0])


def test_minibatches_under_augmentation_are_unbiased_for_the_expected_density() -> None:
    """2,000 draws of one view; one of the 66 coordinates' z-scores is beyond 5 by chance once in 25,000 seeds."""
    case = examples.augmented("sum")
    target = target_of(case)
    position = examples.randn(1, target.size, seed=14)
    many, generator = 2000, torch.Generator().manual_seed(0)
    index = torch.arange(examples.ROWS).expand(many, -1)
    draws = torch.empty(many, target.size, dtype=torch.float64)
    target.minibatch_gradient(position.expand(many, -1).clone(), index, draws, generator)
    full = torch.stack(
        [
            gradient_of(make_target(case.posterior, case.rows, dtype=torch.float64, seed=seed), position)[0]
            for seed in range(300)
        ]
    )
    error = (draws.var(dim=0) / many + full.var(dim=0) / len(full)).sqrt()
    assert ((draws.mean(dim=0) - full.mean(dim=0)).abs() <= 5 * error + 1e-9).all()


@pytest.mark.parametrize("name", ["plain", "correlated", "Laplace", "knotted", "learned noise", "DirClip elsewhere"])
def test_float32_is_close_to_float64(name: str) -> None:
    case = CASES[name]
    exact, rough = target_of(case), target_of(case, torch.float32)
    position = examples.randn(CHAINS, exact.size, seed=15)
    torch.testing.assert_close(
        gradient_of(rough, position.float()).double(), gradient_of(exact, position), rtol=2e-4, atol=2e-4
    )
    terms = rough.terms(position.float())
    assert terms.likelihood.dtype == terms.prior.dtype == torch.float64
    torch.testing.assert_close(terms.prior, exact.terms(position).prior, rtol=1e-6, atol=1e-5)
    torch.testing.assert_close(terms.likelihood, exact.terms(position).likelihood, rtol=1e-5, atol=1e-5)


def test_likelihoods_and_their_sum_are_taken_in_float64() -> None:
    """200,003 equal rows: log 3 in float32 is off by 2e-8 each, which all together is 5 thousandths of a nat."""
    count = 200_003
    rows = make_rows(torch.ones(count, 1), torch.zeros(count, dtype=torch.int64), classes=["a", "b", "c"])
    case = examples.Case(
        Posterior(Network(nn.Sequential(nn.Linear(1, 3)), "0"), categorical, Gaussian(1.0)),
        rows,
    )
    for target in (target_of(case, torch.float32), by_autograd(case, torch.float32)):
        found = target.terms(torch.zeros(1, target.size)).likelihood.item()
        assert found == pytest.approx(-count * math.log(3), abs=1e-5)


def test_large_numbers_of_rows_are_taken_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    from surefoot.inference.targets import autograd, mlp

    for name in ("weights", "soft", "DirClip elsewhere", "no closed form", "knotted"):
        whole = [target_of(CASES[name]), by_autograd(CASES[name])]
        monkeypatch.setattr(autograd, "CHUNK_BYTES", 1000)
        monkeypatch.setattr(mlp, "CHUNK_BYTES", 1000)
        parts = [target_of(CASES[name]), by_autograd(CASES[name])]
        position = examples.randn(CHAINS, whole[0].size, seed=16)
        for one, other in zip(whole, parts, strict=True):
            torch.testing.assert_close(gradient_of(other, position), gradient_of(one, position))
            torch.testing.assert_close(other.terms(position), one.terms(position))
        if isinstance(parts[0], MlpTarget):
            assert len(parts[0]._full) > 2
        assert isinstance(parts[1], AutogradTarget)
        assert parts[1].chunk < examples.ROWS
        monkeypatch.undo()


@pytest.mark.parametrize("name", ["plain", "noisy Dirichlet", "Laplace", "knotted"])
def test_chains_do_not_influence_each_other(name: str) -> None:
    target = target_of(CASES[name])
    position = examples.randn(CHAINS, target.size, seed=17)
    alone = gradient_of(target, position[1:2])
    position[0] = torch.nan
    position[2] = 1e300
    gradient = gradient_of(target, position)
    torch.testing.assert_close(gradient[1:2], alone, rtol=1e-12, atol=1e-12)
    assert not gradient[0].isfinite().any()
    terms = target.terms(position)
    assert terms.likelihood[1].isfinite()
    assert not (terms.likelihood + terms.prior)[0].isfinite()


def test_the_network_and_the_rows_are_left_alone() -> None:
    case = CASES["knotted"]
    before = {name: tensor.clone() for name, tensor in case.posterior.network.module.state_dict().items()}
    inputs = case.rows.inputs[:].clone()
    target = target_of(case)
    position = examples.randn(2, target.size, seed=18)
    kept = position.clone()
    gradient_of(target, position)
    target.terms(position)
    assert torch.equal(position, kept)
    assert torch.equal(case.rows.inputs[:], inputs)
    assert all(torch.equal(before[name], now) for name, now in case.posterior.network.module.state_dict().items())
    assert all(tensor.grad is None for tensor in case.posterior.network.module.parameters())


def test_the_quarter_period_follows_the_posterior_temperature_alone() -> None:
    assert target_of(CASES["plain"]).quarter == pytest.approx(torch.pi / 2)
    assert target_of(CASES["cold likelihood"]).quarter == pytest.approx(torch.pi / 2)
    assert target_of(CASES["cold posterior"]).quarter == pytest.approx(torch.pi / 2 * 0.2**0.5)


def test_what_no_sampler_may_have_is_refused() -> None:
    rows = examples.hard_rows()
    dropping = Network(nn.Sequential(nn.Linear(5, 4), nn.Dropout(0.1), nn.Linear(4, 3)), "2")
    averaging = Network(nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)), "2")
    with pytest.raises(InputError, match="drops units"):
        make_target(Posterior(dropping, categorical, Gaussian(1.0)), rows)
    with pytest.raises(InputError, match="batch normalisation"):
        make_target(Posterior(averaging, categorical, Gaussian(1.0)), rows)
    with pytest.raises(InputError, match="without limit"):
        make_target(Posterior(examples.mlp(4), DirectDirichlet(0.1), Gaussian(1.0)), rows)
    with pytest.raises(InputError, match="leaves out"):
        make_target(Posterior(examples.mlp(4), categorical, Gaussian(1.0, only=frozenset({"head.bias"}))), rows)


def test_what_cannot_be_used_is_refused() -> None:
    good = CASES["plain"].posterior
    rows = examples.hard_rows()
    with pytest.raises(InputError, match="float16"):
        make_target(good, rows, dtype=torch.float16)
    with pytest.raises(InputError, match="no rows"):
        make_target(good, rows.take(torch.tensor([], dtype=torch.int64)))
    with pytest.raises(InputError, match="seed"):
        make_target(good, rows, seed=-1)
    broken = rows.inputs[:].clone()
    broken[4, 2] = torch.nan
    with pytest.raises(InputError, match="1 of 11 rows"):
        make_target(good, rows.with_inputs(broken))
    elsewhere = examples.randn(4, examples.FEATURES)
    elsewhere[1, 0], elsewhere[3] = torch.nan, torch.inf
    looking = Posterior(
        examples.mlp(4), categorical, Gaussian(1.0), functional=Functional(DirClip(0.5, -5.0), elsewhere)
    )
    with pytest.raises(InputError, match="2 of the functional prior's own 4 inputs are NaN or infinite"):
        make_target(looking, rows)
    with pytest.raises(InputError, match="outside the 3 classes"):
        make_target(good, rows.with_targets(rows.targets + 1))
    with pytest.raises(InputError, match="is missing"):
        make_target(good, rows).position({"head.bias": torch.zeros(2, 3)})


def test_memory_is_told_before_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("plain", "knotted"):
        case = CASES[name]
        small = target_memory(case.posterior, case.rows, 1)
        assert target_memory(case.posterior, case.rows, 1, dtype=torch.float64) > 1.5 * small
        assert target_memory(case.posterior, case.rows, 100) > small
        many = examples.hard_rows(1000 * examples.ROWS)
        assert target_memory(case.posterior, many, 1) > 100 * small
    augmented = examples.augmented()
    alone = target_memory(fixed_views(augmented.posterior, augmented.rows, 0).posterior, augmented.rows, 1)
    assert target_memory(augmented.posterior, augmented.rows, 1) > 2 * alone
    monkeypatch.setattr(make, "require_memory", lambda needed, what: (_ for _ in ()).throw(InputError(f"{needed}")))
    with pytest.raises(InputError, match=r"\d+"):
        make_target(CASES["plain"].posterior, examples.hard_rows())


def test_the_memory_told_is_about_what_is_held() -> None:
    """An MLP's buffers, counted tensor by tensor, are at least 83 % and at most 111 % of what was told."""
    rows = examples.hard_rows(5000)
    posterior = Posterior(examples.mlp(64, 32), categorical, Gaussian(1.0))
    target = make_target(posterior, rows, compiled=False)
    assert isinstance(target, MlpTarget)
    gradient_of(target, torch.zeros(2, target.size))
    held = [target._folded, *target.evidence.data]
    held += [tensor for space in target.spaces.values() for tensor in (*space.hidden, *space.changes, space.outputs)]
    assert target._labels is not None
    held += [target._labels.shares, target._labels.shares, *(flat for flat, _ in target.flats.values())]
    taken = sum(tensor.numel() * tensor.element_size() for tensor in held)
    assert 0.9 < target_memory(posterior, rows, 2) / taken < 1.2
