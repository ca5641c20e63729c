"""How long work reports itself, without knowing who listens.

Core functions take `progress: Progress = silent` and call it; the command line passes one that draws a bar.
"""

from typing import Protocol, runtime_checkable

__all__ = ["Progress", "silent", "unheard"]


@runtime_checkable
class Progress(Protocol):
    """Called with a stage name, how many of its units are done, and how many there are.

    What follows ": " in a stage's name says where the same stage has come to.
    """

    def __call__(self, stage: str, done: int, total: int) -> None: ...


def silent(stage: str, done: int, total: int) -> None:
    """Report nothing."""


def unheard(line: str) -> None:
    """Tell nobody a line: what roads that explain themselves do where nobody asked to hear it."""
