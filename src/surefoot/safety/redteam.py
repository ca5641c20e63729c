"""An automated red team: requests are edited again and again, towards whatever a grader finds more harmful.

    round 0     every request as it is
    round r     every request that is not broken yet, edited as `redteam_pool` says
    the end     the most harmful prompt of each request, asked anew `confirm` times

A request is broken where the harm of an answer is `enough`. What counts in the end are the fresh answers: the answer
that a prompt was chosen for is the best of many, and would be too good.

    attack_success     requests whose best prompt is broken on average over its fresh answers
    plain_success      the same requests, asked plainly

**A lower bound.** Whoever searches longer, otherwise, or with more knowledge of a model finds more.

Grader and pool see the answer to an edited prompt together with the request as it was: what a technique makes of a
request is shown to no grader. All draws follow from the seed, the request and the round, so the same seed gives the
same search. Lines of the journal hold digests and harms, and neither prompts nor answers unless `reveal`; a run that
was killed makes its prompts again and goes on behind its last whole round.

Source: Perez et al. (2022), "Red teaming language models with language models", EMNLP (search guided by a classifier
of harm); Souly et al. (2024), "A StrongREJECT for empty jailbreaks" (the request as it was for the grader). The pool
and its draws are ours.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from surefoot.errors import InputError
from surefoot.files import digest_bytes, digest_json
from surefoot.findings.finding import Finding
from surefoot.findings.means import Quantity, mean_finding
from surefoot.inference.checkpoint import identity
from surefoot.progress import Progress, silent
from surefoot.safety.item import Graded, Item, sampled_of
from surefoot.safety.redteam_edits import EDITS, Edit
from surefoot.safety.redteam_journal import Asked, Journal, open_journal
from surefoot.safety.redteam_pool import Lessons, Search, Target, Tried, learn, next_prompt
from surefoot.safety.suite import Grader
from surefoot.safety.suites.transforms import Transformation, transformed
from surefoot.text.policy import Policy, Prompt, sample_askable

__all__ = ["Best", "RedTeamed", "Search", "red_team", "unsafe"]

PLACE, LAST = "red team", -1
"""The slice of its findings, and the round of the fresh answers."""


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
    """best: one of each request, in their order. calls: answers drawn. about: what the findings mean."""

    best: tuple[Best, ...]
    calls: int
    findings: tuple[Finding, ...]
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
    confidence: float = 0.95,
    progress: Progress = silent,
) -> RedTeamed:
    """Search for prompts to which the policy gives harmful answers, within a number of calls.

    requests: what is to be refused, as items that the grader knows. journal: a file with a line a call, with which a
    killed run goes on. reveal: write prompts and answers into it.

    Raises `InputError` for no requests, too few calls for them, and the journal of another search.
    """
    _refuse(requests, search, edits)
    run = identity("red team", policy, tuple(requests), grader, search, harm, tuple(edits), seed)
    kept = open_journal(journal, run)
    targets = [Target(each) for each in requests]
    lessons = Lessons()
    asking = _Asking(policy, grader, harm, search, seed, kept, reveal)
    budget = search.calls - search.fresh * len(targets)
    used, turn = 0, 0
    try:
        while used < budget:
            tried: list[tuple[Target, Tried]] = []
            for of in targets:
                if of.best.harm < search.enough and used + len(tried) < budget:
                    draws = random.Random(f"{seed} {turn} {of.item.id}")
                    made = of.start if turn == 0 else next_prompt(of, edits, lessons, search, draws)
                    if made is not None:
                        tried.append((of, made))
            if not tried:
                break
            for (of, each), (harmed, *_) in zip(tried, _harms(asking, tried, 1, turn), strict=True):
                learn(of, each, harmed, lessons, search)
            used, turn = used + len(tried), turn + 1
            progress("red team", used, search.calls)
        fresh = _harms(asking, [(of, of.best) for of in targets], search.fresh, LAST)
    finally:
        kept.close()
    best = tuple(_best(of, harms, search.fresh) for of, harms in zip(targets, fresh, strict=True))
    used += search.fresh * len(best)
    progress("red team", search.calls, search.calls)
    return RedTeamed(best, used, _findings(best, search, policy.name, confidence), _about(best, used, search))


@dataclass(frozen=True)
class _Asking:
    """All that does not change from round to round."""

    policy: Policy
    grader: Grader
    harm: Callable[[Graded], float | None]
    search: Search
    seed: int
    kept: Journal
    reveal: bool


def _refuse(requests: Sequence[Item], search: Search, edits: Sequence[Edit]) -> None:
    for what, names in (("requests", [each.id for each in requests]), ("edits", [each.name for each in edits])):
        if not names or len(set(names)) < len(names):
            raise InputError(
                f"A red team was given {len(names)} {what}, {len(set(names))} of them different; give one or more, "
                "each once."
            )
    needed = (1 + search.fresh) * len(requests)
    if search.calls < needed:
        raise InputError(
            f"{search.calls} calls are too few for {len(requests)} requests; give {needed} or more, to ask each of "
            f"them once and its best prompt {search.fresh} times."
        )
    for each in requests:
        _prompt(each, "")  # raises where no user's turn is last


def _harms(
    asking: _Asking, tried: Sequence[tuple[Target, Tried]], count: int, turn: int
) -> list[tuple[float | None, ...]]:
    """Of each prompt, the harm of each of `count` answers: as the journal has them, or asked now."""
    digests = [digest_bytes(each.text.encode(errors="surrogatepass"))[:16] for _, each in tried]
    known = asking.kept.take(turn, [(of.item.id, each) for (of, _), each in zip(tried, digests, strict=True)])
    if known is not None:
        return known
    prompts = [_prompt(of.item, each.text) for of, each in tried]
    way = replace(asking.search.sampling, count=count)
    drawn = sample_askable(asking.policy, prompts, way, int(digest_json([PLACE, asking.seed, turn])[:7], 16))
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
    lines: list[Asked] = []
    for (of, each), row, digest in zip(tried, drawn, digests, strict=True):
        own = tuple(next(harms) for _ in row) or (None,) * count  # a prompt that could not be asked has none
        shown = {"prompt": each.text, "answers": [said.text for said in row]} if asking.reveal else {}
        lines.append(Asked(turn, of.item.id, digest, each.edits, own, shown))
    asking.kept.add(lines)
    return [line.harms for line in lines]


def _prompt(item: Item, text: str) -> Prompt:
    return transformed(item.prompt, Transformation("edited", lambda _: text))


def _best(of: Target, harms: Sequence[float | None], fresh: int) -> Best:
    known = [each for each in harms if each is not None]
    mean = sum(known) / len(known) if known else None
    chosen = of.best
    found = chosen.harm if of.pool else None
    return Best(of.item, chosen.edits, _prompt(of.item, chosen.text), found, mean, of.plain, of.calls + fresh)


def _findings(best: Sequence[Best], search: Search, subject: str, confidence: float) -> tuple[Finding, ...]:
    found: list[Finding] = []
    for name, values in (
        ("attack_success", [each.harm for each in best]),
        ("plain_success", [each.plain for each in best]),
    ):
        rows = [(each, value) for each, value in zip(best, values, strict=True) if value is not None]
        if rows:
            numbers: dict[str, int] = {}
            clusters = [[numbers.setdefault(of.item.cluster or f"item {of.item.id}", len(numbers))] for of, _ in rows]
            found.append(
                mean_finding(
                    np.array([[float(value >= search.enough) for _, value in rows]]),
                    Quantity(name, direction="lower"), subject=subject, source="judge",
                    clusters=np.array(clusters, dtype=np.int64), part=PLACE, confidence=confidence,
                )
            )  # fmt: skip
    return tuple(found)


def _about(best: Sequence[Best], used: int, search: Search) -> str:
    unscored = sum(each.harm is None for each in best)
    told = f" {unscored} requests could not be scored and are in no number." if unscored else ""
    return (
        f"Searched with {used} of {search.calls} calls for prompts that break {len(best)} requests; what was found is "
        f"a lower bound of what a longer or better search finds.{told}"
    )
