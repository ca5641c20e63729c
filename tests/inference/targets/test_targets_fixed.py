"""Frozen parameters and buffers: the target's density is the posterior's own at the trained point, or is refused."""

import copy

import pytest
import torch
from torch import nn

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian
from surefoot.errors import InputError
from surefoot.inference.ascend import Ascend, ascend
from surefoot.inference.targets.make import make_target
from surefoot.networks.build import build_mlp
from surefoot.networks.network import Network, Parameters, forward, parameters_of
from surefoot.rows.rows import Rows, make_rows


def some_rows() -> Rows:
    generator = torch.Generator().manual_seed(0)
    inputs = 3 * torch.randn(40, 3, generator=generator) + 1
    return make_rows(inputs, (inputs[:, 0] > 1).long())


def normed(seed: int = 0) -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = nn.Sequential(nn.Linear(3, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2))
    return Network(module, "3")


def trained_and_frozen(rows: Rows) -> tuple[Posterior, Parameters]:
    """A network whose body was trained, averages too, and is frozen: the module itself still has its initial values."""
    network = normed()
    climb = Ascend(epochs=3, batch=10, rate=0.05)
    point = ascend(Posterior(network, categorical, Gaussian(1.0)), rows, parameters_of(network), 0, climb).point()
    for name, tensor in network.module.named_parameters():
        tensor.requires_grad_(name.startswith("3."))
    return Posterior(network, categorical, Gaussian(1.0)), point


def stacked(*points: Parameters) -> Parameters:
    return {name: torch.stack([point[name] for point in points]) for name in points[0]}


def test_the_density_at_the_trained_point_is_the_posteriors_own() -> None:
    rows = some_rows()
    posterior, point = trained_and_frozen(rows)
    target = make_target(posterior, rows, dtype=torch.float64, fixed=point)
    exact = {name: each.double() if each.is_floating_point() else each for name, each in point.items()}
    leaves = {name: exact[name].clone().requires_grad_() for name in ("3.weight", "3.bias")}
    wide = rows.with_inputs(rows.inputs[:].double())
    expected = posterior.log_density({**exact, **leaves}, wide)
    slopes = torch.autograd.grad(expected, list(leaves.values()))

    position = target.position(stacked(point, point))
    assert target.size == 14
    terms = target.terms(position)
    torch.testing.assert_close((terms.likelihood + terms.prior)[1], expected.detach(), rtol=1e-10, atol=1e-10)
    gradient, of_all = torch.empty_like(position), torch.empty_like(position)
    target.gradient(position, gradient)
    assert target.position({name: slope[None] for name, slope in zip(leaves, slopes, strict=True)}).allclose(
        gradient[0]
    )
    target.minibatch_gradient(position, torch.arange(40).expand(2, -1), of_all)
    torch.testing.assert_close(of_all, gradient, rtol=1e-10, atol=1e-10)
    assert set(target.parameters(position)) == {"3.weight", "3.bias"}

    # What this guards against: the module's own body gives another likelihood altogether.
    silent = make_target(posterior, rows, dtype=torch.float64)
    assert abs(float((silent.terms(position).likelihood - terms.likelihood)[0])) > 1


def test_a_start_with_another_body_or_other_averages_is_refused() -> None:
    rows = some_rows()
    posterior, point = trained_and_frozen(rows)
    own = parameters_of(posterior.network)
    target = make_target(posterior, rows)
    for name in ("0.weight", "1.running_var"):
        with pytest.raises(InputError, match=rf"The start of chain 2 holds '{name}'.*give make_target .* as fixed="):
            target.position(stacked(own, {**own, name: point[name]}))
    sampled = {name: point[name][None] for name in ("3.weight", "3.bias")}
    assert target.position(sampled).shape == (1, 14)  # says nothing of the body
    with pytest.raises(InputError, match=r"has '1\.bias' of shape \[6\]"):
        target.position({**sampled, "1.bias": point["1.bias"]})


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_same_body_in_another_precision_is_the_same(dtype: torch.dtype) -> None:
    rows = some_rows()
    posterior, point = trained_and_frozen(rows)
    wide = {name: each.double() / 3 if each.is_floating_point() else each for name, each in point.items()}
    narrow = {name: each.float() if each.is_floating_point() else each for name, each in wide.items()}
    for fixed, start in ((wide, narrow), (narrow, wide), (wide, wide)):
        position = make_target(posterior, rows, dtype=dtype, fixed=fixed).position(stacked(start))
        assert position.dtype == dtype


def test_without_fixed_tensors_the_modules_own_are_meant() -> None:
    rows = some_rows()
    posterior, point = trained_and_frozen(rows)
    own = parameters_of(posterior.network)
    mixed = {**own, "3.weight": point["3.weight"]}
    target = make_target(posterior, rows, dtype=torch.float64)
    likelihood = target.terms(target.position(stacked(mixed))).likelihood
    expected = categorical(forward(posterior.network, mixed, rows.inputs[:]), rows.targets).sum()
    assert float(likelihood) == pytest.approx(float(expected), rel=1e-5)


def test_fixed_tensors_that_do_not_fit_are_refused() -> None:
    rows = some_rows()
    posterior, point = trained_and_frozen(rows)
    before = copy.deepcopy(point)
    with pytest.raises(InputError, match=r"fixed lacks '1\.running_mean', which is not sampled"):
        make_target(posterior, rows, fixed={name: each for name, each in point.items() if name != "1.running_mean"})
    with pytest.raises(InputError, match=r"fixed has '0\.bias' of shape \[5\]"):
        make_target(posterior, rows, fixed={**point, "0.bias": torch.zeros(5)})
    with pytest.raises(InputError, match="fixed has 'elsewhere', which the network has not"):
        make_target(posterior, rows, fixed={**point, "elsewhere": torch.zeros(5)})
    assert all(torch.equal(before[name], point[name]) for name in point)
    # Where all is sampled there is nothing to give, and a whole point is no contradiction.
    whole = build_mlp(3, 4, 2, seed=0)
    everything = make_target(Posterior(whole, categorical, Gaussian(1.0)), rows, fixed=parameters_of(whole))
    assert everything.size == 3 * 4 + 4 + 4 * 2 + 2
