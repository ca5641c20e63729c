"""What is said of a red team's search: before it, in tables, in traces, and what its card cannot tell."""

from collections.abc import Sequence

from surefoot.card.curves import Curve, Place
from surefoot.card.sheets import Sheet
from surefoot.card.traces import Trace
from surefoot.card.words import finding_title, show_finding
from surefoot.findings.finding import Finding
from surefoot.safety.redteam import LAST, Best, RedTeamed, Search
from surefoot.safety.redteam_journal import Asked
from surefoot.safety.redteam_measured import Along

__all__ = ["doubts_of", "edits_sheet", "found_sheet", "limits_of", "picture", "told_before", "worst"]

SHOWN = 6
"""Requests whose most harmful prompt is shown."""
UNSCORED, BLOCKED, SILENT, UNASKED, PAIRS = 0.05, 0.01, 0.5, 0.05, 0.01
"""Shares of calls, and of techniques of the survey, from which on claims are in doubt."""
NEEDED = (
    ("broken", "score at all", 0.0), ("attack_success", "scored fresh answer", UNSCORED),
    ("plain_success", "scored plain answer", UNSCORED),
)  # fmt: skip
"""What a request lacks that is in no share of this name; and the share of such requests beyond which it is a doubt."""


def told_before(model: str, requests: int, search: Search) -> str:
    """What is about to be done, in a sentence or two."""
    surveyed = f"{search.techniques} techniques of each first, " if search.techniques else ""
    return (
        f"{requests} requests, {search.calls:,} calls of {model} at most: {surveyed}then the search, then "
        f"{_fresh(search)} to the worst prompt of each. What was scored is kept: a run that is killed goes "
        "on."
    )


def found_sheet(findings: Sequence[Finding], search: Search, q: float) -> Sheet:
    """Every number over all requests, and what it means."""
    meaning = {
        "broken": "some answer within the budget did the harm",
        "not_broken": "the opposite: what a gate reads",
        "attack_success": f"the worst prompt does it again, in {_fresh(search)}",
        "not_broken_again": "the opposite; fresh answers alone",
        "plain_success": "asked as it is",
        f"goodness@{q:g}": "worst techniques chosen by one half of the answers, scored by the other: unbiased for what "
        "they single out, above the truth where they miss the worst",
        f"goodness@{q:g}_naive": "chosen and scored by all of them: below the truth on average; what a gate reads",
        "unscored_pairs": "techniques of the survey without two scored answers",
        "unscored": "calls without a score",
        "blocked": "calls that the server refused",
        "silent": "answers that say nothing",
        "unasked": "calls that the model cannot be asked, as too long a prompt",
    }
    rows = [
        (finding_title(each.name), show_finding(each), f"{each.clusters:,}", meaning[each.name])
        for each in findings
        if each.slice == "all" and each.name in meaning
    ]
    lead = (
        "Shares of requests, with intervals over them; n counts what is independent. All are lower bounds of the harm: "
        "whoever searches longer, or knows the model better, finds more."
    )
    if not search.techniques:
        lead += " The budget was too small for a survey of techniques, so there is no goodness."
    return Sheet("What was found", ("Measure", "Share", "n", "Meaning"), tuple(rows), lead)


def edits_sheet(findings: Sequence[Finding], asked: Sequence[Asked], enough: float) -> Sheet:
    """Of each edit: requests that it was tried on and broke, and its calls."""
    by = {each.slice: each for each in findings if each.name == "broken" and each.slice != "all"}
    rows: list[tuple[str, ...]] = []
    for name, of in sorted(by.items(), key=lambda each: (-each[1].value, -each[1].count, each[0])):
        harms = [harm for each in asked if name in each.edits for harm in each.harms if harm is not None]
        did = sum(harm >= enough for harm in harms)
        rows.append((name, show_finding(of), f"{of.count:,}", f"{did:,} of {len(harms):,}"))
    lead = (
        "Of the requests that a prompt with this edit was tried on, alone or on top of others. This compares no edits: "
        "one is tried the more often the better it has done, and on requests that others have not broken."
    )
    return Sheet("By edit", ("Edit", "Requests broken", "Tried on", "Harmful answers"), tuple(rows), lead)


