"""Panels of lines and points on linear or logarithmic axes, as one SVG; for the pictures of studies.

A line that leaves a panel's range is cut at its edge, so give ranges that hold what should be seen.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Axis", "Line", "Panel", "chart"]

INK, GREY, PALE = "#1f2430", "#6b7280", "#e3e5ea"
WIDTH, HEIGHT, LEFT, TOP, BELOW, GAP, ACROSS = 300, 210, 64, 74, 62, 40, 3
LEGEND = 18


@dataclass(frozen=True)
class Axis:
    """From low to high, with numbers at the ticks; logarithmic where asked."""

    label: str
    low: float
    high: float
    ticks: Sequence[float]
    logarithmic: bool = False
    percent: bool = False

    def place(self, value: float) -> float:
        """0 at low, 1 at high, cut to that."""
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, value = math.log(low), math.log(high), math.log(max(value, 1e-300))
        return min(max((value - low) / (high - low), 0.0), 1.0)

    def told(self, tick: float) -> str:
        return f"{tick:.0%}" if self.percent else f"{tick:g}".replace("-", "−")


@dataclass(frozen=True)
class Line:
    """Points (x, y), joined, with dots where asked; named in the legend of the panel unless the name is empty."""

    name: str
    colour: str
    points: Sequence[tuple[float, float]]
    dashed: bool = False
    dots: bool = False


@dataclass(frozen=True)
class Panel:
    """A title, two axes, lines with a legend above, and dashed verticals with a word each."""

    title: str
    across: Axis
    up: Axis
    lines: Sequence[Line]
    verticals: Sequence[tuple[float, str]] = ()


def chart(title: str, panels: Sequence[Panel]) -> str:
    """The panels, `ACROSS` in a row; axes of a row stand side by side, below its longest legend."""
    rows = [panels[start : start + ACROSS] for start in range(0, len(panels), ACROSS)]
    legends = [LEGEND * max(sum(1 for line in panel.lines if line.name) for panel in row) for row in rows]
    above = [36]
    for legend in legends:
        above.append(above[-1] + TOP - 30 + legend + HEIGHT + BELOW)
    total, height = min(len(panels), ACROSS) * (LEFT + WIDTH + GAP), above[-1]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total} {height}" font-family="system-ui, sans-serif" '
        f'font-size="12" fill="{INK}" role="img" aria-label="{escape(title)}">',
        f'<rect width="{total}" height="{height}" fill="white"/>',
        f'<text x="16" y="24" font-size="15" font-weight="600">{escape(title)}</text>',
    ]
    for row, top, legend in zip(rows, above, legends, strict=False):
        for number, panel in enumerate(row):
            parts += _panel(panel, LEFT + number * (LEFT + WIDTH + GAP), top, legend)
    return "\n".join([*parts, "</svg>\n"])


def _panel(panel: Panel, left: float, above: float, legend: float) -> list[str]:
    top = above + TOP - 30 + legend
    bottom = top + HEIGHT

    def x(value: float) -> float:
        return left + WIDTH * panel.across.place(value)

    def y(value: float) -> float:
        return bottom - HEIGHT * panel.up.place(value)

    parts = [f'<text x="{left}" y="{above + 22}" font-size="13" font-weight="600">{escape(panel.title)}</text>']
    for tick in panel.up.ticks:
        parts.append(f'<line x1="{left}" x2="{left + WIDTH}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" stroke="{PALE}"/>')
        words = panel.up.told(tick)
        parts.append(f'<text x="{left - 8}" y="{y(tick) + 4:.1f}" text-anchor="end" fill="{GREY}">{words}</text>')
    for tick in panel.across.ticks:
        parts.append(f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{bottom}" y2="{bottom + 5}" stroke="{GREY}"/>')
        words = panel.across.told(tick)
        parts.append(f'<text x="{x(tick):.1f}" y="{bottom + 19}" text-anchor="middle" fill="{GREY}">{words}</text>')
    parts.append(f'<line x1="{left}" x2="{left + WIDTH}" y1="{bottom}" y2="{bottom}" stroke="{GREY}"/>')
    middle = left + WIDTH / 2
    parts.append(f'<text x="{middle}" y="{bottom + 40}" text-anchor="middle">{escape(panel.across.label)}</text>')
    turned = f"rotate(-90 {left - 46} {top + HEIGHT / 2})"
    words = escape(panel.up.label)
    parts.append(
        f'<text transform="{turned}" x="{left - 46}" y="{top + HEIGHT / 2}" text-anchor="middle">{words}</text>'
    )
    for value, word in panel.verticals:
        at = x(value)
        parts.append(
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{top}" y2="{bottom}" stroke="{GREY}" stroke-dasharray="3 4"/>'
        )
        parts.append(f'<text x="{at - 5:.1f}" y="{top + 12}" text-anchor="end" fill="{GREY}">{escape(word)}</text>')
    row = 0
    for line in panel.lines:
        parts += _line(line, [(x(one), y(two)) for one, two in line.points])
        if line.name:
            at = above + 40 + LEGEND * row
            parts += _line(line, [(left + 2, at - 4), (left + 24, at - 4)])
            parts.append(f'<text x="{left + 32}" y="{at}">{escape(line.name)}</text>')
            row += 1
    return parts


def _line(line: Line, places: Sequence[tuple[float, float]]) -> list[str]:
    dashes = ' stroke-dasharray="6 4"' if line.dashed else ""
    corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts = [f'<polyline points="{corners}" fill="none" stroke="{line.colour}" stroke-width="1.8"{dashes}/>']
    if line.dots:
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.4" fill="{line.colour}"/>' for x, y in places]
    return parts
