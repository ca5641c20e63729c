"""Small files and one small card for the command line's tests."""

from collections.abc import Callable
from pathlib import Path

import pytest

from surefoot.card.card import Card, Record, RoleSummary, Subject
from surefoot.card.claims import Claim, Status, judge_claims, verdict_of
from surefoot.card.write import write_card
from surefoot.findings.finding import Finding, Interval

BOUNDS: dict[Status, float] = {"passed": 0.8, "undecided": 0.88, "failed": 0.95}


def example_card(status: Status = "passed", *, title: str = "Example", accuracy: float = 0.93) -> Card:
    """A card of one model whose worst group is .88 [.84, .91], judged against a bound that gives `status`."""
    findings = tuple(
        Finding(name, value, interval, 400, 400, "proportion", "all", "higher", "model", "judge")
        for name, value, interval in (
            ("accuracy", accuracy, Interval(0.91, 0.95, 0.95, "wilson")),
            ("worst_group_accuracy", 0.88, Interval(0.84, 0.91, 0.95, "minimum")),
        )
    )
    claims = judge_claims([Claim("worst_group_accuracy", "model", at_least=BOUNDS[status])], findings)
    return Card(
        title=title,
        question="Does it hold?",
        verdict=verdict_of(claims),
        sentence=claims[0].sentence,
        chosen=None,
        claims=claims,
        subjects=(Subject("model", "the model"),),
        findings=findings,
        differences=(),
        classes=("0", "1"),
        groups=("a", "b"),
        reliability={},
        confusion={},
        gallery={},
        roles=(RoleSummary("judge", 400, 400, {"a": 200, "b": 200}),),
        not_shown=(),
        record=Record("surefoot card", (), {}, {}, "example", "0" * 64, 1, "2026-11-23T10:00:00+00:00", {}),
    )


@pytest.fixture
def write_example(tmp_path: Path) -> Callable[..., Path]:
    """Write an example card as the run `name` below tmp_path/runs and return its folder."""

    def write(name: str, status: Status = "passed", *, accuracy: float = 0.93) -> Path:
        folder = tmp_path / "runs" / name
        write_card(example_card(status, title=f"Example {name}", accuracy=accuracy), folder)
        return folder

    return write
