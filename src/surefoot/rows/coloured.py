"""Coloured digits: is the digit at least 5? Its colour is an easy shortcut that mostly agrees.

Each of the 5,000 digits is used once, in one role, in one of two colours (red or green on black), so every
row is a source of its own. In training red agrees with 0–4 and green with 5–9 in, say, 95 % of the rows.

Source: the coloured digits of Arjovsky et al. (2019), "Invariant risk minimization", section 5.1, without
their label noise.
"""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.errors import InputError
from surefoot.rows.assign import checked_fractions
from surefoot.rows.digits import digit_names, halved, load_digits
from surefoot.rows.dominoes import POOLS, Numbers, digit_pools
from surefoot.rows.roles import ROLES, Role, Roles
from surefoot.rows.rows import Rows, cross_groups, make_rows

__all__ = ["CLASSES", "COLOURS", "coloured_digits"]

CLASSES = ("0–4", "5–9")
COLOURS = ("red", "green")


def coloured_digits(
    *,
    correlation: float = 0.95,
    judge_correlation: float = 0.5,
    fractions: Mapping[Role, float] = POOLS,
    seed: int = 0,
) -> Roles:
    """Rows for each role: inputs `[rows, 3, 14, 14]` (red, green, blue) in [0, 1], groups class × colour.

    `fractions` are the shares of the digits of each kind; the colour agrees with the class in exactly
    `correlation` of the rows of each class (`judge_correlation` in judge), give or take rounding, alike for every
    digit. Raises `InputError` for a correlation outside [0, 1] or fractions that do not sum to one.

    >>> coloured_digits()["repair"].groups.counts().tolist()
    [238, 12, 12, 238]
    """
    for name, value in (("correlation", correlation), ("judge_correlation", judge_correlation)):
        if not 0 <= value <= 1:
            raise InputError(f"{name} is {value}; give a share of rows between 0 and 1.")
    roles = checked_fractions(fractions)
    digits = load_digits()
    pixels = halved(digits)
    pools = digit_pools(digits.labels.numpy(), seed, {role: fractions[role] for role in roles})
    return {
        role: _role(role, judge_correlation if role == "judge" else correlation, pools[role], pixels, seed)
        for role in roles
    }


def _role(
    role: Role, correlation: float, pool: tuple[Numbers, ...], pixels: Float[Tensor, "5000 14 14"], seed: int
) -> Rows:
    generator = np.random.default_rng([seed, 11 + ROLES.index(role)])
    places, labels, colours = [], [], []
    for label in (0, 1):
        # Digit by digit in turn (0, 1, 2, 3, 4, 0, …): the first rows, which disagree, are balanced over digits.
        own = np.stack(pool[5 * label : 5 * label + 5], axis=1).reshape(-1)
        agreeing = int(np.floor(correlation * len(own) + 0.5))
        places.append(own)
        labels.append(np.full(len(own), label))
        colours.append(np.where(np.arange(len(own)) < len(own) - agreeing, 1 - label, label))
    order = generator.permutation(sum(map(len, places)))
    place, number, colour = (np.concatenate(parts)[order] for parts in (places, labels, colours))
    images = torch.zeros(len(place), 3, 14, 14)
    images[torch.arange(len(place)), torch.from_numpy(colour)] = pixels[torch.from_numpy(place)]
    targets = torch.from_numpy(number)
    return make_rows(
        images,
        targets,
        classes=CLASSES,
        groups=cross_groups(targets, CLASSES, torch.from_numpy(colour), COLOURS),
        ids=np.array([f"coloured:{role}:{row:04d}" for row in range(len(place))]),
        sources=digit_names(place)[:, None],
    )
