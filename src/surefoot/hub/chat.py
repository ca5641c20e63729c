"""A local language model of Hugging Face as a policy: asked through its chat template, sampled token by token.

    y_t ~ softmax(logits(x, y_<t) / T)

Prompts are padded on the left and padding is known by its place, so a model whose padding is its end loses neither. The
end is a token like others: it is drawn, counted, and part of every probability. What each row draws depends on the
seed, its place and its attempt, not on what else is in its batch, up to rounding.

Thoughts stand between the texts <think> and </think>. A budget of n tokens opens a thought and closes it after n, by
tokens that are forced and have no probability. A budget of none gives the model an empty thought, and makes the token
that opens another impossible; where that is several tokens, a completion that opens one all the same has no answer.
Models that were not trained on these marks are refused a budget.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from surefoot.errors import InputError
from surefoot.hub.language import LanguageModel
from surefoot.hub.options import Asked, continuations, scored
from surefoot.hub.readers import cut_by_tokens
from surefoot.hub.saying import Reader, Row, completion_scores, end_of, ends_of, prompt_tokens, text_of, tokens_of
from surefoot.hub.templates import own_system_message, rendered, uses_marks
from surefoot.progress import Progress, silent
from surefoot.text.completion import Completion, part
from surefoot.text.options import Counted, Scored
from surefoot.text.policy import Prompt, Sampling, Unaskable
from surefoot.text.vocabulary import ANSWER, MARKS, THINK

__all__ = ["ChatPolicy", "chat_policy"]

OPENING, CLOSING = MARKS[THINK], MARKS[ANSWER]
AT_ONCE = 2**14
"""Tokens of a batch, prompts and completions together."""
TAIL = 16
"""Tokens within which a mark that closes a thought is looked for."""
SPENT = 0.25
"""Share of rows that have ended, from which on they are left out."""


@dataclass(frozen=True)
class ChatPolicy:
    """system: the system message that is put where a prompt has none, the template's own one included; None: none.

    roles: what a role of a message is called instead, such as {"developer": "system"}. Make one with `chat_policy`.
    """

    model: LanguageModel
    system: str | None
    roles: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def context(self) -> int:
        return self.model.context

    def identity_parts(self) -> tuple[Any, ...]:
        """What makes it this policy, for `inference.checkpoint.identity`: its tokenizer keeps notes of its own."""
        tokenizer = self.model.tokenizer
        return (
            self.told, self.context, self.roles, tokenizer.chat_template, tokenizer.get_vocab(),
            self.model.module.state_dict(),
        )  # fmt: skip

    @property
    def told(self) -> str:
        """How prompts are put, for a record: the template and the system message."""
        if not self.model.tokenizer.chat_template:
            return f"{self.name}: prompts as they are, for there is no chat template"
        if self.system is None:
            return f"{self.name}: chat template, no system message"
        own = "the template's own " if self.system == own_system_message(self.model) else ""
        return f'{self.name}: chat template, {own}system message "{self.system}"'

    def sample(
        self, prompts: Sequence[Prompt], sampling: Sampling, seed: int, progress: Progress = silent
    ) -> list[tuple[Completion, ...]]:
        """See `Policy.sample`. Tokens of a thought are those that its text makes.

        Raises `Unaskable` for prompts that leave no room for a completion in the context or hold marks of the model's
        own, `InputError` for a budget of thinking where the model has no marks of thought, and what else `rendered`
        refuses.
        """
        if sampling.thinking is not None and not uses_marks(self.model):
            raise InputError(
                f"A budget of {sampling.thinking} tokens of thinking was asked of {self.name}, which was not trained "
                f"on {OPENING}; leave it free."
            )
        asked = self._every(prompts, sampling)
        found: dict[int, tuple[Completion, ...]] = {}
        lengths = [(len(each.tokens) + sampling.most) * sampling.count for each in asked]
        for places in cut_by_tokens(sorted(range(len(asked)), key=lengths.__getitem__), lengths, AT_ONCE):
            rows = [replace(asked[at], seed=f"{seed} {at} {again}") for at in places for again in range(sampling.count)]
            with torch.inference_mode():
                said = _drawn(self.model, rows, sampling)
            for number, at in enumerate(places):
                found[at] = tuple(said[number * sampling.count : (number + 1) * sampling.count])
            progress("sampling", len(found), len(prompts))
        return [found[at] for at in range(len(prompts))]

    def check(self, prompts: Sequence[Prompt], sampling: Sampling) -> None:
        """Raise what `sample` would raise of these prompts, and draw nothing."""
        self._every(prompts, sampling)

    def log_probability(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> Float64[Tensor, " rows"]:
        """See `Policy.log_probability`; of the tokens that the tokenizer makes of each completion, and the end.

        Raises `InputError` for rows beyond the context, a completion without the thought that a template has opened,
        and what `rendered` refuses.
        """
        rows = [self.row(each, said) for each, said in zip(prompts, completions, strict=True)]
        long = [len(each.tokens) for each in rows if len(each.tokens) > self.context]
        if long:
            raise InputError(
                f"{len(long)} of {len(rows)} prompts with their completions are longer than the {self.context:,} "
                f"tokens that {self.name} reads (the longest has {max(long):,}); leave them out."
            )
        found = torch.zeros(len(rows), dtype=torch.float64)
        lengths = [len(each.tokens) for each in rows]
        for places in cut_by_tokens(sorted(range(len(rows)), key=lengths.__getitem__), lengths, AT_ONCE):
            with torch.inference_mode():
                found[torch.tensor(places)] = completion_scores(self.model, [rows[at] for at in places])
        return found

    def option_scores(
        self, prompts: Sequence[Prompt], options: Sequence[Sequence[str]], counted: Counted = "completion"
    ) -> Scored:
        """See `OptionScorer.option_scores`.

        "completion": the tokens of `log_probability`. "continuation": the prompt as it is put, then `continuations` of
        it, so that the line break which ends many templates is counted with every option.

        Raises `Unaskable` for prompts that hold marks of the model's own or are, with an option, beyond the context,
        and `InputError` for what else `log_probability` and `continuations` refuse.
        """
        asked: list[Asked] = []
        refused: dict[int, str] = {}
        for at, (prompt, each) in enumerate(zip(prompts, options, strict=True)):
            try:
                text = self._rendered(prompt)
            except Unaskable as error:
                refused[at] = str(error)
                continue
            said = [_behind(self.model, text, option) for option in each]
            if counted == "continuation":
                asked.append(continuations(self.model, text, said))
                continue
            end = end_of(self.model)
            new = tuple((*tokens_of(self.model, option), end) for option in said)
            asked.append(Asked(prompt_tokens(self.model, text), new))
        if refused:
            raise Unaskable(next(iter(refused.values())), tuple(refused))
        return scored(self.model, asked)

    def row(self, prompt: Prompt, completion: str) -> Row:
        """The tokens of a prompt, as it is put, and of a completion with its end; raises `InputError` as above."""
        return _row(self.model, self._rendered(prompt), completion)

    def _every(self, prompts: Sequence[Prompt], sampling: Sampling) -> list["_Asked"]:
        """What is asked for each prompt; raises one `Unaskable` of all that cannot be."""
        asked: list[_Asked] = []
        refused: dict[int, str] = {}
        for at, prompt in enumerate(prompts):
            try:
                asked.append(_asked(self.model, self._rendered(prompt), sampling))
            except Unaskable as error:
                refused[at] = str(error)
                continue
            if len(asked[-1].tokens) + sampling.most > self.context:
                refused[at] = (
                    f"A prompt has {len(asked[-1].tokens):,} tokens, which with {sampling.most:,} to be written is "
                    f"beyond the {self.context:,} that {self.name} reads; shorten it or what may be written."
                )
        if refused:
            raise Unaskable(next(iter(refused.values())), tuple(refused))
        return asked

    def _rendered(self, prompt: Prompt) -> str:
        return rendered(self.model, prompt, self.system, self.roles)


def chat_policy(
    model: LanguageModel, *, system: str | None = None, roles: Mapping[str, str] | None = None
) -> ChatPolicy:
    """A policy of a model. system: None takes the template's own system message, which `ChatPolicy.system` then is."""
    return ChatPolicy(model, own_system_message(model) if system is None else system, dict(roles or {}))


