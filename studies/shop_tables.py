"""What docs/deliberate.md shows of a language model under a policy of one's own, from the card of a run.

    surefoot reason studies/shop_policy.md --requests studies/shop_requests.csv --model smollm2
    python studies/shop_tables.py runs/say-shop_policy-…/card.json

writes `docs/data/shop-policy.json` and prints the tables.
"""

import json
import sys
from pathlib import Path
from typing import Any

from surefoot.card.words import show_finding
from surefoot.findings.finding import Finding, Interval

DATA = Path(__file__).resolve().parents[1] / "docs" / "data" / "shop-policy.json"
COLUMNS = {
    "decision": "right", "unsafe": "complies, was to refuse", "over_refusal": "refuses, was to comply",
    "thought": "thinks", "category_named": "names the category", "thinking_tokens": "tokens of thought",
}  # fmt: skip
ARMS = ("none", "policy_in_prompt", "answers_only", "taught")
KINDS = ("comply", "refuse", "safe")
PAIRS = (
    "taught − none", "taught − policy_in_prompt", "taught − answers_only", "policy_in_prompt − none",
    "answers_only − none",
)  # fmt: skip
COMPARED = ("decision", "unsafe", "over_refusal")
KEPT = ("name", "value", "count", "unit", "slice", "subject")


def record(card: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a card: findings, differences, and what stage 1 kept."""
    return {
        "findings": [_slim(each) for each in (*card["findings"], *card["differences"])],
        "kept": next(each["notes"][0] for each in card["subjects"] if each["name"] == "taught"),
        "seconds": round(sum(card["record"]["times"].values())),
    }


def tables(kept: dict[str, Any]) -> str:
    """Three tables: every arm, its right decisions by what is expected, and differences."""
    found = {(each["subject"], each["name"], each["slice"]): _finding(each) for each in kept["findings"]}

    def cell(*key: str) -> str:
        return show_finding(found[key]) if key in found else "–"  # type: ignore[index]

    arms = [arm.replace("_", " ") for arm in ARMS]
    first = [[arm, *(cell(key, name, "all") for name in COLUMNS)] for arm, key in zip(arms, ARMS, strict=True)]
    second = [[arm, *(cell(key, "decision", kind) for kind in KINDS)] for arm, key in zip(arms, ARMS, strict=True)]
    third = [[pair.replace("_", " "), *(cell(pair, name, "all") for name in COMPARED)] for pair in PAIRS]
    counts = [f"{kind} ({found[ARMS[0], 'decision', kind].count})" for kind in KINDS]
    return "\n".join(
        [
            _table(["", *COLUMNS.values()], first),
            _table(["right, where expected is", *counts], second),
            _table(["paired change", *(COLUMNS[name] for name in COMPARED)], third),
        ]
    )


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _slim(finding: dict[str, Any]) -> dict[str, Any]:
    interval = finding["interval"]
    bounds = None if interval is None else [round(interval[end], 6) for end in ("low", "high")]
    return {**{name: finding[name] for name in KEPT}, "value": round(finding["value"], 6), "interval": bounds}


def _finding(kept: dict[str, Any]) -> Finding:
    bounds = kept["interval"]
    interval = None if bounds is None else Interval(*bounds, confidence=0.95, method="kept")
    more = {name: kept[name] for name in KEPT}
    return Finding(**more, interval=interval, clusters=kept["count"], direction="higher", source="judge")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("give the card.json of a run")
    made = record(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    DATA.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(tables(made))
    print(made["kept"])
