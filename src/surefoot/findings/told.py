"""What a reader is told of the groups in a table of predictions: how they were made, and what speaks against them."""

from collections.abc import Collection, Sequence

from surefoot.rows.grouping import MEMBER, attribute_texts, columns_behind
from surefoot.rows.rows import Groups
from surefoot.rows.tables import Table, texts

__all__ = ["told_of_groups", "without_rows"]

MOST_GROUPS = 30
FEWEST_ROWS = 10
"""With more groups than this, or fewer rows in one of them, the worst of them says little."""


def told_of_groups(
    table: Table,
    named: Sequence[str],
    groups: Groups,
    empty: Sequence[str],
    could_be: Sequence[str],
    *,
    ready: Collection[str],
) -> list[str]:
    """One line of what makes the groups, and one for each thing to know of them; or of the columns that could.

    ready: columns that are groups as they stand. empty: combinations without rows.
    """
    if not named:
        if not could_be:
            return ["No groups named."]
        offered = [f"{name} ({_values(table, name)} values)" for name in could_be[:4]]
        return [f"No groups named; columns that could be: {', '.join(offered)}: --groups {could_be[0]}"]
    counts = groups.counts().tolist()
    own = [name for name in named if name in ready]
    crossed = [name for name in named if name not in ready]
    members = [name for name in own if name.startswith(MEMBER)]
    parts = [f"class × {name.replace('*', ' × ')}" for name in crossed]
    parts += [f"{name} as it stands, not crossed with the class" for name in own if name not in members]
    parts += [f"{len(members)} columns {MEMBER}…"] if members else []
    unknown = [f"{missing:,} rows without {name}" for name in named if (missing := _missing(table, name, members))]
    told = [f"groups: {', '.join(parts)}: {_count(len(counts), 'group')}{''.join(f'; {each}' for each in unknown)}"]
    if empty:
        told.append(without_rows(empty))
    if len(counts) > MOST_GROUPS or (counts and min(counts) < FEWEST_ROWS):
        told.append(
            f"{_count(len(counts), 'group')}, the smallest of {_count(min(counts), 'row')}: the worst of so "
            f"{'many' if len(counts) > MOST_GROUPS else 'small groups'} says little; name fewer columns, or put values "
            "into bands."
        )
    return told


def without_rows(empty: Sequence[str]) -> str:
    """The combinations of class and attribute that no row has, in one sentence.

    >>> without_rows(["cat, place=out"])
    'No row is in “cat, place=out”: nothing is known there, and the worst group is that of the others.'
    """
    shown = ", ".join(f"“{name}”" for name in empty[:6]) + (f" and {len(empty) - 6} others" if len(empty) > 6 else "")
    return f"No row is in {shown}: nothing is known there, and the worst group is that of the others."


def _values(table: Table, name: str) -> int:
    return len(set(texts(table, name)) - {""})


def _missing(table: Table, name: str, members: Sequence[str]) -> int:
    if name in members:
        return 0
    columns_behind(table, name)
    return attribute_texts(table, name).count("")


def _count(count: int, thing: str) -> str:
    return f"{count:,} {thing}" + ("" if count == 1 else "s")
