"""How long each model of a study took to train, from the records of its cells."""

from collections.abc import Mapping
from statistics import mean

from surefoot.study.cells import Cell
from surefoot.study.graph import Graph
from surefoot.study.shape import Study
from surefoot.study.store import Store

__all__ = ["training_seconds"]

COUNTED = ("train", "labels", "candidate", "features", "repair", "sample")


def training_seconds(study: Study, graph: Graph, store: Store) -> dict[str, float]:
    """Seconds behind each subject, mean over seeds: every training, extraction and repair that it needs.

    A first stage and an earlier version count, for without them there is no model; choosing among models and judging
    do not. Each cell counts once, whatever else uses it. A finished model's own training is unknown and left out.
    """
    by_address = {cell.address: cell for cell in graph.cells()}
    seconds: dict[str, float] = {}
    for base in study.base:
        seconds[base] = mean(_behind(graph.train[base, seed], by_address, store) for seed in study.seeds)
        for name in study.repairs_of(base):
            cells = [graph.repair[base, name, seed] for seed in study.seeds]
            seconds[f"{base}+{name}"] = mean(_behind(cell, by_address, store) for cell in cells)
    return seconds


def _behind(cell: Cell, by_address: Mapping[str, Cell], store: Store) -> float:
    """The seconds of a cell and of everything it rests on, that is training and not rows."""
    left, counted = [cell], {cell.address: cell}
    while left:
        for reference in left.pop().inputs.values():
            needed = by_address[reference.partition("/")[0]]
            if needed.address not in counted:
                counted[needed.address] = needed
                left.append(needed)
    return sum(store.seconds(each.address) for each in counted.values() if each.kind in COUNTED)
