"""The card's tables: every finding, every paired difference, and how the card was made."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from surefoot.card.card import Card, Subject
from surefoot.card.forest import tagged
from surefoot.card.markup import Child, Markup, element, together
from surefoot.card.panels import short_label
from surefoot.card.reading import WORST, families_in_order, summary, worst_groups
from surefoot.card.sheets import Sheet
from surefoot.card.traces import readable
from surefoot.card.words import (
    evidence,
    finding_title,
    show_bounds,
    show_count,
    show_finding,
    show_level,
    show_number,
    show_seconds,
    show_share,
    show_value,
)
from surefoot.findings.finding import Finding

__all__ = ["differences_section", "findings_section", "making_section", "sheets_section", "table"]


def findings_section(card: Card) -> Markup:
    """Every finding, folded by subject; the chosen model's stand open."""
    folds: list[Markup] = []
    for subject in (each for family in families_in_order(card) for each in family):
        of = [each for each in card.findings if each.subject == subject.name]
        only = len(card.subjects) == 1
        folds.append(
            _fold(
                tagged(card, subject.name),
                _findings(card, subject.label, of),
                opened=only or subject.name == card.chosen,
            )
        )
    known = {subject.name for subject in card.subjects}
    rest = [each for each in card.findings if each.subject not in known]
    if rest:
        folds.append(_fold("Other findings", _findings(card, "others", rest), opened=False))
    return together([*folds, _methods(card)])


def differences_section(card: Card) -> Markup:
    """Every paired difference, folded by pair."""
    named = {subject.name: subject for subject in card.subjects}
    folds: list[Markup] = []
    for pair in dict.fromkeys(each.subject for each in card.differences):
        name = pair
        after, _, before = pair.partition(" − ")
        if after in named and before in named:
            name = f"{short_label(named[after], named[before])} − {named[before].label}"
        of = [each for each in card.differences if each.subject == pair]
        folds.append(_fold(name, _findings(card, name, of, signed=True), opened=False))
    return together(folds)


def making_section(card: Card) -> Markup:
    """Data, roles, seeds, chosen settings, versions, command and times."""
    record = card.record
    uses = "This study is the first to look at this judge set."
    if record.judge_uses != 1:
        uses = f"{show_count(record.judge_uses, 'study').replace('studys', 'studies')} have looked at this judge set."
    if record.judged_before:
        uses += f" {show_share(record.judged_before)} of its rows were judged before."
    if record.judge_uses > 1:
        uses += " Each look makes it a little less untouched: intervals do not account for that."
    chosen = [subject for subject in card.subjects if subject.chosen]
    parts: list[Child] = [
        element("p", {}, record.data),
        _roles(card),
        element("p", {"class": "quiet"}, uses, " Its digest is ", element("code", {}, record.judge_digest[:16]), "."),
    ]
    if chosen:
        parts += [element("h3", {}, "Settings chosen on the choose rows"), _chosen(chosen, record.seeds)]
    noted = [(subject, note) for subject in card.subjects for note in subject.notes]
    if noted:
        notes = dict.fromkeys(note for _, note in noted)
        items: list[Markup] = []
        for note in notes:
            of = [subject.label for subject, said in noted if said == note]
            whom = "All models" if len(of) == len(card.subjects) else "; ".join(of)
            items.append(element("li", {}, element("strong", {}, f"{whom}: "), note))
        parts += [element("h3", {}, "Notes"), element("ul", {"class": "notes"}, *items)]
    if record.seconds:
        parts += [element("h3", {}, "Training of each model"), _training(card)]
    facts: list[tuple[str, Child]] = [
        ("Command", element("code", {}, record.command)),
        ("Made", record.created),
        ("Seeds", ", ".join(str(seed) for seed in record.seeds)),
        ("Versions", ", ".join(f"{name} {version}" for name, version in record.versions.items())),
        (
            "Time",
            "; ".join(f"{stage} {show_seconds(taken)}" for stage, taken in record.times.items()) or "not measured",
        ),
    ]
    pairs = [part for term, value in facts for part in (element("dt", {}, term), element("dd", {}, value))]
    parts += [element("h3", {}, "Run"), element("dl", {"class": "facts"}, *pairs)]
    if record.settings:
        shown = element("pre", {"tabindex": 0}, json.dumps(_plain(record.settings), indent=2, ensure_ascii=False))
        parts.append(_fold("Settings", shown, opened=False))
    return together(parts)


def sheets_section(sheets: Sequence[Sheet]) -> Markup:
    """Every table with its heading."""
    parts: list[Markup] = []
    for each in sheets:
        rows = [[readable(cell) for cell in row] for row in each.rows]
        parts.append(element("h3", {}, each.title))
        if each.lead:
            parts.append(element("p", {"class": "lead"}, each.lead))
        parts.append(table(each.title, each.columns, rows, words=True))
    return together(parts)


