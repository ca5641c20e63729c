"""Roles of rows whose columns become features by the fit rows alone: what is drawn here, and what is learned from.

Rows have roles before their columns are features, for the fit rows alone decide how these come about. Two rows that
differ in a cell can then have the same features: a name that is left out, a rare word, a number that float32 does not
tell from another. Where features tell rows apart (`telling`) such rows are copies and stay together; where they are a
few words and numbers they can be two people, and are no reason to refuse roles that were drawn here.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from surefoot.rows.assign import assign_roles, check_roles, families
from surefoot.rows.copies import telling, with_copies
from surefoot.rows.digest import input_digests
from surefoot.rows.encoding import Coded, Encoder, fit_encoder
from surefoot.rows.roles import Role, Roles
from surefoot.rows.rows import Rows, concatenate

__all__ = ["EncodedRoles", "draw_roles", "encode_roles"]


class EncodedRoles(NamedTuple):
    """Rows with features by role, how columns became these, and what a card must say of rows that look the same."""

    roles: Roles
    encoder: Encoder
    notes: tuple[str, ...]


def draw_roles(rows: Rows, coded: Coded | None, fractions: Mapping[Role, float], seed: int) -> Roles:
    """`assign_roles`, with those rows together too that the features of the drawn fit rows say are copies.

    Features depend on which rows are fit rows, so rows are drawn again until no new copies appear: families only grow.
    """
    if coded is None or "fit" not in fractions:
        return assign_roles(rows, fractions, seed)
    family = families(rows)
    while True:
        roles = assign_roles(rows, fractions, seed, family)
        features = fit_encoder(coded, roles["fit"].inputs[:]).encode(coded, rows.inputs[:])
        if not telling(features):
            return roles
        known = np.char.add("family ", family.numpy().astype(np.str_))
        joined = families(replace(rows, inputs=features, sources=known[:, None]))
        if joined.max() == family.max():
            return roles
        family = joined


def encode_roles(roles: Roles, coded: Coded, drawn: Collection[Role]) -> EncodedRoles:
    """The features of rows with roles, by an encoder that sees the fit rows alone; equal ones may become a cluster.

    drawn: the roles that `draw_roles` shared out. Raises `InputError` where the file's own split has rows in two roles
    whose every feature is the same.
    """
    encoder = fit_encoder(coded, roles["fit"].inputs[:])
    made: Roles = {role: rows.with_inputs(encoder.encode(coded, rows.inputs[:])) for role, rows in roles.items()}
    check_roles(made, drawn)
    whole = None
    for rows in made.values():
        whole = rows if whole is None else concatenate(whole, rows)
    assert whole is not None
    held, together, start = with_copies(whole), dict[Role, Rows](), 0
    for role, rows in made.items():
        together[role] = held.take(torch.arange(start, start + len(rows)))
        start += len(rows)
    return EncodedRoles(together, encoder, _about_likenesses(together))


def _about_likenesses(roles: Roles) -> tuple[str, ...]:
    """What to say of judge rows that training cannot tell from its own."""
    if "judge" not in roles:
        return ()
    learned = {print_ for role, rows in roles.items() if role != "judge" for print_ in input_digests(rows.inputs)}
    alike = sum(print_ in learned for print_ in input_digests(roles["judge"].inputs))
    if not alike:
        return ()
    return (
        f"{alike:,} of {len(roles['judge']):,} judge rows have the same features as rows that were learned from, and "
        "differ from them in cells that became no feature: they count as others.",
    )
