"""Centred kernel alignment against its definition, its invariances and independence; and of sizes, layer by layer."""

from itertools import permutations

import pytest
import torch

from surefoot.errors import InputError
from surefoot.flex.similarity import alignment, similarity_of_sizes
from surefoot.networks.build import build_linear
from surefoot.networks.flexible import FlexibleViT, Shape, at_patch, build_vit
from surefoot.networks.network import parameters_of


def normal(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_definition(one: torch.Tensor, two: torch.Tensor) -> float:
    """The mean over all ordered four rows of K_ij (L_ij + L_pq − 2 L_ip), of which the estimate is a short form."""
    first, second = one @ one.T, two @ two.T
    terms = [
        first[i, j] * (second[i, j] + second[p, q] - 2 * second[i, p])
        for i, j, p, q in permutations(range(len(one)), 4)
    ]
    return float(torch.stack(terms).mean())


def test_it_is_the_estimate_that_uses_every_four_rows_once() -> None:
    one, two = normal(7, 3, seed=0), normal(7, 5, seed=1)
    expected = by_definition(one, two) / (by_definition(one, one) * by_definition(two, two)) ** 0.5
    assert alignment(one, two) == pytest.approx(expected, rel=1e-9)


def test_rotations_scales_and_shifts_change_nothing() -> None:
    one, two = normal(40, 6, seed=2), normal(40, 6, seed=3) + normal(40, 6, seed=2)
    rotation = torch.linalg.qr(normal(6, 6, seed=4)).Q
    assert alignment(one, 5 * two @ rotation + 100) == pytest.approx(alignment(one, two), rel=1e-9)
    assert alignment(one, 0.1 * one @ rotation - 3) == pytest.approx(1.0)
    stretched = one * torch.tensor([10.0, 1, 1, 1, 1, 1])
    assert alignment(one, stretched) < 0.9


def test_features_that_have_nothing_in_common_are_not_alike_however_many() -> None:
    """The plain estimate says .9 of 40 rows with 400 numbers each; this one is 0 within 4 of its standard errors."""
    found = torch.tensor([alignment(normal(40, 400, seed=2 * k), normal(40, 400, seed=2 * k + 1)) for k in range(30)])
    assert abs(float(found.mean())) < 4 * float(found.std()) / 30**0.5


SHAPE = Shape((1, 16, 16), width=12, depth=3, heads=2, buffer=(8, 8), grid=(2, 2))


def test_sizes_are_compared_layer_by_layer() -> None:
    network = build_vit(SHAPE, classes=2, patch=8, seed=0)
    module = network.module
    assert isinstance(module, FlexibleViT)
    images = normal(70, 1, 16, 16, seed=5).float()
    parameters = parameters_of(network)
    found = similarity_of_sizes(network, parameters, images, [(8, 8), (4, 4), (16, 16)])
    assert tuple(found.shape) == (4, 3, 3)
    assert torch.equal(found, found.transpose(1, 2))
    assert torch.equal(found.diagonal(dim1=1, dim2=2), torch.ones(4, 3))
    fine = at_patch(network, 4).module
    assert isinstance(fine, FlexibleViT)
    with torch.no_grad():
        left, right = (m.blocks[1](m.blocks[0](m.tokens(images))) for m in (module, fine))
    assert float(found[2, 0, 1]) == pytest.approx(alignment(left[:, 1:].mean(1), right[:, 1:].mean(1)), abs=1e-5)
    tokens = similarity_of_sizes(network, {**parameters, "token": torch.ones(12)}, images, [(8, 8), (4, 4)], "token")
    assert tuple(tokens.shape) == (3, 2, 2)
    assert torch.isfinite(tokens).all()


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(InputError, match="3 and 3 rows"):
        alignment(torch.randn(3, 2), torch.randn(3, 2))
    with pytest.raises(InputError, match="5 and 6 rows"):
        alignment(torch.randn(5, 2), torch.randn(6, 2))
    with pytest.raises(InputError, match="do not differ"):
        alignment(torch.ones(5, 2), torch.randn(5, 2))
    linear = build_linear(4, 2, seed=0)
    with pytest.raises(InputError, match="no transformer of build_vit"):
        similarity_of_sizes(linear, parameters_of(linear), torch.zeros(4, 1, 2, 2), [(1, 1)])
    means = build_vit(Shape((1, 16, 16), 12, 1, 2, buffer=(8, 8), grid=(2, 2), pool="mean"), 2, 8, 0)
    with pytest.raises(InputError, match="has no class token"):
        similarity_of_sizes(means, parameters_of(means), torch.zeros(4, 1, 16, 16), [(8, 8)], "token")
