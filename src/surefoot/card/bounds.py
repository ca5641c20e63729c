"""Claims that can be judged at all: a bound inside the finding's range, a confidence worth having.

A bound at or beyond the end of what a number can be (accuracy ≥ 0, Brier score ≤ 25) holds, or fails, whatever the
model does; it is most often a slip of the unit (5 for 5 %). A claim at less than 50 % confidence passes by luck.
"""

import math
from typing import TYPE_CHECKING, Literal

from surefoot.card.words import finding_title, show_value
from surefoot.errors import InputError

if TYPE_CHECKING:
    from surefoot.card.claims import Claim

__all__ = ["LEAST_CONFIDENCE", "bound_of", "check_claim", "check_level", "range_of"]

LEAST_CONFIDENCE = 0.5
COSTS = ("milliseconds", "megaflops", "mebibytes")
SPREAD = "_seed_sd"
"""How the findings end that are standard deviations over training seeds."""


def check_claim(claim: "Claim", *, seeds: int | None = None) -> None:
    """Raise `InputError` for a claim that could never fail, or never hold, or that `seeds` trainings cannot judge.

    Needs no measurement, so that it can be asked before the work; what was measured is checked by `judge_claims`.
    """
    sign, bound = bound_of(claim)
    check_level(claim.confidence, f"The claim on {claim.finding} of {claim.subject}")
    low, high = range_of(claim.finding, difference=" − " in claim.subject)
    if not low < bound < high:
        raise InputError(_outside(claim, sign, bound, low, high))
    if seeds == 1 and claim.finding.endswith(SPREAD):
        raise InputError(
            f"The claim on {claim.finding} of {claim.subject} is about how far training seeds lie apart, and there is "
            "one seed; give two or more seeds, or leave the claim out."
        )


def check_level(confidence: float, what: str) -> None:
    """Raise `InputError` unless a confidence is at least 50 % and below 100 %."""
    if not LEAST_CONFIDENCE <= confidence < 1:
        raise InputError(f"{what} has confidence {confidence:g}; give a number from 0.5 to below 1, such as 0.95.")


def bound_of(claim: "Claim") -> tuple[Literal["at least", "at most"], float]:
    """Which way the claim points, and its bound."""
    if (claim.at_least is None) == (claim.at_most is None):
        given = "both at_least and at_most" if claim.at_least is not None else "neither at_least nor at_most"
        raise InputError(f"The claim on {claim.finding} of {claim.subject} gives {given}; give exactly one bound.")
    bound = claim.at_least if claim.at_least is not None else claim.at_most
    assert bound is not None
    if not math.isfinite(bound):
        raise InputError(
            f"The claim on {claim.finding} of {claim.subject} has the bound {bound}; give a finite number."
        )
    return ("at least" if claim.at_least is not None else "at most"), bound


def range_of(name: str, *, difference: bool) -> tuple[float, float]:
    """Between which numbers a finding always lies; of a difference, between which it can change.

    >>> range_of("brier", difference=False), range_of("accuracy", difference=True)
    ((0.0, 2.0), (-1.0, 1.0))
    """
    most = 2.0 if name == "brier" else 1.0 if is_proportion(name) else math.inf
    if difference or not (name in {"nll", "brier", *COSTS} or is_proportion(name)):
        return -most, most
    return 0.0, most


def is_proportion(name: str) -> bool:
    """Whether a finding of this name lies between 0 and 1: shares of rows, calibration errors, spreads of either."""
    return name.endswith(("accuracy", SPREAD)) or name.startswith("calibration_error") or "decodability" in name


def _outside(claim: "Claim", sign: str, bound: float, low: float, high: float) -> str:
    unit = "proportion" if is_proportion(claim.finding) else "nats" if claim.finding == "nll" else "score"
    signed = low < 0
    shown, *ends = (show_value(each, unit, signed=signed) for each in (bound, low, high))
    wont = "fail" if (sign == "at least") == (bound <= low) else "hold"
    between = f"between {ends[0]} and {ends[1]}" if math.isfinite(high) else f"above {ends[0]}"
    slip = f" ({bound:g} per cent is written {bound / 100:g})" if unit == "proportion" and 1 < abs(bound) <= 100 else ""
    return (
        f"The claim that {finding_title(claim.finding)} of {claim.subject} is {sign} {shown} can never {wont}, for it "
        f"always lies {between}; give a bound inside that range{slip}."
    )
