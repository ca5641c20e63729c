"""The plot of a choice: one panel a criterion, each candidate a point, what the criterion says against the judge.

Right is better in every panel: the axis of a loss runs from high to low. A criterion that can be trusted draws a rising
band; where it is flat or falls, it says nothing of accuracy here.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import quantiles

from surefoot.card.markup import Markup, element
from surefoot.card.plots import Scale, scale_for, series_style, symbols
from surefoot.card.words import show_value
from surefoot.findings.finding import Finding

__all__ = ["Panel", "Point", "drawing", "standalone"]

WIDTH, HEIGHT = 430.0, 330.0
"""One panel, in units of the drawing."""
LEFT, RIGHT, TOP, BOTTOM = 62.0, 16.0, 52.0, 50.0
KEY = 22.0
"""Height of a line of the legend."""
FAR = 3.0
"""Points this many times the middle half's spread below it are drawn at the edge, and counted there."""
OWN = "font: 12px system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', Arial, sans-serif"
INSIDE = f"""
.choice text {{ {OWN}; fill: var(--soft); }}
.choice .title {{ font-size: 14px; font-weight: 650; fill: var(--ink); }}
.choice .said {{ fill: var(--ink); }}
.choice .grid {{ stroke: var(--hair); stroke-width: 1; }}
.choice .whisker {{ stroke: var(--soft); stroke-width: 1; opacity: .45; }}
.choice .ring {{ fill: none; stroke: var(--ink); stroke-width: 1.6; }}
.choice .best {{ stroke: var(--soft); stroke-width: 1; stroke-dasharray: 3 3; }}
.choice .dot {{ stroke: var(--sheet); stroke-width: .8; }}
.choice .dot.s0 {{ fill: var(--s0); }} .choice .dot.s1 {{ fill: var(--s1); }} .choice .dot.s2 {{ fill: var(--s2); }}
.choice .dot.s3 {{ fill: var(--s3); }} .choice .dot.s4 {{ fill: var(--s4); }} .choice .dot.s5 {{ fill: var(--s5); }}
.choice .dot.s6 {{ fill: var(--s6); }} .choice .sheet {{ fill: var(--sheet); }}
"""
COLOURS = """
:root { --sheet: #ffffff; --ink: #1d2025; --soft: #5a606a; --hair: #ebe8e2; --s0: #4b5059; --s1: #0067b0; --s2: #c24a00;
 --s3: #00785a; --s4: #99408a; --s5: #756000; --s6: #4a4fb0; }
@media (prefers-color-scheme: dark) { :root { --sheet: #1a1d21; --ink: #e9e7e2; --soft: #a5abb4; --hair: #272b31;
 --s0: #b9bec6; --s1: #62b1f2; --s2: #f59057; --s3: #4cc9a4; --s4: #dd8fce; --s5: #d0b84a; --s6: #a3a7f7; } }
"""


@dataclass(frozen=True)
class Point:
    """A candidate in a panel. value: what the criterion says; accuracy: of the judge. family: what shares its mark."""

    name: str
    value: float
    accuracy: Finding
    family: int


@dataclass(frozen=True)
class Panel:
    """One criterion. axis: what runs along it; lower: whether less is better. chosen: the name of its first.

    said: of how its ranks and the judge's agree. missing: candidates that it says nothing of; untrained: those of whom
    nobody says anything.
    """

    title: str
    said: str
    axis: str
    lower: bool
    points: Sequence[Point]
    chosen: str
    missing: int = 0
    untrained: int = 0


def drawing(panels: Sequence[Panel], families: Sequence[str], told: str) -> Markup:
    """All panels in two columns, for a page with the card's style. families: of marks. told: for who listens."""
    shown = [panel for panel in panels if panel.points]
    columns = min(2, max(1, len(shown)))
    lines = _key_lines(families, columns * WIDTH)
    top = KEY * len(lines) + (8 if lines else 0)
    height = top + HEIGHT * math.ceil(len(shown) / columns)
    accuracies = [value for panel in shown for point in panel.points for value in _ends(point.accuracy)]
    parts: list[Markup] = [element("style", {}, Markup(INSIDE)), *_key(lines)]
    if accuracies:
        upright = scale_for(accuracies, limits=(0.0, 1.0))
        for number, panel in enumerate(shown):
            row, column = divmod(number, columns)
            place = f"translate({column * WIDTH:.0f} {top + row * HEIGHT:.0f})"
            parts.append(element("g", {"transform": place}, *_panel(panel, upright)))
    box = f"0 0 {columns * WIDTH:.0f} {height:.0f}"
    return element("svg", {"class": "choice", "viewBox": box, "role": "img", "aria-label": told}, *parts)


def standalone(panels: Sequence[Panel], families: Sequence[str], told: str) -> str:
    """The same as a file of its own, which looks right in a light and a dark viewer."""
    inner = drawing(panels, families, told).text
    opened, _, rest = inner.partition(">")
    box = opened.split('viewBox="')[1].split('"')[0].split()
    size = f' xmlns="http://www.w3.org/2000/svg" width="{box[2]}" height="{box[3]}"'
    shapes = symbols().text
    defined = shapes[shapes.index("<defs>") : shapes.index("</svg>")]
    sheet = f'<rect class="sheet" width="{box[2]}" height="{box[3]}"/>'
    return f"{opened}{size}>{defined}<style>{COLOURS}</style>{sheet}{rest}\n"


