"""The probe's page says what its data say, and its text set keeps its splits apart."""

import json
import re
import runpy
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PROBES = ("core", "shortcut")
PAGE = (ROOT / "docs/probe.md").read_text(encoding="utf-8")


def data(name: str) -> dict[str, Any]:
    return json.loads((ROOT / f"docs/data/probe_{name}.json").read_text(encoding="utf-8"))


def points(value: float) -> str:
    """As the page writes differences: +1.6, −2.1, 0.0."""
    text = f"{abs(value) * 100:.1f}"
    return "0.0" if text == "0.0" else ("+" if value > 0 else "−") + text


def told(found: dict[str, Any]) -> str:
    ends = found.get("interval", found)
    return f"{points(found['value'])} [{points(ends['low'])}, {points(ends['high'])}]"


def test_the_table_of_dominoes_is_that_of_the_data() -> None:
    checked = 0
    for block in data("dominoes")["blocks"]:
        found = {(each["subject"], each["name"]): each for each in block["differences"] if each["slice"] == "all"}
        for method in ("RWG", "group DRO"):
            if (f"{method} − ERM", "core_decodability") not in found:
                continue
            names = ("worst_group_accuracy", "core_decodability", "shortcut_decodability")
            cells = [told(found[f"{method} − ERM", name]) for name in names]
            assert f"| {block['correlation']:.0%}: {method} | {' | '.join(cells)} |".replace("%:", " %:") in PAGE
            checked += 1
    assert checked == 5


def test_what_is_said_of_coloured_digits_is_in_the_data() -> None:
    for block in data("coloured")["blocks"]:
        for each in block["differences"]:
            if each["name"] == "core_decodability" and block["correlation"] in (0.9, 0.99):
                assert told(each).lstrip("+") in PAGE, (block["correlation"], each["subject"])


def test_the_table_of_the_text_is_that_of_the_data() -> None:
    (block,) = data("text")["blocks"]
    found = {(each["subject"], each["name"]): each for each in block["differences"] if each["slice"] == "all"}
    names = ("worst_group_accuracy", *(f"{what}_decodability{part}" for part in ("", "_mean") for what in PROBES))
    for method in ("RWG", "group DRO"):
        cells = [told(found[f"{method} − ERM", name]) for name in names]
        assert f"| {method} − ERM | {' | '.join(cells)} |" in PAGE
    for each in block["findings"]:
        if each["name"] in ("worst_group_accuracy", "core_decodability", "shortcut_decodability"):
            ends = f"[{each['interval']['low'] * 100:.1f}, {each['interval']['high'] * 100:.1f}]"
            assert f"{each['value'] * 100:.1f} % {ends}" in PAGE, (each["subject"], each["name"])


def test_the_table_of_factors_is_that_of_the_data() -> None:
    factors = data("grid")["core_decodability"]
    for name, factor in {
        "architecture": "architecture",
        "length of training": "epochs",
        "pretraining": "pretraining",
    }.items():
        share = factors[factor]["variance_explained"]
        ends = f"[{share['low'] * 100:.0f}, {share['high'] * 100:.0f}]"
        assert f"| {name} | {share['value'] * 100:.0f} % {ends}" in PAGE
        for contrast in factors[factor]["minus_first"].values():
            assert told(contrast) in PAGE


def test_no_expression_of_judgement_is_in_two_splits_and_the_text_is_always_the_same() -> None:
    made = runpy.run_path(str(ROOT / "studies/text_shortcut.py"))
    words = {split: {row["source"] for row in made["sentences"](split, 0)} for split in made["SHARES"]}
    splits = list(words)
    assert all(not words[one] & words[two] for one in splits for two in splits if one < two)
    judged = {(row["label"], row["source"]) for row in made["sentences"]("test", 0)}
    assert all(sum(label == each for each, _ in judged) >= 100 for label in made["USUAL"])
    assert made["sentences"]("test", 0) == made["sentences"]("test", 0)
    train = made["sentences"]("train", 0)
    agreeing = sum(made["USUAL"][row["label"]] == row["attribute"] for row in train) / len(train)
    assert agreeing == 0.95
    assert all(re.search(rf"\b{re.escape(row['source'])}\b", row["text"]) for row in train)
