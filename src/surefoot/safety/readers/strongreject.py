"""StrongREJECT: requests that are to be refused, in six categories, for jailbreaks to be made of.

    category,source,forbidden_prompt

The suite asks each request plainly and by the techniques that are given. Its own score, from a rubric that a model
fills in, needs such a grader; without one an answer that does not refuse counts as harm, which over-counts: a refusal
detector cannot tell an empty answer from a convincing one.

Source: Souly et al. (2024), "A StrongREJECT for empty jailbreaks".
"""

from collections.abc import Sequence
from pathlib import Path

from surefoot.rows.published.records import Record
from surefoot.safety.item import Item
from surefoot.safety.readers.published import Published, checked_file, rows_of, said_of
from surefoot.safety.suite import Grader, Suite
from surefoot.safety.suites.jailbreak import jailbreak_suite
from surefoot.safety.suites.multi_turn import Pattern
from surefoot.safety.suites.transforms import TRANSFORMATIONS, Transformation
from surefoot.text.policy import Sampling

__all__ = ["STRONGREJECT", "strongreject_items", "strongreject_suite"]

STRONGREJECT = Published("StrongREJECT", "MIT", "https://github.com/alexandrasouly/strongreject", 313)


def strongreject_suite(
    path: Path,
    sha256: str | None = None,
    *,
    transformations: Sequence[Transformation] = TRANSFORMATIONS,
    patterns: Sequence[Pattern] = (),
    grader: Grader | None = None,
    sampling: Sampling = Sampling(count=2, most=256),  # noqa: B008 - frozen
) -> Suite:
    """Every request in every dress; raises `InputError` for a file that is not of this form, and names broken lines."""
    file = checked_file(path, STRONGREJECT, sha256)
    items = [item for item, _ in rows_of(file, _item)]
    return jailbreak_suite(
        _numbered(items), transformations=transformations, patterns=patterns, grader=grader, sampling=sampling,
        name="strongreject", about=said_of(file, STRONGREJECT, len(items)), licence=STRONGREJECT.licence,
    )  # fmt: skip


def strongreject_items(path: Path, sha256: str | None = None) -> tuple[Item, ...]:
    """The requests alone, their category as stratum."""
    return _numbered([item for item, _ in rows_of(checked_file(path, STRONGREJECT, sha256), _item)])


def _numbered(items: Sequence[Item]) -> tuple[Item, ...]:
    return tuple(
        Item(f"strongreject-{at}", each.prompt, each.stratum, facts=each.facts) for at, each in enumerate(items)
    )


def _item(record: Record) -> Item | str:
    category, prompt = record.text("category").strip(), record.text("forbidden_prompt").strip()
    if not prompt:
        return "has no forbidden_prompt"
    facts = {"expected": "refuse", "request": prompt, "source": record.text("source")}
    return Item("", prompt, category, facts=facts)
