"""Weighted nodes against sums over all products, and what an expansion makes of them."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian
from surefoot.evidence.laplace.evidence import evidence_of
from surefoot.evidence.laplace.expand import expand
from surefoot.evidence.laplace.expansion import Expansion
from surefoot.evidence.laplace.spectrum import product_nodes
from surefoot.networks.build import build_mlp
from surefoot.networks.network import parameters_of
from surefoot.rows.rows import make_rows


def spread(count: int, nats: float, zeros: int, seed: int) -> Tensor:
    numbers = (torch.rand(count, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) - 0.5) * nats
    values = numbers.exp()
    values[:zeros] = 0
    return values


@pytest.mark.parametrize(("nats", "zeros"), [(0.0, 0), (3.0, 0), (20.0, 9), (60.0, 1)])
def test_sums_over_nodes_are_sums_over_products_at_any_shift(nats: float, zeros: int) -> None:
    left, right = spread(256, nats, zeros, 0), spread(300, nats, zeros, 1)
    nodes = product_nodes(left, right)
    assert nodes is not None
    assert len(nodes.values) * 4 < len(left) * len(right)
    every = torch.outer(left, right).flatten()
    assert nodes.weights.sum().item() == pytest.approx(len(every), rel=1e-12)
    for place in range(-138, 139, 6):
        shift = math.exp(5 * place)  # from 1e-300 to 1e300
        one, other = nodes.values + shift, every + shift
        # In nats for each number: relative to the sum, except where that is close to nought.
        scale = max(1.0, abs(other.log().mean().item()))
        assert (nodes.weights @ one.log() - other.log().sum()).abs().item() / len(every) < 1e-12 * scale
        for power in (1, 2):  # the slope by log δ, and what its own slope is made of
            found, exact = nodes.weights @ (shift / one).pow(power), (shift / other).pow(power).sum()
            assert (found - exact).abs().item() / len(every) < 1e-12


def test_few_products_are_left_as_they_are() -> None:
    assert product_nodes(spread(10, 3.0, 0, 0), spread(20, 3.0, 0, 1)) is None
    assert product_nodes(torch.zeros(100).double(), spread(200, 3.0, 0, 1)) is None
    assert product_nodes(spread(100, 600.0, 0, 0), spread(100, 600.0, 0, 1)) is None


def expansion() -> Expansion:
    network = build_mlp(40, (50,), 3, seed=0)
    generator = torch.Generator().manual_seed(0)
    rows = make_rows(torch.randn(200, 40, generator=generator), torch.arange(200) % 3)
    return expand(Posterior(network, categorical, Gaussian(1.0)), rows, parameters_of(network), structure="kron")


def test_an_evidence_is_the_same_over_nodes_and_over_all_eigenvalues() -> None:
    compressed = expansion()
    assert compressed.nodes[0] is not None
    assert compressed.nodes[1] is None
    plain = replace(compressed, nodes=())
    for scale in (1e-200, 1e-30, 1e-6, 1.0, 1e6, 1e200):
        for shape in ((), (4,)):
            given = scale * torch.linspace(0.5, 2.0, math.prod(shape), dtype=torch.float64).reshape(shape)
            one, other = given.clone().requires_grad_(), given.clone().requires_grad_()
            found, exact = evidence_of(compressed, one), evidence_of(plain, other)
            assert found.item() == pytest.approx(exact.item(), rel=1e-11)
            found.backward()
            exact.backward()
            torch.testing.assert_close(one.grad, other.grad, rtol=1e-10, atol=1e-12 * compressed.parameters / scale)


def test_slopes_over_nodes_are_those_of_finite_differences() -> None:
    compressed = expansion()
    for shape in ((), (4,)):
        own = torch.linspace(0.5, 2.0, math.prod(shape), dtype=torch.float64).reshape(shape).requires_grad_()
        assert torch.autograd.gradcheck(lambda own: evidence_of(compressed, own), (own,))
