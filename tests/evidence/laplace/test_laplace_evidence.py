"""The evidence of an expansion: against closed forms, finite differences, another library, and what is refused."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from surefoot.density.augmentation import Augmentation
from surefoot.density.layered import Layered
from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian, StudentT
from surefoot.density.regression import GaussianNoise
from surefoot.errors import InputError
from surefoot.evidence.laplace.evidence import evidence_of
from surefoot.evidence.laplace.expand import expand
from surefoot.evidence.laplace.expansion import Expansion
from surefoot.networks.build import build_linear, build_mlp
from surefoot.networks.network import Network, Parameters, forward, parameters_of
from surefoot.rows.rows import Rows, make_rows

# `bench/.venv-laplace/bin/python bench/races/laplace/constants.py`: laplace-torch 0.3 with curvlinops 3.0.1, float64.
LAPLACE_TORCH = {
    ("classification", "all", "full"): -35.65972390226741,
    ("classification", "all", "kron"): -36.0180780549956,
    ("classification", "all", "diag"): -37.21590523478606,
    ("classification", "head", "full"): -23.409685990442373,
    ("classification", "head", "kron"): -23.67920373583037,
    ("classification", "head", "diag"): -24.868288665255772,
    ("regression", "all", "full"): -395.18670566259726,
    ("regression", "all", "kron"): -404.4573350505071,
    ("regression", "all", "diag"): -419.36868689733296,
    ("regression", "head", "full"): -377.67023385020565,
    ("regression", "head", "kron"): -379.2796129435941,
    ("regression", "head", "diag"): -386.02463909592063,
}


def regression(count: int = 9, outputs: int = 2) -> tuple[Rows, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(count, 4, generator=generator, dtype=torch.float64)
    targets = torch.randn(count, outputs, generator=generator, dtype=torch.float64)
    return make_rows(inputs, targets), inputs, targets


def linear_mode(
    inputs: Tensor, targets: Tensor, weight: float, bias: float, noise: float, centre: Parameters
) -> Parameters:
    """The mode of θ under N(centre, 1/weight) and N(centre, 1/bias)."""
    design = torch.cat([inputs, torch.ones_like(inputs[:, :1])], dim=1)
    prior = torch.tensor([weight] * 4 + [bias], dtype=torch.float64)
    mean = torch.cat([centre["head.weight"], centre["head.bias"][:, None]], dim=1)
    matrix = design.T @ design / noise**2 + prior.diag()
    solved = torch.linalg.solve(matrix, design.T @ targets / noise**2 + prior[:, None] * mean.T)
    return {"head.weight": solved[:4].T.contiguous(), "head.bias": solved[4]}


@pytest.mark.parametrize("several", [False, True])
def test_a_linear_gaussian_model_has_its_closed_form(several: bool) -> None:
    rows, inputs, targets = regression()
    weight, bias, noise = (3.0, 0.5, 0.7) if several else (3.0, 3.0, 0.7)
    generator = torch.Generator().manual_seed(1)
    centre = {
        "head.weight": torch.randn(2, 4, generator=generator, dtype=torch.float64),
        "head.bias": torch.randn(2, generator=generator, dtype=torch.float64),
    }
    network = build_linear(4, 2, seed=0)
    prior = Layered({"head.weight": Gaussian(weight, centre), "head.bias": Gaussian(bias, centre)})
    posterior = Posterior(network, GaussianNoise(noise), prior)
    mode = linear_mode(inputs, targets, weight, bias, noise, centre)
    found = evidence_of(expand(posterior, rows, mode))

    covariance = noise**2 * torch.eye(9).double() + inputs @ inputs.T / weight + 1 / bias
    means = inputs @ centre["head.weight"].T + centre["head.bias"]
    normal = torch.distributions.MultivariateNormal(torch.zeros(9).double(), covariance)
    exact = normal.log_prob((targets - means).T).sum()
    assert found.item() == pytest.approx(exact.item(), abs=1e-9)


def peers_world(task: str) -> tuple[Posterior, Rows]:
    inputs = torch.arange(40.0, dtype=torch.float64).mul(0.7).sin().reshape(10, 4)
    module = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    with torch.no_grad():
        for place, tensor in enumerate(module.parameters()):
            numbers = torch.arange(tensor.numel(), dtype=torch.float64) + place
            tensor.copy_(numbers.mul(1.3).sin().reshape(tensor.shape))
    network = Network(module, "2")
    if task == "classification":
        return Posterior(network, categorical, Gaussian(2.0)), make_rows(inputs, torch.arange(10) % 3)
    targets = torch.arange(30.0, dtype=torch.float64).mul(0.9).cos().reshape(10, 3)
    return Posterior(network, GaussianNoise(0.5), Gaussian(2.0)), make_rows(inputs, targets)


@pytest.mark.parametrize(("task", "part", "structure"), list(LAPLACE_TORCH))
def test_another_library_agrees(task: str, part: str, structure: str) -> None:
    posterior, rows = peers_world(task)
    expansion = expand(posterior, rows, parameters_of(posterior.network), structure=structure, part=part)
    assert evidence_of(expansion).item() == pytest.approx(LAPLACE_TORCH[task, part, structure], rel=1e-9)


def expansions(kind: str = "ggn") -> list[Expansion]:
    posterior, rows = peers_world("regression")
    mode = parameters_of(posterior.network)
    return [
        expand(posterior, rows, mode, structure=structure, kind=kind, part=part)
        for structure in ("full", "kron", "diag")
        for part in ("all", "head")
    ]


@pytest.mark.parametrize("kind", ["ggn", "fisher"])
def test_slopes_are_those_of_finite_differences(kind: str) -> None:
    noise = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    for expansion in expansions(kind):
        for shape in ((), (len(expansion.sizes),), (expansion.parameters,)):
            if expansion.structure == "kron" and shape == (expansion.parameters,):
                continue
            own = torch.linspace(0.5, 2.0, math.prod(shape), dtype=torch.float64).reshape(shape).requires_grad_()
            assert torch.autograd.gradcheck(
                lambda own, noise, expansion=expansion: evidence_of(expansion, own, noise=noise), (own, noise)
            )


@pytest.mark.parametrize("kind", ["ggn", "fisher"])
def test_noise_afterwards_is_noise_before(kind: str) -> None:
    posterior, rows = peers_world("regression")
    mode = parameters_of(posterior.network)
    for structure in ("full", "kron", "diag"):
        one = expand(posterior, rows, mode, structure=structure, kind=kind)
        other = expand(
            Posterior(posterior.network, GaussianNoise(0.3, temperature=4.0), posterior.prior),
            rows,
            mode,
            structure=structure,
            kind=kind,
        )
        assert other.noise == pytest.approx(0.6)
        assert evidence_of(one, noise=0.6).item() == pytest.approx(evidence_of(other).item(), rel=1e-12)
        assert evidence_of(one).item() != pytest.approx(evidence_of(other).item(), rel=1e-3)


@pytest.mark.parametrize("kind", ["ggn", "fisher"])
def test_curvature_scales_with_the_noise_as_its_definition_does(kind: str) -> None:
    posterior, rows = peers_world("regression")
    mode = parameters_of(posterior.network)
    likelihood = GaussianNoise(0.6)
    gradients, jacobians = [], []
    for row in range(len(rows)):
        own = {name: tensor.clone().requires_grad_() for name, tensor in mode.items()}
        outputs = forward(posterior.network, own, torch.as_tensor(rows.inputs[row : row + 1]))
        for value in (*outputs[0], likelihood(outputs, rows.targets[row : row + 1]).sum()):
            slopes = torch.autograd.grad(value, list(own.values()), retain_graph=True)
            jacobians.append(torch.cat([slope.flatten() for slope in slopes]))
        gradients.append(jacobians.pop())
    stack = torch.stack(jacobians) / 0.6 if kind == "ggn" else torch.stack(gradients)
    matrix = stack.T @ stack
    outputs = forward(posterior.network, mode, torch.as_tensor(rows.inputs[:]))
    exact = likelihood(outputs, rows.targets).sum() + 0.5 * (
        len(matrix) * math.log(2.0)
        - 2.0 * sum(tensor.square().sum() for tensor in mode.values())
        - torch.linalg.slogdet(matrix + 2.0 * torch.eye(len(matrix)).double()).logabsdet
    )
    found = evidence_of(expand(posterior, rows, mode, kind=kind), noise=0.6)
    assert found.item() == pytest.approx(exact.item(), rel=1e-10)


def test_one_precision_is_many_equal_ones() -> None:
    for expansion in expansions():
        one = evidence_of(expansion, 1.7).item()
        many = torch.full((len(expansion.sizes),), 1.7, dtype=torch.float64)
        assert evidence_of(expansion, many).item() == pytest.approx(one, rel=1e-11)
        if expansion.structure != "kron":
            every = torch.full((expansion.parameters,), 1.7, dtype=torch.float64)
            assert evidence_of(expansion, every).item() == pytest.approx(one, rel=1e-11)


def test_logarithms_of_products_are_sums_of_logarithms_at_any_scale() -> None:
    posterior, rows = peers_world("classification")
    expansion = expand(posterior, rows, parameters_of(posterior.network), structure="diag")
    h = torch.cat(expansion.curvatures)
    fixed = expansion.log_likelihood
    for precision in (1e-60, 1e-30, 1.0, 1e30, 1e60):
        plain = fixed + 0.5 * (
            expansion.parameters * math.log(precision)
            - precision * expansion.squares.sum().item()
            - (h + precision).log().sum().item()
        )
        assert evidence_of(expansion, precision).item() == pytest.approx(plain, rel=1e-12)


@pytest.mark.parametrize("kind", ["ggn", "fisher"])
def test_a_search_that_goes_astray_gets_a_number_and_no_exception(kind: str) -> None:
    for expansion in expansions(kind):
        usual = evidence_of(expansion, 1.0, noise=1.0).item()
        for precision, noise in ((1.0, 1e-200), (1.0, 1e200), (1e-300, 1.0), (1e300, 1.0)):
            assert evidence_of(expansion, precision, noise=noise).item() < usual


def test_large_curvatures_do_not_overflow() -> None:
    posterior, rows = peers_world("classification")
    usual = expand(posterior, rows, parameters_of(posterior.network), structure="diag")
    large = replace(usual, curvatures=tuple(block * 1e40 for block in usual.curvatures))
    plain = usual.log_likelihood - 0.5 * (
        usual.squares.sum().item() + (torch.cat(large.curvatures) + 1).log().sum().item()
    )
    assert evidence_of(large, 1.0).item() == pytest.approx(plain, rel=1e-12)


def test_confident_logits_have_a_finite_evidence() -> None:
    network = build_linear(1, 2, seed=0)
    rows = make_rows(torch.tensor([[1.0], [-1.0]]), torch.tensor([0, 0]))
    mode = {"head.weight": torch.tensor([[1e4], [-1e4]]), "head.bias": torch.zeros(2)}
    for structure in ("full", "kron", "diag"):
        expansion = expand(Posterior(network, categorical, Gaussian(1.0)), rows, mode, structure=structure)
        assert expansion.log_likelihood == pytest.approx(-2e4)
        assert math.isfinite(evidence_of(expansion).item())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"posterior_temperature": 0.1}, "posterior_temperature is 0.1"),
        ({"likelihood_temperature": 2.0}, "likelihood_temperature is 2"),
        ({"augmentation": Augmentation(lambda x, _: x, 2, "mean")}, "augmentation"),
        ({"prior": StudentT(3.0, 1.0)}, "no independent normal"),
        ({"prior": Gaussian(1.0, only=frozenset({"head.weight"}))}, "leaves out"),
    ],
)
def test_posteriors_without_an_evidence_are_refused(changes: dict, words: str) -> None:
    network = build_linear(2, 2, seed=0)
    posterior = Posterior(**{"network": network, "likelihood": categorical, "prior": Gaussian(1.0)} | changes)
    for part in ("all", "head"):
        with pytest.raises(InputError, match=words):
            expand(posterior, make_rows(torch.zeros(2, 2), torch.tensor([0, 1])), parameters_of(network), part=part)


def test_rows_that_are_no_observations_are_refused() -> None:
    network = build_linear(2, 2, seed=0)
    posterior, mode = Posterior(network, categorical, Gaussian(1.0)), parameters_of(network)
    rows = make_rows(torch.zeros(2, 2), torch.tensor([0, 1]), weights=torch.tensor([1.0, 0.5]))
    with pytest.raises(InputError, match=r"weights from 0\.5 to 1"):
        expand(posterior, rows, mode)
    with pytest.raises(InputError, match="soft labels are no observations"):
        expand(posterior, make_rows(torch.zeros(2, 2), torch.eye(2)), mode)
    with pytest.raises(InputError, match="no rows"):
        expand(posterior, make_rows(torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64), classes=("a", "b")), mode)


def test_what_an_expansion_cannot_take_is_refused() -> None:
    posterior, rows = peers_world("classification")
    mode = parameters_of(posterior.network)
    kron = expand(posterior, rows, mode, structure="kron")
    with pytest.raises(InputError, match="one per tensor"):
        evidence_of(kron, torch.ones(kron.parameters))
    with pytest.raises(InputError, match="of shape"):
        evidence_of(kron, torch.ones(3))
    with pytest.raises(InputError, match="positive"):
        evidence_of(kron, -1.0)
    with pytest.raises(InputError, match="no known Gaussian noise"):
        evidence_of(kron, noise=1.0)
    with pytest.raises(InputError, match="made at 1, where"):
        evidence_of(kron, logit_temperature=0.5)
    assert evidence_of(kron, logit_temperature=1.0) == evidence_of(kron)


def normed(**settings: bool) -> Network:
    torch.manual_seed(0)
    return Network(
        nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, **settings), nn.ReLU(), nn.Linear(4, 2)).double(), "3"
    )


def test_batch_normalisation_is_refused_in_what_is_expanded_and_frozen_below_a_head() -> None:
    network = normed()
    generator = torch.Generator().manual_seed(0)
    rows = make_rows(torch.randn(8, 3, generator=generator).double(), torch.arange(8) % 2)
    with torch.no_grad():
        network.module(torch.as_tensor(rows.inputs[:]))  # collects averages
    network.module.eval()
    mode = parameters_of(network)
    posterior = Posterior(network, categorical, Gaussian(1.0))
    with pytest.raises(InputError, match='batch normalisation at "1"'):
        expand(posterior, rows, mode, structure="kron")
    with torch.no_grad():
        features = network.module[:3](torch.as_tensor(rows.inputs[:]))
    alone = Network(nn.Sequential(nn.Linear(4, 2)).double(), "0")
    head = {"0.weight": mode["3.weight"], "0.bias": mode["3.bias"]}
    for structure in ("full", "kron", "diag"):
        found = evidence_of(expand(posterior, rows, mode, structure=structure, part="head"))
        plain = expand(
            Posterior(alone, categorical, Gaussian(1.0)), rows.with_inputs(features), head, structure=structure
        )
        assert found.item() == pytest.approx(evidence_of(plain).item(), rel=1e-12)
    # Nothing that was stored has moved.
    torch.testing.assert_close(parameters_of(network), mode, rtol=0, atol=0)

    dependent = normed(track_running_stats=False)
    with pytest.raises(InputError, match="stores no averages"):
        expand(Posterior(dependent, categorical, Gaussian(1.0)), rows, parameters_of(dependent), part="head")


def test_words_below_a_head_are_to_be_pooled_first() -> None:
    network = Network(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)), "1")
    rows = make_rows(torch.zeros(5, 6, 3), torch.arange(5) % 2)
    with pytest.raises(InputError, match="pool before it"):
        expand(Posterior(network, categorical, Gaussian(1.0)), rows, parameters_of(network), part="head")


def test_the_caller_s_network_is_left_alone() -> None:
    network = build_mlp(3, 4, 2, seed=0)
    before, training = parameters_of(network), network.module.training
    mode = {name: tensor + 1 for name, tensor in before.items()}
    expand(Posterior(network, categorical, Gaussian(1.0)), make_rows(torch.ones(2, 3), torch.tensor([0, 1])), mode)
    torch.testing.assert_close(parameters_of(network), before, rtol=0, atol=0)
    assert all(tensor.requires_grad for tensor in network.module.parameters())
    assert network.module.training == training
    assert not any(module._forward_hooks for module in network.module.modules())
