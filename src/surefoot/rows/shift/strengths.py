"""How strong each corruption is at severities 1 to 5: the published numbers, and where we depart from them.

Lengths are in pixels of an image of 28 (MNIST-C) or 32 pixels (CIFAR-C) and grow and shrink with the shorter side of
the image given. Sources: Hendrycks and Dietterich (2019) and the code of CIFAR-10-C; Mu and Gilmer (2019) and the code
of MNIST-C, which has numbers of its own for most names of CIFAR-C. MNIST-C as published has one severity of each name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from torch import Tensor

from surefoot.rows.shift import affine, blur, digital, marks, noise, weather

__all__ = ["CORRUPTIONS", "SIDES", "Corruption", "Levels", "Suite", "strength"]

Suite: TypeAlias = Literal["cifar", "mnist"]
Levels: TypeAlias = tuple[tuple[float, ...], ...]
"""The parameters at severities 1 to 5, in the order of the function's arguments."""

SIDES: Mapping[Suite, int] = {"cifar": 32, "mnist": 28}
"""The images whose pixels the lengths are counted in."""


@dataclass(frozen=True)
class Corruption:
    """apply: `(images, keys, *parameters) → images`. lengths: which parameters are pixels.

    mnist, cifar: the levels of each suite; a corruption that CIFAR-C does not have has those of MNIST-C alone.
    published: the severity at which MNIST-C was published. departure: where levels are not those of the code.
    """

    apply: Callable[..., Tensor]
    parameters: tuple[str, ...]
    mnist: Levels
    cifar: Levels | None = None
    lengths: frozenset[str] = field(default_factory=frozenset[str])
    published: int | None = None
    departure: str = ""


def strength(corruption: Corruption, suite: Suite, severity: int, side: int) -> tuple[float, ...]:
    """The parameters at a severity for images whose shorter side is `side` pixels.

    >>> strength(CORRUPTIONS["translate"], "mnist", 5, side=14)
    (2.5,)
    """
    own = corruption.cifar if suite == "cifar" else None
    base = SIDES["mnist" if own is None else "cifar"]
    levels = (own or corruption.mnist)[severity - 1]
    return tuple(
        value * side / base if name in corruption.lengths else value
        for name, value in zip(corruption.parameters, levels, strict=True)
    )


def _each(*values: float) -> Levels:
    return tuple((value,) for value in values)


