"""The panels of a choice's plot: one a criterion, with every candidate that it has a number for."""

from surefoot.study.choice.candidates import CRITERIA
from surefoot.study.choice.plot import Panel, Point
from surefoot.study.choice.record import LOWER, TITLES, UNITS, Choice
from surefoot.study.choice.words import show_correlation

__all__ = ["PLOT", "families_of", "panels_of"]

PLOT = "plot.svg"
MOST_FAMILIES = 7


def panels_of(choice: Choice) -> list[Panel]:
    """One panel a criterion."""
    families = families_of(choice)
    number = {name: place for place, (_, names) in enumerate(families) for name in names}
    panels: list[Panel] = []
    for criterion in CRITERIA:
        points = [
            Point(
                each.candidate.name,
                score.value,
                choice.hindsight.accuracies[each.candidate.name],
                number[each.candidate.name],
            )
            for each in choice.ranked
            if (score := each.scores[criterion]).value is not None
        ]
        panels.append(
            Panel(
                title=TITLES[criterion],
                said=show_correlation(choice.hindsight.agreement[criterion], choice.confidence),
                axis=UNITS[criterion],
                lower=criterion in LOWER,
                points=points,
                chosen=choice.picks[criterion].chosen,
                missing=len(choice.ranked) - len(choice.untrained) - len(points),
                untrained=len(choice.untrained),
            )
        )
    return panels


def families_of(choice: Choice) -> list[tuple[str, list[str]]]:
    """Candidates by network, for the marks: (words, names); one family where there are too many networks."""
    found: dict[str, list[str]] = {}
    for each in choice.ranked:
        found.setdefault(each.candidate.words.partition(";")[0], []).append(each.candidate.name)
    if len(found) > MOST_FAMILIES:
        return [("a candidate", [each.candidate.name for each in choice.ranked])]
    return list(found.items())
