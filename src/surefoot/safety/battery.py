"""The battery: every suite that needs no file, by name, small enough to try or large enough for a gate.

    quick    10 to 40 items a suite, each answered once by the likeliest tokens: on one core, a model of 135 million
             parameters that writes 15 tokens a second needs about ten minutes for all of them
    full     hundreds of items a suite; of jailbreaks several samples of each, for the worst techniques

A number of the quick battery has an interval of ten to thirty points, which is enough to see that a suite works, and
for no gate.
"""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Literal, NamedTuple, TypeAlias

from surefoot.errors import InputError
from surefoot.safety.suite import Suite
from surefoot.safety.suites.adherence import adherence_suite
from surefoot.safety.suites.choices import sums_suite
from surefoot.safety.suites.deception import deception_suite
from surefoot.safety.suites.discrimination import discrimination_suite
from surefoot.safety.suites.fairness import fairness_suite
from surefoot.safety.suites.hallucination import hallucination_suite
from surefoot.safety.suites.hierarchy import hierarchy_suite
from surefoot.safety.suites.jailbreak import jailbreak_suite
from surefoot.safety.suites.languages import TONGUES
from surefoot.safety.suites.refusal import refusal_suite
from surefoot.safety.suites.regurgitation import regurgitation_suite
from surefoot.safety.suites.summary import summary_suite
from surefoot.safety.suites.transforms import TRANSFORMATIONS
from surefoot.text.policy import Sampling

__all__ = ["OFFLINE", "Size", "battery"]

Size: TypeAlias = Literal["quick", "full"]


class _Offline(NamedTuple):
    """quick, full: how many items, or bases of jailbreaks. make: of that many, for a gate or not, and of a seed."""

    quick: int
    full: int
    make: Callable[[int, bool, int], Suite]


def _refusal(count: int, full: bool, seed: int) -> Suite:
    return refusal_suite(count=count, seed=seed)


def _jailbreak(count: int, full: bool, seed: int) -> Suite:
    # A gate is about what a model may say, not only what it says first: the worst techniques need several samples.
    if full:
        return jailbreak_suite(count=count, seed=seed, sampling=Sampling(count=4, most=48))
    return jailbreak_suite(
        count=count, seed=seed, transformations=TRANSFORMATIONS[:9], sampling=Sampling(most=32, temperature=0.0)
    )


def _hallucination(count: int, full: bool, seed: int) -> Suite:
    return hallucination_suite(count=count, seed=seed)


def _hierarchy(count: int, full: bool, seed: int) -> Suite:
    return hierarchy_suite(count=count, seed=seed)


def _regurgitation(count: int, full: bool, seed: int) -> Suite:
    return regurgitation_suite(count=count, seed=seed)


def _choices(count: int, full: bool, seed: int) -> Suite:
    return sums_suite(count=count, seed=seed, tongues=TONGUES if full else TONGUES[:5])


def _fairness(count: int, full: bool, seed: int) -> Suite:
    return fairness_suite(count=count, seed=seed)


def _discrimination(count: int, full: bool, seed: int) -> Suite:
    return discrimination_suite(count=count, seed=seed)


def _summary(count: int, full: bool, seed: int) -> Suite:
    return summary_suite(count=count, seed=seed)


def _deception(count: int, full: bool, seed: int) -> Suite:
    # A monitor reads thoughts, and who thinks needs room for it.
    return deception_suite(count=count, seed=seed, sampling=Sampling(most=256 if full else 48, temperature=0.0))


def _adherence(count: int, full: bool, seed: int) -> Suite:
    return adherence_suite(count=count, seed=seed)


OFFLINE: Mapping[str, _Offline] = {
    "refusal": _Offline(24, 320, _refusal),
    "jailbreak": _Offline(3, 30, _jailbreak),
    "hallucination": _Offline(24, 240, _hallucination),
    "hierarchy": _Offline(20, 400, _hierarchy),
    "regurgitation": _Offline(12, 200, _regurgitation),
    "choices": _Offline(20, 300, _choices),
    "fairness": _Offline(24, 400, _fairness),
    "discrimination": _Offline(30, 630, _discrimination),
    "summary": _Offline(12, 200, _summary),
    "deception": _Offline(18, 240, _deception),
    "adherence": _Offline(12, 240, _adherence),
}
"""Suites that need no file, in the order in which they are asked."""


def battery(names: Sequence[str] | None, *, size: Size, seed: int = 0) -> tuple[Suite, ...]:
    """The suites of these names in their order, or all of them; the same seed gives the same items.

    Raises `InputError` for a name that is none, and says which ones are close to it; and for one that is there twice.

    >>> [suite.name for suite in battery(["summary", "refusal"], size="quick")]
    ['summary', 'refusal']
    """
    chosen = list(OFFLINE) if names is None else list(names)
    for each in chosen:
        if each not in OFFLINE:
            raise InputError(f"There is no suite {each!r}; {_meant(each)} the suites are {', '.join(OFFLINE)}.")
        if chosen.count(each) > 1:
            raise InputError(f"The suite {each} was asked for {chosen.count(each)} times; name each suite once.")
    if size not in ("quick", "full"):
        raise InputError(f"The battery was asked for in the size {size!r}; give quick or full.")
    full = size == "full"
    return tuple(OFFLINE[each].make(getattr(OFFLINE[each], size), full, seed) for each in chosen)


def _meant(name: str) -> str:
    close = get_close_matches(name.lower(), OFFLINE, n=2, cutoff=0.5)
    return f"perhaps {' or '.join(close)} was meant:" if close else "nothing is close to it:"
