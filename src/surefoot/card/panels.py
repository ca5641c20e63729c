"""The card's pictures: groups before and after, what each repair changed, calibration, confusion, worst errors."""

import math
from collections.abc import Sequence

from surefoot.card.card import Card, Mistake, Subject
from surefoot.card.forest import axis_row, bounds_on, extent, forest_row, lane_of, panel, reading_of, tagged
from surefoot.card.markup import Markup, element, together
from surefoot.card.plots import Scale, lanes, marker, reliability_plot, scale_for
from surefoot.card.reading import MEANS, SHORT, WORST, changes, families_in_order, label_of
from surefoot.card.words import finding_title, show_evidence, show_finding, show_share, show_value
from surefoot.findings.finding import Finding

__all__ = ["calibration_panel", "changes_panel", "confusion_panel", "gallery_panel", "groups_panel", "short_label"]


def groups_panel(card: Card) -> Markup:
    """Accuracy over all rows and in every group, weakest first: one panel a base model, one lane a method."""
    rows = [(name, "all") for name in MEANS] + [("accuracy", group) for group in _weakest_first(card)]
    found = {(each.name, each.slice, each.subject): each for each in card.findings}
    shown = [each for key, each in found.items() if key[:2] in rows]
    if not shown:
        return element("p", {"class": "quiet"}, "No accuracy was measured.")
    scale = scale_for([value for each in shown for value in extent(each)], limits=(0.0, 1.0))
    every = families_in_order(card)
    claimed = False
    panels: list[Markup] = []
    for family in every:
        drawn = [axis_row(scale, "proportion", "Accuracy")]
        for name, part in rows:
            having = [
                (series, subject, found[name, part, subject.name])
                for series, subject in enumerate(family)
                if (name, part, subject.name) in found
            ]
            if having:
                bounds = bounds_on(card, having[0][2], {subject.name for subject in family})
                claimed = claimed or bool(bounds)
                drawn.append(_row(card, family, scale, having, [bound for _, bound in bounds]))
            elif part in card.groups:
                drawn.append(forest_row(part, ["no judge rows"], lanes(scale, []), []))
        legend = _legend(card, family) if family[1:] else None
        panels.append(panel(family[0].label if len(every) > 1 else "", drawn, legend))
    return together([*panels, reading_of(shown, claimed=claimed)])


def changes_panel(card: Card) -> Markup:
    """Paired after − before differences, one row a repair: worst group filled, mean in outline."""
    labels = {subject.name: subject for subject in card.subjects}
    rows = [
        (subject, series, having)
        for family in families_in_order(card)
        for series, subject in enumerate(family)
        if (having := changes(card, subject))
    ]
    if not rows:
        return element("p", {"class": "quiet"}, "No repair was measured against what it repairs.")
    scale = scale_for([0.0, *(value for _, _, having in rows for each in having for value in extent(each))])
    drawn = [axis_row(scale, rows[0][2][0].unit, "Change, in points", signed=True)]
    for subject, series, having in rows:
        base = labels[subject.before or ""]
        chosen = subject.name == card.chosen
        plot = lanes(scale, [lane_of(each, series, chosen, hollow=each.name != WORST) for each in having], zero=True)
        numbers = [(SHORT[each.name], show_finding(each).replace(" points", ""), chosen) for each in having]
        drawn.append(forest_row(short_label(subject, base), [f"after {base.label}"], plot, numbers))
    names = dict.fromkeys(each.name for _, _, having in rows for each in having)
    items = [element("li", {"class": "neutral"}, marker(1, hollow=name != WORST), SHORT[name]) for name in names]
    lead = (
        "After − before in percentage points, paired on the same judge rows and seeds. Right of the line is better; "
        "an interval that crosses the line may be no change."
    )
    return together(
        [element("p", {"class": "lead"}, lead), panel("", drawn, element("ul", {"class": "legend"}, *items))]
    )


def calibration_panel(card: Card) -> Markup:
    """A reliability diagram per drawn subject."""
    drawn: list[Markup] = []
    for name, bins in card.reliability.items():
        label = label_of(card, name)
        errors = [
            f"{finding_title(each.name)}: {show_finding(each)}"
            for each in card.findings
            if each.subject == name and each.name.startswith("calibration_error") and each.slice == "all"
        ]
        told = [element("p", {"class": "quiet"}, line) for line in errors]
        drawn.append(
            element(
                "figure",
                {},
                element("figcaption", {}, tagged(card, name)),
                element("div", {}, reliability_plot(bins, label), *told),
            )
        )
    return element("div", {"class": "pair"}, *drawn)


def confusion_panel(card: Card) -> Markup:
    """A confusion matrix per drawn subject: each row is a true class, tinted by its share."""
    wide = "pair wide" if len(card.classes) > 4 else "pair"
    return element("div", {"class": wide}, *(_confusion(card, name) for name in card.confusion))


