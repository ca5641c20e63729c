"""Draw what the probe studies found: docs/images/probe_<rows>.svg and probe_grid.svg, from docs/data/.

python studies/probe_pictures.py
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1] / "docs"
SERIES = {
    "worst_group_accuracy": ("own head", "#4b5059", "ring"),
    "core_decodability": ("core, with a new head", "#0067b0", "dot"),
    "shortcut_decodability": ("shortcut", "#00785a", "diamond"),
}
LEFT, WIDTH, RIGHT, LANE, GAP = 190, 460, 150, 17, 12


@dataclass(frozen=True)
class Mark:
    """A value with its interval, one thin tick per seed, in one series' colour and shape."""

    value: float
    low: float
    high: float
    ticks: Sequence[float]
    colour: str
    shape: str
    said: str


def chart(title: str, rows: Sequence[tuple[str, Sequence[Mark]]], legend: Sequence[tuple[str, str, str]]) -> str:
    """Rows of marks on an axis from 0 to 100 %; a row without marks is a heading."""
    top = 78
    heights = [GAP + LANE * max(len(marks), 1) for _, marks in rows]
    height = top + sum(heights) + 16
    total = LEFT + WIDTH + RIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total} {height}" font-family="system-ui, sans-serif" '
        f'font-size="13" fill="#1f2430" role="img" aria-label="{escape(title)}">',
        f'<rect width="{total}" height="{height}" fill="white"/>',
        f'<text x="16" y="24" font-size="15" font-weight="600">{escape(title)}</text>',
    ]
    across = 16.0
    for words, colour, shape in legend:
        parts += [_mark(across + 6, 42, colour, shape), f'<text x="{across + 17:.0f}" y="46">{escape(words)}</text>']
        across += 34 + 7.2 * len(words)
    for tick in (0, 0.25, 0.5, 0.75, 1):
        x = LEFT + WIDTH * tick
        parts.append(f'<line x1="{x}" x2="{x}" y1="{top}" y2="{height - 10}" stroke="#e3e5ea"/>')
        parts.append(f'<text x="{x}" y="{top - 6}" text-anchor="middle" fill="#6b7280">{tick:.0%}</text>')
    y = float(top)
    for (name, marks), tall in zip(rows, heights, strict=True):
        if not marks:
            parts.append(f'<text x="16" y="{y + 19:.1f}" font-weight="600">{escape(name)}</text>')
        else:
            middle = y + GAP / 2 + LANE * len(marks) / 2
            parts.append(f'<text x="{LEFT - 14}" y="{middle + 4:.1f}" text-anchor="end">{escape(name)}</text>')
        for number, mark in enumerate(marks):
            at = y + GAP / 2 + LANE * (number + 0.5)
            start, stop = (LEFT + WIDTH * min(max(end, 0), 1) for end in (mark.low, mark.high))
            parts.append(
                f'<rect x="{start:.1f}" y="{at - 3:.1f}" width="{max(stop - start, 1):.1f}" height="6" rx="3" '
                f'fill="{mark.colour}" opacity="0.28"/>'
            )
            for tick in mark.ticks:
                x = LEFT + WIDTH * tick
                parts.append(
                    f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{at - 6:.1f}" y2="{at + 6:.1f}" stroke="{mark.colour}" '
                    'stroke-width="0.8"/>'
                )
            parts.append(_mark(LEFT + WIDTH * mark.value, at, mark.colour, mark.shape))
            parts.append(f'<text x="{LEFT + WIDTH + 16}" y="{at + 4:.1f}" font-size="12">{escape(mark.said)}</text>')
        y += tall
    return "\n".join([*parts, "</svg>\n"])


def _mark(x: float, y: float, colour: str, shape: str) -> str:
    if shape == "ring":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.2" fill="white" stroke="{colour}" stroke-width="1.8"/>'
    if shape == "diamond":
        return f'<path d="M{x:.1f},{y - 5.6:.1f}l5.6,5.6l-5.6,5.6l-5.6,-5.6Z" fill="{colour}"/>'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.4" fill="{colour}"/>'


def methods(record: Mapping[str, Any]) -> str:
    """Training methods at every correlation: own head, core, shortcut."""
    rows: list[tuple[str, list[Mark]]] = []
    for block in record["blocks"]:
        share = block["correlation"]
        rows.append(("no correlation" if share == 0.5 else f"{share:.0%} correlation", []))
        found = {(each["subject"], each["name"]): each for each in block["findings"]}
        for subject in dict.fromkeys(each["subject"] for each in block["findings"]):
            rows.append((subject, [_of(found[subject, name], name) for name in SERIES]))
    words = {"dominoes": "Dominoes", "coloured": "Coloured digits", "text": "Remarks"}[record["rows"]]
    seeds = record["seeds"]
    return chart(f"{words}: worst groups on judge rows, {seeds} seeds, 95 % intervals", rows, list(SERIES.values()))


def _of(found: Mapping[str, Any], name: str) -> Mark:
    _, colour, shape = SERIES[name]
    ends = found["interval"]
    said = f"{found['value']:.1%} [{ends['low'] * 100:.1f}, {ends['high'] * 100:.1f}]"
    return Mark(found["value"], ends["low"], ends["high"], found["per_seed"], colour, shape, said)


def grid(record: Mapping[str, Any]) -> str:
    """What each factor explains, and where its levels lie."""
    explained, core = "#99408a", SERIES["core_decodability"][1]
    rows: list[tuple[str, list[Mark]]] = [("share of the variance explained", [])]
    factors = record["core_decodability"]
    for factor, of in factors.items():
        rows.append((factor, [_told(of["variance_explained"], explained, "diamond")]))
    for factor, of in factors.items():
        rows.append((f"core decodability by {factor}", []))
        rows += [(level, [_told(found, core, "dot")]) for level, found in of["levels"].items()]
    legend = [("variance explained", explained, "diamond"), ("core decodability (worst group)", core, "dot")]
    return chart(f"What makes features good? Dominoes, {record['seeds']} seeds, 95 % intervals", rows, legend)


def _told(found: Mapping[str, float], colour: str, shape: str) -> Mark:
    low = max(found["low"], 0.0)  # a share of variance, or an accuracy: Student's interval may pass below
    said = f"{found['value']:.1%} [{low * 100:.1f}, {found['high'] * 100:.1f}]"
    return Mark(found["value"], low, found["high"], (), colour, shape, said)


def main() -> None:
    for path in sorted((DOCS / "data").glob("probe_*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        drawn = methods(record) if "blocks" in record else grid(record)
        (DOCS / "images" / f"{path.stem}.svg").write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    main()
