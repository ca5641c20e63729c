"""The tables and the picture of `label_noise.py`, and where the page keeps them."""

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import torch

from surefoot.findings.compare import compare
from surefoot.findings.finding import Finding, finding_to_json
from surefoot.findings.measure import measure
from surefoot.findings.predictions import Predictions, predictions_for
from surefoot.rows.rows import Rows

__all__ = ["picture", "summarise", "tables", "with_tables"]

PLAIN = "softmax, T = 1"
COLD = "softmax, T = 0.1"
STATED = "noisy Dirichlet, q stated"
NAMES = ("accuracy", "nll", "calibration_error")
MIXED = 1.1
COLOURS = {False: "#0067b0", True: "#b4540a"}


def summarise(found: Mapping[Any, dict[str, Any]], judge: Rows, seeds: int) -> dict[str, Any]:
    """Blocks (q, augmentation) of models, and paired differences. Only what is finished in every seed is told."""
    grouped: dict[tuple[float, bool], dict[str, list[dict[str, Any]]]] = {}
    for cell, record in found.items():
        grouped.setdefault((cell.noise, cell.augmented), {}).setdefault(cell.model.name, []).append(record)
    predictions: dict[tuple[float, bool, str], Predictions] = {}
    blocks: list[dict[str, Any]] = []
    for (noise, augmented), models in sorted(grouped.items()):
        told: list[dict[str, Any]] = []
        for name, records in models.items():
            if len(records) < seeds:
                continue
            refused = [record["refused"] for record in records if record["refused"]]
            one: dict[str, Any] = {"name": name, "refused": refused[0] if refused else None}
            if not refused:
                made = predictions_for(judge, torch.stack([record["probabilities"] for record in records]))
                predictions[noise, augmented, name] = made
                findings = {each.name: each for each in measure(made, subject=name, source="judge")}
                one["findings"] = [finding_to_json(findings[each]) for each in NAMES]
                kept = ("acceptance", "leapfrogs", "divergent", "rhat_95", "rhat_below_1_1", "bulk_ess_05", "start_fit")
                one |= {each: [record[each] for record in records] for each in kept if each in records[0]}
                one["believed"] = [record["believed"] for record in records if "believed" in record]
                one["by_chain"] = [record["accuracies"] for record in records]
            told.append(one)
        blocks.append({"noise": noise, "augmented": augmented, "models": told})
    return {"blocks": blocks, "differences": _differences(predictions)}


def tables(record: Mapping[str, Any]) -> str:
    """Markdown: a table for each block, then the differences."""
    parts: list[str] = []
    for block in record["blocks"]:
        lines = [_line(model) for model in block["models"]]
        head = [
            "model",
            "accuracy, %",
            "NLL",
            "ECE, %",
            "believed, %",
            "start: trained, other",
            "acceptance",
            "R̂ (95 %)",
        ]
        parts.append(f"**{_where(block['noise'], block['augmented'])}**\n\n{_table(head, lines)}")
    rows = [[each["what"], *(_signed(each[name], name) for name in NAMES)] for each in record["differences"]]
    parts.append(_table(["after − before, paired", "accuracy, points", "NLL", "ECE, points"], rows))
    return "\n\n".join(parts)


def with_tables(page: str, record: Mapping[str, Any]) -> str:
    """The page with its numbers replaced."""
    told = f"<!-- numbers -->\n\n{tables(record)}\n\n<!-- /numbers -->"
    return re.sub(r"<!-- numbers -->.*<!-- /numbers -->", lambda _: told, page, flags=re.DOTALL)


def picture(record: Mapping[str, Any]) -> str:
    """Accuracies from 50 to 100 %, one panel a rate of noise; a dot without views, a ring with them."""
    noises = sorted({block["noise"] for block in record["blocks"]})
    left, width, lane, top = 210, 480, 22, 60
    parts: list[str] = []
    y = top
    for noise in noises:
        blocks = {block["augmented"]: block for block in record["blocks"] if block["noise"] == noise}
        y += 16
        parts.append(f'<text x="16" y="{y}" font-weight="600">{escape(_rate(noise))}</text>')
        begin, marks = y, list[str]()
        for name in dict.fromkeys(model["name"] for block in blocks.values() for model in block["models"]):
            y += lane
            parts.append(f'<text x="{left - 10}" y="{y + 4}" text-anchor="end">{escape(name)}</text>')
            for augmented, block in blocks.items():
                for model in block["models"]:
                    if model["name"] == name and not model["refused"]:
                        marks += _mark(model, left, width, y + (4 if augmented else -4), augmented)
        y += 14
        for share in range(50, 101, 10):
            x = left + width * (share - 50) / 50
            parts.append(f'<path d="M{x:.0f},{begin + 6}V{y}" stroke="#d8dbe0" stroke-width="1"/>')
            parts.append(f'<text x="{x:.0f}" y="{y + 12}" text-anchor="middle" font-size="11">{share} %</text>')
        parts += marks
        y += 24
    total = left + width + 30
    title = f"Accuracy on clean labels, {record['seeds']} seeds, 95 % intervals; pale ticks are single chains"
    legend = "".join(
        f'<circle cx="{x}" cy="44" r="4" fill="{"white" if views else COLOURS[views]}" stroke="{COLOURS[views]}" '
        f'stroke-width="1.8"/><text x="{x + 10}" y="48">{words}</text>'
        for x, views, words in ((22, False, "without views"), (142, True, "with shifted views"))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total} {y}" font-family="system-ui, sans-serif" '
        f'font-size="12.5" fill="#1f2430" role="img" aria-label="{escape(title)}"><rect width="{total}" height="{y}" '
        f'fill="white"/><text x="16" y="24" font-size="15" font-weight="600">{escape(title)}</text>{legend}'
        + "\n".join(parts)
        + "</svg>\n"
    )


