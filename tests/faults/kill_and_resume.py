"""Kill a run again and again, let another finish it, and compare the card: `kill_and_resume.py --trials 1000`.

Each trial is one run of a small study that is killed one to three times (SIGKILL: at an operation on its folder drawn
at random, or after a time drawn at random), then run to its end by another process. The digest of its card must be that
of an undisturbed run, every file in the store what was recorded, and nothing left over. One line is printed; exit code
1 where a trial went wrong, with its number and the seed to repeat it by.

`--every-point` kills it instead at each of its operations in turn (`--step 10`: at every tenth), once.

With `--engine workers` half of the kills hit a worker process instead of the one that drives it; each of its trials
takes tens of seconds, since workers are not forked.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch
from crash_points import count_operations, die_before
from small_study import Ended, end, in_child, run_small, start, write_study, wrongs

from surefoot.study.schema import Study

__all__ = ["Tally", "every_point", "kill_and_resume"]


@dataclass
class Tally:
    """What came of all trials. kills: those that hit a process while it ran. wrong: what was wrong, by trial."""

    digest: str
    trials: int = 0
    kills: int = 0
    seconds: float = 0.0
    wrong: dict[int, list[str]] = field(default_factory=dict[int, list[str]])

    def line(self, seed: int) -> str:
        """All of it, in one line."""
        equal = self.trials - len(self.wrong)
        told = (
            f"{self.trials} trials, {self.kills} kills: {equal} equal digests ({self.digest[:12]}), "
            f"{len(self.wrong)} wrong; {self.seconds / max(self.trials, 1):.2f} s a trial, seed {seed}"
        )
        first = next(iter(self.wrong.items()), None)
        return told if first is None else f"{told}; trial {first[0]}: {'; '.join(first[1])}"


def kill_and_resume(trials: int, seed: int, engine: str = "in_process") -> Tally:
    """Do that many trials, in a temporary folder."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="surefoot-faults-") as made:
        folder = Path(made).resolve()
        study = write_study(folder)
        digest, operations, seconds = _undisturbed(study, folder, engine)
        tally = Tally(digest)
        for trial in range(trials):
            drawn = random.Random(f"{seed} {trial}")
            out = folder / f"runs-{trial}"
            kills = 0
            for _ in range(drawn.randint(1, 3)):
                kills += _kill_one(study, folder, out, engine, drawn, operations, seconds)
                tally.wrong.setdefault(trial, []).extend(wrongs(out, digest, whole=False))
            ended = in_child(lambda out=out: run_small(study, folder, out, engine))
            tally.wrong[trial] += [] if ended == Ended(0, digest) else [f"it ended with {ended}"]
            tally.wrong[trial] += wrongs(out, digest, whole=True)
            if not tally.wrong[trial]:
                del tally.wrong[trial]
            tally.kills += kills
            tally.trials += 1
            shutil.rmtree(out)
    tally.seconds = time.monotonic() - began
    return tally


def every_point(step: int = 1) -> Tally:
    """Kill a run before each of its operations in turn, and let another finish it."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="surefoot-faults-") as made:
        folder = Path(made).resolve()
        study = write_study(folder)
        digest, operations, _ = _undisturbed(study, folder, "in_process")
        tally = Tally(digest)
        for number in range(0, operations, step):
            out = folder / f"runs-{number}"

            def killed(out: Path = out, number: int = number) -> str:
                die_before(out, number)
                return run_small(study, folder, out)

            ended = in_child(killed)
            found = [] if ended.status == -signal.SIGKILL else [f"it was not killed: {ended}"]
            found += wrongs(out, digest, whole=False)
            ended = in_child(lambda out=out: run_small(study, folder, out))
            found += [] if ended == Ended(0, digest) else [f"it ended with {ended}"]
            found += wrongs(out, digest, whole=True)
            if found:
                tally.wrong[number] = found
                print(f"operation {number}: {'; '.join(found)}", file=sys.stderr)
            tally.kills += 1
            tally.trials += 1
            shutil.rmtree(out)
    tally.seconds = time.monotonic() - began
    return tally


def _undisturbed(study: Study, folder: Path, engine: str) -> tuple[str, int, float]:
    """The digest, the number of operations, and the seconds of a run that nobody kills."""
    run_small(study, folder, folder / "warm")  # here, so that children find everything imported

    def work() -> str:
        count = count_operations(folder / "plain")
        return f"{run_small(study, folder, folder / 'plain', engine)} {count()}"

    began = time.monotonic()
    ended = in_child(work)
    if ended.status != 0:
        raise SystemExit(f"The undisturbed run ended with {ended}")
    digest, operations = ended.said.split()
    return digest, int(operations), time.monotonic() - began


def _kill_one(
    study: Study, folder: Path, out: Path, engine: str, drawn: random.Random, operations: int, seconds: float
) -> bool:
    """Start a run and kill it; whether it was still running."""
    by_operation = drawn.random() < 0.5
    number, wait = drawn.randrange(operations), drawn.random() * seconds

    def work() -> str:
        if by_operation:
            die_before(out, number)
        return run_small(study, folder, out, engine)

    child = start(work)
    if not by_operation:
        time.sleep(wait)
        hit = child[0]
        workers = _children_of(hit)
        if engine == "workers" and workers and drawn.random() < 0.5:
            hit = drawn.choice(workers)
        with suppress(ProcessLookupError):
            os.kill(hit, signal.SIGKILL)
    return end(child).status == -signal.SIGKILL


def _children_of(process: int) -> list[int]:
    try:
        return [int(each) for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []


def main() -> int:
    """Parse, try, print one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engine", choices=("in_process", "workers"), default="in_process")
    parser.add_argument("--every-point", action="store_true")
    parser.add_argument("--step", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.every_point:
        tally = every_point(given.step)
    else:
        tally = kill_and_resume(given.trials, given.seed, given.engine)
    print(tally.line(given.seed))
    return 1 if tally.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
