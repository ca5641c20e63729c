"""The card's picture of a probe: core and shortcut decodability beside the own head's worst group."""

from surefoot.card.card import Card
from surefoot.card.forest import axis_row, extent, forest_row, lane_of, panel
from surefoot.card.markup import Markup, element, together
from surefoot.card.plots import lanes, marker, scale_for
from surefoot.card.words import show_finding, show_level

__all__ = ["CORE", "OWN", "SHORTCUT", "decodability_panel", "has_decodability"]

CORE, SHORTCUT, OWN = "core_decodability", "shortcut_decodability", "worst_group_accuracy"
SERIES = {OWN: 0, CORE: 1, SHORTCUT: 3}
WORDS = {OWN: "own head", CORE: "core, with a new head", SHORTCUT: "shortcut"}
LEAD = (
    "How well a new linear head, fitted on draws balanced over groups, reads the class (core) and the attribute "
    "(shortcut) out of the same features; worst groups on the judge rows. Far above the own head: the features are "
    "sound and the head is wrong. Features without the shortcut give its worst group one over the number of values, "
    "or less."
)


def has_decodability(card: Card) -> bool:
    """Whether the card holds findings of a probe."""
    return any(each.name == CORE for each in card.findings)


def decodability_panel(card: Card) -> Markup:
    """One row a representation, one lane a quantity; one panel per attribute where there are several."""
    parts = list(dict.fromkeys(each.slice for each in card.findings if each.name == SHORTCUT))
    drawn = [_panel(card, part, part if len(parts) > 1 else "") for part in parts]
    levels = [each.interval.confidence for each in card.findings if each.interval is not None]
    seeds = len(card.record.seeds) > 1 and any(each.per_seed for each in card.findings)
    told = f"Bars are {show_level(levels[0])} intervals" if levels else "No interval was measured"
    reading = f"{told}{'; each thin tick is one seed' if seeds else ''}."
    return together([element("p", {"class": "lead"}, LEAD), *drawn, element("p", {"class": "quiet"}, reading)])


def _panel(card: Card, part: str, title: str) -> Markup:
    found = {
        (each.subject, each.name): each
        for each in card.findings
        if (each.name in (CORE, SHORTCUT) and each.slice == part)
        or (each.name == OWN and each.slice not in card.groups)
    }
    scale = scale_for([value for each in found.values() for value in extent(each)], limits=(0.0, 1.0))
    rows = [axis_row(scale, "proportion", "Accuracy")]
    for subject in card.subjects:
        having = [found[subject.name, name] for name in SERIES if (subject.name, name) in found]
        if having:
            numbers = [(WORDS[each.name], show_finding(each), False) for each in having]
            rows.append(
                forest_row(
                    subject.label, [], lanes(scale, [lane_of(each, SERIES[each.name]) for each in having]), numbers
                )
            )
    shown = [name for name in SERIES if any(key[1] == name for key in found)]
    keys = [element("li", {}, marker(SERIES[name]), element("span", {}, WORDS[name])) for name in shown]
    return panel(title, rows, element("ul", {"class": "legend"}, *keys))
