"""Tables and picture of `evidence_grid.py`: correlations with intervals, choices, and what the draws are worth."""

import re
from collections.abc import Callable, Mapping, Sequence
from statistics import mean, median
from typing import Any, TypeAlias

import torch
from curves import Axis, Line, Panel, chart
from torch import Tensor

from surefoot.errors import InputError
from surefoot.findings.finding import Finding, finding_from_json, finding_to_json
from surefoot.findings.ranks import rank_correlation, rank_correlation_difference

__all__ = ["picture", "summarise", "tables", "with_tables"]

Record: TypeAlias = dict[str, Any]
Key: TypeAlias = tuple[str, int, int, str]

CRITERIA = {
    "evidence": "evidence",
    "conditional": "conditional evidence, by difference",
    "drawn": "conditional evidence, by draws",
    "drawn_scaled": "conditional evidence, by draws at t",
    "bma": "held-out loss, average",
    "bma_scaled": "held-out loss, average at t",
    "map_rest": "held-out loss, mode, on the half of t",
    "map": "held-out loss, mode",
}
"""Records hold all of them so that larger is better, in nats a row."""
TARGETS = {
    "judge_accuracy": "accuracy, mode",
    "judge_likelihood": "log likelihood, mode",
    "judge_scaled_accuracy": "accuracy, average at t",
    "judge_scaled_likelihood": "log likelihood, average at t",
    "judge_bma_likelihood": "log likelihood, average",
}
COMPARED = (
    ("map", "evidence"), ("map", "conditional"), ("map", "drawn"), ("map", "bma"), ("evidence", "conditional"),
    ("map_rest", "evidence"), ("map_rest", "drawn_scaled"), ("map_rest", "bma_scaled"), ("drawn_scaled", "bma_scaled"),
)  # fmt: skip
"""Which criteria are compared: those of all held-out rows, then those of the half that did not choose t."""
SEEN = (
    ("MLP", "judge_accuracy"), ("CNN", "judge_accuracy"), ("both", "judge_accuracy"), ("both", "judge_likelihood"),
    ("both", "judge_scaled_accuracy"), ("both", "judge_scaled_likelihood"),
)  # fmt: skip
"""For which networks, and by which target."""
GROUPS = {"MLP": ("MLP",), "CNN": ("CNN",), "both": ("MLP", "CNN")}
FAR, GUESSING = 0.1, 0.2
"""An offset from which an expansion is of another point than a mode; an accuracy below which a network says nothing."""
COLOURS = ("#2a0a52", "#0067b0", "#00785a", "#c98a00", "#b3450a", "#6b7280", "#c0267e")


def summarise(cells: Sequence[Record], precisions: Sequence[float]) -> dict[str, Any]:
    """Everything the tables say, from the cells' records."""
    found = by_candidate(cells)
    every = [key for key in found if key[3] != "tuned"]
    correlations: list[Record] = []
    for name, kinds in GROUPS.items():
        mine = [key for key in every if key[0] in kinds]
        modes = [key for key in mine if all(_is_mode(each) for each in found[key])]
        levels = {f"{each:g}": [key for key in mine if key[3] == f"{each:g}"] for each in precisions}
        tuned = [key for key in found if key[0] in kinds and key[3] == "tuned"]
        levels = {"all": mine} if name != "both" else {"all": mine, "modes": modes, **levels, "tuned": tuned}
        for level, keys in levels.items():
            for criterion in CRITERIA:
                for target in TARGETS if level == "all" else ("judge_accuracy", "judge_likelihood"):
                    told = correlate(found, keys, criterion, target)
                    correlations.append({
                        "group": name, "level": level, "criterion": criterion, "target": target,
                        "finding": None if told is None else finding_to_json(told),
                    })  # fmt: skip
    differences = [
        {"first": first, "second": second, "group": group, "target": target,
         "finding": _difference(found, [key for key in every if key[0] in GROUPS[group]], first, second, target)}
        for first, second in COMPARED
        for group, target in SEEN
    ]  # fmt: skip
    return {
        "correlations": correlations,
        "differences": differences,
        "within": {criterion: _within(found, criterion) for criterion in CRITERIA},
        "picks": [_pick(found, each, tuned) for each in CRITERIA for tuned in (False, True) if _keys(found, tuned)],
        "chosen_from": [_field(found, tuned) for tuned in (False, True) if _keys(found, tuned)],
        "draws": {name: _draws(found, [key for key in every if key[0] in kinds]) for name, kinds in GROUPS.items()},
        "structures": _structures(found),
    }


