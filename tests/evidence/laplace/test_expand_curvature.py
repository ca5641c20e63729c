"""Curvatures of expansions: against autograd, against each other, and whatever the batches."""

import pytest
import torch
from torch import Tensor, nn

from surefoot.density.dirichlet import NoisyDirichlet
from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian
from surefoot.density.regression import GaussianNoise
from surefoot.evidence.laplace import diagonal, full, memory
from surefoot.evidence.laplace.evidence import evidence_of
from surefoot.evidence.laplace.expand import expand
from surefoot.evidence.laplace.roots import Softmax
from surefoot.inference.approximate.curvature import curvature
from surefoot.networks.build import build_cnn, build_linear, build_mlp, build_resnet
from surefoot.networks.network import Network, Parameters, forward, parameters_of
from surefoot.rows.rows import Rows, make_rows


class Said:
    def __init__(self) -> None:
        self.done: list[int] = []

    def __call__(self, stage: str, done: int, total: int) -> None:
        self.done.append(done)


def world(name: str, count: int = 12, classes: int = 3) -> tuple[Posterior, Rows, Parameters]:
    generator = torch.Generator().manual_seed(1)
    networks = {
        "linear": lambda: build_linear(5, classes, seed=0),
        "mlp": lambda: build_mlp(5, (4, 3), classes, seed=0),
        "cnn": lambda: build_cnn((2, 6, 6), (2,), 3, classes, seed=0),
        "resnet": lambda: build_resnet((1, 6, 6), 2, 1, classes, seed=0),
    }
    shape = {"linear": (5,), "mlp": (5,), "cnn": (2, 6, 6), "resnet": (1, 6, 6)}[name]
    inputs = torch.randn(count, *shape, generator=generator, dtype=torch.float64)
    targets = torch.randint(classes, (count,), generator=generator)
    network = networks[name]()
    mode = {key: 2 * tensor.double() for key, tensor in parameters_of(network).items()}
    labels = [str(label) for label in range(classes)]
    return Posterior(network, categorical, Gaussian(2.0)), make_rows(inputs, targets, classes=labels), mode


def test_full_is_the_exact_hessian_of_a_linear_softmax_model() -> None:
    posterior, rows, mode = world("linear")
    weight, bias = mode["head.weight"], mode["head.bias"]
    inputs = torch.as_tensor(rows.inputs[:])

    def loss(flat: Tensor) -> Tensor:
        logits = inputs @ flat[:15].reshape(3, 5).T + flat[15:]
        return -logits.log_softmax(dim=1)[torch.arange(12), rows.targets].sum()

    exact = torch.autograd.functional.hessian(loss, torch.cat([weight.flatten(), bias]))
    found = expand(posterior, rows, mode).curvatures[0]
    torch.testing.assert_close(found, exact, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["linear", "mlp", "cnn", "resnet"])
