"""What every grader does with what came back, before it reads it.

blocked                 no score: the call never reached the model
no answer               the scores that a suite gives to a thought that was never closed
else                    the suite's own reading of the answer, whole or cut off
"""

import re
from collections.abc import Callable, Mapping, Sequence

from surefoot.errors import InputError
from surefoot.safety.item import Graded, Item, Sampled

__all__ = ["fact", "grade_each", "sentences", "texts_of", "words_of"]

ENDS = re.compile(r"(?<=[.!?。？！؟।])(?<!\b[A-Z]\.)(?<!\b[DM]r\.)(?<!\bMs\.)(?<!\bSt\.)(?<!\bMrs\.)\s+|\n+")
"""Of sentences."""
NO_ANSWER = "no answer: a thought was not closed, or a mark stands where none belongs"


def grade_each(
    sampled: Sequence[Sampled],
    read: Callable[[Sampled, str], Graded],
    missing: Callable[[Item], Mapping[str, float | None]],
) -> list[Graded]:
    """One result a completion. read: is given its answer too. missing: the scores of an item that has no answer."""
    return [
        Graded({}, "blocked")
        if each.blocked
        else Graded(missing(each.item), NO_ANSWER)
        if each.answer is None
        else read(each, each.answer)
        for each in sampled
    ]


def fact(item: Item, name: str) -> object:
    """A fact that a grader needs; raises `InputError` where the item has none of that name."""
    if name not in item.facts:
        raise InputError(f"The item {item.id} has no fact {name!r}, which its grader needs; make items with the suite.")
    return item.facts[name]


def texts_of(item: Item, name: str) -> tuple[str, ...]:
    """A fact that is one text or several; none where the item has no such fact."""
    value = item.facts.get(name, ())
    return (value,) if isinstance(value, str) else tuple(map(str, value))


def words_of(text: str) -> list[str]:
    """Words and numbers in small letters, with the apostrophes and points within them.

    >>> words_of("It isn\u2019t 3.5, Ann-Marie!")
    ['it', "isn't", '3.5', 'ann', 'marie']
    """
    return re.findall(r"[^\W_]+(?:['.,][^\W_]+)*", text.lower().replace("\u2019", "'"))


def sentences(text: str) -> list[str]:
    """Sentences, each with its end; a line is one too, an initial or a title is no end.

    >>> sentences("It is 3.5 m, says Dr. A. Lo. Is it? Yes")
    ['It is 3.5 m, says Dr. A. Lo.', 'Is it?', 'Yes']
    """
    return [each for each in ENDS.split(text.strip()) if each.strip()]