def by_candidate(cells: Sequence[Record]) -> dict[Key, list[Record]]:
    """Each candidate's records in order of seeds; those that were refused for a seed, or not finished, are left out."""
    found: dict[Key, list[Record]] = {}
    for each in cells:
        if each["refused"] is None:
            level = "tuned" if each["tuned"] else f"{each['given']:g}"
            found.setdefault((each["kind"], each["depth"], each["width"], level), []).append(each)
    most = max(map(len, found.values()), default=0)
    return {key: records for key, records in found.items() if len(records) == most}


def correlate(found: Mapping[Key, list[Record]], keys: Sequence[Key], criterion: str, target: str) -> Finding | None:
    """None where nothing can be ordered."""
    if len(keys) < 2:
        return None
    try:
        return rank_correlation(
            _values(found, keys, criterion),
            _values(found, keys, target),
            subject=f"{criterion} ~ {target}",
            source="judge",
        )
    except InputError:
        return None


def _difference(found: Mapping[Key, list[Record]], keys: Sequence[Key], first: str, second: str, target: str) -> Any:
    """Of two criteria's correlations with a target on the same candidates; None where nothing can be ordered."""
    if len(keys) < 2:
        return None
    try:
        return finding_to_json(
            rank_correlation_difference(
                *(_values(found, keys, name) for name in (first, second, target)),
                subject=f"{first} − {second}",
                source="judge",
            )
        )
    except InputError:
        return None


def tables(record: Mapping[str, Any]) -> list[str]:
    """The blocks of the page, in order."""
    return [
        _overall(record),
        _differences(record),
        _by_precision(record),
        _within_table(record),
        _picks(record),
        _draws_table(record),
        _structure_table(record),
    ]


def with_tables(page: str, record: Mapping[str, Any]) -> str:
    """The page with its numbers replaced."""
    blocks = iter(tables(record))
    pattern = r"<!-- numbers -->.*?<!-- /numbers -->"
    told = re.sub(pattern, lambda _: f"<!-- numbers -->\n\n{next(blocks)}\n\n<!-- /numbers -->", page, flags=re.DOTALL)
    if next(blocks, None) is not None:
        raise ValueError("The page has fewer places for numbers than there are tables.")
    return told


def picture(record: Mapping[str, Any]) -> str:
    """One panel a criterion, better to the right; every candidate and seed is a point, with its precision's colour."""
    levels = [f"{each:g}" for each in record["settings"]["precisions"]]
    found = by_candidate(record["cells"])
    plain = {
        "evidence": Axis("log evidence, nats a row", -3.0, -0.5, (-3, -2.5, -2, -1.5, -1, -0.5)),
        "conditional": Axis("nats a held-out row; above 0 is impossible", -3.0, 1.0, (-3, -2, -1, 0, 1)),
    }
    panels: list[Panel] = []
    for criterion in ("evidence", "conditional", "drawn", "drawn_scaled", "bma", "map"):
        sign = 1 if criterion in plain else -1
        lines = []
        for number, level in enumerate(levels):
            points = [
                (sign * each[criterion], 1 - each["judge_accuracy"])
                for key, records in found.items()
                if key[3] == level
                for each in records
            ]
            # A line of one point is a dot; the first of a colour is named in the legend.
            lines += [
                Line("" if place else f"λ = {level}", COLOURS[number], [point], dots=True)
                for place, point in enumerate(points)
            ]
        words = CRITERIA[criterion][0].upper() + CRITERIA[criterion][1:]
        up = Axis("errors of the mode on judged rows", 1.0, 0.02, (1, 0.3, 0.1, 0.03), logarithmic=True, percent=True)
        across = plain.get(criterion) or _losses([point[0] for line in lines for point in line.points])
        panels.append(Panel(words, across, up, lines))
    return chart(
        "What orders networks as their test errors do? Better is right, and up; every network and seed is a dot", panels
    )


def _losses(losses: Sequence[float]) -> Axis:
    """A logarithmic axis that holds all of them, the smallest at the right."""
    high, low = 1.2 * max(losses), 0.8 * min(losses)
    ticks = [10.0**power for power in range(-6, 12) if low <= 10.0**power <= high]
    if len(ticks) < 2:
        ticks = [
            step * 10.0**power for power in range(-6, 12) for step in (1, 2, 5) if low <= step * 10.0**power <= high
        ]
    return Axis("nats a held-out row, logarithmic", high, low, ticks, logarithmic=True)


