"""What `evidence_hypotheses.py` prints and draws: tables in Markdown, and one picture."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import mean
from typing import Any, TypeAlias

import torch
from curves import Axis, Line, Panel, chart

from surefoot.findings.intervals import wilson
from surefoot.findings.quantiles import student_quantile
from surefoot.findings.ranks import rank_correlation

__all__ = ["chosen_by", "picture", "tables", "with_tables"]

Record: TypeAlias = Mapping[str, Any]

BLUE, ORANGE, GREEN, RED, GREY = "#0067b0", "#b3450a", "#00785a", "#c0267e", "#6b7280"
SYMMETRIES = ("none", "same", "opposite")
LOOKED_AT = (
    ((0, 8), "left ↔ right"), ((0, 8), "half a turn"), ((1, 8), "half a turn"), ((3, 8), "left ↔ right"),
    ((3, 8), "top ↔ bottom"), ((2, 5), "left ↔ right"), ((2, 5), "half a turn"), ((6, 9), "left ↔ right"),
    ((6, 9), "half a turn"), ((4, 7), "left ↔ right"),
)  # fmt: skip
"""Pairs of digits that anybody would ask about."""


def tables(record: Record) -> list[str]:
    """The blocks of the page, in order, of those parts that there are."""
    made = {
        "terms": (_terms,), "planted": (_planted,), "laws": (_laws,),
        "mirrors": (_mirror_pairs, _mirror_choices, _mirror_planted), "seeds": (_sizes, _inputs, _doubts),
    }  # fmt: skip
    return [write(record[part]) for part, writes in made.items() if part in record for write in writes]


def with_tables(page: str, record: Record) -> str:
    """The page with its numbers replaced."""
    blocks = iter(tables(record))
    pattern = r"<!-- numbers -->.*?<!-- /numbers -->"
    told = re.sub(pattern, lambda _: f"<!-- numbers -->\n\n{next(blocks)}\n\n<!-- /numbers -->", page, flags=re.DOTALL)
    if next(blocks, None) is not None:
        raise ValueError("The page has fewer places for numbers than there are tables.")
    return told


def _terms(told: Sequence[Record]) -> str:
    widths = list(told[0]["gain"])
    lines = [
        [each["data"], each["term"], str(each["rows"]), *(f"{each['gain'][width]:.1f}" for width in widths),
         f"{each['folded']:.1f}", _small(each["p"])]
        for each in told
    ]  # fmt: skip
    head = ["data", "term", "rows", *(f"ln B, τ = {width}" for width in widths), "ten folds, τ = 1", "F test, p"]
    return _table(head, lines)


def _planted(told: Sequence[Record]) -> str:
    lines = [
        [
            str(each["rows"]), f"{each['width']:g}", "weight ~ N(0, τ²)" if each["real"] else "irrelevant",
            f"{100 * each['expected']:.1f}%", _rate(each["right_evidence"], each["of"]),
            _rate(each["right_folds"], each["folded_of"]), _rate(each["right_f"], each["of"]),
        ]
        for each in sorted(told, key=lambda each: (each["real"], each["rows"], each["width"]))
    ]  # fmt: skip
    head = ["rows", "τ", "the truth", "expected", "right by evidence", "by ten folds", "by F test at 5 %"]
    return _table(head, lines)


def _laws(told: Sequence[Record]) -> str:
    lines = [
        [each["target"], str(each["rows"]), f"{each['middle']:.1f}", _rate(each["evidence"], each["of"]),
         _rate(each["folds"], each["folded_of"]), _rate(each["f"], each["of"])]
        for each in told
    ]  # fmt: skip
    head = ["of the radius", "rows", "ln B, median", "square, by evidence", "by ten folds", "by F test at 5 %"]
    return _table(head, lines)


def chosen_by(told: Record) -> dict[tuple[str, tuple[int, int]], dict[str, Record]]:
    """By move and pair of digits: what each symmetry has."""
    found: dict[tuple[str, tuple[int, int]], dict[str, Record]] = {}
    for each in told["real"]:
        one, other = each["pair"]
        found.setdefault((each["move"], (one, other)), {})[each["symmetry"]] = each
    return found


def _mirror_pairs(told: Record) -> str:
    found = chosen_by(told)
    lines: list[list[str]] = []
    for pair, move in LOOKED_AT:
        if (of := found.get((move, pair))) is None:
            continue
        bare = of["none"]
        gains = [f"{of[name]['evidence'] - bare['evidence']:.1f}" for name in SYMMETRIES[1:]]
        lines.append([
            f"{pair[0]}, {pair[1]}", move, *gains, *(f"{of[name]['nll']:.2f}" for name in SYMMETRIES),
            *(f"{100 * of[name]['error']:.1f}" for name in SYMMETRIES),
        ])  # fmt: skip
    head = ["digits", "move", "evidence: same", "opposite", "test NLL: none", "same", "opposite",
            "test errors, %: none", "same", "opposite"]  # fmt: skip
    return _table(head, lines)


def _mirror_choices(told: Record) -> str:
    found = chosen_by(told)
    lines: list[list[str]] = []
    for move in dict.fromkeys(move for move, _ in found):
        some = [of for (name, _), of in found.items() if name == move]
        best = [min(of, key=lambda name: of[name]["nll"]) for of in some]
        gains, better = (
            torch.tensor([[sign * (of[each][what] - of["none"][what]) for each in SYMMETRIES[1:]] for of in some])
            for what, sign in (("evidence", 1), ("nll", -1))
        )
        for by in ("evidence", "conditional"):
            picks = [max(of, key=lambda name: of[name][by]) for of in some]
            counts = Counter(picks)
            lost = [of[pick]["nll"] - of["none"]["nll"] for of, pick in zip(some, picks, strict=True)]
            errors = [100 * (of[pick]["error"] - of["none"]["error"]) for of, pick in zip(some, picks, strict=True)]
            agree = sum(pick == one for pick, one in zip(picks, best, strict=True))
            lines.append([
                move, "evidence" if by == "evidence" else "conditional, 20 of 100",
                *(str(counts[name]) for name in SYMMETRIES), f"{agree} of {len(some)}", _mean_of(lost, 3),
                _mean_of(errors, 2),
            ])  # fmt: skip
        counts = Counter(best)
        said = f"test NLL; ρ with evidence {_correlation(gains, better)}"
        lines.append([move, said, *(str(counts[name]) for name in SYMMETRIES), "", "", ""])
    head = ["move", "by", "none", "same", "opposite", "the best by test NLL", "test NLL against none",
            "points of error against none"]  # fmt: skip
    return _table(head, lines)


def _correlation(gains: torch.Tensor, better: torch.Tensor) -> str:
    """Of what evidence gives a symmetry and what the judged rows do, over pairs of digits; same and opposite as two
    seeds."""
    if len(gains) < 5:
        return "–"
    found = rank_correlation(gains, better, subject="evidence ~ test NLL", source="judge")
    assert found.interval is not None
    return f"{found.value:.2f} [{found.interval.low:.2f}, {found.interval.high:.2f}]"


def _mirror_planted(told: Record) -> str:
    lines: list[list[str]] = []
    for truth in ("same", "opposite"):
        some = [each for each in told["known"] if each["truth"] == truth]
        right = [sum(each[by] == truth for each in some) for by in ("evidence", "conditional")]
        lines.append([truth, str(len(some)), *(_rate(each, len(some)) for each in right)])
    return _table(["planted", "sets", "right by evidence", "right by conditional evidence"], lines)


def _sizes(told: Record) -> str:
    cells = told["sizes"]
    lines: list[list[str]] = []
    for precision in dict.fromkeys(each["precision"] for each in cells):
        for width in dict.fromkeys(each["width"] for each in cells):
            of = [each for each in cells if (each["precision"], each["width"]) == (precision, width)]
            evidences, errors = ([each[name] for each in of] for name in ("evidence", "error"))
            line = [f"{precision:g}", str(width), str(of[0]["parameters"]), f"{mean(evidences):.1f}"]
            line += [f"{max(evidences) - min(evidences):.1f}", str(_modes(evidences))]
            lines.append([*line, f"{min(errors):.3f} to {max(errors):.3f}", _within(evidences, errors)])
    seeds = len({each["seed"] for each in cells})
    head = ["λ", "units", "parameters", f"evidence, mean of {seeds} seeds", "largest less smallest",
            "apart by 0.5 nats or more", "test RMSE", "ρ of evidence with −RMSE"]  # fmt: skip
    return _table(head, lines)


def _modes(evidences: Sequence[float]) -> int:
    """How many groups there are that lie 0.5 nats or more apart."""
    ordered = sorted(evidences)
    return 1 + sum(after - before >= 0.5 for before, after in pairwise(ordered))


def _within(evidences: Sequence[float], errors: Sequence[float]) -> str:
    if max(evidences) - min(evidences) < 0.5 or len(evidences) < 5:
        return "–"
    found = rank_correlation(torch.tensor(evidences), -torch.tensor(errors), subject="evidence ~ RMSE", source="judge")
    assert found.interval is not None
    return f"{found.value:.2f} [{found.interval.low:.2f}, {found.interval.high:.2f}]"


def _inputs(told: Record) -> str:
    cells = told["inputs"]
    seeds = sorted({each["seed"] for each in cells})
    first = Counter(
        max((each for each in cells if each["seed"] == seed), key=lambda each: each["evidence"])["inputs"]
        for seed in seeds
    )
    lines: list[list[str]] = []
    for name in dict.fromkeys(each["inputs"] for each in cells):
        of = [each for each in cells if each["inputs"] == name]
        evidences = [each["evidence"] for each in of]
        lines.append([name, _mean_of(evidences, 1), f"{min(evidences):.1f} to {max(evidences):.1f}",
                      f"{first[name]} of {len(seeds)}", _mean_of([each["error"] for each in of], 3)])  # fmt: skip
    head = ["inputs", "evidence, mean over seeds", "smallest to largest", "first, of one seed alone", "test RMSE"]
    return _table(head, lines)


def _doubts(told: Record) -> str:
    seeds = len({each["seed"] for each in told["inputs"]})
    names = {"first": "With one seed", "all": f"With {seeds} seeds"}
    lines = [
        f"{words}: " + (" ".join(f"*{each['kind']}*: {each['sentence']}" for each in told["doubts"][name]) or "none.")
        for name, words in names.items()
    ]
    return "\n\n".join(f"> {line}" for line in lines)


def picture(record: Record) -> str:
    """Bayes factors and prior width; symmetries of digits; seeds of networks."""
    widths = [float(width) for width in record["terms"][0]["gain"]]
    chosen = {"bmi × bp": BLUE, "sex": GREEN, "age": ORANGE, "bmi²": RED, "age × sex": GREY}
    lines = [
        Line(
            each["term"],
            chosen[each["term"]],
            [(float(width), gain) for width, gain in each["gain"].items()],
            dots=True,
        )
        for each in record["terms"]
        if each["data"] == "diabetes" and each["term"] in chosen
    ]
    across = Axis("prior deviation τ of the weight", min(widths), max(widths), widths, logarithmic=True)
    panels = [Panel("Diabetes: is a term needed?", across, Axis("ln B", -6, 6, (-6, -3, 0, 3, 6)), lines)]

    found = chosen_by(record["mirrors"])
    lines = []
    for name, colour in (("same", BLUE), ("opposite", ORANGE)):
        points = [
            (of[name]["evidence"] - of["none"]["evidence"], of["none"]["nll"] - of[name]["nll"])
            for of in found.values()
        ]
        # A line of one point is a dot; the first of a colour is named in the legend.
        lines += [Line("" if place else name, colour, [each], dots=True) for place, each in enumerate(points)]
    across = Axis("evidence gained, nats", -180, 20, (-150, -100, -50, 0))
    up = Axis("test NLL gained, nats a row", -2.2, 0.5, (-2, -1.5, -1, -0.5, 0))
    panels.append(Panel("Digits: mirrored, the same or the opposite", across, up, lines, [(0, "")]))

    cells = record["seeds"]["inputs"]
    names = list(dict.fromkeys(each["inputs"] for each in cells))
    colours = (GREY, BLUE, GREEN, ORANGE, RED, "#2a0a52")
    lines = [
        Line(name if not place else "", colour, [(float(number + 1), evidence)], dots=True)
        for number, (name, colour) in enumerate(zip(names, colours, strict=True))
        for place, evidence in enumerate(each["evidence"] for each in cells if each["inputs"] == name)
    ]
    evidences = [each["evidence"] for each in cells]
    low, high = 10 * (min(evidences) // 10), 10 * (max(evidences) // 10 + 1)
    ticks = [low + 10 * step for step in range(round((high - low) / 10) + 1)]
    across, up = Axis("", 0.5, len(names) + 0.5, ()), Axis("nats", low, high, ticks)
    panels.append(Panel("A network's evidence: ten seeds each", across, up, lines))
    return chart("Hypotheses and optima: evidence on real rows", panels)


def _rate(right: int, of: int) -> str:
    ends = wilson(float(right), float(of), 0.95)
    return f"{100 * right / of:.1f}% [{100 * ends.low:.1f}%, {100 * ends.high:.1f}%]"


def _mean_of(values: Sequence[float], digits: int) -> str:
    """A mean with Student's 95 % interval over its values."""
    middle = mean(values)
    if len(values) < 2:
        return f"{middle:.{digits}f}"
    spread = (sum((value - middle) ** 2 for value in values) / (len(values) - 1) / len(values)) ** 0.5
    half = student_quantile(0.975, len(values) - 1.0) * spread
    return f"{middle:.{digits}f} [{middle - half:.{digits}f}, {middle + half:.{digits}f}]"


def _small(p: float) -> str:
    """A probability to two digits, as a power of ten where it is tiny."""
    if p >= 1e-4:
        return f"{p:.2g}"
    digits, power = f"{p:.0e}".split("e")
    return f"{digits} · 10^−{-int(power)}"


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *([re.sub(r"-(?=\d)", "−", cell) for cell in line] for line in lines)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
