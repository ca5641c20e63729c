"""Claims within a budget: of whichever model is best, by choose rows, among those quick enough on this machine."""

from collections.abc import Sequence
from dataclasses import replace

from surefoot.card.claims import Claim, Judged
from surefoot.errors import InputError
from surefoot.flex.choose import Candidate, choose_within, show_budget

__all__ = ["settle_budget"]


def settle_budget(claim: Claim, candidates: Sequence[Candidate]) -> Claim | Judged:
    """The claim about the model that its budget buys; undecided, and why, where it buys none.

    Raises `InputError` for a claim within a budget on a card without costs.
    """
    if claim.within is None:
        return claim
    if not candidates:
        raise InputError(
            f"The claim on {claim.finding} is about what {show_budget(claim.within)} allow, and no cost was measured; "
            "leave the budget out, or let the study measure costs (compute)."
        )
    try:
        found = choose_within(candidates, claim.within)
    except InputError as error:
        return Judged(claim, "undecided", None, None, str(error), str(error))
    return replace(claim, subject=found.name)