@dataclass(frozen=True)
class _Asked:
    """A prompt's tokens. before: what a completion's text begins with. forced: tokens that it begins with."""

    tokens: tuple[int, ...]
    before: str
    forced: tuple[int, ...]
    seed: str = ""


def _asked(model: LanguageModel, text: str, sampling: Sampling) -> _Asked:
    opened = _opens(model, text)
    if sampling.thinking == 0:
        text += f"\n{CLOSING}\n\n" if opened else f"{OPENING}\n\n{CLOSING}\n\n"
        return _Asked(prompt_tokens(model, text), "", ())
    forced = tokens_of(model, f"{OPENING}\n") if sampling.thinking and not opened else ()
    return _Asked(prompt_tokens(model, text), OPENING if opened else "", forced)


def _opens(model: LanguageModel, text: str) -> bool:
    """Has the template opened a thought? What a prompt ends in where there is none is the prompt's."""
    return bool(model.tokenizer.chat_template) and text.rstrip().endswith(OPENING)


def _row(model: LanguageModel, text: str, completion: str) -> Row:
    new = (*tokens_of(model, _behind(model, text, completion)), end_of(model))
    return Row((*prompt_tokens(model, text), *new), len(new))


def _behind(model: LanguageModel, text: str, completion: str) -> str:
    """What of a completion stands behind its prompt: all of it but a mark that the template has written."""
    if not _opens(model, text):
        return completion
    if not completion.startswith(OPENING):
        raise InputError(
            f"The template of {model.name} opens a thought, and a completion has none; begin it with {OPENING}."
        )
    return completion.removeprefix(OPENING)


