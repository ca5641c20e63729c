"""A small decoder transformer: logits of the next token at every place of a text.

    x ← x + Attention(RMSNorm(x)),   x ← x + W_d (silu(W_g n) ⊙ W_u n),  n = RMSNorm(x)

Layer for layer it is a Llama: no biases, rotary positions, gated units. So what `decoder_files` saves, other programs
open. Learned positions are there as well, for comparison; those no Llama knows.

Source: Touvron et al. (2023), "LLaMA", arXiv 2302.13971, §2.2; Su et al. (2021), "RoFormer", arXiv 2104.09864, eq. 34;
Zhang & Sennrich (2019), "Root mean square layer normalization", arXiv 1910.07467; Shazeer (2020), arXiv 2002.05202.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from surefoot.errors import InputError

__all__ = ["BASE", "EPSILON", "Block", "Decoder", "Shape", "build_decoder", "rotation", "turned"]

BASE = 10_000.0
"""Of the wavelengths of rotary positions, in places."""
EPSILON = 1e-5
"""Beside the mean square of a normalisation."""


@dataclass(frozen=True)
class Shape:
    """symbols: tokens there are. hidden: gated units of a block, 8/3 of the width (in sixteens) where it is 0.

    context: places at most.

    Raises `InputError` where the heads do not share the width evenly, or in odd parts, which rotate in pairs.
    """

    symbols: int
    width: int = 64
    depth: int = 2
    heads: int = 4
    hidden: int = 0
    context: int = 128
    positions: Literal["rotary", "learned"] = "rotary"

    def __post_init__(self) -> None:
        if min(self.symbols, self.width, self.depth, self.heads, self.context) < 1 or self.hidden < 0:
            raise InputError(f"A decoder's sizes are 1 or more; this shape is {self}.")
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise InputError(
                f"{self.heads} heads cannot share a width of {self.width} in even parts; give a width that is a "
                f"multiple of {2 * self.heads}."
            )

    @property
    def units(self) -> int:
        """Gated units of a block."""
        return self.hidden or 16 * -(-8 * self.width // (3 * 16))


class Block(nn.Module):
    """Attention to what came before, then gated units; both added to what they read."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.before_attention = nn.Parameter(torch.ones(shape.width))
        self.queries_keys_values = nn.Linear(shape.width, 3 * shape.width, bias=False)
        self.out = nn.Linear(shape.width, shape.width, bias=False)
        self.before_units = nn.Parameter(torch.ones(shape.width))
        self.gate_up = nn.Linear(shape.width, 2 * shape.units, bias=False)
        self.down = nn.Linear(shape.units, shape.width, bias=False)

    def forward(
        self,
        states: Float[Tensor, "rows places width"],
        turn: tuple[Tensor, Tensor] | None,
        seen: Bool[Tensor, "rows 1 places places"] | None,
    ) -> Float[Tensor, "rows places width"]:
        rows, places, width = states.shape
        mixed = self.queries_keys_values(functional.rms_norm(states, (width,), self.before_attention, EPSILON))
        apart = mixed.view(rows, places, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        queries, keys, values = apart.unbind(0)
        if turn is not None:
            queries, keys = turned(queries, turn), turned(keys, turn)
        found = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=seen, is_causal=seen is None)
        states = states + self.out(found.transpose(1, 2).reshape(rows, places, width))
        gate, up = self.gate_up(functional.rms_norm(states, (width,), self.before_units, EPSILON)).chunk(2, dim=-1)
        return states + self.down(functional.silu(gate) * up)


class Decoder(nn.Module):
    """Tokens to logits of the next token."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embed = nn.Embedding(shape.symbols, shape.width)
        self.places = nn.Embedding(shape.context, shape.width) if shape.positions == "learned" else None
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.depth))
        self.norm = nn.Parameter(torch.ones(shape.width))
        self.head = nn.Linear(shape.width, shape.symbols, bias=False)

    def forward(
        self, tokens: Int64[Tensor, "rows places"], starts: Int64[Tensor, " rows"] | None = None
    ) -> Float[Tensor, "rows places symbols"]:
        """Logits of the token after each place, given all up to it.

        starts: how many places at the beginning of each row are padding: not seen, and not counted in positions. What
        stands on the right of a row's last token does no harm, for no place sees what comes after it.

        Raises `InputError` for more places than the context.
        """
        places = tokens.shape[1]
        if places > self.shape.context:
            raise InputError(f"A text of {places} tokens is beyond the context of {self.shape.context}; shorten it.")
        at = torch.arange(places, device=tokens.device)[None]
        seen = None
        if starts is not None and bool(starts.any()):
            visible = at[:, None, :] >= starts[:, None, None]
            causal = at[0][:, None] >= at[0][None, :]
            # A place of padding sees itself: a softmax over nothing is not a number.
            seen = ((causal & visible) | torch.eye(places, dtype=torch.bool, device=tokens.device))[:, None]
            at = (at - starts[:, None]).clamp(min=0)
        states = self.embed(tokens)
        turn = None
        if self.places is None:
            turn = rotation(at, self.shape.width // self.shape.heads)
        else:
            states = states + self.places(at)
        for block in self.blocks:
            states = block(states, turn, seen)
        return self.head(functional.rms_norm(states, (self.shape.width,), self.norm, EPSILON))


def build_decoder(shape: Shape, seed: int) -> Decoder:
    """A new decoder: matrices N(0, 1/inputs), those that add to the stream smaller by √(2·depth), symbols N(0, 1)."""
    generator = torch.Generator().manual_seed(seed)
    decoder = Decoder(shape)
    with torch.no_grad():
        for name, values in decoder.named_parameters():
            if values.dim() == 1:
                continue
            lookup = name.startswith(("embed", "places"))
            spread = 1.0 if lookup else values.shape[1] ** -0.5
            adds = name.endswith(("out.weight", "down.weight"))
            values.normal_(0.0, spread / (2 * shape.depth) ** 0.5 if adds else spread, generator=generator)
    return decoder


def rotation(at: Int64[Tensor, "rows places"], size: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines for a head of `size` numbers, [rows, 1, places, size], each half the same."""
    rates = BASE ** (-torch.arange(0, size, 2, dtype=torch.float32, device=at.device) / size)
    angles = at[:, None, :, None].float() * torch.cat([rates, rates])
    return angles.cos(), angles.sin()


def turned(
    heads: Float[Tensor, "rows heads places size"], turn: tuple[Tensor, Tensor]
) -> Float[Tensor, "rows heads places size"]:
    """Number j and number j + size/2 of a head, turned as a pair by the angle of their place."""
    first, second = heads.chunk(2, dim=-1)
    return heads * turn[0] + torch.cat([-second, first], dim=-1) * turn[1]
