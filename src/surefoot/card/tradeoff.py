"""The card's picture of a budget: how good each model is against what a pass of it takes on this machine."""

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from surefoot.card.card import Card
from surefoot.card.markup import Markup, element, together
from surefoot.card.plots import scale_for
from surefoot.card.reading import headline, summary
from surefoot.card.words import finding_title, show_finding, show_level, show_value
from surefoot.findings.finding import Finding

__all__ = ["has_costs", "tradeoff_panel"]

TIME = "milliseconds"
WIDE, HIGH = 620.0, 250.0
LEFT, TOP = 54.0, 14.0
"""Of the plot inside its viewBox, in its units."""
TOKENS = re.compile(r" \(\d+ tokens?\)$")
"""What is left out of a name, for room."""
NEAR = 8.0
"""A budget further from all times than this factor is not drawn: it would leave them no room."""


class _Point(NamedTuple):
    label: str
    time: Finding
    good: Finding
    chosen: bool


def has_costs(card: Card) -> bool:
    """Whether the card says of some model how long a pass takes."""
    return any(each.name == TIME for each in card.findings)


def tradeoff_panel(card: Card) -> Markup:
    """Accuracy (of the worst group, where there are groups) against milliseconds, with the budgets that were named."""
    name = headline(card, card.subjects)
    points: list[_Point] = []
    for subject in card.subjects:
        times = [each for each in card.findings if each.subject == subject.name and each.name == TIME]
        good = None if name is None else summary(card, name, subject.name)
        if times and good is not None:
            points.append(_Point(subject.label, times[0], good, subject.name == card.chosen))
    if not points:
        return element("p", {"class": "quiet"}, "No accuracy was measured.")
    budgets = list(dict.fromkeys(each.claim.within for each in card.claims if each.claim.within is not None))
    asked = card.record.settings.get("budget")
    if isinstance(asked, int | float) and asked not in budgets:
        budgets.insert(0, float(asked))
    levels = [each.good.interval.confidence for each in points if each.good.interval is not None]
    bars = f" Bars are {show_level(levels[0])} intervals." if levels else ""
    what = "" if name is None else finding_title(name)
    dashed = " Dashed: a budget that was named." if budgets else ""
    lead = (
        f"{what} against time: up is better, left is quicker. Times are of this machine, the median of its passes."
        f"{dashed}{bars}"
    )
    return together([element("p", {"class": "lead"}, lead), _drawn(points, [1e3 * each for each in budgets])])


def _drawn(points: Sequence[_Point], budgets: Sequence[float]) -> Markup:
    ends = [value for each in points for value in _ends(each.good)]
    up = scale_for(ends, limits=(0.0, 1.0))
    times = [each.time.value for each in points]
    near = [each for each in budgets if min(times) / NEAR < each < max(times) * NEAR]
    ticks = _ticks([*times, *near])
    low, high = math.log(ticks[0]), math.log(ticks[-1])

    def across(value: float) -> float:
        return LEFT + WIDE * (math.log(value) - low) / (high - low)

    def above(value: float) -> float:
        return TOP + HIGH * (1 - up.at(value) / 100)

    foot = TOP + HIGH
    parts: list[Markup] = []
    for tick in ticks:
        parts.append(_line(across(tick), TOP, across(tick), foot, "grid"))
        parts.append(element("text", {"x": across(tick), "y": foot + 16, "text-anchor": "middle"}, f"{tick:g}"))
    for tick in up.ticks:
        parts.append(_line(LEFT, above(tick), LEFT + WIDE, above(tick), "grid"))
        shown = show_value(tick, "proportion", decimals=0)
        parts.append(element("text", {"x": LEFT - 6, "y": above(tick) + 4, "text-anchor": "end"}, shown))
    parts += [_line(across(each), TOP, across(each), foot, "bound") for each in near]
    ordered = sorted(points, key=lambda point: (not point.chosen, point.time.value))
    bars = [(across(each.time.value), above(_ends(each.good)[-1]), above(_ends(each.good)[0])) for each in ordered]
    names = _Names([(x - 6, top - 3, x + 6, bottom + 3) for x, top, bottom in bars])
    for each, (x, top, bottom) in zip(ordered, bars, strict=True):
        y = above(each.good.value)
        parts.append(_line(x, top, x, bottom, "stem"))
        said = f"{each.label}: {show_finding(each.time)}, {show_finding(each.good)}"
        kind = "bin" if each.chosen else "bin other"
        parts.append(element("circle", {"cx": x, "cy": y, "r": 5, "class": kind}, element("title", {}, said)))
        name = TOKENS.sub("", each.label) + (" ← chosen" if each.chosen else "")
        parts.append(names.written(name, (x, y, top, bottom)))
    middle = {"x": LEFT + WIDE / 2, "y": foot + 34, "text-anchor": "middle", "class": "name"}
    parts.append(element("text", middle, "milliseconds a pass"))
    told = "Accuracy against time. " + "; ".join(
        f"{each.label}: {show_value(each.time.value, 'ms')}, {show_value(each.good.value, 'proportion')}"
        for each in points
    )
    box = f"0 0 {LEFT + WIDE + 16:.0f} {TOP + HIGH + 42:.0f}"
    return element("svg", {"class": "tradeoff", "viewBox": box, "role": "img", "aria-label": told}, *parts)


class _Names:
    """Places for names, none over another or over a bar that is drawn already."""

    def __init__(self, taken: Sequence[tuple[float, float, float, float]]) -> None:
        self.taken = list(taken)

    def written(self, name: str, of: tuple[float, float, float, float]) -> Markup:
        """The name above its bar, below it, right or left of its point: the first of these that is free."""
        x, y, top, bottom = of
        wide = 6.6 * len(name)
        middle = min(max(x, LEFT + wide / 2), LEFT + WIDE - wide / 2)
        places = [
            (middle, top - 6, "middle", middle - wide / 2),
            (middle, bottom + 14, "middle", middle - wide / 2),
            (x + 10, y + 4, "start", x + 10),
            (x - 10, y + 4, "end", x - 10 - wide),
        ]
        inside = [each for each in places if each[3] >= LEFT and each[3] + wide <= LEFT + WIDE + 16]
        free = [
            each
            for each in inside
            if not any(_meet(box, (each[3], each[1] - 10, each[3] + wide, each[1] + 3)) for box in self.taken)
        ]
        across, down, anchor, left = (free or places)[0]
        self.taken.append((left, down - 10, left + wide, down + 3))
        return element("text", {"x": across, "y": down, "text-anchor": anchor, "class": "name"}, name)


def _meet(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _ends(finding: Finding) -> tuple[float, ...]:
    if finding.interval is None:
        return (finding.value,)
    return (finding.interval.low, finding.value, finding.interval.high)


def _ticks(values: Sequence[float]) -> list[float]:
    """1, 2, 5, 10, … from below the least to above the greatest; the axis is in equal factors.

    >>> _ticks([0.7, 3.0])
    [0.5, 1.0, 2.0, 5.0]
    """
    least, most = min(values), max(values)
    first, last = math.floor(math.log10(least)), math.ceil(math.log10(most))
    every = [factor * 10.0**power for power in range(first, last + 1) for factor in (1, 2, 5)]
    start = max(number for number, each in enumerate(every) if each <= least)
    end = min(number for number, each in enumerate(every) if each >= most)
    return [float(f"{each:g}") for each in every[start : max(end, start + 1) + 1]]


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    return element("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "class": kind})
