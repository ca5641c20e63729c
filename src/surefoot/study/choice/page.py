"""A choice as one page: what each criterion takes, what became of it, the plot, every candidate."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from surefoot.card.markup import Child, Markup, element, together
from surefoot.card.page import document
from surefoot.card.plots import symbols
from surefoot.card.tables import table
from surefoot.card.words import show_count, show_finding, show_level, show_value
from surefoot.findings.finding import Finding
from surefoot.study.choice.candidates import CRITERIA, Criterion
from surefoot.study.choice.plot import Panel, Point, drawing
from surefoot.study.choice.record import LOWER, TITLES, UNITS, Choice, Score

__all__ = [
    "PLOT",
    "choice_page",
    "families_of",
    "panels_of",
    "show_behind",
    "show_best",
    "show_correlation",
    "show_score",
    "show_sure",
    "told_of_plot",
]

PLOT = "plot.svg"
SHORT: Mapping[Criterion, str] = {
    "conditional_evidence": "Conditional",
    "evidence": "Evidence",
    "validation_loss_averaged": "Averaged loss",
    "validation_loss": "Validation loss",
}
MOST_FAMILIES = 7


def choice_page(choice: Choice) -> str:
    """The page, self-contained as a card is."""
    sections: list[tuple[str, str, Markup]] = [
        ("choices", "What each criterion takes", _choices(choice)),
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
    "choices": "Choices", "plot": "Plot", "candidates": "Candidates", "limits": "What it does not show",
    "making": "How it was made",
}  # fmt: skip


def panels_of(choice: Choice) -> list[Panel]:
    """One panel a criterion."""
    families = families_of(choice)
    number = {name: place for place, (_, names) in enumerate(families) for name in names}
    panels: list[Panel] = []
    for criterion in CRITERIA:
        points = [
            Point(
                each.candidate.name,
                score.value,
                choice.hindsight.accuracies[each.candidate.name],
                number[each.candidate.name],
            )
            for each in choice.ranked
            if (score := each.scores[criterion]).value is not None
        ]
        panels.append(
            Panel(
                title=TITLES[criterion],
                said=show_correlation(choice.hindsight.agreement[criterion], choice.confidence),
                axis=UNITS[criterion],
                lower=criterion in LOWER,
                points=points,
                chosen=choice.picks[criterion].chosen,
                missing=len(choice.ranked) - len(points),
            )
        )
    return panels


def families_of(choice: Choice) -> list[tuple[str, list[str]]]:
    """Candidates by network, for the marks: (words, names); one family where there are too many networks."""
    found: dict[str, list[str]] = {}
    for each in choice.ranked:
        found.setdefault(each.candidate.words.partition(";")[0], []).append(each.candidate.name)
    if len(found) > MOST_FAMILIES:
        return [("a candidate", [each.candidate.name for each in choice.ranked])]
    return list(found.items())


def told_of_plot(choice: Choice) -> str:
    """The plot for who cannot see it."""
    said = [
        f"{TITLES[name]}: {show_correlation(choice.hindsight.agreement[name], choice.confidence)}" for name in CRITERIA
    ]
    return "Each criterion against the accuracy on the judge rows. " + ". ".join(said) + "."


def show_correlation(found: Finding | None, confidence: float) -> str:
    """Spearman's ρ with its interval."""
    if found is None:
        return "no rank correlation: too few candidates that differ"
    said = f"Spearman {_signed(found.value)}"
    if found.interval is None:
        return f"{said}, {found.count} candidates: too few for an interval"
    low, high = (_signed(each) for each in (found.interval.low, found.interval.high))
    return f"{said} [{low}, {high}], {show_level(confidence)}, {found.count} candidates"


def show_best(choice: Choice) -> str:
    """The judge's best, and how many are as good."""
    others = choice.hindsight.tied - 1
    return choice.hindsight.best + (f" (and {others} more as right)" if others else "")


def show_behind(choice: Choice, name: str) -> str:
    """How far a chosen candidate is behind the judge's best."""
    after = choice.hindsight
    if after.accuracies[name].value == after.accuracies[after.best].value:
        return "as right" if name != after.best else "it is the best"
    return show_finding(after.behind[name])


