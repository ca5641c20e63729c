"""The card's pictures: groups before and after, what each repair changed, calibration, confusion, worst errors."""

from collections.abc import Sequence

from surefoot.card.card import Card, Mistake, Subject, families
from surefoot.card.markup import Child, Markup, element, together
from surefoot.card.plots import Lane, Scale, axis, lanes, marker, reliability_plot, scale_for
from surefoot.card.words import evidence, finding_title, show_count, show_finding, show_level, show_value
from surefoot.findings.finding import Finding

__all__ = ["calibration_panel", "changes_panel", "confusion_panel", "gallery_panel", "groups_panel", "short_label"]

SUMMARIES = ("worst_group_accuracy", "weighted_accuracy", "accuracy")
SHORT = {
    "worst_group_accuracy": "Worst group",
    "weighted_accuracy": "Mean, weighted as in training",
    "accuracy": "Mean over all judge rows",
}


def groups_panel(card: Card) -> Markup:
    """Accuracy of the summary lines and of every group: one panel a base model, one lane a method."""
    worst = dict.fromkeys(each.slice for each in card.findings if each.name == SUMMARIES[0])
    rows = [(SUMMARIES[0], part) for part in worst] + [(name, "all") for name in SUMMARIES[1:]]
    rows += [("accuracy", group) for group in card.groups]
    found = {(each.name, each.slice, each.subject): each for each in card.findings}
    values = [value for key, each in found.items() if key[:2] in rows for value in _extent(each)]
    if not values:
        return element("p", {"class": "quiet"}, "No accuracy was measured.")
    scale = scale_for(values, limits=(0.0, 1.0))
    every = families(card.subjects)
    panels: list[Markup] = []
    for family in every:
        drawn = [axis_row(scale, "proportion")]
        for name, part in rows:
            having = [
                (series, subject, found[name, part, subject.name])
                for series, subject in enumerate(family)
                if (name, part, subject.name) in found
            ]
            if having:
                drawn.append(_row(card, family, scale, having))
            elif name == "accuracy" and part in card.groups:
                drawn.append(forest_row(part, "no judge rows", lanes(scale, []), []))
        heading = [element("h3", {}, family[0].label)] if len(every) > 1 else []
        panels.append(element("div", {"class": "panel"}, *heading, _legend(card, family), *drawn))
    return together([*panels, _reading(card)])


def changes_panel(card: Card) -> Markup:
    """Paired after − before differences, one row a repair: worst group filled, mean in outline."""
    measured = {(each.name, each.subject): each for each in card.differences if each.slice not in card.groups}
    labels = {subject.name: subject for subject in card.subjects}
    mean = next((name for name in ("weighted_accuracy", "accuracy") if any(key[0] == name for key in measured)), None)
    rows: list[tuple[Subject, int, list[Finding]]] = []
    for family in families(card.subjects):
        for series, subject in enumerate(family):
            pair = f"{subject.name} − {subject.before}"
            having = [measured[name, pair] for name in (SUMMARIES[0], mean) if name and (name, pair) in measured]
            if having:
                rows.append((subject, series, having))
    if not rows:
        return element("p", {"class": "quiet"}, "No repair was measured against what it repairs.")
    scale = scale_for([0.0, *(value for _, _, having in rows for each in having for value in _extent(each))])
    drawn = [axis_row(scale, rows[0][2][0].unit, signed=True)]
    for subject, series, having in rows:
        base = labels[subject.before or ""]
        chosen = subject.name == card.chosen
        plot = lanes(
            scale, [_lane(each, series, chosen, hollow=each.name != SUMMARIES[0]) for each in having], zero=True
        )
        numbers = [(SHORT[each.name], show_finding(each).replace(" points", ""), chosen) for each in having]
        drawn.append(forest_row(short_label(subject, base), f"after {base.label}", plot, numbers))
    keys = [(SHORT[SUMMARIES[0]], False)] + ([(SHORT[mean], True)] if mean else [])
    items = [element("li", {"class": "neutral"}, marker(1, hollow=hollow), name) for name, hollow in keys]
    legend = element("ul", {"class": "legend"}, *items)
    lead = "After − before in percentage points, paired on the same judge rows and seeds. Right of the line is better."
    return together([element("p", {"class": "lead"}, lead), element("div", {"class": "panel"}, legend, *drawn)])


def calibration_panel(card: Card) -> Markup:
    """A reliability diagram per drawn subject."""
    drawn: list[Markup] = []
    for name, bins in card.reliability.items():
        label = _label(card, name)
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
                element("figcaption", {}, _tagged(card, name)),
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
        heading = element("h3", {}, _tagged(card, name))
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


