"""Corrupt the pictures of rows, as CIFAR-10-C and MNIST-C do, without their files and at any size of image.

    corrupt(rows, "fog", severity=3, seed=0)

A row keeps its id, its sources, groups and clusters: a corrupted picture is the same row seen differently, and plays no
other role than the clean one does. What is drawn for a row depends on its id, the seed and the name of the corruption,
not on the other rows; nor on the severity, so that the severities of one corruption differ in strength alone.
"""

from difflib import get_close_matches

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.errors import InputError
from surefoot.rows.rows import Rows
from surefoot.rows.shift.counters import row_keys
from surefoot.rows.shift.strengths import CORRUPTIONS, Suite, strength

__all__ = ["CIFAR_C", "MNIST_C", "SEVERITIES", "corrupt"]

CIFAR_C = (
    "gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise", "gaussian_blur", "defocus_blur", "glass_blur",
    "motion_blur", "zoom_blur", "snow", "frost", "fog", "brightness", "spatter", "contrast", "elastic_transform",
    "pixelate", "jpeg_compression", "saturate",
)  # fmt: skip
"""The 19 corruptions of CIFAR-10-C: 15, and 4 that were meant for choosing settings."""

MNIST_C = (
    "identity", "shot_noise", "impulse_noise", "glass_blur", "motion_blur", "shear", "scale", "rotate", "brightness",
    "translate", "stripe", "fog", "spatter", "dotted_line", "zigzag", "canny_edges",
)  # fmt: skip
"""The 15 corruptions of MNIST-C, and the identity."""

SEVERITIES = (1, 2, 3, 4, 5)
BLOCK = 1 << 18
"""Numbers corrupted at a time: a megabyte, so that most of the work stays in a processor's cache."""
SMALLEST = 4
"""Pixels a side: a length of one pixel of 28 is then a seventh of one."""


def corrupt(rows: Rows, name: str, severity: int, seed: int, *, suite: Suite | None = None) -> Rows:
    """Rows whose pictures are corrupted by `name` (see `CIFAR_C`, `MNIST_C`), weakly (severity 1) to strongly (5).

    Inputs are `[rows, channels, height, width]` in [0, 1] with one channel or three, and so are those of the result
    (float32). `suite` says whose strengths are meant: without it, MNIST-C's for grey pictures and CIFAR-C's for
    coloured ones, as those suites hold them. `identity` changes nothing. Files of images are read, all of them.

    Source: Hendrycks and Dietterich (2019), "Benchmarking neural network robustness to common corruptions and
    perturbations"; Mu and Gilmer (2019), "MNIST-C: a robustness benchmark for computer vision". The parameters, and
    where we depart, are in docs/shift.md; the results are not those suites' files, and are not rounded to bytes.

    Raises `InputError` for an unknown name (with the nearest), a severity outside 1 to 5, and rows without such
    pictures.

    >>> from surefoot.rows.rows import make_rows
    >>> rows = make_rows(torch.rand(3, 1, 28, 28), torch.tensor([0, 1, 0]))
    >>> foggy = corrupt(rows, "fog", severity=3, seed=0)
    >>> torch.equal(foggy.take(torch.tensor([2])).inputs, corrupt(rows.take(torch.tensor([2])), "fog", 3, 0).inputs)
    True
    >>> foggy.origins() == rows.origins()
    True
    """
    known = ("identity", *CORRUPTIONS)
    if name not in known:
        near = get_close_matches(name, known, n=1, cutoff=0)[0]
        raise InputError(
            f'There is no corruption "{name}"; did you mean "{near}"? They are CIFAR_C and MNIST_C of '
            "surefoot.rows.shift.corrupt."
        )
    if severity not in SEVERITIES:
        raise InputError(f"The severity of {name} is {severity}; give a whole number from 1 (weak) to 5 (strong).")
    if suite not in (None, "cifar", "mnist"):
        raise InputError(f'The suite is "{suite}"; give "cifar" or "mnist", or leave it out.')
    keys = row_keys(rows.ids, seed, name)
    parts: list[Tensor] = []
    start, step = 0, 1
    while start < len(rows):
        images = _pictures(rows, start, start + step, name)
        if name != "identity":
            own: Suite = suite or ("mnist" if images.shape[1] == 1 else "cifar")
            corruption = CORRUPTIONS[name]
            parameters = strength(corruption, own, severity, min(images.shape[2:]))
            images = corruption.apply(images, keys[start : start + step], *parameters)
        parts.append(images)
        start, step = start + step, max(1, BLOCK // images[0].numel())
    return rows.with_inputs(torch.cat(parts) if parts else rows.inputs)


def _pictures(rows: Rows, start: int, stop: int, name: str) -> Float[Tensor, "rows channels height width"]:
    """The pictures from `start` to `stop`, checked."""
    images = rows.inputs[start:stop]
    shape = tuple(images.shape[1:])
    if images.ndim != 4 or not images.is_floating_point() or shape[0] not in (1, 3) or min(shape[1:]) < SMALLEST:
        kind = str(images.dtype).removeprefix("torch.")
        raise InputError(
            f"{name} needs pictures [channels, height, width] of 1 or 3 channels and at least {SMALLEST} pixels a "
            f"side, floating-point numbers; a row here is {kind} of shape {shape}: read the rows as images, or use "
            "pixel_noise or along_directions."
        )
    if not bool(((images >= 0) & (images <= 1)).all()):
        raise InputError(
            f"{name} needs pictures in [0, 1] and these go from {float(images.min()):.4g} to "
            f"{float(images.max()):.4g}; corrupt them before they are normalised, and normalise afterwards."
        )
    return images.to(torch.float32).contiguous()
