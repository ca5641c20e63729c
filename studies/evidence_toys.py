"""What the evidence rewards: the toys of the paper on marginal likelihood and generalisation, exactly.

    python studies/evidence_toys.py               the tables; a minute
    python studies/evidence_toys.py --publish     also writes docs/evidence-toys.md's tables, its data and picture

density: x ~ N(u, 1), u ~ N(μ, σ²), forty numbers: evidence, conditional evidence and what other numbers say.
fourier: M3, M9, M9c and M9 with the prior that the coefficients were drawn from: the same, and where curves cross.
models: data sets drawn from one of two models with known odds; are the probabilities of the models right, and are they
where one of the priors is too wide?

Source: Lotfi, Izmailov, Benton, Goldblum and Wilson (2022), "Bayesian model selection, the marginal likelihood, and
generalization", ICML.
"""

import argparse
import math
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from textwrap import fill
from typing import Any

import torch
from curves import Axis, Line, Panel, chart
from torch import Tensor
from torch.distributions import Normal

from surefoot.evidence.linear import LinearModel, linear_evidence, linear_posterior, linear_prefixes, predictive
from surefoot.evidence.prefixes import Prefixes, conditional_findings, crossing, learning_curve, orders_of
from surefoot.evidence.toys import (
    density_model,
    density_toy,
    fourier_features,
    fourier_models,
    fourier_orders,
    fourier_toy,
)
from surefoot.files import write_json, write_text
from surefoot.findings.finding import Finding, finding_from_json, finding_to_json
from surefoot.findings.intervals import wilson

ROOT = Path(__file__).resolve().parents[1]
ORDERS, SEED, SPLIT, FIT = 200, 0, 85, 100
BLUE, ORANGE, GREEN, GREY = "#0067b0", "#b3450a", "#00785a", "#6b7280"
DENSITY: dict[tuple[float, float], float] = {
    (1e6, 1.0): -66.94, (0.07, -0.4): -66.32, (0.1, 0.0): -61.50, (0.6, 0.0): -60.30, (1.0, 0.0): -60.35,
    (10.0, 0.0): -61.22, (1000.0, 0.0): -63.49,
}  # fmt: skip
"""The evidence that the paper, or its notebook run again, gives to a prior (σ², μ)."""
FOURIER = {"M3": (53.8036, 10.717725), "M9": (28.9162, 12.877536), "M9c": (54.2337, 13.276567)}
"""What the paper's notebook printed: evidence, and conditional evidence of the last 15 rows (in float32)."""
ODDS, WIDER = 0.3, 100.0
EDGES = (0.0, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98, 1.0)


def density() -> dict[str, Any]:
    lines: list[dict[str, Any]] = []
    for (variance, mean), published in DENSITY.items():
        lines.append({"variance": variance, "mean": mean, "published": published, **density_of(variance, mean)})
    grid = [10 ** (-1.5 + 5.5 * place / 60) for place in range(61)]
    return {"lines": lines, "curve": [{"variance": each, **density_of(each, 0.0)} for each in grid]}


def density_of(variance: float, mean: float) -> dict[str, Any]:
    fit, judge = density_toy()
    ones, others = torch.ones_like(fit)[:, None], torch.ones_like(judge)[:, None]
    model = density_model(variance, mean)
    prefixes = linear_prefixes(ones, fit, model, orders_of(len(fit), ORDERS, SEED))
    found = conditional_findings(prefixes, 5, subject=f"N({mean:g}, {variance:g})", source="fit")[0]
    return {
        "evidence": linear_evidence(ones, fit, model),
        "conditional": finding_to_json(found),
        "judge": float(judged(ones, fit, others, judge, model)),
    }


def judged(x: Tensor, y: Tensor, new: Tensor, targets: Tensor, model: LinearModel) -> Tensor:
    """Mean over new rows of the log predictive density."""
    told = predictive(linear_posterior(x, y, model), new, model)
    return Normal(told.mean, told.variance.sqrt()).log_prob(targets).mean()


