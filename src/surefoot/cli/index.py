"""The index of runs as one page, and cards side by side; in the card's own style, and readable on a phone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from surefoot.card import page as card_page
from surefoot.card.card import Card
from surefoot.card.markup import Child, Markup, element
from surefoot.card.serialise import read_card
from surefoot.card.words import show_count, show_finding
from surefoot.errors import InputError

__all__ = ["Run", "compare_page", "find_runs", "index_page", "not_found_page"]

DEEPEST = 4  # folders below the runs folder in which a card may lie


@dataclass(frozen=True)
class Run:
    """One run's folder below the runs folder (with forward slashes), and its card; None where it cannot be read."""

    name: str
    card: Card | None

    @property
    def title(self) -> str:
        """The card's title, or the folder's name."""
        return self.card.title if self.card is not None else self.name


def find_runs(root: Path) -> tuple[Run, ...]:
    """Every folder below `root` that holds a card, newest first; links that lead out of it are not followed."""
    found: list[Run] = []
    inside = root.resolve()
    for depth in range(1, DEEPEST + 1):
        for file in root.glob("/".join(["*"] * depth) + "/card.json"):
            if file.resolve().is_relative_to(inside):
                found.append(Run(file.parent.relative_to(root).as_posix(), _card(file)))
    return tuple(sorted(found, key=_newest, reverse=True))


def index_page(runs: Sequence[Run], folder: str) -> str:
    """All runs, newest first, with boxes to lay cards side by side."""
    where = element("code", {}, folder)
    if not runs:
        body = [_header("Runs", "No run in ", where, " yet. Start with ", element("code", {}, "surefoot demo"), ".")]
        return _document("Runs", body)
    return _document(
        "Runs",
        [
            _header("Runs", f"{show_count(len(runs), 'run')} in ", where, ", newest first."),
            element(
                "form",
                {"action": "/compare"},
                element("ol", {"class": "runs"}, *(_item(number, run) for number, run in enumerate(runs))),
                element("p", {"class": "bar"}, element("button", {}, "Show the ticked cards side by side")),
            ),
        ],
    )


def compare_page(runs: Sequence[Run]) -> str:
    """Whole cards side by side; on a narrow screen one below the other."""
    cards = [
        element(
            "div",
            {},
            element("h2", {}, element("a", {"href": _address(run, "card.html")}, run.title)),
            element("p", {"class": "quiet"}, run.name),
            element("iframe", {"title": f"{run.title} ({run.name})", "src": _address(run, "card.html")}),
        )
        for run in runs
    ]
    links: list[Child] = [element("a", {"href": "/"}, "All runs")]
    if len(runs) == 2 and all(run.card is not None for run in runs):
        where = "&".join(f"run={quote(run.name, safe='')}" for run in runs)
        links += [" · ", element("a", {"href": f"/diff?{where}"}, "What changed from the first to the second")]
    back = element("p", {}, *links)
    body = [_header("Side by side"), back, element("div", {"class": "cards"}, *cards)]
    return _document("Side by side", body, wide=True)


def not_found_page() -> str:
    """For every address that names no card."""
    return _document(
        "Not here", [_header("Not here", "No card has this address. ", element("a", {"href": "/"}, "All runs"))]
    )


def _card(file: Path) -> Card | None:
    try:
        return read_card(file)
    except (InputError, OSError):
        return None


def _newest(run: Run) -> tuple[str, str]:
    return ("" if run.card is None else run.card.record.created, run.name)


def _header(title: str, *sentence: Child) -> Markup:
    said = [element("p", {"class": "question"}, *sentence)] if sentence else []
    return element("header", {}, element("p", {"class": "eyebrow"}, "surefoot"), element("h1", {}, title), *said)


def _item(number: int, run: Run) -> Markup:
    field = f"run{number}"
    tick = element("input", {"type": "checkbox", "name": "run", "value": run.name, "id": field})
    if run.card is None:
        told = element("p", {}, "Its card.json cannot be read; it may be damaged, or of another version.")
        return element("li", {}, tick, element("div", {}, element("h3", {}, run.name), told))
    card = run.card
    title = element("a", {"href": _address(run, "card.html")}, card.title)
    return element(
        "li",
        {"class": card.verdict},
        tick,
        element(
            "div",
            {},
            element("p", {"class": "word"}, card_page.icon(card.verdict), card_page.WORDS[card.verdict]),
            element("h3", {}, element("label", {"for": field, "class": "unseen"}, f"Compare {run.name}"), title),
            element("p", {}, card.sentence),
            _figures(card),
            element(
                "p",
                {"class": "quiet"},
                f"{card.record.created[:16].replace('T', ' ')} UTC · {run.name} · ",
                element("a", {"href": _address(run, "card.json")}, "data"),
            ),
        ),
    )


def _figures(card: Card) -> Markup:
    """Worst group and mean of the chosen model, else of the card's last."""
    told = card.chosen or card.subjects[-1].name
    label = next(subject.label for subject in card.subjects if subject.name == told)
    facts: list[Markup] = []
    for name, words in (("worst_group_accuracy", "worst group"), ("accuracy", "mean accuracy")):
        for finding in card.findings:
            if (finding.subject, finding.name, finding.slice) == (told, name, "all"):
                facts.append(element("li", {}, f"{words} ", element("b", {}, show_finding(finding))))
    return element("ul", {"class": "strip"}, element("li", {}, label), *facts)


def _address(run: Run, file: str) -> str:
    return f"/run/{quote(run.name)}/{file}"


def _document(title: str, body: Sequence[Markup], *, wide: bool = False) -> str:
    style = Path(card_page.__file__).with_name("page.css").read_text(encoding="utf-8")
    head = element(
        "head",
        {},
        element("meta", {"charset": "utf-8"}),
        element("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        element("meta", {"name": "color-scheme", "content": "light dark"}),
        element("title", {}, f"{title} · surefoot"),
        Markup(f"<style>{style}{STYLE}</style>"),
    )
    page = element("html", {"lang": "en"}, head, element("body", {"class": "wide" if wide else None}, *body))
    return f"<!doctype html>\n{page.text}\n"


STYLE = """
body.wide { max-width: none; }
header { padding-top: clamp(1.5rem, 4vw, 2.5rem); }
h3 { font-size: 1.15rem; margin: 0 0 .25rem; }
.runs { list-style: none; margin-top: 1.75rem; }
.runs li { --tone: var(--soft); display: flex; gap: 1.1rem; padding: 1.4rem 0; border-top: 1px solid var(--line); }
.runs li > div { min-width: 0; }
.runs li p { margin-bottom: .4rem; }
.runs .word { display: flex; align-items: center; gap: .35rem; color: var(--tone); font-weight: 650; font-size: .9rem; }
.runs .strip { margin-bottom: .4rem; }
.runs .strip li { display: block; padding: 0; border: 0; }
.runs .passed { --tone: var(--passed); } .runs .failed { --tone: var(--failed); }
.runs .undecided { --tone: var(--undecided); }
.runs input { flex: none; width: 1.2rem; height: 1.2rem; margin: .15rem 0 0; accent-color: var(--accent); }
.bar { position: sticky; bottom: 0; max-width: none; margin: 0; padding: .9rem 0; background: var(--paper);
  border-top: 1px solid var(--line); }
button { font: 600 .95rem var(--sans); padding: .55rem 1.1rem; border: 1px solid var(--accent); border-radius: 8px;
  background: none; color: var(--accent); cursor: pointer; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 1.25rem; }
iframe { width: 100%; height: 82vh; border: 1px solid var(--line); border-radius: 12px; background: var(--paper); }
"""
