"""Running a study: plan, compute what is missing, judge, write the card, keep it in the ledger.

<out>/cells/                           finished cells, shared by all studies of this folder
<out>/<study>/<twelve digits>/         one run: study.json, cells.json, card.json, card.html, card.md, models/
                                       and cells.log, which says what ran where on a Ray cluster
<out>/ledger.sqlite                    every run, and how often each judge set was used (or where --ledger says)
"""

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias

from surefoot.card.card import Card
from surefoot.card.ledger import Ledger, RunRow, ledger_of
from surefoot.card.serialise import card_digest
from surefoot.card.write import write_card
from surefoot.errors import InputError
from surefoot.files import digest_json, read_json, write_json
from surefoot.progress import Progress, silent
from surefoot.study.again import told_again, ways_that_differ
from surefoot.study.at_work import at_work
from surefoot.study.engine import in_process, ray_cluster
from surefoot.study.engine import workers as worker_processes
from surefoot.study.engine.tasks import Report
from surefoot.study.graph import graph_of
from surefoot.study.judged import Judging, judge_digest, make_card, write_models
from surefoot.study.needed import write_needed
from surefoot.study.once.marks import marks_of_rows
from surefoot.study.plan import Plan, plan_study
from surefoot.study.shape import Study
from surefoot.study.store import Store, open_store
from surefoot.study.stored import load_rows
from surefoot.study.upkeep import remove_half_written

__all__ = ["Engine", "Outcome", "run_folder", "run_study"]

Engine: TypeAlias = Literal["workers", "in_process", "ray"]


@dataclass(frozen=True)
class Outcome:
    """A finished study. computed, reused: addresses of its cells. notes: sentences worth telling the user."""

    card: Card
    folder: Path
    computed: tuple[str, ...]
    reused: tuple[str, ...]
    notes: tuple[str, ...]


def run_study(
    study: Study,
    folder: Path = Path(),
    *,
    out: Path = Path("runs"),
    engine: Engine = "workers",
    workers: int | None = None,
    address: str | None = None,
    cell_timeout: float | None = None,
    device: str = "cpu",
    product: str | None = None,
    trust_code: bool = False,
    resume: Path | None = None,
    progress: Progress = silent,
    command: str = "",
    ledger: str | None = None,
) -> Outcome:
    """Run `study`, whose paths are relative to `folder`; finished cells below `out` are reused.

    engine: local worker processes (in this process where one would be enough), always in this process, or a Ray
    cluster whose nodes all see `out`; the numbers are the same. workers: how many; by default one per core. address:
    "host:port" of a Ray cluster to join, without which one of this machine is started and ended. cell_timeout: seconds
    after which the worker of a cell is killed and the cell tried once more; then the run ends. resume: the folder of an
    earlier run that must be of this very study; `out` is then the folder it lies in. ledger: an address or a file, in
    place of the one in `out` (`ledger_of`).

    Raises `InputError` for wrong input, a study that changed since the run to resume was started, and folders that
    cannot be written; `StudyFault` when a cell fails through no fault of the input. What was finished is kept.
    """
    began = time.perf_counter()
    started: Mapping[str, Any] = {}
    if resume is not None:
        started = _check_unchanged(study, resume)
        out, product = Path(os.path.normpath(resume / ".." / "..")), str(started["product"])
    if cell_timeout is not None and (engine == "in_process" or cell_timeout <= 0):
        raise InputError("A limit for the time of a cell is seconds above 0, and needs the engine of worker processes.")
    if address is not None and engine != "ray":
        raise InputError("An address of a cluster was given; it needs the engine ray (--engine ray).")
    store = open_store(out)
    with at_work(store.folder, lambda: remove_half_written(out / study.study)):
        plan = plan_study(
            study,
            folder,
            out=out,
            workers=workers,
            device=device,
            product=product,
            trust_code=trust_code,
            checksums=True,
        )
        place = run_folder(plan, out)
        if resume is not None and place.name != resume.resolve().name:
            by = ways_that_differ(started, plan.numerics)
            why = f"was started by {by}" if by else "was started with other data, or other code of your own"
            raise InputError(f"{resume} {why}; run without --resume, and every unchanged cell is reused.")
        write_json(place / "study.json", {"study": study.canonical(), "numerics": dict(plan.numerics)})
        write_needed(place, (task.cell.address for task in plan.tasks))
        left = frozenset(task.cell.address for task in plan.left())
        notes = [*_remove_damaged(plan, store), *told_again([task.cell for task in plan.tasks], left, store)]
        try:
            if engine == "ray":
                report = ray_cluster.run_cells(
                    plan.left(),
                    store,
                    workers=workers,
                    address=address,
                    log=place / ray_cluster.LOG,
                    cell_timeout=cell_timeout,
                    progress=progress,
                )
            else:
                report = _compute(plan, store, engine, cell_timeout, progress)
        finally:  # also where it ends early: what is finished stays for the next run
            changed = _remove_changed(plan, store, folder, device)
        if changed:
            raise InputError(
                "The data or the user's code changed while the study was running; what was computed of it meanwhile "
                "was taken away: run it again."
            )
        card = _judge(plan, store, place, ledger_of(out, ledger), command, report, began)
        store.sweep()  # again: workers of a killed run may have lived a moment longer than it
    computed = tuple(report.seconds)
    reused = tuple(task.cell.address for task in plan.tasks if task.cell.address in plan.finished)
    return Outcome(card, place, computed, reused, (*notes, *report.notes))


