"""A decoder that reads one more place of many texts, in machine code, or completes them all at once.

Sums are in another order than those of `decoder`: logits agree to rounding. Those of a row depend, to the bit, on no
other row, nor on the number of threads.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from surefoot.errors import InputError
from surefoot.text.decoder import Decoder
from surefoot.text.machine.compiled import compiled, layout_for
from surefoot.text.machine.completing import INTEGERS
from surefoot.text.machine.layout import BLOCK, TALL
from surefoot.text.machine.weights import pack
from surefoot.text.policy import Sampling
from surefoot.text.vocabulary import PAD, THINK

__all__ = ["Completed", "MachineReader"]

T = TypeVar("T")

WORTH_A_THREAD = 10**8
"""Floating-point operations from which rows are shared among threads: about a millisecond."""


class Completed(NamedTuple):
    """See `rollout.Rollout`. longest: tokens of the longest completion."""

    tokens: Int64[Tensor, "rows most"]
    sampled: Bool[Tensor, "rows most"]
    logs: Float[Tensor, "rows most"]
    ended: Bool[Tensor, " rows"]
    longest: int


class _Rows(NamedTuple):
    """Of each token that is read: see `step_code`."""

    tokens: Int64[Tensor, " rows"]
    slots: Int64[Tensor, " rows"]
    places: Int64[Tensor, " rows"]
    groups: Int64[Tensor, " rows"]
    lengths: Int64[Tensor, " rows"]
    asked: Int64[Tensor, " rows"]


class MachineReader:
    """See `stepping.Reader`: the same, for a decoder of which `why_not_machine` says None.

    Raises `InputError` for other decoders, and for what would lie outside its arrays: tokens that are no symbols, more
    places than the context has or than were announced.
    """

    def __init__(
        self,
        decoder: Decoder,
        prompts: Int64[Tensor, "prompts places"],
        starts: Int64[Tensor, " prompts"],
        count: int,
        more: int,
    ) -> None:
        layout, (rows, places) = layout_for(decoder), prompts.shape
        if places + more > decoder.shape.context:
            raise InputError(
                f"{places} places and {more} to come are beyond the context of {decoder.shape.context}; shorten them."
            )
        if min(rows, count, more) < 1 or bool(((starts < 0) | (starts >= places)).any()):
            raise InputError(
                f"{rows} prompts, {count} rows of each and {more} places to come were given; give one or more of each, "
                "and prompts of a token or more."
            )
        self._layout, self._code, self._packed = layout, compiled(layout), pack(decoder, layout)
        self._more, self._count, self._of_prompts = more, count, places - starts
        self._room, self._prompt_room = (layout.chunks(each) * layout.lanes * layout.width for each in (more, places))
        self._prompt = self._cache(rows, self._prompt_room)
        self._first = self._begin(prompts, starts)
        self._kept: Tensor | None = None
        self._slots = torch.arange(rows * count)
        self._groups = self._slots // count
        self._lengths = self._of_prompts[self._groups]
        self._new = 0

    @property
    def kind(self) -> str:
        """What does the work."""
        return f"machine code, {self._layout.lanes} lanes"

    @property
    def logits(self) -> Float[Tensor, "rows symbols"]:
        """After the prompts."""
        return self._first[:, : self._layout.real_symbols].repeat_interleave(self._count, dim=0)

    def read(self, tokens: Int64[Tensor, " rows"]) -> Float[Tensor, "rows symbols"]:
        """Read one more token of each row; the logits of the next."""
        if len(tokens) != len(self._slots) or self._new >= self._more:
            raise InputError(
                f"{len(tokens)} tokens were given to {len(self._slots)} rows at place {self._new} of {self._more}; "
                "give one to each row, and no more often than was announced."
            )
        if self._kept is None:
            self._kept = self._cache(self._count * len(self._first), self._room)
        places = torch.full_like(self._slots, self._new)
        self._new += 1
        every = torch.ones_like(self._slots)
        rows = _Rows(tokens.contiguous(), self._slots, places, self._groups, self._lengths, every)
        return self._step(rows, self._kept, self._room)[:, : self._layout.real_symbols]

    def keep(self, rows: Int64[Tensor, " kept"]) -> None:
        """Go on with these rows alone, in this order."""
        self._slots, self._groups, self._lengths = (each[rows] for each in (self._slots, self._groups, self._lengths))

    def complete(self, sampling: Sampling, chances: Float64[Tensor, "rows most"]) -> Completed:
        """Draw every row to its end, from where its prompt ends, by these chances of [0, 1).

        Raises `InputError` at temperature 0, where nothing is drawn, and for chances of other rows or more places.
        """
        layout, (rows, most) = self._layout, chances.shape
        if sampling.temperature <= 0 or rows != self._count * len(self._first) or most > self._more:
            raise InputError(
                f"Chances of {rows} rows and {most} places at temperature {sampling.temperature:g} were given to a "
                f"reader of {self._count * len(self._first)} rows and {self._more} places; give those, and a "
                "temperature above 0."
            )
        tokens = torch.full((rows, most), PAD)
        shifted, totals = torch.zeros(rows, most, dtype=torch.float64), torch.ones(rows, most, dtype=torch.float64)
        sampled, ended = torch.zeros(rows, most, dtype=torch.bool), torch.zeros(rows, dtype=torch.bool)
        written = torch.zeros(rows, dtype=torch.int64)
        given = (
            *self._packed, *self._prompt, self._first, self._of_prompts, chances.contiguous(), tokens, shifted, totals,
            sampled, ended, written,
        )  # fmt: skip
        forbidden, budget = THINK if sampling.thinking == 0 else -1, sampling.thinking or 0

        def run(first: int, last: int) -> None:
            room = (
                *self._cache(BLOCK, self._room), self._work(), torch.empty(INTEGERS, dtype=torch.int64),
                torch.empty(BLOCK, layout.symbols),
            )  # fmt: skip
            addresses = (each.data_ptr() for each in (*given, *room))
            counts = (self._prompt_room, self._room, first, last, self._count, most)
            self._code.complete(*addresses, *counts, sampling.temperature, forbidden, budget)

        self._share(run, rows, most)
        return Completed(tokens, sampled, shifted.sub_(totals.log_()).float(), ended, int(written.max()))

    def _begin(self, prompts: Tensor, starts: Tensor) -> Float[Tensor, "prompts padded_symbols"]:
        """Read the prompts whole: their tokens are rows one after the other, each in its prompt's cache."""
        count, places = prompts.shape
        at = torch.arange(places)[None] - starts[:, None]
        real = at >= 0
        slots = torch.arange(count)[:, None].expand(count, places)[real]
        none = torch.zeros_like(slots)
        last = (torch.arange(places) == places - 1).long().expand(count, places)[real]
        rows, ends = _Rows(prompts[real], slots, at[real], none, none, last), self._of_prompts.cumsum(0)

        def run(first: int, end: int) -> Tensor:
            begin = int(ends[first - 1]) if first else 0
            some = _Rows(*(each[begin : int(ends[end - 1])] for each in rows))
            return self._step(some, self._prompt, self._prompt_room)

        return torch.cat(self._share(run, count, places))

    def _step(self, rows: _Rows, kept: Tensor, room: int) -> Float[Tensor, "asked padded_symbols"]:
        layout, (least, most) = self._layout, rows.tokens.aminmax()
        if least < 0 or most >= layout.real_symbols:
            raise InputError(f"Tokens from {least} to {most} were given; give those of {layout.real_symbols} symbols.")
        asked = int(rows.asked.sum())
        logits = torch.empty(asked + TALL, layout.symbols)
        arrays = (*self._packed, *rows, *self._prompt, *kept, logits, self._work())
        self._code.step(*(each.data_ptr() for each in arrays), self._prompt_room, room, len(rows.tokens))
        return logits[:asked]

    def _work(self) -> Float[Tensor, " numbers"]:
        layout = self._layout
        # A prompt is read as rows with keys of their own, whose room is the prompt's.
        longest = self._prompt_room + max(self._prompt_room, self._room)
        scores = layout.heads * longest // layout.width
        # Drawing a token takes three numbers a symbol of the same room.
        return torch.zeros(max(layout.scores + scores, 3 * layout.symbols))

    def _cache(self, slots: int, room: int) -> Float[Tensor, "keys_values slots depth room"]:
        return torch.empty(2, slots, self._layout.depth, room)

    def _share(self, run: Callable[[int, int], T], rows: int, places: int) -> list[T]:
        """What `run` gives for the rows from one to before another, by as many threads as torch has where it pays."""
        workers = min(torch.get_num_threads(), -(-rows // TALL))
        if workers == 1 or 2 * self._layout.embed * rows * places < WORTH_A_THREAD:
            return [run(0, rows)]
        edges = [rows * worker // workers for worker in range(workers + 1)]
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(run, edges[:-1], edges[1:]))
