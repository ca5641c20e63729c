"""What the study of flexible digits publishes: its models as a plain record, as Markdown tables, and as a picture.

The record lies in docs/data/flex-digits.json and the picture in docs/images/flex-digits.svg; tables stand in
docs/flex-digits.md between `<!-- numbers: <name> -->` and `<!-- /numbers: <name> -->`. Tables and picture are made of
the record alone, so that a test can make them again.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import torch
from curves import Axis, Line, Panel, chart
from weak_tables import COLOURS, GREY, plain, rounded, told

from surefoot.findings.compare import compare
from surefoot.findings.measure import measure
from surefoot.findings.predictions import Predictions
from surefoot.flex.cost import measure_costs
from surefoot.networks.network import Network, parameters_of

__all__ = ["accuracy_of", "blocks_of", "difference_of", "operations_of", "picture"]

Record: TypeAlias = dict[str, Any]


def accuracy_of(predictions: Predictions, name: str) -> Record | None:
    """With its interval over seeds and digits."""
    return rounded(plain(measure(predictions, subject=name, source="judge")[0]))


def difference_of(before: Predictions, after: Predictions) -> Record | None:
    """Of accuracies, after − before, paired by seed and row."""
    return rounded(plain(compare(before, after, before_name="before", after_name="after", source="judge")[0]))


def operations_of(network: Network, size: int, image: tuple[int, ...]) -> float:
    """Of one image, forward, at a patch size."""
    (cost,) = measure_costs(network, parameters_of(network), [(size, size)], torch.zeros(1, *image), rounds=3)
    return cost.operations


def blocks_of(record: Mapping[str, Any]) -> dict[str, list[str]]:
    """Tables by the name of their place on the page."""
    large, small = record["settings"]["large"], record["settings"]["small"]
    return {
        "accuracy": [_accuracies(large, large["shown"])],
        "gap": [_differences(large, large["against"])],
        "compute": [_compute(record, large)],
        "why": [_accuracies(large, large["probed"])],
        "inside": [_inside(large)],
        "flexify": [_accuracies(large, large["flexified"])],
        "unseen": [_accuracies(large, large["asked elsewhere"], large["unseen"])],
        "schedules": [_accuracies(large, large["scheduled"])],
        "rising": [_accuracies(small, small["shown"])],
        "rising gap": [_differences(small, small["against"])],
        "rise": [_rise(small)],
    }


def picture(record: Mapping[str, Any]) -> str:
    """Accuracy by tokens in both settings, and what is left of a plain model away from its size."""
    large, small = record["settings"]["large"], record["settings"]["small"]
    return chart("One set of weights at every patch size: scaled digits", [
        _by_tokens(large, "A digit that fills the canvas"), _by_tokens(small, "A smaller digit at any place"),
        _off_size(large),
    ])  # fmt: skip


def _model(setting: Mapping[str, Any], name: str) -> Record:
    return next(each for each in setting["models"] if each["name"] == name)


def _tokens(setting: Mapping[str, Any], size: int | str) -> int:
    return (setting["side"] // int(size)) ** 2


def _head(setting: Mapping[str, Any], first: str, sizes: Sequence[int]) -> list[str]:
    words = [f"patch {size} ({_tokens(setting, size)} token{'s' * (_tokens(setting, size) > 1)})" for size in sizes]
    return [f"| {first} | {' | '.join(words)} |", "| --- |" + " --- |" * len(sizes)]


def _accuracies(setting: Mapping[str, Any], names: Sequence[str], sizes: Sequence[int] | None = None) -> str:
    """In percent; of a model at a size that it was not trained at in brackets."""
    sizes = setting["sizes"] if sizes is None else sizes
    lines = _head(setting, "right, %", sizes)
    for name in names:
        model = _model(setting, name)
        cells: list[str] = []
        for size in sizes:
            said = told(model["accuracy"][str(size)], 100, 1)
            cells.append(said if size in model["trained at"] else f"({said})")
        seeds = len(model["accuracy"][str(sizes[0])]["per_seed"])
        lines.append(f"| {name}{'' if seeds else ', one seed'} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _differences(setting: Mapping[str, Any], against: Sequence[Record]) -> str:
    lines = _head(setting, "minus the fixed model of the size, points", setting["sizes"])
    for each in against:
        cells = [told(each["points"][str(size)], 100, 1, "+") for size in setting["sizes"]]
        alone = not each["points"][str(setting["sizes"][0])]["per_seed"]
        lines.append(f"| {each['name']}{', one seed' if alone else ''} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _compute(record: Mapping[str, Any], setting: Mapping[str, Any]) -> str:
    lines = ["| model | steps | operations of its training, 10¹² |", "| --- | --- | --- |"]
    fixed = [each for each in setting["models"] if each["name"] in setting["fixed"]]
    for each in fixed:
        lines.append(f"| {each['name']} | {each['steps']:,} | {each['operations'] / 1e12:.2f} |")
    total = sum(each["operations"] for each in fixed) / 1e12
    lines.append(f"| all fixed ones together | {sum(each['steps'] for each in fixed):,} | {total:.2f} |")
    for name in setting["flexible"]:
        model = _model(setting, name)
        lines.append(f"| {name} | {model['steps']:,} | {model['operations'] / 1e12:.2f} |")
    return "\n".join(lines)


def _inside(setting: Mapping[str, Any]) -> str:
    least = setting["sizes"][0]
    lines = [
        f"| at patch {least}, one seed | deviation of what patches add to a token | of what places add | "
        "right on rows learnt from, % |",
        "| --- | --- | --- | --- |",
    ]
    for each in setting["inside"]:
        lines.append(f"| {each['name']} | {each['patches']:.2f} | {each['places']:.2f} | {100 * each['learnt']:.1f} |")
    return "\n".join(lines)


def _rise(setting: Mapping[str, Any]) -> str:
    least, most = setting["sizes"][0], setting["sizes"][-1]
    lines = [f"| accuracy at patch {least} minus accuracy at patch {most} | points |", "| --- | --- |"]
    for name, found in setting["rise"].items():
        lines.append(f"| {name}{'' if found['per_seed'] else ', one seed'} | {told(found, 100, 1, '+')} |")
    return "\n".join(lines)


def _axes(setting: Mapping[str, Any], low: float) -> tuple[Axis, Axis]:
    tokens = sorted(_tokens(setting, size) for size in setting["sizes"])
    across = Axis("tokens", 0.8 * tokens[0], 1.25 * tokens[-1], tokens, logarithmic=True)
    ticks = [tick / 10 for tick in range(11) if tick / 10 >= low]
    return across, Axis("right", low, 1.0, ticks, percent=True)


def _low(setting: Mapping[str, Any]) -> float:
    values = [
        _model(setting, name)["accuracy"][str(size)]["value"]
        for name in setting["flexible"] for size in setting["sizes"]
    ] + [_model(setting, f"fixed {size}")["accuracy"][str(size)]["value"] for size in setting["sizes"]]  # fmt: skip
    return int(10 * min(values)) / 10


def _by_tokens(setting: Mapping[str, Any], title: str) -> Panel:
    across, up = _axes(setting, _low(setting))
    own = [(_tokens(setting, size), _model(setting, f"fixed {size}")["accuracy"][str(size)]["value"])
           for size in setting["sizes"]]  # fmt: skip
    lines = [Line("fixed, each at its size", GREY, own, dots=True)]
    for name in setting["flexible"]:
        model, colour = _model(setting, name)["accuracy"], COLOURS[1 if "steps" in name else 2]
        points = [(_tokens(setting, size), model[str(size)]["value"]) for size in setting["sizes"]]
        lines.append(Line(name, colour, points, dots=True, dashed="steps" in name))
    return Panel(title, across, up, lines)


def _off_size(setting: Mapping[str, Any]) -> Panel:
    across, up = _axes(setting, 0.0)
    lines: list[Line] = []
    for number, size in enumerate(setting["sizes"]):
        model = _model(setting, f"fixed {size}")["accuracy"]
        points = [(_tokens(setting, each), model[str(each)]["value"]) for each in setting["sizes"]]
        lines.append(Line(f"fixed {size}, resized", COLOURS[3 + number], points, dashed=True, dots=True))
    return Panel("Plain models away from their size", across, up, lines)
