"""One small card and one small file of features for the command line's tests."""

from pathlib import Path

import numpy as np

from surefoot.card.card import Card, Record, RoleSummary, Subject
from surefoot.card.claims import Claim, Status, judge_claims, verdict_of
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


def write_features(path: Path, *, rows: int, agree: float, seed: int, groups: bool = True) -> None:
    """Features with a shortcut, as `inputs`, `y` and (with groups) `a`.

    The class alone can be told in 84 % of rows. With a shortcut that agrees in 92 %, whoever uses it is right in
    41 % of the rows where it does not.
    """
    random = np.random.default_rng(seed)
    y = random.integers(0, 2, rows)
    a = np.where(random.random(rows) < agree, y, 1 - y)
    inputs = random.normal(size=(rows, 4)).astype(np.float32)
    inputs[:, 0] += 2 * y - 1
    inputs[:, 1] = 0.3 * inputs[:, 1] + 2 * a - 1
    np.savez(path, inputs=inputs, y=y, **({"a": a} if groups else {}))
