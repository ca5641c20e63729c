"""Every repair of the last layer that a study, a contest and the command line can name."""

from difflib import get_close_matches
from typing import Any

from surefoot.errors import InputError
from surefoot.robust import (
    afr,
    balanced,
    dfr,
    disagreement,
    group_dro,
    reweighted,
    two_stage,
)
from surefoot.robust.method import Method
from surefoot.robust.softmax import head as softmax_head

__all__ = ["METHODS", "method_of"]

METHODS: tuple[Method[Any], ...] = (
    *balanced.METHODS,
    *dfr.METHODS,
    *afr.METHODS,
    *reweighted.METHODS,
    *group_dro.METHODS,
    *two_stage.METHODS,
    *disagreement.METHODS,
    *softmax_head.METHODS,
)


def method_of(name: str) -> Method[Any]:
    """The method of this name; raises `InputError` with the nearest known one.

    >>> method_of("rwg").fixed
    {'balance': 'groups', 'how': 'weights'}
    """
    known = [method.name for method in METHODS]
    if name not in known:
        near = get_close_matches(name, known, n=1)
        advice = f"did you mean {near[0]!r}?" if near else f"the methods are {', '.join(known)}."
        raise InputError(f"There is no repair {name!r}; {advice}")
    return METHODS[known.index(name)]
