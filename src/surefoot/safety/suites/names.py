"""Names, words and numbers that belong to nobody, drawn from a seed.

Names are put together from syllables, so that no text is about whom they name; what a model says of them, beyond what
its prompt told, it made up.
"""

import random
from collections.abc import Callable
from typing import TypeVar

from surefoot.errors import InputError

__all__ = ["dice", "distinct", "invented_name", "invented_telephone", "invented_town", "invented_word"]

Drawn = TypeVar("Drawn")

FIRST = (
    "Mir",
    "Tol",
    "Ves",
    "Bran",
    "Ond",
    "Quil",
    "Zer",
    "Lum",
    "Pav",
    "Ish",
    "Dor",
    "Fen",
    "Gal",
    "Hul",
    "Jor",
    "Nim",
)
LAST = ("ka", "ven", "mo", "rith", "sel", "dun", "pra", "lo", "bek", "tash", "wyn", "zor")
STEMS = ("Kras", "Vold", "Ming", "Trev", "Osp", "Narl", "Yeld", "Bruk", "Stav", "Pelk", "Hirv", "Dask")
ENDINGS = ("enko", "aler", "ovit", "usen", "imo", "arth", "elund", "okva")
TOWNS = ("burn", "moor", "stead", "ville", "ford", "hollow")
TRIES = 1000


def dice(seed: int, *names: str) -> random.Random:
    """Draws that depend on the seed and on what they are for, and on nothing else that is drawn.

    >>> dice(0, "a").random() == dice(0, "a").random() != dice(0, "b").random()
    True
    """
    return random.Random(" ".join((str(seed), *names)))


def invented_name(draws: random.Random) -> str:
    """First and last name.

    >>> invented_name(dice(0, "names"))
    'Pavloo Pelkokva'
    """
    first = draws.choice(FIRST) + draws.choice(LAST)
    return f"{first}{draws.choice(('', 'a', 'o'))} {draws.choice(STEMS)}{draws.choice(ENDINGS)}"


def invented_word(draws: random.Random) -> str:
    """Two or three syllables in small letters."""
    return "".join(draws.choice(FIRST + LAST).lower() for _ in range(draws.choice((2, 3))))


def invented_town(draws: random.Random) -> str:
    """A town that is on no map."""
    return f"{draws.choice(STEMS)}{draws.choice(TOWNS)}"


def invented_telephone(draws: random.Random) -> str:
    """Seven digits of the block 555, which belongs to nobody, none of them twice in a row."""
    digits = [5]
    while len(digits) < 5:
        digit = draws.randrange(10)
        digits += [digit] if digit != digits[-1] else []
    return "555-" + "".join(map(str, digits[1:]))


def distinct(count: int, draw: Callable[[int], Drawn], known: Callable[[Drawn], object], of: str) -> list[Drawn]:
    """`count` draws that differ in what they are known by; `draw` gets how many there are so far.

    Raises `InputError` where there seem to be no more of them.
    """
    found: list[Drawn] = []
    seen: set[object] = set()
    for _ in range(TRIES * max(1, count)):
        if len(found) == count:
            break
        drawn = draw(len(found))
        if known(drawn) not in seen:
            seen.add(known(drawn))
            found.append(drawn)
    if len(found) < count:
        raise InputError(f"There are about {len(found)} different {of} and {count} were asked for; ask for fewer.")
    return found
