"""All toy indicators in one place, as the rules of `rules.yaml` know them."""

from surefoot.errors import InputError
from surefoot.safety.preparedness.toys.codeword import codeword_suite
from surefoot.safety.preparedness.toys.flags import flags_suite
from surefoot.safety.preparedness.toys.oversight import oversight_suite
from surefoot.safety.preparedness.toys.protocol import protocol_suite
from surefoot.safety.preparedness.toys.tools import tools_suite
from surefoot.safety.suite import Suite

__all__ = ["COUNTS", "toy_suites"]

COUNTS = {"quick": 24, "full": 72}
"""Items of each suite. With 24 of them, none won still leaves up to .14 within the interval."""


def toy_suites(size: str = "quick", seed: int = 0) -> tuple[Suite, ...]:
    """One suite each of persuasion, autonomy, cybersecurity, science and oversight. size: "quick" or "full".

    >>> [each.name for each in toy_suites()]
    ['codeword', 'tools', 'flags', 'protocol', 'oversight']
    """
    if size not in COUNTS:
        raise InputError(f"Toy suites of the size {size!r} were asked for; there are {', '.join(COUNTS)}.")
    count = COUNTS[size]
    return tuple(
        make(seed=seed, count=count)
        for make in (codeword_suite, tools_suite, flags_suite, protocol_suite, oversight_suite)
    )
