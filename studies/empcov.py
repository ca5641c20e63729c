"""Do Bayesian networks fail under covariate shift where optimised ones do not, and does EmpCov mend it? On real digits.

    python studies/empcov.py [--seeds 3] [--quick] [--write]

Three data seeds learn from disjoint thousands of 14×14 digits; one further thousand judges (`empcov_digits.py`).
196-100-100-10 ReLU networks, λ = 30 (`empcov_models.py`), and a small convolutional one (`empcov_cnn.py`). Chains,
predictions and findings stay in the cache folder: a run that was killed goes on where it was, a finished one prints its
tables at once. `--write` puts the tables into docs/empcov.md and draws docs/images/empcov.svg. `--quick` runs all of it
in a toy size, whose numbers mean nothing.

Accuracies are in per cent, with intervals of 95 % over seeds and judged digits (crossed); differences are paired.

Source: Izmailov, Nicholson, Lotfi and Wilson (2021), "Dangers of Bayesian model averaging under covariate shift".
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import torch
from empcov_cnn import convolutional
from empcov_digits import CORRUPTIONS, MOST_SEEDS, SEVERITIES, corrupted, directed, flat, subspaces, thousand
from empcov_models import FIRST, METHODS, PRECISION, QUICK, Scale, Setting, folder_of, mlp, run
from empcov_tables import (
    SAMPLED,
    Results,
    Told,
    accuracies,
    claims,
    corruption_table,
    losses,
    mixing,
    picture,
    table,
    weights,
    words,
)
from torch import Tensor

from surefoot.files import read_json, read_tensors, write_json, write_tensors
from surefoot.findings.finding import finding_from_json, finding_to_json
from surefoot.inference.chains.chains import Chains, load_chains
from surefoot.inference.diagnose import diagnose
from surefoot.inference.draws import Draws
from surefoot.inference.predict.predict import predict
from surefoot.rows.digits import cache_folder
from surefoot.rows.rows import Rows

DOCS = Path(__file__).resolve().parents[1] / "docs"
START, END = "<!-- printed by studies/empcov.py -->", "<!-- end of what it printed -->"
FEW = 40
"""Draws that predict corrupted pictures: every other one."""


def progress(stage: str, done: int, total: int) -> None:
    """One line that is written over and over, where somebody looks at it."""
    if sys.stderr.isatty():
        print(f"\r{stage}: {done} of {total}          ", end="", file=sys.stderr, flush=True)


def told(name: str, seed: int, scale: Scale, judge: Rows, cache: Path, corruptions: tuple[str, ...]) -> Told:
    """Sample, predict and diagnose, or find it done."""
    folder = folder_of(cache, scale, seed, name)
    said, record = folder / "predicted.safetensors", folder / "told.json"
    fit = flat(thousand(1 + seed, scale.rows))
    if not record.exists():
        chains = run(METHODS[name], Setting(scale, fit, seed, folder, progress))
        network = mlp(scale, 0)
        probabilities: dict[str, Tensor] = {}
        for shift, rows in directed(fit, flat(judge)).items():
            probabilities[shift] = predict(network, chains, rows.inputs, progress=progress).probabilities
        some = _some(chains)
        for shift, rows in corrupted(judge, corruptions).items():
            probabilities[shift] = predict(network, some, flat(rows).inputs, progress=progress).probabilities
        write_tensors(said, {shift: values.float() for shift, values in probabilities.items()})
        mixing = diagnose(chains, network, flat(judge).inputs[:200]) if name in SAMPLED else ()
        write_json(record, {"mixing": [finding_to_json(each) for each in mixing]})
        print(f"\r{name}, data seed {seed + 1}: done          ", file=sys.stderr, flush=True)
    mixing = tuple(finding_from_json(each) for each in read_json(record)["mixing"])
    return Told(read_tensors(said), _moments(load_chains(folder), fit), mixing)


def _some(chains: Chains) -> Draws:
    """Every other draw of every chain, or so: at most `FEW`."""
    draws = chains.as_draws()
    every = max(1, chains.chains * chains.draws // FEW)
    index = torch.arange(0, chains.draws, every).repeat_interleave(chains.chains) * chains.chains
    index = index + torch.arange(chains.chains).repeat(len(index) // chains.chains)
    return replace(draws, parameters={name: tensor[index] for name, tensor in draws.parameters.items()})


def _moments(chains: Chains, fit: Rows) -> dict[str, tuple[float, float]]:
    weights = chains.as_draws().parameters[FIRST].double()
    found: dict[str, tuple[float, float]] = {}
    for where, directions in subspaces(fit).items():
        along = PRECISION**0.5 * (weights @ directions)
        spread = float(along.var(dim=0, correction=0).mean())
        found[where] = (float(along.square().mean()), spread)
    return found


def convolutional_tables(cache: Path, scale: Scale) -> str:
    found, diagnostics = convolutional(cache, scale, progress)
    shifts = list(next(iter(found.values())))
    lines = [[method, *(words(of[shift]) for shift in shifts)] for method, of in found.items()]
    made = table(["accuracy, %", *shifts], lines)
    return made + "\n\n" + mixing({method: [told_] for method, told_ in diagnostics.items()})


def report(seeds: int, scale: Scale, cache: Path, corruptions: tuple[str, ...]) -> tuple[Results, str]:
    """Everything, in Markdown."""
    judge = thousand(0, scale.rows)
    by: dict[str, list[Told]] = {}
    for seed in range(seeds):
        for method in METHODS:
            by.setdefault(method, []).append(told(method, seed, scale, judge, cache, corruptions))
    results = Results(by, judge)
    parts = {
        "Shifts along directions, and noise": accuracies(results),
        "": losses(results),
        "Claims": claims(results),
        "Why: what the weights do where inputs say nothing": weights(results),
        "Convergence": mixing({name: [each.mixing for each in by[name]] for name in SAMPLED}),
        "Corruptions as they come": "\n\n".join(corruption_table(results, each, corruptions) for each in SEVERITIES),
        "A small convolutional network": convolutional_tables(cache, scale),
    }
    return results, "\n\n".join(f"### {title}\n\n{part}" if title else part for title, part in parts.items())


def write(results: Results, text: str) -> None:
    """The tables between their marks in the page, and its picture."""
    page = DOCS / "empcov.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(START)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{START}\n\n{text}\n\n{END}{after}", encoding="utf-8")
    (DOCS / "images" / "empcov.svg").write_text(picture(results), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3, choices=range(1, MOST_SEEDS + 1))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.quick:
        results, text = report(1, QUICK, cache_folder(), CORRUPTIONS[:2])
    else:
        results, text = report(arguments.seeds, Scale(), cache_folder(), CORRUPTIONS)
    print(text)
    if arguments.write:
        if arguments.quick:
            parser.error("--quick is for trying out; its numbers go into no document")
        write(results, text)


if __name__ == "__main__":
    main()
