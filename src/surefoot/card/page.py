"""The card as one self-contained page: no script, no font and no image from outside.

The verdict comes first, and with it the picture and the four answers of the first screen; then the claims, the
pictures, what the card does not show, every number and how it was made. The page's policy forbids everything but its
own style and embedded images.
"""

from collections.abc import Sized
from pathlib import Path

from surefoot.card.card import Card
from surefoot.card.claims import Judged, Status, describe_claim
from surefoot.card.curves import curves_panel
from surefoot.card.decodability import decodability_panel, has_decodability
from surefoot.card.forest import bounds_on, extent, lane_of, models_panel, reading_of
from surefoot.card.gallery import MOST
from surefoot.card.markup import Child, Markup, element, together
from surefoot.card.overview import overview
from surefoot.card.panels import calibration_panel, changes_panel, confusion_panel, gallery_panel, groups_panel
from surefoot.card.plots import Scale, claim_plot, symbols
from surefoot.card.reading import MEANS, WORST, families_in_order, headline, series_of, summary, told_first
from surefoot.card.serialise import card_digest
from surefoot.card.tables import differences_section, findings_section, making_section, sheets_section
from surefoot.card.traces import traces_panel
from surefoot.card.tradeoff import has_costs, tradeoff_panel
from surefoot.card.words import is_difference, show_apart, show_finding, show_subject

__all__ = ["WORDS", "document", "icon", "page"]

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
WORDS: dict[Status, str] = {"passed": "Passed", "failed": "Failed", "undecided": "Undecided"}
NAVIGATION = {
    "claims": "Claims", "sheets": "At a glance", "curves": "Curves", "held": "Features", "cost": "Cost",
    "worst": "Worst groups",
    "groups": "Accuracy", "changes": "Changes",
    "calibration": "Calibration", "confusion": "Confusion", "errors": "Worst errors", "traces": "Traces",
    "limits": "What it does not show",
    "findings": "Findings", "differences": "Differences", "making": "How it was made",
}  # fmt: skip
# A tick, a cross, and a half-filled ring: told apart without colour.
ICONS: dict[Status, str] = {
    "passed": "M5 12.5l4.5 4.5L19 7.5",
    "failed": "M6.5 6.5l11 11M17.5 6.5l-11 11",
    "undecided": "M12 4a8 8 0 1 0 .001 0Z",
}


