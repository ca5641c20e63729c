"""What the weak-to-strong studies publish: a grid of pairs as a plain record, as Markdown tables, and as a picture.

A setting's record lies in docs/data/weak-<setting>.json and its picture in docs/images/weak-<setting>.svg; its tables
stand in docs/weak-to-strong.md between `<!-- numbers: <setting> -->` and `<!-- /numbers: <setting> -->`, one block in
each such place. Tables and picture are made of the record alone, so that a test can make them again.
"""

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any, TypeAlias

import torch
from curves import Axis, Line, Panel, chart

from surefoot.files import write_json, write_text
from surefoot.findings.compare import compare
from surefoot.findings.finding import Finding
from surefoot.supervise.pairs import Grid, Pair

__all__ = [
    "COLOURS",
    "DOCS",
    "GREY",
    "asked",
    "picture",
    "plain",
    "publish",
    "record_of",
    "rounded",
    "tables",
    "told",
    "with_blocks",
]

Record: TypeAlias = dict[str, Any]

DOCS = Path(__file__).resolve().parents[1] / "docs"
GREY = "#6b7280"
COLOURS = ("#2a0a52", "#0067b0", "#00785a", "#c98a00", "#b3450a", "#c0267e", "#1fa3a3", "#7a5cff")
SHARE = Axis("gap recovered (below −½: at the edge)", -0.5, 1.25, (-0.5, 0, 0.5, 1))
"""What lies beyond is drawn at the edge."""


def record_of(
    grid: Grid, settings: Mapping[str, Any], seeds: int, *, baseline: str, confidence: float = 0.95
) -> Record:
    """The grid as plain JSON, to six digits; baseline: the loss that every other is compared with, pair by pair."""
    numbered = {size: number for number, size in enumerate(grid.sizes)}
    pairs: list[Record] = []
    for pair in grid.pairs(confidence=confidence):
        weak, strong = numbered[pair.weak], numbered[pair.strong]
        against = None
        if pair.loss != baseline:
            against = next(
                each
                for each in compare(
                    grid.students[weak, strong, baseline],
                    grid.students[weak, strong, pair.loss],
                    before_name=baseline,
                    after_name=pair.loss,
                    source="judge",
                    confidence=confidence,
                )
                if (each.name, each.slice) == ("accuracy", "all")
            )
        pairs.append(_pair(pair, against))
    sizes = [
        {
            "name": size.name,
            "numbers": size.numbers,
            "supervisor": float(grid.supervisors[number].correct().mean()),
            "ceiling": float(grid.ceilings[number].correct().mean()),
        }
        for number, size in enumerate(grid.sizes)
    ]
    return rounded({
        "settings": dict(settings), "seeds": seeds, "judged": len(grid.judge), "confidence": confidence,
        "baseline": baseline, "sizes": sizes, "pairs": pairs,
    })  # fmt: skip


def tables(record: Mapping[str, Any]) -> list[str]:
    """Four blocks: the sizes on the truth; losses over pairs; the baseline's pairs; the pairs of all other losses."""
    losses = _losses(record)
    rest = "\n\n".join(
        f"<details>\n<summary>{loss}</summary>\n\n{_pairs_table(record, loss)}\n\n</details>" for loss in losses[1:]
    )
    return [_sizes_table(record), _losses_table(record), _pairs_table(record, losses[0]), rest]


def picture(record: Mapping[str, Any], title: str, shown: str) -> str:
    """Six panels. shown: the loss of the third and the last, where there is room for one beside the baseline.

    Where no pair has a clear gap there are no shares of one, and the title says so in place of the first three.
    """
    baseline, accuracy = record["baseline"], _accuracies(record)
    shares = [_by_gap(record), _by_size(record, baseline), _by_size(record, shown)]
    if not any(panel.lines for panel in shares):
        shares, title = [], f"{title}. No pair has a clear gap"
    panels = [
        *shares,
        _against_supervisor(record, baseline, accuracy),
        _beside_truth(record, accuracy),
        _read_off(record, shown),
    ]
    return chart(title, panels)


