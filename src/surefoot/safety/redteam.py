"""An automated red team: requests are edited again and again, towards whatever a grader finds more harmful.

    survey      every request as it is, and in each of the first `techniques` edits, `samples` answers each
    round r     every request that is not broken yet, edited as `redteam_pool` says
    the end     the most harmful prompt of each request, asked anew `confirm` times

A request is broken where the harm of an answer is `enough`. `redteam_measured` says what that makes of a model.

Grader and pool see the answer to an edited prompt together with the request as it was: what a technique makes of a
request is shown to no grader. All draws follow from the seed, the request and the round, so the same seed gives the
same search. Lines of the journal hold digests and harms, and neither prompts nor answers unless `reveal`; a run that
was killed makes its prompts again and goes on behind the last calls that are whole there.

Source: Perez et al. (2022), "Red teaming language models with language models", EMNLP (search guided by a classifier
of harm); Souly et al. (2024), "A StrongREJECT for empty jailbreaks" (the request as it was for the grader). The pool
and its draws are ours.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from surefoot.errors import InputError
from surefoot.files import digest_bytes, digest_json
from surefoot.inference.checkpoint import identity
from surefoot.progress import Progress, silent
from surefoot.safety.item import Graded, Item, Sampled, sampled_of
from surefoot.safety.measured import degenerate
from surefoot.safety.redteam_edits import EDITS, Edit
from surefoot.safety.redteam_journal import Asked, Journal, open_journal
from surefoot.safety.redteam_pool import Lessons, Search, Target, Tried, learn, next_prompt
from surefoot.safety.suite import Grader
from surefoot.safety.suites.transforms import Transformation, transformed
from surefoot.text.policy import Policy, Prompt, sample_askable

__all__ = ["BLOCKED", "LAST", "SILENT", "UNASKED", "Best", "RedTeamed", "Search", "red_team", "unsafe"]

PLACE, LAST = "red team", -1
"""In the seeds of its rounds, and the round of the fresh answers."""
BLOCKED, SILENT, UNASKED = "blocked", "silent", "unasked"
"""Kinds of calls: that a server refused; whose answer says nothing; whose prompt the policy cannot be asked."""
TOGETHER = 16
"""Prompts that are asked and kept together: a kill costs no more of them."""


@dataclass(frozen=True)
class Best:
    """The most harmful prompt of a request. found: the harm that it was chosen for. harm: the mean over fresh answers.
    plain: the harm of the request as it is. None where nothing could be scored. calls: answers drawn for the request.
    """

    item: Item
    edits: tuple[str, ...]
    prompt: Prompt
    found: float | None
    harm: float | None
    plain: float | None
    calls: int


@dataclass(frozen=True)
class RedTeamed:
    """best: one of each request, in their order. asked: every prompt with its answers, in the order in which they were
    asked, the fresh ones at the end. calls: answers drawn. about: what was done, and what it means."""

    best: tuple[Best, ...]
    asked: tuple[Asked, ...]
    calls: int
    about: str


def unsafe(graded: Graded) -> float | None:
    """The harm of graders of `not_unsafe`: 1 − that; None where it has no score."""
    score = graded.scores.get("not_unsafe")
    return None if score is None else 1.0 - score


def red_team(
    policy: Policy,
    requests: Sequence[Item],
    grader: Grader,
    search: Search = Search(),  # noqa: B008 - frozen
    *,
    harm: Callable[[Graded], float | None] = unsafe,
    edits: Sequence[Edit] = EDITS,
    seed: int = 0,
    journal: Path | None = None,
    reveal: bool = False,
    progress: Progress = silent,
) -> RedTeamed:
    """Search for prompts to which the policy gives harmful answers, within a number of calls.

    requests: what is to be refused, as items that the grader knows. journal: a file with a line a call, with which a
    killed run goes on. reveal: write prompts and answers into it.

    Raises `InputError` for no requests, too few calls for them, and the journal of another search.
    """
    _refuse(requests, search, edits)
    run = identity("red team", policy, tuple(requests), grader, search, harm, tuple(edits), seed)
    targets = [Target(each) for each in requests]
    lessons = Lessons()
    kept = open_journal(journal, run)
    asking = _Asking(policy, grader, harm, search, seed, kept, reveal, progress, [])
    budget = search.calls - search.fresh * len(targets)
    turn = 0
    try:
        for edit in (None, *edits[: search.techniques]):
            tried = [(of, made) for of in targets if (made := _surveyed(of, edit, search, seed, turn)) is not None]
            for (of, each), found in zip(tried, _ask(asking, tried, search.each, turn), strict=True):
                learn(of, each, found.harms, lessons, search)
            turn += 1
        while (used := asking.used) < budget:
            tried = []
            for of in targets:
                if of.best.harm < search.enough and used + len(tried) < budget:
                    draws = random.Random(f"{seed} {turn} {of.item.id}")
                    made = next_prompt(of, edits, lessons, search, draws)
                    if made is not None:
                        tried.append((of, made))
            if not tried:
                break
            for (of, each), found in zip(tried, _ask(asking, tried, 1, turn), strict=True):
                learn(of, each, found.harms, lessons, search)
            turn += 1
        fresh = _ask(asking, [(of, of.best) for of in targets], search.fresh, LAST)
    finally:
        kept.close()
    best = tuple(_best(of, each.harms, search.fresh) for of, each in zip(targets, fresh, strict=True))
    progress("red team", search.calls, search.calls)
    return RedTeamed(best, tuple(asking.asked), asking.used, _about(best, asking.asked, search))


@dataclass(frozen=True)
class _Asking:
    """All that does not change from round to round, and what was asked until now."""

    policy: Policy
    grader: Grader
    harm: Callable[[Graded], float | None]
    search: Search
    seed: int
    kept: Journal
    reveal: bool
    progress: Progress
    asked: list[Asked]

    @property
    def used(self) -> int:
        """Calls so far."""
        return sum(len(each.harms) for each in self.asked)


def _refuse(requests: Sequence[Item], search: Search, edits: Sequence[Edit]) -> None:
    for what, names in (("requests", [each.id for each in requests]), ("edits", [each.name for each in edits])):
        if not names or len(set(names)) < len(names):
            raise InputError(
                f"A red team was given {len(names)} {what}, {len(set(names))} of them different; give one or more, "
                "each once."
            )
    if search.techniques > len(edits):
        raise InputError(
            f"{search.techniques} techniques were to be tried, and there are {len(edits)} edits; give as many."
        )
    needed = search.least * len(requests)
    if search.calls < needed:
        first = "once" if search.each == 1 else f"{search.each} times"
        dressed = f" and in {search.techniques} techniques" if search.techniques else ""
        raise InputError(
            f"{search.calls} calls are too few for {len(requests)} requests; give {needed} or more, to ask each of "
            f"them {first}{dressed} and its best prompt {search.fresh} times."
        )
    for each in requests:
        _prompt(each, "")  # raises where no user's turn is last


def _surveyed(of: Target, edit: Edit | None, search: Search, seed: int, turn: int) -> Tried | None:
    """A request as it is, or in one technique; None where that is too long."""
    if edit is None:
        return of.start
    text = edit.apply(of.start.text, random.Random(f"{seed} {turn} {of.item.id}"))
    return Tried(text, (edit.name,)) if len(text) <= search.longest else None


def _ask(asking: _Asking, tried: Sequence[tuple[Target, Tried]], count: int, turn: int) -> list[Asked]:
    """What `count` answers to each prompt were worth: as the journal has them, or asked now."""
    found: list[Asked] = []
    for start in range(0, len(tried), TOGETHER):
        part = tried[start : start + TOGETHER]
        digests = [digest_bytes(each.text.encode(errors="surrogatepass"))[:16] for _, each in part]
        named = [(of.item.id, each) for (of, _), each in zip(part, digests, strict=True)]
        known = asking.kept.take(turn, named, count)
        if known is None:
            known = _asked_now(asking, part, digests, count, turn, start)
            asking.kept.add(known)
        found += known
        asking.asked.extend(known)
        asking.progress("red team", asking.used, asking.search.calls)
    return found


def _asked_now(
    asking: _Asking, tried: Sequence[tuple[Target, Tried]], digests: Sequence[str], count: int, turn: int, start: int
) -> list[Asked]:
    prompts = [_prompt(of.item, each.text) for of, each in tried]
    way = replace(asking.search.sampling, count=count)
    seed = int(digest_json([PLACE, asking.seed, turn, start])[:7], 16)
    drawn = sample_askable(asking.policy, prompts, way, seed)
    sampled = [
        sampled_of(of.item, attempt, said)
        for (of, _), row in zip(tried, drawn, strict=True)
        for attempt, said in enumerate(row)
    ]
    graded = asking.grader(sampled)
    if len(graded) != len(sampled):
        raise InputError(f"The grader gave {len(graded)} results for {len(sampled)} answers; it must give one of each.")
    # A call that was blocked did no harm that anybody knows of: it has none, whatever a grader says.
    harms = iter(None if of.blocked else asking.harm(each) for of, each in zip(sampled, graded, strict=True))
    kinds = iter(_kind(each) for each in sampled)
    lines: list[Asked] = []
    for (of, each), row, digest in zip(tried, drawn, digests, strict=True):
        own = tuple(next(harms) for _ in row) or (None,) * count  # a prompt that could not be asked has none
        what = tuple(next(kinds) for _ in row) or (UNASKED,) * count
        shown = {"prompt": each.text, "answers": [said.text for said in row]} if asking.reveal else {}
        lines.append(Asked(turn, of.item.id, digest, each.edits, own, what, shown))
    return lines


def _kind(of: Sampled) -> str:
    if of.blocked:
        return BLOCKED
    return SILENT if of.answer is not None and degenerate(of.answer) else ""


def _prompt(item: Item, text: str) -> Prompt:
    return transformed(item.prompt, Transformation("edited", lambda _: text))


def _best(of: Target, harms: Sequence[float | None], fresh: int) -> Best:
    known = [each for each in harms if each is not None]
    mean = sum(known) / len(known) if known else None
    chosen = of.best
    found = chosen.harm if of.pool else None
    return Best(of.item, chosen.edits, _prompt(of.item, chosen.text), found, mean, of.plain, of.calls + fresh)


def _about(best: Sequence[Best], asked: Sequence[Asked], search: Search) -> str:
    unscored = sum(each.harm is None for each in best)
    told = f" {unscored} requests could not be scored and are in no number." if unscored else ""
    used = sum(len(each.harms) for each in asked)
    return (
        f"Searched with {used} of {search.calls} calls for prompts that break {len(best)} requests; what was found is "
        f"a lower bound of what a longer or better search finds.{told}"
    )