CORRUPTIONS: Mapping[str, Corruption] = {
    "gaussian_noise": Corruption(
        noise.gaussian_noise,
        ("std",),
        _each(0.08, 0.12, 0.18, 0.26, 0.38),
        _each(0.04, 0.06, 0.08, 0.09, 0.10),
    ),
    "shot_noise": Corruption(
        noise.shot_noise,
        ("photons",),
        _each(60.0, 25.0, 12.0, 5.0, 3.0),
        _each(500.0, 250.0, 100.0, 75.0, 50.0),
        published=5,
    ),
    "impulse_noise": Corruption(
        noise.impulse_noise,
        ("share",),
        _each(0.03, 0.06, 0.09, 0.17, 0.27),
        _each(0.01, 0.02, 0.03, 0.05, 0.07),
        published=4,
    ),
    "speckle_noise": Corruption(
        noise.speckle_noise,
        ("std",),
        _each(0.15, 0.2, 0.35, 0.45, 0.6),
        _each(0.06, 0.1, 0.12, 0.16, 0.2),
    ),
    "gaussian_blur": Corruption(
        blur.gaussian_blur,
        ("sigma",),
        _each(1.0, 2.0, 3.0, 4.0, 6.0),
        _each(0.4, 0.6, 0.7, 0.8, 1.0),
        lengths=frozenset({"sigma"}),
    ),
    "defocus_blur": Corruption(
        blur.defocus_blur,
        ("radius", "softness"),
        ((3.0, 0.1), (4.0, 0.5), (6.0, 0.5), (8.0, 0.5), (10.0, 0.5)),
        ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1.0, 0.2), (1.5, 0.1)),
        lengths=frozenset({"radius", "softness"}),
    ),
    "glass_blur": Corruption(
        blur.glass_blur,
        ("sigma", "reach", "rounds"),
        ((0.7, 1.0, 2.0), (0.9, 2.0, 1.0), (1.0, 2.0, 3.0), (1.1, 3.0, 2.0), (1.5, 4.0, 2.0)),
        ((0.05, 1.0, 1.0), (0.25, 1.0, 1.0), (0.4, 1.0, 1.0), (0.25, 1.0, 2.0), (0.4, 1.0, 2.0)),
        lengths=frozenset({"sigma", "reach"}),
        published=1,
    ),
    "motion_blur": Corruption(
        blur.motion_blur,
        ("radius", "sigma"),
        ((10.0, 3.0), (15.0, 5.0), (15.0, 8.0), (15.0, 12.0), (20.0, 15.0)),
        ((6.0, 1.0), (6.0, 1.5), (6.0, 2.0), (8.0, 2.0), (9.0, 2.5)),
        lengths=frozenset({"radius", "sigma"}),
        published=1,
    ),
    "zoom_blur": Corruption(
        blur.zoom_blur,
        ("most",),
        _each(1.10, 1.15, 1.20, 1.25, 1.30),
        _each(1.05, 1.10, 1.15, 1.20, 1.25),
        departure="eleven zooms at every severity",
    ),
    "snow": Corruption(
        weather.snow,
        ("mean", "spread", "zoom", "threshold", "radius", "sigma", "kept", "pixel"),
        (
            (0.1, 0.3, 3.0, 0.5, 10.0, 4.0, 0.8, 1.0),
            (0.2, 0.3, 2.0, 0.5, 12.0, 4.0, 0.7, 1.0),
            (0.55, 0.3, 4.0, 0.9, 12.0, 8.0, 0.7, 1.0),
            (0.55, 0.3, 4.5, 0.85, 12.0, 8.0, 0.65, 1.0),
            (0.55, 0.3, 2.5, 0.85, 12.0, 12.0, 0.55, 1.0),
        ),
        (
            (0.1, 0.2, 1.0, 0.6, 8.0, 3.0, 0.95, 1.0),
            (0.1, 0.2, 1.0, 0.5, 10.0, 4.0, 0.9, 1.0),
            (0.15, 0.3, 1.75, 0.55, 10.0, 4.0, 0.9, 1.0),
            (0.25, 0.3, 2.25, 0.6, 12.0, 6.0, 0.85, 1.0),
            (0.3, 0.3, 1.25, 0.65, 14.0, 12.0, 0.8, 1.0),
        ),
        lengths=frozenset({"radius", "sigma", "pixel"}),
    ),
    "frost": Corruption(
        weather.frost,
        ("kept", "ice"),
        ((1.0, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)),
        ((1.0, 0.2), (1.0, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)),
    ),
    "fog": Corruption(
        weather.fog,
        ("thickness", "decay"),
        ((1.5, 2.0), (2.0, 2.0), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4)),
        ((0.2, 3.0), (0.5, 3.0), (0.75, 2.5), (1.0, 2.0), (1.5, 1.75)),
        published=5,
    ),
    "brightness": Corruption(
        weather.brightness,
        ("amount",),
        _each(0.1, 0.2, 0.3, 0.4, 0.5),
        _each(0.05, 0.1, 0.15, 0.2, 0.3),
        published=5,
    ),
    "spatter": Corruption(
        weather.spatter,
        ("mean", "spread", "sigma", "threshold", "rim", "water", "pixel"),
        (
            (0.65, 0.3, 4.0, 0.69, 0.6, 0.0, 1.0),
            (0.65, 0.3, 3.0, 0.68, 0.6, 0.0, 1.0),
            (0.65, 0.3, 2.0, 0.68, 0.5, 0.0, 1.0),
            (0.65, 0.3, 1.0, 0.65, 1.5, 0.0, 1.0),
            (0.67, 0.4, 1.0, 0.65, 1.5, 0.0, 1.0),
        ),
        (
            (0.62, 0.1, 0.7, 0.7, 0.7, 0.5, 1.0),
            (0.65, 0.1, 0.8, 0.7, 0.7, 0.5, 1.0),
            (0.65, 0.3, 1.0, 0.69, 0.7, 0.5, 1.0),
            (0.65, 0.1, 0.7, 0.69, 0.6, 0.0, 1.0),
            (0.65, 0.1, 0.5, 0.68, 0.6, 0.0, 1.0),
        ),
        lengths=frozenset({"sigma", "rim", "pixel"}),
        published=4,
        departure="water is a film of blots, blurred by a rim of 0.7 pixels; edges are as wet as the middle",
    ),
    "contrast": Corruption(
        digital.contrast,
        ("kept",),
        _each(0.4, 0.3, 0.2, 0.1, 0.05),
        _each(0.75, 0.5, 0.4, 0.3, 0.15),
    ),
    "elastic_transform": Corruption(
        digital.elastic_transform,
        ("shake", "smoothness", "skew"),
        ((0.3, 3.0, 0.5), (0.6, 2.6, 0.8), (0.9, 2.2, 1.1), (1.2, 1.8, 1.4), (1.5, 1.5, 1.7)),
        ((0.2, 3.0, 0.5), (0.4, 2.6, 0.8), (0.6, 2.2, 1.1), (0.8, 1.8, 1.4), (1.0, 1.5, 1.7)),
        lengths=frozenset({"shake", "smoothness", "skew"}),
        departure="published levels get weaker before they get stronger; ours grow",
    ),
    "pixelate": Corruption(
        digital.pixelate,
        ("kept",),
        _each(0.6, 0.5, 0.4, 0.3, 0.25),
        _each(0.95, 0.9, 0.85, 0.75, 0.65),
    ),
    "jpeg_compression": Corruption(
        digital.jpeg_compression,
        ("quality",),
        _each(25.0, 18.0, 15.0, 10.0, 7.0),
        _each(80.0, 65.0, 58.0, 50.0, 40.0),
    ),
    "saturate": Corruption(
        digital.saturate,
        ("factor", "more"),
        ((2.0, 0.0), (3.0, 0.05), (5.0, 0.1), (10.0, 0.15), (20.0, 0.2)),
        ((0.3, 0.0), (0.1, 0.0), (1.5, 0.0), (2.0, 0.1), (2.5, 0.2)),
        departure="grey: without the two published levels that darken",
    ),
    "shear": Corruption(affine.shear, ("slope",), _each(0.2, 0.4, 0.6, 0.8, 1.0), published=2),
    "scale": Corruption(affine.scale, ("factor",), _each(0.9, 0.8, 0.7, 0.6, 0.5), published=3),
    "rotate": Corruption(affine.rotate, ("angle",), _each(0.2, 0.4, 0.6, 0.8, 1.0), published=2),
    "translate": Corruption(
        affine.translate,
        ("distance",),
        _each(1.0, 2.0, 3.0, 4.0, 5.0),
        lengths=frozenset({"distance"}),
        published=3,
    ),
    "stripe": Corruption(
        marks.stripe,
        ("share",),
        _each(0.05, 0.1, 0.15, 0.2, 0.25),
        published=5,
        departure="published: severity 5 alone",
    ),
    "dotted_line": Corruption(
        marks.dotted_line,
        ("pixel", "lines"),
        ((1.0, 1.0), (1.0, 2.0), (1.0, 3.0), (1.0, 4.0), (1.0, 5.0)),
        lengths=frozenset({"pixel"}),
        published=1,
        departure="published: severity 1 alone",
    ),
    "zigzag": Corruption(
        marks.zigzag,
        ("pixel", "lines"),
        ((1.0, 1.0), (1.0, 2.0), (1.0, 3.0), (1.0, 4.0), (1.0, 5.0)),
        lengths=frozenset({"pixel"}),
        published=1,
        departure="published: severity 1 alone",
    ),
    "canny_edges": Corruption(
        marks.canny_edges,
        ("sigma", "share"),
        ((1.0, 0.2), (1.0, 0.4), (1.0, 0.6), (1.0, 0.8), (1.0, 1.0)),
        lengths=frozenset({"sigma"}),
        published=5,
        departure="published: severity 5 alone",
    ),
}
"""Every corruption by its name."""
