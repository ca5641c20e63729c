"""The card as one self-contained page: no script, no font and no image from outside.

The verdict comes first, then the claims, then the pictures, then every number, then how it was made and what
it does not show. The page's policy forbids everything but its own style and embedded images.
"""

from pathlib import Path

from surefoot.card.card import Card
from surefoot.card.claims import Judged, Status, describe_claim
from surefoot.card.decodability import decodability_panel, has_decodability
from surefoot.card.markup import Child, Markup, element, together
from surefoot.card.panels import calibration_panel, changes_panel, confusion_panel, gallery_panel, groups_panel
from surefoot.card.plots import Lane, Scale, claim_plot, symbols
from surefoot.card.serialise import card_digest
from surefoot.card.tables import differences_section, findings_section, making_section
from surefoot.card.words import is_difference, show_apart, show_count, show_finding, show_subject

__all__ = ["WORDS", "document", "icon", "page"]

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
WORDS: dict[Status, str] = {"passed": "Passed", "failed": "Failed", "undecided": "Undecided"}
NAVIGATION = {
    "claims": "Claims", "held": "Features", "groups": "Accuracy", "changes": "Changes", "calibration": "Calibration",
    "confusion": "Confusion", "errors": "Worst errors", "findings": "Findings", "differences": "Differences",
    "making": "How it was made", "limits": "What it does not show",
}  # fmt: skip
# A tick, a cross, and a half-filled ring: told apart without colour.
ICONS: dict[Status, str] = {
    "passed": "M5 12.5l4.5 4.5L19 7.5",
    "failed": "M6.5 6.5l11 11M17.5 6.5l-11 11",
    "undecided": "M12 4a8 8 0 1 0 .001 0Z",
}


def page(card: Card) -> str:
    """The card as an HTML page."""
    sections = [
        ("claims", "Claims", _claims(card)),
        ("groups", "Accuracy by group" if card.groups else "Accuracy", _groups(card)),
    ]
    if has_decodability(card):
        sections.insert(1, ("held", "What the features hold", decodability_panel(card)))
    if any(subject.before is not None for subject in card.subjects):
        sections.append(("changes", "What each repair changed", changes_panel(card)))
    if card.reliability:
        lead = (
            "On the diagonal, a confidence of 80% comes true 80% of the time. Below it the model is surer than it "
            "should be. A dot’s area is its share of the predictions."
        )
        sections.append(("calibration", "Calibration", together([_lead(lead), calibration_panel(card)])))
    if card.confusion:
        lead = "Of each true class, the share predicted as each class, over all seeds."
        sections.append(("confusion", "Confusion", together([_lead(lead), confusion_panel(card)])))
    if card.gallery:
        lead = "Judge rows that the model was surest about and got wrong; confidence is averaged over seeds."
        sections.append(("errors", "Worst errors", together([_lead(lead), gallery_panel(card)])))
    sections.append(("findings", "Every finding", findings_section(card)))
    if card.differences:
        sections.append(("differences", "Every paired difference", differences_section(card)))
    sections.append(("making", "How it was made", making_section(card)))
    items = [element("li", {}, line) for line in card.not_shown]
    limits = element("ul", {"class": "limits"}, *items) if items else _lead("Nothing was noted.")
    sections.append(("limits", "What this card does not show", limits))
    links = [element("a", {"href": f"#{key}"}, NAVIGATION[key]) for key, _, _ in sections]
    body = [
        symbols(),
        _header(card),
        element("nav", {"aria-label": "Sections"}, *links),
        element("main", {}, *(_section(key, name, content) for key, name, content in sections)),
        element(
            "footer",
            {},
            element(
                "p", {}, "Card ", element("code", {}, card_digest(card)[:16]), f" · surefoot · {card.record.created}"
            ),
        ),
    ]
    return document(f"{WORDS[card.verdict]} · {card.title}", body)


