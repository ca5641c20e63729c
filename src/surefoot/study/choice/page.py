"""A choice as one page: what each criterion takes, what became of it, the plot, every candidate."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from surefoot.card.markup import Child, Markup, element, together
from surefoot.card.page import document
from surefoot.card.plots import symbols
from surefoot.card.tables import table
from surefoot.card.words import show_count, show_finding, show_value
from surefoot.study.choice.candidates import CRITERIA, Criterion
from surefoot.study.choice.doubted import doubts_section, told_of_doubts
from surefoot.study.choice.panels import PLOT, families_of, panels_of
from surefoot.study.choice.plot import drawing
from surefoot.study.choice.record import TITLES, Choice
from surefoot.study.choice.words import listed, show_behind, show_best, show_score, show_untrained, told_of_plot

__all__ = ["choice_page"]

SHORT: Mapping[Criterion, str] = {
    "conditional_evidence": "Conditional",
    "evidence": "Evidence",
    "validation_loss_averaged": "Averaged loss",
    "validation_loss": "Validation loss",
}


def choice_page(choice: Choice) -> str:
    """The page, self-contained as a card is."""
    sections: list[tuple[str, str, Markup]] = [
        ("choices", "What each criterion takes", _choices(choice)),
        ("doubts", "What speaks against it", doubts_section(choice)),
        ("plot", "Does the criterion know what the judge will say?", _plot(choice)),
        ("candidates", "Every candidate", _candidates(choice)),
        ("limits", "What this does not show", _limits(choice)),
        ("making", "How it was made", _making(choice)),
    ]
    links = [element("a", {"href": f"#{key}"}, NAVIGATION[key]) for key, _, _ in sections]
    data = element("a", {"href": "choice.json"}, "Data (JSON)")
    body = [
        symbols(),
        _header(choice),
        element("nav", {"aria-label": "Sections"}, *links, data),
        element("main", {}, *(_section(*each) for each in sections)),
        element("footer", {}, element("p", {}, f"surefoot choose · {datetime.now(UTC):%Y-%m-%d}")),
    ]
    return document(f"Choice · {choice.name}", body)


NAVIGATION = {
    "choices": "Choices", "doubts": "Doubts", "plot": "Plot", "candidates": "Candidates",
    "limits": "What it does not show", "making": "How it was made",
}  # fmt: skip


def _header(choice: Choice) -> Markup:
    pick = choice.picks[choice.choose_by]
    words = next((each.candidate.words for each in choice.ranked if each.candidate.name == pick.chosen), "")
    accuracy = choice.hindsight.accuracies.get(pick.chosen)
    said: list[Child] = [f"{TITLES[choice.choose_by]} takes ", element("b", {}, pick.chosen or "nobody")]
    said.append(f" ({words}). {pick.words} " if words else ". ")
    said.append(choice.agree)
    if accuracy is not None:
        said.append(f" On the judge rows, read only after that, its accuracy is {show_finding(accuracy)}.")
    if doubted := told_of_doubts(choice):
        said += [" ", element("a", {"href": "#doubts"}, doubted)]
    seeds = show_count(len(choice.seeds), "seed")
    learned = f"{show_count(choice.rows['learned'], 'row')} to learn from, {choice.rows['judge']:,} to judge"
    return element(
        "header",
        {},
        element("p", {"class": "eyebrow"}, "surefoot choice"),
        element("h1", {}, choice.name),
        element("p", {"class": "question"}, f"{show_count(len(choice.ranked), 'candidate')}, {seeds}, {learned}."),
        element(
            "div",
            {"class": "verdict", "style": "--tone:var(--accent);--wash:var(--band)"},
            element("p", {"class": "sentence"}, *said),
        ),
    )


def _choices(choice: Choice) -> Markup:
    rows: list[list[Child]] = []
    for criterion in CRITERIA:
        pick = choice.picks[criterion]
        mark = [" ", element("span", {"class": "tag"}, "taken")] if criterion == choice.choose_by else []
        name = together([TITLES[criterion], *mark])
        if not pick.chosen:
            rows.append([name, "nobody", pick.words, "–", "–"])
            continue
        rows.append(
            [
                name,
                _unbroken(pick.chosen),
                pick.words,
                _two_lines(show_finding(choice.hindsight.accuracies[pick.chosen])),
                _two_lines(show_behind(choice, pick.chosen)),
            ]
        )
    head = ["Criterion", "Its first", "How sure", "Judge accuracy", "Against the judge’s best (hindsight)"]
    lead = (
        "Ranks come from the rows that candidates learn from; no judge row enters them. The last two columns were not "
        f"known when the choices were made: the judge’s best, {show_best(choice)}, is the best of "
        f"{show_count(len(choice.hindsight.accuracies), 'candidate')} by the very rows that measure it, and so "
        "flattered."
    )
    return together([element("p", {"class": "lead"}, lead), table("What each criterion takes", head, rows, words=True)])


def _plot(choice: Choice) -> Markup:
    lead = (
        "Each point is a candidate: to the right the criterion likes it better, above the judge does. A criterion that "
        "knows what the judge will say draws a rising band. Whiskers are intervals of the accuracy."
    )
    names = [name for name, _ in families_of(choice)]
    drawn = drawing(panels_of(choice), names, told_of_plot(choice))
    wide = element("div", {"style": "min-width:40rem"}, drawn)  # on a phone it scrolls, and can be read
    alone = element("p", {"class": "quiet"}, "The same as a file: ", element("a", {"href": PLOT}, PLOT), ".")
    return together([element("p", {"class": "lead"}, lead), element("div", {"class": "panel scroll"}, wide), alone])


def _candidates(choice: Choice) -> Markup:
    rows: list[list[Child]] = []
    for each in choice.ranked_by(choice.choose_by):
        name, small = each.candidate.name, element("small", {}, f"{each.candidate.words}; {each.parameters:,} numbers")
        cells: list[Child] = [together([name, small])]
        if not each.trained:
            rows.append([*cells, *(["not trained"] * len(CRITERIA)), "–", "–"])
            continue
        for criterion in CRITERIA:
            score = each.scores[criterion]
            rank = _small("no number" if score.value is None else f"rank {score.rank}")
            shown = show_score(score, criterion)
            cells.append(together([element("b", {}, shown) if score.rank == 1 and score.value else shown, rank]))
        cells.append(_two_lines(show_finding(choice.hindsight.accuracies[name])))
        cells.append(show_value(choice.hindsight.losses[name].value, "nats"))
        rows.append(cells)
    head = ["Candidate", *SHORT.values(), "Judge accuracy", "Judge loss"]
    lead = (
        f"In the order of {TITLES[choice.choose_by].lower()}, means over seeds. Evidences are nats of all rows "
        "together, more is better; losses are nats per held-out row, less is better."
    )
    parts = [element("p", {"class": "lead"}, lead), table("Every candidate", head, rows)]
    return together(
        [
            *parts,
            *_notes("Not trained, and so in no comparison", show_untrained(choice), opened=True),
            *_notes("Why there is no number", _missing(choice)),
        ]
    )


def _missing(choice: Choice) -> list[str]:
    """Each reason once, with whom it is of; that of a candidate which is not trained is told by itself."""
    of: dict[tuple[Criterion, str], list[str]] = {}
    trained = [each for each in choice.ranked if each.trained]
    for each in trained:
        for criterion, score in each.scores.items():
            if score.refused:
                of.setdefault((criterion, score.refused.rstrip(".")), []).append(each.candidate.name)
    return [
        f"{listed(names) if len(names) < len(trained) else 'All'}, {TITLES[criterion].lower()}: no number, for "
        f"{reason}."
        for (criterion, reason), names in of.items()
    ]


def _small(text: str) -> Markup:
    return element("small", {"style": "display:block"}, text)


def _unbroken(text: str) -> Markup:
    return element("span", {"style": "white-space:nowrap"}, text)


def _two_lines(shown: str) -> Markup:
    """A value, and its interval under it."""
    value, opened, bounds = shown.partition(" [")
    return together([_unbroken(value), *([_small(f"[{bounds}")] if opened else [])])


def _notes(title: str, lines: Sequence[str], *, opened: bool = False) -> list[Markup]:
    if not lines:
        return []
    items = [element("li", {}, line) for line in lines]
    summary = element("summary", {}, f"{title} ({len(lines)})")
    return [element("details", {"open": "" if opened else None}, summary, element("ul", {"class": "notes"}, *items))]


def _limits(choice: Choice) -> Markup:
    return element("ul", {"class": "limits"}, *(element("li", {}, line) for line in choice.told))


def _making(choice: Choice) -> Markup:
    facts: list[Markup] = []
    for name, value in choice.record.items():
        if isinstance(value, str | int | float):
            lines = [element("div", {}, line) for line in str(value).splitlines()]
            facts += [element("dt", {}, name.replace("_", " ").capitalize()), element("dd", {}, *lines)]
    models = [element("li", {}, f"{name}: ", element("code", {}, place)) for name, place in choice.models.items()]
    return together(
        [
            element("dl", {"class": "facts"}, *facts),
            element("h3", {}, "Chosen models, one a seed"),
            element("ul", {"class": "notes"}, *models),
        ]
    )


def _section(key: str, name: str, content: Markup) -> Markup:
    heading = element("h2", {"id": f"{key}-heading"}, element("a", {"href": f"#{key}"}, name))
    return element("section", {"id": key, "aria-labelledby": f"{key}-heading"}, heading, content)
