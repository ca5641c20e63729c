"""What makes features good? Architecture × pretraining × weight decay × length of training, on dominoes.

    for each in mlp cnn; do python studies/probe_grid.py --architecture $each; done
    python studies/probe_grid.py --architecture resnet --seeds 2
    python studies/probe_grid.py --summarise

Every network reads 2,400 dominoes whose top digit agrees with the class in 95 %; what enters its head is then probed
by DFR on 2,000 choose rows without correlation and judged on 2,400 others. Rows, starting weights and draws are new
for each of five seeds. Factors:

- architecture: mlp (one hidden layer of 64), cnn (16 and 32 channels, 64 hidden); a resnet (8 layers, FRN, width 8)
  stands beside the grid with two seeds, being as costly as the rest together;
- pretraining on half of the 5,000 digits (those of the fit and repair pools, none that choose or judge rows show), one
  digit on an empty canvas, above or below, 4 epochs of 5,000 images: none; rotation (by which of four quarter turns
  was it turned?); digits (which of ten is it?). A new head follows;
- weight decay of AdamW, 0 or 0.3 (decoupled; at the rate of 3e-3 that shrinks weights by .1 % a step);
- 4 or 12 epochs.

Result: docs/data/probe_grid.csv, one line a cell and seed, and probe_grid.json: for every factor the share of the
variance over the 24 cells that its main effect explains, and the contrast of its levels; each is computed in every
seed and told as mean and Student's interval over the five. Izmailov et al. (2022), sections 5 and 6, ask the same.
"""

import argparse
import csv
import itertools
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Objective
from surefoot.density.pools import mean
from surefoot.findings.quantiles import student_quantile
from surefoot.inference.ascend import Ascend, ascend
from surefoot.networks.build import build_cnn, build_mlp, build_resnet
from surefoot.networks.network import Network, Parameters, embed, head_of, parameters_of
from surefoot.robust.dfr import DFRSettings, dfr
from surefoot.robust.head import LinearHead
from surefoot.robust.protocol import score
from surefoot.rows.digits import digit_names, halved, load_digits
from surefoot.rows.dominoes import digit_pools, dominoes
from surefoot.rows.rows import Rows, make_rows

DATA = Path(__file__).resolve().parents[1] / "docs" / "data"
FACTORS = {
    "architecture": ("mlp", "cnn"),
    "pretraining": ("none", "rotation", "digits"),
    "decay": ("0", "0.3"),
    "epochs": ("4", "12"),
}
ASIDE = "resnet"
"""Run on fewer seeds, because it costs as much as the rest together; told beside the grid, not in it."""
MEASURED = ("core_decodability", "own_worst_group", "in_distribution")
CORRELATION = 0.95


def network_of(architecture: str, classes: int, seed: int) -> Network:
    """An untrained network for 28×14 images."""
    match architecture:
        case "mlp":
            return build_mlp(28 * 14, (64,), classes, seed)
        case "cnn":
            return build_cnn((1, 28, 14), (16, 32), 64, classes, seed)
        case _:
            return build_resnet((1, 28, 14), 8, 1, classes, seed)


def single_digits(task: str, seed: int) -> Rows:
    """Every digit of the fit and repair pools twice, once above and once below, on an empty canvas."""
    digits = load_digits()
    pools = digit_pools(digits.labels.numpy(), seed)
    places = np.concatenate([*pools["fit"], *pools["repair"]])
    both = torch.from_numpy(np.concatenate([places, places]))
    generator = torch.Generator().manual_seed(seed)
    turns = torch.randint(4, (len(both),), generator=generator)
    pixels = halved(digits)[both]
    if task == "rotation":
        pixels = torch.stack(
            [torch.rot90(image, int(turn)) for image, turn in zip(pixels, turns.tolist(), strict=True)]
        )
    canvas = torch.zeros(len(both), 1, 28, 14)
    canvas[: len(places), 0, :14] = pixels[: len(places)]
    canvas[len(places) :, 0, 14:] = pixels[len(places) :]
    targets = turns if task == "rotation" else digits.labels[both].long()
    ids = np.array([f"single:{row}" for row in range(len(both))])
    return make_rows(canvas, targets, ids=ids, sources=digit_names(both.numpy())[:, None])


def fitted(network: Network, start: Parameters, rows: Rows, epochs: int, decay: float, seed: int) -> Parameters:
    """The network trained on rows by AdamW, one cycle."""
    settings = Ascend(epochs=epochs, weight_decay=decay, shift=1)
    return ascend(Objective(network, categorical, mean), rows, start, seed, settings).point()


def pretrained(architecture: str, task: str, seed: int) -> Parameters:
    """Starting tensors for two classes; all but the head come from pretraining."""
    fresh = parameters_of(network_of(architecture, 2, seed))
    if task == "none":
        return fresh
    rows = single_digits(task, seed)
    network = network_of(architecture, len(rows.classes), seed)
    learned = fitted(network, parameters_of(network), rows, 4, 0.0, seed)
    return {name: fresh[name] if name.startswith("head.") else tensor for name, tensor in learned.items()}


