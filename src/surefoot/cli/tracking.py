"""`surefoot log`: cards in MLflow."""

from pathlib import Path
from typing import Annotated

import typer

from surefoot.cli.console import note, print_json, stdout
from surefoot.cli.options import JSONOption, QuietOption

__all__ = ["log"]


def log(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs, with their cards.")],
    to: Annotated[
        str, typer.Option("--to", metavar="URI", help="A tracking server's address, sqlite:///file, or a folder.")
    ],
    experiment: Annotated[
        str, typer.Option("--experiment", metavar="NAME", help="MLflow's experiment, made if need be.")
    ] = "surefoot",
    samples: Annotated[bool, typer.Option("--samples/--no-samples", help="What models wrote, too.")] = True,
    as_json: JSONOption = False,
    quiet: QuietOption = False,
) -> int:
    """Log cards to MLflow: numbers with intervals, claims, settings, pages and samples; each card once."""
    from surefoot.mlflow import log_card

    told: list[dict[str, object]] = []
    for run in runs:
        logged = log_card(run, to, experiment=experiment, samples=samples)
        told.append({"card": str(run), "run": logged.run, "state": logged.state, "cut": list(logged.cut)})
        if logged.cut and not quiet:
            note(f"{run}: too long for MLflow, and whole in card/card.json alone: {', '.join(logged.cut)}.")
        if not (as_json or quiet):
            said = f"{run}: {logged.state}, run {logged.run} of the experiment {logged.experiment}"
            stdout().print(said, markup=False, soft_wrap=True)
    if as_json:
        print_json({"experiment": experiment, "logged": told})
    return 0
