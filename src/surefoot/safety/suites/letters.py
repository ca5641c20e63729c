"""Which option an answer to a multiple choice names, read with a whitelist.

    B    (b)    B.    **B**                    the letter alone
    Answer: B    Antwort: B    答案：B            a word for "answer" in some language, and the letter
    The answer is B.    Option B               a sentence of nothing else
    B) Paris    Answer: B) Paris               each with its own option's text
    Paris                                      an option's text alone

An answer of several lines is read by those that begin with a word for "answer", or else by its first line, where no
other line names another option. A later line that takes an answer back ("No wait, B") is the answer itself, the last of
them where there are several, and makes it none where it names no single option.
What names two options, or denies one, or is of another form, names none: None.
"""

import re
import unicodedata
from collections.abc import Sequence

__all__ = ["ANSWER_WORDS", "LETTERS", "read_choice"]

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ANSWER_WORDS = (
    "answer", "final answer", "correct answer", "antwort", "réponse", "reponse", "respuesta", "risposta", "resposta",
    "jawaban", "jibu", "ìdáhùn", "idahun", "答案", "回答", "答え", "解答", "답", "정답", "답변", "उत्तर", "উত্তর",
    "الإجابة", "الجواب", "اجابة", "إجابة",
)  # fmt: skip
"""In English and the fourteen languages into which MMLU was translated."""
SENTENCES = (
    r"(?:the )?(?:correct |right |best |final )?(?:answer|option|choice) (?:is|would be):? (?:option |letter )?",
    r"(?:it is|it's|i choose|i pick|option|choice|letter) (?:option |letter )?",
    r"die (?:richtige )?antwort ist ", r"la réponse (?:correcte )?est ", r"la respuesta (?:correcta )?es ",
    r"la risposta (?:corretta )?è ", r"a resposta (?:correta )?é ",
)  # fmt: skip
MARKUP = re.compile(r"[*_`#\\$]|\bboxed\b")
CORRECTS = re.compile(
    r"(?:(?:no|oh|hm+|oops)\b[\s,.!…]*)*"
    r"(?:wait|actually|correction|sorry|i meant?|scratch that|on second thoughts?|rather)\b"
    r"[\s,.:;!…-]*(?:no\b[\s,.]*)?(?:i meant? |it should be |make (?:that|it) )?"
)
"""Before what takes an answer back."""
LOCAL = {"أ": "A", "ب": "B", "ج": "C", "د": "D", "ক": "A", "খ": "B", "গ": "C", "ঘ": "D"}
"""Letters that stand for options where the Latin ones are not used."""


def read_choice(answer: str, options: Sequence[str]) -> int | None:
    """The place of the option that an answer names.

    >>> options = ["Rome", "Paris", "Oslo"]
    >>> [read_choice(each, options) for each in ("B", "Answer: (b)", "The answer is B) Paris.", "paris", "Ｂ")]
    [1, 1, 1, 1, 1]
    >>> [read_choice(each, options) for each in ("Not B", "B or C", "B) Oslo", "D", "A city", "Rome or Paris", "")]
    [None, None, None, None, None, None, None]
    """
    lines = [line for each in answer.splitlines() if (line := _plain(each))]
    if not lines:
        return None
    corrected = [line for each in lines[1:] if (line := _correction(each)) is not None]
    if corrected:
        return _read(corrected[-1], options)
    told = [line for line in lines if _behind_word(line) is not None]
    found = {_read(line, options) for line in told or lines[:1]}
    if not told:
        found |= {place for line in lines[1:] if (place := _read(line, options)) is not None}
    return found.pop() if len(found) == 1 else _read(" ".join(lines), options)


def _correction(line: str) -> str | None:
    """What a line that takes an answer back puts in its place; None for others, which name no letter."""
    found = CORRECTS.match(line)
    if found is None or not re.search(r"(?<!\w)[a-hj-z](?!\w)", line[found.end() :].replace("'", "")):
        return None
    return line[found.end() :]


def _plain(line: str) -> str:
    level = MARKUP.sub("", unicodedata.normalize("NFKC", line)).strip().lower()
    return " ".join(level.split())


def _behind_word(line: str) -> str | None:
    """What stands behind a word for "answer" and its colon."""
    word, colon, rest = line.partition(":")
    return rest.strip() if colon and word.strip() in ANSWER_WORDS else None


def _read(line: str, options: Sequence[str]) -> int | None:
    texts = [_bare(_plain(each)) for each in options]
    behind = _behind_word(line)
    said = line if behind is None else behind
    for each in SENTENCES if behind is None else ():
        if found := re.match(each, said):
            said = said[found.end() :]
            break
    by_text = [at for at, each in enumerate(texts) if each == _bare(said)]
    by_letter = _lettered(said, texts)
    found = {*by_text, *([] if by_letter is None else [by_letter])}
    return found.pop() if len(found) == 1 else None


def _lettered(said: str, texts: Sequence[str]) -> int | None:
    """The option that a letter names, alone or with its own text behind it."""
    named = re.fullmatch(r"[\[({]?(\w)[\])}]?(?:[.:)\-]*$|[.:)\-\]} ]+(.*))", said.strip())
    if named is None:
        return None
    letter = LOCAL.get(named[1], named[1].upper())
    place = LETTERS.find(letter) if len(letter) == 1 else -1
    rest = _bare(named[2] or "")
    return place if 0 <= place < len(texts) and rest in ("", texts[place]) else None


def _bare(text: str) -> str:
    return text.strip(" .!:;,\"'()[]")
