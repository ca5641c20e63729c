"""What both sides open and read: a small Llama in a folder, prompts, and what makes rows long or short."""

import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from surefoot.text.decoder import Decoder, Shape, build_decoder
from surefoot.text.decoder_files import save_decoder
from surefoot.text.vocabulary import BEGIN, END, Vocabulary

LETTERS = Vocabulary(tuple("abcdefghijklmno"))
FIRST, EQUALS = 5, LETTERS.size - 1
MIDDLE = (FIRST + EQUALS) // 2
"""Letters up to here go on; those from here to `EQUALS`, which ends every prompt, come to an end soon."""


def folder_of(parameters: dict[str, Any]) -> tempfile.TemporaryDirectory[str]:
    """A random decoder, saved. Its first two numbers are constant along the layers and say when a text may end."""
    decoder = build_decoder(Shape(LETTERS.size), parameters["seed"])
    with torch.no_grad():
        lengthen(decoder, mixed=parameters["mixed"])
    folder = tempfile.TemporaryDirectory()
    save_decoder(Path(folder.name) / "policy", decoder, LETTERS, {})
    return folder


def prompts_of(parameters: dict[str, Any]) -> Tensor:
    generator = torch.Generator().manual_seed(parameters["seed"])
    prompts = torch.randint(FIRST, EQUALS, (parameters["prompts"], parameters["places"]), generator=generator)
    prompts[:, 0], prompts[:, -1] = BEGIN, EQUALS
    return prompts


def plausible(logs: Tensor, drawn: Tensor, where: Tensor) -> None:
    """Draws that are as likely as those of their distribution: Σ log p of what was drawn has its mean and variance.

    logs: of every symbol, `[rows, places, symbols]`. More than five standard errors come once in 10^6.
    """
    logs = logs.double()
    entropies = (logs.exp() * logs).nan_to_num(0.0)
    spread = (entropies.sum(2), (entropies * logs).nan_to_num(0.0).sum(2))
    found = logs.gather(2, drawn[:, :, None])[:, :, 0]
    variance = (spread[1] - spread[0].square())[where].sum()
    assert (found - spread[0])[where].sum().abs() < 5 * variance.sqrt(), "draws are not of this distribution"


def lengthen(decoder: Decoder, *, mixed: bool) -> None:
    decoder.embed.weight[:, 0] = 1.0
    decoder.embed.weight[:, 1] = 0.0
    for block in decoder.blocks:
        block.out.weight[:2] = 0.0  # pyright: ignore[reportIndexIssue, reportAttributeAccessIssue]
        block.down.weight[:2] = 0.0  # pyright: ignore[reportIndexIssue, reportAttributeAccessIssue]
    head = decoder.head.weight
    head[:, :2] = 0.0
    head[:FIRST] = 0.0
    head[:FIRST, 0] = -200.0
    if not mixed:
        return
    # A letter is followed by those of its own half, the second half by the end as often.
    decoder.embed.weight[FIRST : MIDDLE + 1, 1] = 2.0
    decoder.embed.weight[MIDDLE + 1 :, 1] = -2.0
    decoder.embed.weight[EQUALS, 1] = -0.42
    head[FIRST:] *= 0.3
    head[FIRST : MIDDLE + 1, 1] = 3.0
    head[MIDDLE + 1 :, 1] = -3.0
    head[EQUALS, 0] = -200.0
    head[END] = 0.0
    head[END, 0] = 1.2
    head[END, 1] = -3.0
