"""Evidence on real rows, asked what it is for: is a hypothesis true, and how sure can one training be of an order?

    python studies/evidence_hypotheses.py               the tables; minutes
    python studies/evidence_hypotheses.py --publish     also writes docs/evidence-hypotheses.md's tables, data, picture
    python studies/evidence_hypotheses.py --quick       does it run? seconds

terms: does a regression need one more variable, a square, an interaction? Bayes factors at three prior widths beside
tenfold conditional evidence and the F test. planted: the same where the answer is known, as a column is permuted.
laws: is an area quadratic in a radius, from how many rows on? mirrors: which function of two digits is the same, or the
opposite, for mirrored images? seeds: one network trained from several seeds.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from evidence_hypotheses_tables import picture, tables, with_tables
from scipy.stats import chi2, f
from sklearn import datasets
from torch import Tensor, nn

from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian
from surefoot.density.regression import GaussianNoise
from surefoot.evidence.doubts import doubts_about_choice
from surefoot.evidence.laplace.expand import expand
from surefoot.evidence.linear import LinearModel, linear_evidence
from surefoot.evidence.prefixes import orders_of
from surefoot.evidence.processes.combine import Scaled, Symmetric
from surefoot.evidence.processes.free import positive
from surefoot.evidence.processes.kernels import RBF, Kernel
from surefoot.evidence.processes.learn import Learn, learn
from surefoot.evidence.processes.means import ZeroMean
from surefoot.evidence.processes.process import Process, condition, log_likelihood, predict, process_prefixes
from surefoot.evidence.trials import Trial, origin_of, trial_of
from surefoot.files import digest_json, read_json, write_json, write_text
from surefoot.inference.ascend import Ascend, ascend
from surefoot.networks.network import Network, forward, parameters_of
from surefoot.rows.rows import Rows, make_rows

ROOT = Path(__file__).resolve().parents[1]
WIDTHS = (0.1, 1.0, 10.0)
"""Prior standard deviations of the weight in question: of the target's deviation, for one of the variable's."""
PARTS = ("terms", "planted", "laws", "mirrors", "seeds")
STEP, BELOW, ABOVE = 0.75, 10, 20
"""Nodes of log σ: so far apart, in its posterior deviations, and so many below and above the least squares."""


@dataclass(frozen=True)
class Scale:
    """partitions: into ten folds. planted: permutations a column. folded: of these, those with folds. subsamples: of
    each size. pairs: of digits. splits: planted symmetries a pair. tries: seeds of a network."""

    partitions: int = 5
    planted: int = 100
    folded: int = 20
    sizes: tuple[int, ...] = (60, 442)
    subsamples: int = 200
    rows: tuple[int, ...] = (8, 12, 20, 40, 80, 160, 320)
    pairs: int = 45
    fit: int = 100
    splits: int = 3
    tries: int = 10
    widths: tuple[int, ...] = (2, 4, 8, 16)
    precisions: tuple[float, ...] = (1.0, 3.0, 12.0)
    dropped: tuple[str, ...] = ("", "age", "s3", "s6", "bp", "bmi")
    rounds: int = 30
    scales: tuple[float, ...] = field(default=WIDTHS)


QUICK = Scale(1, 2, 1, (60,), 4, (8, 40), 2, 40, 1, 3, (2, 3), (1.0,), ("", "age"), 3)


# Terms of a linear regression.


@dataclass(frozen=True)
class Question:
    """Is `term` needed beside `known`? A constant is always there. All standardised, targets too."""

    data: str
    name: str
    known: Tensor
    term: Tensor
    targets: Tensor


def standard(values: Tensor) -> Tensor:
    return (values - values.mean(dim=0)) / values.std(dim=0)


def questions() -> list[Question]:
    """Every column of diabetes, its squares and two interactions; linnerud's exercises, for the waist."""
    x, y = (torch.from_numpy(part).double() for part in datasets.load_diabetes(return_X_y=True, scaled=False))
    names = list(datasets.load_diabetes().feature_names)
    x, y = standard(x), standard(y)
    asked: list[Question] = []
    for place, name in enumerate(names):
        others = [each for each in range(x.shape[1]) if each != place]
        asked.append(Question("diabetes", name, x[:, others], x[:, place], y))
    for place, name in enumerate(names):
        if name != "sex":
            asked.append(Question("diabetes", f"{name}²", x, standard(x[:, place].square()), y))
    for one, other in (("age", "sex"), ("bmi", "bp")):
        product = standard(x[:, names.index(one)] * x[:, names.index(other)])
        asked.append(Question("diabetes", f"{one} × {other}", x, product, y))
    told = datasets.load_linnerud()
    exercises, waist = standard(torch.from_numpy(told.data).double()), torch.from_numpy(told.target[:, 1]).double()
    for place, name in enumerate(told.feature_names):
        others = [each for each in range(3) if each != place]
        asked.append(Question("linnerud", name.lower(), exercises[:, others], exercises[:, place], standard(waist)))
    return asked


