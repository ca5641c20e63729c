"""A card as JUnit XML, which every continuous-integration service reads: each claim is a test case.

An undecided claim is an `<error>`: JUnit has no "undecided", services draw `<skipped>` like a pass, and an
undecided claim must never look green. A card without claims is one such error, and so is one whose claims all pass
without being about the chosen model.
"""

import xml.etree.ElementTree as ElementTree

from surefoot.card.card import Card
from surefoot.card.claims import describe_claim, verdict_of
from surefoot.card.words import show_subject

__all__ = ["junit"]


def junit(card: Card) -> str:
    """The card's claims as a JUnit test suite; failed → failure, undecided → error."""
    labels = {subject.name: subject.label for subject in card.subjects}
    statuses = [judged.status for judged in card.claims]
    beside = verdict_of(card.claims, card.chosen) == "undecided" and "undecided" not in statuses
    failed = statuses.count("failed")
    undecided = statuses.count("undecided") + beside
    tests = len(statuses) + beside
    counts = {"tests": str(tests), "failures": str(failed), "errors": str(undecided), "skipped": "0"}
    root = ElementTree.Element("testsuites", {"name": "surefoot", **counts})
    suite = ElementTree.SubElement(root, "testsuite", {"name": _printable(card.title), **counts})
    for judged in card.claims:
        subject = judged.finding.subject if judged.finding else judged.claim.subject
        unit = judged.finding.unit if judged.finding else ""
        name = describe_claim(judged.claim, unit, show_subject(subject, labels))
        case = ElementTree.SubElement(
            suite, "testcase", {"name": _printable(name), "classname": _printable(f"surefoot.{subject}"), "time": "0"}
        )
        if judged.status == "passed":
            ElementTree.SubElement(case, "system-out").text = _printable(judged.sentence)
        else:
            kind = "failure" if judged.status == "failed" else "error"
            told = {"type": judged.status, "message": _printable(judged.sentence)}
            ElementTree.SubElement(case, kind, told).text = _printable(judged.sentence)
    if beside:
        name = "A claim is made of the chosen model" if card.claims else "A claim is made"
        case = ElementTree.SubElement(suite, "testcase", {"name": name, "classname": "surefoot", "time": "0"})
        ElementTree.SubElement(case, "error", {"type": "undecided", "message": _printable(card.sentence)})
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _printable(text: str) -> str:
    """Without the control characters that XML 1.0 cannot hold; each becomes the replacement character."""
    return "".join(letter if letter in "\t\n\r" or letter >= " " else "\ufffd" for letter in text)
