"""Other tasks to think about: chains, addition, expressions and Countdown, from the files in the folder `tasks`.

    python studies/tasks.py --quick       everything in small; a minute
    python studies/tasks.py --publish     about an hour of one core; also writes docs/reason.md and its data

The studies are those of `surefoot reason studies/tasks/chain.yaml` and so on, their trainings the same: what one has
finished the other finds.
"""

from collections.abc import Mapping
from pathlib import Path

from reason_tables import Record, asked, by_seed, records_of, shown, verdicts
from reason_tables import cards as cards_of
from weak_tables import DOCS, with_blocks

from surefoot.card.card import Card
from surefoot.files import write_json, write_text

STUDIES = ("chain", "addition", "expression", "countdown")
QUICK = {"imitate": 40, "steps": 6, "seeds": [0], "judged": 40, "chosen": 40, "width": 32, "every": 2}


def cards(out: Path, *, quick: bool) -> dict[str, Card]:
    """Run all of them."""
    return cards_of({name: f"tasks/{name}.yaml" for name in STUDIES}, out, QUICK if quick else None)


def table(records: Mapping[str, Record]) -> str:
    """Accuracy of every arm, a task a row, and the thinking before and after."""
    arms = {arm: label for record in records.values() for arm, label in record["arms"].items()}
    titles = [*arms.values(), "thinking, imitated", "thinking, reinforced"]
    lines = ["| | " + " | ".join(titles) + " |", "|---" * (len(titles) + 1) + "|"]
    for record in records.values():
        cells = [shown(record, arm, "accuracy") for arm in arms]
        cells += [shown(record, arm, "thinking_tokens") for arm in ("imitated", "reinforced")]
        lines.append(f"| `{record['settings']['task']}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def said(records: Mapping[str, Record]) -> str:
    """What each seed came to, and the verdicts, of every task."""
    parts: list[str] = []
    for record in records.values():
        parts.append(f"`{record['settings']['task']}`, reinforced, by seed: {by_seed(record)}.")
        parts.append("\n".join(verdicts(record)))
    return "\n\n".join(parts)


def blocks_of(records: Mapping[str, Record]) -> list[str]:
    """What stands on the page between the marks."""
    return [table(records), said(records)]


def publish(records: Mapping[str, Record]) -> None:
    """The page's table and verdicts, and the data."""
    page = DOCS / "reason.md"
    text = with_blocks(page.read_text(encoding="utf-8"), "tasks", blocks_of(records))
    write_json(DOCS / "data" / "tasks.json", dict(records))
    write_text(page, text)


def main() -> None:
    chosen = asked(__doc__)
    records = records_of(cards(chosen.out, quick=chosen.quick))
    print(*blocks_of(records), sep="\n\n")
    if chosen.publish:
        publish(records)


if __name__ == "__main__":
    main()