def both(question: Question, width: float) -> tuple[float, float]:
    """log evidence without the term, and with it, its weight's prior deviation being `width`."""
    return without(question.known, question.targets), within(question.known, question.term, question.targets, width)


def without(known: Tensor, targets: Tensor) -> float:
    return integrated(with_constant(known), targets, torch.ones(known.shape[1] + 1, dtype=torch.float64))


def within(known: Tensor, term: Tensor, targets: Tensor, width: float) -> float:
    features = torch.cat([with_constant(known), term[:, None]], dim=1)
    prior = torch.ones(features.shape[1], dtype=torch.float64)
    prior[-1] = width**2
    return integrated(features, targets, prior)


def with_constant(known: Tensor) -> Tensor:
    return torch.cat([torch.ones(len(known), 1, dtype=torch.float64), known], dim=1)


def integrated(features: Tensor, targets: Tensor, prior_variance: Tensor) -> float:
    """log ∫ p(y | σ) d log σ by equal steps, exact to many digits: the integrand is smooth and falls on both sides.

    The prior 1/σ is improper, which is no matter as both hypotheses share it.
    """
    count = len(targets)
    rest = residual(features, targets).square().sum() / count
    unit = STEP / math.sqrt(2 * count)
    terms = [
        linear_evidence(features, targets, LinearModel(float(rest) * math.exp(2 * place * unit), prior_variance))
        for place in range(-BELOW, ABOVE + 1)
    ]
    told = torch.tensor(terms, dtype=torch.float64)
    if float(told.max() - torch.stack([told[0], told[-1]]).max()) < 10:
        raise ValueError("The noise reaches beyond the nodes; put them further out.")
    return float(told.logsumexp(0)) + math.log(unit)


def residual(features: Tensor, targets: Tensor) -> Tensor:
    """What least squares leaves."""
    basis = torch.linalg.qr(features).Q
    return targets - basis @ (basis.T @ targets)


def p_value(known: Tensor, term: Tensor, targets: Tensor) -> float:
    """Of the F test for one more term."""
    smaller, larger = with_constant(known), torch.cat([with_constant(known), term[:, None]], dim=1)
    least, less = (residual(each, targets).square().sum() for each in (smaller, larger))
    freedom = len(targets) - larger.shape[1]
    return float(f.sf(float((least - less) / (less / freedom)), 1, freedom))


def folded(known: Tensor, term: Tensor, targets: Tensor, width: float, partitions: int) -> float:
    """Σ over ten folds of log p(fold | others), with the term minus without; mean over partitions, nats."""
    count, total = len(targets), 0.0
    whole = within(known, term, targets, width) - without(known, targets)
    for order in orders_of(count, partitions, seed=0):
        for fold in order.tensor_split(10):
            rest = torch.ones(count, dtype=torch.bool)
            rest[fold] = False
            part = known[rest], term[rest], targets[rest]
            total += whole - (within(*part, width) - without(part[0], part[2]))
    return total / partitions


def terms(scale: Scale) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    every = questions()
    for number, each in enumerate(every):
        tell("terms", number, len(every))
        gains = {}
        for width in scale.scales:
            smaller, larger = both(each, width)
            gains[f"{width:g}"] = larger - smaller
        found.append({
            "data": each.data, "term": each.name, "rows": len(each.targets), "gain": gains,
            "folded": folded(each.known, each.term, each.targets, 1.0, scale.partitions),
            "p": p_value(each.known, each.term, each.targets),
        })  # fmt: skip
    return found


# The same, where the answer is known.


