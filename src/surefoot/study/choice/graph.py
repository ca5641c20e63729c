"""A choice cut into cells.

    rows ── candidate (name, seed) ── ranking ── hindsight

A candidate is given the rows that it learns from and no others, so the judge rows cannot enter a criterion. `hindsight`
alone is given them, and `ranking` too: it cannot run, and has no address, before every choice is fixed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from surefoot.rows.roles import Role
from surefoot.study.cells import Cell, in_order
from surefoot.study.choice.candidates import Candidates
from surefoot.study.choice.cells import candidate_cells, ranking_cell
from surefoot.study.graph import rows_cell
from surefoot.study.shape import RowsSpec

__all__ = ["ChoiceGraph", "Question", "choice_graph"]


@dataclass(frozen=True)
class Question:
    """What is to be chosen among, on which rows. learn: the roles that candidates learn from, together."""

    name: str
    rows: RowsSpec
    candidates: Candidates
    seeds: tuple[int, ...] = (0,)
    learn: tuple[Role, ...] = ("fit",)
    confidence: float = 0.95


@dataclass(frozen=True)
class ChoiceGraph:
    """All cells of a choice."""

    rows: Cell
    candidates: Mapping[tuple[str, int], Cell]
    ranking: Cell
    hindsight: Cell

    def cells(self) -> tuple[Cell, ...]:
        """Each once, every cell after those it needs."""
        return in_order([self.rows, *self.candidates.values(), self.ranking, self.hindsight])


def choice_graph(question: Question, folder: Path, numerics: Mapping[str, Any]) -> ChoiceGraph:
    """The cells of a question whose paths are relative to `folder`."""
    rows = rows_cell(question.rows, folder, numerics)
    every = candidate_cells(question.candidates, question.seeds, rows, question.learn, folder, numerics)
    ranking = ranking_cell(question.candidates, question.seeds, every, numerics)
    names = [each.name for each in question.candidates.all()]
    hindsight = Cell(
        kind="hindsight",
        title="judge all candidates, now that the choices are made",
        spec={"candidates": names, "seeds": list(question.seeds)},
        inputs={
            "judge": f"{rows.address}/judge",
            "ranking": ranking.address,
            **{f"{name} {seed}": cell.address for (name, seed), cell in every.items()},
        },
        numerics=numerics,
    )
    return ChoiceGraph(rows, every, ranking, hindsight)
