"""When to trust the evidence of a Gaussian process: shapes, means learnt by heart, constraints, deep kernels.

    python studies/processes.py              everything, with tables; some minutes of one core
    python studies/processes.py --quick      few draws and rows, in seconds: does it all run?
    python studies/processes.py --parts shape features
    python studies/processes.py --publish    also writes docs/processes.md's tables, its data and picture
    python studies/processes.py --told       writes tables and picture again, from the data, without computing

Parts:

shape       the shape α of a rational-quadratic kernel, by evidence (LML), conditional evidence (CLML) and test
            likelihood: on the points of Lotfi et al. (2022), and on draws from the same process.
mean        a prior mean with many hyperparameters: a network, as they have it, and polynomials of rising degree.
constraint  is the function even, is it periodic? chosen by LML and by CLML.
features    deep kernels learnt by LML and by CLML, on scikit-learn's real rows and on Friedman's generated ones.
rows        20,000 generated rows with inducing points.

Finished parts are kept in runs/processes; delete the folder after a change to the code.

Every number is of float64 and one thread. Intervals (95 %) are over draws or trials. Trials on real rows split the same
rows again and again, and are not independent: their intervals say how much the split matters, not what new rows would.
"""

import argparse
import math
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float64
from processes_tables import picture, tables, with_tables
from sklearn import datasets
from torch import Tensor

from surefoot.evidence.prefixes import orders_of
from surefoot.evidence.processes.combine import Even, Scaled
from surefoot.evidence.processes.deep import deep_kernel
from surefoot.evidence.processes.free import REAL, positive
from surefoot.evidence.processes.kernels import RBF, Kernel, Periodic, RationalQuadratic
from surefoot.evidence.processes.learn import Learn, learn
from surefoot.evidence.processes.means import ConstantMean, Mean, ZeroMean, network_mean
from surefoot.evidence.processes.process import (
    Prediction,
    Process,
    condition,
    covariance,
    log_likelihood,
    predict,
    process_evidence,
    process_prefixes,
)
from surefoot.evidence.processes.sparse import (
    SparseProcess,
    condition_sparse,
    evidence_bound,
    inducing_rows,
    learn_sparse,
    predict_sparse,
)
from surefoot.files import digest_json, read_json, write_json, write_text
from surefoot.networks.build import build_mlp

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("shape", "mean", "constraint", "features", "rows")
VARIANCE = math.log(2.0)
"""The variance that the published kernels have without having been given one: softplus(0)."""
DEEP = Learn(optimiser="adam", steps=100, rate=0.01)
"""As published."""


@dataclass(frozen=True)
class Scale:
    """How much of everything. shapes: every so manieth of the 299 shapes, on draws."""

    orders: int = 400
    draws: int = 100
    shapes: int = 4
    overfitted: int = 10
    steps: int = 500
    degrees: int = 12
    chosen: int = 100
    counts: tuple[int, ...] = (10, 20, 40)
    trials: int = 10
    features: tuple[tuple[str, int], ...] = (
        ("diabetes", 100),
        ("diabetes", 300),
        ("wine", 100),
        ("friedman", 100),
        ("friedman", 400),
    )
    rows: int = 20_000
    points: int = 100
    sparse_steps: int = 60
    exact_rows: int = 1000


QUICK = Scale(
    20, 4, 60, 1, 20, 2, 4, (10,), 2, (("wine", 40),), 2000, 10, 4, 100
)  # fmt: skip


@dataclass(frozen=True)
class PolynomialMean:
    """Σ_j a_j T_j(x) of one input in [−1, 1], T_j Chebyshev's: a mean of the study's own, with free coefficients."""

    coefficients: Float64[Tensor, "terms"] = field(metadata=REAL)

    def of(self, rows: Float64[Tensor, "rows d"]) -> Float64[Tensor, "rows"]:
        angles = rows[:, 0].clamp(-1, 1).acos()
        degrees = torch.arange(len(self.coefficients), dtype=torch.float64)
        return (degrees * angles[:, None]).cos() @ self.coefficients


