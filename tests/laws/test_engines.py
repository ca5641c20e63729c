"""Law 9: the same study, seed and data give the same numbers on every engine."""

from pathlib import Path

import torch

from surefoot.card.serialise import card_digest
from surefoot.files import read_json
from surefoot.study.run import Outcome, run_study
from surefoot.study.schema import load_study

STUDY = """\
study: engines
rows:
  dominoes: {sizes: {fit: 200, repair: 200, choose: 400, judge: 400}}
network:
  cnn: {channels: [4, 8], hidden: 16}
base:
  stopped: {epochs: 1, rate: 0.003, shift: 1}
mitigations:
  balanced: {method: class_balanced, strengths: [0.3, 0.03], retrains: 2}
  dfr: {method: dfr, learn: choose, strengths: [0.3, 0.03], retrains: 2}
  afr: {method: afr, gammas: [4, 8], penalties: [0, 0.1], steps: 20}
seeds: [0, 1]
claims:
  - {finding: worst_group_accuracy, of: chosen, at_least: 0.5}
"""


def test_every_engine_gives_the_same_card(tmp_path: Path) -> None:
    """In this process (with any number of threads outside) and on two workers: one digest."""
    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")
    study = load_study(tmp_path / "study.yaml")
    told: list[tuple[int, int]] = []

    def here(out: str, threads: int) -> Outcome:
        torch.set_num_threads(threads)
        try:
            return run_study(study, out=tmp_path / out, engine="in_process", product="default")
        finally:
            torch.set_num_threads(1)

    alone, crowded = here("alone", 1), here("crowded", 2)
    spread = run_study(
        study,
        out=tmp_path / "spread",
        workers=2,
        product="default",
        progress=lambda stage, done, total: told.append((done, total)),
    )
    assert card_digest(spread.card) == card_digest(alone.card) == card_digest(crowded.card)
    assert set(spread.computed) == set(alone.computed)
    for address in alone.computed:
        assert recorded(tmp_path / "spread", address) == recorded(tmp_path / "alone", address)

    # On the way, progress only ever grew, and ended at the whole.
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1][0] == told[-1][1] > 0


def recorded(out: Path, address: str) -> dict[str, int]:
    """The files of a cell with their sizes."""
    files = read_json(out / "cells" / address / "record.json")["files"]
    return {name: file["size"] for name, file in files.items()}