def measured(network: Network, point: Parameters, roles: dict[str, Rows], seed: int) -> tuple[float, float, float]:
    """Core decodability, the own head's worst group, and its accuracy with the groups' shares of the fit rows."""

    def seen(rows: Rows) -> Rows:
        with torch.no_grad():
            return rows.with_inputs(torch.cat([embed(network, point, part) for part in rows.inputs[:].split(512)]))

    judge = seen(roles["judge"])
    new = dfr({"choose": seen(roles["choose"])}, DFRSettings(learn="choose", retrains=10), seed)
    own = head_of(network, point)
    head = LinearHead(own.weight, own.bias)
    right = (head.logits(judge.inputs[:]).argmax(dim=1) == judge.targets).double()
    shares = roles["fit"].groups.counts().double() / len(roles["fit"])
    members = judge.groups.members.double()
    weighted = float((right @ members / members.sum(dim=0)) @ shares)
    return (
        score(new.head, judge, role="judge").worst_group_accuracy,
        score(head, judge, role="judge").worst_group_accuracy,
        weighted,
    )


def run(architecture: str, seeds: int, out: Path) -> None:
    """All cells of one architecture; a line as soon as it is known."""
    path = out / f"probe_grid_{architecture}.csv"
    with path.open("w", newline="", encoding="utf-8") as opened:
        table = csv.writer(opened, lineterminator="\n")
        table.writerow([*FACTORS, "seed", *MEASURED])
        for seed in range(seeds):
            fit = dominoes(correlation=CORRELATION, sizes={"fit": 2400}, seed=seed)
            roles = {**fit, **dominoes(correlation=0.5, sizes={"choose": 2000, "judge": 2400}, seed=seed)}
            for task in FACTORS["pretraining"]:
                start = pretrained(architecture, task, seed)
                for decay, epochs in itertools.product(FACTORS["decay"], FACTORS["epochs"]):
                    network = network_of(architecture, 2, seed)
                    point = fitted(network, start, roles["fit"], int(epochs), float(decay), seed)
                    found = measured(network, point, roles, seed)
                    line = [architecture, task, decay, epochs, seed, *(f"{value:.4f}" for value in found)]
                    table.writerow(line)
                    opened.flush()
                    print(*line, flush=True)


def interval(values: Sequence[float]) -> dict[str, float]:
    """Mean and Student's 95 % interval over seeds."""
    count, middle = len(values), float(np.mean(values))
    half = student_quantile(0.975, count - 1) * float(np.std(values, ddof=1)) / math.sqrt(count)
    return {"value": middle, "low": middle - half, "high": middle + half}


def read(out: Path, architecture: str) -> list[dict[str, str]]:
    """The lines of one architecture."""
    with (out / f"probe_grid_{architecture}.csv").open(encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


def summarise(out: Path) -> None:
    """Join the architectures' tables, and say what each factor does."""
    lines = [line for architecture in FACTORS["architecture"] for line in read(out, architecture)]
    aside = read(out, ASIDE)
    seeds = sorted({line["seed"] for line in lines})
    axes = list(FACTORS)
    cube = np.full((len(seeds), *(len(levels) for levels in FACTORS.values()), len(MEASURED)), np.nan)
    for line in lines:
        place = tuple(FACTORS[name].index(line[name]) for name in axes)
        cube[(seeds.index(line["seed"]), *place)] = [float(line[name]) for name in MEASURED]
    assert not np.isnan(cube).any(), "a cell is missing: run every architecture first"
    told: dict[str, object] = {"correlation": CORRELATION, "seeds": len(seeds)}
    for number, name in enumerate(MEASURED):
        of = cube[..., number]
        total = of.reshape(len(seeds), -1).var(axis=1)
        factors: dict[str, object] = {}
        for axis, factor in enumerate(axes, start=1):
            others = tuple(place for place in range(1, of.ndim) if place != axis)
            levels = of.mean(axis=others)
            each = list(enumerate(FACTORS[factor]))
            factors[factor] = {
                "variance_explained": interval((levels.var(axis=1) / total).tolist()),
                "levels": {level: interval(levels[:, place].tolist()) for place, level in each},
                "minus_first": {
                    level: interval((levels[:, place] - levels[:, 0]).tolist()) for place, level in each[1:]
                },
            }
        told[name] = factors
    flat = cube.reshape(len(seeds), -1, len(MEASURED))
    told["correlations"] = {
        f"{one} with core_decodability": interval(
            [float(np.corrcoef(each[:, MEASURED.index(one)], each[:, 0])[0, 1]) for each in flat]
        )
        for one in MEASURED[1:]
    }
    told["aside"] = {
        "architecture": ASIDE,
        "seeds": len({line["seed"] for line in aside}),
        "core_decodability": {
            task: float(np.mean([float(line[MEASURED[0]]) for line in aside if line["pretraining"] == task]))
            for task in FACTORS["pretraining"]
        },
    }
    (out / "probe_grid.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    with (out / "probe_grid.csv").open("w", newline="", encoding="utf-8") as opened:
        table = csv.DictWriter(opened, [*FACTORS, "seed", *MEASURED], lineterminator="\n")
        table.writeheader()
        table.writerows([*lines, *aside])
    for architecture in (*FACTORS["architecture"], ASIDE):
        (out / f"probe_grid_{architecture}.csv").unlink()
    print(json.dumps({**told["core_decodability"], **told["correlations"], "aside": told["aside"]}, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--architecture", choices=(*FACTORS["architecture"], ASIDE))
    parser.add_argument("--summarise", action="store_true")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=DATA)
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.out.mkdir(parents=True, exist_ok=True)
    if given.architecture:
        run(given.architecture, given.seeds, given.out)
    if given.summarise:
        summarise(given.out)


if __name__ == "__main__":
    main()
