"""A card as Markdown: a Hugging Face model card, and a short table for a pull request."""

import html
import re
from collections.abc import Sequence
from typing import Any

import yaml

from surefoot.card.card import Card, base_of
from surefoot.card.claims import Status, describe_claim
from surefoot.card.reading import SUMMARIES, summary
from surefoot.card.words import (
    evidence,
    finding_title,
    show_bounds,
    show_finding,
    show_level,
    show_seconds,
    show_subject,
    show_value,
)
from surefoot.findings.finding import Finding

__all__ = ["markdown", "pull_request"]

WORDS: dict[Status, str] = {"passed": "✅ Passed", "failed": "❌ Failed", "undecided": "❔ Undecided"}


def markdown(card: Card) -> str:
    """The card as a Hugging Face model card: YAML front matter with a `model-index`, then text.

    The metrics of the front matter are those of the chosen model, or of the only one.
    """
    parts = [
        f"---\n{yaml.safe_dump(_front_matter(card), sort_keys=False, allow_unicode=True, width=100)}---\n",
        f"# {_text(card.title)}\n",
        f"{_text(card.question)}\n" if card.question else "",
        f"**{WORDS[card.verdict]}.** {_text(card.sentence)}\n",
        "## Claims\n",
        _claims(card),
        *(part for each in card.sheets for part in (f"## {_text(each.title)}\n", _table(each.columns, each.rows))),
        "## Before and after\n",
        _summary(card),
    ]
    if card.differences:
        parts += ["## What each repair changed\n", "After − before, paired on the same judge rows.\n", _changes(card)]
    parts += ["## Every finding\n", *(_findings(card, subject.name, subject.label) for subject in card.subjects)]
    parts += ["## How it was made\n", _making(card)]
    limits = "\n".join(f"- {_text(line)}" for line in card.not_shown)
    parts += ["## What this card does not show\n", f"{limits or 'Nothing was noted.'}\n"]
    return "\n".join(part for part in parts if part)


def pull_request(card: Card) -> str:
    """A comment for a pull request: verdict, claims, and the summary numbers of every model."""
    parts = [
        f"### {WORDS[card.verdict]}: {_text(card.title)}\n",
        f"{_text(card.sentence)}\n",
        _claims(card) if card.claims else "",
        _summary(card),
    ]
    return "\n".join(part for part in parts if part)


def _front_matter(card: Card) -> dict[str, Any]:
    name = card.chosen or (card.subjects[0].name if len(card.subjects) == 1 else None)
    pictures = any(mistake.image for mistakes in card.gallery.values() for mistake in mistakes)
    metrics = [
        {"type": each.name, "name": _metric_name(each), "value": round(each.value, 6), "verified": False}
        for each in card.findings
        if each.subject == name
    ]
    task = {"type": "image-classification" if pictures else "other", "name": "Classification"}
    dataset = {"type": "judge", "name": card.record.data or "judge rows", "split": "judge"}
    front: dict[str, Any] = {"library_name": "surefoot", "tags": ["surefoot", f"verdict-{card.verdict}"]}
    if metrics:
        front["model-index"] = [
            {"name": card.title, "results": [{"task": task, "dataset": dataset, "metrics": metrics}]}
        ]
    return front


def _metric_name(finding: Finding) -> str:
    where = "" if finding.slice == "all" else f" on {finding.slice}"
    interval = finding.interval
    bounds = "" if interval is None else f", {show_level(interval.confidence)} interval {show_bounds(finding)}"
    return f"{finding_title(finding.name)}{where}{bounds}"