def _panel(panel: Panel, upright: Scale) -> list[Markup]:
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    sign = -1.0 if panel.lower else 1.0
    values = [sign * point.value for point in panel.points]
    floor = _floor(values)
    scale = scale_for([max(value, floor) for value in values])
    room = 0.04 * (scale.high - scale.low)

    def across(value: float) -> float:
        return LEFT + wide * (value - scale.low + room) / (scale.high - scale.low + 2 * room)

    def up(value: float) -> float:
        return TOP + high * (1 - (value - upright.low) / (upright.high - upright.low))

    parts = [
        element("text", {"x": LEFT, "y": 20, "class": "title"}, panel.title),
        element("text", {"x": LEFT, "y": 38, "class": "said"}, panel.said),
    ]
    for tick in upright.ticks:
        parts.append(_line(LEFT, up(tick), WIDTH - RIGHT, up(tick), "grid"))
        name = show_value(tick, "proportion", decimals=0 if math.isclose(tick * 100, round(tick * 100)) else 1)
        parts.append(element("text", {"x": LEFT - 8, "y": up(tick) + 4, "text-anchor": "end"}, name))
    for tick in scale.ticks:
        parts.append(_line(across(tick), TOP, across(tick), TOP + high, "grid"))
        place = {"x": across(tick), "y": TOP + high + 18, "text-anchor": "middle"}
        parts.append(element("text", place, _number(sign * tick)))
    middle = {"x": LEFT + wide / 2, "y": HEIGHT - 12, "text-anchor": "middle"}
    parts.append(element("text", middle, f"{panel.axis} → better"))
    turned = f"rotate(-90 14 {TOP + high / 2:.0f})"
    parts.append(
        element("text", {"x": 14, "y": TOP + high / 2, "text-anchor": "middle", "transform": turned}, "judge accuracy")
    )
    best = max(point.accuracy.value for point in panel.points)
    parts.append(_line(LEFT, up(best), WIDTH - RIGHT, up(best), "best"))
    for point in panel.points:
        if point.accuracy.interval is not None:
            x = across(max(sign * point.value, floor))
            low, high_ = point.accuracy.interval.low, point.accuracy.interval.high
            parts.append(_line(x, up(max(low, upright.low)), x, up(min(high_, upright.high)), "whisker"))
    for point in sorted(panel.points, key=lambda each: each.name == panel.chosen):
        shape, colour = series_style(point.family + 1)
        x, y = across(max(sign * point.value, floor)), up(point.accuracy.value)
        said = f"{point.name}: {_number(point.value)}, judge {show_value(point.accuracy.value, 'proportion')}"
        mark = {"href": f"#{shape}", "x": x, "y": y, "class": f"dot {colour}"}
        parts.append(element("use", mark, element("title", {}, said)))
        if point.name == panel.chosen:
            parts.append(element("circle", {"cx": x, "cy": y, "r": 9, "class": "ring"}))
    beyond = sum(value < floor for value in values)
    notes = [
        f"{beyond} further left" if beyond else "",
        f"{panel.missing} without a number" if panel.missing else "",
        f"{panel.untrained} not trained" if panel.untrained else "",
    ]
    if any(notes):
        place = {"x": LEFT + 6, "y": TOP + high - 6}
        parts.append(element("text", place, "← " + "; ".join(note for note in notes if note)))
    return parts


def _floor(values: Sequence[float]) -> float:
    """Where the axis begins: nobody's worst candidate may press all others into one line."""
    if len(values) < 4:
        return min(values)
    low, _, high = quantiles(values, n=4)
    return max(min(values), low - FAR * max(high - low, 1e-9))


def _ends(finding: Finding) -> tuple[float, ...]:
    return (finding.value,) if finding.interval is None else (finding.interval.low, finding.interval.high)


def _key_lines(families: Sequence[str], width: float) -> list[list[tuple[float, int, str]]]:
    """The legend broken into lines: (x, family, name)."""
    entries = [*enumerate(families), (-1, "the criterion’s first"), (-2, "the judge’s best")]
    lines: list[list[tuple[float, int, str]]] = [[]]
    x = LEFT
    for number, name in entries:
        needed = 32 + 6.2 * len(name)
        if lines[-1] and x + needed > width:
            lines.append([])
            x = LEFT
        lines[-1].append((x, number, name))
        x += needed
    return lines


def _key(lines: Sequence[Sequence[tuple[float, int, str]]]) -> list[Markup]:
    parts: list[Markup] = []
    for number, line in enumerate(lines):
        y = KEY * number + 14
        for x, family, name in line:
            if family == -1:
                parts.append(element("circle", {"cx": x, "cy": y, "r": 7, "class": "ring"}))
            elif family == -2:
                parts.append(_line(x - 8, y, x + 8, y, "best"))
            else:
                shape, colour = series_style(family + 1)
                parts.append(element("use", {"href": f"#{shape}", "x": x, "y": y, "class": f"dot {colour}"}))
            parts.append(element("text", {"x": x + 13, "y": y + 4}, name))
    return parts


def _number(value: float) -> str:
    """An axis' number.

    >>> _number(-1234.5), _number(0.0371), _number(-0.0)
    ('−1,234', '0.0371', '0')
    """
    text = f"{abs(value):,.0f}" if abs(value) >= 100 else f"{abs(value):.3g}"
    return ("−" if value < 0 and text.strip("0.,") else "") + text


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    return element("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "class": kind})
