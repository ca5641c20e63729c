"""`surefoot monitor`: flag the thoughts of a safety run, have some read, and learn what the monitor is worth."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from surefoot.cli.attempt_options import AtOnceOption, KeyOption
from surefoot.cli.console import Wanted, command_line, deliver, note, progress_bars, silent_note, stdout
from surefoot.cli.options import (
    ClaimsOption,
    ConfidenceOption,
    JSONOption,
    JUnitOption,
    OutOption,
    PullRequestOption,
    QuietOption,
    SeedOption,
)
from surefoot.cli.redteaming import tell_sheets

if TYPE_CHECKING:
    from surefoot.study.once.monitored import MonitorPlan

__all__ = ["monitor"]

MOST = 256
"""Tokens of a judge's answer."""


def monitor(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run that surefoot safety made.")],
    words: Annotated[
        Path | None,
        typer.Option("--words", metavar="FILE", help="Phrases that flag a thought, one a line; [name] heads a rule."),
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(
            "--judge",
            metavar="URL#MODEL",
            help="A served model that is asked of each thought, or smollm2 and the like.",
        ),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", metavar="FILE", help="The sheet that this command wrote, filled in.")
    ] = None,
    audit: Annotated[
        int, typer.Option("--audit", min=1, metavar="N", help="Unflagged thoughts on the sheet, drawn at random.")
    ] = 50,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE.csv", help="Where the sheet goes; else beside the card.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="NAME", help="Whose thoughts, where the run has several models.")
    ] = None,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Show misses and false alarms on the page as they are.")
    ] = False,
    key_from: KeyOption = None,
    at_once: AtOnceOption = None,
    claim: ClaimsOption = None,
    confidence: ConfidenceOption = 0.95,
    seed: SeedOption = 0,
    out: OutOption = Path("runs"),
    as_json: JSONOption = False,
    junit: JUnitOption = None,
    pull_request: PullRequestOption = None,
    quiet: QuietOption = False,
) -> int:
    """Which thoughts does a monitor flag, how often is it right, and how much does it miss?

    The first call flags thoughts and writes a sheet: all flagged ones and some of the others, for a person to label.
    The same command with --labels then tells sensitivity, specificity and prevalence. A monitor sees thoughts alone.
    """
    from surefoot.study.once.monitored import monitor_run

    talkative = not (as_json or quiet)
    plan = _plan(words, judge, key_from, at_once or 1, model, audit, reveal=reveal)
    with progress_bars(quiet=quiet) as progress:
        found = monitor_run(
            run, plan, labels=labels, to=to, seed=seed, claims=claim or (), confidence=confidence, out=out,
            command=command_line(), say=note if talkative else silent_note, progress=progress,
        )  # fmt: skip
    code = deliver(found.kept.card, found.kept.folder, Wanted(as_json, junit, pull_request, quiet=True))
    if talkative:
        tell_sheets(found.kept.card, found.kept.folder)
        if found.sheet is not None:
            stdout().print(
                f"The sheet to be read: {found.sheet} ({found.rows} thoughts; write yes or no under should_flag), then "
                "the same command with --labels and that file.",
                markup=False,
                soft_wrap=True,
            )
    return code


def _plan(
    words: Path | None, judge: str | None, key_from: str | None, at_once: int, model: str | None, audit: int, *,
    reveal: bool,
) -> "MonitorPlan":  # fmt: skip
    from surefoot.cli.asked_model import chat_model, served_model
    from surefoot.errors import InputError
    from surefoot.safety.monitors import RULES, RuleMonitor, read_words
    from surefoot.study.once.attempt_forms import AS_TRAINED
    from surefoot.study.once.monitored import MonitorPlan

    if words is not None and judge is not None:
        raise InputError("Both --words and --judge were given; a monitor is one of them.")
    if judge is None:
        rules = RULES if words is None else read_words(words)
        told = f"{sum(map(len, rules.values()))} phrases {'of surefoot' if words is None else f'of {words.name}'}"
        return MonitorPlan(RuleMonitor.of(rules), told, model, audit, reveal)
    if judge.startswith(("http://", "https://")):
        url, _, name = judge.partition("#")
        if not name:
            raise InputError(f"--judge is {judge}, which names no model; give URL#MODEL.")
        asked = served_model(name, url, AS_TRAINED, MOST, key_from=key_from, at_once=at_once)
    else:
        asked = chat_model(judge, AS_TRAINED, MOST)
    return MonitorPlan(asked, f"the model {asked.name}", model, audit, reveal)
