"""Rows composed of published questions, texts and comparisons: what is shown, what is kept, and what is left out.

Which candidate a question is shown with depends on the seed and on the question alone. Rows that are kept are drawn
from all of a split, never from the head of its file; with the same seed fewer rows are a part of more.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heappush, heappushpop, nlargest
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from surefoot.errors import InputError
from surefoot.files import digest_json
from surefoot.memory import require_memory
from surefoot.rows.published.forms import Found, TextSet, find_texts
from surefoot.rows.published.items import Shown, content_name, random_bits, shown
from surefoot.rows.published.rows import Published, check_ids, counted_notes
from surefoot.rows.rows import Groups, no_groups

__all__ = ["AS_PUBLISHED", "Composition", "compose"]

UNPACKED = 4
"""How many bytes of text a compressed byte becomes, about."""
OVERHEAD = 3
"""Memory of a text as an object, over its bytes in the file, about."""


@dataclass(frozen=True)
class Composition:
    """What is drawn, and which rows are kept.

    seed: of everything that is drawn. rows: at most so many of each split; None: all. balanced: as many of one class as
    of the other in each split, by leaving out rows of the larger. overlap: keep rows of train (and val) whose question
    or passage is in test (or val) too, as published; roles by these splits are then refused.
    """

    seed: int = 0
    rows: int | None = None
    balanced: bool = False
    overlap: bool = False

    def __post_init__(self) -> None:
        least = 2 if self.balanced else 1
        if self.rows is not None and self.rows < least:
            raise InputError(f"rows is {self.rows}; give at least {least} for each split, or leave it out for all.")


AS_PUBLISHED = Composition()
"""All rows that share no question or passage with a later split, drawn with seed 0."""


class _Row(NamedTuple):
    """A row that may be kept: those with the greatest `rank` are. No two have the same place."""

    rank: int
    place: int
    name: str
    row: Shown
    sources: tuple[str, ...]
    subset: str


class _Part(NamedTuple):
    """What is left of a split, and how many rows were left out and why."""

    split: str
    read: int
    kept: list[_Row]
    untellable: int
    overlapping: int
    unbalanced: int
    beyond: int
    sources: frozenset[str]


def compose(folder: Path, published: TextSet, composition: Composition = AS_PUBLISHED) -> Published:
    """The rows of a published set in `folder`, composed as `published` and `composition` say.

    Sources of a row are its question, its passage, its sentences: rows that share one stay in one role. Raises
    `InputError` for files that are missing or not as published, and for balance where a split lacks a class.
    """
    found = find_texts(folder, published)
    if composition.rows is None:
        paths = [path for paths in found.files.values() for path in paths]
        packed = {path: UNPACKED if path.suffix in (".gz", ".parquet") else 1 for path in paths}
        require_memory(OVERHEAD * sum(path.stat().st_size * by for path, by in packed.items()), f"Reading {folder}")
    parts: dict[str, _Part] = {}
    later: frozenset[str] = frozenset()
    for split in reversed([*found.files]):  # test first: what is in it is left out of train, not the other way round
        if found.files[split]:
            parts[split] = _part(split, found, published, composition, later)
            later |= parts[split].sources
    ordered = [parts[split] for split in found.files if split in parts]
    rows = [(part.split, row) for part in ordered for row in part.kept]
    if not rows:
        raise InputError(f"No row of {folder} is left; give the whole of {published.layout}, or overlap=True.")
    ways = max((len(row.sources) for _, row in rows), default=1)
    subsets = tuple(row.subset for _, row in rows)
    columns = tuple(zip(*(row.row.texts for _, row in rows), strict=True))
    return Published(
        layout=published.layout,
        folder=folder,
        inputs=dict(zip(("text", "text_pair"), columns, strict=False)),
        ids=check_ids(_named([f"{published.layout}:{split}:{row.name}" for split, row in rows]), str(folder)),
        targets=torch.tensor([row.row.target for _, row in rows], dtype=torch.int64),
        classes=published.classes,
        attributes={"subset": subsets} if published.subsets else {},
        groups=_by_subset(subsets) if published.subsets else no_groups(len(rows)),
        split=tuple(split for split, _ in rows),
        notes=_notes(published, composition, ordered),
        sources=np.array([(*row.sources, *[""] * (ways - len(row.sources))) for _, row in rows], dtype=np.str_),
    )


def _part(split: str, found: Found, published: TextSet, composition: Composition, later: frozenset[str]) -> _Part:
    """Read a split once, keeping no more rows in memory than are wanted."""
    most = composition.rows
    if most is not None and composition.balanced:
        most //= 2
    pools: dict[int, list[_Row]] = {0: [], 1: []}
    read = untellable = overlapping = 0
    classes = Counter[int]()
    sources: set[str] = set()
    for path in found.files[split]:
        for record in found.records(path):
            read += 1
            item = found.form.parse(record)
            name = content_name(item)
            row = shown(item, random_bits(composition.seed, "show", name))
            if row is None:
                untellable += 1
                continue
            own = tuple(f"text:{digest_json(text)[:24]}" for text in item.about or row.texts)
            if not later.isdisjoint(own):
                overlapping += 1
                if not composition.overlap:
                    continue
            sources |= set(own)
            classes[row.target] += 1
            pool = pools[row.target if composition.balanced else 0]
            subset = path.parent.name if published.subsets else ""
            candidate = _Row(random_bits(composition.seed, "keep", name), -read, name, row, own, subset)
            if most is None or len(pool) < most:
                heappush(pool, candidate)
            else:
                heappushpop(pool, candidate)
    fewest = sum(classes.values())
    if composition.balanced:
        fewest = min(classes[0], classes[1])
        if not fewest:
            lacking = published.classes[int(classes[0] > 0)]
            raise InputError(
                f"The split {split} of {found.files[split][0]} has no row of {lacking}; it cannot be balanced."
            )
    kept = [row for pool in pools.values() for row in nlargest(fewest, pool)]
    balanced = 2 * fewest if composition.balanced else fewest
    return _Part(
        split,
        read,
        sorted(kept, key=lambda row: -row.place),
        untellable,
        overlapping,
        unbalanced=sum(classes.values()) - balanced,
        beyond=balanced - len(kept),
        sources=frozenset(sources),
    )


def _named(names: Sequence[str]) -> list[str]:
    """Names that repeat get a number: the same record twice is two rows of one source."""
    seen = Counter[str]()
    told: list[str] = []
    for name in names:
        seen[name] += 1
        told.append(name if seen[name] == 1 else f"{name}:{seen[name]}")
    return told


def _by_subset(subsets: Sequence[str]) -> Groups:
    names = sorted(set(subsets))
    place = torch.tensor([names.index(name) for name in subsets])
    return Groups(tuple(f"subset={name}" for name in names), place[:, None] == torch.arange(len(names)))


def _notes(published: TextSet, composition: Composition, parts: Sequence[_Part]) -> tuple[str, ...]:
    hidden = ("The published test has no labels: the rows of validation are the split test here, and none is val.",)
    notes = [*published.told, *(hidden if published.hidden else ())]
    notes += counted_notes({part.split: part.read for part in parts}, published.counts)
    drawn = f"drawn with seed {composition.seed}"
    reasons: Mapping[str, Sequence[int]] = {
        "nothing in them tells which text is right: all are the same": [part.untellable for part in parts],
        f"{drawn}, so that both classes have equally many": [part.unbalanced for part in parts],
        f"{drawn}, so that at most {composition.rows or 0:,} of each split are left": [part.beyond for part in parts],
    }
    shared = "their question, passage or sentence is in a later split too"
    overlapping = [part.overlapping for part in parts]
    if not composition.overlap:
        reasons = {f"{shared} (overlap keeps them)": overlapping, **reasons}
    elif any(overlapping):
        notes.append(f"Of {_each(parts, overlapping)} rows {shared}; roles by these splits are refused.")
    notes += [f"Left out: {_each(parts, counts)} rows; {reason}." for reason, counts in reasons.items() if any(counts)]
    return tuple(notes)


def _each(parts: Sequence[_Part], counts: Sequence[int]) -> str:
    return ", ".join(f"{count:,} {part.split}" for part, count in zip(parts, counts, strict=True) if count)
