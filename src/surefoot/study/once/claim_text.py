"""A claim as one line of text, the way it is typed at a prompt.

worst_group_accuracy >= 0.8                 the worst group is right at least 80 % of the time
accuracy[land, water] >= 75%                one group by its name
calibration_error of model <= 0.05          one model of several
worst_group_accuracy >= 0.8 at 99%          at another confidence than the card's
accuracy within 20ms >= 0.9                 of the best model that is quick enough (or: accuracy at 20 ms)
"""

import re

from surefoot.card.bounds import check_claim
from surefoot.card.claims import Claim
from surefoot.errors import InputError
from surefoot.study.budget import parse_budget

__all__ = ["parse_claim"]

CLAIM = re.compile(
    r"\s*(?P<finding>[A-Za-z_]\w*)\s*(?:\[(?P<slice>[^\]]+)\])?"
    r"(?:\s+of\s+(?P<subject>[^\s<>=≤≥]+)|\s+(?:within|at)\s+(?P<within>[^<>=≤≥]+?))?"
    r"\s*(?P<sign><=|>=|≤|≥|=<|=>|<|>|==?)\s*(?P<bound>[^\s%]+)\s*(?P<percent>%)?"
    r"(?:\s+at\s+(?P<confidence>[^\s%]+)\s*(?P<confidence_percent>%)?)?\s*"
)
EXAMPLE = 'write it like "worst_group_accuracy >= 0.8" or "accuracy[group name] >= 75%"'
AT_LEAST = {">=", "≥"}
AT_MOST = {"<=", "≤"}


def parse_claim(text: str, subject: str, confidence: float = 0.95) -> Claim:
    """The claim that `text` makes, of `subject` unless it names another; see the module's text for the grammar.

    Raises `InputError` saying which part of the text cannot be understood.

    >>> parse_claim("accuracy[land, water] >= 75%", "model").at_least
    0.75
    """
    found = CLAIM.fullmatch(text)
    if found is None:
        raise InputError(f'The claim "{text}" cannot be understood; {EXAMPLE}.')
    sign = found["sign"]
    if sign not in AT_LEAST | AT_MOST:
        raise InputError(f'The claim "{text}" uses "{sign}"; a claim is a bound: use >= or <=.')
    bound = _number(text, found["bound"], percent=found["percent"] is not None)
    if found["finding"].endswith("accuracy") and bound > 1:
        raise InputError(f'The claim "{text}" bounds a proportion by {bound:g}; write {bound / 100:g} or {bound:g}%.')
    if found["confidence"] is not None:
        confidence = _number(text, found["confidence"], percent=found["confidence_percent"] is not None)
    made = Claim(
        finding=found["finding"],
        subject=found["subject"] or subject,
        slice=(found["slice"] or "all").strip(),
        at_least=bound if sign in AT_LEAST else None,
        at_most=bound if sign in AT_MOST else None,
        confidence=confidence,
        within=None if found["within"] is None else parse_budget(found["within"]),
    )
    check_claim(made)
    return made


def _number(text: str, given: str, *, percent: bool) -> float:
    try:
        value = float(given)
    except ValueError:
        raise InputError(f'The claim "{text}" has "{given}" where a number belongs; {EXAMPLE}.') from None
    return value / 100 if percent else value