def _values(found: Mapping[Key, list[Record]], keys: Sequence[Key], name: str) -> Tensor:
    return torch.tensor([[each[name] for each in found[key]] for key in keys], dtype=torch.float64)


def _is_mode(record: Record) -> bool:
    return record["offset"] <= FAR


def _within(found: Mapping[Key, list[Record]], criterion: str) -> Record:
    """Over the precisions of one architecture and seed: the order, and what choosing the precision costs."""
    own: dict[str, list[float]] = {"judge_accuracy": [], "judge_likelihood": []}
    lost: dict[str, list[float]] = {"judge_accuracy": [], "judge_likelihood": []}
    for architecture in sorted({key[:3] for key in found}):
        keys = [key for key in found if key[:3] == architecture and key[3] != "tuned"]
        for target in own:
            told = correlate(found, keys, criterion, target)
            if told is None:
                continue
            own[target].append(told.value)
            losses = [
                max(values) - values[max(range(len(keys)), key=lambda place: scores[place])]
                for scores, values in zip(
                    _values(found, keys, criterion).T.tolist(), _values(found, keys, target).T.tolist(), strict=True
                )
            ]
            lost[target].append(mean(losses))
    return {
        target: {
            "mean": mean(own[target]),
            "low": min(own[target]),
            "high": max(own[target]),
            "below_zero": sum(each < 0 for each in own[target]),
            "architectures": len(own[target]),
            "lost": mean(lost[target]),
            "most_lost": max(lost[target]),
        }
        for target in own
        if own[target]
    }


def _keys(found: Mapping[Key, list[Record]], tuned: bool) -> list[Key]:
    return [key for key in found if (key[3] == "tuned") == tuned]


def _pick(found: Mapping[Key, list[Record]], criterion: str, tuned: bool) -> Record:
    """The candidate with the best criterion of each seed; all precisions, or each architecture's tuned one."""
    keys = _keys(found, tuned)
    picks = []
    for scores in _values(found, keys, criterion).T.tolist():
        picks.append(keys[max(range(len(keys)), key=lambda place: scores[place])])
    told = [found[key][seed] for seed, key in enumerate(picks)]
    return {
        "criterion": criterion,
        "tuned": tuned,
        "picks": [list(key) for key in picks],
        "accuracies": [each["judge_accuracy"] for each in told],
        "likelihoods": [each["judge_likelihood"] for each in told],
    }


def _field(found: Mapping[Key, list[Record]], tuned: bool) -> Record:
    """What there was to choose from, by seed."""
    keys = _keys(found, tuned)
    accuracies = _values(found, keys, "judge_accuracy").T.tolist()
    likelihoods = _values(found, keys, "judge_likelihood").T.tolist()
    return {
        "tuned": tuned,
        "candidates": len(keys),
        "best": [max(each) for each in accuracies],
        "median": [median(each) for each in accuracies],
        "best_likelihood": [max(each) for each in likelihoods],
        "median_likelihood": [median(each) for each in likelihoods],
    }


