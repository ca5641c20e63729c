"""Races: a peer and ours on the same work, with the same threads and the same answer, in one run.

    make bench RACE=demo_train      one race
    make bench RACE=dfr             the races whose names begin with dfr_, a folder for each peer
    make bench                      all of them

Each run puts its lines in place of the older ones of the same races in bench/results/, with a table and a plot.

A race is a folder `bench/races/<name>/` with

- `race.json`: peer (its name and version as users know it), threads, rounds, tolerance, what the tolerance
  compares, and the cases: {name, flops or bytes of one run, parameters};
- `ours.py` and `peer.py`, each with `prepare(parameters) -> work` and `work() -> {name: array}`: the answer.
  Preparing is not timed; the work is. Work may return a function of no argument in place of the answer, which is called
  after the clock has stopped: what measures how good a result is need not be part of the race.
  A race of the same work against another peer names that race under `"ours"`, and has no `ours.py`;
- `requirements.txt` (optional): the peer's own environment, built on first use in `bench/.venv-<name>`.
  Without it the peer runs on the project's interpreter.

A case may have `rounds` of its own.

A case whose peer would take too long may say `"scaled": {"ran": 3, "of": 30}`: the peer does 3 of 30 equal parts of the
work and its time is multiplied by 10; the line then says so.

Each side lives in a process of its own, and the two take turns (ours, theirs, theirs, ours, …) so that a
machine that slows down slows both. One JSON line per case:

    race, case, peer, ours_s, theirs_s, ratio (theirs / ours, medians), agree (answers match to the tolerance in
    every round), difference (the largest seen), limit_fraction (of the fastest float32 product, or copy,
    measured in this run), threads, ours_mib and theirs_mib (where the system tells: the most memory that a side's
    process ever held, with its libraries)
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent


class Side:
    """One contestant: a process that prepares once and runs its work each time it is asked."""

    def __init__(self, python: Path, script: Path, parameters: dict[str, Any], threads: int) -> None:
        environment = os.environ | {
            "OMP_NUM_THREADS": str(threads),
            "MKL_NUM_THREADS": str(threads),
            "OPENBLAS_NUM_THREADS": str(threads),
            "GOMP_SPINCOUNT": "0",
        }
        # Set for some machine's sake, these slow numpy down and would handicap peers.
        for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
            environment.pop(name, None)
        self.script = script
        self.process = subprocess.Popen(
            [str(python), str(HERE / "side.py"), str(script), json.dumps(parameters), str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self._answer()

    def run(self, answer: Path) -> float:
        """Run the work once; returns its seconds and leaves its answer in `answer`."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{answer}\n")
        self.process.stdin.flush()
        return float(self._answer())

    def peak(self) -> float | None:
        """The most memory that the process held so far, in MiB; None where the system has no /proc."""
        status = Path(f"/proc/{self.process.pid}/status")
        lines = status.read_text().splitlines() if status.exists() else []
        held = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
        return round(held[0] / 1024, 1) if held else None

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def _answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.script} stopped with exit code {self.process.wait()}; its error is above.")
        return line.strip()


def interpreter(race: Path) -> Path:
    """The peer's python: its own environment when it has requirements, else ours."""
    requirements = race / "requirements.txt"
    if not requirements.exists():
        return Path(sys.executable)
    folder = HERE / f".venv-{race.name}"
    python = folder / "bin" / "python"
    ready = folder / ".ready"
    if not ready.exists() or ready.stat().st_mtime < requirements.stat().st_mtime:
        print(f"Building the peer's environment for {race.name}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-qq", "-r", str(requirements)], check=True)
        # This package breaks its neighbours where only a CUDA build of it exists, and no race needs it.
        subprocess.run([str(python), "-m", "pip", "uninstall", "-qq", "-y", "torchvision"], check=True)
        ready.touch()
    return python


def largest_difference(ours: Path, theirs: Path) -> float:
    """The largest |ours − theirs| ⁄ max(1, |theirs|) over every array of the answer."""
    with np.load(ours, allow_pickle=False) as left, np.load(theirs, allow_pickle=False) as right:
        if sorted(left.files) != sorted(right.files):
            sys.exit(f"The answers name different things: {sorted(left.files)} and {sorted(right.files)}.")
        return max(
            float(np.max(np.abs(left[name] - right[name]) / np.maximum(1.0, np.abs(right[name]))))
            for name in left.files
        )


def machine_limit(kind: str, threads: int) -> float:
    """The best measured flops per second of a float32 product (or bytes per second of a copy) on `threads`."""
    side = Side(Path(sys.executable), HERE / "limit.py", {"kind": kind}, threads)
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "limit.npz"
        side.run(answer)
        side.close()
        with np.load(answer, allow_pickle=False) as read:
            return float(read["per_second"])


