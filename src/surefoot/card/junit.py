"""A card as JUnit XML, which every continuous-integration service reads: each claim is a test case.

An undecided claim is an `<error>`: JUnit has no "undecided", services draw `<skipped>` like a pass, and an
undecided claim must never look green. A card without claims is one such error, and so is one whose claims all pass
without being about the chosen model, or that something else keeps from passing (a shut gate, a missing part).
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence

from surefoot.card.card import Card
from surefoot.card.claims import Status, describe_claim, verdict_of
from surefoot.card.trail import Entry
from surefoot.card.words import show_subject

__all__ = ["junit"]


def junit(card: Card, waivers: Sequence[Entry] = ()) -> str:
    """The card's claims as a JUnit test suite; failed → failure, undecided → error.

    waivers: heeded ones: their claims are no failures, and say who waived them. What keeps a card from passing beside
    its claims is a test case of its own.
    """
    labels = {subject.name: subject.label for subject in card.subjects}
    taken = {each.claim: f"waived by {each.by} until {each.until}" for each in waivers}
    left = [judged for number, judged in enumerate(card.claims, 1) if number not in taken]
    statuses = [judged.status for judged in left]
    by_claims = verdict_of(left, card.chosen)
    whole = (
        "failed" if "failed" in (card.verdict, by_claims) else by_claims if card.verdict == "passed" else "undecided"
    )
    beside = whole != "passed" and whole not in statuses
    failed = statuses.count("failed") + (beside and whole == "failed")
    undecided = statuses.count("undecided") + (beside and whole == "undecided")
    tests = len(card.claims) + beside
    counts = {"tests": str(tests), "failures": str(failed), "errors": str(undecided), "skipped": "0"}
    root = ElementTree.Element("testsuites", {"name": "surefoot", **counts})
    suite = ElementTree.SubElement(root, "testsuite", {"name": _printable(card.title), **counts})
    for number, judged in enumerate(card.claims, 1):
        subject = judged.finding.subject if judged.finding else judged.claim.subject
        unit = judged.finding.unit if judged.finding else ""
        name = describe_claim(judged.claim, unit, show_subject(subject, labels))
        case = ElementTree.SubElement(
            suite, "testcase", {"name": _printable(name), "classname": _printable(f"surefoot.{subject}"), "time": "0"}
        )
        if number in taken:
            told = f"Claim {number} was {taken[number]}. {judged.sentence}"
            case.set("name", _printable(f"{name} ({taken[number]})"))
            ElementTree.SubElement(case, "system-out").text = _printable(told)
        elif judged.status == "passed":
            ElementTree.SubElement(case, "system-out").text = _printable(judged.sentence)
        else:
            kind = "failure" if judged.status == "failed" else "error"
            told = {"type": judged.status, "message": _printable(judged.sentence)}
            ElementTree.SubElement(case, kind, told).text = _printable(judged.sentence)
    if beside:
        kind = "failure" if whole == "failed" else "error"
        case = ElementTree.SubElement(
            suite, "testcase", {"name": _missing(card, by_claims), "classname": "surefoot", "time": "0"}
        )
        ElementTree.SubElement(case, kind, {"type": whole, "message": _printable(card.sentence)})
    if taken:
        ElementTree.SubElement(suite, "system-out").text = _printable(card.sentence)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _missing(card: Card, by_claims: Status) -> str:
    """What the card lacks, as the name of a test case."""
    if not card.claims:
        return "A claim is made"
    return "The card passes beside its claims" if by_claims != "undecided" else "A claim is made of the chosen model"


def _printable(text: str) -> str:
    """Without the characters that XML 1.0 cannot hold (controls, halves of pairs); each becomes the replacement."""
    return "".join(letter if letter in "\t\n\r" or _held(letter) else "\ufffd" for letter in text)


def _held(letter: str) -> bool:
    return " " <= letter <= "\ud7ff" or "\ue000" <= letter <= "\ufffd" or letter >= "\U00010000"
