"""Do robust training methods learn better features, or only a better head? ERM, RWG and group DRO under one probe.

    python studies/probe_methods.py --rows dominoes        (4 minutes of processor time)
    python studies/probe_methods.py --rows coloured        (1 minute)
    python studies/probe_methods.py --rows text --features runs/text.safetensors   (studies/text.yaml says what it is)

Trains the whole network five times by each method at each correlation of shortcut and class, and probes what enters
its head (`surefoot.robust.probe`). The rows that the probe learns and chooses on have no correlation, whatever the
training rows had: the probe asks what the features hold, and must not itself be short of minority rows. Methods:

- ERM: AdamW, one cycle to 3e-3, batches of 64, 8 epochs; dominoes with shifts of ±1 pixel. On the text, whose rows are
  features of a sentence encoder, a hidden layer of 64, a cycle to 1e-2, 10 epochs.
- RWG: the same number of steps, each row drawn with replacement with probability ∝ 1/(rows of its group).
- group DRO: RWG's draws, and the loss Σ_g q_g ℓ_g with q_g ← q_g exp(.01 ℓ_g)/Z after every batch.

"balanced" is ERM on rows without correlation: what these rows allow. "blank" judges the same heads on judge rows
whose shortcut is wiped out (top half, or colour, removed). The text has neither. At 100 % only two groups exist: RWG
draws as ERM does, and group DRO weighs these two. (In the recorded run the two empty groups held a share of q, which
scales the loss; AdamW hardly reads its scale: decodability of two seeds moves by less than a point.)

Result: docs/data/probe_<rows>.json; docs/probe.md tells it. Izmailov et al. (2022), section 4, ask the same.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from surefoot.density.group_dro import GroupDRO
from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Objective
from surefoot.density.pools import mean
from surefoot.findings.finding import Finding, finding_to_json
from surefoot.findings.measure import measure
from surefoot.findings.predictions import predictions_for
from surefoot.inference.ascend import Ascend, ascend
from surefoot.networks.build import build_cnn, build_mlp
from surefoot.networks.network import embed, head_of, parameters_of
from surefoot.robust.head import LinearHead
from surefoot.robust.probe import Probing, Representation, probe
from surefoot.rows.assign import roles_from_split
from surefoot.rows.coloured import coloured_digits
from surefoot.rows.dominoes import dominoes
from surefoot.rows.reading import SPLIT_MEANING, read_rows
from surefoot.rows.roles import Roles
from surefoot.rows.rows import Groups, Rows

EPOCHS: Mapping[str, int] = {"dominoes": 8, "coloured": 8, "text": 10}
METHODS = ("ERM", "RWG", "group DRO")
DATA = Path(__file__).resolve().parents[1] / "docs" / "data"
CORRELATIONS: Mapping[str, tuple[float, ...]] = {
    "dominoes": (0.95, 0.99, 1.0),
    "coloured": (0.9, 0.95, 0.99),
    "text": (0.95,),
}


def roles_of(kind: str, correlation: float) -> Roles:
    """Fit rows with the correlation; choose and judge rows without any."""
    if kind == "dominoes":
        fit = dominoes(correlation=correlation, sizes={"fit": 4800})
        return {**fit, **dominoes(correlation=0.5, sizes={"choose": 2000, "judge": 4800})}
    rest = coloured_digits(correlation=0.5)
    return {"fit": coloured_digits(correlation=correlation)["fit"], "choose": rest["choose"], "judge": rest["judge"]}


def roles_of_file(path: Path) -> Roles:
    """Fit, choose and judge rows of a file of features with a split column, whatever correlation they have."""
    reading = read_rows(path)
    if reading.split is None:
        raise SystemExit(f"{path} has no split; write it with `surefoot features` from a table that has one.")
    roles = roles_from_split(reading.rows, reading.split, SPLIT_MEANING)
    return {"fit": roles["fit"], "choose": roles["choose"], "judge": roles["judge"]}


def blanked(kind: str, rows: Rows) -> Rows:
    """The same rows without their shortcut: no top digit, or no colour; a text stays as it is."""
    if kind == "text":
        return rows
    inputs = rows.inputs[:].clone()
    if kind == "dominoes":
        inputs[:, :, :14] = 0
    else:
        inputs[:, :2] = inputs[:, :2].sum(dim=1, keepdim=True) / 2
    return rows.with_inputs(inputs)


def drawn(rows: Rows, epochs: int, seed: int) -> Rows:
    """epochs · n rows with replacement, every group that has rows equally likely; the other groups are left out."""
    groups, counts = rows.groups, rows.groups.counts()
    each = (groups.members / counts.clamp(min=1)).sum(dim=1)
    names = tuple(name for name, count in zip(groups.names, counts.tolist(), strict=True) if count)
    present = replace(rows, groups=Groups(names, groups.members[:, counts > 0]))
    generator = torch.Generator().manual_seed(1000 + seed)
    return present.take(torch.multinomial(each, epochs * len(rows), replacement=True, generator=generator))


def trained(kind: str, method: str, roles: Roles, seed: int) -> tuple[Roles, LinearHead, Rows]:
    """Features of choose and judge rows, the network's own head, and features of the blanked judge rows."""
    fit = roles["fit"]
    shape = tuple(fit.inputs[:1].shape[1:])
    if kind == "text":
        network = build_mlp(shape[0], 64, classes=2, seed=seed)
    else:
        network = build_cnn(shape, (16, 32), hidden=64, classes=2, seed=seed)
    pool = GroupDRO() if method == "group DRO" else mean
    resampled = method != "ERM"
    settings = Ascend(
        epochs=1 if resampled else EPOCHS[kind],
        shift=1 if kind == "dominoes" else 0,
        rate=0.01 if kind == "text" else 0.003,
    )
    used = drawn(fit, EPOCHS[kind], seed) if resampled else fit
    point = ascend(Objective(network, categorical, pool), used, parameters_of(network), seed, settings).point()

    def seen(rows: Rows) -> Rows:
        with torch.no_grad():
            return rows.with_inputs(torch.cat([embed(network, point, part) for part in rows.inputs[:].split(512)]))

    own = head_of(network, point)
    features: Roles = {"choose": seen(roles["choose"]), "judge": seen(roles["judge"])}
    return features, LinearHead(own.weight, own.bias), seen(blanked(kind, roles["judge"]))


