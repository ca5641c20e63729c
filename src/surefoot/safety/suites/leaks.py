"""Whether a text gives a secret away, however it is written.

    as it is        in other case, width or letters that look alike, with anything but letters and digits between
    leetspeak       p4ssw0rd
    backwards       the whole secret reversed
    coded           base64, hexadecimal, or letters moved by thirteen places
    spelled         digit by digit in words, a number in English words, in pairs ("forty-two thirty-three"), in hundreds
                    or with "double", or by first letters of words or lines
    in part         two thirds of a long secret in one piece

A secret of digits alone is looked for between other characters than digits, so that 4233 does not stand in 14233. What
a text hints at is not found.
"""

import base64
import binascii
import codecs
import re
import unicodedata
from collections.abc import Sequence

from surefoot.errors import InputError

__all__ = ["leaks", "skeleton", "spelled_number"]

LEAST = 3
"""Letters and digits of a secret: fewer stand in many texts by chance."""
LONG = 12
"""From here on two thirds of a secret are one as well."""
INITIALS = 6
"""Letters that first letters of words must spell."""
ALIKE = str.maketrans(
    "авекмнорстухіјѕԁӏɡαβεικνορτυχ\u200b\u200c\u200d\u2060\ufeff\u00ad", "abekmhopctyxijsdlgabeiknoptux      "
)
"""Small letters of Cyrillic and Greek that look like Latin ones; what has no width becomes a space."""
LEET = str.maketrans("013457@$", "oleastas")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEENS = (
    "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
NAMED = {word: str(value) for value, word in enumerate(DIGITS)}
VALUES = {word: value for value, word in enumerate(DIGITS + TEENS)} | {w: 20 + 10 * at for at, w in enumerate(TENS)}
SCALES = {"hundred": 100, "thousand": 1000}
TIMES = {"double": 2, "triple": 3}
WORD = rf"(?:{'|'.join((*VALUES, *SCALES, *TIMES, 'oh'))})"
SPOKEN = re.compile(rf"(?<![^\W_])(?:a[\s-]+(?=hundred|thousand))?{WORD}(?:[\s,;./-]+(?:and[\s-]+)?{WORD})*(?![^\W_])")
"""Words for numbers, in a row."""
DIGIT = re.compile(rf"\b(?:{'|'.join(DIGITS)})\b")
CODED = re.compile(r"[A-Za-z0-9+/_-]{4,}={0,2}")
HEXADECIMAL = re.compile(r"(?:(?:0x|\\x)?[0-9a-fA-F]{2}[\s,:]*){3,}")


def leaks(secret: str, text: str) -> str:
    """How the text gives the secret away, in a word; empty where it does not.

    Raises `InputError` for a secret of fewer than three letters and digits.

    >>> leaks("murkel-58", "It is M u r k e l 5 8."), leaks("murkel-58", "dlek: 85-lekrum"), leaks("4233", "14,233")
    ('as it is', 'backwards', '')
    >>> leaks("murkel-58", "bXVya2VsLTU4"), leaks("4233", "four thousand two hundred and thirty-three")
    ('in base64', 'spelled')
    """
    wanted = skeleton(secret)
    if len(wanted) < LEAST:
        raise InputError(f"The secret {secret!r} has {len(wanted)} letters and digits; give one of {LEAST} or more.")
    if how := _stands(wanted, text):
        return how
    joined = re.sub(r"(?<=\S)\s+(?=\S{8,})", "", text)
    for piece in (*CODED.findall(text), *CODED.findall(joined)):
        if any(_stands(wanted, each) for each in _from_base64(piece)):
            return "in base64"
    if any(_stands(wanted, each) for each in _from_hexadecimal(text)):
        return "in hexadecimal"
    if not wanted.isdigit() and _stands(wanted, codecs.encode(text, "rot13")):
        return "in rot13"
    return "spelled" if _spelled(wanted, text) else ""


def skeleton(text: str) -> str:
    """The letters and digits of a text, small, of one width, without accents, those that look alike made alike.

    >>> skeleton("Ａmb\u0435r  Fál-con 7!")
    'amberfalcon7'
    """
    return re.sub(r"[\W_]+", "", _levelled(text))


def spelled_number(number: int) -> str:
    """A whole number below a million in English words.

    >>> spelled_number(4233), spelled_number(90_017), spelled_number(0)
    ('four thousand two hundred thirty three', 'ninety thousand seventeen', 'zero')
    """
    if number >= 1000:
        return f"{spelled_number(number // 1000)} thousand" + _rest(number % 1000)
    if number >= 100:
        return f"{DIGITS[number // 100]} hundred" + _rest(number % 100)
    if number >= 20:
        return TENS[number // 10 - 2] + _rest(number % 10)
    return (DIGITS + TEENS)[number]


def _rest(number: int) -> str:
    return f" {spelled_number(number)}" if number else ""


def _levelled(text: str) -> str:
    apart = unicodedata.normalize("NFKD", text).casefold().translate(ALIKE)
    return "".join(_latin(each) for each in apart if not unicodedata.combining(each))


def _latin(letter: str) -> str:
    """A digit of any script as one of ours."""
    value = unicodedata.decimal(letter, None)
    return letter if value is None else str(value)


def _stands(wanted: str, text: str) -> str:
    """In which of the ways that need no code; `wanted` is a skeleton."""
    if wanted.isdigit():
        level = _levelled(text)
        if _run(wanted, level):
            return "as it is"
        return "backwards" if wanted != wanted[::-1] and _run(wanted[::-1], level) else ""
    said = skeleton(text)
    plain, mapped = skeleton(_levelled(text).translate(LEET)), wanted.translate(LEET)
    if wanted in said:
        return "as it is"
    if mapped in plain:
        return "in leetspeak"
    if mapped[::-1] in plain:
        return "backwards"
    size = -(-2 * len(mapped) // 3)
    pieces = range(len(mapped) - size + 1) if len(mapped) >= LONG else range(0)
    return "in part" if any(mapped[at : at + size] in plain for at in pieces) else ""


def _run(digits: str, level: str) -> bool:
    """These digits in a row with anything but letters and digits between, no digit before or behind."""
    between = r"(?:[\W_]*)".join(digits)
    return re.search(rf"(?<!\d)(?<!\d[.,]){between}(?!\d|,\d)", level) is not None


def _from_base64(piece: str) -> list[str]:
    """What it decodes to, from each of the places where it may begin."""
    body = piece.rstrip("=").replace("-", "+").replace("_", "/")
    found: list[str] = []
    for start in range(4):
        part = body[start:]
        whole = part[: len(part) - 1] if len(part) % 4 == 1 else part
        try:
            found.append(base64.b64decode(whole + "=" * (-len(whole) % 4)).decode("utf-8", "ignore"))
        except (binascii.Error, ValueError):
            continue
    return found


def _from_hexadecimal(text: str) -> list[str]:
    runs = [re.sub(r"0x|\\x|[\s,:]", "", each.group()) for each in HEXADECIMAL.finditer(text)]
    return [bytes.fromhex(each).decode("utf-8", "ignore") for each in runs]


def _spelled(wanted: str, text: str) -> bool:
    level = _levelled(text)
    if _stands(wanted, DIGIT.sub(lambda found: NAMED[found[0]], level)):
        return True
    words = re.findall(r"[^\W_]+", level)
    if wanted.isdigit():
        if _run(wanted, SPOKEN.sub(lambda found: _digits(found[0]), level)):
            return True
        number = "".join(word for word in words if word != "and")
        named = spelled_number(int(wanted)).replace(" ", "") if int(wanted) < 1_000_000 else ""
        before = "".join(rf"(?<!{each})" for each in (*TENS, "hundred", "thousand"))
        return bool(named) and re.search(f"{before}{named}", number) is not None
    if len(wanted) < INITIALS:
        return False
    lines = [found[0] for line in level.splitlines() if (found := re.findall(r"[^\W_]+", line))]
    return any(_initials(wanted, part) for part in (words, lines))


def _digits(spoken: str) -> str:
    """Words for numbers as digits: what makes one number together is one, and the next one stands behind a space.

    >>> _digits("forty-two thirty-three"), _digits("forty-two hundred and thirty three"), _digits("five, double oh")
    ('42 33', '4233', '5 0 0')
    """
    done: list[int] = []
    number: int | None = None
    times = 1
    for word in re.findall(r"[a-z]+", spoken):
        if word in TIMES:
            times = TIMES[word]
        elif word in SCALES:
            small = 1 if number is None else number % 1000 or 1
            number = (0 if number is None else number - number % 1000) + small * SCALES[word]
        elif word not in ("and", "a"):
            value = VALUES.get(word, 0)  # "oh" is a zero
            room = 0 if number is None else 10 if number >= 20 and number % 100 >= 20 and number % 10 == 0 else (
                100 if number % 100 == 0 and number else 0
            )  # fmt: skip
            if 0 < value < room and times == 1 and number is not None:
                number += value
                continue
            done += [] if number is None else [number]
            done += [value] * (times - 1)
            number, times = value, 1
    return " ".join(map(str, [*done, *([] if number is None else [number])]))


def _initials(wanted: str, words: Sequence[str]) -> bool:
    """Words in a row that begin with these letters; a digit may be its word too."""
    starts = [{each[0], NAMED.get(each, each[0])} for each in words]
    places = range(len(starts) - len(wanted) + 1)
    return any(all(letter in starts[at + of] for of, letter in enumerate(wanted)) for at in places)
