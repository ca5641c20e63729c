"""Dot plots in rows: a name, lanes with intervals, and the numbers beside them."""

from collections.abc import Sequence

from surefoot.card.card import Card, Subject
from surefoot.card.claims import Judged
from surefoot.card.markup import Child, Markup, element, together
from surefoot.card.plots import Lane, Scale, axis, bound_names, lanes, scale_for
from surefoot.card.reading import WORST, families_in_order, headline, label_of, series_of, summary, worst_groups
from surefoot.card.words import show_count, show_evidence, show_finding, show_level, show_value
from surefoot.findings.finding import Finding

__all__ = [
    "axis_row",
    "bounds_on",
    "extent",
    "forest_row",
    "lane_of",
    "models_panel",
    "panel",
    "reading_of",
    "tagged",
    "where_worst",
]


def models_panel(card: Card, subjects: Sequence[Subject], title: Child = "") -> Markup:
    """One row a model: its worst group's accuracy (without groups, its accuracy) against what is claimed of it.

    What is claimed of the chosen model is drawn through every row, to see what the others would have met.
    """
    name = headline(card, subjects)
    wanted = {subject.name for subject in subjects}
    having = [
        (series_of(card, subject.name), subject, found)
        for family in families_in_order(card)
        for subject in family
        if name is not None and subject.name in wanted and (found := summary(card, name, subject.name))
    ]
    if not having:
        return element("p", {"class": "quiet"}, "No accuracy was measured.")
    of_chosen = [bound for _, _, found in having for bound in bounds_on(card, found, {card.chosen or ""})]
    claimed = {subject.name: bounds_on(card, found, {subject.name}) for _, subject, found in having}
    every = list(dict.fromkeys([*of_chosen, *(bound for bounds in claimed.values() for bound in bounds)]))
    values = [value for _, _, found in having for value in extent(found)]
    scale = scale_for([*values, *(bound for _, bound in every)], limits=(0.0, 1.0))
    drawn = [axis_row(scale, "proportion", "Accuracy")]
    for series, subject, found in having:
        lines = [bound for _, bound in dict.fromkeys([*of_chosen, *claimed[subject.name]])]
        plot = lanes(scale, [lane_of(found, series, subject.name == card.chosen)], lines)
        numbers = [(subject.label, show_finding(found), subject.name == card.chosen)]
        drawn.append(forest_row(tagged(card, subject.name), where_worst(card, found), plot, numbers))
    if every:
        unit = having[0][2].unit
        named: list[tuple[float, str]] = []
        for sign, bound in every:
            whom = " of the chosen" if (sign, bound) in of_chosen and having[1:] else ""
            named.append((bound, f"claimed{whom}: {sign} {show_value(bound, unit)}"))
        empty = element("div", {"class": "row-name"})
        drawn.append(element("div", {"class": "row foot"}, empty, bound_names(scale, named), element("div", {})))
    return panel(title, drawn)


def panel(title: Child, rows: Sequence[Markup], legend: Markup | None = None) -> Markup:
    """Rows of a dot plot on one sheet."""
    heading = [element("h3", {}, title)] if title else []
    return element("div", {"class": "panel"}, *heading, *([] if legend is None else [legend]), *rows)


def forest_row(
    name: Child, below: Sequence[str], plot: Markup, numbers: Sequence[tuple[str, str, bool]], *, summary: bool = False
) -> Markup:
    """A row of a dot plot: name, lanes, and beside each lane its number (of whom, number, highlighted).

    below: lines under the name.
    """
    shown: list[Markup] = []
    for label, number, strong in numbers:
        value, _, bounds = number.partition(" [")
        interval = [element("span", {"class": "bounds"}, f" [{bounds}")] if bounds else []
        parts: list[Child] = [element("span", {"class": "unseen"}, f"{label}: "), value, *interval]
        shown.append(element("li", {"class": "strong" if strong else None}, *parts))
    small = [element("small", {}, line) for line in below]
    return element(
        "div",
        {"class": "row summary" if summary else "row"},
        element("div", {"class": "row-name"}, name, *small),
        plot,
        element("ul", {"class": "numbers"}, *shown),
    )


def axis_row(scale: Scale, unit: str, name: str, *, signed: bool = False) -> Markup:
    """The axis above the rows of a dot plot, and what it measures."""
    measure = element("div", {"class": "row-name"}, name)
    return element("div", {"class": "row head"}, measure, axis(scale, unit, signed=signed), element("div", {}))


def bounds_on(card: Card, finding: Finding, subjects: set[str]) -> list[tuple[str, float]]:
    """What is claimed of this measure, on this slice, for any of these models: (at least | at most, bound)."""

    def bears(judged: Judged) -> bool:
        of = judged.finding
        return of is not None and of.subject in subjects and (of.name, of.slice) == (finding.name, finding.slice)

    found: dict[tuple[str, float], None] = {}
    for claim in (judged.claim for judged in card.claims if bears(judged)):
        if claim.at_least is not None:
            found["at least", claim.at_least] = None
        elif claim.at_most is not None:
            found["at most", claim.at_most] = None
    return list(found)


def where_worst(card: Card, finding: Finding) -> list[str]:
    """The rows behind a model's headline: its own worst group, and that group's rows and clusters."""
    behind = show_evidence(finding)
    if finding.name != WORST:
        return [behind]
    groups = worst_groups(card, finding.subject)
    among = [] if finding.slice == "all" else [finding.slice]
    tied = [f"tied with {', '.join(groups[1:])}"] if groups[1:] else []
    return [*(f"in “{name}”" for name in groups[:1]), *tied, behind, *among]


def tagged(card: Card, name: str) -> Markup:
    """A model's label, marked if it is the chosen one."""
    tag = [" ", element("span", {"class": "tag"}, "chosen")] if name == card.chosen else []
    return together([label_of(card, name), *tag])


def extent(finding: Finding) -> tuple[float, ...]:
    """Everything that is drawn of a finding."""
    ends = () if finding.interval is None else (finding.interval.low, finding.interval.high)
    return (finding.value, *ends, *finding.per_seed)


def lane_of(finding: Finding, series: int, highlighted: bool = False, *, hollow: bool = False) -> Lane:
    """A finding as a lane."""
    low, high = (None, None) if finding.interval is None else (finding.interval.low, finding.interval.high)
    return Lane(finding.value, low, high, finding.per_seed, series, highlighted, hollow)


def reading_of(findings: Sequence[Finding], *, claimed: bool) -> Markup:
    """How to read a dot plot of these findings: only what is drawn is explained."""
    seeds = max((len(each.per_seed) for each in findings), default=0)
    levels = dict.fromkeys(show_level(each.interval.confidence) for each in findings if each.interval is not None)
    parts = ["A mark is accuracy on the judge rows"]
    parts.append(f", averaged over {show_count(seeds, 'training seed')}" if seeds else "")
    parts.append(f"; its bar is the {' or '.join(levels)} interval" if levels else "")
    parts.append("; a thin tick is one seed" if seeds else "")
    parts.append("; the dashed line is a claimed bound" if claimed else "")
    return element("p", {"class": "quiet"}, "".join(parts) + ".")
