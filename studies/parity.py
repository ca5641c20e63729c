"""Learning to think: parity of 16 bits with controls, and of 32 bits, three seeds each, from the two files beside this.

    python studies/parity.py --quick       everything in small; a minute
    python studies/parity.py --publish     about a quarter of an hour; also writes docs/reason.md, its data and picture

The studies are those of `surefoot reason studies/parity.yaml` and `surefoot reason studies/parity32.yaml`, and their
trainings are the same: what one has finished the other finds.
"""

from collections.abc import Mapping
from pathlib import Path

from curves import Axis, Line, Panel, chart
from reason_tables import Record, asked, by_seed, record_of, records_of, table, verdicts
from reason_tables import cards as cards_of
from weak_tables import COLOURS, DOCS, with_blocks

from surefoot.card.card import Card
from surefoot.files import write_json, write_text

__all__ = ["blocks_of", "cards", "picture", "publish", "record_of"]

STUDIES = ("parity", "parity32")
SHOWN = (
    "accuracy", "accuracy_without_thought", "pass_at_1", "consensus_at_16", "best_of_16", "answer_follows",
    "thinking_tokens",
)  # fmt: skip
QUICK = {"imitate": 40, "steps": 6, "seeds": [0], "judged": 60, "chosen": 40, "width": 32, "every": 2}


def cards(out: Path, *, quick: bool) -> dict[str, Card]:
    """Run both studies."""
    return cards_of({name: f"{name}.yaml" for name in STUDIES}, out, QUICK if quick else None)


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


def blocks_of(record: Record) -> list[str]:
    """What stands on the page between the marks of one study: every arm; what each seed came to, and the verdicts."""
    said = [f"Reinforced, by seed: {by_seed(record)}.", "", *verdicts(record)]
    return [table(record, SHOWN), "\n".join(said)]


def publish(records: Mapping[str, Record]) -> None:
    """The page's tables, the data, and the picture."""
    page = DOCS / "reason.md"
    text = page.read_text(encoding="utf-8")
    for name, record in records.items():
        text = with_blocks(text, name, blocks_of(record))
    write_json(DOCS / "data" / "parity.json", dict(records))
    write_text(DOCS / "images" / "parity.svg", picture(records))
    write_text(page, text)


def main() -> None:
    chosen = asked(__doc__)
    records = records_of(cards(chosen.out, quick=chosen.quick))
    for name, record in records.items():
        print(name, *blocks_of(record), sep="\n\n", end="\n\n")
    if chosen.publish:
        publish(records)


if __name__ == "__main__":
    main()
