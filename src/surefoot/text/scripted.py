"""A policy that says what a script says: for tests, and to try out a measurement before a model is asked."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, log

import torch
from jaxtyping import Float64
from torch import Tensor

from surefoot.errors import InputError
from surefoot.progress import Progress, silent
from surefoot.text.completion import Completion, part
from surefoot.text.policy import Prompt, Sampling
from surefoot.text.vocabulary import ANSWER, MARKS, THINK

__all__ = ["Script", "ScriptedPolicy"]

Script = Mapping[str, Sequence[str]] | Callable[[Prompt, int], str]
"""Texts of each prompt, all equally likely, or a function of the prompt and of how often it was answered before."""
OPENING, CLOSING = MARKS[THINK], MARKS[ANSWER]


@dataclass(frozen=True)
class ScriptedPolicy:
    """Says written completions, "<think>thought</think>answer" or "answer", as its script has them.

    Tokens are characters; a mark and the end are one each. A conversation is looked up by its last message. Of a table
    the temperature is 1, whatever is asked for, except that 0 takes the first text.

    >>> policy = ScriptedPolicy("parrot", {"0110=": ["<think>0100</think>0"]})
    >>> (completion,), = policy.sample(["0110="], Sampling(), seed=0)
    >>> completion.answer, completion.tokens, completion.thought_tokens, completion.ended
    ('0', 8, 4, True)
    """

    name: str
    script: Script
    context: int = 100_000

    def sample(
        self, prompts: Sequence[Prompt], sampling: Sampling, seed: int, progress: Progress = silent
    ) -> list[tuple[Completion, ...]]:
        """See `Policy.sample`; raises `InputError` for a prompt that the script does not have."""
        found: list[tuple[Completion, ...]] = []
        for row, prompt in enumerate(prompts):
            texts = [self._said(prompt, sampling, seed, row, attempt) for attempt in range(sampling.count)]
            found.append(tuple(_completion(text, sampling) for text in texts))
            progress("sampling", row + 1, len(prompts))
        return found

    def log_probability(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> Float64[Tensor, " rows"]:
        """The share of a prompt's texts that are this one; raises `InputError` where the script is a function."""
        shares: list[float] = []
        for prompt, completion in zip(prompts, completions, strict=True):
            texts = self._texts(prompt)
            shares.append(list(texts).count(completion) / len(texts))
        return torch.tensor([log(each) if each else -inf for each in shares], dtype=torch.float64)

    def _said(self, prompt: Prompt, sampling: Sampling, seed: int, row: int, attempt: int) -> str:
        if callable(self.script):
            return self.script(prompt, attempt)
        texts = self._texts(prompt)
        drawn = int(hashlib.sha256(f"{seed} {row} {attempt} {_last(prompt)}".encode()).hexdigest(), 16)
        return texts[0 if sampling.temperature == 0 else drawn % len(texts)]

    def _texts(self, prompt: Prompt) -> Sequence[str]:
        if callable(self.script):
            raise InputError(f"{self.name} follows a function, which has no probabilities; give it a table of texts.")
        texts = self.script.get(_last(prompt), ())
        if not texts:
            raise InputError(f"{self.name} has no text for the prompt {_last(prompt)[:60]!r}; add one to its script.")
        return texts


def _last(prompt: Prompt) -> str:
    return prompt if isinstance(prompt, str) else prompt[-1].text


def _completion(text: str, sampling: Sampling) -> Completion:
    """As a policy of these characters would have written it under this sampling."""
    thought, answer = _split(text)
    if sampling.thinking is not None:
        thought = (thought or "")[: sampling.thinking] if sampling.thinking else None
    pieces = [*answer] if thought is None else [OPENING, *thought, CLOSING, *answer]
    ended = len(pieces) < sampling.most
    written = pieces[: sampling.most]
    said = "".join(written)
    parted = part(said, ended=ended)
    inside = 0 if thought is None else min(len(thought), len(written) - 1)
    return Completion(said, parted.thought, parted.answer, len(written) + ended, inside, ended)


def _split(text: str) -> tuple[str | None, str]:
    """Thought and the rest, exactly as written; a text that is not of this form is all answer."""
    if not text.startswith(OPENING) or CLOSING not in text:
        return None, text
    thought, _, answer = text.removeprefix(OPENING).partition(CLOSING)
    return thought, answer
