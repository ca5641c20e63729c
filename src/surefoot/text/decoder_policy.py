"""A decoder and its symbols as a policy: texts in, texts out."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from surefoot.errors import InputError
from surefoot.progress import Progress, silent
from surefoot.text.completion import Completion
from surefoot.text.decoder import Decoder
from surefoot.text.policy import Prompt, Sampling
from surefoot.text.rollout import laid_out, roll, token_log_probabilities, written
from surefoot.text.vocabulary import BEGIN, Vocabulary

__all__ = ["DecoderPolicy", "prompt_tokens"]

AT_ONCE = 2**19
"""Numbers of a row's keys that are kept at once, over all rows of a batch."""
TWIST = 1_000_003
"""Between the seeds of batches."""


@dataclass(frozen=True)
class DecoderPolicy:
    """A policy that `safety` and `attempts` can ask, over a decoder of our own."""

    name: str
    decoder: Decoder
    vocabulary: Vocabulary

    @property
    def context(self) -> int:
        return self.decoder.shape.context

    def sample(
        self, prompts: Sequence[Prompt], sampling: Sampling, seed: int, progress: Progress = silent
    ) -> list[tuple[Completion, ...]]:
        """See `Policy.sample`; raises `InputError` for conversations, unknown symbols, prompts too long."""
        coded = prompt_tokens(self.vocabulary, prompts)
        shape = self.decoder.shape
        step = max(1, AT_ONCE // (sampling.count * shape.context))
        found: list[tuple[Completion, ...]] = []
        for number, start in enumerate(range(0, len(coded), step)):
            batch = coded[start : start + step]
            rows = written(self.vocabulary, roll(self.decoder, batch, sampling, seed + TWIST * number))
            found += [tuple(rows[at : at + sampling.count]) for at in range(0, len(rows), sampling.count)]
            progress("sampling", len(found), len(coded))
        return found

    def log_probability(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> Float64[Tensor, " rows"]:
        """See `Policy.log_probability`."""
        coded = prompt_tokens(self.vocabulary, prompts)
        tokens = [self.vocabulary.encode_completion(each) for each in completions]
        found: list[Tensor] = []
        step = max(1, AT_ONCE // self.decoder.shape.context)
        with torch.inference_mode():
            for start in range(0, len(coded), step):
                rollout = laid_out(coded[start : start + step], tokens[start : start + step])
                found.append(token_log_probabilities(self.decoder, rollout).double().sum(dim=1))
        return torch.cat(found)


def prompt_tokens(vocabulary: Vocabulary, prompts: Sequence[Prompt]) -> list[list[int]]:
    """Each prompt with the mark of the beginning; raises `InputError` for a conversation."""
    found: list[list[int]] = []
    for each in prompts:
        if not isinstance(each, str):
            raise InputError("A small decoder reads plain texts, and a conversation was given; join it to one text.")
        found.append([BEGIN, *vocabulary.encode(each)])
    return found