def _draws(found: Mapping[Key, list[Record]], keys: Sequence[Key]) -> Record | None:
    """What draws are worth, and how many candidates are in doubt; None of no candidates."""
    if not keys:
        return None
    every = [each for key in keys for each in found[key]]

    def agreement(one: str, other: str) -> Any:
        told = correlate(found, keys, one, other)
        return None if told is None else finding_to_json(told)

    return {
        "cells": len(every),
        "impossible": sum(each["conditional"] > 0 for each in every),
        "far": sum(each["offset"] > FAR for each in every),
        "guessing": sum(each["judge_accuracy"] < GUESSING for each in every),
        "effective": median(each["effective"] for each in every),
        "scaled_effective": median(each["scaled_effective"] for each in every),
        "scale": sorted(each["scale"] for each in every)[len(every) // 2],
        "at_one": sum(each["scale"] == 1 for each in every),
        "drawn_as_map": agreement("drawn_scaled", "map_rest"),
        "drawn_as_bma": agreement("drawn_scaled", "bma_scaled"),
        "bma_as_map": agreement("bma_scaled", "map_rest"),
        "drawn_from_map": median(abs(each["drawn_scaled"] - each["map_rest"]) for each in every),
        "unscaled_as_map": agreement("drawn", "map"),
    }


def _structures(found: Mapping[Key, list[Record]]) -> list[Record]:
    """For small perceptrons at all precisions: each structure's criteria against the judged rows and against full."""
    flat = {
        key: [{**each, **_flat(each["structures"])} for each in records]
        for key, records in found.items()
        if key[3] != "tuned" and all(each["structures"] for each in records)
    }
    keys = list(flat)

    def told(one: str, other: str) -> Any:
        finding = correlate(flat, keys, one, other)
        return None if finding is None else finding_to_json(finding)

    return [
        {
            "structure": structure,
            "candidates": len(keys),
            "impossible": sum(each[f"{structure} conditional"] > 0 for key in keys for each in flat[key]),
            "cells": sum(len(flat[key]) for key in keys),
            "judge": mean([each[f"{structure} judge"] for key in keys for each in flat[key]]) if keys else None,
            "middle_judge": median([each[f"{structure} judge"] for key in keys for each in flat[key]])
            if keys
            else None,
            **{
                what: {
                    "accuracy": told(f"{structure} {what}", "judge_accuracy"),
                    "full": None if structure == "full" else told(f"{structure} {what}", f"full {what}"),
                }
                for what in ("evidence", "conditional", "bma")
            },
        }
        for structure in ("full", "kron", "diag")
    ]


def _flat(structures: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    return {f"{name} {what}": value for name, of in structures.items() for what, value in of.items()}


def _found(record: Mapping[str, Any], group: str, level: str, criterion: str, target: str) -> str:
    for each in record["correlations"]:
        if (each["group"], each["level"], each["criterion"], each["target"]) == (group, level, criterion, target):
            return _told(each["finding"])
    return "–"


def _overall(record: Mapping[str, Any]) -> str:
    lines = [
        [group, name, *(_found(record, group, "all", criterion, target) for target in TARGETS)]
        for group in GROUPS
        for criterion, name in CRITERIA.items()
    ]
    return _table(["networks", "criterion", *TARGETS.values()], lines)


def _differences(record: Mapping[str, Any]) -> str:
    found = {
        (each["first"], each["second"], each["group"], each["target"]): each["finding"]
        for each in record["differences"]
    }
    lines = [
        [f"{CRITERIA[first]} − {CRITERIA[second]}", *(_told(found[first, second, *seen]) for seen in SEEN)]
        for first, second in COMPARED
    ]
    heads = [f"{TARGETS[target]}: {group}" for group, target in SEEN]
    return _table(["ρ of the first − ρ of the second", *heads], lines)


def _by_precision(record: Mapping[str, Any]) -> str:
    levels = [f"{each:g}" for each in record["settings"]["precisions"]]
    lines = [
        [name, *(_found(record, "both", level, criterion, "judge_accuracy") for level in (*levels, "tuned", "modes"))]
        for criterion, name in CRITERIA.items()
    ]
    heads = [*(f"λ = {level}" for level in levels), "λ by evidence", "over all λ, modes only"]
    return _table(["criterion", *heads], lines)


def _within_table(record: Mapping[str, Any]) -> str:
    lines = []
    for criterion, name in CRITERIA.items():
        of = record["within"][criterion]
        line = [name]
        for target, scale, digits in (("judge_accuracy", 100, 1), ("judge_likelihood", 1, 2)):
            each = of.get(target)
            if each is None:
                line += ["–"] * 3
                continue
            line += [
                f"{each['mean']:.2f} ({each['low']:.2f} to {each['high']:.2f})",
                f"{each['below_zero']} of {each['architectures']}",
                f"{scale * each['lost']:.{digits}f} ({scale * each['most_lost']:.{digits}f})",
            ]
        lines.append(line)
    return _table(
        ["criterion", "ρ with accuracy", "negative", "points lost (most)", "ρ with log likelihood", "negative",
         "nats lost (most)"], lines,
    )  # fmt: skip


def _picks(record: Mapping[str, Any]) -> str:
    lines = []
    for field in record["chosen_from"]:
        words = "λ by evidence" if field["tuned"] else "all λ"
        head = f"{field['candidates']} candidates, {words}"
        for what, accuracy, likelihood in (
            ("the best", field["best"], field["best_likelihood"]),
            ("the median", field["median"], field["median_likelihood"]),
        ):
            lines.append([head, what, "–", _percents(accuracy), "–", f"{mean(likelihood):.2f}"])
        for each in record["picks"]:
            if each["tuned"] == field["tuned"]:
                lost = mean(best - own for best, own in zip(field["best"], each["accuracies"], strict=True))
                picks = "; ".join(_name(pick) for pick in each["picks"])
                lines.append([
                    head, CRITERIA[each["criterion"]], picks, _percents(each["accuracies"]), f"{100 * lost:.1f}",
                    f"{mean(each['likelihoods']):.2f}",
                ])  # fmt: skip
    return _table(
        ["from", "by", "picks, by seed", "accuracy, %", "points below the best", "log likelihood of the mode"], lines
    )


def _draws_table(record: Mapping[str, Any]) -> str:
    names: dict[str, Callable[[Record], str]] = {
        "candidates × seeds": lambda each: str(each["cells"]),
        "conditional evidence by difference above 0, which cannot be": lambda each: str(each["impossible"]),
        "offset from a mode above 0.1": lambda each: str(each["far"]),
        "accuracy below 20 %": lambda each: str(each["guessing"]),
        "draws that count, linearised, median": lambda each: f"{each['effective']:.1f}",
        "draws that count at t, median": lambda each: f"{each['scaled_effective']:.1f}",
        "t, median": lambda each: f"{each['scale']:g}",
        "t stayed 1": lambda each: str(each["at_one"]),
        "ρ of conditional evidence by draws at t with: loss of the mode": lambda each: _told(each["drawn_as_map"]),
        "the same with: loss of the average at t": lambda each: _told(each["drawn_as_bma"]),
        "ρ of the two losses": lambda each: _told(each["bma_as_map"]),
        "distance of the first from the mode's, median nats a row": lambda each: f"{each['drawn_from_map']:.3f}",
        "ρ of conditional evidence by linearised draws with: loss of the mode": lambda each: _told(
            each["unscaled_as_map"]
        ),
    }
    lines = [
        [name, *("–" if (of := record["draws"][group]) is None else say(of) for group in GROUPS)]
        for name, say in names.items()
    ]
    losses = _losses_by_precision(record)
    return f"{_table(['', *GROUPS], lines)}\n\nMedian losses on held-out rows, nats a row:\n\n{losses}"


def _losses_by_precision(record: Mapping[str, Any]) -> str:
    names = {"map": "mode", "bma": "average", "unscaled": "average, network", "bma_scaled": "average, network, t"}
    found = by_candidate(record["cells"])
    lines: list[list[str]] = []
    for level in (*(f"{each:g}" for each in record["settings"]["precisions"]), "tuned"):
        line = ["by evidence" if level == "tuned" else level]
        for kind in ("MLP", "CNN"):
            mine = [each for key, of in found.items() if (key[0], key[3]) == (kind, level) for each in of]
            line += [f"{median(-each[name] for each in mine):.2f}" if mine else "–" for name in names]
        lines.append(line)
    return _table(["λ", *(f"{kind}, {name}" for kind in ("MLP", "CNN") for name in names.values())], lines)


def _structure_table(record: Mapping[str, Any]) -> str:
    lines = [
        [each["structure"], *(_told(each[what]["accuracy"]) for what in ("evidence", "conditional", "bma")),
         *(_told(each[what]["full"]) for what in ("evidence", "conditional", "bma")),
         f"{each['impossible']} of {each['cells']}",
         "–" if each["middle_judge"] is None else f"{each['middle_judge']:.2f}"]
        for each in record["structures"]
    ]  # fmt: skip
    return _table(
        ["structure", "evidence ~ accuracy", "conditional ~ accuracy", "average's loss ~ accuracy", "evidence ~ full's",
         "conditional ~ full's", "average's loss ~ full's", "conditional above 0",
         "judged log likelihood of the average, median"], lines,
    )  # fmt: skip


def _name(pick: Sequence[Any]) -> str:
    kind, depth, width, level = pick
    return f"{kind} {depth} × {width}, {'tuned' if level == 'tuned' else f'λ = {level}'}"


def _percents(shares: Sequence[float]) -> str:
    return ", ".join(f"{100 * each:.1f}" for each in shares)


def _told(found: Any) -> str:
    if found is None:
        return "–"
    finding = finding_from_json(found)
    if finding.interval is None:
        return f"{finding.value:.2f}"
    return f"{finding.value:.2f} [{finding.interval.low:.2f}, {finding.interval.high:.2f}]"


def _table(names: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [names, ["---"] * len(names), *([re.sub(r"-(?=\d)", "−", cell) for cell in line] for line in lines)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
