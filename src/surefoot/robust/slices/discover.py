"""Candidate groups where none are given: slices of the metadata in which a model is wrong more often than elsewhere.

1. The rows are cut into two halves that share no source and no cluster.
2. **Search half**: every condition on one column ("age>60", "sex=F"), and every conjunction of up to `depth` of them,
   with enough rows, ranked by z = (acc_rest − acc_slice) / SE, pooled (`slices.search`). A slice that adds nothing to
   better ones is dropped; the first `most` with z ≥ 2 go on, nothing else.
3. **Confirm half**, which the search never saw: for each, a one-sided test of "no worse than the rest" and Holm's
   correction over those tested. The probability that any slice is called discovered which is no worse than the other
   rows is at most `level`, however many thousands were searched. The intervals of all that were tested hold together
   at 1 − level (Bonferroni; those of differences together, and those of accuracies together), so they are honest
   although only the worst slices are shown.

No slice surviving is a normal answer: it says that these columns explain no difference that this many rows can show.
A slice found is a description of errors, not a cause, and its name says that it was discovered.

Sources: Chung et al. (2019), "Slice Finder", ICDE (the search); Holm (1979). Departure: slices are confirmed on rows
that played no part in finding them, where Slice Finder tests on the rows it searched.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from surefoot.errors import InputError
from surefoot.findings.clustering import cluster_design, influence, spread
from surefoot.findings.differences import change_interval
from surefoot.findings.finding import Interval
from surefoot.findings.intervals import proportion_interval
from surefoot.findings.predictions import Predictions
from surefoot.robust.balance import source_halves
from surefoot.robust.slices.conditions import Condition, Metadata, conditions_of, holds
from surefoot.robust.slices.multiplicity import holm, worse_than
from surefoot.robust.slices.search import every, search_slices
from surefoot.rows.grouping import DISCOVERED
from surefoot.rows.rows import Groups, make_rows
from surefoot.rows.tables import Column

__all__ = [
    "DISCOVERED",
    "REST",
    "Candidate",
    "DiscoverSettings",
    "Discovery",
    "Suspect",
    "confirm",
    "discover_slices",
    "discovered_groups",
    "halves_of",
    "slice_members",
]

REST = "in no discovered slice"

MOST_CONDITIONS = 2000


@dataclass(frozen=True)
class DiscoverSettings:
    """depth: conditions in a conjunction, at most. quantiles: where numeric columns are cut. fewest: rows that a slice,
    and the rest, must have in each half. most: slices tested on the confirm half. level: the chance of any false find.
    """

    depth: int = 2
    quantiles: tuple[float, ...] = (0.1, 0.25, 0.5, 0.75, 0.9)
    fewest: int = 30
    most: int = 10
    level: float = 0.05

    def __post_init__(self) -> None:
        if not 1 <= self.depth <= 3:
            raise InputError(f"depth is {self.depth}; slices have 1, 2 or 3 conditions.")
        if self.fewest < 2 or self.most < 1:
            raise InputError(f"fewest is {self.fewest} and most {self.most}; give at least 2 and 1.")
        if not 0 < self.level < 0.5:
            raise InputError(f"level is {self.level}; give the chance of a false find, such as 0.05.")
        if not all(0 < each < 1 for each in self.quantiles):
            raise InputError(f"quantiles are {self.quantiles}; each must lie between 0 and 1.")


@dataclass(frozen=True)
class Candidate:
    """A slice that was tested on the confirm half. name: without the mark of being discovered.

    accuracy, rest, difference (slice − rest) and their intervals, each kind of which holds for all candidates together,
    are of the confirm half; searched_* of the search half, where the slice was picked for being low.
    adjusted: Holm's p-value. confirmed: adjusted ≤ level.
    """

    name: str
    conditions: tuple[Condition, ...]
    rows: int
    accuracy: float
    accuracy_interval: Interval
    rest: float
    difference: float
    difference_interval: Interval
    p_value: float
    adjusted: float
    confirmed: bool
    searched_rows: int
    searched_accuracy: float


@dataclass(frozen=True)
class Discovery:
    """What was tested, worst difference first among the confirmed, then the others; and how it was looked for.

    tried: conjunctions searched. search, confirm: row numbers of the halves. notes: sentences for a reader.
    """

    candidates: tuple[Candidate, ...]
    tried: int
    search: NDArray[np.int64]
    confirm: NDArray[np.int64]
    notes: tuple[str, ...]

    @property
    def confirmed(self) -> tuple[Candidate, ...]:
        """The slices that survive."""
        return tuple(candidate for candidate in self.candidates if candidate.confirmed)


@dataclass(frozen=True)
class Suspect:
    """A slice that the search half speaks against: rows of the whole data in it, and those it is compared with."""

    name: str
    conditions: tuple[Condition, ...]
    inside: NDArray[np.bool_]
    outside: NDArray[np.bool_]


def discover_slices(predictions: Predictions, columns: Metadata, settings: DiscoverSettings, seed: int) -> Discovery:
    """Search one half of the rows for slices of `columns` where the model is wrong more often, confirm on the other.

    columns: one value per row, numbers or text. Raises `InputError` for columns of another length, for too few rows,
    and for columns that describe nothing.

    >>> draw = torch.Generator().manual_seed(0)
    >>> place, noise = torch.rand(2, 2000, generator=draw)
    >>> wrong = torch.rand(2000, generator=draw) < torch.where(place > 0.8, 0.4, 0.1)
    >>> rows = make_rows(torch.zeros(2000, 1), torch.zeros(2000, dtype=torch.int64), classes=["a", "b"])
    >>> from surefoot.findings.predictions import predictions_for
    >>> said = torch.stack([1 - wrong.float(), wrong.float()], dim=1)[None]
    >>> metadata = {"place": place.numpy(), "noise": noise.numpy()}
    >>> found = discover_slices(predictions_for(rows, said), metadata, DiscoverSettings(quantiles=(0.5, 0.8)), seed=0)
    >>> [candidate.name for candidate in found.confirmed]
    ['place>0.789769']
    """
    for name, values in columns.items():
        if len(values) != len(predictions.ids):
            raise InputError(
                f"The column {name!r} has {len(values)} values for {len(predictions.ids)} rows; give one per row."
            )
    search, confirm_rows, notes = halves_of(predictions, seed)
    correct = predictions.correct().numpy()
    told = conditions_of({name: _at(values, search) for name, values in columns.items()}, settings.quantiles)
    if len(told.conditions) > MOST_CONDITIONS:
        raise InputError(
            f"The columns make {len(told.conditions)} conditions; name fewer columns (at most {MOST_CONDITIONS})."
        )
    if told.left_out:
        notes += (f"Not searched: {', '.join(told.left_out)}.",)
    masks = np.stack([holds(condition, columns) for condition in told.conditions])
    picked, tried = search_slices(
        told.conditions,
        masks[:, search],
        correct[:, search].mean(axis=0),
        depth=settings.depth,
        fewest=settings.fewest,
        most=settings.most,
    )
    suspects = [
        Suspect(
            " and ".join(told.conditions[at].name for at in chosen),
            tuple(told.conditions[at] for at in chosen),
            inside := every(masks, chosen),
            ~inside,
        )
        for chosen in picked
    ]
    candidates, more = confirm(predictions, suspects, search, confirm_rows, settings)
    return Discovery(candidates, tried, search, confirm_rows, (*notes, *more))


def halves_of(predictions: Predictions, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[str, ...]]:
    """Row numbers of the search and the confirm half, alike in every class, and notes on rows in neither."""
    rows = make_rows(
        torch.zeros(len(predictions.ids), 1),
        predictions.targets,
        classes=predictions.classes,
        ids=predictions.ids,
        sources=predictions.sources,
        clusters=predictions.clusters,
    )
    members = predictions.targets[:, None] == torch.arange(len(predictions.classes))
    classes = Groups(predictions.classes, members)
    halves = source_halves(rows, classes, torch.Generator().manual_seed(seed))
    notes = ()
    if halves.left_out:
        notes = (f"{halves.left_out:,} rows hang together with both halves and were used in neither.",)
    return halves.first.numpy(), halves.second.numpy(), notes


def confirm(
    predictions: Predictions,
    suspects: Sequence[Suspect],
    search: NDArray[np.int64],
    confirm_rows: NDArray[np.int64],
    settings: DiscoverSettings,
) -> tuple[tuple[Candidate, ...], tuple[str, ...]]:
    """Test every suspect on the confirm half; suspects with too few rows there are named in a note and not tested."""
    correct = predictions.correct().numpy()
    design = cluster_design(predictions.clusters.numpy()[confirm_rows])
    here = correct[:, confirm_rows]
    tested: list[Suspect] = []
    notes: tuple[str, ...] = ()
    for suspect in suspects:
        counts = suspect.inside[confirm_rows].sum(), suspect.outside[confirm_rows].sum()
        if min(counts) < settings.fewest:
            notes += (f"“{suspect.name}” has {min(counts)} rows in the confirm half and was not tested.",)
        else:
            tested.append(suspect)
    p_values = [worse_than(here, each.inside[confirm_rows], each.outside[confirm_rows], design) for each in tested]
    confidence = 1 - settings.level / max(1, len(tested))
    found: list[Candidate] = []
    for suspect, p_value, adjusted in zip(tested, p_values, holm(p_values), strict=True):
        inside = influence(design, suspect.inside[confirm_rows], here)
        outside = influence(design, suspect.outside[confirm_rows], here)
        slice_, rest = spread(design, [(1.0, inside)]), spread(design, [(1.0, outside)])
        difference = spread(design, [(1.0, inside), (-1.0, outside)])
        change = change_interval(difference, slice_, rest, confidence, paired=False)
        found.append(
            Candidate(
                name=suspect.name,
                conditions=suspect.conditions,
                rows=inside.rows,
                accuracy=slice_.value,
                accuracy_interval=proportion_interval(slice_, confidence, exact=True),
                rest=rest.value,
                difference=difference.value,
                difference_interval=change,
                p_value=p_value,
                adjusted=adjusted,
                confirmed=adjusted <= settings.level and change.high < 0,
                searched_rows=int(suspect.inside[search].sum()),
                searched_accuracy=float(correct[:, search][:, suspect.inside[search]].mean()),
            )
        )
    found.sort(key=lambda candidate: (not candidate.confirmed, candidate.difference))
    return tuple(found), notes


def slice_members(candidate: Candidate, columns: Metadata) -> NDArray[np.bool_]:
    """The rows of any data with these columns that the candidate's conditions hold for."""
    masks = np.stack([holds(condition, columns) for condition in candidate.conditions])
    return every(masks, range(len(masks)))


def discovered_groups(candidates: Sequence[Candidate], columns: Metadata) -> Groups:
    """One group per candidate, and one of the rows in none of them, so that a balanced draw knows these too.

    The groups overlap where the slices do; every name says that the group was discovered. Raises `InputError` when
    there is no candidate.
    """
    if not candidates:
        raise InputError("There is no slice to make groups of; where none was confirmed, go on without them.")
    masks = [torch.from_numpy(slice_members(candidate, columns)) for candidate in candidates]
    members = torch.stack(masks, dim=1)
    names = tuple(f"{DISCOVERED}{candidate.name}" for candidate in candidates)
    rest = ~members.any(dim=1, keepdim=True)
    return Groups((*names, f"{DISCOVERED}{REST}"), torch.cat([members, rest], dim=1))


def _at(values: Column, index: NDArray[np.int64]) -> Column:
    return [values[row] for row in index.tolist()] if isinstance(values, list) else values[index]
