"""Keeping what a one-off road found: a folder of its own with the card, and a line in the ledger."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any

from surefoot.card.card import Card, Record
from surefoot.card.ledger import RunRow, Used, ledger_of
from surefoot.card.row_marks import RowMarks
from surefoot.card.serialise import card_digest
from surefoot.card.write import write_card
from surefoot.files import digest_json

__all__ = ["Asked", "Kept", "keep"]


@dataclass(frozen=True)
class Asked:
    """What a one-off road was asked, for the record of its card.

    road: "card", "look" or "repair". name: of the data, for the folder. settings: plain JSON, every choice that
    changes a number; with `judge_digest` they are the identity of the question. marks: by what the ledger knows its
    judge rows again (`study.once.marks`); without, a judge set is known by its digest alone.
    """

    road: str
    name: str
    data: str
    settings: Mapping[str, Any]
    seeds: tuple[int, ...]
    judge_digest: str
    command: str
    marks: RowMarks | None = None

    def digest(self) -> str:
        """The identity of the question, whoever asks it and whenever."""
        return digest_json({"road": self.road, "settings": self.settings, "judge": self.judge_digest})


@dataclass(frozen=True)
class Kept:
    """A finished card, the folder that holds it, how often its judge rows were judged, and which rows they are."""

    card: Card
    folder: Path
    used: Used
    judged: str = ""


def keep(asked: Asked, out: Path, times: Mapping[str, float], make: Callable[[Record], Card]) -> Kept:
    """Make the card, note that the judge rows were looked at, write the card below `out`, and record the run.

    Nothing is written when making the card fails; nothing is shown before the look is noted.
    """
    created = datetime.now(UTC).isoformat(timespec="seconds")
    question = asked.digest()
    record = Record(
        command=asked.command,
        seeds=asked.seeds,
        versions={"surefoot": version("surefoot"), "torch": version("torch"), "python": python_version()},
        settings=asked.settings,
        data=asked.data,
        judge_digest=asked.judge_digest,
        judge_uses=0,
        created=created,
        times=times,
    )
    made = make(record)
    ledger = ledger_of(out)
    used = ledger.note_use(asked.judge_digest, question, created, asked.marks)
    card = replace(made, record=replace(record, judge_uses=used.cards, judged_before=used.share))
    digest = card_digest(card)
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", asked.name).strip("-.") or "data"
    run = f"{asked.road}-{plain}-{digest[:8]}"
    write_card(card, out / run)
    ledger.record_run(
        RunRow(
            run=run,
            study=f"{asked.road} {asked.name}",
            study_digest=question,
            verdict=card.verdict,
            card_digest=digest,
            folder=str(out / run),
            created=created,
            judge_digest=asked.judge_digest,
        )
    )
    return Kept(card, out / run, used)