@pytest.mark.parametrize("part", ["all", "head"])
def test_full_and_diagonal_are_those_of_row_jacobians(name: str, part: str) -> None:
    posterior, rows, mode = world(name)
    reference = curvature(posterior, rows, mode, part)
    whole = expand(posterior, rows, mode, part=part)
    spread = expand(posterior, rows, mode, part=part, structure="diag")
    torch.testing.assert_close(whole.curvatures[0], reference.likelihood, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(torch.cat(spread.curvatures), reference.likelihood.diagonal(), rtol=1e-9, atol=1e-11)
    assert whole.names == spread.names == reference.names
    assert whole.log_likelihood == pytest.approx(reference.log_likelihood, rel=1e-12)


@pytest.mark.parametrize("structure", ["full", "diag"])
def test_the_fisher_matrix_sums_products_of_row_gradients(structure: str) -> None:
    for name in ("mlp", "cnn"):
        posterior, rows, mode = world(name)
        gradients: list[Tensor] = []
        for row in range(len(rows)):
            own = {key: tensor.clone().requires_grad_() for key, tensor in mode.items()}
            logits = forward(posterior.network, own, torch.as_tensor(rows.inputs[row : row + 1]))
            value = categorical(logits, rows.targets[row : row + 1]).sum()
            gradients.append(torch.cat([slope.flatten() for slope in torch.autograd.grad(value, list(own.values()))]))
        products = torch.stack(gradients).T @ torch.stack(gradients)
        found = expand(posterior, rows, mode, structure=structure, kind="fisher")
        told = found.curvatures[0] if structure == "full" else torch.cat(found.curvatures)
        exact = products if structure == "full" else products.diagonal()
        torch.testing.assert_close(told, exact, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("kind", ["ggn", "fisher"])
def test_the_head_is_a_block_of_all(kind: str) -> None:
    posterior, rows, mode = world("mlp")
    size = 3 * 3 + 3
    every = expand(posterior, rows, mode, kind=kind).curvatures[0][-size:, -size:]
    torch.testing.assert_close(expand(posterior, rows, mode, part="head", kind=kind).curvatures[0], every)
    for structure in ("kron", "diag"):
        whole = expand(posterior, rows, mode, structure=structure, kind=kind)
        head = expand(posterior, rows, mode, structure=structure, part="head", kind=kind)
        for one, other in zip(head.curvatures, whole.curvatures[-2:], strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("structure", ["full", "kron", "diag"])
@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_batches_and_pieces_change_nothing(structure: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    posterior, rows, mode = world(name, count=11)
    for part in ("all", "head"):
        at_once = expand(posterior, rows, mode, structure=structure, part=part)
        with monkeypatch.context() as small:
            small.setattr(memory, "BATCH_BYTES", 1)
            small.setattr(full, "CHUNK_BYTES", 1)
            small.setattr(diagonal, "CHUNK_NUMBERS", 1)
            said = Said()
            singly = expand(posterior, rows, mode, structure=structure, part=part, progress=said)
        assert said.done == list(range(1, 12))
        for one, other in zip(at_once.curvatures, singly.curvatures, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
        assert singly.log_likelihood == pytest.approx(at_once.log_likelihood, rel=1e-12)
        assert singly.offset == pytest.approx(at_once.offset, rel=1e-9)


def test_frozen_tensors_are_left_out() -> None:
    posterior, rows, mode = world("mlp")
    everything = expand(posterior, rows, mode)
    module = posterior.network.module
    module.get_parameter("hidden1.weight").requires_grad_(requires_grad=False)
    module.get_parameter("hidden2.bias").requires_grad_(requires_grad=False)
    kept = torch.cat([torch.full((size,), name not in ("hidden1.weight", "hidden2.bias")) for name, size in
                      zip(everything.names, everything.sizes, strict=True)])  # fmt: skip
    found = expand(posterior, rows, mode)
    assert found.names == ("hidden1.bias", "hidden2.weight", "head.weight", "head.bias")
    torch.testing.assert_close(found.curvatures[0], everything.curvatures[0][kept][:, kept])
    spread = expand(posterior, rows, mode, structure="diag")
    torch.testing.assert_close(torch.cat(spread.curvatures), found.curvatures[0].diagonal())


def test_a_shared_layer_is_differentiated_row_by_row() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.head = nn.Linear(3, 3).double(), nn.Linear(3, 2).double()

        def forward(self, inputs: Tensor) -> Tensor:
            return self.head(self.inner(self.inner(inputs).tanh()).tanh())

    torch.manual_seed(0)
    network = Network(Twice(), "head")
    rows = make_rows(torch.randn(6, 3), torch.tensor([0, 1, 1, 0, 1, 0]))
    posterior, mode = Posterior(network, categorical, Gaussian(1.0)), parameters_of(network)
    reference = curvature(posterior, rows, mode).likelihood
    torch.testing.assert_close(expand(posterior, rows, mode).curvatures[0], reference)
    spread = expand(posterior, rows, mode, structure="diag")
    torch.testing.assert_close(torch.cat(spread.curvatures), reference.diagonal())


def test_float32_passes_lose_no_more_than_their_own_digits() -> None:
    for name in ("mlp", "cnn"):
        posterior, rows, mode = world(name)
        single = {key: tensor.float() for key, tensor in mode.items()}
        exact = {key: tensor.double() for key, tensor in single.items()}
        rows = rows.with_inputs(torch.as_tensor(rows.inputs[:]).float())
        for structure in ("full", "kron", "diag"):
            for part in ("all", "head"):
                one = expand(posterior, rows, single, structure=structure, part=part)
                other = expand(posterior, rows, exact, structure=structure, part=part)
                assert all(block.dtype == torch.float64 for block in one.eigenvalues)
                assert one.log_likelihood == pytest.approx(other.log_likelihood, rel=1e-6)
                assert evidence_of(one).item() == pytest.approx(evidence_of(other).item(), rel=1e-6)


def test_activations_in_place_change_nothing() -> None:
    torch.manual_seed(0)
    outside = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    inside = nn.Sequential(outside[0], nn.ReLU(inplace=True), outside[2], nn.ReLU(inplace=True), outside[4])
    rows = make_rows(torch.randn(8, 3), torch.arange(8) % 2)
    for structure in ("full", "kron", "diag"):
        blocks = []
        for module in (outside, inside):
            network = Network(module, "4")
            posterior = Posterior(network, categorical, Gaussian(1.0))
            blocks.append(expand(posterior, rows, parameters_of(network), structure=structure).curvatures)
        for one, other in zip(*blocks, strict=True):
            torch.testing.assert_close(one, other)


@pytest.mark.parametrize("likelihood", [NoisyDirichlet(0.1), GaussianNoise(1.0)])
def test_other_likelihoods_have_their_own_curvature(likelihood: NoisyDirichlet | GaussianNoise) -> None:
    posterior, rows, mode = world("mlp")
    if isinstance(likelihood, GaussianNoise):
        rows = rows.with_targets(torch.randn(12, 3, generator=torch.Generator().manual_seed(2)).double())
    posterior = Posterior(posterior.network, likelihood, Gaussian(2.0))
    for part in ("all", "head"):
        reference = curvature(posterior, rows, mode, part)
        found = expand(posterior, rows, mode, part=part)
        torch.testing.assert_close(found.curvatures[0], reference.likelihood, rtol=1e-9, atol=1e-10)
        spread = expand(posterior, rows, mode, part=part, structure="diag")
        torch.testing.assert_close(torch.cat(spread.curvatures), reference.likelihood.diagonal(), rtol=1e-9, atol=1e-10)


def test_a_logit_temperature_is_part_of_the_curvature() -> None:
    posterior, rows, mode = world("mlp")
    posterior = Posterior(posterior.network, categorical, Gaussian(2.0), logit_temperature=0.5)
    reference = curvature(posterior, rows, mode)
    found = expand(posterior, rows, mode)
    torch.testing.assert_close(found.curvatures[0], reference.likelihood, rtol=1e-9, atol=1e-11)
    assert found.log_likelihood == pytest.approx(reference.log_likelihood)


def test_softmax_roots_and_their_sums_for_a_thousand_classes() -> None:
    generator = torch.Generator().manual_seed(3)
    probabilities = (3 * torch.randn(3, 1000, generator=generator, dtype=torch.float64)).softmax(dim=1)
    roots = Softmax(probabilities, 0.7)
    exact = 0.49 * (torch.diag_embed(probabilities) - probabilities[:, :, None] * probabilities[:, None, :])
    factor = torch.stack([roots.column(number) for number in range(roots.count)], dim=2)
    assert factor.shape == (3, 1000, 999)
    torch.testing.assert_close(factor @ factor.mT, exact, rtol=1e-9, atol=1e-14)
    torch.testing.assert_close(roots.summed(), exact.sum(dim=0), rtol=1e-9, atol=1e-14)
    torch.testing.assert_close(roots.diagonal(), exact.diagonal(dim1=1, dim2=2), rtol=1e-9, atol=1e-14)
    torch.testing.assert_close(roots.matrices(), exact, rtol=1e-9, atol=1e-14)


def test_the_offset_sees_whether_a_point_is_a_mode() -> None:
    posterior, rows, mode = world("linear")
    optimised = {name: tensor.clone().requires_grad_() for name, tensor in mode.items()}
    searcher = torch.optim.LBFGS(
        list(optimised.values()), max_iter=200, tolerance_grad=1e-12, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        searcher.zero_grad()
        loss = -posterior.log_density(optimised, rows)
        loss.backward()
        return loss

    searcher.step(closure)  # pyright: ignore[reportArgumentType]
    reached = {name: tensor.detach() for name, tensor in optimised.items()}
    for structure in ("full", "kron", "diag"):
        assert expand(posterior, rows, reached, structure=structure).offset < 1e-4
        assert expand(posterior, rows, mode, structure=structure).offset > 0.5
