"""What a record of a published set is, and how it is shown as one row with one label.

A question with candidates is shown with one of them: the right one with probability ½, else one of the others. A
comparison is shown with its two texts in an order that is drawn. A statement is shown as it is.
"""

from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple, TypeAlias

from surefoot.files import digest_json

__all__ = ["Comparison", "Item", "Question", "Shown", "Statement", "content_name", "random_bits", "shown"]


@dataclass(frozen=True)
class Question:
    """Candidates of which one is right. before: what stands before the one that is shown.

    about: texts that rows share which hang together, such as the question and its passage. showable: without it the
    right candidate is never shown, because it speaks of the others ("none of the above").
    """

    asked: str
    before: str
    candidates: tuple[str, ...]
    right: int
    about: tuple[str, ...] = ()
    showable: bool = True


@dataclass(frozen=True)
class Statement:
    """A text with a label of its own."""

    text: str
    label: int
    about: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """Two texts of which somebody preferred one."""

    chosen: str
    rejected: str
    about: tuple[str, ...] = ()


Item: TypeAlias = Question | Statement | Comparison


class Shown(NamedTuple):
    """One text, or two, and the class."""

    texts: tuple[str, ...]
    target: int


def shown(item: Item, bits: int) -> Shown | None:
    """One row of an item, by 64 random bits; None where the texts are the same, so that nothing tells which is right.

    Classes: of a question incorrect, correct; of a comparison the first, the second is preferred.

    >>> ocean = Question("Largest ocean?", "Q: Largest ocean? A: ", ("Atlantic", "Pacific"), 1)
    >>> shown(ocean, 1)
    Shown(texts=('Q: Largest ocean? A: Pacific',), target=1)
    >>> shown(ocean, 0)
    Shown(texts=('Q: Largest ocean? A: Atlantic',), target=0)
    """
    match item:
        case Statement():
            return Shown((item.text,), item.label)
        case Comparison():
            if item.chosen == item.rejected:
                return None
            pair = (item.chosen, item.rejected)
            return Shown(pair[::-1], 1) if bits & 1 else Shown(pair, 0)
        case Question():
            right = item.candidates[item.right]
            wrong = [candidate for candidate in item.candidates if candidate != right]
            if not wrong:
                return None
            told = bool(bits & 1) and item.showable
            candidate = right if told else wrong[(bits >> 1) % len(wrong)]
            return Shown((f"{item.before}{candidate}",), int(told))


def content_name(item: Item) -> str:
    """24 hexadecimal digits of what an item is made of: the same for the same item of another file or another form."""
    match item:
        case Statement():
            parts = [*item.about, item.text, str(item.label)]
        case Comparison():
            parts = [*item.about, item.chosen, item.rejected]
        case Question():
            # Not the words around them: with and without its passage a question is shown with the same candidate.
            parts = [item.asked, *item.about, *item.candidates, str(item.right)]
    return digest_json(parts)[:24]


def random_bits(seed: int, purpose: str, name: str) -> int:
    """64 random bits of a row, which depend on the seed and its name alone, not on which other rows there are."""
    return int.from_bytes(blake2b(f"{seed}\n{purpose}\n{name}".encode(), digest_size=8).digest())
