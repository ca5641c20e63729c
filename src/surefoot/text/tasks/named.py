"""Tasks by name, for the command line and for records: "parity-16" is parity of 16 bits."""

from surefoot.errors import InputError
from surefoot.text.tasks.addition import Addition
from surefoot.text.tasks.chains import ModularChain
from surefoot.text.tasks.countdown import Countdown
from surefoot.text.tasks.expressions import Expressions
from surefoot.text.tasks.parity import Parity
from surefoot.text.tasks.task import Task

__all__ = ["TASK_SIZES", "task_named"]

TASK_SIZES = {"parity": 16, "chain": 8, "addition": 3, "expression": 3, "countdown": 3}
"""The kinds of task, and the size of each where none is said: bits, steps, digits, operations, numbers."""


def task_named(named: str, size: int | None = None) -> Task:
    """The task of a kind and a size: "parity-16", or "parity" and 16, or "parity" alone for its usual size.

    Raises `InputError` for a kind that there is not, a size that is no number, and two sizes.

    >>> task_named("parity-16").name, task_named("chain", 5).name, task_named("countdown").name
    ('parity-16', 'chain-5', 'countdown-3')
    """
    kind, dash, said = named.partition("-")
    if kind not in TASK_SIZES or (dash and not (said.isascii() and said.isdecimal() and len(said) < 5)):
        usual = ", ".join(f"{each}-{number}" for each, number in TASK_SIZES.items())
        raise InputError(f'There is no task "{named}"; give one of {usual}, with another number for another size.')
    if said and size is not None:
        raise InputError(f'The task "{named}" has its size in its name, and {size} was given beside it; give one.')
    number = int(said) if said else TASK_SIZES[kind] if size is None else size
    match kind:
        case "parity":
            return Parity(number)
        case "chain":
            return ModularChain(number)
        case "addition":
            return Addition(number)
        case "expression":
            return Expressions(number)
        case _:
            return Countdown(number)
