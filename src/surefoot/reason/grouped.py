"""Log-probabilities of many completions of few prompts, with gradients: each prompt is read once.

A completion attends to the keys and values of its prompt as they stand, so the places of a prompt cost once what they
would cost for each of its completions. The numbers, and their gradients, are those of `token_log_probabilities`, up to
the order of sums.
"""

from typing import NamedTuple, cast

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional

from surefoot.text.decoder import EPSILON, Block, Decoder, rotation, turned
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
    shape = decoder.shape
    logits = decoder.head(functional.rms_norm(states, (shape.width,), decoder.norm, EPSILON))
    logs = tempered(logits, rollout.sampling).log_softmax(dim=2)
    return torch.where(sampled[:, :last], logs.gather(2, said[:, :, None])[:, :, 0], 0.0)


class _Side(NamedTuple):
    """states: of all places; turn: of their positions; seen: what each place attends to."""

    states: Float[Tensor, "rows places width"]
    turn: tuple[Tensor, Tensor] | None
    seen: Bool[Tensor, "rows 1 places keys"]


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
        asked, answered = _block(cast("Block", block), asked, answered, which, final)
    return asked.states[:, -1], answered.states


def _side(decoder: Decoder, tokens: Tensor, at: Tensor, seen: Tensor) -> _Side:
    states = decoder.embed(tokens)
    if decoder.places is not None:
        return _Side(states + decoder.places(at), None, seen)
    return _Side(states, rotation(at, decoder.shape.width // decoder.shape.heads), seen)


def _block(block: Block, asked: _Side, answered: _Side, which: Tensor, final: bool) -> tuple[_Side, _Side]:
    queries, keys, values = _mixed(block, asked)
    further, own_keys, own_values = _mixed(block, answered)
    with_keys, with_values = torch.cat([keys[which], own_keys], dim=2), torch.cat([values[which], own_values], dim=2)
    said = _with_units(block, answered.states, further, with_keys, with_values, answered.seen)
    states = asked.states
    if final:  # of a prompt only the last place is read further
        queries, states, asked = queries[:, :, -1:], states[:, -1:], asked._replace(seen=asked.seen[:, :, -1:])
    told = _with_units(block, states, queries, keys, values, asked.seen)
    return asked._replace(states=told), answered._replace(states=said)


def _mixed(block: Block, side: _Side) -> tuple[Tensor, Tensor, Tensor]:
    rows, places, width = side.states.shape
    normal = functional.rms_norm(side.states, (width,), block.before_attention, EPSILON)
    apart = block.queries_keys_values(normal).view(rows, places, 3, block.heads, width // block.heads)
    queries, keys, values = apart.permute(2, 0, 3, 1, 4).unbind(0)
    if side.turn is None:
        return queries, keys, values
    return turned(queries, side.turn), turned(keys, side.turn), values


def _with_units(
    block: Block, states: Tensor, queries: Tensor, keys: Tensor, values: Tensor, seen: Tensor
) -> Float[Tensor, "rows places width"]:
    width = states.shape[-1]
    found = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=seen)
    states = states + block.out(found.transpose(1, 2).reshape(states.shape))
    gate, up = block.gate_up(functional.rms_norm(states, (width,), block.before_units, EPSILON)).chunk(2, dim=-1)
    return states + block.down(functional.silu(gate) * up)
