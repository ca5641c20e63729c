"""Six looks at weak-to-strong on digits: what fine-tuned students do, and which explanations of it hold.

    python studies/weak_analyses.py              five seeds; prints tables, keeps what is finished in runs/weak_analyses
    python studies/weak_analyses.py --quick      small networks on few rows, in half a minute: does it all run?
    python studies/weak_analyses.py --publish    also writes the numbers of docs/weak-analyses.md, its data and picture

A killed run goes on where it was; all of it takes about twenty minutes of one core. What is kept does not know the
version of the code: after a change to it, delete the folder.

Rows, networks and their rotation-pretrained bodies are those of `weak_vision.py`, in four sizes; there students are
heads on frozen bodies, and here **whole networks descend** (`weak_tuned.py`). Taught beside them on the same labels:
heads on the frozen bodies, networks that were never pretrained, and three epochs in place of twenty. Then, for some
pairs (`weak_looks.py`),

    courses      accuracy after every epoch: would weak labels have said when to stop?
    neighbours   labels filtered and relabelled by neighbours in the student's own pretrained features
    simulated    labels of one accuracy whose mistakes have other structures
    linearity    a linear probe of true labels on the body, before and after it was taught

Probes learn from the true labels of the 1,500 digits that bodies were pretrained on (without labels), which nobody else
sees. Judge rows judge, and the epochs of courses are chosen on one half of them and told on the other.

Source: Burns et al. (2023), "Weak-to-strong generalization", §4 and §5, appendix D.1.
"""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeAlias

import torch
from weak_analyses_tables import picture, tables
from weak_looks import changed, courses, linear, neighbours, simulated
from weak_tables import DOCS, asked, plain, publish, record_of, rounded
from weak_tuned import BASELINE, CONFIDENT, HEAD, HEAD_CONFIDENT, Tuned, grid_of, setting_of, ways
from weak_vision import QUICK as QUICK_VISION
from weak_vision import Settings

from surefoot.findings.predictions import Predictions, predictions_for
from surefoot.rows.rows import Rows
from surefoot.supervise.gap import recovered_gap
from surefoot.supervise.labels import halve, true_labels
from surefoot.supervise.pairs import Grid

ROOT = Path(__file__).resolve().parents[1]
Record: TypeAlias = dict[str, Any]

SETTINGS = Settings(widths=(2, 4, 8, 16))
QUICK = replace(QUICK_VISION, epochs=3)


def study(settings: Settings, seeds: int, folder: Path) -> Record:
    """All of it as a plain record, to six digits."""
    setting, labelled, judge = setting_of(settings, folder)
    grid = grid_of(setting, labelled, judge, seeds)
    record = record_of(grid, asdict(settings), seeds, baseline=BASELINE)
    record["heads"] = heads(setting, grid, labelled, judge, seeds)
    record["courses"] = courses(setting, labelled, judge, seeds)
    record["neighbours"] = neighbours(setting, labelled, judge, seeds)
    record["simulated"] = simulated(setting, labelled, judge, seeds)
    record["linear"] = linear(setting, labelled, judge, seeds)
    return rounded(record)


def heads(setting: Tuned, grid: Grid, labelled: Rows, judge: Rows, seeds: int) -> list[Record]:
    """Fine-tuned students against heads on frozen bodies of the same labels; each with the ceiling of its kind."""
    way = ways(setting.digits.settings)[HEAD]
    ceilings: dict[int, Predictions] = {}
    for size in range(len(grid.sizes)):
        layers = [
            setting.said(size, true_labels(halve(labelled, seed).student), way, seed, (judge,))[0]
            for seed in range(seeds)
        ]
        ceilings[size] = predictions_for(judge, torch.stack(layers))
    found: list[Record] = []
    for weak in range(len(grid.sizes)):
        for strong in range(weak + 1, len(grid.sizes)):
            row: Record = {
                "weak": grid.sizes[weak].name, "strong": grid.sizes[strong].name,
                "ceiling": float(grid.ceilings[strong].correct().mean()),
                "ceiling_of_heads": float(ceilings[strong].correct().mean()),
            }  # fmt: skip
            for tuned, head in ((BASELINE, HEAD), (CONFIDENT, HEAD_CONFIDENT)):
                one, two = grid.students[weak, strong, tuned], grid.students[weak, strong, head]
                own = recovered_gap(grid.supervisors[weak], two, ceilings[strong], source="judge")
                row[tuned] = {"minus_head": changed(two, one), "recovered_by_head": plain(own.recovered)}
            found.append(row)
    return found


def main() -> None:
    chosen = asked(__doc__, seeds=5, quick_seeds=2, folder=ROOT / "runs" / "weak_analyses")
    record = study(QUICK if chosen.quick else SETTINGS, chosen.seeds, chosen.folder)
    frozen = json.loads((DOCS / "data" / "weak-vision.json").read_text(encoding="utf-8"))
    blocks = tables(record, frozen)
    print("\n\n".join(blocks))
    if chosen.publish:
        publish("analyses", record, blocks, picture(record), page="weak-analyses.md")


if __name__ == "__main__":
    main()
