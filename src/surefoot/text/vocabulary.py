"""The symbols that a small policy reads and writes, and the five marks that no text can contain.

A text is single characters, or words with spaces between. Marks are tokens with numbers of their own: `encode` never
makes one, whatever the text says, so that a prompt cannot close a thought or end a completion.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from surefoot.errors import InputError

__all__ = ["ANSWER", "BEGIN", "END", "MARKS", "PAD", "THINK", "Vocabulary"]

PAD, BEGIN, END, THINK, ANSWER = range(5)
"""Padding, the beginning and the end of what is said, the beginning of a thought, and its end, where the answer is."""
MARKS = ("<pad>", "<begin>", "<end>", "<think>", "</think>")
"""As they are written."""


@dataclass(frozen=True)
class Vocabulary:
    """Symbols in the order of their tokens, which begin after the marks.

    symbols: without the marks; single characters, or words where `spaced`. spaced: a text is words with single spaces.

    Raises `InputError` for symbols that are empty, written as a mark, or there twice, and for those that could not be
    told apart in a text.

    >>> digits = Vocabulary(tuple("01="))
    >>> digits.encode("01=")
    [5, 6, 7]
    >>> digits.encode_completion("<think>01</think>1")
    [3, 5, 6, 4, 6, 2]
    >>> digits.decode([3, 5, 6, 4, 6, 2])
    '<think>01</think>1'
    """

    symbols: tuple[str, ...]
    spaced: bool = False

    def __post_init__(self) -> None:
        odd = [each for each in self.symbols if not each or each in MARKS]
        twice = sorted({each for each in self.symbols if self.symbols.count(each) > 1})
        cut = [each for each in self.symbols if (" " in each if self.spaced else len(each) != 1)]
        if odd or twice or cut or not self.symbols:
            found = f"{(odd or twice or cut)[0]!r}" if self.symbols else "none"
            raise InputError(
                f"A vocabulary needs distinct {'words' if self.spaced else 'single characters'} that are no marks "
                f"({' '.join(MARKS)}); this one has {found}."
            )

    @property
    def size(self) -> int:
        """Marks included."""
        return len(MARKS) + len(self.symbols)

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, no marks; raises `InputError` for symbols that there are none of."""
        parts = _words(text) if self.spaced else list(text)
        unknown = list(dict.fromkeys(each for each in parts if each not in self._places))
        if unknown:
            shown = ", ".join(repr(each) for each in unknown[:5])
            raise InputError(
                f"The text {_short(text)} has {len(unknown)} symbols that the vocabulary lacks ({shown}); it has "
                f"{_short(' '.join(self.symbols), 80)}."
            )
        return [self._places[each] for each in parts]

    def encode_completion(self, text: str) -> list[int]:
        """The tokens of a demonstration, "<think>…</think>answer" or "answer", and the end.

        Here marks are read, for whoever writes demonstrations is trusted with them.
        """
        tokens: list[int] = []
        rest = text
        for mark, token in ((MARKS[THINK], THINK), (MARKS[ANSWER], ANSWER)):
            before, found, after = rest.partition(mark)
            if found:
                tokens += [*self.encode(before), token]
                rest = after
        return [*tokens, *self.encode(rest), END]

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of tokens: marks of thought written out; padding, beginning and end left out."""
        between = " " if self.spaced else ""
        pieces: list[str] = []
        run: list[str] = []
        for token in tokens:
            if token in (THINK, ANSWER):
                pieces += [between.join(run), MARKS[token]]
                run = []
            elif token >= len(MARKS):
                run.append(self.symbols[token - len(MARKS)])
        return "".join([*pieces, between.join(run)])

    @cached_property
    def _places(self) -> dict[str, int]:
        return {symbol: place for place, symbol in enumerate(self.symbols, start=len(MARKS))}


def _words(text: str) -> Sequence[str]:
    return text.split(" ") if text else []


def _short(text: str, most: int = 40) -> str:
    return repr(text if len(text) <= most else text[: most - 1] + "…")
