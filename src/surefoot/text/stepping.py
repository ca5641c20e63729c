"""One more place of many texts at once: a decoder that keeps the keys and values of what it has read.

The weights are prepared once. The scales of normalisations and 1/√size are multiplied into the matrices behind them,
and numbers j and j + size/2 of a head lie beside each other, so that turning a pair by the angle of its place is one
product of complex numbers. Sums are in another order than those of `decoder`, so logits agree to rounding, not to the bit.
"""

from typing import NamedTuple, cast

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from surefoot.text.decoder import BASE, EPSILON, Block, Decoder

__all__ = ["Reader"]


class _Weights(NamedTuple):
    mixing: Tensor
    out: Tensor
    gate_up: Tensor
    down: Tensor


class Reader:
    """The state of a batch of texts. logits: of the token after the last that was read, [rows, symbols].

    prompts, starts: each is read once and then stands for `count` rows. more: how many further places there may be.
    """

    logits: Tensor

    def __init__(
        self,
        decoder: Decoder,
        prompts: Int64[Tensor, "prompts places"],
        starts: Int64[Tensor, " prompts"],
        count: int,
        more: int,
    ) -> None:
        shape = decoder.shape
        self._heads, self._size = shape.heads, shape.width // shape.heads
        self._embed = decoder.embed.weight
        self._places = None if decoder.places is None else decoder.places.weight
        self._weights = [_prepared(cast("Block", block), shape.heads) for block in decoder.blocks]
        self._head = decoder.head.weight * decoder.norm
        self._angles = _turns(shape.context, self._size).to(prompts.device) if self._places is None else None
        self._read, self._capacity = prompts.shape[1], prompts.shape[1] + more
        self._starts = starts
        self._padded = bool(starts.any())
        self._keys: list[Tensor] = []
        self._values: list[Tensor] = []
        last = self._begin(prompts)
        self._starts = starts.repeat_interleave(count)
        for kept in (self._keys, self._values):
            for layer, each in enumerate(kept):
                kept[layer] = self._room(each.repeat_interleave(count, dim=0))
        self.logits = last.repeat_interleave(count, dim=0)

    def read(self, tokens: Int64[Tensor, " rows"]) -> Float[Tensor, "rows symbols"]:
        """Read one more token of each row; the logits of the next."""
        at = self._read
        rows, heads, size = len(tokens), self._heads, self._size
        states = functional.embedding(tokens, self._embed)
        position = at - self._starts
        if self._places is not None:
            states = states + self._places[position]
        turn = None if self._angles is None else self._angles[position][:, None, None]
        hidden = self._hidden(at + 1)
        for layer, weights in enumerate(self._weights):
            mixed = functional.linear(_normal(states), weights.mixing).view(rows, 3, heads, size)
            asked = mixed[:, :2] if turn is None else _turn(mixed[:, :2], turn)
            keys, values = self._keys[layer], self._values[layer]
            keys[:, :, at] = asked[:, 1]
            values[:, :, at] = mixed[:, 2]
            flat = keys.view(rows * heads, self._capacity, size)[:, : at + 1]
            scores = torch.bmm(asked[:, 0].reshape(rows * heads, 1, size), flat.transpose(1, 2))
            if hidden is not None:
                scores = scores.view(rows, heads, at + 1).add_(hidden[:, None]).view(rows * heads, 1, at + 1)
            found = torch.bmm(scores.softmax(dim=2), values.view(rows * heads, self._capacity, size)[:, : at + 1])
            states = torch.addmm(states, found.view(rows, heads * size), weights.out)
            states = _with_units(states, weights)
        self._read += 1
        return functional.linear(_normal(states), self._head)

    def keep(self, rows: Int64[Tensor, " kept"]) -> None:
        """Go on with these rows alone, in this order."""
        self._starts = self._starts[rows]
        for kept in (self._keys, self._values):
            for layer, each in enumerate(kept):
                smaller = each.new_empty((len(rows), *each.shape[1:]))
                smaller[:, :, : self._read] = each[rows, :, : self._read]
                kept[layer] = smaller

    def _begin(self, prompts: Int64[Tensor, "prompts places"]) -> Float[Tensor, "prompts symbols"]:
        """Read the prompts whole; keys and values of all their places are kept."""
        rows, places = prompts.shape
        at = (torch.arange(places, device=prompts.device)[None] - self._starts[:, None]).clamp(min=0)
        states = functional.embedding(prompts, self._embed)
        if self._places is not None:
            states = states + self._places[at]
        turn = None if self._angles is None else self._angles[at][:, :, None, None]
        seen = self._seen(places)
        for weights in self._weights:
            mixed = functional.linear(_normal(states), weights.mixing).view(rows, places, 3, self._heads, self._size)
            asked = mixed[:, :, :2] if turn is None else _turn(mixed[:, :, :2], turn)
            queries, keys = asked.permute(2, 0, 3, 1, 4).unbind(0)
            values = mixed[:, :, 2].transpose(1, 2)
            self._keys.append(keys)
            self._values.append(values)
            # Queries are scaled already.
            found = functional.scaled_dot_product_attention(
                queries, keys, values, attn_mask=seen, is_causal=seen is None, scale=1.0
            )
            joined = found.transpose(1, 2).reshape(rows * places, -1)
            states = torch.addmm(states.view(rows * places, -1), joined, weights.out)
            states = _with_units(states, weights).view(rows, places, -1)
        return functional.linear(_normal(states[:, -1]), self._head)

    def _room(self, kept: Float[Tensor, "rows heads places size"]) -> Float[Tensor, "rows heads capacity size"]:
        whole = kept.new_empty((*kept.shape[:2], self._capacity, self._size))
        whole[:, :, : self._read] = kept
        return whole

    def _hidden(self, places: int) -> Float[Tensor, "rows places"] | None:
        """−∞ where a row is padded."""
        if not self._padded:
            return None
        at = torch.arange(places, device=self._starts.device)
        return torch.where(at[None] < self._starts[:, None], -torch.inf, 0.0)

    def _seen(self, places: int) -> Tensor | None:
        if not self._padded:
            return None
        at = torch.arange(places, device=self._starts.device)
        causal = (at[:, None] >= at[None])[None] & (at[None, None] >= self._starts[:, None, None])
        # A place of padding sees itself: a softmax over nothing is not a number.
        return (causal | torch.eye(places, dtype=torch.bool, device=self._starts.device))[:, None]