def forest_row(
    name: str, below: str, plot: Markup, numbers: Sequence[tuple[str, str, bool]], *, summary: bool = False
) -> Markup:
    """A row of a dot plot: name, lanes, and beside each lane its number (of whom, number, highlighted)."""
    shown: list[Markup] = []
    for label, number, strong in numbers:
        value, _, bounds = number.partition(" [")
        interval = [element("span", {"class": "bounds"}, f" [{bounds}")] if bounds else []
        parts: list[Child] = [element("span", {"class": "unseen"}, f"{label}: "), value, *interval]
        shown.append(element("li", {"class": "strong" if strong else None}, *parts))
    return element(
        "div",
        {"class": "row summary" if summary else "row"},
        element("div", {"class": "row-name"}, name, element("small", {}, below)),
        plot,
        element("ul", {"class": "numbers"}, *shown),
    )


def axis_row(scale: Scale, unit: str, *, signed: bool = False) -> Markup:
    """The axis above the rows of a dot plot."""
    empty = element("div", {"class": "row-name"})
    return element("div", {"class": "row head"}, empty, axis(scale, unit, signed=signed), element("div", {}))


def _row(card: Card, family: Sequence[Subject], scale: Scale, having: Sequence[tuple[int, Subject, Finding]]) -> Markup:
    """One line of a base model's panel: what each method of its family reaches there, and what is claimed."""
    first = having[0][2]
    members = {subject.name for subject in family}
    claimed = [
        judged.claim
        for judged in card.claims
        if judged.finding is not None
        and judged.finding.subject in members
        and (judged.finding.name, judged.finding.slice) == (first.name, first.slice)
    ]
    bounds = [claim.at_least if claim.at_least is not None else claim.at_most for claim in claimed]
    drawn = lanes(
        scale,
        [_lane(each, series, subject.name == card.chosen) for series, subject, each in having],
        [bound for bound in bounds if bound is not None and scale.low <= bound <= scale.high],
    )
    numbers = [
        (short_label(subject, family[0]), show_finding(each), subject.name == card.chosen)
        for _, subject, each in having
    ]
    group = first.slice in card.groups
    label = first.slice if group else SHORT[first.name]
    below = show_count(first.clusters, evidence(first)) + ("" if group or first.slice == "all" else f", {first.slice}")
    return forest_row(label, below, drawn, numbers, summary=not group)


def _extent(finding: Finding) -> tuple[float, ...]:
    ends = () if finding.interval is None else (finding.interval.low, finding.interval.high)
    return (finding.value, *ends, *finding.per_seed)


def _lane(finding: Finding, series: int, highlighted: bool, *, hollow: bool = False) -> Lane:
    low, high = (None, None) if finding.interval is None else (finding.interval.low, finding.interval.high)
    return Lane(finding.value, low, high, finding.per_seed, series, highlighted, hollow)


def _legend(card: Card, family: Sequence[Subject]) -> Markup:
    keys: list[Markup] = []
    for series, subject in enumerate(family):
        chosen = [element("span", {"class": "tag"}, "chosen")] if subject.name == card.chosen else []
        keys.append(element("li", {}, marker(series), element("span", {}, short_label(subject, family[0])), *chosen))
    return element("ul", {"class": "legend"}, *keys)


def _reading(card: Card) -> Markup:
    """How to read the dot plot."""
    intervals = [each.interval for each in card.findings if each.interval is not None]
    seeds = len(card.record.seeds)
    parts = ["Each mark is accuracy on the judge rows"]
    parts.append(f", averaged over {show_count(seeds, 'training seed')}" if seeds > 1 else "")
    if intervals:
        parts.append(f"; the bar is its {show_level(intervals[0].confidence)} interval")
    parts.append("; each thin tick is one seed" if any(each.per_seed for each in card.findings) else "")
    parts.append("; the dashed line is a claimed bound" if card.claims else "")
    return element("p", {"class": "quiet"}, "".join(parts) + ".")


def _label(card: Card, name: str) -> str:
    return next((subject.label for subject in card.subjects if subject.name == name), name)


def _tagged(card: Card, name: str) -> Markup:
    tag = [element("span", {"class": "tag"}, "chosen")] if name == card.chosen else []
    return together([_label(card, name), " ", *tag])


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
    head = element("tr", {}, corner, *columns, element("th", {"scope": "col", "class": "total"}, "count"))
    table = element("table", {"class": "confusion"}, element("thead", {}, head), element("tbody", {}, *body))
    region = {"class": "scroll", "tabindex": 0, "role": "region", "aria-label": f"Confusion of {_label(card, name)}"}
    return element("figure", {}, element("figcaption", {}, _tagged(card, name)), element("div", region, table))


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
    sure = element("span", {"class": "sure"}, f"{show_value(mistake.probability, 'proportion')} sure")
    which = element("p", {"class": "which"}, sure, element("code", {}, mistake.id))
    return element("li", {}, *picture, element("div", {"class": "told"}, *lines), which)