def document(title: str, body: list[Markup]) -> str:
    """A whole page around `body`, with the card's style and policy."""
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    head = element(
        "head",
        {},
        element("meta", {"charset": "utf-8"}),
        element("meta", {"http-equiv": "Content-Security-Policy", "content": POLICY}),
        element("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        element("meta", {"name": "color-scheme", "content": "light dark"}),
        element("title", {}, title),
        Markup(f"<style>{style}</style>"),
    )
    whole = element("html", {"lang": "en"}, head, element("body", {}, *body))
    return f"<!doctype html>\n{whole.text}\n"


def icon(status: Status) -> Markup:
    """The mark of a verdict."""
    paths = [element("path", {"d": ICONS[status]})]
    if status == "undecided":
        paths.append(element("path", {"d": "M12 4a8 8 0 0 0 0 16Z", "fill": "currentColor"}))
    return element("svg", {"viewBox": "0 0 24 24", "class": "icon", "aria-hidden": "true"}, *paths)


def _header(card: Card) -> Markup:
    label = next((subject.label for subject in card.subjects if subject.name == card.chosen), None)
    judge = next((role for role in card.roles if role.role == "judge"), None)
    facts: list[str] = []
    if label is not None:
        facts.append(f"Chosen: {label}")
    if judge is not None:
        facts.append(show_count(judge.rows, "judge row"))
        if judge.clusters != judge.rows:
            facts.append(f"made from {show_count(judge.clusters, 'source row')}")
    if card.record.seeds:
        facts.append(show_count(len(card.record.seeds), "training seed"))
    if card.record.judge_uses > 1:
        facts.append(f"judge set used by {card.record.judge_uses} studies")
    question = [element("p", {"class": "question"}, card.question)] if card.question else []
    return element(
        "header",
        {},
        element("p", {"class": "eyebrow"}, "surefoot card"),
        element("h1", {}, card.title),
        *question,
        element(
            "div",
            {"class": f"verdict {card.verdict}", "role": "status"},
            element("p", {"class": "word"}, icon(card.verdict), WORDS[card.verdict]),
            element("p", {"class": "sentence"}, card.sentence),
            element("ul", {"class": "strip"}, *(element("li", {}, fact) for fact in facts)),
        ),
    )


def _claims(card: Card) -> Markup:
    if not card.claims:
        return _lead(
            "No claim was made. Write down what must hold – for example that worst-group accuracy is at least 80% – "
            "and this card can pass or fail."
        )
    return element("ol", {"class": "claims"}, *(_claim(card, judged) for judged in card.claims))


def _claim(card: Card, judged: Judged) -> Markup:
    finding = judged.finding
    labels = {subject.name: subject.label for subject in card.subjects}
    subject = judged.claim.subject if finding is None else finding.subject
    claimed = describe_claim(judged.claim, "" if finding is None else finding.unit)
    parts: list[Child] = [
        element("p", {"class": f"status {judged.status}"}, icon(judged.status), WORDS[judged.status]),
        element("h3", {}, claimed),
        element("p", {"class": "whom"}, show_subject(subject, labels)),
    ]
    if finding is not None:
        parts.append(element("p", {"class": "value"}, show_finding(finding)))
    bound = judged.claim.at_least if judged.claim.at_least is not None else judged.claim.at_most
    if finding is not None and finding.interval is not None and bound is not None:
        interval = finding.interval
        ends = [interval.low, interval.high, finding.value, bound, *finding.per_seed]
        room = 0.05 * (max(ends) - min(ends))
        scale = Scale(min(ends) - room, max(ends) + room, ())
        lane = Lane(finding.value, interval.low, interval.high, finding.per_seed, 1)
        name = show_apart(finding.value, bound, finding.unit, signed=is_difference(finding))[1]
        parts.append(element("div", {"class": "mini"}, claim_plot(scale, lane, bound, name)))
    reason = judged.reason or judged.sentence
    parts.append(element("p", {"class": "why"}, reason[:1].upper() + reason[1:]))
    return element("li", {"class": judged.status}, *parts)


def _groups(card: Card) -> Markup:
    repaired = any(subject.before is not None for subject in card.subjects)
    lead = f"Where the model is right{', before and after each repair' if repaired else ''}."
    if not card.groups:
        lead = "No groups were given, so this card cannot say where the model fails; only the whole is measured."
    return together([_lead(lead), groups_panel(card)])


def _lead(text: str) -> Markup:
    return element("p", {"class": "lead"}, text)


def _section(key: str, name: str, content: Markup) -> Markup:
    heading = element("h2", {"id": f"{key}-heading"}, name)
    return element("section", {"id": key, "aria-labelledby": f"{key}-heading"}, heading, content)
