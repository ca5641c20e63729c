"""A study that takes a third of a second, and children that run it: forked from a parent that has it all imported.

Whatever is done to a child, another then runs the study again, and what it ends with is compared with a run
that nothing was done to.
"""

import os
import random
import sys
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from surefoot.card.ledger import LEDGER, Ledger
from surefoot.card.serialise import card_digest, card_from_json
from surefoot.errors import InputError
from surefoot.files import read_json
from surefoot.study.run import run_study
from surefoot.study.schema import Study, load_study
from surefoot.study.store import is_address
from surefoot.study.upkeep import check_cells, half_written, store_of, unneeded

STUDY = """\
study: small
question: Does it survive?
rows:
  table: {path: rows.csv, target: y, attributes: [a], split: split}
  repair_share: 0.4
network:
  linear: {}
base:
  plain: {epochs: 1, batch: 20, rate: 0.003}
mitigations:
  dfr: {method: dfr, learn: choose, strengths: [0.3], retrains: 1}
seeds: [0]
claims:
  - {finding: worst_group_accuracy, of: chosen, at_least: 0.5}
"""
WRONG_INPUT = 2
FAULT = 1


@dataclass(frozen=True)
class Ended:
    """How a child ended. status: as `os.waitstatus_to_exitcode` gives it. said: its answer, or its one sentence."""

    status: int
    said: str


@dataclass(frozen=True)
class Small:
    """The study in its folder, the digest of its card, how many operations its run does, a finished folder of runs."""

    study: Study
    folder: Path
    digest: str
    operations: int
    finished: Path

    def run(self, out: Path, before: Callable[[], object] = lambda: None, engine: str = "in_process") -> Ended:
        """Run it into `out` in a child, after `before`, there."""

        def work() -> str:
            before()
            return run_small(self.study, self.folder, out, engine)

        return in_child(work)

    def good(self) -> Ended:
        """How an undisturbed run ends."""
        return Ended(0, self.digest)


def write_study(folder: Path) -> Study:
    """The study file and its 60 rows."""
    drawn = random.Random(0)
    lines = ["id,x1,x2,y,a,split"]
    for row in range(60):
        label = row % 2
        attribute = label if row % 10 > 1 else 1 - label
        split = ("train", "val", "test")[row // 10 % 3]
        x1, x2 = drawn.gauss(2 * label, 1), drawn.gauss(4 * attribute, 1)
        lines.append(f"{row},{x1:.3f},{x2:.3f},{label},{attribute},{split}")
    (folder / "rows.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "study.yaml").write_text(STUDY, encoding="utf-8")
    return load_study(folder / "study.yaml")


def run_small(study: Study, folder: Path, out: Path, engine: str = "in_process") -> str:
    """The digest of the study's card."""
    outcome = run_study(
        study, folder, out=out, engine="workers" if engine == "workers" else "in_process", product="default"
    )
    return card_digest(outcome.card)


def start(work: Callable[[], str]) -> tuple[int, int]:
    """A child that does `work`: its process, and where its answer can be read."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forks beside threads; these children do not use them
        process = os.fork()
    if process == 0:
        status = FAULT
        said = ""
        try:
            os.close(reading)
            status, said = _answer(work)
            os.write(writing, said.encode()[:60_000])
        finally:
            os._exit(status)
    os.close(writing)
    return process, reading


def end(child: tuple[int, int]) -> Ended:
    """Wait for a child, and hear it."""
    process, reading = child
    with os.fdopen(reading, "rb") as answers:
        said = answers.read().decode()
    return Ended(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), said)


def in_child(work: Callable[[], str]) -> Ended:
    """Do `work` in a child."""
    return end(start(work))


def wrongs(out: Path, digest: str, *, whole: bool) -> list[str]:
    """What is wrong below `out`; with `whole`, also what a finished run must have left, and nothing else."""
    found: list[str] = []
    cards = list(out.glob("small/*/card.json"))
    for card in cards:
        with suppress(InputError):
            if (told := card_digest(card_from_json(read_json(card)))) != digest:
                found.append(f"{card} has the digest {told[:12]}")
        found += [
            f"{name} is missing beside {card}"
            for name in ("card.html", "card.md")
            if not card.with_name(name).is_file()
        ]
    if not whole:
        return found
    if len(cards) != 1:
        return [*found, f"{len(cards)} cards"]
    store = store_of(out)
    found += [f"{path.name} is left" for path in store.folder.iterdir() if not is_address(path.name)]
    found += [f"{each.title}: {each.damage}" for each in check_cells(store) if each.damage is not None]
    found += [f"{path} is left" for path in half_written(out)]
    found += [f"{each.path} is waste" for each in unneeded(out).waste]
    ledger = Ledger(out / LEDGER)
    runs = ledger.runs()
    if [run.card_digest for run in runs] != [digest] or ledger.judge_uses(runs[0].judge_digest) != 1:
        found.append(f"the ledger holds {runs}")
    return found


def _answer(work: Callable[[], str]) -> tuple[int, str]:
    try:
        return 0, work()
    except InputError as error:
        return WRONG_INPUT, str(error)
    except BaseException:
        return FAULT, traceback.format_exc()