def fourier() -> dict[str, Any]:
    rows, drawn = fourier_toy(), fourier_orders()
    own = {count: orders_of(count, ORDERS, SEED) for count in (FIT, len(rows.targets))}
    lines: list[dict[str, Any]] = []
    by_fit: dict[str, Prefixes] = {}
    by_all: dict[str, Prefixes] = {}
    printed: dict[str, Prefixes] = {}
    for place, (name, (degree, model)) in enumerate(fourier_models().items()):
        features = fourier_features(rows.points, degree)
        x, y = features[:FIT], rows.targets[:FIT]
        by_fit[name] = linear_prefixes(x, y, model, own[FIT])
        by_all[name] = linear_prefixes(features, rows.targets, model, own[len(rows.targets)])
        found = conditional_findings(by_fit[name], SPLIT, subject=name, source="fit")
        line = {
            "name": name,
            "evidence": linear_evidence(x, y, model),
            "conditional": [finding_to_json(each) for each in found],
            "judge": float(judged(x, y, features[FIT:], rows.targets[FIT:], model)),
        }
        if name in FOURIER:
            printed[name] = linear_prefixes(features, rows.targets, model, drawn.of_all[place])
            again = linear_prefixes(x, y, model, drawn.of_fit[place]).conditional(SPLIT)
            line |= {"published": FOURIER[name], "conditional_in_its_orders": float(again.mean())}
        lines.append(line)
    ahead = by_all["M3"].all_marginal() - by_all["M9"].all_marginal()
    later = by_fit["M9"].all_conditional() - by_fit["M3"].all_conditional()
    both = {"published orders": crossing(printed["M3"], printed["M9"]), "own": crossing(by_all["M3"], by_all["M9"])}
    seeds = [
        crossing(*(prefixes_of(name, orders_of(len(rows.targets), ORDERS, seed)) for name in ("M3", "M9")))
        for seed in range(1, 6)
    ]
    return {
        "lines": lines,
        "crossings": {name: None if each is None else each._asdict() for name, each in both.items()},
        "other_seeds": [None if each is None else each.rows for each in seeds],
        "curves": {name: each.terms.mean(0).tolist() for name, each in by_all.items()},
        "ahead": _curve(ahead),
        "later": _curve(later),
        "better_from": int((later.mean(0) <= 0).nonzero()[-1]) + 1,
    }


def prefixes_of(name: str, orders: Tensor) -> Prefixes:
    rows, (degree, model) = fourier_toy(), fourier_models()[name]
    return linear_prefixes(fourier_features(rows.points, degree), rows.targets, model, orders)


def models(sets: int) -> dict[str, Any]:
    """How often the first model is true where its probability is said to be in a range; with the second's prior, and
    with one `WIDER` times as wide."""
    generator = torch.Generator().manual_seed(SEED)

    def normal(count: int) -> Tensor:
        return torch.randn(count, generator=generator, dtype=torch.float64)

    frequency = torch.arange(1, 4, dtype=torch.float64).repeat(2)
    first = LinearModel(0.25, frequency**-2)
    second = LinearModel(0.25, torch.full((4,), 0.5, dtype=torch.float64))
    wide = LinearModel(0.25, WIDER * second.prior_variance)
    said: dict[str, list[float]] = {"right": [], "wide": []}
    truth: list[bool] = []
    for _ in range(sets):
        points = 6 * torch.rand(10, generator=generator, dtype=torch.float64)
        features = fourier_features(points, 3), fourier_features(points, 2)
        is_first = bool(torch.rand((), generator=generator) < ODDS)
        used, model = (features[0], first) if is_first else (features[1], second)
        weights = model.prior_variance.sqrt() * normal(model.features)
        targets = used @ weights + 0.5 * normal(10)
        evidence = linear_evidence(features[0], targets, first)
        for name, rival in (("right", second), ("wide", wide)):
            against = linear_evidence(features[1], targets, rival) - evidence
            said[name].append(1 / (1 + (1 - ODDS) / ODDS * math.exp(min(against, 700.0))))
        truth.append(is_first)
    return {"sets": sets, "bins": {name: bins(each, truth) for name, each in said.items()}}