def with_blocks(page: str, setting: str, blocks: Sequence[str]) -> str:
    """The page with the numbers of one setting replaced.

    Raises `ValueError` where the page has another number of places for this setting than there are blocks.
    """
    start, end = f"<!-- numbers: {setting} -->", f"<!-- /numbers: {setting} -->"
    if page.count(start) != len(blocks) or page.count(end) != len(blocks):
        raise ValueError(f"The page has {page.count(start)} places for numbers of {setting}; there are {len(blocks)}.")
    left = iter(blocks)
    pattern = f"{re.escape(start)}.*?{re.escape(end)}"
    return re.sub(pattern, lambda _: f"{start}\n\n{next(left)}\n\n{end}", page, flags=re.DOTALL)


def asked(
    doc: str | None, *, seeds: int, quick_seeds: int, folder: Path | None = None, tactics: bool = False
) -> argparse.Namespace:
    """What a study was asked for: quick, seeds, publish, and where there is one the folder; torch has one thread.

    tactics: whether there is a second setting to ask for by --tactics.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="everything in small; seconds")
    parser.add_argument("--seeds", type=int, help=f"seeds ({seeds}; with --quick {quick_seeds})")
    if folder is not None:
        parser.add_argument("--folder", type=Path, default=folder, help="where answers are kept")
    if tactics:
        parser.add_argument("--tactics", action="store_true", help="the setting of longer puzzles instead")
    parser.add_argument("--publish", action="store_true", help="write this setting's tables, its data and picture")
    chosen = parser.parse_args()
    if chosen.quick and chosen.publish:
        parser.error("--quick says nothing that should be published; leave out one of the two")
    chosen.seeds = chosen.seeds or (quick_seeds if chosen.quick else seeds)
    torch.set_num_threads(1)
    return chosen


def publish(
    setting: str, record: Mapping[str, Any], blocks: Sequence[str], drawn: str, *, page: str = "weak-to-strong.md"
) -> None:
    """Write a setting's record and picture, and its blocks into a page."""
    place = DOCS / page
    changed = with_blocks(place.read_text(encoding="utf-8"), setting, blocks)
    write_json(DOCS / "data" / f"weak-{setting}.json", record)
    write_text(DOCS / "images" / f"weak-{setting}.svg", drawn)
    write_text(place, changed)


def told(found: Mapping[str, Any] | None, scale: float = 1.0, digits: int = 2, sign: str = "") -> str:
    """A value with its interval; a dash where there is none."""
    if found is None:
        return "—"
    # Adding zero makes a zero of the zeros that have a sign.
    ends = [round(scale * found[name], digits) + 0.0 for name in ("value", "low", "high")]
    numbers = [f"{each:{sign}.{digits}f}".replace("-", "−") for each in ends]
    return f"{numbers[0]} [{numbers[1]}, {numbers[2]}]"


def plain(finding: Finding | None, *, seeds: bool = True) -> Record | None:
    """A finding's value and the ends of its interval; None where it has none."""
    if finding is None or finding.interval is None:
        return None
    found: Record = {"value": finding.value, "low": finding.interval.low, "high": finding.interval.high}
    return {**found, "per_seed": list(finding.per_seed)} if seeds else found


def rounded(value: Any) -> Any:
    """Floats to six digits, in whatever holds them."""
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(each) for each in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _pair(pair: Pair, against: Finding | None) -> Record:
    of = pair.recovered
    return {
        "weak": pair.weak.name,
        "strong": pair.strong.name,
        "loss": pair.loss,
        "itself": pair.itself,
        "supervisor": pair.accuracies[0],
        "student": pair.accuracies[1],
        "ceiling": pair.accuracies[2],
        "gap": plain(of.gap),
        "gained": plain(of.gained),
        "recovered": plain(of.recovered),
        "refused": of.refused,
        "against_baseline": plain(against),
        "disagreement": {each.name: plain(each, seeds=False) for each in pair.disagreement},
        "equivalent": {"size": pair.equivalent.size, "beyond": pair.equivalent.beyond},
    }


def _losses(record: Mapping[str, Any]) -> list[str]:
    """The baseline first."""
    every = dict.fromkeys(each["loss"] for each in record["pairs"])
    return [record["baseline"], *(each for each in every if each != record["baseline"])]


def _sizes_table(record: Mapping[str, Any]) -> str:
    lines = [
        "| model | numbers | as supervisor: truth of the first half, % | as ceiling: truth of the second half, % |",
        "| --- | --- | --- | --- |",
    ]
    for each in record["sizes"]:
        accuracies = f"{100 * each['supervisor']:.1f} | {100 * each['ceiling']:.1f}"
        lines.append(f"| {each['name']} | {each['numbers']:,} | {accuracies} |")
    return "\n".join(lines)


