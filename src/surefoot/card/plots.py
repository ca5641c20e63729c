"""Plots as inline SVG.

Lanes are drawn with horizontal positions in per cent and vertical ones in pixels, so that a plot fills any
width, from a phone to a print, while its marks and text keep their size. Every series has a shape of its own
besides its colour.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from surefoot.card.markup import Markup, element
from surefoot.card.words import show_value
from surefoot.findings.calibration import Bin

__all__ = [
    "LANE",
    "Lane",
    "Scale",
    "axis",
    "bound_names",
    "claim_plot",
    "lanes",
    "marker",
    "reliability_plot",
    "scale_for",
    "series_style",
    "symbols",
]

LANE = 18
"""Height of one lane in pixels."""
ROOM = 8
"""Pixels above the first lane and below the last."""

# Paths centred on the origin, of about equal area. Series 0, the base, is a ring: what all others started from.
SHAPES = (
    "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0Z",
    "M-4.6,0a4.6,4.6 0 1,0 9.2,0a4.6,4.6 0 1,0 -9.2,0Z",
    "M-4.2,-4.2H4.2V4.2H-4.2Z",
    "M0,-5.8L5.8,0L0,5.8L-5.8,0Z",
    "M0,-5.4L5.4,4.4H-5.4Z",
    "M0,5.4L5.4,-4.4H-5.4Z",
    "M-1.8,-5H1.8V-1.8H5V1.8H1.8V5H-1.8V1.8H-5V-1.8H-1.8Z",
)
COLOURS = 7


@dataclass(frozen=True)
class Scale:
    """A horizontal axis from `low` to `high`, with ticks at round numbers."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def at(self, value: float) -> float:
        """Where a value lies, in per cent of the width.

        >>> Scale(0.5, 1.0, ()).at(0.75)
        50.0
        """
        return 100 * (value - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class Lane:
    """One mark: a value, its interval, one thin tick per seed, and which series (shape and colour) it is.

    hollow draws the mark as an outline: a second quantity of the same series.
    """

    value: float
    low: float | None
    high: float | None
    per_seed: tuple[float, ...]
    series: int
    highlighted: bool = False
    hollow: bool = False


def scale_for(values: Sequence[float], *, limits: tuple[float, float] = (-math.inf, math.inf)) -> Scale:
    """The smallest scale between round numbers that holds all values, kept within `limits`.

    >>> scale_for([0.44, 0.99], limits=(0.0, 1.0))
    Scale(low=0.4, high=1.0, ticks=(0.4, 0.6, 0.8, 1.0))
    """
    least, most = max(min(values), limits[0]), min(max(values), limits[1])
    span = max(most - least, 1e-6)
    power = 10.0 ** math.floor(math.log10(span))
    step = next(size * power for size in (0.1, 0.2, 0.25, 0.5, 1, 2, 5, 10) if span / (size * power) <= 5)
    first, last = math.floor(least / step + 1e-9), math.ceil(most / step - 1e-9)
    if first == last:
        first, last = first - 1, last + 1
    ticks = [round(step * number, 12) for number in range(first, last + 1)]
    inside = tuple(tick for tick in ticks if limits[0] <= tick <= limits[1])
    return Scale(inside[0], inside[-1], inside)


def series_style(series: int) -> tuple[str, str]:
    """The shape's id and the colour's class of a series; after seven, shapes pair with other colours."""
    if series == 0:
        return "m0", "s0"
    turn, place = divmod(series - 1, COLOURS - 1)
    return f"m{place + 1}", f"s{(place + turn) % (COLOURS - 1) + 1}"


def symbols() -> Markup:
    """The shapes, once a page; marks refer to them."""
    drawn = [element("path", {"id": f"m{number}", "d": path}) for number, path in enumerate(SHAPES)]
    return element(
        "svg", {"width": 0, "height": 0, "class": "symbols", "aria-hidden": "true"}, element("defs", {}, *drawn)
    )


def marker(series: int, *, hollow: bool = False) -> Markup:
    """A series' mark for a legend."""
    shape, colour = series_style(series)
    kind = f"mark {colour}" + (" hollow" if hollow else "")
    mark = element("use", {"href": f"#{shape}", "x": 8, "y": 8, "class": kind})
    return element("svg", {"width": 16, "height": 16, "class": "key", "aria-hidden": "true"}, mark)


def lanes(scale: Scale, drawn: Sequence[Lane], bounds: Sequence[float] = (), zero: bool = False) -> Markup:
    """Values with intervals, one under another; `bounds` are dashed lines, `zero` draws a line at nothing."""
    height = LANE * len(drawn) + 2 * ROOM
    parts = [_upright(scale.at(tick), "100%", "grid") for tick in scale.ticks]
    if zero:
        parts.append(_upright(scale.at(0.0), "100%", "zero"))
    for number, lane in enumerate(drawn):
        if lane.highlighted:
            band = {"x": 0, "y": ROOM + number * LANE, "width": "100%", "height": LANE, "class": "band"}
            parts.append(element("rect", band))
    parts.extend(_upright(scale.at(bound), "100%", "bound") for bound in bounds)
    for number, lane in enumerate(drawn):
        parts.extend(_lane(scale, lane, ROOM + number * LANE + LANE / 2))
    drawn_lanes = element("svg", {"class": "lanes", "width": "100%", "height": height, "aria-hidden": "true"}, *parts)
    return element("div", {"class": "plot", "style": f"min-height:{height}px"}, drawn_lanes)


def claim_plot(scale: Scale, lane: Lane, bound: float, name: str) -> Markup:
    """One interval against the bound it is judged by, with the bound's name under its line."""
    parts = [_upright(scale.at(bound), "26", "bound"), *_lane(scale, lane, 13.0), _named(scale.at(bound), 39, name)]
    return element("svg", {"class": "lanes", "width": "100%", "height": 42, "aria-hidden": "true"}, *parts)


def bound_names(scale: Scale, named: Sequence[tuple[float, str]]) -> Markup:
    """The names of bounds under their dashed lines, one below another."""
    parts: list[Markup] = []
    for number, (bound, name) in enumerate(named):
        parts += [
            _upright(scale.at(bound), str(4 + 16 * number), "bound"),
            _named(scale.at(bound), 16 * number + 16, name),
        ]
    height = 16 * len(named) + 4
    return element("svg", {"class": "axis", "width": "100%", "height": height, "aria-hidden": "true"}, *parts)


def axis(scale: Scale, unit: str, *, signed: bool = False) -> Markup:
    """The numbers above the lanes."""
    parts: list[Markup] = []
    for number, tick in enumerate(scale.ticks):
        kind = "odd" if number % 2 and len(scale.ticks) > 4 else None  # left out where there is little room
        place = {"x": _percent(scale.at(tick)), "y": 12, "text-anchor": "middle", "class": kind}
        parts.append(element("text", place, _tick(tick, unit, signed)))
    return element("svg", {"class": "axis", "width": "100%", "height": 18, "aria-hidden": "true"}, *parts)


def reliability_plot(bins: Sequence[Bin], label: str) -> Markup:
    """Accuracy against confidence; a dot's area is its share of the predictions, its stem the miscalibration."""
    left, top, size = 56.0, 10.0, 230.0
    most = max((each.count for each in bins), default=1)

    def across(value: float) -> float:
        return left + size * value

    def up(value: float) -> float:
        return top + size * (1 - value)

    parts: list[Markup] = []
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(_line(across(tick), up(0.0), across(tick), up(1.0), "grid"))
        parts.append(_line(across(0.0), up(tick), across(1.0), up(tick), "grid"))
        name = f"{tick * 100:.0f}%"
        parts.append(element("text", {"x": across(tick), "y": up(0.0) + 16, "text-anchor": "middle"}, name))
        parts.append(element("text", {"x": left - 6, "y": up(tick) + 4, "text-anchor": "end"}, name))
    parts.append(_line(across(0.0), up(0.0), across(1.0), up(1.0), "diagonal"))
    tilt = f"rotate(-45 {across(0.2):.0f} {up(0.2):.0f})"
    along = {"x": across(0.2), "y": up(0.2) - 5, "text-anchor": "middle", "transform": tilt}
    parts.append(element("text", along, "right as often as sure"))
    filled = [each for each in bins if each.count]
    for each in filled:
        parts.append(
            _line(across(each.confidence), up(each.confidence), across(each.confidence), up(each.accuracy), "stem")
        )
    for each in filled:
        said = f"confidence {each.confidence:.1%}, accuracy {each.accuracy:.1%}, {each.count:,} predictions"
        place = {"cx": across(each.confidence), "cy": up(each.accuracy), "r": 2.5 + 6.5 * math.sqrt(each.count / most)}
        parts.append(element("circle", {**place, "class": "bin"}, element("title", {}, said)))
    middle = left + size / 2
    parts.append(
        element("text", {"x": middle, "y": up(0.0) + 34, "text-anchor": "middle", "class": "name"}, "confidence")
    )
    turned = f"rotate(-90 10 {top + size / 2:.0f})"
    upright = {"x": 10, "y": top + size / 2, "text-anchor": "middle", "transform": turned, "class": "name"}
    parts.append(element("text", upright, "accuracy"))
    told = f"Reliability of {label}. " + "; ".join(
        f"confidence {each.confidence:.0%}: accuracy {each.accuracy:.0%}" for each in filled
    )
    return element("svg", {"class": "reliability", "viewBox": "0 0 298 284", "role": "img", "aria-label": told}, *parts)


def _lane(scale: Scale, lane: Lane, middle: float) -> list[Markup]:
    shape, colour = series_style(lane.series)
    parts: list[Markup] = []
    if lane.low is not None and lane.high is not None:
        start, stop = scale.at(max(lane.low, scale.low)), scale.at(min(lane.high, scale.high))
        place = {"x": _percent(start), "y": middle - 3, "width": _percent(stop - start), "height": 6, "rx": 3}
        parts.append(element("rect", {**place, "class": f"interval {colour}"}))
    for value in lane.per_seed:
        x = _percent(scale.at(value))
        place = {"x1": x, "x2": x, "y1": middle - 6, "y2": middle + 6}
        parts.append(element("line", {**place, "class": f"seed {colour}"}))
    use = {"href": f"#{shape}", "x": _percent(scale.at(lane.value)), "y": middle}
    parts.append(element("use", {**use, "class": f"mark {colour}" + (" hollow" if lane.hollow else "")}))
    return parts


def _upright(x: float, height: str, kind: str) -> Markup:
    return element("line", {"x1": _percent(x), "x2": _percent(x), "y1": 0, "y2": height, "class": kind})


def _named(x: float, y: int, name: str) -> Markup:
    """A name under an upright line, kept inside the plot."""
    anchor = "start" if x < 30 else "end" if x > 70 else "middle"
    return element("text", {"x": _percent(x), "y": y, "text-anchor": anchor, "class": "name"}, name)


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    return element("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "class": kind})


def _tick(value: float, unit: str, signed: bool) -> str:
    if unit in {"proportion", "points"}:
        decimals = 0 if math.isclose(value * 100, round(value * 100), abs_tol=1e-6) else 1
        shown = show_value(value, unit, signed=signed, decimals=decimals)
        return shown.removesuffix(" points")
    return f"{value:g}".replace("-", "−")


def _percent(value: float) -> str:
    return f"{value:.2f}%"
