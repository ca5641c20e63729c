"""The confidence prior becomes the cold likelihood as T → 0, and chains that cannot sample it.

    python studies/confidence.py [--quick] [--seeds 1] [--folder runs/confidence] [--docs docs]

formulas: two classes, one row, and a flat prior on the probability p of its label (a standard logistic logit). The
closed distribution functions of p under the categorical likelihood with Confidence(T) and under the cold likelihood,
and the Wasserstein distance between them.
chains: the eighteen points, 2-10-10-2 with N(0, 1), HMC, eight chains. Confidence(T) from random starts; the cold
likelihood p(y)^(1/T) from the same starts; Confidence(T) again from where the cold chains ended. All are diagnosed.

Everything is kept in --folder, so that a run that was killed goes on where it was; docs/data/confidence.json and
docs/images/confidence.svg come last. --quick is a smoke test: its numbers mean nothing and --docs is not written.

Source: Marek, Paige and Izmailov (2024), "Can a confident prior replace a cold posterior?".
"""

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from curves import Axis, Line, Panel, chart
from torch import Tensor

from surefoot.density.functional import Confidence, Functional
from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian
from surefoot.files import read_json, write_json, write_text
from surefoot.findings.finding import finding_from_json, finding_to_json
from surefoot.inference.chains.chains import Chains, load_chains
from surefoot.inference.diagnose import diagnose, mixed
from surefoot.inference.hamiltonian.hmc import hmc
from surefoot.inference.hamiltonian.settings import Hmc
from surefoot.inference.predict.predict import predict
from surefoot.inference.predict.values import function_values
from surefoot.inference.targets.make import make_target
from surefoot.networks.build import build_mlp
from surefoot.networks.network import Network
from surefoot.rows.toys import dirclip_toy

CHAINS, HIDDEN, BLUE, ORANGE = 8, (10, 10), "#0067b0", "#b3450a"
SHOWN = ("#b3450a", "#0067b0", "#00785a", "#99408a", "#c29a00", "#4b5059", "#e0699a", "#58a4d6")
SHOWN_TEMPERATURES = (0.5, 0.1, 0.02)
TEMPERATURES = (1.0, 0.5, 0.3, 0.2, 0.1, 0.05, 0.03, 0.02, 0.01, 0.003, 0.001)
SAMPLED = (0.1, 0.05)


def cold_below(z: float, temperature: float) -> float:
    """P(p ≤ z) under the density p^(1/T) · (1 + T)/T: z^(1 + 1/T)."""
    return math.exp((1 + 1 / temperature) * math.log(z)) if z > 0 else 0.0


def confidence_below(z: float, temperature: float) -> float:
    """P(p ≤ z) under the density p · max(p, 1 − p)^(1/T − 1) / (T (1 − 2^(−1/T))).

    With a = 1/T and h = 2^(−a): (T − (1 − z)^a (T + z)) / ((1 + T)(1 − h)) for z ≤ ½, and from ½ on
    F(½) + (z^(a + 1) − h/2) / ((1 + T)(1 − h)); all powers by logarithms, as (1 − z)^a underflows otherwise.

    >>> round(confidence_below(0.5, 1.0), 4), confidence_below(1.0, 0.01)  # p alone at T = 1: z²
    (0.25, 1.0)
    """
    a, half = 1 / temperature, math.exp2(-1 / temperature)
    scale = (1 + temperature) * (1 - half)
    low = min(z, 0.5)
    below = temperature - math.exp(a * math.log1p(-low)) * (temperature + low)
    if z > 0.5:
        below += math.exp((a + 1) * math.log(z)) - half / 2
    return below / scale


def wasserstein(temperature: float) -> float:
    """∫ |F_confidence − F_cold| dz, in closed form; T (1 − T) / ((1 + T)(1 + 2T)) up to terms of 2^(−1/T).

    The ratio of the densities, confidence over cold, never grows with p. So F_confidence ≥ F_cold everywhere, and the
    distance is the difference of the means: (1 + T)/(1 + 2T) for the cold likelihood, and for confidence
    [2T²/((1 + T)(1 + 2T)) − h (1 − 1/(1 + T) + 1/(4 (1 + 2T))) + (1 − h/4)/(1 + 2T)] / (1 − h) with h = 2^(−1/T).

    >>> wasserstein(1.0), round(wasserstein(0.001) / 0.001, 3)
    (0.0, 0.996)
    """
    t, half = temperature, math.exp2(-1 / temperature)
    below = 2 * t**2 / ((1 + t) * (1 + 2 * t)) - half * (1 - 1 / (1 + t) + 1 / (4 * (1 + 2 * t)))
    return (1 + t) / (1 + 2 * t) - (below + (1 - half / 4) / (1 + 2 * t)) / (1 - half)