def run_folder(plan: Plan, out: Path) -> Path:
    """Where the run of a plan lies: the same study, data and numerics always give the same folder."""
    identity = {
        "study": plan.study.canonical(),
        "subjects": plan.study.subjects(),
        "cells": [task.cell.address for task in plan.tasks],
    }
    return out / plan.study.study / digest_json(identity)[:12]


def _compute(plan: Plan, store: Store, engine: Engine, cell_timeout: float | None, progress: Progress) -> Report:
    left = plan.left()
    if not left:
        return Report({})
    if engine == "workers" and (plan.workers > 1 or cell_timeout is not None):
        return worker_processes.run_cells(
            left, store, workers=plan.workers, cell_timeout=cell_timeout, progress=progress
        )
    return in_process.run_cells(left, store, progress=progress)


def _judge(plan: Plan, store: Store, place: Path, ledger: Ledger, command: str, report: Report, began: float) -> Card:
    """Note the look at the judge rows, make the card of finished cells, write it, and record the run."""
    judge = judge_digest(plan.graph, store)
    marks = marks_of_rows(load_rows(store.path(plan.graph.rows.address) / "judge"))
    used = ledger.note_use(judge, place.name, datetime.now(UTC).isoformat(timespec="seconds"), marks)
    times = {**_times(plan, report), "in all": time.perf_counter() - began}
    card = make_card(plan.study, plan.graph, store, Judging(command, plan.numerics, used, times))
    write_card(card, place)
    write_models(plan.study, plan.graph, store, card.chosen, place / "models")
    ledger.record_run(
        RunRow(
            run=f"{plan.study.study}-{place.name}",
            study=plan.study.study,
            study_digest=place.name,
            verdict=card.verdict,
            card_digest=card_digest(card),
            folder=str(place),
            created=card.record.created,
            judge_digest=judge,
        )
    )
    return card


def _remove_damaged(plan: Plan, store: Store) -> list[str]:
    titles = {task.cell.address: task.cell.title for task in plan.tasks}
    for address in plan.damaged:
        store.remove(address)
    return [
        f"The finished cell '{titles[address]}' was damaged ({reason}) and is computed again."
        for address, reason in plan.damaged.items()
    ]


def _remove_changed(plan: Plan, store: Store, folder: Path, device: str) -> bool:
    """Take away what this run computed, if it did so of data or code that is no longer what its address says."""
    finished = [task.cell for task in plan.left() if store.has(task.cell.address)]
    if not finished:
        return False
    try:
        now = {cell.address for cell in graph_of(plan.study, folder, plan.numerics, device=device).cells()}
    except InputError:  # data that has gone is none that has changed
        return False
    changed = [cell.address for cell in finished if cell.address not in now]
    for address in changed:
        store.remove(address)
    return bool(changed)


def _times(plan: Plan, report: Report) -> dict[str, float]:
    """Seconds of work by kind of cell, summed over those computed now."""
    times: dict[str, float] = {}
    for task in plan.tasks:
        spent = report.seconds.get(task.cell.address)
        if spent is not None:
            times[task.cell.kind] = times.get(task.cell.kind, 0.0) + spent
    return times


def _check_unchanged(study: Study, resume: Path) -> Mapping[str, Any]:
    """Compare `study` with the one whose run is resumed; the numerics that run was started with."""
    if not (resume / "study.json").is_file():
        raise InputError(f"{resume} is not the folder of a run; give the folder that `surefoot run` named.")
    started: Any = read_json(resume / "study.json")
    changed = list(_changes(started["study"], study.canonical()))
    if changed:
        raise InputError(
            f"The study has changed since {resume} was started ({', '.join(changed)}); run without --resume to start a "
            "new run that reuses every unchanged cell, or put the old values back."
        )
    return started["numerics"]


def _changes(before: Any, after: Any, place: str = "") -> Iterator[str]:
    """The paths of keys whose values differ."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys([*before, *after]):
            inner = f"{place}.{key}" if place else str(key)
            if key not in before or key not in after:
                yield inner
            else:
                yield from _changes(before[key], after[key], inner)
    elif before != after:
        yield place
