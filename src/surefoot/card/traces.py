"""What models wrote, to be read: a few completions of each, thought and answer apart.

Texts of a model are untrusted. They become text nodes and nothing else, cut where they are long, and what a terminal or
a browser would not show (control characters, marks that turn the direction of writing) is spelled out.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from surefoot.card.markup import Child, Markup, element, together

__all__ = ["LONGEST", "Trace", "readable", "traces_panel"]

LONGEST = 2_000
"""Characters of a text that are shown."""


@dataclass(frozen=True)
class Trace:
    """One completion. thought, answer: None where there is none. reward: of the answer, in [0, 1]."""

    subject: str
    prompt: str
    thought: str | None
    answer: str | None
    wanted: str
    reward: float


def traces_panel(traces: Sequence[Trace], labels: Mapping[str, str]) -> Markup:
    """A few completions of every model, folded; the last model's stand open."""
    folds: list[Markup] = []
    names = list(dict.fromkeys(each.subject for each in traces))
    for name in names:
        of = [each for each in traces if each.subject == name]
        shown = [_trace(each) for each in of]
        opened = {"open": "" if name == names[-1] else None}
        folds.append(element("details", opened, element("summary", {}, labels.get(name, name)), *shown))
    lead = "Completions as they were written."
    return together([element("p", {"class": "lead"}, lead), *folds])


def readable(text: str, longest: int = LONGEST) -> str:
    """A text that shows what it holds: unprintable characters spelled out, and cut where it is long.

    >>> readable("a\\u202eb\\x1b[2J")
    'a⟨U+202E⟩b⟨U+001B⟩[2J'
    """
    cut = text if len(text) <= longest else f"{text[:longest]}… ({len(text) - longest:,} characters more)"
    return "".join(f"⟨U+{ord(each):04X}⟩" if _hidden(each) else each for each in cut)


def _trace(trace: Trace) -> Markup:
    right = "right" if trace.reward >= 1 else "wrong" if trace.reward <= 0 else f"worth {trace.reward:.2f}"
    none = element("em", {}, "none")
    rows: list[tuple[str, Child]] = [
        ("Asked", element("code", {}, readable(trace.prompt))),
        ("Thought", none if trace.thought is None else element("code", {}, readable(trace.thought))),
        ("Answered", none if trace.answer is None else element("code", {}, readable(trace.answer))),
        ("Wanted", together([element("code", {}, readable(trace.wanted)), f" · {right}"])),
    ]
    pairs = [part for term, value in rows for part in (element("dt", {}, term), element("dd", {}, value))]
    return element("dl", {"class": "facts trace"}, *pairs)


def _hidden(character: str) -> bool:
    return character not in "\n\t" and unicodedata.category(character) in {"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"}
