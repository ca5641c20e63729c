"""A budget of time, as somebody writes it."""

import math
import re

from surefoot.errors import InputError

__all__ = ["parse_budget"]

BUDGET = re.compile(r"\s*(?P<value>[0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(?P<unit>us|µs|ms|s)\s*")
UNITS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0}


def parse_budget(text: str) -> float:
    """Seconds of a time such as "20ms", "0.5 s" or "800 us".

    Raises `InputError` for anything else.

    >>> parse_budget("20 ms"), parse_budget("0.5s")
    (0.02, 0.5)
    """
    found = BUDGET.fullmatch(text)
    seconds = math.nan if found is None else float(found["value"]) * UNITS[found["unit"]]
    if not 0 < seconds < math.inf:
        raise InputError(f'The budget "{text}" is no time; write it like 20ms, 0.5s or 800us.')
    return seconds
