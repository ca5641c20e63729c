"""Suites by the names that they have as tasks of Inspect: those that need no file, toys, and published sets."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, cast

from surefoot.errors import InputError
from surefoot.safety.battery import OFFLINE, battery
from surefoot.safety.preparedness.toys.battery import toy_suites
from surefoot.safety.readers.bbq import bbq_suite
from surefoot.safety.readers.mmlu import mmlu_suite
from surefoot.safety.readers.simpleqa import simpleqa_suite
from surefoot.safety.readers.strongreject import strongreject_suite
from surefoot.safety.readers.wildchat import wildchat_suite
from surefoot.safety.readers.xstest import xstest_suite
from surefoot.safety.suite import Suite

__all__ = ["PUBLISHED", "named_suite", "published_suite"]

PUBLISHED: Mapping[str, Callable[[Path, int], Suite]] = {
    "xstest": lambda path, seed: xstest_suite(path),
    "strongreject": lambda path, seed: strongreject_suite(path),
    "simpleqa": lambda path, seed: simpleqa_suite(path),
    "bbq": lambda path, seed: bbq_suite(path, seed=seed),
    "wildchat": lambda path, seed: wildchat_suite(path),
    "mmlu": lambda path, seed: mmlu_suite(path, seed=seed),
}
"""Sets that are somebody's, of a file of one's own."""


def named_suite(name: str, size: str = "quick", seed: int = 0) -> Suite:
    """A suite that needs no file. size: "quick" or "full". Raises `InputError` for a name or size that is none.

    >>> named_suite("codeword").toy
    True
    """
    if name in OFFLINE:
        return battery([name], size=cast("Literal['quick', 'full']", size), seed=seed)[0]
    for each in toy_suites(size, seed):
        if each.name == name:
            return each
    raise InputError(f"There is no suite {name!r} that needs no file; give one of those of `surefoot safety`.")


def published_suite(name: str, path: str | Path, seed: int = 0) -> Suite:
    """A published set, of a file of one's own; raises `InputError` for none, and for what its reader refuses."""
    if name not in PUBLISHED:
        raise InputError(f"There is no published set {name!r}; give one of {', '.join(PUBLISHED)}.")
    if not str(path):
        raise InputError(f"The task {name} needs a file of your own of that set: -T path=FILE.")
    return PUBLISHED[name](Path(path), seed)
