"""The whole loop from one file: `init` drafts it, `plan` says what it costs, `run` makes the card, `demo` shows how."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import typer

from surefoot.cli.console import Wanted, command_line, deliver, note, print_json, progress_bars, stdout
from surefoot.cli.options import (
    ClusterOption,
    DataArgument,
    DeviceOption,
    GroupsOption,
    IdOption,
    ImagesOption,
    JSONOption,
    JUnitOption,
    LedgerOption,
    OutOption,
    PullRequestOption,
    QuietOption,
    SplitOption,
    TargetOption,
    TrustOption,
    columns_of,
)
from surefoot.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from surefoot.study.engine.tasks import Task
    from surefoot.study.plan import Plan

__all__ = ["demo", "init", "plan", "run", "schema"]

Engine: TypeAlias = Literal["workers", "in_process", "ray"]

StudyArgument: TypeAlias = Annotated[
    Path, typer.Argument(metavar="STUDY", help="A study file in YAML; `surefoot init DATA` drafts one.")
]
WorkersOption: TypeAlias = Annotated[
    int | None, typer.Option("--workers", min=1, help="Worker processes; by default one per core.")
]
EngineOption: TypeAlias = Annotated[
    Engine, typer.Option("--engine", help="Compute in local worker processes, all in this one, or on a Ray cluster.")
]
AddressOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="HOST:PORT",
        help="The Ray cluster to join (with --engine ray); without, one of this machine is started for the run.",
    ),
]


TimeoutOption: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--cell-timeout",
        metavar="SECONDS",
        min=0.001,
        help="End a worker whose cell takes longer, and try the cell once more; by default a cell may take for ever.",
    ),
]


def run(
    study: StudyArgument,
    out: OutOption = Path("runs"),
    device: DeviceOption = "cpu",
    workers: WorkersOption = None,
    engine: EngineOption = "workers",
    address: AddressOption = None,
    cell_timeout: TimeoutOption = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", metavar="RUN", help="Go on with this run; refuse if the study changed.")
    ] = None,
    trust_code: TrustOption = False,
    ledger: LedgerOption = None,
    as_json: JSONOption = False,
    junit: JUnitOption = None,
    pull_request: PullRequestOption = None,
    quiet: QuietOption = False,
) -> int:
    """Run a study and make its card; what is finished already is not computed again."""
    wanted = Wanted(as_json, junit, pull_request, quiet)
    return _run(study, out, device, workers, engine, resume, trust_code, wanted, cell_timeout, address, ledger)


def demo(
    out: OutOption = Path("runs"),
    workers: WorkersOption = None,
    engine: EngineOption = "workers",
    as_json: JSONOption = False,
    quiet: QuietOption = False,
) -> int:
    """The main job on real digits: look, repair, look again, choose, judge, card. Exits 0 whatever the verdict."""
    if not (as_json or quiet):
        print("A small network learns to tell digits 2–5 from 6–9, with a shortcut that is right 98 % of the time.")
        print("surefoot shows where it fails, repairs it, and judges on digits that nothing has seen.\n")
    _run(demo_study(), out, "cpu", workers, engine, None, False, Wanted(as_json, None, None, quiet))
    return 0


def plan(
    study: StudyArgument,
    out: OutOption = Path("runs"),
    device: DeviceOption = "cpu",
    workers: WorkersOption = None,
    trust_code: TrustOption = False,
    as_json: JSONOption = False,
) -> int:
    """Say what a study will compute, how long that takes and how much memory, before anything runs."""
    from surefoot.study.plan import plan_study
    from surefoot.study.schema import load_study

    planned = plan_study(
        load_study(study), study.parent, out=out, workers=workers, device=device, trust_code=trust_code
    )
    if as_json:
        print_json(_plan_as_json(planned))
    else:
        _tell_plan(planned, study)
    return 0


def init(
    data: DataArgument,
    target: TargetOption = None,
    groups: GroupsOption = None,
    split: SplitOption = None,
    cluster: ClusterOption = None,
    id_column: IdOption = None,
    images: ImagesOption = None,
) -> int:
    """Draft a commented study for a data set, on stdout: surefoot init DATA > study.yaml"""
    from surefoot.study.draft import draft_study

    columns = columns_of(target, groups, split=split, cluster=cluster, identity=id_column, images=images)
    print(draft_study(data, columns, columns.read(data)), end="")
    return 0


def schema() -> int:
    """Print the JSON schema of study files, for editors that complete and check while you write."""
    import json

    from surefoot.study.schema import study_json_schema

    print(json.dumps(study_json_schema(), indent=1, ensure_ascii=False))
    return 0


def demo_study() -> Path:
    """The study of the demo: in a checkout it lies in studies/, in an installed package beside the code."""
    import surefoot

    package = Path(surefoot.__file__).parent
    for file in (package.parent.parent / "studies" / "digits.yaml", package / "studies" / "digits.yaml"):
        if file.is_file():
            return file
    raise InputError("The study of the demo, digits.yaml, is missing; install surefoot again.")


def _run(
    study: Path,
    out: Path,
    device: str,
    workers: int | None,
    engine: Engine,
    resume: Path | None,
    trust_code: bool,
    wanted: Wanted,
    cell_timeout: float | None = None,
    address: str | None = None,
    ledger: str | None = None,
) -> int:
    from surefoot.study.run import run_study
    from surefoot.study.schema import load_study

    read = load_study(study)
    with progress_bars(quiet=wanted.quiet) as progress:
        outcome = run_study(
            read,
            study.parent,
            out=out,
            engine=engine,
            workers=workers,
            address=address,
            cell_timeout=cell_timeout,
            device=device,
            trust_code=trust_code,
            resume=resume,
            command=command_line(),
            ledger=ledger,
            progress=progress,
        )
    for sentence in outcome.notes:
        note(sentence)
    told: list[str] = []
    if outcome.reused:
        reused, every = len(outcome.reused), len(outcome.reused) + len(outcome.computed)
        told.append(f"{reused} of {every} cells were finished already and used again.")
    seeds = outcome.card.record.seeds
    which = f"{outcome.card.chosen}/seed-{seeds[0]}" if outcome.card.chosen is not None and seeds else ""
    each = ", one a seed" if len(seeds) > 1 else ""
    told.append(f"The {'chosen model' if which else 'models'}: {outcome.folder / 'models' / which}{each}")
    return deliver(outcome.card, outcome.folder, wanted, extra=tuple(told))


def _plan_as_json(planned: "Plan") -> dict[str, Any]:
    return {
        "study": planned.study.study,
        "cells": len(planned.tasks),
        "finished": len(planned.finished),
        "workers": planned.workers,
        "seconds": round(planned.seconds, 1),
        "memory_bytes": planned.memory,
        "left": [
            {"cell": task.cell.title, "seconds": round(task.seconds, 2), "memory_bytes": task.memory}
            for task in planned.left()
        ],
    }


def _tell_plan(planned: "Plan", study: Path) -> None:
    from rich.table import Table
    from rich.text import Text

    from surefoot.card.words import show_count, show_seconds
    from surefoot.memory import human_bytes

    console = stdout()
    left = planned.left()
    console.print(
        f"{planned.study.study}: {show_count(len(planned.tasks), 'cell')}, {len(planned.finished)} finished, "
        f"{len(left)} to compute."
    )
    if left:
        table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
        table.add_column("work")
        for column in ("cells", "about", "memory of one"):
            table.add_column(column, justify="right")
        for work, tasks in _by_work(left).items():
            seconds, memory = sum(task.seconds for task in tasks), max(task.memory for task in tasks)
            table.add_row(Text(work), str(len(tasks)), show_seconds(seconds), human_bytes(memory))
        console.print()
        console.print(table)
        console.print()
        console.print(
            f"About {show_seconds(planned.seconds)} with {show_count(planned.workers, 'worker')}, "
            f"{human_bytes(planned.memory)} of memory at the peak. All cells: --json"
        )
    study_of = planned.study
    named = [] if study_of.candidates is None else [each.network for each in study_of.candidates.named.values()]
    own = any(each is not None and each.file is not None for each in (study_of.network, *named))
    code = " --trust-code" if own else ""
    console.print(f"Next: surefoot run {study}{code}", markup=False, soft_wrap=True)


def _by_work(tasks: "Sequence[Task]") -> "dict[str, list[Task]]":
    """Tasks by kind of work, and repairs by their method, in the order in which they come up."""
    found: dict[str, list[Task]] = {}
    for task in tasks:
        method = task.cell.spec.get("method")
        found.setdefault(task.cell.kind if method is None else f"{task.cell.kind}: {method}", []).append(task)
    return found