def run_race(race: Path) -> list[dict[str, Any]]:
    """Every case of one race."""
    plan = json.loads((race / "race.json").read_text())
    threads = int(plan["threads"])
    python = interpreter(race)
    results: list[dict[str, Any]] = []
    for case in plan["cases"]:
        kind = "flops" if "flops" in case else "bytes"
        limit = machine_limit(kind, threads)
        ours = Side(
            Path(sys.executable), race.parent / plan.get("ours", race.name) / "ours.py", case["parameters"], threads
        )
        theirs = Side(python, race / "peer.py", case["parameters"], threads)
        seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
        differences: list[float] = []
        with tempfile.TemporaryDirectory() as folder:
            left, right = Path(folder) / "ours.npz", Path(folder) / "theirs.npz"
            for turn in range(int(case.get("rounds", plan["rounds"])) + 1):
                order = [("ours", ours, left), ("theirs", theirs, right)]
                for name, side, answer in order if turn % 2 == 0 else reversed(order):
                    taken = side.run(answer)
                    if turn > 0:  # the first turn warms caches and allocators
                        seconds[name].append(taken)
                differences.append(largest_difference(left, right))
        peaks = ours.peak(), theirs.peak()
        ours.close()
        theirs.close()
        ours_s, theirs_s = (statistics.median(seconds[name]) for name in ("ours", "theirs"))
        if (scaled := case.get("scaled")) is not None:
            theirs_s *= scaled["of"] / scaled["ran"]
        line = {
            "race": race.name,
            "case": case["name"],
            "peer": plan["peer"],
            "ours_s": round(ours_s, 4),
            "theirs_s": round(theirs_s, 4),
            "ratio": round(theirs_s / ours_s, 3),
            "agree": max(differences) <= float(plan["tolerance"]),
            "difference": float(f"{max(differences):.3g}"),
            "limit_fraction": round(case[kind] / ours_s / limit, 3),
            "threads": threads,
        }
        if peaks[0] is not None:
            line["ours_mib"], line["theirs_mib"] = peaks
        if scaled is not None:
            line["scaled"] = f"the peer ran {scaled['ran']} of {scaled['of']} parts; its time is scaled up"
        print(json.dumps(line), flush=True)
        results.append(line)
    return results


def write_results(newest: list[dict[str, Any]], folder: Path) -> None:
    """A table (Markdown), the lines (JSONL) and a plot (SVG) of every race's newest run."""
    folder.mkdir(exist_ok=True)
    kept = folder / "races.jsonl"
    known = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    rerun = {line["race"] for line in newest}
    results = sorted([line for line in known if line["race"] not in rerun] + newest, key=lambda line: line["race"])
    (folder / "races.jsonl").write_text("".join(json.dumps(line) + "\n" for line in results))
    head = (
        "| race | case | peer | ours (s) | theirs (s) | ratio | answers agree | of the limit | threads | ours, theirs "
        "(MiB) |\n"
    )
    rows = "".join(
        f"| {r['race']} | {r['case']} | {r['peer']} | {r['ours_s']} | {r['theirs_s']}"
        f"{' (scaled)' if 'scaled' in r else ''} | **{r['ratio']} ×** | "
        f"{'yes' if r['agree'] else 'NO'} ({r['difference']}) | {r['limit_fraction']:.0%} | {r['threads']} | "
        f"{r.get('ours_mib', '–')}, {r.get('theirs_mib', '–')} |\n"
        for r in results
    )
    rule = "|---|---|---|---|---|---|---|---|---|---|\n"
    (folder / "races.md").write_text(f"# Races\n\nMade by `make bench`; medians, one machine.\n\n{head}{rule}{rows}")
    (folder / "races.svg").write_text(plot(results))


def plot(results: list[dict[str, Any]]) -> str:
    """Ratios as horizontal bars on a logarithmic scale, with the line at 1 × where peer and ours are equal."""
    sizes = [math.log2(max(float(r["ratio"]), 0.25)) for r in results]
    left, width, step = 420, 420, 34
    height = step * len(results) + 50
    scale = width / (max(1.0, *sizes) + 2) / 1.1
    one = left + 2 * scale  # ratios down to a quarter fit to the left of it
    bars = "".join(
        f'<text x="{left - 10}" y="{30 + step * i + 16}" text-anchor="end">{r["race"]}: {r["case"]}</text>'
        f'<rect x="{one + min(size, 0) * scale:.1f}" y="{30 + step * i + 2}" width="{abs(size) * scale:.1f}" '
        f'height="20" fill="{"#2b6cb0" if size >= 0 else "#c05621"}"/>'
        f'<text x="{one + max(size, 0) * scale + 6:.1f}" y="{30 + step * i + 17}">{r["ratio"]} ×</text>'
        for i, (r, size) in enumerate(zip(results, sizes, strict=True))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 60} {height}" '
        f'font-family="system-ui, sans-serif" font-size="13"><rect width="100%" height="100%" fill="white"/>'
        f'<text x="{left}" y="18">times faster than the peer (medians, logarithmic)</text>{bars}'
        f'<line x1="{one:.1f}" x2="{one:.1f}" y1="24" y2="{height - 14}" stroke="#c53030" stroke-dasharray="4 3"/>'
        "</svg>\n"
    )


def main(names: list[str]) -> None:
    """Run the named races, or all of them and write the results folder."""
    races = sorted(path.parent for path in (HERE / "races").glob("*/race.json"))
    meant = {race.name for race in races if not names}
    for name in names:
        found = {race.name for race in races if race.name == name or race.name.startswith(f"{name}_")}
        if not found:
            sys.exit(f"There is no race {name}; choose one of {', '.join(race.name for race in races)}.")
        meant |= found
    results = [line for race in races if race.name in meant for line in run_race(race)]
    write_results(results, HERE / "results")


if __name__ == "__main__":
    main(sys.argv[1:])