def _prepared(block: Block, heads: int) -> _Weights:
    width = block.before_attention.shape[0]
    size = width // heads
    scaled = (block.queries_keys_values.weight * block.before_attention).view(3, heads, size, width).clone()
    scaled[0] *= size**-0.5
    halves = scaled[:2].view(2, heads, 2, size // 2, width).transpose(2, 3).reshape(2, heads, size, width)
    mixing = torch.cat([halves, scaled[2:]]).view(3 * width, width)
    return _Weights(mixing, block.out.weight.t(), block.gate_up.weight * block.before_units, block.down.weight.t())


def _turns(context: int, size: int) -> Tensor:
    """e^{i·place·rate} of every place and pair."""
    rates = BASE ** (-torch.arange(0, size, 2, dtype=torch.float32) / size)
    angles = torch.arange(context, dtype=torch.float32)[:, None] * rates
    return torch.complex(angles.cos(), angles.sin())


def _turn(pairs: Tensor, turn: Tensor) -> Tensor:
    grouped = torch.view_as_complex(pairs.unflatten(-1, (-1, 2)))
    return torch.view_as_real(grouped * turn).flatten(-2)


def _normal(states: Float[Tensor, "*rows width"]) -> Float[Tensor, "*rows width"]:
    return functional.rms_norm(states, (states.shape[-1],), None, EPSILON)


def _with_units(states: Float[Tensor, "rows width"], weights: _Weights) -> Float[Tensor, "rows width"]:
    gate, up = functional.linear(_normal(states), weights.gate_up).chunk(2, dim=-1)
    return torch.addmm(states, functional.silu(gate).mul_(up), weights.down)
