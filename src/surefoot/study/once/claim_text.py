"""A claim as one line of text, the way it is typed at a prompt.

worst_group_accuracy >= 0.8                 the worst group is right at least 80 % of the time
accuracy[land, water] >= 75%                one group by its name
calibration_error of model <= 0.05          one model of several
accuracy of after - before >= 0.1           how much better one is than another, in tenths of its rows
worst_group_accuracy >= 0.8 at 99%          at another confidence than the card's
accuracy within 20ms >= 0.9                 of the best model that is quick enough (or: accuracy at 20 ms)
"""

import re
from difflib import get_close_matches

from surefoot.card.bounds import check_claim
from surefoot.card.claims import Claim
from surefoot.errors import InputError
from surefoot.flex.cost import COSTS
from surefoot.study.budget import parse_budget

__all__ = ["parse_claim", "refuse_unknown_finding"]

CLAIM = re.compile(
    r"\s*(?P<finding>[A-Za-z_][\w@.]*)\s*(?:\[(?P<slice>[^\]]+)\])?"
    r"(?:\s+of\s+(?P<subject>[^\s<>=≤≥]+(?:\s+[−-]\s+[^\s<>=≤≥]+)?)|\s+(?:within|at)\s+(?P<within>[^<>=≤≥]+?))?"
    r"\s*(?P<sign><=|>=|≤|≥|=<|=>|<|>|==?)\s*(?P<bound>[^\s%]+)\s*(?P<percent>%)?"
    r"(?:\s+at\s+(?P<confidence>[^\s%]+)\s*(?P<confidence_percent>%)?)?\s*"
)
BOTH = re.compile(r"\sof\s.*\s(?:within|at)\s.*[<>=≤≥]")
MEASURED = (
    "accuracy", "worst_group_accuracy", "nll", "brier", "calibration_error", "calibration_error_equal_mass", *COSTS,
)  # fmt: skip
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
    if found is None and BOTH.search(text):
        raise InputError(
            f'The claim "{text}" names a model and a budget; a budget chooses the model itself: leave one of them out.'
        )
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
        subject=re.sub(r"\s+[−-]\s+", " − ", found["subject"] or subject),
        slice=(found["slice"] or "all").strip(),
        at_least=bound if sign in AT_LEAST else None,
        at_most=bound if sign in AT_MOST else None,
        confidence=confidence,
        within=None if found["within"] is None else parse_budget(found["within"]),
    )
    check_claim(made)
    return made


def refuse_unknown_finding(claim: Claim) -> None:
    """Raise `InputError` for a finding that no card of a classifier has, before any work is done for it."""
    if claim.finding not in MEASURED:
        near = get_close_matches(claim.finding, MEASURED, n=1)
        advice = f"did you mean {near[0]!r}?" if near else f"the findings are {', '.join(MEASURED)}."
        raise InputError(f"A claim is made on {claim.finding!r}, which is not measured; {advice}")


def _number(text: str, given: str, *, percent: bool) -> float:
    try:
        value = float(given)
    except ValueError:
        raise InputError(f'The claim "{text}" has "{given}" where a number belongs; {EXAMPLE}.') from None
    return value / 100 if percent else value