def bins(said: Sequence[float], truth: Sequence[bool]) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = []
    for low, high in pairwise(EDGES):
        mine = [(p, is_first) for p, is_first in zip(said, truth, strict=True) if low <= p < high or p == high == 1]
        right = sum(is_first for _, is_first in mine)
        interval = wilson(float(right), float(len(mine)), 0.95) if mine else None
        told.append({
            "range": [low, high], "sets": len(mine), "said": sum(p for p, _ in mine) / max(1, len(mine)),
            "true": right / max(1, len(mine)), "interval": None if interval is None else [interval.low, interval.high],
        })  # fmt: skip
    return told


def tables(record: Mapping[str, Any]) -> list[str]:
    """The blocks of the page, in order."""
    lines = [
        [_number(each["variance"]), f"{each['mean']:g}", f"{each['published']:.2f}", f"{each['evidence']:.3f}",
         _told(finding_from_json(each["conditional"])), f"{each['judge']:.4f}"]
        for each in record["density"]["lines"]
    ]  # fmt: skip
    names = ["σ²", "μ", "LML, published", "LML", "CLML of 35 after 5", "judge, nats a number"]
    density_block = _table(names, lines)
    part = record["fourier"]
    lines = []
    for each in part["lines"]:
        evidence, conditional = each.get("published", (None, None))
        mean, deviation = (finding_from_json(one) for one in each["conditional"])
        again = each.get("conditional_in_its_orders")
        lines.append([
            each["name"], _or_dash(evidence, 4), f"{each['evidence']:.4f}", _or_dash(conditional, 3),
            _or_dash(again, 3), _told(mean), f"{deviation.value:.1f}", f"{each['judge']:.3f}",
        ])  # fmt: skip
    names = ["model", "LML, published", "LML", "CLML, published", "CLML, same orders", "CLML, our orders",
             "sd of one order", "judge, nats a row"]  # fmt: skip
    crossed = part["crossings"]
    own, theirs = crossed["own"], crossed["published orders"]
    words = (
        f"The evidence of M3 falls below that of M9 at {theirs['rows']} rows in the notebook's orders (interval "
        f"{theirs['first']} to {theirs['last']}), at {own['rows']} ({own['first']} to {own['last']}) in 200 orders "
        f"that both models share, and at {', '.join(str(each) for each in part['other_seeds'])} with other seeds of "
        f"the orders. Given {part['better_from']} of the first hundred rows or more, the conditional evidence of the "
        "others is larger for M9."
    )
    fourier_block = f"{_table(names, lines)}\n\n{fill(words, 120)}"
    blocks = []
    for low, high in pairwise(EDGES):
        line = [f"{low:g} to {high:g}"]
        for name in ("right", "wide"):
            each = next(one for one in record["models"]["bins"][name] if one["range"] == [low, high])
            ends = each["interval"]
            line += [str(each["sets"]), f"{each['said']:.3f}" if ends else "–",
                     f"{each['true']:.3f} [{ends[0]:.3f}, {ends[1]:.3f}]" if ends else "–"]  # fmt: skip
        blocks.append(line)
    names = ["said", "data sets", "mean said", "true", "data sets, too wide", "mean said", "true"]
    return [density_block, fourier_block, _table(names, blocks)]


def with_tables(page: str, record: Mapping[str, Any]) -> str:
    """The page with its numbers replaced."""
    blocks = iter(tables(record))
    pattern = r"<!-- numbers -->.*?<!-- /numbers -->"
    told = re.sub(pattern, lambda _: f"<!-- numbers -->\n\n{next(blocks)}\n\n<!-- /numbers -->", page, flags=re.DOTALL)
    if next(blocks, None) is not None:
        raise ValueError("The page has fewer places for numbers than there are tables.")
    return told