def drawn(process: Process, x: Tensor, seed: int) -> Tensor:
    lower = torch.linalg.cholesky(covariance(process, x))
    return lower @ torch.randn(len(x), dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


# The shape of a rational-quadratic kernel.


def rational(alpha: float) -> Process:
    kernel = Scaled(RationalQuadratic(positive(0.3), positive(alpha)), positive(VARIANCE))
    return Process(kernel, ZeroMean(), positive(0.01))


def shape(scale: Scale) -> dict[str, Any]:
    """The published points, and draws of α = 0.05 at 200 places, 50 of them seen."""
    grid = torch.linspace(0, 0.3, 300, dtype=torch.float64)[1:].tolist()
    given = read_json(ROOT / "docs" / "data" / "rational-quadratic.json")
    tensors = {name: torch.tensor(given[name], dtype=torch.float64) for name in ("x", "y", "test_x", "test_y")}
    x, test_x = tensors["x"][:, None], tensors["test_x"][:, None]
    curves = shape_curves(grid, x, tensors["y"], test_x, tensors["test_y"], orders_of(len(x), scale.orders, 0))
    few = [shape_curves(grid[:40], x, tensors["y"], test_x[:1], tensors["test_y"][:1], orders_of(len(x), 20, seed))
           for seed in range(20)]  # fmt: skip
    coarse = grid[:: scale.shapes]
    draws = []
    for seed in range(scale.draws):
        tell("shape", seed, scale.draws)
        places = torch.randperm(200, generator=torch.Generator().manual_seed(1000 + seed))
        at = torch.linspace(0, 1, 200, dtype=torch.float64)[places][:, None]
        y = drawn(rational(0.05), at, seed)
        draws.append(shape_curves(coarse, at[:50], y[:50], at[50:], y[50:], orders_of(50, 20, seed)))
    told: dict[str, Any] = {"grid": grid, "published": curves, "orders": scale.orders}
    told["few"] = [grid[argmax(each["clml"])] for each in few]
    told["draws"] = {
        name: {
            "alpha": [coarse[argmax(each[name])] for each in draws],
            "loss": [(max(each["test"]) - each["test"][argmax(each[name])]) / 150 for each in draws],
        }
        for name in ("lml", "clml", "test")
    }
    return told


def shape_curves(
    grid: Sequence[float], x: Tensor, y: Tensor, test_x: Tensor, test_y: Tensor, orders: Tensor
) -> dict[str, list[float]]:
    """For every α: evidence, conditional evidence of the last 5 of 50, joint log likelihood of the test rows; nats."""
    found: dict[str, list[float]] = {"lml": [], "clml": [], "test": []}
    both = torch.cat([x, test_x]), torch.cat([y, test_y])
    for alpha in grid:
        prefixes = process_prefixes(rational(alpha), x, y, orders)
        found["lml"].append(float(prefixes.evidence[0]))
        found["clml"].append(float(prefixes.conditional(45).mean()))
        found["test"].append(float(process_evidence(rational(alpha), *both)) - found["lml"][-1])
    return found


def argmax(values: Sequence[float]) -> int:
    return max(range(len(values)), key=values.__getitem__)


# A prior mean with many hyperparameters.


def mean(scale: Scale) -> dict[str, Any]:
    """Networks on draws of the published process: next to the rows, and beyond them. Then polynomials."""
    truth = Process(Scaled(RBF(positive(0.75)), positive(VARIANCE)), ZeroMean(), positive(0.02))
    x = torch.linspace(0, 10, 100, dtype=torch.float64)[:, None]
    networks: list[dict[str, Any]] = []
    for seed in range(scale.overfitted):
        y = drawn(truth, x, seed)
        mixed = torch.randperm(100, generator=torch.Generator().manual_seed(seed))
        for where, order in (("beyond", torch.arange(100)), ("between", mixed)):
            seen, unseen = order[:50], order[50:]
            for name, prior_mean, settings in networks_of(seed, scale.steps):
                tell("mean, networks", len(networks), scale.overfitted * 6)
                start = Process(Scaled(RBF(positive(VARIANCE)), positive(VARIANCE)), prior_mean, positive(VARIANCE))
                process = learn(start, x[seen], y[seen], seed, settings).process
                told = scores(process, x[seen], y[seen], x[unseen], y[unseen])
                networks.append({"seed": seed, "where": where, "model": name, **told})
    polynomials: list[dict[str, Any]] = []
    inner = (x - 5) / 5
    for seed in range(scale.overfitted):
        y = drawn(truth, x, 100 + seed)
        order = torch.randperm(100, generator=torch.Generator().manual_seed(seed))
        for degree in range(scale.degrees + 1):
            tell("mean, polynomials", seed * (scale.degrees + 1) + degree, scale.overfitted * (scale.degrees + 1))
            prior_mean = PolynomialMean(torch.zeros(degree + 1, dtype=torch.float64))
            start = Process(Scaled(RBF(positive(0.15)), positive(VARIANCE)), prior_mean, positive(0.02))
            seen, unseen = order[:20], order[20:]
            process = learn(start, inner[seen], y[seen], seed, Learn(held=("kernel", "noise"))).process
            told = scores(process, inner[seen], y[seen], inner[unseen], y[unseen])
            polynomials.append({"seed": seed, "degree": degree, **told})
    return {"networks": networks, "polynomials": polynomials}


def networks_of(seed: int, steps: int) -> list[tuple[str, Mean, Learn]]:
    settings = Learn(optimiser="adam", steps=steps, rate=0.01)
    conditional = Learn("conditional", optimiser="adam", steps=steps, rate=0.01)
    network = network_mean(build_mlp(1, (50, 50), 1, seed))
    none = ConstantMean(torch.zeros((), dtype=torch.float64))
    return [
        ("constant mean, LML", none, settings),
        ("network mean, LML", network, settings),
        ("network mean, CLML", network, conditional),
    ]


def scores(process: Process, x: Tensor, y: Tensor, test_x: Tensor, test_y: Tensor) -> dict[str, float]:
    """Per row: LML and CLML (the last tenth, of 50 orders) of the seen rows; test NLL, row by row; test RMSE."""
    prefixes = process_prefixes(process, x, y, orders_of(len(x), 50, 0))
    first = round(0.9 * len(x))
    told = accuracy(predict(condition(process, x, y), test_x), test_y)
    lml, clml = float(prefixes.evidence[0]) / len(x), float(prefixes.conditional(first).mean()) / (len(x) - first)
    return {"lml": lml, "clml": clml, **told}


def accuracy(prediction: Prediction, y: Tensor, unit: float = 1.0) -> dict[str, float]:
    """unit: how much of the original targets one of y is."""
    nll = -float(log_likelihood(prediction, y).mean()) + math.log(unit)
    return {"nll": nll, "rmse": unit * float((prediction.mean - y).square().mean().sqrt())}


# Constraints.


def constraint(scale: Scale) -> list[dict[str, Any]]:
    """Draws of a constrained and an unconstrained process; both are learnt by LML from the same rows, one is chosen."""
    found: list[dict[str, Any]] = []
    questions: dict[str, tuple[Callable[[], Kernel], Callable[[], Kernel]]] = {
        "even": (
            lambda: Scaled(Even(RBF(positive(0.6))), positive(2.0)),
            lambda: Scaled(RBF(positive(0.6)), positive(1.0)),
        ),
        "periodic": (
            lambda: Scaled(Periodic(positive(1.0), positive(1.0)), positive(1.0)),
            lambda: Scaled(RBF(positive(0.25)), positive(1.0)),
        ),
    }  # fmt: skip
    for question, made in questions.items():
        for count in scale.counts:
            for held in (True, False):
                right = {"LML": 0, "CLML": 0}
                for seed in range(scale.chosen):
                    tell(f"constraint, {question}, {count} rows", seed, scale.chosen)
                    generator = torch.Generator().manual_seed(seed)
                    x = 4 * torch.rand(count, 1, dtype=torch.float64, generator=generator) - 2
                    y = drawn(Process(made[0 if held else 1](), ZeroMean(), positive(0.05)), x, seed)
                    orders = orders_of(count, 20, seed)
                    told = [constrained(kernel(), x, y, orders) for kernel in made]
                    for name in right:
                        right[name] += int((told[0][name] > told[1][name]) == held)
                found.append({"question": question, "rows": count, "holds": held, "of": scale.chosen, "right": right})
    return found


def constrained(kernel: Kernel, x: Tensor, y: Tensor, orders: Tensor) -> dict[str, float]:
    process = learn(Process(kernel, ZeroMean(), positive(0.1)), x, y, 0, Learn(steps=50)).process
    prefixes = process_prefixes(process, x, y, orders)
    first = round(0.8 * len(x))
    return {"LML": float(prefixes.evidence[0]), "CLML": float(prefixes.conditional(first).mean())}


# Deep kernels.


def features(scale: Scale) -> list[dict[str, Any]]:
    """Trials: a split of the rows and a network's start, the same for every way of learning."""
    found: list[dict[str, Any]] = []
    ways: dict[str, Learn] = {
        "deep, LML": DEEP,
        "deep, CLML": Learn("conditional", optimiser="adam", steps=100, rate=0.01),
        "deep, LML, 400 steps": Learn(optimiser="adam", steps=400, rate=0.01),
        "deep, CLML, 400 steps": Learn("conditional", optimiser="adam", steps=400, rate=0.01),
        "ARD, LML": Learn(steps=100),
    }
    for number, (name, count) in enumerate(scale.features):
        for trial in range(scale.trials):
            tell("features", number * scale.trials + trial, len(scale.features) * scale.trials)
            x, y, test_x, test_y, unit = regression(name, count, trial)
            for way, settings in ways.items():
                if count > 100 and settings.steps == 400:
                    continue
                kernel: Kernel = RBF(torch.full((x.shape[1],), 3.0, dtype=torch.float64))
                if way.startswith("deep"):
                    kernel = deep_kernel(build_mlp(x.shape[1], 50, 2, trial), RBF(positive(0.5, 0.5)))
                constant = ConstantMean(torch.zeros((), dtype=torch.float64))
                start = Process(Scaled(kernel, positive(1.0)), constant, positive(0.5))
                began = time.perf_counter()
                process = learn(start, x, y, trial, settings).process
                seconds = time.perf_counter() - began
                told = accuracy(predict(condition(process, x, y), test_x), test_y, unit)
                lml = float(process_evidence(process, x, y)) / len(x)
                of = {"data": name, "rows": count, "tested": len(test_x), "trial": trial, "way": way, "lml": lml}
                found.append({**of, "noise": float(process.noise), "seconds": seconds, **told})
    return found


def regression(name: str, count: int, trial: int) -> tuple[Tensor, Tensor, Tensor, Tensor, float]:
    """Inputs and targets, standardised by the rows that are learnt from; then others; then the unit of the targets."""
    if name == "friedman":
        x, y = (torch.from_numpy(part) for part in datasets.make_friedman1(count + 1000, noise=1.0, random_state=trial))
    elif name == "diabetes":
        x, y = (torch.from_numpy(part).double() for part in datasets.load_diabetes(return_X_y=True, scaled=False))
    else:
        whole = torch.from_numpy(datasets.load_wine().data)
        x, y = whole[:, 1:], whole[:, 0]
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(trial))
    seen, unseen = order[:count], order[count:]
    middle, spread = x[seen].mean(dim=0), x[seen].std(dim=0).clamp_min(1e-9)
    centre, unit = y[seen].mean(), y[seen].std()
    x, y = (x - middle) / spread, (y - centre) / unit
    return x[seen], y[seen], x[unseen], y[unseen], float(unit)


