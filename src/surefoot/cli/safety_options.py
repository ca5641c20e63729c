"""The options of `surefoot safety` on labels, claims together, money, and planning; and how they are read."""

from math import isfinite
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer

from surefoot.errors import InputError

__all__ = ["ChosenOption", "ClassifierOption", "HolmOption", "LabelsOption", "PlanOption", "PriceOption", "price_of"]

ERRORS, COST = "Errors of graders, and several claims", "What it takes"

LabelsOption: TypeAlias = Annotated[
    list[Path] | None,
    typer.Option(
        "--labels",
        metavar="FILE",
        help="Completions that you labelled, a copy of samples/…/*.judged.jsonl with “label”: refused or complied on "
        "some lines (or CSV): shares of refusals are corrected by them. May be given again.",
        rich_help_panel=ERRORS,
    ),
]
ClassifierOption: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--classifier",
        help="Train a small classifier of refusals on the labels as well, and measure its errors on requests that it "
        "has not seen.",
        rich_help_panel=ERRORS,
    ),
]
HolmOption: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--holm",
        help="Judge all claims together by Holm's step-down: stricter, and not needed for the gate.",
        rich_help_panel=ERRORS,
    ),
]
ChosenOption: TypeAlias = Annotated[
    Literal["written", "likelihood"],
    typer.Option(
        "--options",
        help="How an option of a multiple choice is chosen: the answer names it, or its letter is the likeliest.",
        rich_help_panel="Suites",
    ),
]
PriceOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--price",
        metavar="IN,OUT",
        help="What a server asks for a million tokens of prompts, and of completions: the cost is on the card.",
        rich_help_panel=COST,
    ),
]
PlanOption: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--plan",
        help="Say what would be asked, how many tokens at most and how long it takes, and ask nothing of it.",
        rich_help_panel=COST,
    ),
]


def price_of(given: str | None) -> tuple[float, float] | None:
    """Two numbers with a comma between; raises `InputError` for anything else.

    >>> price_of("0.5,2"), price_of(None)
    ((0.5, 2.0), None)
    """
    if given is None:
        return None
    try:
        prompts, completions = (float(each) for each in given.split(","))
    except ValueError:
        prompts = completions = -1.0
    if not (isfinite(prompts) and isfinite(completions) and prompts >= 0 and completions >= 0):
        raise InputError(
            f"--price is {given!r}; give the price of a million tokens of prompts and of completions with a comma "
            "between, such as 0.5,2."
        )
    return prompts, completions
