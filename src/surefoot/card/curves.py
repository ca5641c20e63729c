"""The card's curves: one quantity along another, a line a model, and a band where intervals are known."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from surefoot.card.markup import Markup, element, together
from surefoot.card.plots import Scale, marker, scale_for, series_style
from surefoot.card.words import show_value

__all__ = ["Curve", "Place", "curves_panel"]

WIDE, HIGH = 430.0, 210.0
LEFT, TOP = 58.0, 12.0
"""Of the plot inside its viewBox, in its units."""


@dataclass(frozen=True)
class Place:
    """One place of a curve. low, high: its interval, None where there is none."""

    at: float
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Curve:
    """One line of a picture.

    picture: what it is a part of; curves of one picture share its axes. label: of the line. across, up: what the axes
    say. unit: of the values ("proportion", "tokens").
    """

    picture: str
    label: str
    across: str
    up: str
    unit: str
    places: tuple[Place, ...]


def curves_panel(curves: Sequence[Curve]) -> Markup:
    """Every picture, in the order in which they are first named; a line keeps its colour in all of them."""
    labels = list(dict.fromkeys(each.label for each in curves))
    pictures = dict.fromkeys(each.picture for each in curves)
    drawn: list[Markup] = []
    for picture in pictures:
        of = [each for each in curves if each.picture == picture]
        drawn.append(
            element("figure", {}, element("figcaption", {}, picture), element("div", {}, _picture(of, labels)))
        )
    keys = [element("li", {}, marker(place), element("span", {}, label)) for place, label in enumerate(labels)]
    legend = element("ul", {"class": "legend"}, *keys) if len(labels) > 1 else Markup("")
    return together([legend, element("div", {"class": "pair"}, *drawn)])


def _picture(curves: Sequence[Curve], labels: Sequence[str]) -> Markup:
    first = curves[0]
    every = [place for curve in curves for place in curve.places]
    ends = [end for place in every for end in (place.value, place.low, place.high) if end is not None]
    limits = (0.0, 1.0) if first.unit == "proportion" else (0.0 if min(ends) >= 0 else -math.inf, math.inf)
    up = scale_for([0.0, *ends] if min(ends) >= 0 else ends, limits=limits)
    sides = scale_for([place.at for place in every])
    # The frame ends with the places: a round number far beyond them would leave half of it empty.
    inside = tuple(each for each in sides.ticks if min(p.at for p in every) <= each <= max(p.at for p in every))
    sides = Scale(min(p.at for p in every), max(max(p.at for p in every), min(p.at for p in every) + 1e-9), inside)

    def across(value: float) -> float:
        return LEFT + WIDE * sides.at(value) / 100

    def above(value: float) -> float:
        return TOP + HIGH * (1 - up.at(value) / 100)

    foot = TOP + HIGH
    parts: list[Markup] = []
    for tick in up.ticks:
        parts.append(_line(LEFT, above(tick), LEFT + WIDE, above(tick)))
        parts.append(
            element("text", {"x": LEFT - 6, "y": above(tick) + 4, "text-anchor": "end"}, _tick(tick, first.unit))
        )
    for tick in sides.ticks:
        parts.append(_line(across(tick), TOP, across(tick), foot))
        parts.append(element("text", {"x": across(tick), "y": foot + 16, "text-anchor": "middle"}, f"{tick:,g}"))
    for curve in curves:
        parts += _curve(curve, labels.index(curve.label), across, above)
    middle = {"x": LEFT + WIDE / 2, "y": foot + 34, "text-anchor": "middle", "class": "name"}
    parts.append(element("text", middle, first.across))
    turned = f"rotate(-90 11 {TOP + HIGH / 2:.0f})"
    upright = {"x": 11, "y": TOP + HIGH / 2, "text-anchor": "middle", "transform": turned, "class": "name"}
    parts.append(element("text", upright, first.up))
    told = f"{first.picture}. " + "; ".join(
        f"{curve.label}: from {show_value(curve.places[0].value, curve.unit)} to "
        f"{show_value(curve.places[-1].value, curve.unit)}"
        for curve in curves
    )
    box = f"0 0 {LEFT + WIDE + 16:.0f} {TOP + HIGH + 42:.0f}"
    return element("svg", {"class": "curves", "viewBox": box, "role": "img", "aria-label": told}, *parts)


def _curve(
    curve: Curve, series: int, across: Callable[[float], float], above: Callable[[float], float]
) -> list[Markup]:
    shape, colour = series_style(series)
    parts: list[Markup] = []
    sure = [(each.at, each.low, each.high) for each in curve.places if each.low is not None and each.high is not None]
    if len(sure) > 1:
        outline = [f"{across(at):.1f},{above(high):.1f}" for at, _, high in sure]
        outline += [f"{across(at):.1f},{above(low):.1f}" for at, low, _ in reversed(sure)]
        parts.append(element("polygon", {"points": " ".join(outline), "class": f"around {colour}"}))
    else:
        for at, low, high in sure:
            ends = {"x1": across(at), "x2": across(at), "y1": above(low), "y2": above(high)}
            parts.append(element("line", {**ends, "class": f"seed {colour}"}))
    line = " ".join(f"{across(each.at):.1f},{above(each.value):.1f}" for each in curve.places)
    parts.append(element("polyline", {"points": line, "class": f"along {colour}"}))
    for each in curve.places if len(curve.places) <= 12 else (curve.places[0], curve.places[-1]):
        said = f"{curve.label}, {curve.across} {each.at:,g}: {show_value(each.value, curve.unit)}"
        place = {"href": f"#{shape}", "x": across(each.at), "y": above(each.value), "class": f"mark {colour}"}
        parts.append(element("use", place, element("title", {}, said)))
    return parts


def _tick(value: float, unit: str) -> str:
    return show_value(value, "proportion", decimals=0) if unit == "proportion" else f"{value:,g}".replace("-", "−")


def _line(x1: float, y1: float, x2: float, y2: float) -> Markup:
    return element("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "class": "grid"})
