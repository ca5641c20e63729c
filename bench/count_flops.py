"""Write into a race's cases the matrix products of one run of ours, as torch counts them.

    python bench/count_flops.py dfr_liblinear [another race with the same cases ...]

Run it after a change of the method: `limit_fraction` divides these by the time.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from side import load
from torch.utils.flop_counter import FlopCounterMode

HERE = Path(__file__).resolve().parent


def main(races: list[str]) -> None:
    counted: dict[str, float] = {}
    for name in races:
        folder = HERE / "races" / name
        plan = json.loads((folder / "race.json").read_text())
        script = folder.parent / plan.get("ours", name) / "ours.py"
        module = load(script)
        for case in plan["cases"]:
            # Peers' tolerances do not change what ours does.
            key = json.dumps(case["parameters"] | {"tolerance": None}, sort_keys=True)
            if key not in counted:
                work = module.prepare(case["parameters"])
                with FlopCounterMode(display=False) as counter:
                    work()
                counted[key] = float(f"{counter.get_total_flops():.3g}")
            case["flops"] = counted[key]
            print(f"{name}  {case['name']}: {case['flops']:.3g}")
        (folder / "race.json").write_text(json.dumps(plan, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
