"""What is said of a safety evaluation: in a sentence, in notes on models, in tables, and what a card cannot tell."""

from collections.abc import Mapping, Sequence

from surefoot.card.sheets import Sheet
from surefoot.card.traces import Trace
from surefoot.card.words import finding_title, show_count, show_finding, show_level
from surefoot.findings.finding import Finding
from surefoot.safety.measured import Evaluated
from surefoot.safety.preparedness.scorecard import Door, Scorecard
from surefoot.safety.suite import Suite, suite_version

__all__ = ["flagged", "gates_sheet", "levels_sheet", "limits_of", "suites_sheet", "told_before"]

FLAGGED = 3
"""Completions of each suite that are shown, of those that scored worst."""
UNKNOWN = "unknown"
SILENT = ("unscored", "blocked")
"""Findings that are worth a row only where there is something to tell."""


def told_before(models: Sequence[str], suites: Sequence[Suite]) -> str:
    """What is about to be done, in one sentence."""
    items = sum(len(each.items) * each.sampling.count for each in suites)
    tokens = sum(len(each.items) * each.sampling.count * each.sampling.most for each in suites)
    return (
        f"{show_count(len(suites), 'suite')}, {items:,} completions of {' and '.join(models)} each, {tokens:,} tokens "
        "at most. What is written is kept: a run that is killed goes on."
    )


def suites_sheet(suites: Sequence[Suite], models: Sequence[str], findings: Sequence[Finding]) -> Sheet:
    """Every measure of every suite, models beside each other, with intervals and counts."""
    of = {(each.subject, each.name, each.slice): each for each in findings}
    rows: list[tuple[str, ...]] = []
    for suite in suites:
        places = dict.fromkeys(
            (each.name, each.slice)
            for each in findings
            if each.slice == suite.name and (each.value > 0 or each.name not in SILENT)
        )
        for name, place in places:
            cells: list[str] = []
            for model in models:
                found = of.get((model, name, place))
                cells.append("–" if found is None else f"{show_finding(found)}, n = {found.clusters:,}")
            rows.append((f"{suite.name}{' (toy)' if suite.toy else ''}: {finding_title(name).lower()}", *cells))
    lead = (
        "n counts what is independent: requests, templates, people, and not the completions that share one. A model "
        "that cannot answer does no harm either: read what is answered, and what says nothing, beside the rest."
    )
    return Sheet("What was measured", ("Suite and measure", *models), tuple(rows), lead)


def levels_sheet(cards: Mapping[str, Scorecard], names: Mapping[str, str]) -> Sheet:
    """Levels by category, before and after, and the indicators behind them. names: of models, by before and after."""
    some = next(iter(cards.values()))
    rows: list[tuple[str, ...]] = []
    for category in some.categories:
        behind = [each for each in some.read if each.indicator.category == category]
        told = "; ".join(f"{each.indicator.name}{' (toy)' if each.indicator.toy else ''}" for each in behind)
        levels = [card.categories[category] or UNKNOWN for card in cards.values()]
        rows.append((category, *levels, told or "none"))
    rows.append(("overall", *(card.overall or UNKNOWN for card in cards.values()), "the highest of them"))
    heads = tuple(f"{when} ({names[when]})" for when in cards)
    lead = (
        "The level of a category is the highest that the intervals of its indicators do not exclude. Toys show that "
        "the gate works, and nothing of the danger that they are named after."
    )
    return Sheet("Scorecard", ("Category", *heads, "Indicators"), tuple(rows), lead)


def gates_sheet(doors: Sequence[Door]) -> Sheet:
    """Which gates open, and why."""
    rows = tuple(
        (each.gate.name, each.state, f"at most {each.gate.at_most}, {each.gate.model}", each.why) for each in doors
    )
    return Sheet("Gates", ("Gate", "State", "Opens for", "Why"), rows)


def flagged(model: str, of: Sequence[Evaluated], *, reveal: bool) -> tuple[Trace, ...]:
    """The first completions of each suite that scored worst in something that should be high; redacted, or not."""
    found: list[Trace] = []
    for each in of:
        higher = [measure.score for measure in each.suite.measures if measure.direction == "higher"]
        bad = 0
        for sampled, graded in zip(each.sampled, each.graded, strict=True):
            given = [value for name in higher if (value := graded.scores.get(name)) is not None]
            if not given or min(given) > 0 or bad == FLAGGED:
                continue
            bad += 1
            prompt = sampled.item.prompt
            asked = prompt if isinstance(prompt, str) else "\n".join(f"{turn.role}: {turn.text}" for turn in prompt)
            wanted = _shown(graded.why, reveal) if graded.why else "another answer"  # a reason may hold the answer
            found.append(
                Trace(model, f"[{each.suite.name}] {_shown(asked, reveal)}", _maybe(sampled.thought, reveal),
                      _maybe(sampled.answer, reveal), wanted, 0.0)
            )  # fmt: skip
    return tuple(found)


def limits_of(suites: Sequence[Suite], findings: Sequence[Finding], confidence: float) -> tuple[str, ...]:
    """What a card of it does not show."""
    limits = [
        "What was not elicited was not measured: another prompt, more attempts, tools or training may find more. "
        "Levels are lower bounds on what a model can do.",
        "Suites are small and their prompts mild: they tell models apart, and vouch for none.",
    ]
    toys = [each.title for each in suites if each.toy]
    if toys:
        limits.append(f"Toys, that show how a gate works and no danger: {', '.join(toys)}.")
    wide = [each for each in findings if each.interval is not None and each.unit == "proportion"]
    wide = [each for each in wide if each.interval is not None and each.interval.high - each.interval.low > 0.2]
    if wide:
        limits.append(
            f"{len(wide)} of {len(findings)} intervals (at {show_level(confidence)}) are wider than 20 points: too few "
            "items to tell models apart that differ by less."
        )
    limits.append(
        "Suites asked: "
        + ", ".join(f"{each.name} ({suite_version(each)}, {len(each.items)} items)" for each in suites)
        + "."
    )
    return tuple(limits)


def _maybe(text: str | None, reveal: bool) -> str | None:
    return None if text is None else _shown(text, reveal)


def _shown(text: str, reveal: bool) -> str:
    return text if reveal else f"[redacted: {len(text):,} characters; --reveal shows them]"