def planted(scale: Scale) -> list[dict[str, Any]]:
    """A permuted column of diabetes is irrelevant; with a weight from the prior added to the target, it is not."""
    columns = [each for each in questions() if each.data == "diabetes"][:10]
    found: list[dict[str, Any]] = []
    for size in scale.sizes:
        for width in scale.scales:
            for real in (False, True):
                told: dict[str, list[float]] = {"evidence": [], "expected": [], "folds": [], "f": []}
                for place, column in enumerate(columns):
                    tell(f"planted, {size} rows, width {width:g}", place, len(columns))
                    for number in range(scale.planted):
                        one = plant(column, size, width if real else None, place * scale.planted + number)
                        gain = within(*one, width) - without(one[0], one[2])
                        told["evidence"].append(float((gain > 0) == real))
                        told["expected"].append(expected(one[0], one[1], one[2], width, real=real))
                        told["f"].append(float((p_value(*one) < 0.05) == real))
                        if number < scale.folded:
                            told["folds"].append(float((folded(*one, width, 1) > 0) == real))
                found.append({
                    "rows": size, "width": width, "real": real, "of": len(told["evidence"]),
                    "folded_of": len(told["folds"]), "expected": sum(told["expected"]) / len(told["expected"]),
                    **{f"right_{name}": int(sum(told[name])) for name in ("evidence", "folds", "f")},
                })  # fmt: skip
    return found