def table(label: str, head: Sequence[str], rows: Sequence[Sequence[Child]], *, words: bool = False) -> Markup:
    """A table whose rows' first cells are their headings; on a phone each row is a block, its cells under their names.

    words: the other cells are words, not numbers, and may wrap.
    """
    columns = [element("th", {"scope": "col"}, name) for name in head]
    body = [element("tr", {}, element("th", {"scope": "row"}, row[0]), *map(_cell, head[1:], row[1:])) for row in rows]
    parts = [element("thead", {}, element("tr", {}, *columns)), element("tbody", {}, *body)]
    drawn = element("table", {"class": "stacked words" if words else "stacked"}, *parts)
    return element("div", {"class": "scroll", "tabindex": 0, "role": "region", "aria-label": label}, drawn)


def _cell(column: str, content: Child) -> Markup:
    return element("td", {"data-column": column or None}, content)


def _findings(card: Card, whose: str, findings: Sequence[Finding], *, signed: bool = False) -> Markup:
    seeds = any(each.per_seed for each in findings)
    clusters = _clustered(findings)
    rows: list[list[Child]] = []
    for each in findings:
        where = [] if each.slice == "all" else [each.slice]
        if each.name == WORST and not signed:
            where += worst_groups(card, each.subject)
        row: list[Child] = [
            together([finding_title(each.name), *([element("small", {}, "; ".join(where))] if where else [])]),
            show_value(each.value, each.unit, signed=signed),
            show_bounds(each, signed=signed) or "–",
            f"{each.count:,}",
        ]
        if clusters:
            row.append(f"{each.clusters:,}")
        if seeds:
            row.append(" · ".join(show_number(value, each.unit, signed=signed) for value in each.per_seed) or "–")
        rows.append(row)
    head = ["Measure", "Change" if signed else "Value", "Interval", "Rows"]
    head += (["Clusters"] if clusters else []) + (["By seed"] if seeds else [])
    return table(f"Findings: {whose}", head, rows)


def _clustered(findings: Sequence[Finding]) -> bool:
    """Whether rows hang together behind any of these numbers."""
    return any(evidence(each) == "cluster" for each in findings)


def _methods(card: Card) -> Markup:
    """How the intervals were made, said once for each method."""
    measures: dict[tuple[str, str], dict[str, None]] = {}
    for prefix, findings in (("", card.findings), ("Change of ", card.differences)):
        for each in findings:
            if each.interval is not None:
                title = finding_title(each.name)
                name = f"{prefix}{title[0].lower()}{title[1:]}" if prefix else title
                measures.setdefault((show_level(each.interval.confidence), each.interval.method), {})[name] = None
    if not measures:
        return Markup("")
    rows = [["; ".join(names), level, method] for (level, method), names in measures.items()]
    every = (*card.findings, *card.differences)
    rest = (
        "Rows that hang together count as one cluster: intervals rest on independent clusters"
        if _clustered(every)
        else "Every row stands for itself here: intervals rest on rows"
    )
    seeds = " and on training seeds" if any(each.per_seed for each in every) else ""
    told = element("p", {"class": "quiet"}, f"{rest}{seeds}.")
    drawn = table("Methods of the intervals", ["Measure", "Confidence", "Method"], rows, words=True)
    return _fold("How the intervals were made", together([told, drawn]), opened=False)


def _roles(card: Card) -> Markup:
    if not card.roles:
        return element("p", {"class": "quiet"}, "Roles were not recorded.")
    head = ["", *(role.role for role in card.roles)]
    groups = dict.fromkeys(name for role in card.roles for name in role.groups)
    rows: list[list[str]] = [
        ["Rows", *(f"{role.rows:,}" for role in card.roles)],
        ["Source rows", *(f"{role.clusters:,}" for role in card.roles)],
    ]
    rows += [[name, *(f"{role.groups.get(name, 0):,}" for role in card.roles)] for name in groups]
    return table("Rows by role", head, rows)


def _training(card: Card) -> Markup:
    """Worst group and mean beside what the model cost: seconds of training a seed, all that it rests on included."""
    every = [subject.name for subject in card.subjects]
    names = [name for name in (WORST, "accuracy") if any(summary(card, name, of) for of in every)]
    rows: list[list[str]] = []
    for subject in card.subjects:
        measured = [summary(card, name, subject.name) for name in names]
        seconds = card.record.seconds.get(subject.name)
        taken = "–" if seconds is None else show_seconds(seconds)
        rows.append([subject.label, *("–" if each is None else show_finding(each) for each in measured), taken])
    return table("Training of each model", ["Model", *(finding_title(name) for name in names), "A seed"], rows)


def _chosen(subjects: Sequence[Subject], seeds: Sequence[int]) -> Markup:
    rows: list[list[str]] = []
    most = max(len(subject.chosen) for subject in subjects)
    names = (
        [f"seed {seed}" for seed in seeds] if len(seeds) == most else [f"fit {number + 1}" for number in range(most)]
    )
    for subject in subjects:
        cells = [", ".join(f"{key} {value:g}" for key, value in setting.items()) for setting in subject.chosen]
        rows.append([subject.label, *(cells + ["–"] * (most - len(cells)))])
    return table("Chosen settings", ["Model", *names], rows, words=True)


def _fold(name: Child, content: Markup, *, opened: bool) -> Markup:
    return element("details", {"open": "" if opened else None}, element("summary", {}, name), content)


def _plain(value: Any) -> Any:
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, Mapping) else value
