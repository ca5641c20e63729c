"""Two cards side by side: which verdicts, claims and findings changed.

Two cards are not paired, so a change counts as apart only where the two intervals do not meet; that is a
stricter test than a paired difference on one card.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from surefoot.card.card import Card
from surefoot.card.claims import Claim, Status, describe_claim
from surefoot.card.markup import Child, Markup, element
from surefoot.card.page import WORDS, document, icon
from surefoot.card.serialise import card_digest
from surefoot.card.tables import table
from surefoot.card.words import finding_title, show_count, show_finding, show_subject
from surefoot.findings.finding import Finding

__all__ = ["CardDiff", "Change", "ClaimChange", "diff_cards", "diff_page", "diff_text"]

OTHER_ROWS = "The cards judged different rows: a difference may be the models' or the rows'."


@dataclass(frozen=True)
class Change:
    """One finding on both cards; None where a card lacks it. apart: both have intervals, and they do not meet."""

    name: str
    subject: str
    slice: str
    before: Finding | None
    after: Finding | None
    apart: bool


@dataclass(frozen=True)
class ClaimChange:
    """One claim on both cards; None where a card does not make it."""

    claim: Claim
    unit: str
    before: Status | None
    after: Status | None


@dataclass(frozen=True)
class CardDiff:
    """What changed from one card to another.

    same: their digests agree. same_rows: both judged the same rows. findings: only those that changed.
    labels: what either card calls its subjects.
    """

    titles: tuple[str, str]
    verdicts: tuple[Status, Status]
    same: bool
    same_rows: bool
    claims: tuple[ClaimChange, ...]
    findings: tuple[Change, ...]
    unchanged: int
    labels: Mapping[str, str]


def diff_cards(before: Card, after: Card) -> CardDiff:
    """Compare two cards finding by finding; value, interval, count and every seed must agree to be unchanged."""
    ours = {_key(each): each for each in (*before.findings, *before.differences)}
    theirs = {_key(each): each for each in (*after.findings, *after.differences)}
    keys = dict.fromkeys([*ours, *theirs])
    changed = [
        Change(*key, before=ours.get(key), after=theirs.get(key), apart=_apart(ours.get(key), theirs.get(key)))
        for key in keys
        if ours.get(key) != theirs.get(key)
    ]
    first = {each.claim: each for each in before.claims}
    second = {each.claim: each for each in after.claims}
    claims: list[ClaimChange] = []
    for claim in dict.fromkeys([*first, *second]):
        old, new = first.get(claim), second.get(claim)
        finding = next((each.finding for each in (new, old) if each is not None and each.finding is not None), None)
        unit = "" if finding is None else finding.unit
        claims.append(ClaimChange(claim, unit, old and old.status, new and new.status))
    return CardDiff(
        titles=(before.title, after.title),
        verdicts=(before.verdict, after.verdict),
        same=card_digest(before) == card_digest(after),
        same_rows=before.record.judge_digest == after.record.judge_digest,
        claims=tuple(claims),
        findings=tuple(changed),
        unchanged=len(keys) - len(changed),
        labels={each.name: each.label for each in (*before.subjects, *after.subjects)},
    )


def diff_text(diff: CardDiff) -> str:
    """The changes as aligned plain text, for a terminal."""
    if diff.same:
        return f"The cards are the same: {WORDS[diff.verdicts[0]].lower()}, {diff.unchanged:,} findings.\n"
    head = f"Verdict: {WORDS[diff.verdicts[0]].lower()} → {WORDS[diff.verdicts[1]].lower()}"
    claims = _claims(diff)
    findings = [[_where(diff, each), *_numbers(each), "apart" if each.apart else ""] for each in diff.findings]
    parts = [head, "" if diff.same_rows else f"{OTHER_ROWS}\n"]
    if claims:
        parts += [*_aligned([["Claim", "before", "after"], *claims]), ""]
    if findings:
        parts += [*_aligned([["Finding", "before", "after", ""], *findings]), ""]
    parts.append(f"{show_count(len(diff.findings), 'finding')} changed, {diff.unchanged:,} did not.")
    return "\n".join(parts) + "\n"


def diff_page(diff: CardDiff) -> str:
    """The changes as one self-contained page in the card's style."""
    parts: list[Child] = []
    for title, verdict in zip(diff.titles, diff.verdicts, strict=True):
        word = element("p", {"class": "word"}, icon(verdict), WORDS[verdict])
        parts.append(element("div", {"class": f"verdict {verdict}"}, word, element("p", {"class": "sentence"}, title)))
    claims = _claims(diff)
    findings = [
        [_where(diff, each), *_numbers(each), "intervals do not meet" if each.apart else ""] for each in diff.findings
    ]
    told = f"{show_count(len(diff.findings), 'finding')} changed, {diff.unchanged:,} did not."
    if diff.same:
        told = "The two cards are the same but for when and how often they were made."
    elif not diff.same_rows:
        told += f" {OTHER_ROWS}"
    return document(
        f"{diff.titles[0]} → {diff.titles[1]}",
        [
            element(
                "header",
                {},
                element("p", {"class": "eyebrow"}, "surefoot diff"),
                element("h1", {}, "Before and after"),
                element("div", {"class": "pair"}, *parts),
            ),
            element("main", {}, _section("Claims", claims, ""), _section("Findings", findings, told)),
        ],
    )


def _section(name: str, rows: Sequence[Sequence[str]], told: str) -> Markup:
    content = table(name, [name, "Before", "After", *([""] if rows and len(rows[0]) > 3 else [])], rows, words=True)
    lead = [element("p", {"class": "lead"}, told or "None.")] if told or not rows else []
    return element("section", {}, element("h2", {}, name), *lead, *([content] if rows else []))


def _key(finding: Finding) -> tuple[str, str, str]:
    return finding.name, finding.subject, finding.slice


def _apart(before: Finding | None, after: Finding | None) -> bool:
    if before is None or after is None or before.interval is None or after.interval is None:
        return False
    return before.interval.high < after.interval.low or after.interval.high < before.interval.low


def _claims(diff: CardDiff) -> list[list[str]]:
    return [
        [
            describe_claim(each.claim, each.unit, show_subject(each.claim.subject, diff.labels)),
            *_statuses(each),
        ]
        for each in diff.claims
    ]


def _where(diff: CardDiff, change: Change) -> str:
    part = "" if change.slice == "all" else f" on “{change.slice}”"
    return f"{finding_title(change.name)} of {show_subject(change.subject, diff.labels)}{part}"


def _numbers(change: Change) -> list[str]:
    return ["–" if each is None else show_finding(each) for each in (change.before, change.after)]


def _statuses(change: ClaimChange) -> list[str]:
    return ["not made" if status is None else WORDS[status].lower() for status in (change.before, change.after)]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
