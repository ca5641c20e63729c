"""Give rows their roles: at random with whole families kept together, or as a file's split column says.

A *family* is everything that hangs together by descent: rows with the same id, a shared source, a source that is the
id of another, or inputs that are byte for byte the same, and whatever those hang together with in turn. A family never
crosses a role.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from hashlib import blake2b
from itertools import combinations
from math import ceil
from typing import NamedTuple, cast

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from surefoot.errors import InputError
from surefoot.rows.copies import telling
from surefoot.rows.descent import is_number
from surefoot.rows.digest import input_digests
from surefoot.rows.roles import ROLES, Role, Roles
from surefoot.rows.rows import Inputs, Rows, rooted

__all__ = ["assign_roles", "check_roles", "checked_fractions", "cross_fit", "families", "roles_from_split"]


def assign_roles(
    rows: Rows, fractions: Mapping[Role, float], seed: int, family: Int[Tensor, "rows"] | None = None
) -> Roles:
    """Split rows over roles, stratified by class × group memberships, whole families together.

    family: which rows must stay together, where more is known of that than `families` sees.

    Every stratum of single-row families is split in the given proportions to within one row. Which role a
    row gets depends on the seed, its id and the other rows present, not on the order in which they come.
    Raises `InputError` when fractions do not sum to one, there are too few rows or families, or a role
    would stay empty.

    >>> from surefoot.rows.rows import make_rows
    >>> rows = make_rows(torch.arange(10.0)[:, None], torch.tensor([0, 1] * 5))
    >>> {role: len(part) for role, part in assign_roles(rows, {"fit": 0.8, "judge": 0.2}, seed=0).items()}
    {'fit': 8, 'judge': 2}
    """
    roles = checked_fractions(fractions)
    if len(rows) < len(fractions):
        raise InputError(
            f"{len(rows)} rows cannot fill {len(fractions)} roles; give at least one row per role, or fewer roles."
        )
    family = families(rows) if family is None else family
    place = _share_out(rows, family, [fractions[role] for role in roles], seed)
    for number, role in enumerate(roles):
        if not bool((place == number).any()):
            raise InputError(
                f"The role {role} would get no rows: the {len(rows)} rows form {int(family.max()) + 1} families "
                "that share a source or an identical input and must stay together; give more rows, a larger "
                f"fraction for {role}, or fewer roles."
            )
    return {role: rows.take(place == number) for number, role in enumerate(roles)}


def checked_fractions(fractions: Mapping[Role, float]) -> list[Role]:
    """The roles that get a share, in their usual order; `InputError` unless shares are positive and sum to one."""
    unknown = [role for role in fractions if role not in ROLES]
    if unknown:
        raise InputError(f"fractions names the role {unknown[0]!r}; the roles are {', '.join(ROLES)}.")
    for role, fraction in fractions.items():
        if not fraction > 0:
            raise InputError(f"The fraction of {role} is {fraction}; give more than 0, or leave the role out.")
    total = sum(fractions.values())
    if abs(total - 1) > 1e-6:
        given = ", ".join(f"{role} {fraction:g}" for role, fraction in fractions.items())
        raise InputError(f"The fractions ({given}) sum to {total:g}; make them sum to 1.")
    return [role for role in ROLES if role in fractions]


def roles_from_split(rows: Rows, split: Sequence[str], meaning: Mapping[str, Role]) -> Roles:
    """The roles a data set's own split gives: `split[i]` of row i, translated by `meaning`.

    Several splits may mean the same role; rows of a split that `meaning` lacks are an error, not dropped.
    Raises `InputError` also when the same id, source or identical input is in two roles.
    """
    if len(split) != len(rows):
        raise InputError(f"There are {len(rows)} rows but {len(split)} split values; give one per row.")
    unknown = sorted(set(split) - set(meaning))
    if unknown:
        raise InputError(
            f"The split {unknown[0]!r} has no role (the meaning names {', '.join(map(repr, meaning))}); "
            f"say which of {', '.join(ROLES)} it is, or leave its rows out."
        )
    _refuse_ids_in_two_splits(rows, split)
    place = torch.tensor([ROLES.index(meaning[value]) for value in split], dtype=torch.int64)
    roles: Roles = {
        role: rows.take(place == number) for number, role in enumerate(ROLES) if bool((place == number).any())
    }
    check_roles(roles)
    return roles


def cross_fit(rows: Rows, folds: int, seed: int) -> tuple[tuple[Tensor, Tensor], ...]:
    """`folds` pairs of (train index, held-out index), stratified, families together; each row is held out once."""
    if folds < 2:
        raise InputError(f"{folds} folds were asked for; cross-fitting needs at least 2.")
    family = families(rows)
    count = int(family.max()) + 1 if len(rows) else 0
    if count < folds:
        raise InputError(
            f"{len(rows)} rows in {count} families (shared sources or identical inputs) cannot make {folds} folds; "
            f"give more rows or at most {count} folds."
        )
    place = _share_out(rows, family, [1 / folds] * folds, seed)
    empty = [fold for fold in range(folds) if not bool((place == fold).any())]
    if empty:
        raise InputError(
            f"{len(empty)} of {folds} folds would be empty, because rows that share sources must stay together; "
            "use fewer folds."
        )
    return tuple(((place != fold).nonzero().squeeze(1), (place == fold).nonzero().squeeze(1)) for fold in range(folds))


def check_roles(roles: Roles, drawn: Collection[Role] = ()) -> None:
    """Raise `InputError` when two roles share an id, a source, or, where inputs tell rows apart, an identical input.

    drawn: roles among which the rows were shared out here, whole families together. Inputs that became the same only
    since (the same features of cells that differ) are then two rows', and no reason to refuse.
    """
    # Rows of a few words and numbers can be two people (`copies`): the largest role shows what the inputs are like.
    apart = bool(roles) and telling(max(roles.values(), key=len).inputs)
    compare = {pair: apart and not {*pair} <= {*drawn} for pair in combinations(roles, 2)}
    hashed = {role: _hashed(rows, any(compare.values())) for role, rows in roles.items()}
    for (first, second), compared in compare.items():
        if hashed[first].apart(hashed[second], compared):
            continue
        one, other = _descent(roles[first]), _descent(roles[second])
        kinds = {
            "ids": one.ids.keys() & other.ids.keys(),
            "sources": one.sources & other.sources | one.sources & other.names | one.names & other.sources,
            "inputs": one.inputs.keys() & other.inputs.keys() if compared else set[str](),
        }
        for kind, shared in kinds.items():
            if not shared:
                continue
            name = min(shared)
            example = repr(name)
            if kind == "inputs":
                example = f"{one.inputs[name]!r} is {other.inputs[name]!r}, byte for byte"
            raise InputError(
                f"{len(shared)} {kind} are in both {first} and {second} (first: {example}); a row, its descendants "
                "and its duplicates must all have one role: remove one side, or let assign_roles split the rows."
            )


def families(rows: Rows) -> Int[Tensor, "rows"]:
    """The family number of each row, counted from zero: rows that share a source or, where inputs tell, an input."""
    # A source is the same source whichever part of a composed row it became, and the row of that id: all names are
    # numbered together. An id that is a bare number is not the source of that number (row 5, patient 5).
    named = rooted(rows.ids, rows.sources)
    own = np.where(is_number(rows.ids), np.char.add("id ", rows.ids.astype(np.str_)), rows.ids)
    names = np.concatenate([own[:, None], named], axis=1)
    numbered = _codes(names.reshape(-1)).reshape(names.shape)
    kinds = [(0, column) for column in numbered.T]
    if telling(rows.inputs):
        kinds.append((1, _codes(_digests(rows.inputs))))
    size = 1 + max(int(key.max(initial=0)) for _, key in kinds)
    family = np.arange(len(rows))
    while True:
        # Every row takes the least number found among those it shares a key with, until nothing moves.
        least = family
        smallest = np.full((2, size), len(rows))
        for kind, key in kinds:
            np.minimum.at(smallest[kind], key, least)
        for kind, key in kinds:
            least = np.minimum(least, smallest[kind][key])
        least = least[least]
        if np.array_equal(least, family):
            break
        family = least
    return torch.from_numpy(cast("NDArray[np.int64]", np.unique(family, return_inverse=True)[1]).astype(np.int64))


def _codes(column: NDArray[np.character]) -> NDArray[np.int64]:
    """Strings as numbers, in no order; an empty string is shared with nobody."""
    hashes = _hashes(column)
    order = np.argsort(hashes, kind="stable")
    equal = np.flatnonzero(hashes[order[1:]] == hashes[order[:-1]])
    parts = (equal[start : start + AT_ONCE] for start in range(0, len(equal), AT_ONCE))
    if all((column[order[part + 1]] == column[order[part]]).all() for part in parts):
        new = np.ones(len(column), dtype=np.int64)
        new[equal + 1] = 0
        codes = np.empty(len(column), dtype=np.int64)
        codes[order] = np.cumsum(new) - 1
    else:  # two strings that happen to have the same hash
        codes = cast("NDArray[np.int64]", np.unique(column, return_inverse=True)[1]).astype(np.int64)
    empty = b"" if column.dtype.kind == "S" else ""
    return np.where(column == empty, len(column) + np.arange(len(column)), codes)


def _hashes(names: NDArray[np.character]) -> NDArray[np.int64]:
    """64 bits a string, of this process alone: of millions of rows far less than their strings as Python has them."""
    found = np.empty(len(names), dtype=np.int64)
    for start in range(0, len(names), AT_ONCE):
        part: list[str] = names[start : start + AT_ONCE].tolist()
        found[start : start + len(part)] = [hash(name) for name in part]
    return found


AT_ONCE = 2**16
"""Strings that Python has at a time."""


def _strata(rows: Rows) -> NDArray[np.int64]:
    """Class and group memberships of each row, as one number; a soft label counts as its most probable class."""
    targets = rows.targets if rows.targets.ndim == 1 else rows.targets.argmax(dim=1)
    members = np.packbits(rows.groups.members.numpy(), axis=1).T
    found = targets.numpy()
    for column in members:
        found = np.unique(found.astype(np.int64) * 256 + column, return_inverse=True)[1]
    return np.unique(found, return_inverse=True)[1].astype(np.int64)


def _share_out(rows: Rows, family: Int[Tensor, "rows"], fractions: Sequence[float], seed: int) -> Int[Tensor, "rows"]:
    """The part number of each row. Families, largest first, each go to the part that lacks them most.

    What a part lacks of a stratum is counted in whole rows, so that with single-row families it ends within
    one row of its due; which part gets the odd rows is decided by what it lacks over all strata.
    """
    strata = _strata(rows).tolist()
    numbers = np.unique(family.numpy(), return_inverse=True)[1]
    together = np.argsort(numbers, kind="stable")
    sizes = np.bincount(numbers, minlength=1)[: len(together)]
    starts = np.cumsum(sizes) - sizes
    lacking = {stratum: [share * total for share in fractions] for stratum, total in Counter(strata).items()}
    overall = [share * len(strata) for share in fractions]
    part_of = np.zeros(len(sizes), dtype=np.int64)
    for number in map(int, _drawn(rows, together, starts, sizes, seed)):
        start, size = int(starts[number]), int(sizes[number])
        content = Counter(strata[row] for row in together[start : start + size])
        chosen = max(
            range(len(fractions)),
            key=lambda part: (sum(n * _whole(lacking[of][part]) for of, n in content.items()), overall[part]),
        )
        part_of[number] = chosen
        overall[chosen] -= size
        for stratum, count in content.items():
            lacking[stratum][chosen] -= count
    return torch.from_numpy(part_of[numbers])


def _drawn(
    rows: Rows,
    together: NDArray[np.int64],
    starts: NDArray[np.int64],
    sizes: NDArray[np.int64],
    seed: int,
) -> NDArray[np.int64]:
    """Families, largest first, at random among equals; their rows are those `together` from `starts` on.

    A hash of the first of a family's names is a random order that does not depend on the order of the rows.
    """
    first = rows.ids[together[starts]]
    for number in np.flatnonzero(sizes > 1):
        members = together[starts[number] : starts[number] + sizes[number]]
        first[number] = min(rows.ids[members].tolist())
    hashes = np.empty((len(first), 8), dtype=">u8")
    for start in range(0, len(first), AT_ONCE):
        part: list[str] = first[start : start + AT_ONCE].tolist()
        hashed = b"".join(blake2b(f"{seed}\n{name}".encode()).digest() for name in part)
        hashes[start : start + len(part)] = np.frombuffer(hashed, dtype=">u8").reshape(-1, 8)
    # The last key counts most; of equals the one whose rows come first.
    return np.lexsort((together[starts], *hashes.T[::-1], -sizes))


def _whole(lack: float) -> int:
    """0 for a lack in (0, 1], 1 for (1, 2], −1 for (−1, 0], …; blind to rounding errors."""
    return ceil(lack - 1e-9) - 1


class _Descent(NamedTuple):
    """Ids and input digests of rows, each with the id of a row that has it; sources; ids that can be sources."""

    ids: dict[str, str]
    sources: frozenset[str]
    names: frozenset[str]
    inputs: dict[str, str]


class _Hashed(NamedTuple):
    """The hashes of what `_Descent` holds."""

    ids: NDArray[np.int64]
    sources: NDArray[np.int64]
    names: NDArray[np.int64]
    inputs: NDArray[np.int64]

    def apart(self, other: "_Hashed", inputs: bool) -> bool:
        """Whether surely nothing is shared: of equal strings the hashes are equal."""
        pairs = [
            (self.ids, other.ids),
            (self.sources, other.sources),
            (self.sources, other.names),
            (self.names, other.sources),
            *([(self.inputs, other.inputs)] if inputs else []),
        ]
        return not any(len(np.intersect1d(one, two)) for one, two in pairs)


def _hashed(rows: Rows, inputs: bool) -> _Hashed:
    ids = _hashes(rows.ids)
    roots = rooted(rows.ids, rows.sources).reshape(-1)
    digests = _hashes(_digests(rows.inputs)) if inputs else np.empty(0, dtype=np.int64)
    return _Hashed(ids, _hashes(roots[roots != ""]), ids[~is_number(rows.ids)], digests)


def _digests(inputs: Inputs) -> NDArray[np.character]:
    """`input_digests`, which have letters and digits alone, a byte for each."""
    return np.array(input_digests(inputs), dtype=np.bytes_)


def _descent(rows: Rows) -> _Descent:
    ids: list[str] = rows.ids.tolist()
    names = frozenset[str](rows.ids[~is_number(rows.ids)].tolist())
    inputs = dict(zip(input_digests(rows.inputs), ids, strict=True))
    return _Descent({name: name for name in ids}, rows.origins(), names, inputs)


def _refuse_ids_in_two_splits(rows: Rows, split: Sequence[str]) -> None:
    if len(np.unique(_hashes(rows.ids))) == len(rows):
        return
    first: dict[str, str] = {}
    for name, value in zip(rows.ids.tolist(), split, strict=True):
        first.setdefault(name, value)
    twice = sorted({name for name, value in zip(rows.ids.tolist(), split, strict=True) if first[name] != value})
    if twice:
        shown = ", ".join(twice[:3])
        raise InputError(
            f"{len(twice)} ids are in two splits (first: {shown}); a row has one role: remove it from one split."
        )
