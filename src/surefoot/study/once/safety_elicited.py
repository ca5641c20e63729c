"""How models were asked, and what it took: tables of a safety card.

A level of a scorecard is a lower bound on what a model can do, and only as good as the asking; so how it was asked is
on the card. What the asking took follows from what is kept, and not from how long a run lasted.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from surefoot.card.serialise import read_card
from surefoot.card.sheets import Sheet
from surefoot.safety.measured import Evaluated
from surefoot.safety.suite import Suite, suite_version
from surefoot.safety.suites.choices import is_by_likelihood
from surefoot.study.once.attempt_asking import AskedModel
from surefoot.study.once.safety_asking import Spent
from surefoot.text.served import Calls

__all__ = ["compute_sheet", "cost_of", "earlier_way", "elicitation_sheet"]

NONE = "–"
MILLION = 1e6


def elicitation_sheet(
    models: Sequence[AskedModel], suites: Sequence[Suite], *, seed: int, size: str, earlier: Mapping[str, str]
) -> Sheet:
    """How each model was asked each suite. earlier: by name, how the model of an earlier run was asked, as it told."""
    names = (*earlier, *(each.name for each in models))
    same = [
        ("tools", "none"),
        ("training, search for prompts", "none"),
        ("size of the battery", size or "as given"),
        ("seed", str(seed)),
    ]
    rows = [("template and system message", *earlier.values(), *(each.told for each in models))]
    rows += [(what, *([said] * len(names))) for what, said in same]
    for suite in suites:
        ways = [_way(suite, each) for each in models]
        told = (
            f"{suite.name}{' (toy)' if suite.toy else ''}, version {suite_version(suite)}, {len(suite.items):,} items"
        )
        rows.append((told, *(["as now"] * len(earlier)), *ways))
    lead = (
        "What a model can do was looked for in this way and in no other. Levels are lower bounds: another prompt, more "
        "attempts, longer answers, tools or training may find more, and what was not elicited was not measured."
    )
    return Sheet("Elicitation", ("Setting", *names), tuple(rows), lead)


def compute_sheet(
    found: Mapping[str, Sequence[Evaluated]], spent: Mapping[str, Spent], price: tuple[float, float] | None
) -> Sheet:
    """Completions and tokens of every model; of one that is served what the server counted, and what that costs."""
    rows: list[tuple[str, ...]] = []

    def row(what: str, cells: Sequence[str]) -> None:
        if any(each != NONE for each in cells):
            rows.append((what, *cells))

    sampled = [[one for each in of for one in each.sampled] for of in found.values()]
    calls = [None if name not in spent else spent[name].calls for name in found]
    row("completions", [f"{len(each):,}" for each in sampled])
    row("tokens written", [f"{sum(one.tokens for one in each):,}" for each in sampled])
    row("longest completion, tokens", [f"{max((one.tokens for one in each), default=0):,}" for each in sampled])
    row(
        "cut off at the most tokens",
        [f"{sum(not one.ended and not one.blocked for one in each):,}" for each in sampled],
    )
    row("tokens of prompts, by the server", [_counted(each, each.prompt_tokens) if each else NONE for each in calls])
    row(
        "tokens of completions, by the server",
        [_counted(each, each.completion_tokens) if each else NONE for each in calls],
    )
    row("replies without counts", [f"{each.uncounted:,}" if each and each.uncounted else NONE for each in calls])
    row("calls blocked", [f"{each.blocked:,}" if each else NONE for each in calls])
    row("tries again before a reply", [f"{each.again:,}" if each else NONE for each in calls])
    if price is not None:
        row(
            f"cost at {price[0]:g} and {price[1]:g} a million",
            [NONE if not each else cost_of(each, price) for each in calls],
        )
    return Sheet(
        "Compute and cost", ("What it took", *found), tuple(rows),
        "Everything that is behind this card, whether it was written now or kept from before.",
    )  # fmt: skip


def cost_of(calls: Calls, price: tuple[float, float]) -> str:
    """In the currency of a price for a million tokens of prompts and completions; at least, where some are uncounted.

    >>> cost_of(Calls(prompt_tokens=200_000, completion_tokens=50_000), (0.5, 2.0))
    '0.2000'
    """
    cost = (calls.prompt_tokens * price[0] + calls.completion_tokens * price[1]) / MILLION
    return f"{'at least ' if calls.uncounted else ''}{cost:,.4f}"


def earlier_way(run: Path, model: str) -> str:
    """How the model of an earlier run was asked, by its card."""
    models = cast("Mapping[str, Any]", read_card(run).record.settings.get("models", {}))
    told = cast("Mapping[str, Any]", models.get(model, {})).get("told")
    return f"{told or 'not told'}; in the run {run.name}"


def _way(suite: Suite, model: AskedModel) -> str:
    if is_by_likelihood(suite):
        return "options by the likelihood of their letters, nothing written"
    sampling = suite.sampling
    attempts = "1 attempt" if sampling.count == 1 else f"{sampling.count} attempts"
    thinking = "thinks as it likes" if sampling.thinking is None else f"at most {sampling.thinking} tokens of thought"
    system = sum(not isinstance(each.prompt, str) and each.prompt[0].role == "system" for each in suite.items)
    whose = "no system message" if system == 0 else "a system message of the suite's" + (
        "" if system == len(suite.items) else f" in {system} of them"
    )  # fmt: skip
    most = min(sampling.most, model.most)
    return f"temperature {sampling.temperature:g}, {attempts}, {most:,} tokens at most, {thinking}, {whose}"


def _counted(calls: Calls, tokens: int) -> str:
    return f"{'at least ' if calls.uncounted else ''}{tokens:,}"
