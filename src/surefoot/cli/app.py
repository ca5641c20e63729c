"""The commands of `surefoot` and what becomes of their errors.

Exit codes: 0 passed, 10 failed, 11 undecided, 2 wrong input or usage, 130 stopped by the user, 1 a fault of
ours. Wrong input is one sentence on stderr; only a fault of ours leaves a traceback, in a file.
"""

import os
import shlex
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

from surefoot import __version__
from surefoot.cli import (
    blinding,
    choosing,
    discovering,
    doctor,
    exporting,
    features,
    flexing,
    inspecting,
    measuring,
    monitoring,
    probing,
    reading,
    reasoning,
    records,
    redteaming,
    releasing,
    repairing,
    safety,
    sampling,
    storing,
    studies,
    teaching,
    tracking,
    view,
)
from surefoot.cli.console import join_command
from surefoot.errors import InputError

__all__ = ["app", "main"]

WRONG_INPUT = 2
FAULT = 1
STOPPED = 130
NOBODY_LISTENS = 141

app = typer.Typer(
    name="surefoot",
    help="Find where a trained model fails, repair it, and decide on evidence whether it may ship.",
    epilog=(
        "Start with `surefoot demo`. Exit codes: 0 passed, 10 failed, 11 undecided, 2 wrong input or usage, "
        "1 a fault of ours."
    ),
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

WHOLE_LOOP = "The whole loop, from one file"
ONE_STEP = "One step of it"
AFTERWARDS = "Afterwards"

app.command("demo", rich_help_panel=WHOLE_LOOP)(studies.demo)
app.command("init", rich_help_panel=WHOLE_LOOP)(studies.init)
app.command("plan", rich_help_panel=WHOLE_LOOP)(studies.plan)
app.command("run", rich_help_panel=WHOLE_LOOP)(studies.run)
app.command("schema", rich_help_panel=WHOLE_LOOP)(studies.schema)
app.command("rows", rich_help_panel=ONE_STEP)(reading.rows)
app.command("look", rich_help_panel=ONE_STEP)(measuring.look)
app.command("card", rich_help_panel=ONE_STEP)(measuring.card)
app.command("discover", rich_help_panel=ONE_STEP)(discovering.discover)
app.command("features", rich_help_panel=ONE_STEP)(features.features)
app.command("repair", rich_help_panel=ONE_STEP)(repairing.repair)
app.command("choose", rich_help_panel=ONE_STEP)(choosing.choose)
app.command("teach", rich_help_panel=ONE_STEP)(teaching.teach)
app.command("flex", rich_help_panel=ONE_STEP)(flexing.flex)
app.command("reason", rich_help_panel=ONE_STEP)(reasoning.reason)
app.command("safety", rich_help_panel=ONE_STEP)(safety.safety)
app.command("redteam", rich_help_panel=ONE_STEP)(redteaming.redteam)
app.command("monitor", rich_help_panel=ONE_STEP)(monitoring.monitor)
app.add_typer(blinding.blind, name="blind", rich_help_panel=ONE_STEP)
app.command("sample", rich_help_panel=ONE_STEP)(sampling.sample)
app.command("probe", rich_help_panel=ONE_STEP)(probing.probe)
app.command("predict", rich_help_panel=ONE_STEP)(measuring.predict)
app.command("inspect", rich_help_panel=ONE_STEP)(inspecting.inspect)
app.command("export", rich_help_panel=ONE_STEP)(exporting.export)
app.command("view", rich_help_panel=AFTERWARDS)(view.view)
app.command("history", rich_help_panel=AFTERWARDS)(records.history)
app.command("diff", rich_help_panel=AFTERWARDS)(records.diff)
app.command("gate", rich_help_panel=AFTERWARDS)(records.gate)
app.command("release", rich_help_panel=AFTERWARDS)(releasing.release)
app.command("sign", rich_help_panel=AFTERWARDS)(records.sign)
app.command("store", rich_help_panel=AFTERWARDS)(storing.store)
app.command("log", rich_help_panel=AFTERWARDS)(tracking.log)
app.command("doctor", rich_help_panel=AFTERWARDS)(doctor.doctor)

EXAMPLES = {
    "card": "predictions.csv",
    "choose": "data.csv --target label",
    "diff": "runs/before runs/after",
    "discover": "predictions.csv",
    "export": "runs/my-run/model",
    "features": "resnet18 images/ --out features.safetensors",
    "flex": "images/ --budget 20ms",
    "gate": "runs/my-run",
    "inspect": "logs/my-task.eval",
    "log": "runs/my-run --to http://127.0.0.1:5000",
    "look": "runs/my-run/model data.csv",
    "monitor": "runs/safety-my-run",
    "plan": "study.yaml",
    "predict": "runs/my-run/model data.csv",
    "probe": "features.npz",
    "reason": "parity-16",
    "redteam": "smollm2 --budget 120",
    "release": "release.yaml",
    "repair": "features.npz",
    "rows": "data.csv",
    "run": "study.yaml",
    "safety": "smollm2 --quick",
    "sample": "runs/my-run/model data.csv",
    "sign": "runs/my-run --as NAME",
    "store": "check",
    "teach": "data.csv --weak labels.csv",
}
"""What stands behind a command that needs something."""


def _show_version(wanted: bool) -> bool:
    if wanted:
        print(f"surefoot {__version__}")
        raise typer.Exit(0)
    return wanted


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Find where a trained model fails, repair it, and decide on evidence whether it may ship."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; `arguments` default to those of the process."""
    # A spinning thread that waits for a busy core slows every product many times over; torch reads this once.
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if "TORCHELASTIC_RUN_ID" in os.environ and (processes := int(os.environ.get("WORLD_SIZE", "1"))) > 1:
        return _of_several(processes, given)
    try:
        code: Any = typer.main.get_command(app).main(given, prog_name="surefoot", standalone_mode=False)
        sys.stdout.flush()
    except InputError as error:
        return _say(f"{error}{_again(error, given)}", WRONG_INPUT)
    except TyperException as error:
        return _say(f"{_usage(error, given)} Try: surefoot {_command_of(given)}--help", WRONG_INPUT)
    except (KeyboardInterrupt, typer.Abort):
        return _say(_stopped(given), STOPPED)
    except (BrokenPipeError, SystemExit):  # typer turns the first into the second
        # The reader of our output has left (`surefoot history | head`), and with it the verdict: not a pass.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NOBODY_LISTENS
    except Exception as error:
        # torch has no error of its own for a full memory of the machine.
        if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
            return _say("The memory is full; give fewer rows, or run where more memory is free.", WRONG_INPUT)
        return _say(_fault(error, given), FAULT)
    if code == STOPPED:
        return _say(_stopped(given), STOPPED)
    return int(code or 0)


def _say(sentence: str, code: int) -> int:
    print(f"surefoot: {sentence}", file=sys.stderr)
    return code


def _of_several(processes: int, given: Sequence[str]) -> int:
    """Several processes would write one folder: none of them works, and the first one says so."""
    if os.environ.get("RANK", "0") != "0":
        return WRONG_INPUT
    return _say(
        f"torchrun started {processes} processes, and a command is one that writes its own folder; call surefoot "
        f"{shlex.join(given)} without torchrun, or train from a script with ascend(…, together=together) "
        "(surefoot.inference.together).",
        WRONG_INPUT,
    )


def _again(error: InputError, given: Sequence[str]) -> str:
    """The same command with the options that an error asks for, ready to paste; "" where it asks for none."""
    add: tuple[str, ...] = getattr(error, "add", ())
    if not add:
        return ""
    dropped = {getattr(error, "drop", None), *(word for word in add if word.startswith("--"))}
    kept: list[str] = []
    words = iter(given)
    for word in words:
        if word in dropped:
            next(words, None)
        elif word.partition("=")[0] not in dropped:
            kept.append(word)
    return f" Try: surefoot {shlex.join([*kept, *add])}"


def _usage(error: TyperException, given: Sequence[str]) -> str:
    """What is wrong with a command line, as a sentence, with an example where something is missing."""
    said = " ".join(error.format_message().split()).rstrip(".")
    example = EXAMPLES.get(given[0], "") if said.startswith("Missing argument") else ""
    if example:
        said += f"; {given[0]} is called like this: surefoot {given[0]} {example}"
    return said if said.endswith("?") else f"{said}."


def _command_of(given: Sequence[str]) -> str:
    known = {each.name for each in (*app.registered_commands, *app.registered_groups)}
    return f"{given[0]} " if given and given[0] in known else ""


def _stopped(given: Sequence[str]) -> str:
    if given and given[0] in {"run", "demo", "choose", "teach", "flex", "reason", "safety", "redteam", "monitor"}:
        return (
            "stopped. Everything that was finished is kept; to go on from there, give the same command again: "
            f"surefoot {shlex.join(given)}"
        )
    if given and given[0] == "sample":
        return (
            "stopped. The draws up to the last checkpoint are kept; to go on from there, give the same command again: "
            f"surefoot {shlex.join(given)}"
        )
    if given and (given[0] == "features" or "--model" in given or any(each.startswith("--model=") for each in given)):
        return (
            "stopped. The features that were taken are kept; to go on from there, give the same command again: "
            f"surefoot {shlex.join(given)}"
        )
    return "stopped. No half-written file was left behind."


def _fault(error: Exception, given: Sequence[str]) -> str:
    import tempfile
    import traceback

    if "surefoot.study.engine.tasks" in sys.modules:
        from surefoot.study.engine.tasks import StudyFault

        if isinstance(error, StudyFault):
            return f"{error} What was finished is kept. If the fault is not in your own code, please open an issue."
    told = "".join(traceback.format_exception(error))
    summary = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    heading = f"surefoot {__version__}, Python {sys.version}\ncommand: {join_command(given)}\n\n"
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="surefoot-fault-", suffix=".txt", delete=False, encoding="utf-8"
        ) as written:
            written.write(heading + told)
    except OSError:
        return f"this is a fault of surefoot, not of yours ({summary}). No file could be written; here it is:\n{told}"
    return (
        f"this is a fault of surefoot, not of yours ({summary}). The traceback is in {written.name}; please open "
        "an issue with that file and the output of: surefoot doctor"
    )
