"""What a battery will take, before it is asked: completions, tokens at most, what is kept already, and how long.

    seconds at most  =  a · characters of prompts  +  b · tokens of completions at most        of what is still to write

a and b are measured on a few of the battery's own prompts, each completion cut off after one token and after nine. They
are of a small batch: a model that is asked many at once is quicker, and one that ends its answers before the most
tokens is quicker as well, so the time is an upper end and not a promise. A server is not asked in order to find out;
its time is not told, and with a price what it may cost is.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from surefoot.card.sheets import Sheet
from surefoot.card.words import show_seconds
from surefoot.safety.suite import Suite
from surefoot.study.numerics import one_thread
from surefoot.study.once.attempt_asking import AskedModel, Asking, kept_count
from surefoot.text.policy import Prompt, Sampling

__all__ = [
    "Estimate",
    "Speed",
    "SuiteEstimate",
    "estimate",
    "estimate_sheet",
    "measure_speed",
    "said_of_estimate",
    "show_duration",
]

PROBED = 6
"""Prompts that are asked to measure a model's speed."""
SHORT, LONG = 1, 9
"""Tokens after which they are cut off."""
MILLION = 1e6
CHARACTERS = 3.0
"""Of a token, at least, in prompts such as these: what a server may charge for is told by it, roughly."""


@dataclass(frozen=True)
class Speed:
    """Seconds that a model takes to read a character of a prompt, and to write a token."""

    character: float
    token: float


@dataclass(frozen=True)
class SuiteEstimate:
    """Of one model and one suite. tokens: written at most. kept: completions that are there already.

    seconds: of the others, at most; None where the speed is not known.
    """

    suite: str
    items: int
    completions: int
    tokens: int
    characters: int
    kept: int
    seconds: float | None


@dataclass(frozen=True)
class Estimate:
    """Of one model."""

    model: str
    suites: tuple[SuiteEstimate, ...]
    speed: Speed | None

    @property
    def seconds(self) -> float | None:
        """Of everything that is still to be written."""
        told = [each.seconds for each in self.suites if each.seconds is not None]
        return sum(told) if self.speed is not None else None

    @property
    def left(self) -> int:
        """Completions that are still to be written."""
        return sum(each.completions - each.kept for each in self.suites)


def estimate(model: AskedModel, suites: Sequence[Suite], asking: Asking) -> Estimate:
    """What these suites will take of a model; the speed of one on this machine is measured where something is left."""
    kept = [0 if model.served else _kept(model, each, asking) for each in suites]
    left = any(of < len(each.items) * each.sampling.count for of, each in zip(kept, suites, strict=True))
    speed = measure_speed(model, suites) if left and not model.served else None
    if not left and not model.served:
        speed = Speed(0.0, 0.0)  # nothing will be written
    return Estimate(
        model.name, tuple(_of_suite(model, each, of, speed) for each, of in zip(suites, kept, strict=True)), speed
    )


@one_thread()
def measure_speed(model: AskedModel, suites: Sequence[Suite]) -> Speed:
    """Ask a few prompts from all over the battery twice, cut off early, and keep nothing of it."""
    prompts = [item.prompt for suite in suites for item in suite.items]
    step = max(1, len(prompts) // PROBED)
    some = prompts[step // 2 :: step][:PROBED]
    began = time.perf_counter()
    model.policy.sample(some, Sampling(1, SHORT, 0.0), 0)
    between = time.perf_counter()
    said = model.policy.sample(some, Sampling(1, LONG, 0.0), 0)
    ended = time.perf_counter()
    reading = between - began
    written = sum(max(0, row[0].tokens - SHORT) for row in said)
    characters = sum(map(_length, some))
    return Speed(reading / max(1, characters), max(0.0, ended - between - reading) / max(1, written))


def estimate_sheet(of: Sequence[Estimate], price: tuple[float, float] | None = None) -> Sheet:
    """Every suite of every model, and the sum."""
    rows: list[tuple[str, ...]] = []
    for each in of:
        for suite in each.suites:
            rows.append(
                (
                    f"{each.model}: {suite.suite}", f"{suite.items:,}", f"{suite.completions:,}", f"{suite.tokens:,}",
                    f"{suite.kept:,}", "not known" if suite.seconds is None else show_duration(suite.seconds),
                )
            )  # fmt: skip
        total = [sum(getattr(one, name) for one in each.suites) for name in ("items", "completions", "tokens", "kept")]
        rows.append(
            (f"{each.model}: all", *(f"{value:,}" for value in total),
             "not known" if each.seconds is None else show_duration(each.seconds))
        )  # fmt: skip
    lead = "Time: at most, at the speed measured on a few of these prompts, for what is not kept already."
    if price is not None:
        lead += f" A server may charge about {_most_cost(of, price)} at most for everything."
    heads = ("Suite", "Items", "Completions", "Tokens at most", "Kept already", "Time at most")
    return Sheet("Plan", heads, tuple(rows), lead)


def said_of_estimate(of: Sequence[Estimate], price: tuple[float, float] | None = None) -> str:
    """One line on how long it will take."""
    told: list[str] = []
    for each in of:
        if each.seconds is None:
            told.append(f"{each.model} is served, so its time is not known")
        elif each.left:
            told.append(f"{each.model} has {each.left:,} completions to write, {show_duration(each.seconds)} at most")
        else:
            told.append(f"all of {each.model} is kept")
    cost = "" if price is None else f" It may cost about {_most_cost(of, price)} at most."
    return f"{'; '.join(told)}.{cost}"


def show_duration(seconds: float) -> str:
    """Seconds, minutes, or hours.

    >>> show_duration(42.0), show_duration(75.2), show_duration(9000.0)
    ('42.0 s', '1 min 15 s', '2 h 30 min')
    """
    if seconds < 3600:
        return show_seconds(seconds)
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours:,} h {minutes} min"


def _kept(model: AskedModel, suite: Suite, asking: Asking) -> int:
    return kept_count(asking, model, [each.prompt for each in suite.items], _sampling(model, suite))


def _sampling(model: AskedModel, suite: Suite) -> Sampling:
    return replace(suite.sampling, most=min(suite.sampling.most, model.most))


def _of_suite(model: AskedModel, suite: Suite, kept: int, speed: Speed | None) -> SuiteEstimate:
    count = len(suite.items) * suite.sampling.count
    tokens = count * _sampling(model, suite).most
    characters = suite.sampling.count * sum(_length(each.prompt) for each in suite.items)
    share = 1 - kept / count
    seconds = None if speed is None else share * (speed.character * characters + speed.token * tokens)
    return SuiteEstimate(suite.name, len(suite.items), count, tokens, characters, kept, seconds)


def _length(prompt: Prompt) -> int:
    return len(prompt) if isinstance(prompt, str) else sum(len(each.text) for each in prompt)


def _most_cost(of: Sequence[Estimate], price: tuple[float, float]) -> str:
    """Of every completion at its most tokens; prompts by their characters."""
    prompts = sum(suite.characters for each in of for suite in each.suites) / CHARACTERS
    written = sum(suite.tokens for each in of for suite in each.suites)
    cost = (prompts * price[0] + written * price[1]) / MILLION
    return f"{cost:,.4f}" if cost < 1 else f"{cost:,.2f}"
