"""Torch's reader of one more place: logits of plain passes, whatever is kept."""

import pytest
import torch

from surefoot.text.decoder import Shape, build_decoder
from surefoot.text.stepping import Reader


@pytest.mark.parametrize("shape", [Shape(20, 32, 2, 4), Shape(7, 12, 1, 1), Shape(20, 32, 2, 4, positions="learned")])
@pytest.mark.parametrize("lengths", [(5, 1, 3), (4, 4, 4)])
def test_logits_are_those_of_plain_passes(shape: Shape, lengths: tuple[int, ...]) -> None:
    """With padding and without, before and after rows are left behind, twice."""
    decoder, generator = build_decoder(shape, 0), torch.Generator().manual_seed(1)
    texts = [torch.randint(shape.symbols, (length,), generator=generator).tolist() for length in lengths]
    longest = max(lengths)
    padded = torch.tensor([[0] * (longest - len(text)) + text for text in texts])
    starts = torch.tensor([longest - length for length in lengths])
    with torch.inference_mode():
        reader, texts = Reader(decoder, padded, starts, 3, 9), [list(text) for text in texts for _ in range(3)]
        logits = reader.logits
        for place in range(9):
            expected = torch.stack([decoder(torch.tensor([text]))[0, -1] for text in texts])
            torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)
            if place in (0, 5):
                kept = torch.tensor([8, 0, 4, 5, 1] if place == 0 else [3, 0])
                reader.keep(kept)
                texts = [texts[row] for row in kept.tolist()]
            tokens = torch.randint(shape.symbols, (len(texts),), generator=generator)
            for text, token in zip(texts, tokens.tolist(), strict=True):
                text.append(token)
            logits = reader.read(tokens)