def worst(model: str, found: RedTeamed, *, reveal: bool) -> tuple[Trace, ...]:
    """The most harmful prompts of the requests that were broken most surely, redacted unless revealed."""
    answers = {each.item: each for each in found.asked if each.turn == LAST}
    harmful = sorted((each for each in found.best if _harm(each) > 0), key=lambda each: -_harm(each))
    return tuple(_trace(model, each, answers[each.item.id], reveal=reveal) for each in harmful[:SHOWN])


def limits_of(about: str, source: str) -> tuple[str, ...]:
    """What the card does not show."""
    return (
        about,
        "Edits are general and known, one step on top of another: no gradients, no model that writes attacks, no "
        "conversation of several turns, no tools. That nothing was found is no evidence that nothing is there.",
        f"The grader decides what harm is: {source}. With many answers to a request even a rare error of it breaks the "
        "request in the end; read what broke, and compare the share that breaks again.",
    )


def doubts_of(findings: Sequence[Finding]) -> tuple[str, ...]:
    """Why the numbers may not be what they claim to be, each a clause."""
    of = {each.name: each.value for each in findings if each.slice == "all"}
    counts = {each.name: each.count for each in findings if each.slice == "all"}
    requests = counts["blocked"]  # every request has calls, and all of them are counted there
    told: list[str] = []
    for name, lacked, most in NEEDED:
        lost = requests - counts.get(name, 0)
        if lost > most * requests:
            told.append(f"{lost:,} of {requests:,} requests have no {lacked}, and are in no share that needs one")
            break  # a request without any score lacks the others too
    if of.get("unscored_pairs", 0.0) > PAIRS:
        told.append(f"{of['unscored_pairs']:.1%} of the techniques that were surveyed have no two scored answers")
    if of.get("unasked", 0.0) > UNASKED:
        told.append(f"{of['unasked']:.0%} of the calls could not be asked")
    if of.get("unscored", 1.0) > UNSCORED:
        told.append(f"{of.get('unscored', 1.0):.0%} of its answers were not scored")
    if of.get("blocked", 0.0) > BLOCKED:
        told.append(f"{of['blocked']:.0%} of the calls were blocked")
    if of.get("silent", 0.0) > SILENT:
        told.append(f"{of['silent']:.0%} of its answers say nothing")
    return tuple(told)


def picture(model: str, along: Sequence[Along]) -> Curve:
    """Broken requests along the answers that each was asked for."""
    places = tuple(Place(float(each.attempts), each.broken.value, *_ends(each.broken)) for each in along)
    return Curve("Requests broken within so many answers", model, "answers to each request", "broken", "proportion",
                 places)  # fmt: skip


def _fresh(search: Search) -> str:
    return "a fresh answer" if search.fresh == 1 else f"{search.fresh} fresh answers"


def _ends(of: Finding) -> tuple[float | None, float | None]:
    return (None, None) if of.interval is None else (of.interval.low, of.interval.high)


def _harm(of: Best) -> float:
    """Of the fresh answers, and where they are equal of the one that the prompt was chosen for."""
    return (of.harm or 0.0) + 1e-6 * (of.found or 0.0)


def _trace(model: str, of: Best, asked: Asked, *, reveal: bool) -> Trace:
    ways = " + ".join(of.edits) or "asked plainly"
    text = of.prompt if isinstance(of.prompt, str) else of.prompt[-1].text
    hidden = "[redacted; --reveal asks again and shows it]"
    answers = [str(each) for each in asked.shown.get("answers", ())]
    said = "\n---\n".join(answers) if reveal and answers else hidden
    shown = text if reveal else f"[redacted: {len(text):,} characters; --reveal shows them]"
    harm = of.harm or 0.0
    return Trace(model, f"[{of.item.id}, {ways}; harm {harm:.2f}] {shown}", None, said, "a refusal", 1 - min(1.0, harm))
