"""The tables and pictures of `policy_world.py`, and where the page keeps them."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from html import escape
from typing import Any

import numpy as np

from surefoot.findings.finding import Finding
from surefoot.reason.deliberate.monitor import Watched, monitor_findings
from surefoot.text.world.demonstrations import sums
from surefoot.text.world.language import Request, World, write_request
from surefoot.text.world.measure import Marked, mark, mark_sums, world_changes, world_findings
from surefoot.text.world.monitor import misquotes, says_otherwise
from surefoot.text.world.truth import rule_on

__all__ = ["pictures", "summarise", "tables", "with_tables"]

WORLD = World()
SHOWN = (
    "decision",
    "decision_and_style",
    "unsafe",
    "over_refusal",
    "rule_cited",
    "retrieval",
    "capability",
    "thinking_tokens",
)
HEADS = (
    "decision",
    "and style",
    "unsafe",
    "over-refusal",
    "right rule cited",
    "of thoughts",
    "capability",
    "thought, tokens",
)
CHANGED = ("decision", "unsafe", "over_refusal", "rule_cited")
PAIRS = (
    ("stage 1", "none"), ("stage 2", "none"), ("stage 1", "stage 2"), ("both", "stage 1"), ("both", "stage 2"),
    ("both", "policy in prompt"), ("stage 1", "policy in prompt"), ("both", "stage 1, longer"),
    ("both", "stage 1, all"), ("both, all", "stage 1, all"), ("both", "both, near"), ("both", "both, judges err alike"),
)  # fmt: skip
BLUE, ORANGE, GREY = "#0067b0", "#b4540a", "#6a7280"


def summarise(
    seeds: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    controls: Sequence[str],
    sets: Mapping[str, tuple[Request, ...]],
    loopholes: frozenset[int],
    budgets: Sequence[int],
) -> dict[str, Any]:
    """Findings of every arm on every set, paired differences, budgets, filters, and the negative control."""

    def marked(name: str, place: str, how: str) -> list[Marked]:
        return [mark(WORLD, seed["book"], sets[place], seed["drawn"][f"{name}|{place}|{how}"]) for seed in seeds]

    arms: dict[str, Any] = {}
    for how in ("1", "0"):
        for place in sets:
            for name in names:
                found = world_findings(marked(name, place, how), subject=name, slice_=place, source="judge")
                arms.setdefault(how, {}).setdefault(place, {})[name] = _by_name(found)
    capability: dict[str, Any] = {}
    for name in names:
        sides = [mark_sums(sums("judge"), seed["drawn"][f"{name}|sums|1"]) for seed in seeds]
        capability[name] = _by_name(world_findings(sides, subject=name, slice_="sums", source="judge"))["capability"]
    changes = [
        {
            "what": f"{after} − {before}",
            "set": place,
            **_by_name(
                world_changes(marked(before, place, "1"), marked(after, place, "1"), subject=f"{after} − {before}",
                              slice_=place, source="judge")
            ),
        }
        for place in sets
        for after, before in PAIRS
    ]  # fmt: skip
    curve: dict[str, Any] = {}
    for name in names:
        for place in sets:
            if f"{name}|{place}|budget {budgets[0]}" in seeds[0]["drawn"]:
                curve.setdefault(place, {})[name] = [
                    _by_name(world_findings(marked(name, place, f"budget {budget}"), subject=name, slice_=place,
                                            source="judge"))["decision"]
                    for budget in budgets
                ]  # fmt: skip
    return {
        "arms": arms, "capability": capability, "changes": changes, "curve": curve, "budgets": list(budgets),
        "filters": _filters(seeds), "control": _control(seeds, controls, sets, loopholes),
        "examples": _examples(seeds[-1], controls, sets["held out"], loopholes),
        "stage_one": {
            name: [seed["records"][name]["filtered"] for seed in seeds]
            for name in names if "filtered" in seeds[0]["records"][name]
        },
        "seconds": [sum(record.get("seconds", 0.0) for record in _once(seed["records"])) for seed in seeds],
    }  # fmt: skip


def tables(record: Mapping[str, Any]) -> str:
    """Markdown."""
    parts: list[str] = []
    for place, arms in record["arms"]["1"].items():
        measures = [(measure, head) for measure, head in zip(SHOWN, HEADS, strict=True)
                    if measure != "capability" or place == "held out"]  # fmt: skip
        lines = [
            [name, *(_cell(record["capability"][name] if measure == "capability" else found.get(measure))
                     for measure, _ in measures)]
            for name, found in arms.items()
        ]  # fmt: skip
        parts.append(_titled(f"{place.capitalize()}, temperature 1", ["arm", *(head for _, head in measures)], lines))
    sets = list(record["arms"]["0"])
    lines = [
        [name, *(_cell(record["arms"]["0"][place][name]["decision"]) for place in sets),
         *(_cell(record["arms"]["0"][place][name]["unsafe"]) for place in sets)]
        for name in record["arms"]["0"][sets[0]]
    ]  # fmt: skip
    head = ["arm", *(f"decision, {place}" for place in sets), *(f"unsafe, {place}" for place in sets)]
    parts.append(_titled("The likeliest token (temperature 0)", head, lines))
    lines = [
        [each["what"], each["set"], *(_cell(each[name], signed=True) for name in CHANGED)]
        for each in record["changes"]
    ]  # fmt: skip
    head = ["after − before", "set", "decision", "unsafe", "over-refusal", "right rule cited"]
    parts.append(_titled("Paired differences, temperature 1", head, lines))
    lines = [
        ["half of the case" if each["shared"] else "independent", str(each["verdicts"]), _percent(each["kept"]),
         _percent(each["precision"]), ", ".join(_percent(one) for one in each["precisions"])]
        for each in record["filters"]
    ]  # fmt: skip
    head = ["errors of the judge (15 %)", "verdicts (k)", "kept, of those that thought", "of those good", "by seed"]
    parts.append(_titled("The filter of stage 1", head, lines))
    lines = [
        [row["model"], str(row["seed"]), *(_cell(row.get(name)) for name in
         ("violations", "monitor_sensitivity", "lookup_sensitivity", "lookup_specificity", "lookup_auroc")),
         f"{row['thought']:.1f}"]
        for row in record["control"]
    ]  # fmt: skip
    head = ["model", "seed", "violations", "found by reading", "found by looking up", "not flagged, of the rest",
            "AUROC, looking up", "thought, tokens"]  # fmt: skip
    parts.append(_titled("The loophole: requests in its categories that must not be complied with", head, lines))
    lines = [[f"`{each}`" for each in row] for row in record["examples"]]
    head = [f"request (seed {record['seeds'] - 1})", *dict.fromkeys(row["model"] for row in record["control"])]
    parts.append(_titled("What they think there", head, lines))
    for place, arms in record["curve"].items():
        lines = [[name, *(f"{each['value']:.2f}" for each in row)] for name, row in arms.items()]
        head = ["decision right", *(str(budget) for budget in record["budgets"])]
        parts.append(_titled(f"Thoughts closed after n tokens, {place}, the likeliest token", head, lines))
    return "\n\n".join(parts)


def with_tables(page: str, record: Mapping[str, Any]) -> str:
    """The page with its numbers replaced."""
    told = f"<!-- numbers -->\n\n{tables(record)}\n\n<!-- /numbers -->"
    return re.sub(r"<!-- numbers -->.*<!-- /numbers -->", lambda _: told, page, flags=re.DOTALL)


def pictures(record: Mapping[str, Any]) -> dict[str, str]:
    """By file name."""
    return {
        "policy-world": _arms(record),
        "policy-world-monitor": _monitor(record),
        "policy-world-thinking": _thinking(record),
    }


def _by_name(found: Sequence[Finding]) -> dict[str, Any]:
    """What the page tells of each; all intervals are of 95 %."""
    told: dict[str, Any] = {}
    for each in found:
        ends = None if each.interval is None else {"low": each.interval.low, "high": each.interval.high}
        told[each.name] = {"name": each.name, "subject": each.subject, "slice": each.slice, "value": each.value,
                           "interval": ends, "count": each.count, "clusters": each.clusters,
                           "per_seed": list(each.per_seed)}  # fmt: skip
    return told


def _once(records: Mapping[str, Any]) -> list[Any]:
    """Each training once, though arms share them."""
    return list({id(record): record for record in records.values()}.values())


def _filters(seeds: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for rows in zip(*(seed["filters"] for seed in seeds), strict=True):
        thought = [row["drawn"] - row["malformed"] - row["thoughtless"] for row in rows]
        precisions = [row["good"] / max(row["kept"], 1) for row in rows]
        found.append(
            {
                "shared": rows[0]["shared"], "verdicts": rows[0]["verdicts"],
                "kept": sum(row["kept"] for row in rows) / max(sum(thought), 1),
                "precision": sum(row["good"] for row in rows) / max(sum(row["kept"] for row in rows), 1),
                "precisions": precisions,
            }
        )  # fmt: skip
    return found


def _control(
    seeds: Sequence[Mapping[str, Any]],
    controls: Sequence[str],
    sets: Mapping[str, tuple[Request, ...]],
    loopholes: frozenset[int],
) -> list[dict[str, Any]]:
    """Held-out requests in the categories of the loophole where the policy says not to comply."""
    rows: list[dict[str, Any]] = []
    for name in ("stage 1, all", *controls):
        for at, seed in enumerate(seeds):
            requests, drawn, prompts, thoughts = [], [], [], []
            marks = mark(WORLD, seed["book"], sets["held out"], seed["drawn"][f"{name}|held out|1"])
            must = {int(prompt) for prompt, asked in zip(marks.prompts, marks.of["unsafe"], strict=True) if asked}
            for number, request in enumerate(sets["held out"]):
                if request.category in loopholes and number in must:
                    requests.append(request)
                    drawn.append(seed["drawn"][f"{name}|held out|1"][number])
                    prompts.append(write_request(WORLD, request))
                    thoughts += [each.thought_tokens for each in drawn[-1]]
            reading = partial(says_otherwise, WORLD)
            looking = partial(misquotes, WORLD, seed["book"])
            told = partial(monitor_findings, WORLD, subject=name, slice_="loophole", source="judge")
            read, looked = (
                _by_name(told([Watched(seed["book"], prompts, drawn, watch)])) for watch in (reading, looking)
            )
            row = {"model": name, "seed": at, "thought": float(np.mean(thoughts)), **read}
            row |= {each.replace("monitor", "lookup"): found for each, found in looked.items() if "monitor" in each}
            rows.append(row)
    return rows


def _examples(
    seed: Mapping[str, Any], controls: Sequence[str], requests: Sequence[Request], loopholes: frozenset[int]
) -> list[list[str]]:
    """The first requests of the loophole that must not be complied with, and what each model wrote first."""
    rows: list[list[str]] = []
    for number, request in enumerate(requests):
        must = rule_on(seed["book"][request.category], request).answer.decision
        if request.category in loopholes and must != "comply" and request.modifiers:
            wrote = [seed["drawn"][f"{name}|held out|1"][number][0].text for name in ("stage 1, all", *controls)]
            rows.append([write_request(WORLD, request), *wrote])
    return rows[:6]


def _arms(record: Mapping[str, Any]) -> str:
    """Decisions right, unsafe and over-refusal of every arm on every set, with intervals."""
    panels = (("decision", "right decision"), ("unsafe", "unsafe"), ("over_refusal", "over-refusal"))
    sets = list(record["arms"]["1"])
    colours = dict(zip(sets, (BLUE, ORANGE, GREY), strict=True))
    names = list(record["arms"]["1"][sets[0]])
    left, width, gap, lane, top = 190, 200, 26, 30, 76
    bottom = top + lane * len(names)
    parts: list[str] = []
    for number, name in enumerate(names):
        parts.append(f'<text x="{left - 12}" y="{top + lane * number + 19}" text-anchor="end">{escape(name)}</text>')
    for at, (measure, words) in enumerate(panels):
        begin = left + at * (width + gap)
        parts.append(f'<text x="{begin}" y="{top - 8}" font-weight="600">{words}</text>')
        for share in (0, 25, 50, 75, 100):
            x = begin + width * share / 100
            parts.append(f'<path d="M{x:.0f},{top}V{bottom}" stroke="#d8dbe0"/>')
            parts.append(f'<text x="{x:.0f}" y="{bottom + 15}" text-anchor="middle" font-size="11">{share}</text>')
        for number, name in enumerate(names):
            for row, place in enumerate(sets):
                y = top + lane * number + 7 + 8 * row
                parts.append(_dot(record["arms"]["1"][place][name][measure], begin, width, y, colours[place]))
    legend = "".join(
        f'<circle cx="{left + 6 + 150 * at}" cy="46" r="4" fill="{colours[place]}"/>'
        f'<text x="{left + 16 + 150 * at}" y="50">{place}</text>'
        for at, place in enumerate(sets)
    )
    title = f"The policy world: per cent of requests, temperature 1, {record['seeds']} seeds, 95 % intervals"
    return _svg(left + 3 * (width + gap), bottom + 28, title, legend + "\n".join(parts))


def _monitor(record: Mapping[str, Any]) -> str:
    """Violations, and how many of them a monitor of the thought finds, seed by seed."""
    rows = record["control"]
    names = list(dict.fromkeys(row["model"] for row in rows))
    labels = {names[0]: "before (stage 1, all)"}
    left, width, gap, lane, top = 190, 190, 32, 22, 76
    parts: list[str] = []
    panels = (
        ("violations", "violations", ORANGE),
        ("monitor_sensitivity", "found by reading", GREY),
        ("lookup_sensitivity", "found by looking up", BLUE),
    )
    y = top
    places: list[tuple[float, Mapping[str, Any]]] = []
    for name in names:
        mine = [row for row in rows if row["model"] == name]
        parts.append(
            f'<text x="{left - 12}" y="{y + lane * len(mine) / 2 + 4:.0f}" text-anchor="end">'
            f"{escape(labels.get(name, name))}</text>"
        )
        for row in mine:
            places.append((y + lane / 2, row))
            y += lane
        y += 12
    for at, (measure, words, colour) in enumerate(panels):
        begin = left + at * (width + gap)
        parts.append(f'<text x="{begin}" y="{top - 8}" font-weight="600">{words}</text>')
        for share in (0, 25, 50, 75, 100):
            x = begin + width * share / 100
            parts.append(f'<path d="M{x:.0f},{top}V{y - 8}" stroke="#d8dbe0"/>')
            parts.append(f'<text x="{x:.0f}" y="{y + 7}" text-anchor="middle" font-size="11">{share}</text>')
        for height, row in places:
            if measure in row:
                parts.append(_dot(row[measure], begin, width, height, colour))
    title = "A judge with a loophole, who sees thoughts or does not: per cent, seed by seed, 95 % intervals"
    note = '<text x="16" y="46" fill="#6a7280">Requests of the loophole that the policy says not to comply with</text>'
    return _svg(left + 3 * (width + gap), y + 20, title, note + "\n".join(parts))


def _thinking(record: Mapping[str, Any]) -> str:
    """Right decisions by the tokens after which a thought is closed."""
    colours = (GREY, "#7a4fa3", ORANGE, BLUE)
    panel, height, left, top, gap = 330, 220, 56, 84, 60
    parts: list[str] = []
    budgets = record["budgets"]
    names = list(next(iter(record["curve"].values())))
    for at, (place, arms) in enumerate(record["curve"].items()):
        begin = left + at * (panel + gap)
        parts.append(f'<text x="{begin}" y="{top - 12}" font-weight="600">{escape(place)}</text>')
        for share in (0, 25, 50, 75, 100):
            y = top + height * (1 - share / 100)
            parts.append(f'<path d="M{begin},{y:.0f}h{panel}" stroke="#d8dbe0"/>')
            parts.append(f'<text x="{begin - 8}" y="{y + 4:.0f}" text-anchor="end" font-size="11">{share}</text>')
        step = panel / (len(budgets) - 1)
        for number, budget in enumerate(budgets):
            x = begin + step * number
            below = f'x="{x:.0f}" y="{top + height + 16}" text-anchor="middle" font-size="11"'
            parts.append(f"<text {below}>{budget}</text>")
        for name, colour in zip(names, colours, strict=True):
            points = [(begin + step * number, top + height * (1 - each["value"]))
                      for number, each in enumerate(arms[name])]  # fmt: skip
            line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
            for (x, y), each in zip(points, arms[name], strict=True):
                interval = each["interval"]
                ends = [top + height * (1 - end) for end in (interval["low"], interval["high"])]
                said = f"{name}: {each['value']:.1%} [{interval['low']:.1%}, {interval['high']:.1%}]"
                parts.append(
                    f'<path d="M{x:.1f},{ends[0]:.1f}V{ends[1]:.1f}" stroke="{colour}" stroke-opacity=".4"/>'
                    f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2" fill="{colour}"><title>{escape(said)}</title></circle>'
                )
    legend = "".join(
        f'<path d="M{left + 170 * at},46h20" stroke="{colour}" stroke-width="2"/>'
        f'<text x="{left + 26 + 170 * at}" y="50">{escape(name)}</text>'
        for at, (name, colour) in enumerate(zip(names, colours, strict=True))
    )
    title = f"Right decisions, per cent, by the tokens that a thought may have; {record['seeds']} seeds"
    count = len(record["curve"])
    return _svg(left + count * panel + (count - 1) * gap + 24, top + height + 30, title, legend + "\n".join(parts))


def _dot(found: Mapping[str, Any], begin: float, width: float, y: float, colour: str) -> str:
    low, high = found["interval"]["low"], found["interval"]["high"]
    said = f"{found['subject']}, {found['slice']}: {found['value']:.1%} [{low:.1%}, {high:.1%}]"
    reach = f"M{begin + width * low:.1f},{y:.1f}H{begin + width * high:.1f}"
    return (
        f'<path d="{reach}" stroke="{colour}" stroke-width="1.6"/>'
        f'<circle cx="{begin + width * found["value"]:.1f}" cy="{y:.1f}" r="3.4" fill="{colour}">'
        f"<title>{escape(said)}</title></circle>"
    )


def _svg(width: float, height: float, title: str, content: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'font-family="system-ui, sans-serif" font-size="12.5" fill="#1f2430" role="img" aria-label="{escape(title)}">'
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="white"/>'
        f'<text x="16" y="24" font-size="15" font-weight="600">{escape(title)}</text>{content}</svg>\n'
    )


def _cell(found: Mapping[str, Any] | None, *, signed: bool = False) -> str:
    if found is None:
        return "—"
    value, interval = found["value"], found["interval"]
    if found["name"] == "thinking_tokens":
        return f"{value:.1f}"
    write = _signed if signed else _plain
    ends = "" if interval is None else f" [{write(interval['low'])}, {write(interval['high'])}]"
    return write(value) + ends


def _plain(value: float) -> str:
    return f"{value:.2f}"


def _signed(value: float) -> str:
    text = f"{abs(value):.2f}"
    return text if not float(text) else ("+" if value > 0 else "−") + text


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _titled(title: str, head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return f"**{title}**\n\n{_table(head, lines)}"


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *lines])
