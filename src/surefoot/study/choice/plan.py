"""What a choice will take, before it runs: cells, seconds, memory; and whether every curvature fits."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian
from surefoot.errors import InputError
from surefoot.evidence.laplace.expansion import Structure
from surefoot.evidence.laplace.memory import laplace_memory
from surefoot.memory import available_memory, human_bytes, require_memory
from surefoot.networks.spec import network_from_spec
from surefoot.rows.rows import make_rows
from surefoot.study.cells import Cell
from surefoot.study.choice.graph import ChoiceGraph, Question, choice_graph
from surefoot.study.cost import Extent, cost_of
from surefoot.study.engine.tasks import Task
from surefoot.study.numerics import numerics_of, product_of_this_machine
from surefoot.study.plan import calibrated, cores, extent_of, wall_time
from surefoot.study.store import Store
from surefoot.study.work.candidate import sized

__all__ = ["ChoicePlan", "curvature_bytes", "plan_choice"]

CHEAPER: Mapping[str, Structure | None] = {"full": "kron", "kron": "diag", "diag": None}


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
    question: Question, folder: Path, store: Store, *, workers: int | None = None, product: str | None = None
) -> ChoicePlan:
    """Plan on the finished cells of `store`; writes nothing.

    Raises `InputError` for missing files, rows that lack a role or are too few, and where a curvature does not fit in
    memory, with the next cheaper structure that does.
    """
    if workers is not None and workers < 1:
        raise InputError(f"{workers} workers were asked for; give at least 1.")
    numerics = numerics_of(product or product_of_this_machine())
    graph = choice_graph(question, folder, numerics)
    cells = graph.cells()
    damage = {cell.address: store.damage(cell.address, checksums=True) for cell in cells}
    finished = frozenset(address for address, reason in damage.items() if reason is None)
    extent = extent_of(question.rows, graph.rows, store)
    _check_rows(question, extent)
    tasks = calibrated([_task(cell, extent) for cell in cells], store)
    left = [task for task in tasks if task.cell.address not in finished]
    curvatures = _curvatures(question, [task.cell for task in left], extent)
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


def curvature_bytes(spec: Mapping[str, Any], extent: Extent, structure: Structure) -> int:
    """Bytes of one expansion of the candidate that this cell's spec names."""
    network = network_from_spec(sized(spec["network"], extent.shape, extent.classes), 0)
    count = sum(extent.rows.get(role, 0) for role in spec["learn"])
    rows = make_rows(
        torch.zeros(1, *extent.shape).expand(count, *extent.shape),
        torch.zeros(count, dtype=torch.int64),
        classes=[str(number) for number in range(extent.classes)],
    )
    return laplace_memory(Posterior(network, categorical, Gaussian(1.0)), rows, structure).bytes


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


def _curvatures(question: Question, cells: list[Cell], extent: Extent) -> dict[str, int]:
    """Bytes of every candidate's expansion; candidates of one network need the same."""
    known: dict[str, int] = {}
    found: dict[str, int] = {}
    structure = question.candidates.structure
    free = available_memory()
    for cell in cells:
        if cell.kind != "candidate":
            continue
        key = repr(cell.spec["network"])
        if key not in known:
            known[key] = curvature_bytes(cell.spec, extent, structure)
            if known[key] > free:
                raise InputError(_too_large(cell, extent, structure, known[key], free))
        found[cell.address] = known[key]
    return found


def _too_large(cell: Cell, extent: Extent, structure: Structure, needed: int, free: int) -> str:
    told = (
        f"The {structure} curvature of the {cell.title.partition(',')[0]} needs about {human_bytes(needed)} of memory "
        f"and {human_bytes(free)} are available; "
    )
    cheaper = CHEAPER[structure]
    while cheaper is not None:
        if (bytes_ := curvature_bytes(cell.spec, extent, cheaper)) <= free:
            return f"{told}use the structure {cheaper}, which needs {human_bytes(bytes_)}, or smaller networks."
        cheaper = CHEAPER[cheaper]
    return f"{told}use smaller networks."
