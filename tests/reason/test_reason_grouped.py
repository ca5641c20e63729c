"""Prompts that are read once against completions that are each read whole."""

from typing import Literal

import pytest
import torch
from torch import Tensor

from surefoot.reason.grouped import grouped_log_probabilities
from surefoot.text.decoder import Decoder, Shape, build_decoder
from surefoot.text.policy import Sampling
from surefoot.text.rollout import roll, token_log_probabilities

PROMPTS = [[1, 5, 6], [1, 6, 6, 5, 7, 5], [1], [1, 7]]


@pytest.mark.parametrize("positions", ["rotary", "learned"])
@pytest.mark.parametrize(
    "sampling",
    [Sampling(5, 6), Sampling(5, 6, temperature=0.6), Sampling(5, 6, thinking=0), Sampling(5, 7, thinking=2)],
    ids=str,
)
def test_they_are_those_of_whole_texts(positions: Literal["rotary", "learned"], sampling: Sampling) -> None:
    decoder = build_decoder(Shape(8, width=16, depth=3, heads=2, context=16, positions=positions), seed=0)
    drawn = roll(decoder, PROMPTS, sampling, seed=3)
    decoder = decoder.double()
    whole = token_log_probabilities(decoder, drawn)
    generator = torch.Generator().manual_seed(0)
    for rows in (torch.arange(20), torch.tensor([17, 2, 8, 3]), torch.tensor([11]), torch.tensor([5, 6, 5])):
        found = grouped_log_probabilities(decoder, drawn, rows)
        wanted = whole[rows, : found.shape[1]]
        assert torch.allclose(found, wanted, atol=1e-9)
        assert not whole[rows, found.shape[1] :].any()
        weights = torch.randn(found.shape, generator=generator, dtype=torch.float64)
        for mine, theirs in zip(gradients(decoder, found * weights), gradients(decoder, wanted * weights), strict=True):
            assert torch.allclose(mine, theirs, atol=1e-9)


def gradients(decoder: Decoder, values: Tensor) -> list[Tensor]:
    parts = list(decoder.parameters())
    found = torch.autograd.grad(values.sum(), parts, retain_graph=True, allow_unused=True, materialize_grads=True)
    return list(found)


def test_completions_that_end_at_once_read_no_further_place() -> None:
    decoder = build_decoder(Shape(8, width=16, depth=2, heads=2, context=16), seed=0)
    drawn = roll(decoder, PROMPTS, Sampling(4, 1), seed=0)
    assert drawn.completions.shape[1] == 1
    rows = torch.arange(16)
    found = grouped_log_probabilities(decoder, drawn, rows)
    assert torch.allclose(found, token_log_probabilities(decoder, drawn), atol=1e-5)