def judged_blank(
    name: str, probing: Probing, heads: Sequence[LinearHead], blank: Sequence[Rows]
) -> tuple[Finding, ...]:
    """Worst groups of the model's own heads and of the probe's, on judge rows without their shortcut."""
    (attribute,) = probing.attributes
    found: list[Finding] = []
    for what, those in (("own", heads), ("core", probing.heads[name]["core", attribute])):
        said = torch.stack([head.probabilities(rows.inputs[:]) for head, rows in zip(those, blank, strict=True)])
        measured = measure(predictions_for(blank[0], said), subject=name, source="judge")
        found += [
            replace(each, name=f"{what}_worst_group_blank") for each in measured if each.name == "worst_group_accuracy"
        ]
    return tuple(found)


def block(kind: str, roles: Roles, correlation: float, methods: Sequence[str], seeds: int) -> dict[str, Any]:
    """Everything measured at one correlation, as plain JSON."""
    of = {method: [trained(kind, method, roles, seed) for seed in range(seeds)] for method in methods}
    names = {method: "balanced" if correlation == 0.5 else method for method in methods}
    probing = probe(
        [
            Representation(names[method], tuple(run[0] for run in runs), tuple(run[1] for run in runs))
            for method, runs in of.items()
        ]
    )
    findings = [each for each in probing.findings if each.slice == "all" and each.direction == "higher"]
    for method, runs in of.items() if kind != "text" else ():
        findings += judged_blank(names[method], probing, [run[1] for run in runs], [run[2] for run in runs])
    for each in findings:
        ends = "" if each.interval is None else f"[{each.interval.low:.3f}, {each.interval.high:.3f}]"
        print(f"{correlation:.0%}  {each.subject:12} {each.name:28} {each.value:.3f} {ends}", flush=True)
    return {
        "correlation": correlation,
        "findings": [finding_to_json(each) for each in findings],
        "differences": [finding_to_json(each) for each in probing.differences],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", choices=tuple(CORRELATIONS), default="dominoes")
    parser.add_argument("--features", type=Path, metavar="FILE", help="the rows of --rows text")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=DATA)
    given = parser.parse_args()
    torch.set_num_threads(1)
    began = time.process_time()
    blocks: list[dict[str, Any]] = []
    if (given.rows == "text") != (given.features is not None):
        parser.error("--rows text and --features FILE go together")
    for correlation in (*CORRELATIONS[given.rows], *((0.5,) if given.features is None else ())):
        methods = ("ERM",) if correlation == 0.5 else ("ERM", "group DRO") if correlation == 1 else METHODS
        roles = roles_of(given.rows, correlation) if given.features is None else roles_of_file(given.features)
        blocks.append(block(given.rows, roles, correlation, methods, given.seeds))
    given.out.mkdir(parents=True, exist_ok=True)
    record = {"rows": given.rows, "seeds": given.seeds, "processor_seconds": round(time.process_time() - began)}
    (given.out / f"probe_{given.rows}.json").write_text(json.dumps({**record, "blocks": blocks}, indent=1) + "\n")


if __name__ == "__main__":
    main()
