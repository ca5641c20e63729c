"""The options of `surefoot reason` that teach a policy of one's own."""

from typing import Annotated, TypeAlias

import typer

__all__ = ["EpochsOption", "JudgeOption", "LearntOption", "RequestsOption", "VerdictsOption"]

PANEL = "Teaching a policy of one’s own"

RequestsOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--requests",
        metavar="FILE",
        help="A .csv or .jsonl of request, category and expected.",
        rich_help_panel=PANEL,
    ),
]
JudgeOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--judge",
        metavar="NAME",
        help="Who filters demonstrations: rules, a language model, or URL#MODEL of a server.",
        rich_help_panel=PANEL,
    ),
]
VerdictsOption: TypeAlias = Annotated[
    int | None, typer.Option("--verdicts", help="Of the judge on each demonstration.", rich_help_panel=PANEL)
]
LearntOption: TypeAlias = Annotated[
    int | None, typer.Option("--learnt", help="Requests that are learnt from, at most.", rich_help_panel=PANEL)
]
EpochsOption: TypeAlias = Annotated[
    int | None, typer.Option("--epochs", help="Passes over the demonstrations.", rich_help_panel=PANEL)
]
