"""Small runs, which a ledger knows, and release files beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from surefoot.card.card import Card, Record, RoleSummary, Subject
from surefoot.card.claims import Claim, judge_claims, verdict_of
from surefoot.card.gate import Gated, Signing, gated
from surefoot.card.sheets import Sheet
from surefoot.card.trail import add_entry, read_trail
from surefoot.findings.finding import Finding, Interval
from surefoot.study.once.keep import Asked, Kept, keep

TODAY = date(2026, 11, 28)


def number(subject: str, value: float, half: float = 0.02, name: str = "accuracy", slice: str = "all") -> Finding:
    interval = Interval(value - half, min(1.0, value + half), 0.95, "clustered")
    return Finding(name, value, interval, 400, 400, "proportion", slice, "higher", subject, "judge")


def part(
    out: Path,
    road: str,
    value: float,
    bounds: Sequence[float] = (0.5,),
    *,
    judge: str = "j",
    settings: Mapping[str, Any] | None = None,
    sheets: tuple[Sheet, ...] = (),
    notes: tuple[str, ...] = (),
    doubts: tuple[str, ...] = (),
    beside: Sequence[Finding] = (),
) -> Path:
    """A run with one model "m" of this accuracy, a claim for every bound, and the ledger that knows it."""
    found = number("m", value)
    claims = judge_claims([Claim("accuracy", "m", at_least=each) for each in bounds], [found])
    base = number("base", 0.4)
    change = replace(
        found, subject="m − base", value=value - 0.4, interval=Interval(value - 0.45, value - 0.35, 0.95, "x")
    )

    def make(record: Record) -> Card:
        return Card(
            title=road, question="", verdict=verdict_of(claims), sentence="All is well.", chosen=None, claims=claims,
            subjects=(Subject("base", "base"), Subject("m", "the model", "base", notes, doubts=doubts)),
            findings=(base, found, *beside), differences=(change,), classes=(), groups=(), reliability={}, confusion={},
            gallery={}, roles=(RoleSummary("fit", 9, 9, {}), RoleSummary("judge", 400, 400, {})),
            not_shown=("One seed.",), record=record, sheets=sheets,
        )  # fmt: skip

    asked = Asked(road, "d", "rows", {**(settings or {}), "value": value}, (0,), judge, f"surefoot {road} d")
    return keep(asked, out, {}, make).folder


def release(out: Path, parts: Mapping[str, object], *, ships: str = "repair/m", **more: object) -> Path:
    """A release file beside the runs."""
    given = {name: each.name if isinstance(each, Path) else each for name, each in parts.items()}
    file = out / "release.yaml"
    file.write_text(yaml.safe_dump({"release": "r", "ships": ships, "parts": given, **more}, sort_keys=False))
    return file


def all_waived(kept: Kept) -> Gated:
    """What the gate says where somebody waived every claim that does not hold."""
    for claim, judged in enumerate(kept.card.claims, 1):
        if judged.status != "passed":
            add_entry(kept.folder, "Ada", claim=claim, reason="Known.", until="2999-01-01")
    return gated(Card.read(kept.folder), Signing(read_trail(kept.folder), 0, heeded=True, today=TODAY))


def doors(state: str, opens: str = "at most medium, after") -> tuple[Sheet, ...]:
    """The table of a gate "deploy" in a state."""
    return (Sheet("Gates", ("Gate", "State", "Opens for", "Why"), (("deploy", state, opens, "why"),)),)
