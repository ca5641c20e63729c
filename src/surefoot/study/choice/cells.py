"""The cells that candidates are, in a study or in a choice alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from surefoot.rows.roles import Role
from surefoot.study.architecture import NetworkSpec
from surefoot.study.cells import Cell
from surefoot.study.choice.candidates import Candidates
from surefoot.study.content import network_of

__all__ = ["candidate_cells", "ranking_cell"]


def candidate_cells(
    candidates: Candidates,
    seeds: Sequence[int],
    rows: Cell,
    learn: Sequence[Role],
    folder: Path,
    numerics: Mapping[str, Any],
) -> dict[tuple[str, int], Cell]:
    """One cell a candidate and seed; names and titles are no part of their addresses.

    folder: what the file of an own network is relative to. Raises `InputError` where it is not there.
    """
    settings = candidates.model_dump(mode="json", include={"structure", "held_out", "draws"})
    every = candidates.all()
    networks = {each.name: network_of(NetworkSpec.model_validate(each.network), folder) for each in every}
    return {
        (each.name, seed): Cell(
            kind="candidate",
            title=f"candidate {each.name}, seed {seed}",
            spec={
                "network": networks[each.name][0],
                "precision": each.precision,
                "climb": candidates.climb_of(each),
                "criteria": settings,
                "learn": list(learn),
                "seed": seed,
            },
            inputs={role: f"{rows.address}/{role}" for role in learn},
            numerics=numerics,
            digests=networks[each.name][1],
        )
        for each in every
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
