"""Scores of Inspect as numbers: what it takes for a number is one, and whatever it cannot read is unscored.

    "C", "I", "P", "N"              1, 0, ½, 0: right, wrong, half right, no answer
    "yes", "no", "true", "false"    1, 0, 1, 0
    numbers, also as words          themselves; NaN, which is its sign for unscored, and infinities: unscored
    a dictionary                    a score by each of its keys; None: does not apply
    a list                          a score by each place, counted from 1
    other words                     unscored. Inspect takes them for 0, which a score where low is good must not be

A scorer that others in the log were scored by, and that gave nothing here, is unscored as well.

Source: Inspect 0.3.285, `scorer/_metric.py`, `value_to_float`.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast

__all__ = ["Scores", "number_of", "scores_of"]

Scores: TypeAlias = Mapping[str, float | None]
WORDS = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}
SAID = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}


def number_of(value: Any) -> float | None:
    """A scalar as a number; None: unscored.

    >>> number_of("C"), number_of("no"), number_of(0.25), number_of("0.5"), number_of(float("nan")), number_of("blue")
    (1.0, 0.0, 0.25, 0.5, None, None)
    """
    if isinstance(value, str):
        if value in WORDS:
            return WORDS[value]
        if value.lower() in SAID:
            return SAID[value.lower()]
    if not isinstance(value, str | int | float):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def scores_of(samples: Sequence[Mapping[str, Any] | None], *, partial: bool = False) -> list[Scores]:
    """Scores of each sample by name, of values by scorer; None of a sample: nothing was scored.

    partial: a key that a dictionary lacks does not apply, as in logs of suites of ours; otherwise it is unscored.

    A dictionary's key is a name by itself where there is one scorer, and "scorer_key" where there are several.

    >>> scores_of([{"judge": {"safe": 1, "polite": None}}, {"judge": {"safe": "?"}}, None])
    [{'safe': 1.0}, {'safe': None, 'polite': None}, {'safe': None, 'polite': None}]
    """
    scorers = list(dict.fromkeys(name for each in samples if each for name in each))
    keys = {name: _keys([each[name] for each in samples if each and name in each]) for name in scorers}
    plain = {(name, key): _name(name, key, alone=len(scorers) == 1) for name in scorers for key in keys[name]}
    taken: dict[str, int] = {}
    for place, name in plain.items():
        taken[name] = taken.get(name, 0) + 1
        if taken[name] > 1:
            plain[place] = f"{name}_{taken[name]}"
    found: list[Scores] = []
    for each in samples:
        row: dict[str, float | None] = {}
        for (scorer, key), name in plain.items():
            given = None if each is None else each.get(scorer)
            values = _spread(given)
            lacking = partial and isinstance(given, Mapping) and key not in values
            if lacking or (given is not None and values.get(key, math.nan) is None):
                continue  # it does not apply
            row[name] = number_of(values.get(key))
        found.append(row)
    return found


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
    """As claims name findings: a scorer's own name without its package."""
    own = scorer.rpartition("/")[2]
    said = own if not key else key if alone and not key.isdecimal() else f"{own}_{key}"
    plain = re.sub(r"[^\w.]+", "_", said).strip("_") or "score"
    return plain if plain[0].isalpha() else f"score_{plain}"