def page(card: Card) -> str:
    """The card as an HTML page."""
    sections = [("claims", "Claims", _claims(card))]
    if card.sheets:
        sections.append(("sheets", "At a glance", sheets_section(card.sheets)))
    if card.curves:
        sections.append(("curves", "Curves", curves_panel(card.curves)))
    if has_decodability(card):
        sections.append(("held", "What the features hold", decodability_panel(card)))
    if has_costs(card):
        sections.append(("cost", "What a pass costs", tradeoff_panel(card)))
    further = len(told_first(card)) < len(card.subjects)
    if further and headline(card, card.subjects) == WORST:
        sections.append(("worst", "The worst group of every model", _worst(card)))
    measured = any(summary(card, name, each.name) for each in card.subjects for name in MEANS)
    if card.groups or (further and measured):  # else the first screen has drawn it all
        sections.append(("groups", "Accuracy by group" if card.groups else "Accuracy", _groups(card)))
    if any(subject.before is not None for subject in card.subjects):
        sections.append(("changes", "What each repair changed", changes_panel(card)))
    if card.reliability:
        lead = (
            "On the diagonal, a confidence of 80% comes true 80% of the time. Below it the model is surer than it "
            "should be. A dot’s area is its share of the predictions."
        )
        drawn = _drawn(card, card.reliability)
        sections.append(("calibration", "Calibration", together([_lead(lead + drawn), calibration_panel(card)])))
    if card.confusion:
        seeds = ", over all seeds" if len(card.record.seeds) > 1 else ""
        lead = f"Of each true class, the share predicted as each class{seeds}.{_drawn(card, card.confusion)}"
        sections.append(("confusion", "Confusion", together([_lead(lead), confusion_panel(card)])))
    if card.gallery:
        lead = (
            f"Judge rows that the model was surest about and got wrong, at most {MOST} a model; confidence is averaged "
            f"over seeds.{_drawn(card, card.gallery)}"
        )
        sections.append(("errors", "Worst errors", together([_lead(lead), gallery_panel(card)])))
    if card.traces:
        labels = {subject.name: subject.label for subject in card.subjects}
        sections.append(("traces", "Traces to read", traces_panel(card.traces, labels)))
    items = [element("li", {}, line) for line in card.not_shown]
    limits = element("ul", {"class": "limits"}, *items) if items else _lead("Nothing was noted.")
    sections.append(("limits", "What this card does not show", limits))
    sections.append(("findings", "Every finding", findings_section(card)))
    if card.differences:
        sections.append(("differences", "Every paired difference", differences_section(card)))
    sections.append(("making", "How it was made", making_section(card)))
    links = [element("a", {"href": f"#{key}"}, NAVIGATION[key]) for key, _, _ in sections]
    body = [
        symbols(),
        _header(card),
        overview(card),
        element("nav", {"aria-label": "Sections"}, *links, element("a", {"href": "card.json"}, "Data (JSON)")),
        element("main", {}, *(_section(key, name, content) for key, name, content in sections)),
        _footer(card),
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
    question = [element("p", {"class": "question"}, card.question)] if card.question else []
    said = element("span", {"class": "unseen"}, "Verdict: ")
    return element(
        "header",
        {},
        element("p", {"class": "eyebrow"}, "surefoot card"),
        element("h1", {}, card.title),
        *question,
        element(
            "div",
            {"class": f"verdict {card.verdict}"},
            element("h2", {"class": "word"}, icon(card.verdict), said, WORDS[card.verdict]),
            element("p", {"class": "sentence"}, card.sentence),
        ),
    )


def _footer(card: Card) -> Markup:
    digest = element("code", {}, card_digest(card)[:16])
    beside = element("a", {"href": "card.json"}, "card.json")
    made = element("p", {}, "Card ", digest, f" · surefoot · {card.record.created}")
    return element(
        "footer", {}, made, element("p", {}, "Everything on this page, for programs: ", beside, " beside it.")
    )


def _claims(card: Card) -> Markup:
    if not card.claims:
        return _lead(
            "No claim was made. Write down what must hold – for example that worst-group accuracy is at least 80% – "
            "and this card can pass or fail."
        )
    claims = (_claim(card, judged, f"claim-{number}") for number, judged in enumerate(card.claims, 1))
    return element("ol", {"class": "claims"}, *claims)


def _claim(card: Card, judged: Judged, key: str) -> Markup:
    finding = judged.finding
    labels = {subject.name: subject.label for subject in card.subjects}
    subject = judged.claim.subject if finding is None else finding.subject
    claimed = describe_claim(judged.claim, "" if finding is None else finding.unit)
    parts: list[Child] = [
        element("p", {"class": f"status {judged.status}"}, icon(judged.status), WORDS[judged.status]),
        element("h3", {}, claimed),
        element("p", {"class": "whom"}, show_subject(subject, labels)),
    ]
    bound = judged.claim.at_least if judged.claim.at_least is not None else judged.claim.at_most
    if finding is not None and bound is not None:
        value, name = show_apart(finding.value, bound, finding.unit, signed=is_difference(finding.subject))
        parts.append(element("p", {"class": "value"}, show_finding(finding, value=value)))
        if finding.interval is not None:
            ends = [*extent(finding), bound]
            room = 0.05 * (max(ends) - min(ends))
            scale = Scale(min(ends) - room, max(ends) + room, ())
            plot = claim_plot(scale, lane_of(finding, series_of(card, finding.subject)), bound, name)
            parts.append(element("div", {"class": "mini"}, plot))
    if judged.sentence != card.sentence:  # a claim alone has said it all in the verdict
        reason = judged.reason or judged.sentence
        parts.append(element("p", {"class": "why"}, reason[:1].upper() + reason[1:]))
    return element("li", {"class": judged.status, "id": key}, *parts)


def _worst(card: Card) -> Markup:
    lead = "Each model in its own worst group, which need not be another’s."
    found = [each for subject in card.subjects if (each := summary(card, WORST, subject.name))]
    names = {subject.name for subject in card.subjects}
    claimed = any(bounds_on(card, each, names) for each in found)
    return together([_lead(lead), models_panel(card, card.subjects), reading_of(found, claimed=claimed)])


def _groups(card: Card) -> Markup:
    repaired = any(subject.before is not None for subject in card.subjects)
    after = ", before and after each repair" if repaired else ""
    base = families_in_order(card)[0][0].label
    lead = f"Where the model is right{after}. Groups stand in the order of {base}, its weakest first."
    if headline(card, card.subjects) == WORST:
        lead += " A worst group’s interval allows for its being the smallest of several; a group’s own, here, does not."
    if not card.groups:
        lead = "No groups were given, so this card cannot say where the model fails; only the whole is measured."
    return together([_lead(lead), groups_panel(card)])


def _lead(text: str) -> Markup:
    return element("p", {"class": "lead"}, text)


def _drawn(card: Card, drawn: Sized) -> str:
    """Which part of the models is drawn, where it is not all of them."""
    every = len(card.subjects)
    return "" if len(drawn) == every else f" Drawn for {len(drawn)} of {every} models."


def _section(key: str, name: str, content: Markup) -> Markup:
    heading = element("h2", {"id": f"{key}-heading"}, element("a", {"href": f"#{key}"}, name))
    return element("section", {"id": key, "aria-labelledby": f"{key}-heading"}, heading, content)