def _losses_table(record: Mapping[str, Any]) -> str:
    """Medians over pairs, as published, of those whose gap is clear; halves are parted at the median gap."""
    baseline = record["baseline"]
    clear = [each for each in record["pairs"] if not each["itself"] and each["recovered"] is not None]
    middle = median([each["gap"]["value"] for each in clear]) if clear else 0.0
    lines = [
        f"| taught by | pairs with a gap | gap recovered, median | … of gaps of {100 * middle:.1f} points and more | "
        f"… of smaller gaps | clearly above {baseline} | clearly below | self-training gains, points |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for loss in _losses(record):
        own = [each for each in clear if each["loss"] == loss]
        wide = [each for each in own if each["gap"]["value"] >= middle]
        narrow = [each for each in own if each["gap"]["value"] < middle]
        medians = " | ".join(
            f"{median([each['recovered']['value'] for each in some]):.2f}".replace("-", "−") if some else "—"
            for some in (own, wide, narrow)
        )
        compared = [each["against_baseline"] for each in record["pairs"] if each["loss"] == loss and not each["itself"]]
        above = below = "—"
        if loss != baseline:
            above = f"{sum(each['low'] > 0 for each in compared)} of {len(compared)}"
            below = f"{sum(each['high'] < 0 for each in compared)} of {len(compared)}"
        alone = [each["gained"]["value"] for each in record["pairs"] if each["loss"] == loss and each["itself"]]
        gains = f"{round(100 * mean(alone), 1) + 0.0:+.1f}".replace("-", "−")
        lines.append(f"| {loss} | {len(own)} | {medians} | {above} | {below} | {gains} |")
    return "\n".join(lines)


def _pairs_table(record: Mapping[str, Any], loss: str) -> str:
    baseline = record["baseline"]
    compares = loss != baseline
    lines = [
        f"| {loss} | weak, % | student, % | ceiling, % | gap recovered |"
        + (f" minus {baseline}, points |" if compares else "")
        + " agrees with right labels, % | with wrong ones, % | equals on the truth |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |" + (" --- |" if compares else ""),
    ]
    for each in record["pairs"]:
        if each["loss"] != loss:
            continue
        name = f"{each['weak']} → {each['strong']}{' (control)' if each['itself'] else ''}"
        accuracies = " | ".join(f"{100 * each[of]:.1f}" for of in ("supervisor", "student", "ceiling"))
        recovered = "no gap" if each["recovered"] is None else told(each["recovered"])
        more = f" {told(each['against_baseline'], 100, 1, '+')} |" if compares else ""
        agreed = " | ".join(
            "—" if (found := each["disagreement"].get(f"agreement_with_{which}_labels")) is None
            else f"{100 * found['value']:.1f}"
            for which in ("right", "wrong")
        )  # fmt: skip
        size = each["equivalent"]
        sign = {"": "", "+": "> ", "−": "< "}[size["beyond"]]
        lines.append(f"| {name} | {accuracies} | {recovered} |{more} {agreed} | {sign}{size['size']:,.0f} |")
    return "\n".join(lines)


def _unit(sizes: Sequence[Record]) -> tuple[float, str]:
    """What numbers are divided by on an axis, and the word for it."""
    most = max(each["numbers"] for each in sizes)
    return (1e6, ", millions") if most >= 3e6 else (1e3, ", thousands") if most >= 3e3 else (1.0, "")


def _of(sizes: Sequence[Record], pair: Record) -> float:
    return next(each["numbers"] for each in sizes if each["name"] == pair["strong"]) / _unit(sizes)[0]


def _sizes_axis(sizes: Sequence[Record], label: str) -> Axis:
    unit, word = _unit(sizes)
    numbers = [each["numbers"] / unit for each in sizes]
    low, high = 0.8 * min(numbers), 1.25 * max(numbers)
    coarse, usual, fine = (
        [m * 10.0**power for power in range(-6, 6) for m in steps if low <= m * 10**power <= high]
        for steps in ((1,), (1, 3), (1, 1.5, 2, 3, 4, 5, 7))
    )
    ticks = fine if len(usual) < 2 else usual if len(usual) <= 6 else coarse
    return Axis(f"{label}{word}", low, high, ticks, logarithmic=True)


def _recovered(record: Mapping[str, Any], loss: str) -> list[Record]:
    of = [each for each in record["pairs"] if each["loss"] == loss and not each["itself"]]
    return [each for each in of if each["recovered"] is not None]


def _by_gap(record: Mapping[str, Any]) -> Panel:
    lines: list[Line] = []
    for number, loss in enumerate(_losses(record)):
        points = [(100 * each["gap"]["value"], each["recovered"]["value"]) for each in _recovered(record, loss)]
        # A line of one point is a dot; the first of a colour is named in the legend.
        lines += [
            Line("" if place else loss, COLOURS[number], [point], dots=True) for place, point in enumerate(points)
        ]
    most = max((line.points[0][0] for line in lines), default=1.0)
    step = next(each for each in (1, 2, 5, 10, 20, 50) if most / each <= 6)
    across = Axis("gap, points", 0.0, 1.05 * most, tuple(range(0, int(most) + 1, step)))
    return Panel("By the size of the gap", across, SHARE, lines)


def _by_size(record: Mapping[str, Any], loss: str) -> Panel:
    lines: list[Line] = []
    for number, size in enumerate(record["sizes"]):
        own = [each for each in _recovered(record, loss) if each["weak"] == size["name"]]
        if own:
            points = [(_of(record["sizes"], each), each["recovered"]["value"]) for each in own]
            lines.append(Line(f"supervisor {size['name']}", COLOURS[number], points, dots=True))
    across = _sizes_axis(record["sizes"], "numbers in the student")
    return Panel(f"By the student's size: {loss}", across, SHARE, lines)


def _accuracies(record: Mapping[str, Any]) -> Axis:
    every = [each[of] for each in record["pairs"] for of in ("supervisor", "student", "ceiling")]
    low, high = int(10 * min(every)) / 10, min(1.0, int(10 * max(every) + 1) / 10)
    ticks = [tick / 10 for tick in range(11) if low <= tick / 10 <= high]
    return Axis("supervisor's accuracy", low, high, ticks, percent=True)


def _against_supervisor(record: Mapping[str, Any], loss: str, axis: Axis) -> Panel:
    lines = [Line("as good as its supervisor", GREY, [(axis.low, axis.low), (axis.high, axis.high)], dashed=True)]
    for number, size in enumerate(record["sizes"]):
        points = [
            (each["supervisor"], each["student"])
            for each in record["pairs"]
            if (each["loss"], each["strong"]) == (loss, size["name"])
        ]
        lines.append(Line(f"student {size['name']}", COLOURS[number], points, dots=True))
    up = Axis("student's accuracy", axis.low, axis.high, axis.ticks, percent=True)
    return Panel(f"Student and supervisor: {loss}", axis, up, lines)


def _beside_truth(record: Mapping[str, Any], accuracy: Axis) -> Panel:
    sizes, unit = record["sizes"], _unit(record["sizes"])[0]
    curve = [(each["numbers"] / unit, each["ceiling"]) for each in sizes]
    lines = [Line("trained on the truth", GREY, curve, dots=True)]
    for number, loss in enumerate(_losses(record)):
        own = [each for each in record["pairs"] if (each["loss"], each["weak"]) == (loss, sizes[0]["name"])]
        points = [(_of(sizes, each), each["student"]) for each in own]
        lines.append(Line(loss, COLOURS[number], points, dashed=True, dots=True))
    up = Axis("accuracy", accuracy.low, accuracy.high, accuracy.ticks, percent=True)
    across = _sizes_axis(sizes, "numbers in the student")
    return Panel(f"Students of {sizes[0]['name']}, and the truth", across, up, lines)


def _read_off(record: Mapping[str, Any], loss: str) -> Panel:
    sizes, unit = record["sizes"], _unit(record["sizes"])[0]
    lines = [Line("as good as the truth", GREY, [(each["numbers"] / unit,) * 2 for each in sizes], dashed=True)]
    for number, size in enumerate(sizes):
        own = [each for each in record["pairs"] if (each["loss"], each["weak"]) == (loss, size["name"])]
        points = [(_of(sizes, each), each["equivalent"]["size"] / unit) for each in own]
        lines.append(Line(f"supervisor {size['name']}", COLOURS[number], points, dots=True))
    across = _sizes_axis(sizes, "numbers in the student")
    return Panel(f"Read off as sizes: {loss}", across, _sizes_axis(sizes, "equals on the truth"), lines)
