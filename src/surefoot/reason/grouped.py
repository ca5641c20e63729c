"""Log-probabilities of many completions of few prompts, with gradients: each prompt is read once.

A completion attends to the keys and values of its prompt as they stand, so the places of a prompt cost once what they
would cost for each of its completions. The scales of normalisations are multiplied into the matrices behind them, and
numbers j and j + size/2 of a head lie beside each other, so that turning a pair is one product of complex numbers: less
to go backward through. The numbers, and their gradients, are those of `token_log_probabilities`, up to the order of
sums.
"""

from typing import NamedTuple, cast

import torch
from jaxtyping import Bool, Complex, Float, Int64
from torch import Tensor
from torch.nn import functional

from surefoot.text.decoder import BASE, EPSILON, Block, Decoder
from surefoot.text.rollout import Rollout, tempered

__all__ = ["grouped_log_probabilities"]


def grouped_log_probabilities(
    decoder: Decoder, rollout: Rollout, rows: Int64[Tensor, " some"]
) -> Float[Tensor, "some new"]:
    """log p of each drawn token of some rows of a rollout, up to the last token that one of them has.

    As in `token_log_probabilities`: of the distribution that was drawn from, and 0 where nothing was drawn.
    """
    sampled = rollout.sampled[rows]
    last = int(sampled.any(dim=0).nonzero().max()) + 1
    group, which = (rows // rollout.sampling.count).unique(return_inverse=True)
    firsts = group * rollout.sampling.count
    starts = rollout.starts[firsts]
    skipped = int(starts.min())
    prompts = rollout.tokens[firsts, skipped : rollout.prompt]
    said = rollout.completions[rows, :last]
    before, after = _states(decoder, prompts, starts - skipped, said[:, :-1], which.to(prompts.device))
    states = torch.cat([before[which, None], after], dim=1)
    logits = functional.linear(_normal(states), decoder.head.weight * decoder.norm)
    logs = tempered(logits, rollout.sampling).log_softmax(dim=2)
    return torch.where(sampled[:, :last], logs.gather(2, said[:, :, None])[:, :, 0], 0.0)


class _Side(NamedTuple):
    """states: of all places; turn: of their positions, none where those are learned; seen: what each attends to."""

    states: Float[Tensor, "rows places width"]
    turn: Complex[Tensor, "rows places 1 1 pairs"] | None
    seen: Bool[Tensor, "rows 1 places keys"]


class _Weights(NamedTuple):
    """mixing: of queries, keys and values, pairs beside each other."""

    mixing: Tensor
    out: Tensor
    gate_up: Tensor
    down: Tensor
    heads: int


def _states(
    decoder: Decoder, prompts: Tensor, starts: Tensor, said: Tensor, which: Tensor
) -> tuple[Float[Tensor, "prompts width"], Float[Tensor, "rows places width"]]:
    """The last place of each prompt, and all places of completions but the last."""
    length, places = prompts.shape[1], said.shape[1]
    device = prompts.device
    at = torch.arange(length, device=device)
    visible = at[None] >= starts[:, None]
    causal = at[:, None] >= at[None]
    # A place of padding sees itself: a softmax over nothing is not a number.
    within = (causal & visible[:, None]) | torch.eye(length, dtype=torch.bool, device=device)
    later = torch.arange(places, device=device)
    own = (later[:, None] >= later[None])[None].expand(len(said), places, places)
    seen = torch.cat([visible[which, None].expand(len(said), places, length), own], dim=2)
    asked = _side(decoder, prompts, (at[None] - starts[:, None]).clamp(min=0), within[:, None])
    answered = _side(decoder, said, length + later[None] - starts[which, None], seen[:, None])
    for number, block in enumerate(decoder.blocks):
        final = number + 1 == len(decoder.blocks)
        asked, answered = _block(_prepared(cast("Block", block)), asked, answered, which, final)
    return asked.states[:, -1], answered.states


def _prepared(block: Block) -> _Weights:
    width = block.before_attention.shape[0]
    size = width // block.heads
    scaled = (block.queries_keys_values.weight * block.before_attention).view(3, block.heads, size, width)
    halves = scaled[:2].view(2, block.heads, 2, size // 2, width).transpose(2, 3).reshape(2, block.heads, size, width)
    mixing = torch.cat([halves, scaled[2:]]).view(3 * width, width)
    return _Weights(mixing, block.out.weight, block.gate_up.weight * block.before_units, block.down.weight, block.heads)


def _side(decoder: Decoder, tokens: Tensor, at: Tensor, seen: Tensor) -> _Side:
    states = decoder.embed(tokens)
    if decoder.places is not None:
        return _Side(states + decoder.places(at), None, seen)
    size = decoder.shape.width // decoder.shape.heads
    rates = BASE ** (-torch.arange(0, size, 2, dtype=torch.float32, device=tokens.device) / size)
    angles = at.float()[:, :, None, None, None] * rates
    turn = torch.complex(angles.cos(), angles.sin())
    return _Side(states, turn.to(torch.complex128) if states.dtype == torch.float64 else turn, seen)


def _block(weights: _Weights, asked: _Side, answered: _Side, which: Tensor, final: bool) -> tuple[_Side, _Side]:
    queries, keys, values = _mixed(weights, asked)
    further, own_keys, own_values = _mixed(weights, answered)
    with_keys, with_values = torch.cat([keys[which], own_keys], dim=2), torch.cat([values[which], own_values], dim=2)
    said = _with_units(weights, answered.states, further, with_keys, with_values, answered.seen)
    states = asked.states
    if final:  # of a prompt only the last place is read further
        queries, states, asked = queries[:, :, -1:], states[:, -1:], asked._replace(seen=asked.seen[:, :, -1:])
    told = _with_units(weights, states, queries, keys, values, asked.seen)
    return asked._replace(states=told), answered._replace(states=said)


def _mixed(weights: _Weights, side: _Side) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values, [rows, heads, places, size]."""
    rows, places, width = side.states.shape
    mixed = functional.linear(_normal(side.states), weights.mixing)
    apart = mixed.view(rows, places, 3, weights.heads, width // weights.heads)
    values = apart[:, :, 2].transpose(1, 2)
    both = apart[:, :, :2]
    if side.turn is not None:
        pairs = torch.view_as_complex(both.unflatten(-1, (-1, 2)))
        both = torch.view_as_real(pairs * side.turn).flatten(-2)
    queries, keys = both.permute(2, 0, 3, 1, 4).unbind(0)
    return queries, keys, values


def _with_units(
    weights: _Weights, states: Tensor, queries: Tensor, keys: Tensor, values: Tensor, seen: Tensor
) -> Float[Tensor, "rows places width"]:
    found = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=seen)
    states = states + functional.linear(found.transpose(1, 2).reshape(states.shape), weights.out)
    gate, up = functional.linear(_normal(states), weights.gate_up).chunk(2, dim=-1)
    return states + functional.linear(functional.silu(gate) * up, weights.down)


def _normal(states: Float[Tensor, "rows places width"]) -> Float[Tensor, "rows places width"]:
    return functional.rms_norm(states, (states.shape[-1],), None, EPSILON)
