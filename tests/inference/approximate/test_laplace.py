"""Laplace against closed forms: exact for linear regression, against autograd's Hessian for softmax regression."""

import math

import pytest
import torch
from torch import Tensor, nn

from surefoot.density.batch import whole
from surefoot.density.correlated import Correlated
from surefoot.density.layered import Layered
from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian, Laplace, Prior, StudentT
from surefoot.density.regression import GaussianNoise, LearnedNoise
from surefoot.errors import InputError
from surefoot.inference.approximate import curvature as module
from surefoot.inference.approximate.curvature import curvature, curvature_memory, parts_of
from surefoot.inference.approximate.laplace import LaplaceSettings, factor_of, laplace_draws, offset_of
from surefoot.inference.ascend import Ascend, ascend
from surefoot.networks.build import build_linear, build_mlp
from surefoot.networks.network import Network, Parameters, embed, parameters_of
from surefoot.rows.rows import Rows, make_rows

CLIMB = Ascend(epochs=10, optimiser="lbfgs", rate=1.0, schedule="constant")


def labelled(count: int = 40, classes: int = 3) -> Rows:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(count, 4, generator=generator, dtype=torch.float64)
    targets = (inputs @ torch.randn(4, classes, generator=generator).double()).argmax(dim=1)
    weights = torch.rand(count, generator=generator) + 0.5
    return make_rows(inputs, targets, weights=weights)


def measured(count: int = 30) -> Rows:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(count, 3, generator=generator, dtype=torch.float64) @ torch.diag(
        torch.tensor([1.0, 0.1, 3.0], dtype=torch.float64)
    )
    targets = inputs.sum(dim=1, keepdim=True) + 0.3 * torch.randn(count, 1, generator=generator).double()
    return make_rows(inputs, targets)


def doubled(network: Network) -> Network:
    return Network(network.module.double(), network.head)


def climbed(posterior: Posterior, rows: Rows) -> Parameters:
    return ascend(posterior, rows, parameters_of(posterior.network), 0, CLIMB).point()


def flat(parameters: Parameters) -> Tensor:
    return torch.cat([tensor.flatten(1) for tensor in parameters.values()], dim=1)


def test_linear_regression_has_its_exact_posterior() -> None:
    rows, scale, precision = measured(), 0.3, 2.0
    posterior = Posterior(doubled(build_linear(3, 1, seed=0)), GaussianNoise(scale), Gaussian(precision))
    features = torch.cat([whole(rows).inputs, torch.ones(30, 1).double()], dim=1)
    exact = features.T @ features / scale**2 + precision * torch.eye(4)
    mean = torch.linalg.solve(exact, features.T @ rows.targets / scale**2)[:, 0]

    # From the mode in closed form: nothing of an optimiser is left in the comparison.
    mode = {"head.weight": mean[None, :3].clone(), "head.bias": mean[3:].clone()}
    bent = curvature(posterior, rows, mode)
    torch.testing.assert_close(bent.precision, exact, rtol=1e-10, atol=1e-10)
    assert offset_of(bent, factor_of(bent)) < 1e-10
    assert bent.log_likelihood + bent.log_prior == pytest.approx(posterior.log_density(mode, rows).item(), rel=1e-10)

    drawn = flat(laplace_draws(posterior, rows, mode, 3, LaplaceSettings(draws=4000)).as_draws().parameters)
    white = (drawn - mean) @ torch.linalg.cholesky(exact)
    # Means of 4,000 and covariances of unit normals: four and ten numbers at 4.5 standard errors, below 1e-4.
    assert (white.mean(dim=0).abs() < 4.5 / 4000**0.5).all()
    assert ((white.T.cov() - torch.eye(4)).abs() < 4.5 * (2 / 4000) ** 0.5).all()


@pytest.mark.parametrize(
    "temperatures",
    [{}, {"posterior_temperature": 0.3}, {"likelihood_temperature": 0.3}, {"logit_temperature": 2.0}],
)
def test_softmax_regression_has_the_hessian_of_its_log_density(temperatures: dict[str, float]) -> None:
    """The outputs are linear in the parameters, so Gauss–Newton is the Hessian itself, at any point."""
    rows, network = labelled(), doubled(build_linear(4, 3, seed=1))
    posterior = Posterior(network, categorical, Gaussian(0.5, centre={"head.bias": torch.ones(3),
        "head.weight": torch.zeros(3, 4)}), **temperatures)  # fmt: skip
    point = parameters_of(network)
    bent = curvature(posterior, rows, point)

    def density(weight: Tensor, bias: Tensor) -> Tensor:
        return posterior.log_density({"head.weight": weight, "head.bias": bias}, rows)

    given = (point["head.weight"], point["head.bias"])
    blocks = torch.autograd.functional.hessian(density, given)
    sizes = [12, 3]
    hessian = torch.cat([torch.cat([blocks[i][j].reshape(sizes[i], sizes[j]) for j in (0, 1)], 1) for i in (0, 1)])
    torch.testing.assert_close(bent.precision, -hessian, rtol=1e-9, atol=1e-9)
    slope = torch.autograd.functional.jacobian(density, given)
    torch.testing.assert_close(bent.gradient, torch.cat([part.flatten() for part in slope]), rtol=1e-9, atol=1e-9)


