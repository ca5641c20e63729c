"""The options of `surefoot reason` that ask a model which is there."""

from typing import Annotated, TypeAlias

import typer

from surefoot.study.seeds import LAST_SEED

__all__ = [
    "AtOnceOption",
    "BudgetsOption",
    "GraderOption",
    "InstructionOption",
    "KeyOption",
    "ModelsOption",
    "MostOption",
    "OneSeedOption",
    "ReadOption",
    "ServerOption",
    "TemperatureOption",
    "ThoughtMarksOption",
]

PANEL = "Asking a model that is there"

ModelsOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="MODEL",
        help="Train nothing and ask this one: smollm2, a Hugging Face folder, a GGUF file, a decoder’s folder; may be "
        "given again.",
        rich_help_panel=PANEL,
    ),
]
ServerOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--server",
        metavar="URL",
        help="Who serves the models, up to and with /v1: OpenAI’s chat completions.",
        rich_help_panel=PANEL,
    ),
]
KeyOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--key-from",
        metavar="VARIABLE",
        help="The environment variable that holds the server’s key.",
        rich_help_panel=PANEL,
    ),
]
AtOnceOption: TypeAlias = Annotated[
    int | None, typer.Option("--at-once", help="Requests to the server at one time: 1.", rich_help_panel=PANEL)
]
TemperatureOption: TypeAlias = Annotated[
    float | None, typer.Option("--temperature", help="Of attempts: 1.", rich_help_panel=PANEL)
]
MostOption: TypeAlias = Annotated[
    int | None, typer.Option("--most", help="Tokens of a completion: 256.", rich_help_panel=PANEL)
]
BudgetsOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--budgets",
        metavar="0,64,256",
        help="Tokens after which a thought is closed, each asked of every problem.",
        rich_help_panel=PANEL,
    ),
]
GraderOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--grader",
        metavar="NAME",
        help="Who says which of k is best: probability (the model’s own, per token), or none.",
        rich_help_panel=PANEL,
    ),
]
ReadOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--read",
        metavar="HOW",
        help="Where an answer is looked for: marked (behind ####), or last (else the last number).",
        rich_help_panel=PANEL,
    ),
]
InstructionOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--instruction",
        metavar="TEXT",
        help="What a chat model is told of the form of the answer, instead of what is usual here.",
        rich_help_panel=PANEL,
    ),
]
ThoughtMarksOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--thought-marks",
        metavar="OPEN,CLOSE",
        help="Other marks of thought than <think>,</think>.",
        rich_help_panel=PANEL,
    ),
]
OneSeedOption: TypeAlias = Annotated[
    int | None, typer.Option("--seed", min=0, max=LAST_SEED, help="Of attempts: 0.", rich_help_panel=PANEL)
]