def _mark(model: Mapping[str, Any], left: int, width: int, y: float, augmented: bool) -> list[str]:
    def at(share: float) -> float:
        return left + width * (min(max(share, 0.5), 1.0) - 0.5) / 0.5

    colour, of = COLOURS[augmented], model["findings"][0]
    low, high = of["interval"]["low"], of["interval"]["high"]
    said = f"{model['name']}: {of['value']:.1%} [{low:.1%}, {high:.1%}]"
    ticks = [
        f'<path d="M{at(share):.1f},{y - 4}v8" stroke="{colour}" stroke-opacity=".35" stroke-width="1.4"/>'
        for seed in model["by_chain"]
        for share in seed
        if len(seed) > 1
    ]
    fill = "white" if augmented else colour
    return [
        *ticks,
        f'<path d="M{at(low):.1f},{y}H{at(high):.1f}" stroke="{colour}" stroke-width="1.6"/>',
        f'<circle cx="{at(of["value"]):.1f}" cy="{y}" r="3.8" fill="{fill}" stroke="{colour}" stroke-width="1.8">'
        f"<title>{escape(said)}</title></circle>",
    ]


def _differences(predictions: Mapping[tuple[float, bool, str], Predictions]) -> list[dict[str, Any]]:
    pairs: list[tuple[str, tuple[float, bool, str], tuple[float, bool, str]]] = []
    for noise, augmented, name in predictions:
        where = _where(noise, augmented)
        if name != PLAIN:
            pairs.append((f"{where}: {name} − {PLAIN}", (noise, augmented, name), (noise, augmented, PLAIN)))
        if name == STATED:
            pairs.append((f"{where}: {name} − {COLD}", (noise, augmented, name), (noise, augmented, COLD)))
        if name.startswith("noisy Dirichlet") and name != STATED:
            pairs.append((f"{where}: {name} − {STATED}", (noise, augmented, name), (noise, augmented, STATED)))
        if augmented:
            pairs.append((f"{_rate(noise)}: {name}, views − without", (noise, True, name), (noise, False, name)))
    told: list[dict[str, Any]] = []
    for what, after, before in pairs:
        if before in predictions:
            found = compare(predictions[before], predictions[after], before_name="", after_name="", source="judge")
            by: dict[str, Finding] = {each.name: each for each in found if each.slice == "all"}
            told.append({"what": what, **{name: finding_to_json(by[name]) for name in NAMES}})
    return told


def _line(model: Mapping[str, Any]) -> list[str]:
    if model["refused"]:
        return [model["name"], "refused", *["—"] * 6]
    chains = "—"
    if len(model["by_chain"][0]) > 1:
        means = torch.tensor(model["by_chain"], dtype=torch.float64).mean(dim=0).tolist()
        chains = ", ".join(f"{100 * each:.1f}" for each in means)
    sampled = "rhat_95" in model
    worst = max(model["rhat_95"]) if sampled else 0.0
    return [
        model["name"],
        *(_plain(each) for each in model["findings"]),
        f"{100 * sum(model['believed']) / len(model['believed']):.0f}" if model["believed"] else "—",
        chains,
        f"{sum(model['acceptance']) / len(model['acceptance']):.2f}" if sampled else "—",
        (f"{worst:.2f}" if worst < MIXED else f"**{worst:.2f}, not mixed**") if sampled else "—",
    ]


def _plain(of: Mapping[str, Any]) -> str:
    scale, digits = (1, 2) if of["name"] == "nll" else (100, 1)
    value, low, high = (scale * each for each in (of["value"], of["interval"]["low"], of["interval"]["high"]))
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def _signed(of: Mapping[str, Any], name: str) -> str:
    scale, digits = (1, 2) if name == "nll" else (100, 1)
    value, *ends = (scale * each for each in (of["value"], of["interval"]["low"], of["interval"]["high"]))
    return f"{_sign(value, digits)} [{', '.join(_sign(end, digits) for end in ends)}]"


def _sign(value: float, digits: int) -> str:
    text = f"{abs(value):.{digits}f}"
    return text if not float(text) else ("+" if value > 0 else "−") + text


def _rate(noise: float) -> str:
    return f"q = {noise:g}"


def _where(noise: float, augmented: bool) -> str:
    return f"{_rate(noise)}, {'views' if augmented else 'no views'}"


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *lines])