# Many rows.


def rows(scale: Scale) -> list[dict[str, Any]]:
    """Friedman's function of five of ten inputs, noise of deviation 1: what no model can beat is an RMSE of 1."""
    x, y = (torch.from_numpy(part) for part in datasets.make_friedman1(scale.rows + 5000, noise=1.0, random_state=0))
    x, unit = (x - 0.5) * 12**0.5, float(y.std())
    y = (y - y.mean()) / unit
    test_x, test_y, x, y = x[scale.rows :], y[scale.rows :], x[: scale.rows], y[: scale.rows]
    found: list[dict[str, Any]] = []
    few = slice(0, scale.exact_rows)
    starts: dict[str, Kernel] = {
        "ARD": RBF(torch.full((10,), 3.0, dtype=torch.float64)),
        "deep": deep_kernel(build_mlp(10, 50, 2, 0), RBF(positive(0.5, 0.5))),
    }
    for name, kernel in starts.items():
        constant = ConstantMean(torch.zeros((), dtype=torch.float64))
        start = Process(Scaled(kernel, positive(1.0)), constant, positive(0.3))
        way = Learn(steps=scale.sparse_steps)
        if name == "deep":
            way = Learn(optimiser="adam", steps=2 * scale.sparse_steps, rate=0.02)
        tell(f"rows, {name}", 0, 2)
        began = time.perf_counter()
        exact = learn(start, x[few], y[few], 0, Learn(steps=30) if name == "ARD" else DEEP).process
        told = accuracy(predict(condition(exact, x[few], y[few]), test_x), test_y, unit)
        seconds = time.perf_counter() - began
        found.append({"model": name, "kind": "exact", "rows": scale.exact_rows, "seconds": seconds, **told})
        tell(f"rows, {name}", 1, 2)
        began = time.perf_counter()
        # Untrained features explain all their variance by few rows, so a deep kernel starts from the first ones.
        inducing = inducing_rows(start, x, scale.points) if name == "ARD" else x[: scale.points]
        sparse = SparseProcess(start, inducing)
        sparse = learn_sparse(sparse, x, y, way).sparse
        told = accuracy(predict_sparse(condition_sparse(sparse, x, y), test_x), test_y, unit)
        seconds = time.perf_counter() - began
        bound = float(evidence_bound(sparse, x, y).nats) / len(x)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        of = {"model": name, "kind": f"{scale.points} points", "rows": scale.rows, "seconds": seconds}
        found.append({**of, "bound": bound, "peak": peak, **told})
    return found


