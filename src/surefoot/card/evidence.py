"""What a card must say where its intervals rest on few clusters, on one large one, or on few training seeds.

Each is where coverage falls short in simulation (docs/LOG.md): the low end of six clusters fails in 6.5 %, and with
thirty to a hundred clusters of very unequal size, whose large ones are worse, .84 to .87 are covered and .95 is stated.
"""

import numpy as np

from surefoot.findings.predictions import Predictions

__all__ = ["about_evidence"]

FEW = 10
LARGE = 0.2


def about_evidence(of: Predictions) -> tuple[str, ...]:
    """At most one sentence each on few clusters, on a large cluster and on few seeds."""
    rows = len(of.ids)
    slices = {"": np.ones(rows, dtype=np.bool_)}
    slices |= dict(zip(of.groups.names, of.groups.members.numpy().T, strict=True))
    found = {name: _clusters(of, inside) for name, inside in slices.items() if inside.any()}
    together = {name: each for name, each in found.items() if each[0] < slices[name].sum()}
    told: list[str] = []
    if together:
        name = min(together, key=lambda each: together[each][0])
        if (count := together[name][0]) < FEW:
            whose = f"The rows of “{name}”" if name else "The rows"
            told.append(
                f"{whose} form {count} independent cluster{'' if count == 1 else 's'}: with fewer than {FEW} an "
                "interval may miss more often than it says."
            )
        if (share := found[""][1]) > LARGE:
            told.append(
                f"One cluster holds {share:.0%} of the rows: what clusters as large would do is hardly known, and "
                "intervals may miss more often than they say."
            )
    if 1 < (seeds := len(of.probabilities)) < FEW:
        told.append(
            f"The intervals trust that trainings scatter like a bell; with {seeds} seeds a rare collapse goes unseen."
        )
    return tuple(told)


def _clusters(of: Predictions, inside: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> tuple[int, float]:
    """The fewest clusters of any way among these rows, and the largest share of them that one cluster holds."""
    counts = [np.unique(way[inside], return_counts=True)[1] for way in of.clusters.numpy().T]
    return min(map(len, counts)), max(float(each.max() / each.sum()) for each in counts)
