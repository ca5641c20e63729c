"""The cells that candidates are, in a study or in a choice alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from surefoot.rows.roles import Role
from surefoot.study.cells import Cell
from surefoot.study.choice.candidates import Candidates

__all__ = ["candidate_cells", "ranking_cell"]


def candidate_cells(
    candidates: Candidates, seeds: Sequence[int], rows: Cell, learn: Sequence[Role], numerics: Mapping[str, Any]
) -> dict[tuple[str, int], Cell]:
    """One cell a candidate and seed; names and titles are no part of their addresses."""
    settings = candidates.model_dump(mode="json", include={"structure", "held_out", "draws"})
    return {
        (each.name, seed): Cell(
            kind="candidate",
            title=f"candidate {each.name}, seed {seed}",
            spec={
                "network": each.network,
                "precision": each.precision,
                "climb": candidates.climb_of(each),
                "criteria": settings,
                "learn": list(learn),
                "seed": seed,
            },
            inputs={role: f"{rows.address}/{role}" for role in learn},
            numerics=numerics,
        )
        for each in candidates.all()
        for seed in seeds
    }


def ranking_cell(
    candidates: Candidates,
    seeds: Sequence[int],
    cells: Mapping[tuple[str, int], Cell],
    numerics: Mapping[str, Any],
) -> Cell:
    """What each criterion takes, from what the candidates' cells left; nothing of the judge is among its inputs."""
    return Cell(
        kind="ranking",
        title="rank the candidates by each criterion",
        spec={
            "candidates": [each.name for each in candidates.all()],
            "seeds": list(seeds),
        },
        inputs={f"{name} {seed}": cell.address for (name, seed), cell in cells.items()},
        numerics=numerics,
    )