def tell(stage: str, done: int, total: int) -> None:
    if done % max(1, total // 20) == 0:
        print(f"\r{stage}: {done} of {total}        ", end="", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--folder", type=Path, default=Path("runs/processes"))
    parser.add_argument("--publish", action="store_true", help="write docs/processes.md's tables, its data and picture")
    parser.add_argument(
        "--told", action="store_true", help="write tables and picture again from docs/data/processes.json"
    )
    chosen = parser.parse_args()
    data = ROOT / "docs" / "data" / "processes.json"
    if chosen.told:
        publish(read_json(data))
        return
    if chosen.publish and (chosen.quick or set(chosen.parts) != set(PARTS)):
        parser.error("only everything at its full size should be published; leave out --quick and --parts")
    torch.set_num_threads(1)
    scale = QUICK if chosen.quick else Scale()
    work: Mapping[str, Callable[[Scale], Any]] = {
        "shape": shape, "mean": mean, "constraint": constraint, "features": features, "rows": rows
    }  # fmt: skip
    record: dict[str, Any] = {"command": "python studies/processes.py --publish", "seconds": {}}
    for part in PARTS:
        if part not in chosen.parts:
            continue
        kept = chosen.folder / f"{part}-{digest_json(asdict(scale))[:10]}.json"
        if not kept.exists():
            began = time.perf_counter()
            told = work[part](scale)
            write_json(kept, {"told": told, "seconds": time.perf_counter() - began})
            print(file=sys.stderr)
        finished = read_json(kept)
        record[part], record["seconds"][part] = finished["told"], finished["seconds"]
    print(tables(record))
    if chosen.publish:
        write_json(data, record)
        publish(record)


def publish(record: Mapping[str, Any]) -> None:
    write_text(ROOT / "docs" / "images" / "processes.svg", picture(record))
    page = ROOT / "docs" / "processes.md"
    write_text(page, with_tables(page.read_text(encoding="utf-8"), record))


if __name__ == "__main__":
    main()
