"""Scaled digits: a real digit somewhere on a larger canvas, as images for transformers of several patch sizes.

A digit's 28×28 pixels are scaled to a side drawn from a range, turned by up to `turn` radians, put anywhere on the
canvas where they fit, and covered by Gaussian noise:

    image(u) = ( digit( R(−angle) (u − centre) · canvas / side ) + noise · N(0, 1) − MIDDLE ) / SPREAD

bilinear, zero outside the digit. What is subtracted and divided by is about the mean and the deviation of `LARGE`.

`LARGE` fills most of 48 × 48 pixels: what a digit is shows in coarse patches too.
`SMALL` is a smaller one at any place: a coarse patch has to know it at each of its pixels, a fine one at fewer.

The source digits are split per class 70/10/20 % into pools for fit, choose and judge, so that no digit is in two roles.
Every digit of a pool is used equally often, give or take one. Rows of one digit are not independent evidence: intervals
count digits.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from surefoot.errors import InputError
from surefoot.rows.digits import digit_names, load_digits
from surefoot.rows.dominoes import digit_pools
from surefoot.rows.roles import ROLES, Role, Roles
from surefoot.rows.rows import Rows, make_rows

__all__ = ["LARGE", "MIDDLE", "POOLS", "SIZES", "SMALL", "SPREAD", "Scene", "draw_scenes", "scaled_digits"]

POOLS: Mapping[Role, float] = {"fit": 0.7, "choose": 0.1, "judge": 0.2}
"""Which share of the source digits of each class a role draws from."""
SIZES: Mapping[Role, int] = {"fit": 28_000, "choose": 2_500, "judge": 5_000}
MIDDLE, SPREAD = 0.1, 1 / 3
BLOCK = 1000


@dataclass(frozen=True)
class Scene:
    """How a digit is put on a canvas. least, most: pixels that the side of its 28 × 28 image is scaled to.

    canvas: pixels a side. turn: the largest angle, in radians. noise: the standard deviation added to pixels in [0, 1].

    Raises `InputError` for sides that are not between a pixel and the canvas, and for negative angles or noise.
    """

    least: float
    most: float
    canvas: int = 48
    turn: float = 0.15
    noise: float = 0.25

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.most <= self.canvas:
            raise InputError(
                f"Digits of {self.least:g} to {self.most:g} pixels do not fit a canvas of {self.canvas}; give sides in "
                "order, from 1 to the canvas."
            )
        if self.turn < 0 or self.noise < 0:
            raise InputError(f"turn is {self.turn:g} and noise {self.noise:g}; give zero or positive numbers.")


LARGE = Scene(38.0, 46.0)
SMALL = Scene(26.0, 32.0)


def scaled_digits(scene: Scene = LARGE, *, sizes: Mapping[Role, int] = SIZES, seed: int = 0) -> Roles:
    """Rows for each role of `sizes`: inputs `[rows, 1, canvas, canvas]`, the ten digits as classes.

    A role's rows depend on the scene, the seed and its own size alone. Raises `InputError` for a role without a pool,
    and a size below one.

    >>> roles = scaled_digits(sizes={"fit": 20, "judge": 10})
    >>> tuple(roles["fit"].inputs.shape), bool(roles["fit"].origins() & roles["judge"].origins())
    ((20, 1, 48, 48), False)
    """
    for role, size in sizes.items():
        if role not in POOLS:
            raise InputError(f"sizes names the role {role!r}; scaled digits have {', '.join(POOLS)}.")
        if size < 1:
            raise InputError(f"The size of {role} is {size}; give at least one row, or leave the role out.")
    digits = load_digits()
    pools = digit_pools(digits.labels.numpy(), seed, POOLS)
    return {
        role: _role(role, sizes[role], np.concatenate(pools[role]), digits.images, digits.labels, scene, seed)
        for role in ROLES
        if role in sizes
    }


def draw_scenes(
    digits: Float[Tensor, "rows height width"], scene: Scene, generator: torch.Generator
) -> Float[Tensor, "rows 1 canvas canvas"]:
    """Each digit, in [0, 1], on a canvas of its own."""
    count = len(digits)
    side = scene.least + (scene.most - scene.least) * torch.rand(count, generator=generator)
    angle = scene.turn * (2 * torch.rand(count, generator=generator) - 1)
    # In units of half a canvas, from its middle.
    room = 1 - side / scene.canvas
    centre = room[:, None] * (2 * torch.rand(count, 2, generator=generator) - 1)
    larger = scene.canvas / side
    turned = torch.stack([angle.cos(), angle.sin(), -angle.sin(), angle.cos()], dim=1).reshape(count, 2, 2)
    matrix = turned * larger[:, None, None]
    places = torch.cat([matrix, -(matrix @ centre[:, :, None])], dim=2)
    drawn: list[Tensor] = []
    for first in range(0, count, BLOCK):
        some = slice(first, first + BLOCK)
        grid = affine_grid(places[some], [len(places[some]), 1, scene.canvas, scene.canvas], align_corners=False)
        images = grid_sample(digits[some, None], grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        images = images + scene.noise * torch.randn(images.shape, generator=generator)
        drawn.append((images - MIDDLE) / SPREAD)
    return torch.cat(drawn)


def _role(role: Role, size: int, pool: np.ndarray, images: Tensor, labels: Tensor, scene: Scene, seed: int) -> Rows:
    index = ROLES.index(role)
    order = np.random.default_rng([seed, 1 + index])
    rounds = [order.permutation(pool) for _ in range(-(-size // len(pool)))]
    places = np.concatenate(rounds)[:size]
    chosen = torch.from_numpy(places)
    generator = torch.Generator().manual_seed(int(np.random.SeedSequence([seed, 5, index]).generate_state(1)[0]))
    return make_rows(
        draw_scenes(images[chosen].float() / 255, scene, generator),
        labels[chosen],
        classes=tuple(str(digit) for digit in range(10)),
        ids=np.array([f"scene:{role}:{row:06d}" for row in range(size)]),
        sources=digit_names(places)[:, None],
    )
