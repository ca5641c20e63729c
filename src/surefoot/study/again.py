"""Why cells that look finished are computed again: the store has the very same work, computed in another way."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from surefoot.files import digest_json
from surefoot.study.cells import Cell
from surefoot.study.store import Store

__all__ = ["told_again", "ways_that_differ"]

WAYS: Mapping[str, str] = {
    "surefoot": "another version of surefoot",
    "torch": "another version of torch",
    "numpy": "another version of numpy",
    "pillow": "another version of Pillow",
    "product": "another way of multiplying matrices",
    "vectors": "a processor with other vector instructions",
}
REMEMBERED = 8  # ways of computing, newest first, that are looked for


def told_again(cells: Sequence[Cell], left: frozenset[str], store: Store) -> list[str]:
    """A sentence for each other way in which the store's cells were computed that stand for those `left` to compute.

    cells: all of a study, each after those it needs.
    """
    told: list[str] = []
    for numerics in _other_ways(cells, store) if left else ():
        count = sum(now in left and store.has(then) for now, then in _addresses(cells, numerics).items())
        if count:
            one = count == 1
            told.append(
                f"{count} finished cell{' was' if one else 's were'} computed by "
                f"{ways_that_differ(numerics, cells[0].numerics)} and {'is' if one else 'are'} computed again."
            )
    return told


def ways_that_differ(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """In words, what of `numerics_of` is another; "" where nothing is. Before it was recorded, surefoot was another."""
    known = {"surefoot": "", **before}
    return " and ".join(words for name, words in WAYS.items() if name in known and known[name] != now.get(name))


def _other_ways(cells: Sequence[Cell], store: Store) -> Iterator[Mapping[str, Any]]:
    """The last numerics in the store that are not those of these cells."""
    met = {digest_json(cells[0].numerics)}
    for cell in store.cells():
        if (way := digest_json(cell.numerics)) not in met:
            met.add(way)
            yield cell.numerics
        if len(met) > REMEMBERED:
            return


def _addresses(cells: Sequence[Cell], numerics: Mapping[str, Any]) -> dict[str, str]:
    """The address that each cell would have with other numerics, by its own."""
    found: dict[str, str] = {}
    for cell in cells:
        inputs: dict[str, str] = {}
        for name, reference in cell.inputs.items():
            address, slash, part = reference.partition("/")
            inputs[name] = f"{found[address]}{slash}{part}"
        found[cell.address] = replace(cell, inputs=inputs, numerics=numerics).address
    return found
