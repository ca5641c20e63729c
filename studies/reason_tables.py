"""What studies of `surefoot reason` share: running their files, their numbers as JSON, tables, verdicts and options."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

from weak_tables import rounded

from surefoot.card.card import Card
from surefoot.card.words import finding_title, show_finding
from surefoot.findings.finding import finding_from_json, finding_to_json
from surefoot.study.once.reason import reason_about
from surefoot.study.once.reason_file import ReasonStudy, read_reason_study

__all__ = ["Record", "asked", "by_seed", "cards", "record_of", "records_of", "shown", "table", "verdicts"]

Record: TypeAlias = dict[str, Any]

ROOT = Path(__file__).resolve().parents[1]


def cards(files: Mapping[str, str], out: Path, small: Mapping[str, Any] | None = None) -> dict[str, Card]:
    """Run studies, by name: each of a file beside this one, with other keys where they are to be small."""
    found: dict[str, Card] = {}
    for name, file in files.items():
        study = read_reason_study(ROOT / "studies" / file)
        if small is not None:
            study = ReasonStudy.model_validate({**study.model_dump(), **small})
        kept = reason_about(
            study.plan(),
            seeds=study.seeds,
            claims=study.claims,
            confidence=study.confidence,
            out=out,
            command=f"surefoot reason studies/{file}",
            progress=_told,
        )
        found[name] = kept.card
    return found


def record_of(card: Card) -> Record:
    """What a card says, as plain JSON."""
    return rounded(
        {
            "arms": {subject.name: subject.label for subject in card.subjects},
            "findings": [finding_to_json(each) for each in (*card.findings, *card.differences)],
            "claims": [{"sentence": each.sentence, "status": each.status} for each in card.claims],
            "curves": [asdict(each) for each in card.curves],
            "settings": card.record.settings,
        }
    )


def records_of(found: Mapping[str, Card]) -> dict[str, Record]:
    """What cards say, by name."""
    return {name: record_of(card) for name, card in found.items()}


def shown(record: Record, arm: str, name: str) -> str:
    """A finding of an arm with its interval; a dash where it was not measured."""
    return next(
        (
            show_finding(finding_from_json(each))
            for each in record["findings"]
            if (each["subject"], each["name"]) == (arm, name)
        ),
        "–",
    )


def table(record: Record, names: Sequence[str]) -> str:
    """Every arm beside the others."""
    lines = ["| | " + " | ".join(finding_title(name) for name in names) + " |", "|---" * (len(names) + 1) + "|"]
    lines += [
        f"| {label} | {' | '.join(shown(record, arm, name) for name in names)} |"
        for arm, label in record["arms"].items()
    ]
    return "\n".join(lines)


def by_seed(record: Record) -> str:
    """The accuracy that reinforcement came to, of each seed."""
    found = next(each for each in record["findings"] if (each["subject"], each["name"]) == ("reinforced", "accuracy"))
    return ", ".join(f"{value:.2%}" for value in found["per_seed"])


def verdicts(record: Record) -> list[str]:
    """A line for each claim."""
    return [f"- {judged['status']}: {judged['sentence']}" for judged in record["claims"]]


def asked(doc: str | None) -> argparse.Namespace:
    """What a study was asked for: quick, publish, and the folder of runs."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="everything in small; a minute")
    parser.add_argument("--out", type=Path, default=ROOT / "runs", help="the folder of runs")
    parser.add_argument("--publish", action="store_true", help="write the page, its data and pictures")
    chosen = parser.parse_args()
    if chosen.quick and chosen.publish:
        parser.error("--quick says nothing that should be published; leave out one of the two")
    return chosen


def _told(stage: str, done: int, total: int) -> None:
    if done == total or done % 50 == 0:
        print(f"{stage} {done}/{total}", file=sys.stderr, flush=True)
