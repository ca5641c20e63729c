"""Our side: all C of the tuning draw in one call, then all retrains in one call that starts from the tuned fit."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from work import GRID, Objectives, shared

from surefoot.robust.sparse.solve import sparse_logistic


def prepare(parameters: dict[str, Any]) -> Callable[[], Objectives]:
    work = shared(parameters)
    raw, labels = torch.from_numpy(work.raw), torch.from_numpy(work.labels)
    mean, scale = torch.from_numpy(work.mean), torch.from_numpy(work.scale)

    def solve(fits: list[tuple[np.ndarray, float]], start: np.ndarray | None = None) -> np.ndarray:
        weights = torch.zeros(len(fits), len(raw), dtype=torch.float64)
        for number, (rows, _) in enumerate(fits):
            weights[number, torch.from_numpy(rows)] = 1.0
        positive = torch.tensor([1]) if work.classes == 2 else torch.arange(work.classes)
        solved = sparse_logistic(
            raw,
            (labels == positive[:, None]).repeat(len(fits), 1),
            weights.repeat_interleave(len(positive), dim=0),
            torch.tensor([strength for _, strength in fits], dtype=torch.float64).repeat_interleave(len(positive)),
            mean=mean,
            scale=scale,
            start=None if start is None else torch.from_numpy(np.tile(start, (len(fits), 1))),
            tolerance=float(parameters["ours"]),
        )
        return torch.cat([solved.weight, solved.bias[:, None]], dim=1).numpy()

    def run() -> Objectives:
        tuned = solve(work.fits[: len(GRID)])
        sides = 1 if work.classes == 2 else work.classes
        chosen = GRID.index(float(parameters["strength"])) * sides
        retrained = solve(work.fits[len(GRID) :], tuned[chosen : chosen + sides])
        return Objectives(work, np.concatenate([tuned, retrained]))

    return run
