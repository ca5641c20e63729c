"""Completions drawn from a decoder, many at once, with the probability of every token.

    y_t ~ softmax(logits(x, y_<t) / T)

Distinct prompts are read once, however many completions each gets. Keys and values of all places are kept, rows that
have ended are taken out of the batch, and what a token costs is one place of the decoder (`stepping`).

Prompts are padded on the left and completions on the right. Padding is known by its place, never by its symbol.
`token_log_probabilities` computes the same numbers without anything kept, with gradients.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from surefoot.errors import InputError
from surefoot.text.completion import Completion, part
from surefoot.text.decoder import Decoder
from surefoot.text.machine.reader import MachineReader
from surefoot.text.policy import Sampling
from surefoot.text.reading import reader_for
from surefoot.text.vocabulary import ANSWER, BEGIN, END, PAD, THINK, Vocabulary

__all__ = ["EVERY", "Rollout", "laid_out", "roll", "tempered", "token_log_probabilities", "written"]

EVERY = slice(None)


class Rollout(NamedTuple):
    """Completions of `count` rows a prompt, prompt after prompt.

    tokens: prompts, which end at `prompt`, then completions. starts: places of padding before each prompt. sampled:
    where the policy itself drew a token, its end included; elsewhere is padding, or a token that was forced.
    log_probabilities: in nats, of the distribution that was drawn from; 0 where nothing was drawn. ended: whether the
    completion came to its end. sampling: how they were drawn.
    """

    tokens: Int64[Tensor, "rows places"]
    prompt: int
    starts: Int64[Tensor, " rows"]
    sampled: Bool[Tensor, "rows new"]
    log_probabilities: Float[Tensor, "rows new"]
    ended: Bool[Tensor, " rows"]
    sampling: Sampling

    @property
    def completions(self) -> Int64[Tensor, "rows new"]:
        """Without the prompts."""
        return self.tokens[:, self.prompt :]


def roll(
    decoder: Decoder, prompts: Sequence[Sequence[int]], sampling: Sampling, seed: int, some: slice = EVERY
) -> Rollout:
    """Draw `sampling.count` completions of each prompt.

    prompts: tokens, the mark of the beginning included. some: of which of them, one at least, to draw completions; they
    are those that are drawn where all are. A row's draws depend on the seed and its place alone, not on when others
    end. Without gradients.

    Raises `InputError` for no prompts, an empty one, and prompts that leave no room for a completion in the context.
    """
    padded, starts = (each[some] for each in _padded(decoder, prompts, sampling))
    place = decoder.head.weight.device
    generator = torch.Generator().manual_seed(seed)
    rows = len(prompts) * sampling.count
    chances = torch.rand(rows, sampling.most, generator=generator, dtype=torch.float64)
    chances = chances.view(len(prompts), sampling.count, sampling.most)[some].flatten(0, 1).to(place)
    with torch.inference_mode():
        new = _drawn(decoder, padded.to(place), starts.to(place), sampling, chances)
    # Ordinary tensors: what was made in inference mode can take no part in a gradient.
    tokens, sampled, logs = (each[:, : new.longest].clone() for each in (new.tokens, new.sampled, new.logs))
    repeated = padded.to(place).repeat_interleave(sampling.count, dim=0)
    spread = starts.to(place).repeat_interleave(sampling.count)
    whole = torch.cat([repeated, tokens], dim=1)
    return Rollout(whole, padded.shape[1], spread, sampled, logs, new.ended.clone(), sampling)


def laid_out(
    prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]], sampling: Sampling | None = None
) -> Rollout:
    """Given completions in the form of drawn ones, their log-probabilities not known yet (0).

    completions: tokens, the end included where there is one. All are taken as drawn by the policy.
    """
    most = max(map(len, completions))
    padded, starts = _left_padded(prompts)
    tokens = torch.full((len(completions), most), PAD)
    sampled = torch.zeros(len(completions), most, dtype=torch.bool)
    for row, each in enumerate(completions):
        tokens[row, : len(each)] = torch.tensor(each, dtype=torch.int64)
        sampled[row, : len(each)] = True
    ended = torch.tensor([bool(each) and each[-1] == END for each in completions])
    whole = torch.cat([padded, tokens], dim=1)
    how = sampling or Sampling(most=most)
    return Rollout(whole, padded.shape[1], starts, sampled, torch.zeros(len(completions), most), ended, how)


def token_log_probabilities(decoder: Decoder, rollout: Rollout) -> Float[Tensor, "rows new"]:
    """log p of each drawn token under `decoder` as it is now, with gradients; 0 where nothing was drawn.

    Of the distribution that was drawn from: at its temperature, and without a thought where none was allowed. (Where
    the likeliest token was taken, of temperature 1.)
    """
    logits = decoder(rollout.tokens[:, :-1], rollout.starts)[:, rollout.prompt - 1 :]
    logs = tempered(logits, rollout.sampling).log_softmax(dim=2)
    chosen = logs.gather(2, rollout.completions[:, :, None])[:, :, 0]
    return torch.where(rollout.sampled, chosen, 0.0)


def written(vocabulary: Vocabulary, rollout: Rollout) -> list[Completion]:
    """Each row as a text, with thought and answer apart; where padding or a beginning was said, there is no answer."""
    found: list[Completion] = []
    ended = rollout.ended.tolist()
    sums = (rollout.log_probabilities.double() * rollout.sampled).sum(dim=1).tolist()
    for row, tokens in enumerate(rollout.completions.tolist()):
        # Forced tokens lie before the last drawn one, or are the mark that closes a thought.
        said = tokens[: tokens.index(END) + 1] if ended[row] else tokens
        text = vocabulary.decode(said)
        # These two are no part of any answer, and not seen in a text: a thought could hide in them.
        hidden = PAD in said or BEGIN in said
        parted = part(text, ended=ended[row] and not hidden)
        inside = 0
        if said and said[0] == THINK:
            inside = (said.index(ANSWER) if ANSWER in said else len(said)) - 1
        found.append(Completion(text, parted.thought, parted.answer, len(said), inside, ended[row], sums[row]))
    return found


def tempered(logits: Float[Tensor, "*rows symbols"], sampling: Sampling) -> Float[Tensor, "*rows symbols"]:
    """Logits of the distribution that is drawn from: at its temperature, without a thought where none is allowed."""
    if sampling.thinking == 0:
        mask = torch.zeros(logits.shape[-1], device=logits.device)
        mask[THINK] = -torch.inf
        logits = logits + mask
    return logits / sampling.temperature if sampling.temperature not in (0, 1) else logits


class _New(NamedTuple):
    tokens: Tensor
    sampled: Tensor
    logs: Tensor
    ended: Tensor
    longest: int


def _padded(
    decoder: Decoder, prompts: Sequence[Sequence[int]], sampling: Sampling
) -> tuple[Int64[Tensor, "prompts places"], Int64[Tensor, " prompts"]]:
    if not prompts or not all(prompts):
        raise InputError(f"There are {len(prompts)} prompts, or one of them is empty; give tokens to begin with.")
    longest, context = max(map(len, prompts)), decoder.shape.context
    if longest + sampling.most > context:
        raise InputError(
            f"A prompt has {longest} tokens, which with {sampling.most} to be written is beyond the context of "
            f"{context}; shorten the prompts or what may be written, or take a policy of a longer context."
        )
    return _left_padded(prompts)


def _left_padded(prompts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    longest = max(map(len, prompts))
    padded = torch.tensor([[PAD] * (longest - len(each)) + list(each) for each in prompts])
    return padded, torch.tensor([longest - len(each) for each in prompts])


def _drawn(
    decoder: Decoder, prompts: Tensor, starts: Tensor, sampling: Sampling, chances: Float[Tensor, "rows most"]
) -> _New:
    """The loop over places. Rows are numbered as in the result; `live` are those that go on."""
    rows, most = chances.shape
    reader = reader_for(decoder, prompts, starts, sampling.count, most)
    if isinstance(reader, MachineReader) and sampling.temperature > 0:
        return _New(*reader.complete(sampling, chances))
    new = _New(
        torch.full((rows, most), PAD, device=prompts.device),
        torch.zeros(rows, most, dtype=torch.bool, device=prompts.device),
        torch.zeros(rows, most, device=prompts.device),
        torch.zeros(rows, dtype=torch.bool, device=prompts.device),
        0,
    )
    logits = reader.logits
    live = torch.arange(rows, device=prompts.device)
    running = torch.ones(rows, dtype=torch.bool, device=prompts.device)
    thinking = torch.full((rows,), sampling.thinking is not None and sampling.thinking > 0, device=prompts.device)
    for at in range(most):
        tokens, logs = _choose(logits, sampling, chances[live, at])
        forced = _forced(sampling, at, thinking[live])
        if forced is not None:
            tokens = torch.where(forced >= 0, forced, tokens)
            logs = torch.where(forced >= 0, 0.0, logs)
            thinking[live] &= (tokens != ANSWER) & (tokens != END)
        going = running[live]
        new.tokens[live, at] = torch.where(going, tokens, PAD)
        new.logs[live, at] = torch.where(going, logs, 0.0)
        new.sampled[live, at] = going if forced is None else going & (forced < 0)
        ends = going & (tokens == END)
        new.ended[live] |= ends
        going = going & ~ends
        running[live] = going
        left = int(going.sum())
        if left == 0 or at == most - 1:
            return new._replace(longest=at + 1)
        if left <= 0.75 * len(live):
            keep = going.nonzero()[:, 0]
            reader.keep(keep)
            live, tokens = live[keep], tokens[keep]
        logits = reader.read(tokens)
    raise AssertionError("the loop returns at its last place")


def _choose(
    logits: Float[Tensor, "rows symbols"], sampling: Sampling, chances: Float[Tensor, " rows"]
) -> tuple[Int64[Tensor, " rows"], Float[Tensor, " rows"]]:
    """A token of each row by the inverse of its distribution function, and its log-probability."""
    logs = tempered(logits, sampling).log_softmax(dim=1)
    if sampling.temperature == 0:
        tokens = logs.argmax(dim=1)
    else:
        sums = logs.double().exp().cumsum(dim=1)
        # Short of the whole, so that rounding chooses no token beyond the last that has a probability.
        level = torch.minimum(chances * sums[:, -1], torch.nextafter(sums[:, -1], sums.new_zeros(())))
        tokens = (sums <= level[:, None]).sum(dim=1)
    return tokens, logs.gather(1, tokens[:, None])[:, 0]


def _forced(sampling: Sampling, at: int, thinking: Bool[Tensor, " rows"]) -> Int64[Tensor, " rows"] | None:
    """Tokens that a budget of thinking dictates at this place; −1 where it dictates none."""
    if not sampling.thinking:
        return None
    if at == 0:
        return torch.full_like(thinking, THINK, dtype=torch.int64)
    dictated = thinking & (at > sampling.thinking)
    return torch.where(dictated, ANSWER, -1)