def test_a_network_with_hidden_layers_has_the_gauss_newton_matrix() -> None:
    """Against a plain loop: one row and one output at a time, Λ = diag p − p pᵀ."""
    rows, network = labelled(12), doubled(build_mlp(4, 5, 3, seed=2))
    posterior, point = Posterior(network, categorical, Gaussian(0.5)), parameters_of(network)
    bent = curvature(posterior, rows, point)
    expected = 0.5 * torch.eye(len(bent.point), dtype=torch.float64)
    for row in range(12):
        logits = network.module(whole(rows).inputs[row : row + 1])[0]
        slopes = torch.stack(
            [torch.cat([part.flatten() for part in torch.autograd.grad(logit, list(network.module.parameters()),
                                                                      retain_graph=True)]) for logit in logits]
        )  # fmt: skip
        p = logits.detach().softmax(dim=0)
        expected += rows.weights[row].double() * slopes.T @ (p.diag() - p[:, None] * p) @ slopes
    torch.testing.assert_close(bent.precision, expected, rtol=1e-9, atol=1e-9)


def test_chunks_of_rows_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, network = labelled(), doubled(build_mlp(4, 5, 3, seed=2))
    posterior, point = Posterior(network, categorical, Gaussian(0.5)), parameters_of(network)
    at_once = curvature(posterior, rows, point)
    monkeypatch.setattr(module, "CHUNK_BYTES", 8 * 3 * 50 * 7)
    done: list[int] = []
    in_chunks = curvature(posterior, rows, point, progress=lambda _, last, __: done.append(last))
    assert len(done) > 3
    torch.testing.assert_close(in_chunks.precision, at_once.precision, rtol=1e-11, atol=1e-11)
    assert in_chunks.log_likelihood == pytest.approx(at_once.log_likelihood)


