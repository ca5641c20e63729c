"""Which requests are learnt from and which are judged: a role for each, for ever.

The role follows from the digest of what is asked, whatever its order of modifiers and however it is written: a request,
its rearrangements and its ciphered forms share one role, so nothing that is judged was learnt from in another guise.
"""

import hashlib
from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np

from surefoot.errors import InputError
from surefoot.text.world.language import Request, World

__all__ = ["SHARES", "Role", "draw_request", "draw_requests", "role_of"]

Role: TypeAlias = Literal["fit", "choose", "judge"]

SHARES: dict[Role, float] = {"fit": 0.6, "choose": 0.1, "judge": 0.3}
TRIES = 200
"""Draws in a row that may be of another role, or there already, before there seem to be no more."""


def role_of(world: World, request: Request) -> Role:
    """Of the request's category, action and set of modifiers alone.

    >>> role_of(World(), Request(2, 4, (1, 5))) == role_of(World(), Request(2, 4, (5, 1), encoded=True))
    True
    """
    asked = f"{world.seed} {request.category} {request.action} {sorted(request.modifiers)}"
    digest = hashlib.blake2b(asked.encode(), digest_size=8, person=b"policy world").digest()
    at = int.from_bytes(digest, "big") / 2**64
    if at < SHARES["fit"]:
        return "fit"
    return "choose" if at < SHARES["fit"] + SHARES["choose"] else "judge"


def draw_request(
    world: World, roles: Sequence[Role], modifiers: Sequence[int], encoded: float, generator: np.random.Generator
) -> Request:
    """A request of one of `roles`: how many modifiers it has is drawn from `modifiers`, encoded with that probability.

    Raises `InputError` where no such request is found, and for more modifiers than the world has.
    """
    if not modifiers or not all(0 <= each <= world.modifiers for each in modifiers):
        raise InputError(f"Requests of {list(modifiers)} modifiers were asked for; give 0 to {world.modifiers}.")
    for _ in range(TRIES):
        many = modifiers[int(generator.integers(len(modifiers)))]
        chosen: list[int] = generator.permutation(world.modifiers)[:many].tolist()
        category, action = int(generator.integers(world.categories)), int(generator.integers(world.actions))
        request = Request(category, action, tuple(chosen), bool(generator.random() < encoded))
        if role_of(world, request) in roles:
            return request
    raise InputError(f"{TRIES} draws gave no request of {' or '.join(roles)}; give a larger world.")


def draw_requests(
    world: World,
    role: Role,
    count: int,
    seed: int,
    *,
    modifiers: Sequence[int] = (0, 1, 2),
    encoded: bool = False,
) -> tuple[Request, ...]:
    """`count` different requests of a role; the modifiers' numbers are equally likely as long as there are enough.

    Raises `InputError` where there are not so many.
    """
    generator = np.random.default_rng([seed, 2])
    found: dict[Request, None] = {}
    tries = 0
    while len(found) < count:
        before = len(found)
        found[draw_request(world, (role,), modifiers, float(encoded), generator)] = None
        tries = 0 if len(found) > before else tries + 1
        if tries == TRIES:
            raise InputError(
                f"{count} different requests were asked for and {len(found)} were found; ask for fewer, or give a "
                "larger world."
            )
    return tuple(found)