def plant(column: Question, size: int, width: float | None, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Other columns, the permuted one, and targets, of some rows; with `width`, a weight from N(0, width²) on it."""
    generator = torch.Generator().manual_seed(seed)
    some = torch.randperm(len(column.targets), generator=generator)[:size]
    term = column.term[torch.randperm(len(column.targets), generator=generator)][:size]
    weight = 0.0 if width is None else width * float(torch.randn((), generator=generator, dtype=torch.float64))
    return column.known[some], term, column.targets[some] + weight * term


def expected(known: Tensor, term: Tensor, targets: Tensor, width: float, *, real: bool) -> float:
    """How probable it is that the evidence is right, with the noise known and other weights' priors flat.

    With z the least-squares weight over its error and r = width² ‖term given known‖²/σ², the gain is
    ½ z² r/(1 + r) − ½ log(1 + r); z² is χ²₁ where the weight is zero, and (1 + r) χ²₁ where it is drawn.
    """
    features = torch.cat([with_constant(known), term[:, None]], dim=1)
    noise = float(residual(features, targets).square().sum()) / (len(targets) - features.shape[1])
    r = width**2 * float(residual(with_constant(known), term).square().sum()) / noise
    at = math.log1p(r)
    return float(chi2.sf(at / r, 1) if real else chi2.cdf((1 + 1 / r) * at, 1))


# Laws.


def laws(scale: Scale) -> list[dict[str, Any]]:
    """Nuclei of breast cells: is the square of the mean radius needed for the mean area, and for the mean perimeter?"""
    told = datasets.load_breast_cancer()
    names = list(told.feature_names)
    columns = {
        name: torch.from_numpy(told.data[:, names.index(f"mean {name}")]) for name in ("radius", "area", "perimeter")
    }
    found: list[dict[str, Any]] = []
    for target in ("area", "perimeter"):
        for size in scale.rows:
            gains: list[float] = []
            folds: list[float] = []
            tests: list[float] = []
            for number in range(scale.subsamples):
                tell(f"laws, {target}, {size} rows", number, scale.subsamples)
                generator = torch.Generator().manual_seed(number)
                some = torch.randperm(len(told.data), generator=generator)[:size]
                radius, targets = standard(columns["radius"][some]), standard(columns[target][some])
                known, term = radius[:, None], standard(radius.square())
                gains.append(within(known, term, targets, 1.0) - without(known, targets))
                tests.append(p_value(known, term, targets))
                if number < scale.subsamples // 4:
                    folds.append(folded(known, term, targets, 1.0, 1))
            found.append({
                "target": target, "rows": size, "of": len(gains), "evidence": sum(each > 0 for each in gains),
                "sure": sum(abs(each) > math.log(20) for each in gains), "middle": sorted(gains)[len(gains) // 2],
                "f": sum(each < 0.05 for each in tests), "folds": sum(each > 0 for each in folds),
                "folded_of": len(folds),
            })  # fmt: skip
    return found


# Mirrors.

PLACES = torch.arange(64).reshape(8, 8)
MOVES = {
    "left ↔ right": PLACES.flip(1).flatten(),
    "top ↔ bottom": PLACES.flip(0).flatten(),
    "half a turn": PLACES.flip(0, 1).flatten(),
}


def kernels(move: Tensor | None) -> dict[str, Callable[[], Kernel]]:
    """No symmetry; with a move, invariance under it, and a change of sign."""

    def base() -> Kernel:
        return RBF(positive(3.0))

    made: dict[str, Callable[[], Kernel]] = {"none": lambda: Scaled(base(), positive(1.0))}
    if move is None:
        return made
    group = torch.stack([torch.arange(64), move])

    def of(sign: float) -> Kernel:
        return Scaled(Symmetric(base(), group, torch.tensor([1.0, sign], dtype=torch.float64)), positive(2.0))

    return made | {"same": lambda: of(1.0), "opposite": lambda: of(-1.0)}


def pair_of(one: int, other: int, fit: int, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pixels about their middle, from −½ to ½, and targets ±1, of two digits; `fit` rows, then the others."""
    told = datasets.load_digits()
    chosen = torch.from_numpy((told.target == one) | (told.target == other)).nonzero()[:, 0]
    order = chosen[torch.randperm(len(chosen), generator=torch.Generator().manual_seed(seed))]
    x = torch.from_numpy(told.data)[order] / 16 - 0.5
    y = 1 - 2 * (torch.from_numpy(told.target)[order] == other).double()
    return x[:fit], y[:fit], x[fit:], y[fit:]


def judged(kernel: Kernel, x: Tensor, y: Tensor, orders: Tensor) -> tuple[Process, float, float]:
    """The process with its length, variance and noise learnt by evidence; evidence and conditional evidence, nats."""
    process = learn(Process(kernel, ZeroMean(), positive(0.1)), x, y, 0, Learn(steps=60)).process
    prefixes = process_prefixes(process, x, y, orders)
    return process, float(prefixes.evidence[0]), float(prefixes.conditional(round(0.8 * len(x))).mean())


def mirrors(scale: Scale) -> dict[str, Any]:
    every = [(one, other) for one in range(10) for other in range(one + 1, 10)][: scale.pairs]
    orders = orders_of(scale.fit, 20, 0)
    real: list[dict[str, Any]] = []
    known: list[dict[str, Any]] = []
    for number, (one, other) in enumerate(every):
        tell("mirrors", number, len(every))
        x, y, new, truth = pair_of(one, other, scale.fit, number)
        plain: dict[str, float] | None = None
        for name, move in MOVES.items():
            for symmetry, kernel in kernels(move).items():
                if symmetry == "none" and plain is not None:
                    told = plain
                else:
                    process, evidence, conditional = judged(kernel(), x, y, orders)
                    said = predict(condition(process, x, y), new)
                    told = {
                        "evidence": evidence, "conditional": conditional,
                        "nll": -float(log_likelihood(said, truth).mean()),
                        "error": float((said.mean * truth <= 0).double().mean()), "tested": len(truth),
                    }  # fmt: skip
                    plain = told if symmetry == "none" else plain
                real.append({"pair": [one, other], "move": name, "symmetry": symmetry, **told})
        for split in range(scale.splits):
            for truly in ("same", "opposite"):
                generator = torch.Generator().manual_seed(1000 * number + split)
                turned = torch.rand(len(x), generator=generator) < 0.5
                moved = torch.where(turned[:, None], x[:, MOVES["left ↔ right"]], x)
                signed = torch.where(turned, -y, y) if truly == "opposite" else y
                found = {
                    symmetry: judged(kernel(), moved, signed, orders)[1:]
                    for symmetry, kernel in kernels(MOVES["left ↔ right"]).items()
                }
                known.append({
                    "truth": truly, "evidence": max(found, key=lambda each: found[each][0]),
                    "conditional": max(found, key=lambda each: found[each][1]),
                })  # fmt: skip
    return {"real": real, "known": known, "fit": scale.fit}


# Seeds.

INPUTS_WIDTH, INPUTS_PRECISION = 4, 1.0
"""Of the networks that are asked about inputs."""


def seeds(scale: Scale) -> dict[str, Any]:
    """Tanh networks on diabetes, trained to modes from several seeds; evidence by the full Gauss–Newton matrix.

    sizes: widths and prior precisions. inputs: one width, each without one of the columns: is that one relevant?
    """
    x, y = (torch.from_numpy(part).double() for part in datasets.load_diabetes(return_X_y=True, scaled=False))
    names = list(datasets.load_diabetes().feature_names)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    x, y = standard(x)[order].float(), standard(y)[order, None].float()
    rows, new, truth = make_rows(x[:200], y[:200]), x[200:], y[200:]
    sizes: list[dict[str, Any]] = []
    inputs: list[dict[str, Any]] = []
    trials: dict[str, list[Trial]] = {}
    for precision in scale.precisions:
        for width in scale.widths:
            tell(f"seeds, precision {precision:g}, units", width, max(scale.widths))
            for seed in range(scale.tries):
                trial, error = train(width, precision, seed, rows, new, truth, scale.rounds)
                of = {"width": width, "precision": precision, "seed": seed, "parameters": trial.parameters}
                sizes.append({**of, "evidence": trial.evidence, "offset": trial.offset, "error": error})
    for number, dropped in enumerate(scale.dropped):
        tell("seeds, inputs", number, len(scale.dropped))
        kept = [place for place, name in enumerate(names) if name != dropped]
        fewer, name = make_rows(x[:200, kept], y[:200]), f"without {dropped}" if dropped else "all ten"
        for seed in range(scale.tries):
            trial, error = train(INPUTS_WIDTH, INPUTS_PRECISION, seed, fewer, new[:, kept], truth, scale.rounds)
            trials.setdefault(name, []).append(trial)
            of = {"inputs": name, "seed": seed, "evidence": trial.evidence, "offset": trial.offset}
            inputs.append({**of, "error": error})
    said = {
        "all": doubts_about_choice(trials),
        "first": doubts_about_choice({name: of[:1] for name, of in trials.items()}),
    }
    doubts = {
        name: [{"kind": each.kind, "severity": each.severity, "sentence": each.sentence} for each in of]
        for name, of in said.items()
    }
    return {"sizes": sizes, "inputs": inputs, "doubts": doubts}


def train(
    width: int, precision: float, seed: int, rows: Rows, new: Tensor, truth: Tensor, rounds: int
) -> tuple[Trial, float]:
    """The trial of one network at a mode, and its root mean squared error on other rows."""
    network = tanh_network(rows.inputs.shape[1], width, seed)
    posterior = Posterior(network, GaussianNoise(0.7), Gaussian(precision))
    to_mode = Ascend(epochs=rounds, optimiser="lbfgs", rate=1.0, schedule="constant")
    mode = ascend(posterior, rows, parameters_of(network), seed, to_mode).point()
    trial = trial_of(expand(posterior, rows, mode, structure="full"), origin_of(posterior, rows, mode))
    with torch.no_grad():
        return trial, float((forward(network, mode, new) - truth).square().mean().sqrt())


def tanh_network(inputs: int, width: int, seed: int) -> Network:
    """Weights from the prior, N(0, 1): so that starts differ as much as the prior says."""
    module = nn.Sequential(
        nn.utils.skip_init(nn.Linear, inputs, width), nn.Tanh(), nn.utils.skip_init(nn.Linear, width, 1)
    )
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return Network(module, "2")


def tell(stage: str, done: int, total: int) -> None:
    if done % max(1, total // 20) == 0:
        print(f"\r{stage}: {done} of {total}        ", end="", file=sys.stderr, flush=True)


def rounded(told: Any) -> Any:
    """Floats to six digits, in whatever holds them."""
    if isinstance(told, dict):
        return {name: rounded(each) for name, each in told.items()}
    if isinstance(told, list):
        return [rounded(each) for each in told]
    return float(f"{told:.6g}") if isinstance(told, float) else told


def study(scale: Scale, parts: Sequence[str], folder: Path) -> dict[str, Any]:
    """The record; parts that are kept are read."""
    work: Mapping[str, Callable[[Scale], Any]] = {
        "terms": terms, "planted": planted, "laws": laws, "mirrors": mirrors, "seeds": seeds
    }  # fmt: skip
    record: dict[str, Any] = {"command": "python studies/evidence_hypotheses.py --publish", "seconds": {}}
    for part in parts:
        kept = folder / f"{part}-{digest_json(asdict(scale))[:10]}.json"
        if not kept.exists():
            began = time.perf_counter()
            told = work[part](scale)
            write_json(kept, {"told": rounded(told), "seconds": time.perf_counter() - began})
            print(file=sys.stderr)
        finished = read_json(kept)
        record[part], record["seconds"][part] = finished["told"], finished["seconds"]
    return record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "evidence_hypotheses")
    parser.add_argument("--publish", action="store_true", help="write the page's tables, its data and picture")
    chosen = parser.parse_args()
    if chosen.publish and (chosen.quick or set(chosen.parts) != set(PARTS)):
        parser.error("only everything at its full size should be published; leave out --quick and --parts")
    torch.set_num_threads(1)
    record = study(QUICK if chosen.quick else Scale(), chosen.parts, chosen.folder)
    print("\n\n".join(tables(record)))
    if chosen.publish:
        page = ROOT / "docs" / "evidence-hypotheses.md"
        write_json(ROOT / "docs" / "data" / "evidence-hypotheses.json", record)
        write_text(ROOT / "docs" / "images" / "evidence-hypotheses.svg", picture(record))
        write_text(page, with_tables(page.read_text(encoding="utf-8"), record))


if __name__ == "__main__":
    main()
