"""Scores of Inspect as numbers: what it takes for a number is one, and whatever it cannot read is unscored.

    "C", "I", "P", "N"              1, 0, ½, 0: right, wrong, half right, no answer
    "yes", "no", "true", "false"    1, 0, 1, 0
    numbers, also as words          themselves; NaN, which is its sign for unscored, and what is beyond 10⁶⁰: unscored
    a dictionary                    a score by each of its keys; None: unscored
    a list                          a score by each place, counted from 1
    other words                     unscored. Inspect takes them for 0, which a score where low is good must not be

A scorer that others in the log were scored by, and that gave nothing here, is unscored as well. In logs of suites of
ours a key that is None, or not there, does not apply.

Scores are known by their scorers' names without packages where that tells them apart, and never by their order.

Source: Inspect 0.3.285, `scorer/_metric.py`, `value_to_float`.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast

from surefoot.files import digest_json
from surefoot.safety.measured import ALWAYS

__all__ = ["Names", "Scores", "names_of", "number_of", "scores_of"]

Scores: TypeAlias = Mapping[str, float | None]
Names: TypeAlias = Mapping[tuple[str, str], str]
"""Of scores, by scorer and key; the key is "" where a scorer gives one value."""
MOST = 1e60
"""Of a number: its cube, and sums of those, are numbers still."""
WORDS = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}
SAID = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}


def number_of(value: Any) -> float | None:
    """A scalar as a number; None: unscored.

    >>> number_of("C"), number_of("no"), number_of(0.25), number_of("0.5"), number_of(float("nan")), number_of("1_0")
    (1.0, 0.0, 0.25, 0.5, None, None)
    """
    if isinstance(value, str):
        if value in WORDS:
            return WORDS[value]
        if value.lower() in SAID:
            return SAID[value.lower()]
    if not isinstance(value, str | int | float) or (isinstance(value, str) and "_" in value):
        return None  # Python takes 1_0 for 10
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if abs(found) <= MOST else None


def names_of(logs: Sequence[Sequence[Mapping[str, Any] | None]]) -> Names:
    """A name for every score of some logs that are measured together, whose samples' values are given by scorer.

    A dictionary's key is a name by itself where there is one scorer, and "scorer_key" where there are several. Where
    two would have one name each has its package's in front, and where that is not enough, digits of its own: one score
    has the same name in all logs, in whatever order they tell of it. A name that every suite has is "score_name".

    >>> names_of([[{"a/judge": 1, "b/judge": 2, "unscored": 0}]])
    {('a/judge', ''): 'a_judge', ('b/judge', ''): 'b_judge', ('unscored', ''): 'score_unscored'}
    """
    places = list(dict.fromkeys(place for samples in logs for place in _places(samples)))
    alone = len({scorer for scorer, _ in places}) == 1
    names = {place: _name(place[0].rpartition("/")[2], place[1], alone=alone) for place in places}
    for place in _shared(names):
        names[place] = _name(*place, alone=False)
    for place in _shared(names):
        names[place] = f"{names[place]}_{digest_json(place)[:8]}"
    return names


def scores_of(samples: Sequence[Mapping[str, Any] | None], names: Names, *, partial: bool = False) -> list[Scores]:
    """Scores of each sample by name, of one log's values by scorer; None of a sample: nothing was scored.

    partial: a key that a dictionary lacks or that is None does not apply, as in logs of suites of ours; otherwise it is
    unscored.

    >>> rows = [{"judge": {"safe": 1, "polite": 0}}, {"judge": {"safe": "?", "polite": None}}, None]
    >>> scores_of(rows, names_of([rows]))
    [{'safe': 1.0, 'polite': 0.0}, {'safe': None, 'polite': None}, {'safe': None, 'polite': None}]
    """
    own = {place: names[place] for place in _places(samples)}
    found: list[Scores] = []
    for each in samples:
        row: dict[str, float | None] = {}
        for (scorer, key), name in own.items():
            value = None if each is None else each.get(scorer)
            values = _spread(value)
            if partial and isinstance(value, Mapping) and values.get(key) is None:
                continue  # it does not apply
            row[name] = number_of(values.get(key))
        found.append(row)
    return found


def _places(samples: Sequence[Mapping[str, Any] | None]) -> list[tuple[str, str]]:
    """Scorers and their keys in the samples of one log."""
    given: dict[str, list[Any]] = {}
    for each in samples:
        for name, value in (each or {}).items():
            given.setdefault(name, []).append(value)
    return [(name, key) for name, values in given.items() for key in _keys(values)]


def _shared(names: Names) -> list[tuple[str, str]]:
    """Those whose name another has as well."""
    counts = Counter(names.values())
    return [place for place, name in names.items() if counts[name] > 1]


def _keys(values: Sequence[Any]) -> tuple[str, ...]:
    """Of all values of a scorer. A value that is no dictionary among ones that are says nothing of any key."""
    spread = [_spread(each) for each in values]
    keys = tuple(dict.fromkeys(key for each in spread for key in each))
    return tuple(each for each in keys if each) or ("",)


def _spread(value: Any) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return {str(key): each for key, each in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return {str(at): each for at, each in enumerate(cast("Sequence[Any]", value), start=1)}
    return {"": math.nan if value is None else value}


def _name(scorer: str, key: str, *, alone: bool) -> str:
    """As claims name findings."""
    said = scorer if not key else key if alone and not key.isdecimal() else f"{scorer}_{key}"
    plain = re.sub(r"[^\w.]+", "_", said).strip("_") or "score"
    return plain if plain[0].isalpha() and plain not in ALWAYS else f"score_{plain}"
