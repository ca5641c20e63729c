"""A card at a prompt and in a notebook: the verdict, its sentence, and the worst group and the mean of every model."""

from surefoot.card.card import Card
from surefoot.card.markup import Child, element
from surefoot.card.reading import SHORT, WORST, summary, worst_groups
from surefoot.card.words import show_count, show_finding

__all__ = ["brief", "brief_html"]

MOST = 10
"""This many models are shown; the page shows all."""


def brief(card: Card) -> str:
    """The card in a few lines of text."""
    lines = [f"Card “{card.title}”: {card.verdict}", card.sentence]
    rows = _rows(card)
    if rows:
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        drawn = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        lines += ["", *(line.rstrip() for line in drawn)]
    return "\n".join([*lines, *_rest(card)])


def brief_html(card: Card) -> str:
    """The same as HTML, for notebooks."""
    parts: list[Child] = [
        element("p", {}, element("strong", {}, f"{card.verdict.capitalize()}: {card.title}")),
        element("p", {}, card.sentence),
    ]
    rows = _rows(card)
    if rows:
        head, *body = rows
        parts.append(
            element(
                "table",
                {},
                element("thead", {}, element("tr", {}, *(element("th", {"scope": "col"}, cell) for cell in head))),
                element(
                    "tbody",
                    {},
                    *(
                        element(
                            "tr",
                            {},
                            element("th", {"scope": "row"}, name),
                            *(element("td", {}, cell) for cell in cells),
                        )
                        for name, *cells in body
                    ),
                ),
            )
        )
    return element("div", {}, *parts, *(element("p", {}, line) for line in _rest(card))).text


def _rows(card: Card) -> list[list[str]]:
    """A head and one line a model, by the name that `Card.finding` knows; nothing where neither number was measured."""
    rows: list[list[str]] = []
    for subject in card.subjects[:MOST]:
        name = subject.name if len(card.subjects) > 1 else subject.label
        worst, mean = (summary(card, measure, subject.name) for measure in (WORST, "accuracy"))
        rows.append(
            [
                name + (" (chosen)" if subject.name == card.chosen else ""),
                "–" if worst is None else show_finding(worst),
                "; ".join(worst_groups(card, subject.name)) or "–",
                "–" if mean is None else show_finding(mean),
            ]
        )
    if all(row[1] == row[3] == "–" for row in rows):
        return []
    return [["Model", SHORT[WORST], "which is", "Mean"], *rows]


def _rest(card: Card) -> list[str]:
    more = len(card.subjects) - MOST
    return [f"and {show_count(more, 'more model')}"] if more > 0 else []
