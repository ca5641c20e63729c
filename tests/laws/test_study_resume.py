"""Law 10: a killed study resumes and ends with the same card as one that was not killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from surefoot.card.serialise import card_digest
from surefoot.study.run import run_study
from surefoot.study.schema import load_study

STUDY = """\
study: killed
rows:
  dominoes: {sizes: {fit: 200, repair: 200, choose: 400, judge: 400}}
network:
  cnn: {channels: [4, 8], hidden: 16}
base:
  stopped: {epochs: 1, rate: 0.003, shift: 1}
mitigations:
  dfr: {method: dfr, learn: repair, strengths: [0.3, 0.03], retrains: 2}
  afr: {method: afr, gammas: [4, 6, 8, 10], penalties: [0, 0.1], steps: 200}
seeds: [0, 1]
claims:
  - {finding: worst_group_accuracy, of: chosen, at_least: 0.5}
"""

RUN = """\
import sys
from pathlib import Path
from surefoot.study.run import run_study
from surefoot.study.schema import load_study
run_study(load_study(Path(sys.argv[1])), out=Path(sys.argv[2]), workers=2, product="default")
"""

ENOUGH = 4  # finished cells before the kill


def test_a_killed_study_resumes_to_the_same_card(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(STUDY, encoding="utf-8")
    study = load_study(file)
    out = tmp_path / "killed"

    running = subprocess.Popen([sys.executable, "-c", RUN, str(file), str(out)])
    until = time.monotonic() + 120
    while len(finished(out)) < ENOUGH and running.poll() is None and time.monotonic() < until:
        time.sleep(0.005)
    os.kill(running.pid, signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    wait_for_orphans(out)
    kept = finished(out)
    (started,) = (out / study.study).iterdir()
    assert len(kept) >= ENOUGH
    assert not (started / "card.json").exists(), "it was killed in the middle"

    resumed = run_study(study, out=tmp_path / "ignored", engine="in_process", resume=started)
    whole = run_study(study, out=tmp_path / "whole", engine="in_process", product="default")
    assert card_digest(resumed.card) == card_digest(whole.card)
    assert resumed.folder == started
    assert set(resumed.reused) == set(kept)
    assert set(resumed.computed) == set(whole.computed) - set(kept)
    assert {address: inode for address, inode in finished(out).items() if address in kept} == kept
    assert not list((out / "cells").glob("*.partial")), "what the killed run left half done is gone"


def finished(out: Path) -> dict[str, int]:
    """Addresses of finished cells, and the inodes of their records: a cell computed again would have another."""
    return {
        path.parent.name: path.stat().st_ino for path in out.glob("cells/*/record.json") if path.parent.suffix == ""
    }


def wait_for_orphans(out: Path) -> None:
    """Workers end by themselves when whoever started them is gone."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
        if not any(str(out / "cells").encode() in command for command in commands):
            return
        time.sleep(0.01)
    raise AssertionError("a worker outlived the process that started it")
