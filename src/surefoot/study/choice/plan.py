"""What a choice will take, before it runs: cells, seconds, memory."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from surefoot.errors import InputError
from surefoot.memory import require_memory
from surefoot.study.cells import Cell
from surefoot.study.choice.candidates import refuse_own_code
from surefoot.study.choice.curvatures import curvatures_of
from surefoot.study.choice.graph import ChoiceGraph, Question, choice_graph
from surefoot.study.cost import Extent, cost_of
from surefoot.study.engine.tasks import Task
from surefoot.study.numerics import numerics_of, product_of_this_machine
from surefoot.study.plan import calibrated, cores, extent_of, wall_time
from surefoot.study.store import Store
from surefoot.study.trusted import damage_of

__all__ = ["ChoicePlan", "plan_choice"]


@dataclass(frozen=True)
class ChoicePlan:
    """A choice's cells and what they should cost; as `study.plan.Plan`."""

    question: Question
    graph: ChoiceGraph
    tasks: tuple[Task, ...]
    finished: frozenset[str]
    damaged: Mapping[str, str]
    workers: int
    seconds: float
    memory: int
    extent: Extent
    numerics: Mapping[str, Any]

    def left(self) -> tuple[Task, ...]:
        """The tasks that are still to be computed."""
        return tuple(task for task in self.tasks if task.cell.address not in self.finished)

    def count_finished(self) -> int:
        """Trainings that an earlier run has finished."""
        return sum(cell.address in self.finished for cell in self.graph.candidates.values())


def plan_choice(
    question: Question,
    folder: Path,
    store: Store,
    *,
    workers: int | None = None,
    product: str | None = None,
    trust_code: bool = False,
) -> ChoicePlan:
    """Plan on the finished cells of `store`; writes nothing.

    Raises `InputError` for missing files, untrusted code, rows that lack a role or are too few, and for whatever
    `curvatures_of` refuses.
    """
    if workers is not None and workers < 1:
        raise InputError(f"{workers} workers were asked for; give at least 1.")
    if not trust_code:
        refuse_own_code(question.candidates)
    numerics = numerics_of(product or product_of_this_machine())
    graph = choice_graph(question, folder, numerics)
    cells = graph.cells()
    damage = damage_of(cells, store, checksums=True)
    finished = frozenset(address for address, reason in damage.items() if reason is None)
    extent = extent_of(question.rows, graph.rows, store, whole=graph.rows.address in finished)
    _check_rows(question, extent)
    tasks = calibrated([_task(cell, extent) for cell in cells], store)
    curvatures = curvatures_of([task.cell for task in tasks if task.cell.address not in finished], extent)
    tasks = [replace(task, memory=task.memory + curvatures.get(task.cell.address, 0)) for task in tasks]
    left = [task for task in tasks if task.cell.address not in finished]
    for task in left:
        require_memory(task.memory, f"The cell '{task.cell.title}'")
    used = min(workers or cores(), max(1, len(left)))
    return ChoicePlan(
        question=question,
        graph=graph,
        tasks=tuple(tasks),
        finished=finished,
        damaged={address: reason for address, reason in damage.items() if reason},
        workers=used,
        seconds=wall_time(left, used),
        memory=sum(sorted((task.memory for task in left), reverse=True)[:used]),
        extent=extent,
        numerics=numerics,
    )


def _task(cell: Cell, extent: Extent) -> Task:
    cost = cost_of(cell, None, extent)
    return Task(cell, cost.seconds, cost.seconds, cost.memory)


def _check_rows(question: Question, extent: Extent) -> None:
    for role in (*question.learn, "judge"):
        if not extent.rows.get(role):
            have = ", ".join(extent.rows)
            raise InputError(
                f"A choice needs {role} rows and there are none (there are {have}); name a split that has them, or "
                "leave the split out to have rows shared out."
            )
    count = sum(extent.rows[role] for role in question.learn)
    held = question.candidates.held_out * count
    if held < extent.classes or count - held < 2 * extent.classes:
        raise InputError(
            f"{count} rows are to be learned from and {held:.0f} of them held out, for {extent.classes} classes: too "
            "few to tell candidates apart; give more rows, or another share to hold out."
        )