def picture(record: Mapping[str, Any]) -> str:
    curve, part = record["density"]["curve"], record["fourier"]
    widths = Axis("prior variance σ², μ = 0", 0.03, 1e4, (0.1, 1, 10, 100, 1000, 10000), logarithmic=True)
    evidence = [
        Line("evidence of 40 numbers", BLUE, [(each["variance"], each["evidence"]) for each in curve]),
        Line("of 35, given 5", ORANGE, [(each["variance"], each["conditional"]["value"]) for each in curve]),
    ]
    other = [Line("", GREEN, [(each["variance"], each["judge"]) for each in curve])]
    rows = Axis("row", 1, 500, (1, 3, 10, 30, 100, 300), logarithmic=True)
    colours = {"M3": BLUE, "M9": ORANGE, "M9c": GREEN}
    learning = [
        Line(name, colour, [(n + 1, value) for n, value in enumerate(part["curves"][name])])
        for name, colour in colours.items()
    ]
    crossed = part["crossings"]["own"]["rows"]
    said = [
        Line(name, colour, [(each["said"], each["true"]) for each in record["models"]["bins"][key] if each["sets"]],
             dots=True)
        for name, key, colour in (("right priors", "right", BLUE), ("one 100 times too wide", "wide", ORANGE))
    ]  # fmt: skip
    share, told = (
        Axis("probability that the evidence gives", 0, 1, (0, 0.5, 1)),
        Axis("how often true", 0, 1, (0, 0.5, 1)),
    )
    panels = [
        Panel("Density: marginal and conditional", widths, Axis("nats", -70, -48, (-70, -65, -60, -55, -50)), evidence),
        Panel("Density: 960 other numbers", widths,
              Axis("nats a number", -1.6, -1.42, (-1.6, -1.55, -1.5, -1.45)), other),
        Panel("Fourier: learning curves", rows, Axis("log p(row | rows before)", -2.5, 1, (-2, -1, 0, 1)), learning),
        Panel("Fourier: evidence of M3 over M9", Axis("rows", 0, 500, (0, 100, 200, 300, 400, 500)),
              Axis("nats", -40, 40, (-40, -20, 0, 20, 40)), _band(part["ahead"], BLUE, 1), [(crossed, str(crossed))]),
        Panel("Fourier: the rest of 100 rows, M9 over M3", Axis("rows conditioned on", 0, 100, (0, 25, 50, 75, 100)),
              Axis("nats", -30, 10, (-30, -20, -10, 0, 10)), _band(part["later"], ORANGE, 0)),
        Panel("Probabilities of two models", share, told, [*said, Line("", GREY, [(0, 0), (1, 1)], dashed=True)]),
    ]  # fmt: skip
    return chart("What the evidence rewards: exact toys, means over 200 orders with 95 % intervals", panels)


def _band(curve: Mapping[str, Sequence[float]], colour: str, first: int) -> list[Line]:
    return [
        Line("", colour, [(n + first, value) for n, value in enumerate(curve[name])], dashed=name != "mean")
        for name in ("low", "mean", "high")
    ]


def _curve(values: Tensor) -> dict[str, list[float]]:
    """Means over orders of each column, with intervals."""
    return {name: each.tolist() for name, each in learning_curve(Prefixes(values))._asdict().items()}


def _told(finding: Finding) -> str:
    assert finding.interval is not None
    return f"{finding.value:.2f} [{finding.interval.low:.2f}, {finding.interval.high:.2f}]"


def _or_dash(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:g}"


def _table(names: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [names, ["---"] * len(names), *([cell.replace("-", "−") for cell in line] for line in lines)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=20_000, help="data sets of two models")
    parser.add_argument("--publish", action="store_true", help="write the page's tables, its data and picture")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    command = f"python studies/evidence_toys.py --sets {chosen.sets}"
    record = {"command": command, "density": density(), "fourier": fourier(), "models": models(chosen.sets)}
    print("\n\n".join(tables(record)))
    if chosen.publish:
        page = ROOT / "docs" / "evidence-toys.md"
        write_json(ROOT / "docs" / "data" / "evidence-toys.json", record)
        write_text(ROOT / "docs" / "images" / "evidence-toys.svg", picture(record))
        write_text(page, with_tables(page.read_text(encoding="utf-8"), record))


if __name__ == "__main__":
    main()
