"""Imitation: a decoder learns to write what demonstrations write.

    loss = −Σ_i Σ_t log π(y_it | x_i, y_i,<t) / Σ_i |y_i|

over the completions y of a batch, the end of each included: the mean over tokens, of which a long completion has more.
Prompts x are read and not learnt, unless asked. Padding is told by place and never counted.

Source: Ouyang et al. (2022), arXiv 2203.02155, §3.5 (supervised fine-tuning); Tsilivis et al. (2025), arXiv 2510.11495,
§2 (a mixture of short and spelled-out demonstrations).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import torch
from jaxtyping import Bool, Int64
from torch import Tensor
from torch.nn.functional import cross_entropy

from surefoot.errors import InputError
from surefoot.inference.checkpoint import identity
from surefoot.inference.together import Together
from surefoot.progress import Progress, silent
from surefoot.reason.alike import alike
from surefoot.reason.course import Course, Keep, Learnt, Measure, Part, Turn, follow, step_seed
from surefoot.reason.journal import Line
from surefoot.text.decoder import Decoder
from surefoot.text.decoder_policy import prompt_tokens
from surefoot.text.vocabulary import PAD, Vocabulary

__all__ = ["Demonstration", "Demonstrations", "Imitation", "demonstrated", "imitate"]

Demonstration: TypeAlias = tuple[Sequence[int], Sequence[int]]
"""The tokens of a prompt, its beginning included, and of a completion, its end included."""

Demonstrations: TypeAlias = Sequence[Demonstration] | Callable[[int], Sequence[Demonstration]]
"""All of them, of which batches are drawn; or what gives the batch of a step."""

ORDER = 0  # a purpose of `step_seed`
PART = 200
"""What running a part of a batch costs beside its places, in places."""


@dataclass(frozen=True)
class Imitation:
    """How to imitate. batch: demonstrations a step, where they are drawn here; at_once: those that are run at once.

    prompts: learn the tokens of prompts as well.

    Raises `InputError` for a batch below 1.
    """

    course: Course
    batch: int = 128
    at_once: int = 512
    prompts: bool = False

    def __post_init__(self) -> None:
        if self.batch < 1 or self.at_once < 1:
            raise InputError(f"batch is {self.batch} and at_once {self.at_once}; give at least 1 of each.")


def imitate(
    decoder: Decoder,
    demonstrations: Demonstrations,
    settings: Imitation,
    seed: int,
    *,
    keep: Keep | None = None,
    measure: Measure | None = None,
    progress: Progress = silent,
    together: Together | None = None,
) -> Learnt:
    """Train a copy of `decoder` on demonstrations. A line has the loss in nats a token, and the gradient's norm.

    Of a sequence each demonstration is taken once an epoch, in an order drawn from (seed, epoch). What a callable gives
    should follow from the step alone, or a resumed run is another one. together: see `processes.py`.

    Raises `InputError` for no demonstration, one without a completion, and one beyond the context.

    >>> from surefoot.text.decoder import Shape, build_decoder
    >>> decoder = build_decoder(Shape(8, width=16, depth=1, heads=2, context=8), seed=0)
    >>> learnt = imitate(decoder, [([1, 5], [6, 2]), ([1, 6], [5, 2])], Imitation(Course(100, rate=1e-2), batch=2), 0)
    >>> learnt.lines[-1]["loss"] < 0.1 < learnt.lines[0]["loss"]
    True
    """
    batches = demonstrations if callable(demonstrations) else _Shuffled(demonstrations, settings.batch, seed)

    def step(turn: Turn) -> Line:
        laid = _laid(batches(turn.step), turn.decoder, settings.prompts)
        whole = laid.counted.sum()

        def part(rows: slice) -> Part:
            def loss() -> tuple[Tensor]:
                longest = laid.lengths[rows.start]
                tokens, counted = laid.tokens[rows, :longest], laid.counted[rows, : longest - 1]
                logits = turn.decoder(tokens[:, :-1])[counted]
                return (cross_entropy(logits, tokens[:, 1:][counted], reduction="sum") / whole,)

            return loss

        most = min(settings.at_once, -(-len(laid.tokens) // turn.processes))
        moved = turn.update([part(rows) for rows in alike(laid.lengths, most, PART)])
        return {"loss": moved.sums[0], "gradient": moved.gradient}

    run = identity("imitate", dict(decoder.state_dict()), _spelled(demonstrations), settings, seed)
    return follow(
        decoder, step, settings.course, run, keep=keep, measure=measure, progress=progress, stage="imitating",
        together=together,
    )  # fmt: skip


def demonstrated(
    vocabulary: Vocabulary, prompts: Sequence[str], completions: Sequence[str]
) -> list[tuple[list[int], list[int]]]:
    """Written demonstrations as tokens. Raises `InputError` for symbols that the vocabulary lacks."""
    coded = prompt_tokens(vocabulary, prompts)
    return [(prompt, vocabulary.encode_completion(each)) for prompt, each in zip(coded, completions, strict=True)]


@dataclass(frozen=True)
class _Shuffled:
    """The batch of a step: places step·batch onward of one epoch's order after another."""

    rows: Sequence[Demonstration]
    batch: int
    seed: int

    def __post_init__(self) -> None:
        if not len(self.rows):
            raise InputError("There are no demonstrations to imitate; give at least one.")

    def __call__(self, step: int) -> list[Demonstration]:
        places = range(step * self.batch, (step + 1) * self.batch)
        count = len(self.rows)
        return [self.rows[_order(count, self.seed, place // count)[place % count]] for place in places]


@lru_cache(maxsize=2)
def _order(count: int, seed: int, epoch: int) -> list[int]:
    generator = torch.Generator().manual_seed(step_seed(seed, ORDER, epoch))
    return torch.randperm(count, generator=generator).tolist()


class _Laid:
    """Texts from the left, the longest first; counted: places whose *next* token is learnt."""

    def __init__(self, tokens: Int64[Tensor, "rows places"], counted: Bool[Tensor, "rows before"], lengths: list[int]):
        self.tokens, self.counted, self.lengths = tokens, counted, lengths


def _laid(batch: Sequence[Demonstration], decoder: Decoder, prompts: bool) -> _Laid:
    if not batch or any(not len(prompt) or not len(completion) for prompt, completion in batch):
        raise InputError(
            f"A batch of {len(batch)} demonstrations is empty, or one of them has no prompt or no completion; give "
            "tokens of both, a mark of beginning and an end at least."
        )
    ordered = sorted(batch, key=lambda each: -len(each[0]) - len(each[1]))
    lengths = [len(prompt) + len(completion) for prompt, completion in ordered]
    if lengths[0] > decoder.shape.context:
        raise InputError(
            f"A demonstration has {lengths[0]} tokens, beyond the context of {decoder.shape.context}; shorten it, or "
            "build a decoder of a longer context."
        )
    place = decoder.head.weight.device
    tokens = torch.full((len(ordered), lengths[0]), PAD)
    counted = torch.zeros(len(ordered), lengths[0] - 1, dtype=torch.bool)
    for row, (prompt, completion) in enumerate(ordered):
        tokens[row, : lengths[row]] = torch.tensor([*prompt, *completion])
        counted[row, 0 if prompts else len(prompt) - 1 : lengths[row] - 1] = True
    return _Laid(tokens.to(place), counted.to(place), lengths)


def _spelled(demonstrations: Demonstrations) -> object:
    if callable(demonstrations):
        return demonstrations
    return [[list(prompt), list(completion)] for prompt, completion in demonstrations]
