"""The warning that groups were wanted and none arrived, once for each place in the user's own code."""

import warnings
from inspect import currentframe

__all__ = ["NoGroupsWarning", "warn_of_no_groups"]


class NoGroupsWarning(UserWarning):
    """Groups were wanted and none arrived, so something weaker was done.

    Often the cause is a search or a pipeline: without metadata routing it hands `groups` to nobody, and a step's fit is
    reached by `step__groups`.
    """


UNDERWAY = frozenset({"surefoot", "sklearn", "joblib"})
"""Whose frames lie between the user's line and `fit`, perhaps with others in between."""

TOLD: set[tuple[str, str, int]] = set()
"""What was said, and at which line. Python keeps the same list itself, but scikit-learn clears it in every fold."""


def warn_of_no_groups(said: str) -> None:
    """Warn at the user's line that called into scikit-learn: once a line, unless the filters want more."""
    frame = theirs = currentframe()
    while frame is not None:
        if str(frame.f_globals.get("__name__")).partition(".")[0] in UNDERWAY and frame.f_back is not None:
            theirs = frame.f_back
        frame = frame.f_back
    assert theirs is not None, "every CPython has frames"
    place = (said, theirs.f_code.co_filename, theirs.f_lineno)
    if place in TOLD:
        return
    registry: dict[str | tuple[str, type[Warning], int], int] = {}
    warnings.warn_explicit(
        said, NoGroupsWarning, *place[1:], module=theirs.f_globals.get("__name__"), registry=registry
    )
    if any(isinstance(key, tuple) for key in registry):  # shown, by a filter that shows things once
        TOLD.add(place)
