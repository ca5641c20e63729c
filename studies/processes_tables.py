"""What `processes.py` prints and draws: tables in Markdown and one picture."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from curves import Axis, Line, Panel, chart

from surefoot.findings.intervals import wilson
from surefoot.findings.quantiles import student_quantile

COLOURS = {"lml": "#b3261e", "clml": "#0067b0", "test": "#4b5059"}
NAMES = {"lml": "LML", "clml": "CLML", "test": "test likelihood"}


def tables(record: Mapping[str, Any]) -> str:
    made = {"shape": _shape, "mean": _mean, "constraint": _constraint, "features": _features, "rows": _rows}
    return "\n\n".join(write(record[part]) for part, write in made.items() if part in record) + "\n\n" + _times(record)


def with_tables(page: str, record: Mapping[str, Any]) -> str:
    told = f"<!-- numbers -->\n\n{tables(record)}\n\n<!-- /numbers -->"
    return re.sub(r"<!-- numbers -->.*<!-- /numbers -->", lambda _: told, page, flags=re.DOTALL)


def _shape(told: Mapping[str, Any]) -> str:
    grid, curves, few = told["grid"], told["published"], sorted(told["few"])
    best = {name: grid[_argmax(curves[name])] for name in curves}
    lines = [
        ["test likelihood", "0.0672", f"{best['test']:.4f}", _summary(told["draws"]["test"]["alpha"]), "0"],
        ["LML", "0.0080", f"{best['lml']:.4f}", *_of_draws(told["draws"]["lml"])],
        ["CLML, 45 of 50", "0.0060", f"{best['clml']:.4f}", *_of_draws(told["draws"]["clml"])],
    ]
    head = ["chosen by", "α, published", "α, their points", f"α, {len(told['draws']['lml']['alpha'])} draws", "loss"]
    note = (
        f"Published CLML: 20 orders of the rows; here {told['orders']}. Over 20 times 20 orders its choice goes from "
        f"{few[0]:.4f} to {few[-1]:.4f}. Draws: median [quartiles] of the choice, true α = 0.05, CLML with 20 orders; "
        "loss: test nats per row behind the α that is best on the test rows, mean with interval."
    )
    return f"### The shape of a kernel\n\n{_table(head, lines)}\n\n{note}"


def _of_draws(told: Mapping[str, Sequence[float]]) -> list[str]:
    return [_summary(told["alpha"]), _mean_of(told["loss"], 3)]


def _mean(told: Mapping[str, Any]) -> str:
    lines: list[list[str]] = []
    for where in ("beyond", "between"):
        for model in dict.fromkeys(each["model"] for each in told["networks"]):
            some = [each for each in told["networks"] if (each["where"], each["model"]) == (where, model)]
            lines.append([where, model, *(_mean_of([one[name] for one in some], 2) for name in SCORES)])
    head = ["test rows", "learnt", "LML", "CLML", "test NLL", "test RMSE"]
    lower: list[list[str]] = []
    for degree in sorted({each["degree"] for each in told["polynomials"]}):
        some = [each for each in told["polynomials"] if each["degree"] == degree]
        lower.append([str(degree), *(_summary([one[name] for one in some], 2) for name in SCORES)])
    below = _table(["degree", "LML", "CLML", "test NLL", "test RMSE"], lower)
    return (
        f"### A prior mean with many hyperparameters\n\nPer row, nats; mean with interval over draws.\n\n"
        f"{_table(head, lines)}\n\nPolynomials learnt by LML from 20 of 100 places, kernel and noise at the truth; "
        f"median [quartiles] of draws:\n\n{below}"
    )


SCORES = ("lml", "clml", "nll", "rmse")


def _constraint(told: Sequence[Mapping[str, Any]]) -> str:
    lines: list[list[str]] = []
    for each in told:
        words = f"{'' if each['holds'] else 'not '}{each['question']}"
        lines.append([words, str(each["rows"]), *(_rate(each["right"][name], each["of"]) for name in ("LML", "CLML"))])
    head = ["the truth is", "rows", "right by LML", "right by CLML"]
    return f"### Constraints\n\nShare of draws in which the truth is chosen.\n\n{_table(head, lines)}"


def _features(told: Sequence[Mapping[str, Any]]) -> str:
    lines: list[list[str]] = []
    for key in dict.fromkeys((each["data"], each["rows"]) for each in told):
        some = [each for each in told if (each["data"], each["rows"]) == key]
        for way in dict.fromkeys(each["way"] for each in some):
            of = [each for each in some if each["way"] == way]
            digits = {"rmse": 3, "nll": 3, "lml": 2}
            values = [_mean_of([one[name] for one in of], after) for name, after in digits.items()]
            seconds = sum(one["seconds"] for one in of) / len(of)
            lines.append([key[0], str(key[1]), way, *values, f"{seconds:.1f}"])
        for steps in ("", ", 400 steps"):
            one, two = (
                {each["trial"]: each for each in some if each["way"] == f"deep, {name}{steps}"}
                for name in ("CLML", "LML")
            )
            if one:
                apart = [_mean_of([one[trial][of] - two[trial][of] for trial in one], 3) for of in ("rmse", "nll")]
                lines.append([key[0], str(key[1]), f"CLML − LML{steps}", *apart, "", ""])
    head = ["data", "rows", "learnt", "test RMSE", "test NLL", "LML per row", "seconds"]
    trials = len({each["trial"] for each in told})
    return f"### Deep kernels\n\nMeans over {trials} trials with intervals; units of the data.\n\n{_table(head, lines)}"


def _rows(told: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        [
            each["model"], each["kind"], f"{each['rows']:,}", f"{each['rmse']:.3f}", f"{each['nll']:.3f}",
            f"{each['bound']:.3f}" if "bound" in each else "", f"{each['seconds']:.0f}",
        ]
        for each in told
    ]  # fmt: skip
    peak = max(each.get("peak", 0) for each in told) / 2**20
    head = ["kernel", "inference", "rows", "test RMSE", "test NLL", "bound per row", "seconds"]
    minus = [[cell.replace("-", "−") for cell in line] for line in lines]
    return (
        "### 20,000 rows\n\nFriedman's function, generated, noise of deviation 1; 5,000 test rows. Peak memory of the "
        f"whole study: {peak:,.0f} MiB.\n\n{_table(head, minus)}"
    )


def _times(record: Mapping[str, Any]) -> str:
    return "Seconds: " + ", ".join(f"{part} {seconds:.0f}" for part, seconds in record["seconds"].items()) + "."


def picture(record: Mapping[str, Any]) -> str:
    """α by three criteria; a polynomial mean of rising degree; constraints found."""
    grid, curves = record["shape"]["grid"], record["shape"]["published"]
    lines = [
        Line(NAMES[name], COLOURS[name], list(zip(grid, _rescaled(curves[name]), strict=True)), dashed=name == "test")
        for name in curves
    ]
    share = Axis("of its range", 0, 1, (0, 0.5, 1))
    panels = [Panel("Shape of a kernel, published points", Axis("α", 0, 0.3, (0, 0.1, 0.2, 0.3)), share, lines)]
    polynomials = record["mean"]["polynomials"]
    degrees = sorted({each["degree"] for each in polynomials})
    lines = []
    for name, score, sign in (("lml", "lml", 1), ("clml", "clml", 1), ("test", "nll", -1)):
        points = [
            (float(degree), sign * _median([each[score] for each in polynomials if each["degree"] == degree]))
            for degree in degrees
        ]
        lines.append(Line(NAMES[name], COLOURS[name], points, dashed=name == "test", dots=True))
    up = Axis("nats per row, median of draws", -1.5, 0.5, (-1.5, -1, -0.5, 0, 0.5))
    panels.append(Panel("Learnt polynomial mean", Axis("degree", 0, degrees[-1], (0, 4, 8, 12)), up, lines))
    lines = []
    colours = {("even", True): "#0067b0", ("even", False): "#7fb2da", ("periodic", True): "#8c4a00",
               ("periodic", False): "#e0a35c"}  # fmt: skip
    for (question, holds), colour in colours.items():
        points = [
            (float(each["rows"]), each["right"]["LML"] / each["of"])
            for each in record["constraint"]
            if (each["question"], each["holds"]) == (question, holds)
        ]
        lines.append(Line(f"{'' if holds else 'not '}{question}", colour, points, dashed=not holds, dots=True))
    right = Axis("chosen rightly by LML", 0.4, 1, (0.4, 0.6, 0.8, 1), percent=True)
    counts = sorted({each["rows"] for each in record["constraint"]})
    panels.append(Panel("Constraints", Axis("rows", counts[0], counts[-1], counts, logarithmic=True), right, lines))
    return chart("Evidence of Gaussian processes", panels)


def _rescaled(values: Sequence[float]) -> list[float]:
    low, high = min(values), max(values)
    return [(value - low) / (high - low) for value in values]


def _argmax(values: Sequence[float]) -> int:
    return max(range(len(values)), key=values.__getitem__)


def _median(values: Sequence[float]) -> float:
    return sorted(values)[round(0.5 * (len(values) - 1))]


def _average(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _summary(values: Sequence[float], digits: int = 3) -> str:
    """Median and quartiles."""
    ordered = sorted(values)
    last = len(ordered) - 1
    low, middle, high = (ordered[round(share * last)] for share in (0.25, 0.5, 0.75))
    return f"{middle:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]".replace("-", "−")


def _mean_of(values: Sequence[float], digits: int) -> str:
    """A mean with Student's 95 % interval over its values."""
    middle = _average(values)
    if len(values) < 2:
        return f"{middle:.{digits}f}".replace("-", "−")
    spread = (sum((value - middle) ** 2 for value in values) / (len(values) - 1) / len(values)) ** 0.5
    half = student_quantile(0.975, len(values) - 1.0) * spread
    return f"{middle:.{digits}f} [{middle - half:.{digits}f}, {middle + half:.{digits}f}]".replace("-", "−")


def _rate(right: int, of: int) -> str:
    ends = wilson(float(right), float(of), 0.95)
    return f"{right / of:.0%} [{ends.low:.0%}, {ends.high:.0%}]"


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *lines])
