"""What grows how: seconds of processor and peak memory of three commands at 10⁴, 10⁵ (and 10⁶) rows; lines of JSON.

    .venv/bin/python bench/scale.py [--million] [--commands repair,probe,card] [--methods dfr,dfr_choose]
        [--data FOLDER]

Features are 768 half-precision numbers a row, of two classes and an attribute that agrees with the class in 95 % of
the rows. `repair` and `probe` read them from their file whatever its size (as they do from 512 MiB on); `card` reads a
table of labels, two probabilities and the attribute. Each runs in a process of its own. `exponent` is that of the
growth since the size before: 1 is proportional to rows. `cpu_s` is the processor's time of user and system, `peak_mib`
the most memory that the process had, libraries included (`VmHWM`). `load` is that of the machine, of the last minute.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

SIZES = (10_000, 100_000)
MILLION = 1_000_000
WIDTH = 768

MAKE = """
import sys, torch, numpy as np
from safetensors.torch import save_file
rows, width, features, table = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
generator = torch.Generator().manual_seed(0)
y = torch.randint(2, (rows,), generator=generator)
a = torch.where(torch.rand(rows, generator=generator) < 0.95, y, 1 - y)
p = torch.sigmoid(torch.randn(rows, generator=generator) + 2.0 * y + 1.0 * a - 1.5)
with open(table, "w") as opened:
    opened.write("label,p_0,p_1,place\\n")
    for label, share, place in zip(y.tolist(), p.tolist(), a.tolist()):
        opened.write(f"{label},{1 - share:.6f},{share:.6f},{place}\\n")
x = torch.empty(rows, width, dtype=torch.float16)
for start in range(0, rows, 10_000):
    stop = min(start + 10_000, rows)
    block = torch.randn(stop - start, width, generator=generator)
    block[:, 0] += 1.5 * (2 * y[start:stop] - 1)
    block[:, 1] += 3.0 * (2 * a[start:stop] - 1)
    x[start:stop] = block.half()
save_file({"x": x, "y": y, "a": a}, features)
"""
RUN = """
import sys
from pathlib import Path
import surefoot.rows.features as features
told, features.LARGE = Path(sys.argv.pop(1)), 1
from surefoot.cli import main
try:
    main()
finally:
    told.write_text(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


class Measured(NamedTuple):
    """Of one command: seconds of processor and of wall, MiB of memory."""

    cpu: float
    wall: float
    peak: float


def main(sizes: Sequence[int], commands: Sequence[str], methods: str, data: Path) -> None:
    """Measure every command at every size, smallest first."""
    before: dict[str, tuple[int, Measured]] = {}
    for rows in sizes:
        features, table = data / f"scale-{rows}.safetensors", data / f"scale-{rows}.csv"
        if not (features.is_file() and table.is_file()):
            made = [sys.executable, "-c", MAKE, str(rows), str(WIDTH), str(features), str(table)]
            subprocess.run(made, check=True)
        asked = {
            "repair": ["repair", str(features), "--methods", methods],
            "probe": ["probe", str(features)],
            "card": ["card", str(table), "--groups", "place"],
        }
        for command in commands:
            load = os.getloadavg()[0]
            measured = measure(asked[command])
            line: dict[str, object] = {
                "command": command,
                "rows": rows,
                "cpu_s": round(measured.cpu, 1),
                "wall_s": round(measured.wall, 1),
                "peak_mib": round(measured.peak),
                "load": round(load, 1),
            }
            if command in before:
                old_rows, old = before[command]
                steps = math.log(rows / old_rows)
                line["exponent"] = {
                    "cpu": round(math.log(measured.cpu / old.cpu) / steps, 2),
                    "peak": round(math.log(measured.peak / old.peak) / steps, 2),
                }
            before[command] = rows, measured
            print(json.dumps(line), flush=True)


def measure(arguments: Sequence[str]) -> Measured:
    """Run a command of surefoot in a process and a folder of its own; ends this program where the command fails."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "peak"
        began = time.perf_counter()
        child = subprocess.Popen(
            [sys.executable, "-c", RUN, str(told), *arguments, "--out", str(Path(folder) / "runs"), "--quiet"],
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert child.stderr is not None
        said = child.stderr.read().decode()
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"surefoot {' '.join(arguments)} ended with {child.returncode}:\n{said}")
        wall = time.perf_counter() - began
        return Measured(used.ru_utime + used.ru_stime, wall, int(told.read_text()) / 1024)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--million", action="store_true")
    parser.add_argument("--commands", default="repair,probe,card")
    parser.add_argument("--methods", default="dfr,dfr_choose")
    parser.add_argument("--data", type=Path, help="where features are made and kept; else a temporary folder")
    given = parser.parse_args()
    chosen = (*SIZES, MILLION) if given.million else SIZES
    with tempfile.TemporaryDirectory() as temporary:
        main(chosen, given.commands.split(","), given.methods, given.data or Path(temporary))