def formulas() -> list[dict[str, float]]:
    told = [
        {
            "temperature": t,
            "wrong": confidence_below(0.5, t),
            "cold_wrong": cold_below(0.5, t),
            "distance": wasserstein(t),
        }
        for t in TEMPERATURES
    ]
    lines = [
        [
            f"{each['temperature']:g}",
            *(f"{each[name]:.4f}" for name in ("distance", "wrong")),
            f"{each['cold_wrong']:.2g}",
            f"{1 - (1 - each['wrong']) ** 18:.3f}",
        ]
        for each in told
    ]
    names = ["T", "Wasserstein distance", "P(p < ½), confidence", "the same, cold", "one of 18 rows wrong, confidence"]
    print(table(names, lines))
    return told


@dataclass(frozen=True)
class Run:
    """name: for people. confident: with the prior, else the cold likelihood. after: whose last draws are the starts."""

    name: str
    confident: bool
    after: str | None = None


RUNS = (
    Run("cold likelihood, random starts", confident=False),
    Run("confidence prior, random starts", confident=True),
    Run("confidence prior, from the cold chains", confident=True, after="cold likelihood, random starts"),
)


def chains_of(run: Run, temperature: float, seed: int, folder: Path, draws: int, burn_in: int) -> Chains:
    place = place_of(run, temperature, seed, folder)
    if not (place / "chains.json").exists():
        functional = Functional(Confidence(temperature)) if run.confident else None
        cold = 1.0 if run.confident else temperature
        network = network_of()
        posterior = Posterior(network, categorical, Gaussian(1.0), functional=functional, likelihood_temperature=cold)
        target = make_target(posterior, dirclip_toy(), chains=CHAINS)
        if run.after is None:
            start: Any = torch.randn(CHAINS, target.size, generator=torch.Generator().manual_seed(seed))
        else:
            (earlier,) = (each for each in RUNS if each.name == run.after)
            *_, last = load_chains(place_of(earlier, temperature, seed, folder))
            start = {name: tensor[-1] for name, tensor in last.parameters.items()}
        # Half a period of the prior's oscillator.
        settings = Hmc(draws=draws, burn_in=burn_in, chains=CHAINS, trajectory=math.pi)
        hmc(target, start, seed, settings, seen=dirclip_toy().origins(), folder=place, progress=tell)
    return load_chains(place)


def place_of(run: Run, temperature: float, seed: int, folder: Path) -> Path:
    return folder / f"seed-{seed}" / f"T-{temperature:g}-{RUNS.index(run)}"


def network_of() -> Network:
    return build_mlp(2, HIDDEN, 2, seed=0)


def measured(run: Run, temperature: float, seed: int, folder: Path, chains: Chains) -> dict[str, Any]:
    """What the diagnostics say of the functions at the eighteen points, and where each chain has gone."""
    path = folder / f"seed-{seed}" / f"T-{temperature:g}-{RUNS.index(run)}.json"
    if not path.exists():
        rows, network = dirclip_toy(), network_of()
        found = diagnose(chains, network, rows.inputs, subject=run.name, source=f"T = {temperature:g}")
        right = (label_probabilities(chains) > 0.5).double().mean(dim=2)
        cold = load_chains(place_of(RUNS[0], temperature, seed, folder))
        both = [predict(network, each, rows.inputs).probabilities for each in (chains, cold)]
        record = {
            "run": run.name,
            "temperature": temperature,
            "seed": seed,
            "right": right.mean(dim=0).tolist(),
            "patterns": patterns(chains),
            "from_cold": float((both[0] - both[1]).abs().sum(dim=1).mean() / 2),
            "findings": [finding_to_json(each) for each in found],
        }
        write_json(path, record)
    return read_json(path)


def label_probabilities(chains: Chains) -> Tensor:
    """The probability of each row's label, `[draws, chains, rows]`."""
    rows = dirclip_toy()
    first = function_values(network_of(), chains, rows.inputs)[..., 0::2]
    return torch.where(rows.targets == 0, first, 1 - first)