def gallery_panel(card: Card) -> Markup:
    """The worst errors per drawn subject, as pictures where there are any."""
    parts: list[Markup] = []
    for name, mistakes in card.gallery.items():
        heading = element("h3", {}, tagged(card, name))
        if not mistakes:
            parts.append(together([heading, element("p", {"class": "quiet"}, "No judge row was misjudged.")]))
        else:
            shown = element("ol", {"class": "gallery"}, *(_mistake(mistake) for mistake in mistakes))
            parts.append(together([heading, shown]))
    return together(parts)


def short_label(subject: Subject, base: Subject) -> str:
    """A repair's label without the words it shares with its base: "DFR", not "CNN → DFR"."""
    if subject is not base and subject.label.startswith(base.label):
        rest = subject.label[len(base.label) :].lstrip(" →+·,:;–−-")
        return rest or subject.label
    return subject.label


def _weakest_first(card: Card) -> list[str]:
    """The groups, from the least accuracy to the greatest of the first panel's base; unmeasured ones last."""
    (base, *_), *_ = families_in_order(card)
    values = {each.slice: each.value for each in card.findings if (each.subject, each.name) == (base.name, "accuracy")}
    return sorted(card.groups, key=lambda group: values.get(group, math.inf))


def _row(
    card: Card,
    family: Sequence[Subject],
    scale: Scale,
    having: Sequence[tuple[int, Subject, Finding]],
    bounds: Sequence[float],
) -> Markup:
    """One line of a base model's panel: what each method of its family reaches there, and what is claimed."""
    first = having[0][2]
    drawn = lanes(
        scale,
        [lane_of(each, series, subject.name == card.chosen) for series, subject, each in having],
        [bound for bound in bounds if scale.low <= bound <= scale.high],
    )
    numbers = [
        (short_label(subject, family[0]), show_finding(each), subject.name == card.chosen)
        for _, subject, each in having
    ]
    group = first.slice in card.groups
    return forest_row(
        first.slice if group else SHORT[first.name], [show_evidence(first)], drawn, numbers, summary=not group
    )


def _legend(card: Card, family: Sequence[Subject]) -> Markup:
    keys: list[Markup] = []
    for series, subject in enumerate(family):
        chosen = [element("span", {"class": "tag"}, "chosen")] if subject.name == card.chosen else []
        keys.append(element("li", {}, marker(series), element("span", {}, short_label(subject, family[0])), *chosen))
    return element("ul", {"class": "legend"}, *keys)


def _confusion(card: Card, name: str) -> Markup:
    counts = card.confusion[name]
    columns = [element("th", {"scope": "col"}, label) for label in card.classes]
    body: list[Markup] = []
    for label, line in zip(card.classes, counts, strict=True):
        total = sum(line)
        cells: list[Markup] = []
        for predicted, count in enumerate(line):
            share = count / total if total else 0.0
            right = card.classes[predicted] == label
            shade = {"class": "right" if right else "wrong", "style": f"--share:{share:.3f}", "title": f"{count:,}"}
            cells.append(element("td", shade, show_value(share, "proportion") if total else "–"))
        heading = element("th", {"scope": "row"}, label)
        body.append(element("tr", {}, heading, *cells, element("td", {"class": "total"}, f"{total:,}")))
    corner = element("th", {"scope": "col", "class": "corner"}, "true ↓ predicted →")
    head = element("tr", {}, corner, *columns, element("th", {"scope": "col", "class": "total"}, "predictions"))
    table = element("table", {"class": "confusion"}, element("thead", {}, head), element("tbody", {}, *body))
    region = {"class": "scroll", "tabindex": 0, "role": "region", "aria-label": f"Confusion of {label_of(card, name)}"}
    return element("figure", {}, element("figcaption", {}, tagged(card, name)), element("div", region, table))


def _mistake(mistake: Mistake) -> Markup:
    said = f"{mistake.predicted} instead of {mistake.target}"
    picture: list[Markup] = []
    if mistake.image:
        source = f"data:image/png;base64,{mistake.image}"
        picture.append(element("img", {"src": source, "alt": f"Row {mistake.id}: {said}", "loading": "lazy"}))
    lines = [
        element("span", {}, "said ", element("strong", {}, mistake.predicted)),
        element("span", {}, "is ", element("strong", {}, mistake.target)),
        *([element("small", {}, " · ".join(mistake.groups))] if mistake.groups else []),
    ]
    sure = element("span", {"class": "sure"}, f"{show_share(mistake.probability)} sure")
    which = element("p", {"class": "which"}, sure, element("code", {}, mistake.id))
    return element("li", {}, *picture, element("div", {"class": "told"}, *lines), which)
