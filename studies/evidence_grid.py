"""Which number chooses a network? Grids of depth, width and prior precision on digits, eight criteria, test rows.

    python studies/evidence_grid.py               two seeds; prints tables, keeps finished cells in runs/evidence_grid
    python studies/evidence_grid.py --quick       few small networks on few rows, in seconds: does it all run?
    python studies/evidence_grid.py --finished    only tells what is finished
    python studies/evidence_grid.py --publish     also writes the page: its tables, data and picture
    python studies/evidence_grid.py --told        writes the page again from the published cells, training nothing

A killed run goes on where it was; all of it takes about ten minutes of one core. Cells do not know the version of the
code: after a change to it, delete the folder.

Rows: scikit-learn's 1,797 digits of 8×8 pixels; 1,000 of them, the same for every seed, are judged. A seed draws 500 of
the others, holds 100 of these out (the same for all candidates), and starts the networks. A candidate is an
architecture (perceptrons, and convolutional networks; ReLU; one normal prior N(0, 1/λ) on every weight and bias) and
one of five λ, or the λ that the evidence of its known rows prefers.

Every candidate climbs from fresh weights by AdamW on the known rows alone, which avoids the dead ends that L-BFGS falls
into, then by L-BFGS to a mode given the known rows, and from there to one given all: both modes are in one valley as
far as possible, and no held-out row has a part in what is held against it. How far from a mode it stays is recorded.

Curvature is Kronecker-factored for all candidates, since evidences of different structures do not compare; small
perceptrons are expanded with full and diagonal curvature as well, to see what that changes. Draws go through the
network linearised at the mode, or, as published, through the network itself with deviations multiplied by t; t is
searched by accuracy on half of the held-out rows, and the other half judges.

Source: Lotfi et al. (2022), "Bayesian model selection, the marginal likelihood, and generalization", §6; Kirsch (2024),
"On Bayesian model selection: the marginal likelihood, cross-validation, and conditional log marginal likelihood", ICLR
blog posts. They have CIFAR-10 and -100.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from evidence_grid_tables import picture, summarise, tables, with_tables
from sklearn.datasets import load_digits

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian
from surefoot.errors import InputError
from surefoot.evidence.conditional import ScaleSearch, conditional_by_difference, conditional_by_draws
from surefoot.evidence.criteria import CriteriaSettings, criteria_of
from surefoot.evidence.laplace.evidence import evidence_of
from surefoot.evidence.laplace.expand import expand
from surefoot.evidence.laplace.expansion import Structure
from surefoot.evidence.laplace.tune import tune
from surefoot.evidence.laplace_draws import draw_expansion
from surefoot.evidence.parts import part_rows
from surefoot.evidence.row_likelihoods import Way, average_accuracy, average_losses, likelihoods_of
from surefoot.files import digest_json, read_json, write_json, write_text
from surefoot.inference.ascend import Ascend, ascend
from surefoot.inference.chains.chains import Chains
from surefoot.networks.build import build_cnn, build_mlp
from surefoot.networks.network import Network, Parameters, forward, parameters_of
from surefoot.rows.rows import Rows, make_rows

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "docs" / "data" / "evidence-grid.json"
CLASSES, SHARE, HALF = 10, 0.8, 0.5
TUNING = 2
"""Rounds of climbing and setting the precision by evidence, from λ = 1."""


@dataclass(frozen=True)
class Settings:
    """Sizes of the study. mlp, cnn: (depths, widths). small: up to how many parameters other structures are tried."""

    rows: int = 500
    judged: int = 1000
    mlp: tuple[tuple[int, ...], tuple[int, ...]] = ((1, 2, 3), (4, 8, 16, 32))
    cnn: tuple[tuple[int, ...], tuple[int, ...]] = ((1, 2), (4, 8, 16))
    hidden: int = 32
    precisions: tuple[float, ...] = (0.001, 0.01, 0.1, 1.0, 10.0)
    epochs: int = 60
    rounds: int = 8
    draws: int = 50
    small: int = 800


QUICK = Settings(
    rows=100,
    judged=200,
    mlp=((1, 2), (4,)),
    cnn=((1,), (4,)),
    hidden=8,
    precisions=(0.1, 1.0),
    epochs=20,
    rounds=2,
    draws=5,
)


@dataclass(frozen=True)
class Cell:
    """One candidate with the rows of one seed. precision: λ; None is the one that the evidence prefers."""

    seed: int
    kind: str
    depth: int
    width: int
    precision: float | None

    def name(self) -> str:
        told = "tuned" if self.precision is None else f"{self.precision:g}"
        return f"{self.seed}-{self.kind}-{self.depth}-{self.width}-{told}"

    def network(self, settings: Settings) -> Network:
        widths = (self.width,) * self.depth
        if self.kind == "MLP":
            return build_mlp(64, widths, CLASSES, self.seed)
        return build_cnn((1, 8, 8), widths, settings.hidden, CLASSES, self.seed)


def cells(settings: Settings, seeds: int) -> Iterator[Cell]:
    """A seed is done before the next begins."""
    for seed in range(seeds):
        for precision in (*settings.precisions, None):
            for kind, (depths, widths) in (("MLP", settings.mlp), ("CNN", settings.cnn)):
                for depth in depths:
                    for width in widths:
                        yield Cell(seed, kind, depth, width, precision)


def split_rows(settings: Settings, seed: int) -> tuple[Rows, Rows]:
    """(learn, judge); the judged rows are the same for every seed."""
    found = load_digits()
    images = torch.from_numpy(found.data).float().view(-1, 1, 8, 8) / 16
    every = make_rows(images, torch.from_numpy(found.target).long())
    order = torch.randperm(len(every), generator=torch.Generator().manual_seed(0))
    judge, pool = every.take(order[: settings.judged]), every.take(order[settings.judged :])
    chosen = torch.randperm(len(pool), generator=torch.Generator().manual_seed(1000 + seed))[: settings.rows]
    return pool.take(chosen), judge


def run(cell: Cell, settings: Settings) -> dict[str, Any]:
    """All criteria of a candidate, from its learning rows, and what the judged rows say."""
    begun = time.process_time()
    rows, judge = split_rows(settings, cell.seed)
    known, later = part_rows(rows, SHARE, cell.seed)
    network = cell.network(settings)
    to_mode = Ascend(epochs=settings.rounds, optimiser="lbfgs", rate=1.0, schedule="constant")
    posterior = Posterior(network, categorical, Gaussian(1.0 if cell.precision is None else cell.precision))
    first_steps = Ascend(epochs=settings.epochs, batch=100, rate=1e-2)
    point = ascend(posterior, known, parameters_of(network), cell.seed, first_steps).point()
    if cell.precision is None:
        for _ in range(TUNING):
            point = ascend(posterior, known, point, cell.seed, to_mode).point()
            best = tune(expand(posterior, known, point, structure="kron"), optimiser="lbfgs")
            posterior = Posterior(network, categorical, Gaussian(float(best.precisions[0])))
    first = ascend(posterior, known, point, cell.seed, to_mode).point()

    told = CriteriaSettings(share=SHARE, structure="kron", draws=settings.draws, way="linearised")
    found = criteria_of(posterior, rows, first, cell.seed, to_mode, told)
    part = expand(posterior, known, first, structure="kron")
    given_known = draw_expansion(posterior, known, first, part, settings.draws, cell.seed)
    search = ScaleSearch(share=HALF, seed=cell.seed)
    scaled = conditional_by_draws(posterior, known, later, given_known, mode=first, scale=search)
    rest = part_rows(later, HALF, cell.seed).later  # on the others the scale was chosen
    of_rest = likelihoods_of(posterior, rest, given_known, mode=first, scale=scaled.scale)
    whole = expand(posterior, rows, found.mode, structure="kron")
    given_all = draw_expansion(posterior, rows, found.mode, whole, settings.draws, cell.seed)
    parameters = whole.parameters
    record: dict[str, Any] = {
        "parameters": parameters,
        "precision": float(whole.precisions[0]),
        "offset": max(found.offset, found.known_offset),
        "evidence": found.evidence / found.rows,
        "conditional": found.conditional / found.held,
        "drawn": found.drawn.value / found.held,
        "unscaled": averaged(posterior, later, given_known, first, 1.0, "network"),
        "drawn_scaled": scaled.value / scaled.rows,
        "bma": -found.bma_loss,
        "bma_scaled": -float(average_losses(of_rest).mean()),
        "map": -found.map_loss,
        "map_rest": _log_likelihood(network, first, rest),
        "effective": found.drawn.effective,
        "scaled_effective": scaled.effective,
        "scale": scaled.scale,
        "judge_accuracy": _accuracy(network, found.mode, judge),
        "judge_likelihood": _log_likelihood(network, found.mode, judge),
        "judge_bma_likelihood": averaged(posterior, judge, given_all, found.mode, 1.0, "linearised"),
        "judge_scaled_accuracy": average_accuracy(posterior, judge, given_all, found.mode, scaled.scale, "network"),
        "judge_scaled_likelihood": averaged(posterior, judge, given_all, found.mode, scaled.scale, "network"),
        "structures": {},
    }
    if cell.kind == "MLP" and parameters <= settings.small:
        for structure in ("full", "kron", "diag"):
            record["structures"][structure] = of_structure(
                structure, posterior, rows, found.mode, known, first, later, judge, settings.draws, cell.seed
            )
    return {**record, "seconds": time.process_time() - begun}


def of_structure(
    structure: Structure, posterior: Posterior, rows: Rows, mode: Parameters, known: Rows, first: Parameters,
    later: Rows, judge: Rows, draws: int, seed: int,
) -> dict[str, float]:  # fmt: skip
    """The criteria that depend on the curvature, and what the judged rows say of the average, under one structure."""
    whole = expand(posterior, rows, mode, structure=structure)
    part = expand(posterior, known, first, structure=structure)
    given_known = draw_expansion(posterior, known, first, part, draws, seed)
    given_all = draw_expansion(posterior, rows, mode, whole, draws, seed)
    return {
        "evidence": float(evidence_of(whole)) / len(rows),
        "conditional": float(conditional_by_difference(whole, part)) / len(later),
        "bma": averaged(posterior, later, given_known, first, 1.0, "linearised"),
        "judge": averaged(posterior, judge, given_all, mode, 1.0, "linearised"),
    }


def averaged(posterior: Posterior, rows: Rows, draws: Chains, mode: Parameters, scale: float, way: Way) -> float:
    """Mean log likelihood of the averaged prediction, nats a row."""
    return -float(average_losses(likelihoods_of(posterior, rows, draws, mode=mode, scale=scale, way=way)).mean())


def _accuracy(network: Network, point: Parameters, rows: Rows) -> float:
    with torch.no_grad():
        return float((forward(network, point, rows.inputs[:]).argmax(dim=1) == rows.targets).double().mean())


def _log_likelihood(network: Network, point: Parameters, rows: Rows) -> float:
    with torch.no_grad():
        logs = forward(network, point, rows.inputs[:]).double().log_softmax(dim=1)
    return float(logs.gather(1, rows.targets[:, None]).mean())


def _rounded(told: Any) -> Any:
    """Floats to six digits, in whatever holds them."""
    if isinstance(told, dict):
        return {name: _rounded(each) for name, each in told.items()}
    return float(f"{told:.6g}") if isinstance(told, float) else told


def study(settings: Settings, seeds: int, folder: Path, *, finished: bool) -> list[dict[str, Any]]:
    """The record of every cell, told on stderr; missing ones are computed, or with `finished` left out."""
    folder = folder / digest_json(asdict(settings))[:10]
    folder.mkdir(parents=True, exist_ok=True)
    every, found = list(cells(settings, seeds)), list[dict[str, Any]]()
    for number, cell in enumerate(every, start=1):
        path = folder / f"{cell.name()}.json"
        if not path.exists():
            if finished:
                continue
            try:
                record = {"refused": None, **run(cell, settings)}
            except InputError as error:
                record = {"refused": str(error)}
            write_json(path, record)
        record = _rounded(read_json(path))
        told = {"seed": cell.seed, "kind": cell.kind, "depth": cell.depth, "width": cell.width}
        found.append({**told, "tuned": cell.precision is None, "given": cell.precision, **record})
        said = record["refused"] or f"{record['judge_accuracy']:.3f} ({record['seconds']:.1f} s)"
        print(f"[{number}/{len(every)}] {cell.name()}: {said}", file=sys.stderr, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few small networks on few rows; seconds")
    parser.add_argument("--seeds", type=int, help="data seeds (2; with --quick 1)")
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "evidence_grid", help="where cells are kept")
    parser.add_argument(
        "--told", action="store_true", help="write tables, data and picture again from the cells of the published data"
    )
    parser.add_argument("--finished", action="store_true", help="compute nothing; tell what is finished")
    parser.add_argument(
        "--publish", action="store_true", help="write docs/evidence-grid.md's tables, its data and picture"
    )
    chosen = parser.parse_args()
    if chosen.quick and chosen.publish:
        parser.error("--quick says nothing that should be published; leave out one of the two")
    torch.set_num_threads(1)
    if chosen.told:
        record = read_json(DATA)
        publish({**record, **summarise(record["cells"], record["settings"]["precisions"])})
        return
    settings = QUICK if chosen.quick else Settings()
    seeds = chosen.seeds or (1 if chosen.quick else 2)
    found = study(settings, seeds, chosen.folder, finished=chosen.finished)
    record = {"settings": asdict(settings), "seeds": seeds, "cells": found, **summarise(found, settings.precisions)}
    print("\n\n".join(tables(record)))
    if chosen.publish:
        publish(record)


def publish(record: Mapping[str, Any]) -> None:
    page = ROOT / "docs" / "evidence-grid.md"
    write_json(DATA, record)
    write_text(ROOT / "docs" / "images" / "evidence-grid.svg", picture(record))
    write_text(page, with_tables(page.read_text(encoding="utf-8"), record))


if __name__ == "__main__":
    main()
