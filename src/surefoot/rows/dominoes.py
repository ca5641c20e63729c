"""Dominoes: a strong shortcut over a harder core, made from real digits.

An image is 28×14 pixels: a 0 or a 1 on top (the shortcut), below it the core digit, {2–5} against {6–9},
which alone is the class. In training the top digit agrees with the class in, say, 98 % of the rows.

The *source* digits are split per class 40/10/20/30 % into pools for fit, repair, choose and judge, top and
core digits alike, so no source digit is ever in two roles. Within a role the groups have exact sizes, the
core digits of a class are balanced, and every source digit of a pool is used equally often, give or take one,
in every group. Rows that share a digit are not independent evidence: intervals count source digits, core and
top being two ways of hanging together.

Source: the dominoes construction of Shah et al. (2020), "The pitfalls of simplicity bias in neural networks",
section 4, with digits in both halves.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from surefoot.errors import InputError
from surefoot.rows.digits import digit_names, halved, load_digits
from surefoot.rows.roles import ROLES, Role, Roles
from surefoot.rows.rows import Rows, cross_groups, make_rows

__all__ = ["CLASSES", "POOLS", "SIZES", "digit_pools", "dominoes"]

CLASSES = ("2–5", "6–9")
TOPS = ("top 0", "top 1")
CORES = ((2, 3, 4, 5), (6, 7, 8, 9))
POOLS: Mapping[Role, float] = {"fit": 0.4, "repair": 0.1, "choose": 0.2, "judge": 0.3}
"""Which share of the source digits of each class a role draws from."""
SIZES: Mapping[Role, int] = {"fit": 9600, "repair": 2400, "choose": 8000, "judge": 4800}

Numbers: TypeAlias = NDArray[np.int64]


def dominoes(
    *,
    correlation: float = 0.98,
    sizes: Mapping[Role, int] = SIZES,
    judge_correlation: float = 0.5,
    seed: int = 0,
) -> Roles:
    """Rows for each role of `sizes`: inputs `[rows, 1, 28, 14]` in [0, 1], groups class × top digit.

    `correlation` is the share of rows of each class whose top digit agrees with it (0 over 2–5, 1 over 6–9)
    in fit, repair and choose; judge has `judge_correlation`. A role's rows depend on the seed, its own size
    and its own correlation alone. Raises `InputError` for a correlation outside [0, 1] or a size below one.

    >>> roles = dominoes(sizes={"fit": 200, "judge": 40})
    >>> roles["fit"].groups.names
    ('2–5, top 0', '2–5, top 1', '6–9, top 0', '6–9, top 1')
    >>> roles["fit"].groups.counts().tolist()
    [98, 2, 2, 98]
    """
    for name, value in (("correlation", correlation), ("judge_correlation", judge_correlation)):
        if not 0 <= value <= 1:
            raise InputError(f"{name} is {value}; give a share of rows between 0 and 1.")
    for role, size in sizes.items():
        if role not in ROLES:
            raise InputError(f"sizes names the role {role!r}; the roles are {', '.join(ROLES)}.")
        if size < 1:
            raise InputError(f"The size of {role} is {size}; give at least one row, or leave the role out.")
    digits = load_digits()
    pixels = halved(digits)
    pools = digit_pools(digits.labels.numpy(), seed)
    return {
        role: _role(role, sizes[role], judge_correlation if role == "judge" else correlation, pools[role], pixels, seed)
        for role in ROLES
        if role in sizes
    }


def digit_pools(labels: Numbers, seed: int, shares: Mapping[Role, float] = POOLS) -> dict[Role, tuple[Numbers, ...]]:
    """For each role, the places of its source digits of each class 0 … 9, in random order; pools are disjoint."""
    generator = np.random.default_rng([seed, 0])
    pools: dict[Role, list[Numbers]] = {role: [] for role in shares}
    for digit in range(10):
        places = generator.permutation(np.flatnonzero(labels == digit))
        ends = np.round(np.cumsum(list(shares.values())) * len(places)).astype(int)
        for role, part in zip(shares, np.split(places, ends[:-1]), strict=True):
            pools[role].append(part)
    return {role: tuple(parts) for role, parts in pools.items()}


def _role(
    role: Role,
    size: int,
    correlation: float,
    pool: Sequence[Numbers],
    pixels: Float[Tensor, "5000 14 14"],
    seed: int,
) -> Rows:
    generator = np.random.default_rng([seed, 1 + ROLES.index(role)])
    # Digit by digit in turn (2, 3, 4, 5, 2, …): any run of a class's cores is then balanced over its digits.
    cores = [np.stack([pool[digit] for digit in digits], axis=1).reshape(-1) for digits in CORES]
    tops = [pool[0], pool[1]]
    next_core, next_top = [0, 0], [0, 0]
    parts: list[tuple[Numbers, Numbers, Numbers, Numbers]] = []
    for label in (0, 1):
        rows = (size + 1 - label) // 2
        agreeing = int(np.floor(correlation * rows + 0.5))
        for top, count in ((1 - label, rows - agreeing), (label, agreeing)):
            core = _in_turn(cores[label], next_core[label], count)
            # The cores keep their order, so shuffling the tops is enough to pair them at random.
            shortcut = generator.permutation(_in_turn(tops[top], next_top[top], count))
            next_core[label] += count
            next_top[top] += count
            parts.append((core, shortcut, np.full(count, label), np.full(count, top)))
    order = generator.permutation(size)
    core, shortcut, labels, top = (np.concatenate(part)[order] for part in zip(*parts, strict=True))
    images = torch.cat([pixels[torch.from_numpy(shortcut)], pixels[torch.from_numpy(core)]], dim=1)
    targets = torch.from_numpy(labels)
    return make_rows(
        images[:, None],
        targets,
        classes=CLASSES,
        groups=cross_groups(targets, CLASSES, torch.from_numpy(top), TOPS),
        ids=np.array([f"domino:{role}:{row:06d}" for row in range(size)]),
        sources=np.stack([digit_names(core), digit_names(shortcut)], axis=1),
    )


def _in_turn(places: Numbers, start: int, count: int) -> Numbers:
    """`count` entries of `places` from `start`, going round: each is used equally often, give or take one."""
    return places[np.arange(start, start + count) % len(places)]
