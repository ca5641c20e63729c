"""Learning to think: parity of 16 bits with controls, and of 32 bits, three seeds each, from the two files beside this.

    python studies/parity.py --quick       everything in small; a minute
    python studies/parity.py --publish     about a quarter of an hour; also writes docs/reason.md, its data and picture

The studies are those of `surefoot reason studies/parity.yaml` and `surefoot reason studies/parity32.yaml`, and their
trainings are the same: what one has finished the other finds.
"""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

from curves import Axis, Line, Panel, chart
from weak_tables import COLOURS, DOCS, rounded, with_blocks

from surefoot.card.card import Card
from surefoot.card.words import finding_title, show_finding
from surefoot.files import write_json, write_text
from surefoot.findings.finding import finding_from_json, finding_to_json
from surefoot.study.once.reason import reason_about
from surefoot.study.once.reason_file import ReasonStudy, read_reason_study

Record: TypeAlias = dict[str, Any]

ROOT = Path(__file__).resolve().parents[1]
STUDIES = ("parity", "parity32")
SHOWN = ("accuracy", "accuracy_without_thought", "pass_at_1", "consensus_at_16", "thinking_tokens")
QUICK = {"imitate": 40, "steps": 6, "seeds": [0], "judged": 60, "chosen": 40, "width": 32, "every": 2}


def cards(out: Path, *, quick: bool) -> dict[str, Card]:
    """Run both studies."""
    found: dict[str, Card] = {}
    for name in STUDIES:
        study = read_reason_study(ROOT / "studies" / f"{name}.yaml")
        if quick:
            study = ReasonStudy.model_validate({**study.model_dump(), **QUICK})
        kept = reason_about(
            study.plan(),
            seeds=study.seeds,
            claims=study.claims,
            confidence=study.confidence,
            out=out,
            command=f"surefoot reason studies/{name}.yaml",
            progress=_told,
        )
        found[name] = kept.card
    return found


def table(record: Record) -> str:
    """Every arm beside the others."""
    lines = ["| | " + " | ".join(finding_title(name) for name in SHOWN) + " |", "|---" * (len(SHOWN) + 1) + "|"]
    found = {(each["subject"], each["name"]): show_finding(finding_from_json(each)) for each in record["findings"]}
    for name, label in record["arms"].items():
        lines.append(f"| {label} | {' | '.join(found.get((name, each), '–') for each in SHOWN)} |")
    return "\n".join(lines)


def seeds(record: Record) -> str:
    """What each seed came to, and the verdicts."""
    found = next(each for each in record["findings"] if (each["subject"], each["name"]) == ("reinforced", "accuracy"))
    each = ", ".join(f"{value:.2%}" for value in found["per_seed"])
    verdicts = [f"- {judged['status']}: {judged['sentence']}" for judged in record["claims"]]
    return "\n".join([f"Reinforced, by seed: {each}.", "", *verdicts])


def picture(records: Mapping[str, Record]) -> str:
    """Every curve of both studies."""
    panels: list[Panel] = []
    for name, record in records.items():
        bits = "16 bits" if name == "parity" else "32 bits"
        for title in dict.fromkeys(each["picture"] for each in record["curves"]):
            of = [each for each in record["curves"] if each["picture"] == title]
            panels.append(_panel(f"{bits}: {title[0].lower()}{title[1:]}", of))
    return chart("Learning to think: means of three seeds", panels)


def _panel(title: str, curves: list[Record]) -> Panel:
    places = [place for curve in curves for place in curve["places"]]
    last = max(place["at"] for place in places)
    percent = curves[0]["unit"] == "proportion"
    most = 1.0 if percent else float(round(max(1.0, *(place["value"] for place in places))))
    up = Axis(curves[0]["up"], 0.0, most, (0.0, most / 2, most), percent=percent)
    across = Axis(curves[0]["across"], 0.0, last, (0.0, last / 2, last))
    lines = [
        Line(
            curve["label"],
            COLOURS[at],
            [(place["at"], place["value"]) for place in curve["places"]],
            dots=len(curve["places"]) < 8,
        )
        for at, curve in enumerate(curves)
    ]
    return Panel(title, across, up, lines)


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


def blocks_of(record: Record) -> list[str]:
    """What stands on the page between the marks of one study."""
    return [table(record), seeds(record)]


def publish(records: Mapping[str, Record]) -> None:
    """The page's tables, the data, and the picture."""
    page = DOCS / "reason.md"
    text = page.read_text(encoding="utf-8")
    for name, record in records.items():
        text = with_blocks(text, name, blocks_of(record))
    write_json(DOCS / "data" / "parity.json", dict(records))
    write_text(DOCS / "images" / "parity.svg", picture(records))
    write_text(page, text)


def _told(stage: str, done: int, total: int) -> None:
    if done == total or done % 50 == 0:
        print(f"{stage} {done}/{total}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="everything in small; a minute")
    parser.add_argument("--out", type=Path, default=ROOT / "runs", help="the folder of runs")
    parser.add_argument("--publish", action="store_true", help="write the page, its data and picture")
    chosen = parser.parse_args()
    if chosen.quick and chosen.publish:
        parser.error("--quick says nothing that should be published; leave out one of the two")
    records = {name: record_of(card) for name, card in cards(chosen.out, quick=chosen.quick).items()}
    for name, record in records.items():
        print(name, *blocks_of(record), sep="\n\n", end="\n\n")
    if chosen.publish:
        publish(records)


if __name__ == "__main__":
    main()
