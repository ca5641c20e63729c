"""One more place of many texts at once: a decoder that keeps the keys and values of what it has read.

The weights are prepared once. The scales of normalisations and 1/√size are multiplied into the matrices behind them,
and numbers j and j + size/2 of a head lie beside each other, so that turning a pair by the angle of its place is one
product of complex numbers. Sums are in another order than those of `decoder`: logits agree to rounding, not to the bit.
"""

from typing import NamedTuple, cast

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from surefoot.text.decoder import BASE, EPSILON, Block, Decoder

__all__ = ["Reader"]

SMALL = 400
"""Numbers of a matrix below which torch multiplies it by loops of its own, which are slower than a sum of products."""


class _Weights(NamedTuple):
    mixing: Tensor
    out: Tensor
    gate_up: Tensor
    down: Tensor


class Reader:
    """The state of a batch of texts. logits: of the token after the last that was read, [rows, symbols].

    prompts, starts: each is read and kept once, and `count` rows go on from it, as long as all of them do: what they
    ask of the prompt is one product of matrices. more: how many further places there may be.
    """

    logits: Tensor
    kind = "torch"

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
        self._read, self._prompt, self._more = prompts.shape[1], prompts.shape[1], more
        self._starts, self._padded = starts, bool(starts.any())
        # Rows lie group by group; beside each other in a cache lie the rows of one head of one group.
        self._together = 1
        self._prompt_keys: list[Tensor] = []
        self._prompt_values: list[Tensor] = []
        last = self._begin(prompts)
        self._together = count
        self._starts = starts.repeat_interleave(count)
        room = (len(prompts) * shape.heads * count, more, self._size)
        self._keys = [last.new_empty(room) for _ in self._weights]
        self._values = [last.new_empty(room) for _ in self._weights]
        self.logits = last.repeat_interleave(count, dim=0)

    def read(self, tokens: Int64[Tensor, " rows"]) -> Float[Tensor, "rows symbols"]:
        """Read one more token of each row; the logits of the next."""
        rows, heads, size, together = len(tokens), self._heads, self._size, self._together
        new = self._read - self._prompt
        states = functional.embedding(tokens, self._embed)
        position = self._read - self._starts
        if self._places is not None:
            states = states + self._places[position]
        turn = None if self._angles is None else self._angles[position][:, None, None]
        hidden = self._hidden()
        for layer, weights in enumerate(self._weights):
            mixed = functional.linear(_normal(states), weights.mixing).view(rows, 3, heads, size)
            asked = mixed[:, :2] if turn is None else _turn(mixed[:, :2], turn)
            queries = self._by_head(asked[:, 0])
            keys, values = self._keys[layer], self._values[layer]
            keys[:, new] = self._by_head(asked[:, 1])
            values[:, new] = self._by_head(mixed[:, 2])
            of_prompt = torch.bmm(queries.view(-1, together, size), self._prompt_keys[layer].transpose(1, 2))
            if hidden is not None:
                of_prompt = of_prompt + hidden
            own = torch.bmm(queries[:, None], keys[:, : new + 1].transpose(1, 2))
            weight = torch.cat([of_prompt.view(rows * heads, -1), own[:, 0]], dim=1).softmax(dim=1)
            first = torch.bmm(
                weight[:, : self._prompt].view(-1, together, self._prompt), self._prompt_values[layer]
            ).view(rows * heads, 1, size)
            found = _with_own(first, weight[:, None, self._prompt :], values[:, : new + 1])
            joined = found.view(-1, heads, together, size).transpose(1, 2).reshape(rows, heads * size)
            states = _with_units(torch.addmm(states, joined, weights.out), weights)
        self._read += 1
        return functional.linear(_normal(states), self._head)

    def keep(self, rows: Int64[Tensor, " kept"]) -> None:
        """Go on with these rows alone, in this order, each with its prompt to itself."""
        heads, size, new = self._heads, self._size, self._read - self._prompt
        self._starts = self._starts[rows]
        for kept in (self._keys, self._values):
            for layer, each in enumerate(kept):
                by_row = each.view(-1, heads, self._together, self._more, size).transpose(1, 2).flatten(0, 1)
                smaller = each.new_empty((len(rows), heads, self._more, size))
                smaller[:, :, :new] = by_row[rows][:, :, :new]
                kept[layer] = smaller.flatten(0, 1)
        group = rows // self._together
        for kept in (self._prompt_keys, self._prompt_values):
            for layer, each in enumerate(kept):
                kept[layer] = each.view(-1, heads, self._prompt, size)[group].flatten(0, 1)
        self._together = 1

    def _by_head(self, by_row: Float[Tensor, "rows heads size"]) -> Float[Tensor, "rows_heads size"]:
        """The order of the caches: group, head, row of the group."""
        return by_row.reshape(-1, self._together, self._heads, self._size).transpose(1, 2).reshape(-1, self._size)

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
            self._prompt_keys.append(keys.flatten(0, 1))
            self._prompt_values.append(values.flatten(0, 1))
            # Queries are scaled already.
            found = functional.scaled_dot_product_attention(
                queries, keys, values, attn_mask=seen, is_causal=seen is None, scale=1.0
            )
            joined = found.transpose(1, 2).reshape(rows * places, -1)
            states = torch.addmm(states.view(rows * places, -1), joined, weights.out)
            states = _with_units(states, weights).view(rows, places, -1)
        return functional.linear(_normal(states[:, -1]), self._head)

    def _hidden(self) -> Float[Tensor, "groups together places"] | None:
        """−∞ where the prompt of a row is padding."""
        if not self._padded:
            return None
        at = torch.arange(self._prompt, device=self._starts.device)
        mask = torch.where(at[None] < self._starts[:: self._together, None], -torch.inf, 0.0)
        return mask.repeat_interleave(self._heads, dim=0)[:, None]

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


def _with_own(
    first: Float[Tensor, "rows 1 size"],
    weight: Float[Tensor, "rows 1 places"],
    values: Float[Tensor, "rows places size"],
) -> Float[Tensor, "rows 1 size"]:
    """First + weight · values."""
    if values.shape[1] * values.shape[2] < SMALL:
        return torch.add(first, (weight.transpose(1, 2) * values).sum(1, keepdim=True))
    return torch.baddbmm(first, weight, values)


def _normal(states: Float[Tensor, "*rows width"]) -> Float[Tensor, "*rows width"]:
    return functional.rms_norm(states, (states.shape[-1],), None, EPSILON)


def _with_units(states: Float[Tensor, "rows width"], weights: _Weights) -> Float[Tensor, "rows width"]:
    gate, up = functional.linear(_normal(states), weights.gate_up).chunk(2, dim=-1)
    return torch.addmm(states, functional.silu(gate).mul_(up), weights.down)