def test_the_head_alone_is_softmax_regression_on_the_features() -> None:
    rows, network = labelled(), doubled(build_mlp(4, 5, 3, seed=2))
    posterior = Posterior(network, categorical, Gaussian(0.5))
    mode = climbed(posterior, rows)
    features = embed(network, mode, whole(rows).inputs).detach()
    shallow = doubled(build_linear(5, 3, seed=0))
    head = {name: mode[name] for name in ("head.weight", "head.bias")}
    over_features = curvature(Posterior(shallow, categorical, Gaussian(0.5)), rows.with_inputs(features), head)
    bent = curvature(posterior, rows, mode, "head")
    torch.testing.assert_close(bent.precision, over_features.precision, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(bent.gradient, over_features.gradient, rtol=1e-9, atol=1e-9)
    # And the corner of the whole network's matrix that is about the head.
    whole_network = curvature(posterior, rows, mode)
    torch.testing.assert_close(bent.precision, whole_network.precision[-18:, -18:], rtol=1e-9, atol=1e-9)

    draws = laplace_draws(posterior, rows, mode, 0, LaplaceSettings(draws=20, part="head")).as_draws().parameters
    assert set(draws) == set(mode)
    assert torch.equal(draws["hidden1.weight"], mode["hidden1.weight"].expand(20, 5, 4))
    assert (draws["head.weight"].std(dim=0) > 0).all()


def test_a_point_that_is_no_mode_is_refused_and_says_how_far_it_is() -> None:
    rows, network = labelled(), doubled(build_linear(4, 3, seed=1))
    posterior = Posterior(network, categorical, Gaussian(0.5))
    mode = climbed(posterior, rows)
    bent = curvature(posterior, rows, mode)
    assert offset_of(bent, factor_of(bent)) < 1e-4
    # One standard deviation along an axis of A, of 15 parameters: d = 1/√15 in a quadratic, and nearly so here.
    values, vectors = torch.linalg.eigh(bent.precision)
    moved = bent.point + vectors[:, -1] / values[-1].sqrt()
    away = {"head.weight": moved[:12].reshape(3, 4), "head.bias": moved[12:]}
    further = curvature(posterior, rows, away)
    assert offset_of(further, factor_of(further)) == pytest.approx(1 / math.sqrt(15), rel=0.15)
    with pytest.raises(InputError, match=r"0\.2.* posterior standard deviations from the mode"):
        laplace_draws(posterior, rows, away, 0, LaplaceSettings())
    loose = laplace_draws(posterior, rows, away, 0, LaplaceSettings(draws=2, tolerance=math.inf))
    assert loose.diagnostics[0].value > 0.1


def test_seeds_repeat_and_the_type_of_the_mode_is_kept() -> None:
    rows = labelled()
    rows = rows.with_inputs(whole(rows).inputs.float())
    posterior = Posterior(build_linear(4, 3, seed=1), categorical, Gaussian(0.5))
    mode = climbed(posterior, rows)
    once, again, other = (
        laplace_draws(posterior, rows, mode, seed, LaplaceSettings(draws=3)).as_draws().parameters["head.bias"]
        for seed in (0, 0, 1)
    )
    assert once.dtype == torch.float32
    assert torch.equal(once, again)
    assert not torch.equal(once, other)


def test_what_has_no_gaussian_curvature_is_refused() -> None:
    rows, network = labelled(), doubled(build_linear(4, 3, seed=1))
    point = parameters_of(network)
    with pytest.raises(InputError, match="not Gaussian"):
        curvature(Posterior(network, categorical, Laplace(1.0)), rows, point)
    weight_alone = Posterior(network, categorical, Gaussian(1.0, only=frozenset({"head.weight"})))
    for part in ("all", "head"):
        with pytest.raises(InputError, match=r"leaves out the .*tensors \['head.bias'\] and is improper there"):
            curvature(weight_alone, rows, point, part)
    numbers = measured()
    learned = doubled(Network(nn.Sequential(nn.Linear(3, 2)), "0"))
    with pytest.raises(InputError, match="not concave"):
        curvature(Posterior(learned, LearnedNoise(), Gaussian(1.0)), numbers, parameters_of(learned))


def test_the_head_needs_no_prior_on_what_is_held() -> None:
    rows, network = labelled(), doubled(build_mlp(4, 5, 3, seed=2))
    head = Posterior(network, categorical, Gaussian(0.5, only=frozenset({"head.weight", "head.bias"})))
    point = parameters_of(network)
    one, other = (
        curvature(head, rows, point, "head"),
        curvature(Posterior(network, categorical, Gaussian(0.5)), rows, point),
    )
    torch.testing.assert_close(one.prior, other.prior[-18:, -18:])


class Unwhitened:
    """A prior that says nothing but its density."""

    def __init__(self, prior: Prior) -> None:
        self.prior = prior

    def log_density(self, parameters: Parameters) -> Tensor:
        return self.prior.log_density(parameters)


class Product:
    """exp(−½(a² + b²)), and a coupling that no block of one tensor alone shows."""

    def log_density(self, parameters: Parameters) -> Tensor:
        weight, bias = parameters["head.weight"], parameters["head.bias"]
        return -(weight.square().sum() + bias.square().sum()) / 2 + 0.01 * (weight.square().sum(dim=1) * bias).sum()


STEEP = 1e8


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize(
    ("prior", "named"),
    [
        (Layered({"head.weight": Gaussian(STEEP)}, StudentT(3.0, 1.0)), "head.bias"),
        (Layered({"head.weight": Gaussian(STEEP)}, Laplace(0.1)), "head.bias"),
        (Layered({"head.bias": StudentT(3.0, 1e-4)}, Gaussian(1.0)), "head.bias"),
        (Layered({"head.bias": StudentT(200.0, 1.0)}, Gaussian(STEEP)), "head.bias"),
        (Layered({"head.weight": Gaussian(STEEP**2)}, StudentT(3.0, 1.0)), "head.bias"),
        (StudentT(3.0, 1.0), "head.weight"),
    ],
)
@pytest.mark.parametrize("far", [0.0, 4.0])
def test_a_prior_that_is_not_gaussian_is_seen_beside_a_steep_one(
    plain: bool, prior: Prior, named: str, far: float
) -> None:
    """Around its centre, and where the curvature of Student's density is negative."""
    rows, network = labelled(), doubled(build_linear(4, 3, seed=1))
    point = {**parameters_of(network), "head.bias": torch.tensor([far, -far, 0.3], dtype=torch.float64)}
    posterior = Posterior(network, categorical, Unwhitened(prior) if plain else prior)
    with pytest.raises(InputError, match=rf"not Gaussian in \[.*{named}"):
        curvature(posterior, rows, point)


def test_gaussian_priors_of_every_kind_have_their_precision() -> None:
    rows, network = labelled(), doubled(build_linear(4, 3, seed=1))
    point = {"head.weight": torch.full((3, 4), 2.0).double(), "head.bias": torch.full((3,), -3.0).double()}
    basis = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))[0]
    variances = torch.tensor([1e-6, 0.01, 1.0, 900.0], dtype=torch.float64)
    prior = Layered({"head.weight": Correlated("head.weight", basis, variances)}, Gaussian(STEEP))
    expected = torch.block_diag(*[basis @ torch.diag(1 / variances) @ basis.T] * 3, STEEP * torch.eye(3).double())
    for own in (
        prior,
        Unwhitened(prior),
        Layered({"head.bias": Unwhitened(Gaussian(STEEP))}, prior.priors["head.weight"]),
    ):
        found = curvature(Posterior(network, categorical, own), rows, point).prior
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-6)
    with pytest.raises(InputError, match="not Gaussian"):
        curvature(Posterior(network, categorical, Product()), rows, point)


def test_memory_is_asked_for_before(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, network = labelled(), doubled(build_linear(4, 3, seed=1))
    posterior = Posterior(network, categorical, Gaussian(0.5))
    assert curvature_memory(10_000, 10) > 3.2e9
    monkeypatch.setattr(module, "available_memory", lambda: 1000)
    with pytest.raises(InputError, match=r"part=\"head\""):
        curvature(posterior, rows, parameters_of(network))
    assert parts_of(posterior, "all") == ("head.weight", "head.bias")
