"""Recall at k by sorting, by drawing orders of ties, and at chance."""

import pytest
import torch

from surefoot.errors import InputError
from surefoot.findings.recall import chance_recalled, recalled


def asked(seed: int, queries: int = 40, gallery: int = 15) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    right = torch.rand(queries, gallery, generator=generator) < 0.1
    right[torch.arange(queries), torch.randint(gallery, (queries,), generator=generator)] = True
    return torch.randn(queries, gallery, generator=generator), right


@pytest.mark.parametrize("k", [1, 3, 15])
def test_hits_are_those_of_a_sorted_list(k: int) -> None:
    similarity, right = asked(0)
    first = similarity.argsort(dim=1, descending=True)[:, :k]
    assert torch.equal(recalled(similarity, right, k), right.gather(1, first).any(dim=1).double())


@pytest.mark.parametrize("k", [1, 4])
def test_ties_are_worth_their_mean_over_orders(k: int) -> None:
    """2,000 orders: a mean of hits is within .045 in all but 1 of 15,000 (four standard errors)."""
    similarity, right = asked(1, queries=12)
    similarity = similarity.round()
    generator = torch.Generator().manual_seed(2)
    total = torch.zeros(12, dtype=torch.float64)
    for _ in range(2000):
        total += recalled(similarity + 1e-3 * torch.rand(similarity.shape, generator=generator), right, k)
    expected = recalled(similarity, right, k)
    assert ((total / 2000 - expected).abs() < 0.045).all()
    assert ((expected > 0) & (expected < 1)).any()


def test_chance_and_the_order_of_the_gallery() -> None:
    similarity, right = asked(3)
    assert torch.allclose(chance_recalled(right), right.double().mean(dim=1))
    order = torch.randperm(15, generator=torch.Generator().manual_seed(0))
    assert torch.equal(recalled(similarity, right), recalled(similarity[:, order], right[:, order]))
    assert bool((recalled(right.float(), right) == 1).all())


def test_refusals() -> None:
    similarity, right = asked(4)
    with pytest.raises(InputError, match="a k from 1"):
        recalled(similarity, right, 16)
    with pytest.raises(InputError, match="no right answer"):
        recalled(similarity, right & False)
    with pytest.raises(InputError, match="is NaN"):
        recalled(similarity / 0 * 0, right)