def _claims(card: Card) -> str:
    if not card.claims:
        return "No claim was made.\n"
    labels = {subject.name: subject.label for subject in card.subjects}
    rows: list[list[str]] = []
    for judged in card.claims:
        subject = judged.claim.subject if judged.finding is None else judged.finding.subject
        unit = "" if judged.finding is None else judged.finding.unit
        measured = "–" if judged.finding is None else show_finding(judged.finding)
        needed = "–"
        if judged.needed is not None and judged.finding is not None:
            needed = f"about {judged.needed:,} {evidence(judged.finding)}s"
        claimed = describe_claim(judged.claim, unit, show_subject(subject, labels))
        rows.append([WORDS[judged.status], claimed, measured, needed])
    return _table(["Verdict", "Claim", "Measured", "What would decide"], rows)


def _summary(card: Card) -> str:
    every = [subject.name for subject in card.subjects]
    names = [name for name in SUMMARIES if any(summary(card, name, of) for of in every)]
    rows: list[list[str]] = []
    for subject in card.subjects:
        measured = [summary(card, name, subject.name) for name in names]
        label = subject.label + (" (chosen)" if subject.name == card.chosen else "")
        rows.append([label, *("–" if each is None else show_finding(each) for each in measured)])
        if (seconds := card.record.seconds.get(subject.name)) is not None:
            rows[-1].append(show_seconds(seconds))
    head = ["Model", *(finding_title(name) for name in names)]
    if any(len(row) > len(head) for row in rows):
        head.append("Training")
        rows = [row + ["–"] * (len(head) - len(row)) for row in rows]
    return _table(head, rows)


def _changes(card: Card) -> str:
    labels = {subject.name: subject.label for subject in card.subjects}
    rows: list[list[str]] = []
    for each in card.differences:
        if each.name in SUMMARIES and each.slice not in card.groups:
            rows.append([show_subject(each.subject, labels), finding_title(each.name), show_finding(each)])
    return _table(["Models", "Measure", "Change"], rows)


def _findings(card: Card, name: str, label: str) -> str:
    root = base_of(card.subjects, name)
    origin = "" if root == name else f" (repairs {root})"
    rows = [
        [
            finding_title(each.name),
            each.slice,
            show_value(each.value, each.unit),
            show_bounds(each) or "–",
            f"{each.count:,}",
            f"{each.clusters:,}",
        ]
        for each in card.findings
        if each.subject == name
    ]
    head = ["Measure", "Rows of", "Value", "Interval", "Rows", "Clusters"]
    return f"### {_text(label)}{_text(origin)}\n\n{_table(head, rows)}"


def _making(card: Card) -> str:
    record = card.record
    groups = list(dict.fromkeys(name for role in card.roles for name in role.groups))
    rows = [
        [role.role, f"{role.rows:,}", f"{role.clusters:,}", *(f"{role.groups.get(name, 0):,}" for name in groups)]
        for role in card.roles
    ]
    lines = [
        f"- Data: {_text(record.data)}",
        f"- Judge set: `{record.judge_digest[:16]}`, studies that have looked at it: {record.judge_uses}",
        *([f"- Seeds: {', '.join(str(seed) for seed in record.seeds)}"] if record.seeds else []),
        f"- Versions: {_text(', '.join(f'{name} {version}' for name, version in record.versions.items()))}",
        f"- Command: `{record.command.replace('`', chr(39))}`",
        f"- Time: {'; '.join(f'{_text(stage)} {show_seconds(taken)}' for stage, taken in record.times.items())}",
        f"- Made: {record.created}",
    ]
    table = _table(["Role", "Rows", "Source rows", *groups], rows) if rows else ""
    return f"{table}\n" * bool(table) + "\n".join(lines) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [[_text(cell) for cell in line] for line in [head, *rows]]
    ruled = [lines[0], ["---"] * len(head), *lines[1:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in ruled) + "\n"


def _text(text: str) -> str:
    """Text that Markdown and HTML leave alone, on one line."""
    escaped = html.escape(re.sub(r"\s+", " ", text), quote=False)
    # A bracket is only special where a link could follow, so intervals stay readable in the source.
    return re.sub(r"([\\`*_|#~]|^\[|\](?=[\[(]))", r"\\\1", escaped)