def _drawn(model: LanguageModel, rows: Sequence[_Asked], sampling: Sampling) -> list[Completion]:
    """The loop over places, all rows at once; those that have ended are left out, or are not listened to."""
    reader = Reader(model, [each.tokens for each in rows])
    chances = torch.stack([_chances(each.seed, sampling.most) for each in rows])
    said: list[list[int]] = [[] for _ in rows]
    logs = [0.0 for _ in rows]
    waiting = [list(each.forced) for each in rows]
    budgets = [_budget(model, each, sampling) for each in rows]
    ended = [False for _ in rows]
    barred = _barred(model, sampling)
    closing, ends = tokens_of(model, f"\n{CLOSING}\n\n"), ends_of(model)
    going = list(range(len(rows)))
    for at in range(sampling.most):
        scores = (reader.logits + barred) / (sampling.temperature or 1.0)
        chosen = _choose(scores.log_softmax(dim=1), sampling.temperature, chances[going, at])
        for row, (token, log) in zip(going, chosen, strict=True):
            if ended[row]:
                continue
            if not waiting[row] and budgets[row] is not None and len(said[row]) >= (budgets[row] or 0):
                waiting[row] = list(closing)
                budgets[row] = None
            if waiting[row]:
                said[row].append(waiting[row].pop(0))
                continue
            said[row].append(token)
            logs[row] += log
            ended[row] = token in ends
            if budgets[row] is not None and CLOSING in text_of(model, said[row][-TAIL:]):
                budgets[row] = None
        if all(ended) or at == sampling.most - 1:
            break
        going = _going(reader, going, ended)
        reader.read([said[row][-1] for row in going])
    return [_completion(model, sampling, *each) for each in zip(rows, said, logs, ended, strict=True)]


def _going(reader: Reader, going: list[int], ended: Sequence[bool]) -> list[int]:
    """The rows that are read on: once a quarter of them have ended, the others alone, for cutting a cache copies it."""
    alive = [place for place, row in enumerate(going) if not ended[row]]
    if len(alive) > (1 - SPENT) * len(going) or not reader.keep(alive):
        return going
    return [going[place] for place in alive]


def _budget(model: LanguageModel, asked: _Asked, sampling: Sampling) -> int | None:
    """After how many tokens of the completion its thought is closed, or None."""
    return len(asked.forced) + sampling.thinking if sampling.thinking else None


def _barred(model: LanguageModel, sampling: Sampling) -> Float64[Tensor, " tokens"] | float:
    """−∞ for the token that opens a thought where none is allowed; 0 for the others."""
    opening = model.tokenizer.get_vocab().get(OPENING)
    if sampling.thinking != 0 or opening is None:
        return 0.0
    barred = torch.zeros(model.module.get_output_embeddings().weight.shape[0], dtype=torch.float64)
    barred[opening] = -torch.inf
    return barred


def _completion(
    model: LanguageModel, sampling: Sampling, asked: _Asked, said: list[int], log: float, ended: bool
) -> Completion:
    text = asked.before + text_of(model, said[:-1] if ended else said)
    parted = part(text, ended=ended)
    if sampling.thinking == 0 and parted.thought is not None:
        parted = parted._replace(answer=None)
    inside = 0 if parted.thought is None else len(tokens_of(model, parted.thought))
    return Completion(text, parted.thought, parted.answer, len(said), inside, ended, log)


def _choose(
    logs: Float64[Tensor, "rows tokens"], temperature: float, chances: Float64[Tensor, " rows"]
) -> Iterator[tuple[int, float]]:
    """A token of each row by the inverse of its distribution function, and its log-probability."""
    if temperature == 0:
        tokens = logs.argmax(dim=1)
    else:
        sums = logs.exp().cumsum(dim=1)
        # Short of the whole, so that rounding chooses no token beyond the last that has a probability.
        level = torch.minimum(chances * sums[:, -1], torch.nextafter(sums[:, -1], sums.new_zeros(())))
        tokens = (sums <= level[:, None]).sum(dim=1)
    return zip(tokens.tolist(), logs.gather(1, tokens[:, None])[:, 0].tolist(), strict=True)


def _chances(seed: str, most: int) -> Float64[Tensor, " most"]:
    drawn = int(hashlib.sha256(seed.encode()).hexdigest()[:15], 16)
    return torch.rand(most, generator=torch.Generator().manual_seed(drawn), dtype=torch.float64)
