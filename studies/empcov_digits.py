"""The digits of `empcov.py`, and the shifts under which they are judged.

Five disjoint thousands of the 5,000 real digits, a hundred of each class in each: the first is judged by every model,
the others are learnt from, one by each data seed. So seeds and judged rows are crossed, and intervals speak of both.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from surefoot.rows.digits import digit_names, halved, load_digits
from surefoot.rows.rows import Rows, make_rows
from surefoot.rows.shift.corrupt import MNIST_C, corrupt
from surefoot.rows.shift.directions import (
    along_directions,
    dead_pixel_noise,
    dead_pixels,
    highest,
    lowest,
    pixel_noise,
    principal_directions,
)

GREY = 0.3
"""Inputs are pixels in [0, 1] over this; the noises below are told in pixels."""
CORRUPTIONS = tuple(name for name in MNIST_C if name != "identity")
SEVERITIES = (3, 5)
DIRECTED = ("clean", "dead pixels, 1", "dead pixels, 2", "low variance, 1", "high variance, 1", "all pixels, 0.4")
MOST_SEEDS = 4


def thousand(part: int, rows: int) -> Rows:
    """Pictures [rows, 1, 14, 14] in [0, 1]: one of the five parts (0 is the judge's), or the first `rows` of it."""
    digits = load_digits()
    generator = torch.Generator().manual_seed(0)
    places: list[Tensor] = []
    for label in range(10):
        mine = (digits.labels == label).nonzero()[:, 0]
        mine = mine[torch.randperm(len(mine), generator=generator)]
        places.append(mine[100 * part : 100 * part + rows // 10])
    place = torch.cat(places)
    classes = [str(label) for label in range(10)]
    return make_rows(
        halved(digits)[place][:, None], digits.labels[place], ids=digit_names(place.numpy()), classes=classes
    )


def scaled(pictures: Rows) -> Rows:
    return pictures.with_inputs(pictures.inputs[:] / GREY)


def flat(pictures: Rows) -> Rows:
    return pictures.with_inputs(pictures.inputs[:].flatten(1) / GREY)


def directed(fit: Rows, judge: Rows) -> Mapping[str, Rows]:
    """The judge's rows under noise in directions of the fit rows, both flat; noise in pixels, labels kept."""
    directions, dead = principal_directions(fit.inputs[:]), dead_pixels(fit.inputs[:])
    unit = 1 / GREY
    return dict(
        zip(
            DIRECTED,
            (
                judge,
                dead_pixel_noise(judge, dead, unit, seed=0),
                dead_pixel_noise(judge, dead, 2 * unit, seed=0),
                along_directions(judge, lowest(directions, 0.5), unit, seed=0),
                along_directions(judge, highest(directions, 0.5), unit, seed=0),
                pixel_noise(judge, 0.4 * unit, seed=0),
            ),
            strict=True,
        )
    )


def corrupted(pictures: Rows, names: tuple[str, ...] = CORRUPTIONS) -> Mapping[str, Rows]:
    """Every corruption of MNIST-C at both severities, in [0, 1]."""
    return {
        f"{name} {severity}": corrupt(pictures, name, severity, seed=0) for name in names for severity in SEVERITIES
    }


def subspaces(fit: Rows) -> Mapping[str, Tensor]:
    """Orthonormal directions [196, some] of the inputs: dead pixels; the lower half, where there is any variance; the
    upper tenth. A few directions without variance are no dead pixels: pixels that depend on each other."""
    directions, dead = principal_directions(fit.inputs[:]), dead_pixels(fit.inputs[:])
    alive = int((directions.variances > 1e-9 * directions.variances[0]).sum())
    return {
        "dead": torch.eye(len(dead), dtype=torch.float64)[:, dead],
        "low": directions.vectors[:, len(directions.variances) // 2 : alive],
        "high": highest(directions, 0.1),
    }