def show_sure(sure: float | None) -> str:
    """How sure a criterion is of its first."""
    return "not measured" if sure is None else ">99 %" if sure >= 0.995 else f"{sure:.0%}".replace("%", " %")


def show_score(score: Score, criterion: Criterion) -> str:
    """A criterion's number, or a dash."""
    if score.value is None:
        return "–"
    places = 1 if UNITS[criterion] == "nats" else 4
    return f"{'−' if score.value < 0 else ''}{abs(score.value):,.{places}f}"


def _signed(value: float) -> str:
    return f"{'−' if value < -0.005 else ''}{abs(value):.2f}"


def _header(choice: Choice) -> Markup:
    pick = choice.picks[choice.choose_by]
    words = next((each.candidate.words for each in choice.ranked if each.candidate.name == pick.chosen), "")
    accuracy = choice.hindsight.accuracies.get(pick.chosen)
    said: list[Child] = [f"{TITLES[choice.choose_by]} takes ", element("b", {}, pick.chosen or "nobody")]
    said.append(f" ({words}). {pick.words} " if words else ". ")
    said.append(choice.agree)
    if accuracy is not None:
        said.append(f" On the judge rows, read only after that, its accuracy is {show_finding(accuracy)}.")
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
        f"{show_count(len(choice.ranked), 'candidate')} by the very rows that measure it, and so flattered."
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
        for criterion in CRITERIA:
            score = each.scores[criterion]
            rank = _small("no number" if score.value is None else f"rank {score.rank}")
            shown = show_score(score, criterion)
            cells.append(together([element("b", {}, shown) if score.rank == 1 else shown, rank]))
        cells.append(_two_lines(show_finding(choice.hindsight.accuracies[name])))
        cells.append(show_value(choice.hindsight.losses[name].value, "nats"))
        rows.append(cells)
    head = ["Candidate", *SHORT.values(), "Judge accuracy", "Judge loss"]
    lead = (
        f"In the order of {TITLES[choice.choose_by].lower()}, means over seeds. Evidences are nats of all rows "
        "together, more is better; losses are nats per held-out row, less is better."
    )
    parts = [element("p", {"class": "lead"}, lead), table("Every candidate", head, rows)]
    why = [
        f"{each.candidate.name}, {TITLES[name].lower()}: no number, for {score.refused}."
        for each in choice.ranked
        for name, score in each.scores.items()
        if score.refused
    ]
    return together([*parts, *_notes("Why there is no number", why), *_notes("Noted", _noted(choice))])


def _small(text: str) -> Markup:
    return element("small", {"style": "display:block"}, text)


def _unbroken(text: str) -> Markup:
    return element("span", {"style": "white-space:nowrap"}, text)


def _two_lines(shown: str) -> Markup:
    """A value, and its interval under it."""
    value, opened, bounds = shown.partition(" [")
    return together([_unbroken(value), *([_small(f"[{bounds}")] if opened else [])])


def _noted(choice: Choice) -> list[str]:
    """Each note once, with whom it is of."""
    of: dict[str, list[str]] = {}
    for each in choice.ranked:
        for note in each.notes:
            of.setdefault(note, []).append(each.candidate.name)
    return [f"{', '.join(names) if len(names) < len(choice.ranked) else 'All'}: {note}" for note, names in of.items()]


def _notes(title: str, lines: Sequence[str]) -> list[Markup]:
    if not lines:
        return []
    items = [element("li", {}, line) for line in lines]
    return [
        element(
            "details", {}, element("summary", {}, f"{title} ({len(lines)})"), element("ul", {"class": "notes"}, *items)
        )
    ]


def _limits(choice: Choice) -> Markup:
    return element("ul", {"class": "limits"}, *(element("li", {}, line) for line in choice.told))


def _making(choice: Choice) -> Markup:
    facts: list[Markup] = []
    for name, value in choice.record.items():
        if isinstance(value, str | int | float):
            facts += [element("dt", {}, name.replace("_", " ").capitalize()), element("dd", {}, str(value))]
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
