"""What a choice found, in the words and figures that its page, its plot and the terminal share."""

from collections.abc import Sequence

from surefoot.card.words import show_finding, show_level
from surefoot.findings.finding import Finding
from surefoot.study.choice.candidates import CRITERIA, Criterion
from surefoot.study.choice.record import TITLES, UNITS, Choice, ChoiceDoubt, Score

__all__ = [
    "listed",
    "show_about",
    "show_behind",
    "show_best",
    "show_correlation",
    "show_score",
    "show_sure",
    "show_untrained",
    "told_of_plot",
]


def told_of_plot(choice: Choice) -> str:
    """The plot for who cannot see it."""
    said = [
        f"{TITLES[name]}: {show_correlation(choice.hindsight.agreement[name], choice.confidence)}" for name in CRITERIA
    ]
    return "Each criterion against the accuracy on the judge rows. " + ". ".join(said) + "."


def show_correlation(found: Finding | None, confidence: float) -> str:
    """Spearman's ρ with its interval."""
    if found is None:
        return "no rank correlation: too few candidates that differ"
    said = f"Spearman {_signed(found.value)}"
    if found.interval is None:
        return f"{said}, {found.count} candidates: too few for an interval"
    low, high = (_signed(each) for each in (found.interval.low, found.interval.high))
    return f"{said} [{low}, {high}], {show_level(confidence)}, {found.count} candidates"


def show_best(choice: Choice) -> str:
    """The judge's best, and how many are as good."""
    others = choice.hindsight.tied - 1
    return choice.hindsight.best + (f" (and {others} more as right)" if others else "")


def show_behind(choice: Choice, name: str) -> str:
    """How far a chosen candidate is behind the judge's best."""
    after = choice.hindsight
    if after.accuracies[name].value == after.accuracies[after.best].value:
        return "as right" if name != after.best else "it is the best"
    return show_finding(after.behind[name])


def show_sure(sure: float | None) -> str:
    """How sure a criterion is of its first."""
    if sure is None:
        return "not measured"
    return (">99%" if sure >= 0.995 else f"{sure:.0%}").replace("%", "\N{NO-BREAK SPACE}%")


def show_score(score: Score, criterion: Criterion) -> str:
    """A criterion's number, or a dash."""
    if score.value is None:
        return "–"
    places = 1 if UNITS[criterion] == "nats" else 4
    return f"{'−' if score.value < 0 else ''}{abs(score.value):,.{places}f}"


def _signed(value: float) -> str:
    return f"{'−' if value < -0.005 else ''}{abs(value):.2f}"


def show_about(doubt: ChoiceDoubt) -> str:
    """The criteria that a doubt is about."""
    return listed([TITLES[name] if not place else TITLES[name].lower() for place, name in enumerate(doubt.about)])


def show_untrained(choice: Choice) -> list[str]:
    """Each reason once, with the candidates that are not trained for it."""
    of: dict[str, list[str]] = {}
    for each in choice.untrained:
        of.setdefault(each.untrained, []).append(each.candidate.name)
    return [f"{listed(names)}: {reason[:1].lower()}{reason[1:].rstrip('.')}." for reason, names in of.items()]


def listed(words: Sequence[str]) -> str:
    """A list as one says it.

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