def patterns(chains: Chains) -> int:
    """Which rows are right in a chain's last draw: how many different answers the chains give."""
    return len({tuple(each) for each in (label_probabilities(chains)[-1] > 0.5).tolist()})


def sample(temperatures: Sequence[float], seeds: int, folder: Path, draws: int, burn_in: int) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = []
    for temperature in temperatures:
        for seed in range(seeds):
            for run in RUNS:
                chains = chains_of(run, temperature, seed, folder, draws, burn_in)
                told.append(measured(run, temperature, seed, folder, chains))
    lines: list[list[str]] = []
    for each in told:
        found = [finding_from_json(one) for one in each["findings"]]
        by = {(one.name, one.slice): one.value for one in found}
        lines.append([
            f"{each['temperature']:g}",
            each["run"],
            f"{by['accept_probability', 'all']:.0%}",
            f"{min(each['right']):.0%} to {max(each['right']):.0%}",
            str(each["patterns"]),
            f"{by['rhat_95', 'functions']:.2f}" if by["rhat_95", "functions"] < 1e6 else "∞",
            f"{by['bulk_ess_05', 'functions']:.0f}",
            f"{each['from_cold']:.3f}",
            "yes" if mixed(found).mixed else "no: " + "; ".join(mixed(found).reasons),
        ])  # fmt: skip
    names = ["T", "chains", "acceptance", "fit accuracy by chain", "answers", "R̂ functions", "ESS functions",
             "TV from cold", "mixed"]  # fmt: skip
    print(table(names, lines))
    return told


def picture(folder: Path, path: Path) -> None:
    grid = [number / 400 for number in range(401)]
    share = Axis("distribution function", 0, 1, (0, 0.5, 1))
    panels: list[Panel] = []
    for t in SHOWN_TEMPERATURES:
        lines = [
            Line("confidence prior", ORANGE, [(z, confidence_below(z, t)) for z in grid]),
            Line("cold likelihood", BLUE, [(z, cold_below(z, t)) for z in grid], dashed=True),
        ]
        panels.append(Panel(f"T = {t:g}", Axis("probability of the label", 0, 1, (0, 0.5, 1)), share, lines))
    across = Axis("T", 0.001, 1, (0.001, 0.01, 0.1, 1), logarithmic=True)
    up = Axis("Wasserstein distance", 0.0005, 0.3, (0.001, 0.01, 0.1), logarithmic=True)
    exponents = [-3 + 3 * number / 200 for number in range(196)]
    curve = [(10**e, wasserstein(10**e)) for e in exponents]
    straight = [(10**e, 10**e) for e in exponents if 10**e < 0.3]
    lines = [Line("closed form", ORANGE, curve), Line("T itself", "#6b7280", straight, dashed=True)]
    panels.append(Panel("Distance of the two", across, up, lines))
    temperature = SAMPLED[0]
    for run, title in ((RUNS[1], "Confidence prior"), (RUNS[0], "Cold likelihood")):
        chains = load_chains(place_of(run, temperature, 0, folder))
        shown = label_probabilities(chains)[:, :, 0]
        lines = [
            Line("", SHOWN[chain], [(float(draw), float(shown[draw, chain])) for draw in range(0, len(shown), 4)])
            for chain in range(CHAINS)
        ]
        draws = Axis("draw", 0, len(shown), (0, len(shown) // 2, len(shown)))
        level = Axis("probability of the first point's label", 0, 1, (0, 0.5, 1))
        panels.append(Panel(f"{title}, T = {temperature:g}: eight chains", draws, level, lines))
    write_text(path, chart("The confidence prior: right in the limit, and not to be sampled", panels))


def table(names: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [names, ["---"] * len(names), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def tell(stage: str, done: int, total: int) -> None:
    if done == total or done % max(1, total // 20) == 0:
        print(f"\r{stage}: {done} of {total}   ", end="\n" if done == total else "", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("runs/confidence"))
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    told = {"command": "python studies/confidence.py", "formulas": formulas()}
    if chosen.quick:
        sample(SAMPLED[:1], 1, chosen.folder / "quick", draws=20, burn_in=20)
        return
    told["chains"] = sample(SAMPLED, chosen.seeds, chosen.folder, draws=500, burn_in=200)
    write_json(chosen.docs / "data/confidence.json", told)
    picture(chosen.folder, chosen.docs / "images/confidence.svg")


if __name__ == "__main__":
    main()
