"""The part of a choice's page that says what speaks against it, and the sentences of it that the terminal says too."""

from surefoot.card.markup import Markup, element, together
from surefoot.card.page import icon
from surefoot.card.words import show_count
from surefoot.study.choice.record import Choice, ChoiceDoubt
from surefoot.study.choice.words import show_about

__all__ = ["SILENCE", "WORDS", "doubts_section", "told_of_doubts"]

SILENCE = (
    "No check spoke against these choices. That is no proof: an approximation that misses most of the posterior passes "
    "every check that there is."
)
WORDS = {"refuse": "Refused", "warn": "Doubted"}
LEAD = (
    "An evidence is an approximation, and answers another question than how well new rows are predicted; so each is "
    "checked, with {found}. A criterion that is refused takes nobody. Losses are counted on rows and have no such "
    "checks: how sure they are is told above. Silence is no proof."
)


def doubts_section(choice: Choice) -> Markup:
    """Refusals first, then those of the criterion that chose; or that silence is no proof."""
    if not choice.doubts:
        return element("p", {"class": "lead"}, SILENCE)
    own = sorted(choice.doubts, key=lambda each: (each.severity != "refuse", choice.choose_by not in each.about))
    items = [_item(each) for each in own]
    lead = element("p", {"class": "lead"}, LEAD.format(found=_counted(choice)))
    return together([lead, element("ul", {"class": "claims"}, *items)])


def told_of_doubts(choice: Choice) -> str:
    """How many there are about the criterion that chose, for the head of a page; "" where there are none."""
    own = sum(choice.choose_by in each.about for each in choice.doubts)
    return f"{show_count(own, 'doubt')} of that criterion {'is' if own == 1 else 'are'} told below." if own else ""


def _counted(choice: Choice) -> str:
    refusals = sum(each.severity == "refuse" for each in choice.doubts)
    warnings = len(choice.doubts) - refusals
    told = [show_count(refusals, "refusal")] if refusals else []
    return " and ".join([*told, *([show_count(warnings, "warning")] if warnings else [])])


def _item(doubt: ChoiceDoubt) -> Markup:
    status = "failed" if doubt.severity == "refuse" else "undecided"
    return element(
        "li",
        {"class": status},
        element("p", {"class": "status"}, icon(status), WORDS[doubt.severity]),
        element("h3", {}, show_about(doubt)),
        element("p", {"class": "why"}, doubt.sentence),
    )
