"""What do wrong labels cost: softmax at several temperatures, noisy Dirichlet likelihoods, DirClip priors and the mode.

    python studies/label_noise.py                 three seeds; prints tables, keeps finished cells in runs/label_noise
    python studies/label_noise.py --quick         a small network on few rows, in seconds: does it all run?
    python studies/label_noise.py --finished      only tells what is finished
    python studies/label_noise.py --publish       also writes the page: its tables, data and picture

A killed run goes on where it was; all of it takes about half an hour of one core. Cells do not know the version of the
code: after a change to samplers, delete the folder.

Rows: scikit-learn's 1,797 digits of 8×8 pixels; 597 of them, the same for every seed, are judged on their clean
labels. A seed draws 1,000 of the others, replaces each label with probability q by one drawn uniformly from all ten
classes, and starts a network 64-50-50-10 (ReLU, prior N(0, 1/10) on every weight and bias). Augmented, each row is
three fixed views, shifted by −1, 0 or 1 pixels each way and filled with zeros, that count as one row together
(`Augmentation`, mode "mean").

Every model of a seed, q and augmentation is sampled by HMC from the same two starts: one network that was trained,
without a prior, until it predicts the *given* labels, wrong ones too, and one with fresh initial weights. Where these
two chains do not agree, the model has not mixed. DirClip below its threshold may not have a start that predicts rows
wrongly (`check_start`), so both of its chains begin at trained networks.

Trajectories last a quarter of the prior oscillator's quarter period, ±10 %, with a step that 70 % acceptance leaves.
Differences are paired by rows and seeds; intervals (95 %) are for new rows and new seeds.

Source: Kapoor et al. (2022), "On uncertainty, tempering, and data augmentation in Bayesian classification"; Marek et
al. (2024), "Can a confident prior replace a cold posterior?". They train ResNets on CIFAR-10 by SGHMC.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from label_noise_tables import picture, summarise, tables, with_tables
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn.functional import pad

from surefoot.density.augmentation import Augmentation
from surefoot.density.dirichlet import NoisyDirichlet, noise_for
from surefoot.density.functional import DirClip, Functional
from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Objective, Posterior, fixed_views
from surefoot.density.pools import mean
from surefoot.density.priors import Gaussian
from surefoot.density.requirements import check_start
from surefoot.errors import InputError
from surefoot.files import digest_json, read_json, read_tensors, write_json, write_tensors, write_text
from surefoot.inference.ascend import Ascend, ascend
from surefoot.inference.chains.chains import Chains, Shard, load_chains
from surefoot.inference.diagnose import diagnose
from surefoot.inference.hamiltonian.hmc import Hmc, hmc
from surefoot.inference.predict.predict import predict
from surefoot.inference.targets.make import make_target
from surefoot.networks.build import build_mlp
from surefoot.networks.network import Network, Parameters, forward, parameters_of
from surefoot.rows.rows import Rows, make_rows
from surefoot.rows.shift.labels import flip_labels

ROOT = Path(__file__).resolve().parents[1]
CLASSES = 10
LOOKED_AT = 200
"""Judged rows at which the chains' functions are compared."""
TO_FIT = Ascend(epochs=150, batch=100, rate=1e-2)
TO_THE_MODE = Ascend(epochs=15, optimiser="lbfgs", rate=1.0, schedule="constant")
UNNOISY = 0.01
"""The label noise that is stated where there is none: stating none has no Dirichlet likelihood."""


@dataclass(frozen=True)
class Settings:
    """Sizes of the study. trajectory: in quarter periods of the prior oscillator. noises: in the order of work."""

    rows: int = 1000
    judged: int = 597
    hidden: tuple[int, ...] = (50, 50)
    precision: float = 10.0
    views: int = 3
    burn_in: int = 40
    draws: int = 60
    trajectory: float = 0.25
    acceptance: float = 0.7
    noises: tuple[float, ...] = (0.5, 0.0, 0.2)


QUICK = Settings(rows=150, judged=200, hidden=(12,), views=2, burn_in=20, draws=12, noises=(0.0, 0.2))


@dataclass(frozen=True)
class Model:
    """One posterior. stated: the label noise a Dirichlet likelihood is told; else alpha_noise is its α_ε. alpha: of a
    DirClip prior. sampled: else its mode. start: a trained and a fresh one ("both"), or two "trained" ones."""

    name: str
    temperature: float = 1.0
    stated: float | None = None
    alpha_noise: float | None = None
    alpha: float | None = None
    sampled: bool = True
    start: str = "both"

    @property
    def later(self) -> bool:
        """Whether other models are done first."""
        return self.alpha is not None or self.alpha_noise is not None or self.temperature < 0.1


@dataclass(frozen=True)
class Cell:
    """One model on the rows of one seed."""

    seed: int
    noise: float
    augmented: bool
    model: Model

    def name(self) -> str:
        kind = "views" if self.augmented else "plain"
        return f"{self.seed}-{self.noise:g}-{kind}-{digest_json(asdict(self.model))[:10]}"


def models(noise: float, augmented: bool) -> list[Model]:
    """The models of one rate of noise; those that ask more of the same are left out with views, which cost more."""
    stated = noise or UNNOISY
    every = [
        Model("softmax, T = 1"),
        Model("softmax, T = 0.1", temperature=0.1),
        Model("noisy Dirichlet, q stated", stated=stated),
        Model("MAP", sampled=False),
        Model("DirClip, α = 0.5, fine-tuned", alpha=0.5, start="trained"),
    ]
    if augmented:
        return every
    every.append(Model("DirClip, α = 0.9", alpha=0.9))
    if noise:
        every.append(Model("noisy Dirichlet, α_ε = 0.01", alpha_noise=0.01))
    if noise == 0.5:
        every.append(Model("softmax, T = 0.01", temperature=0.01))
    if noise == 0.2:
        every += [Model(f"noisy Dirichlet, {told:g} stated", stated=told) for told in (0.05, 0.5)]
    return every


def cells(settings: Settings, seeds: int) -> Iterator[Cell]:
    """What the papers compare comes first, without views and then with them; what costs more or was asked later, last.

    Of a block (augmentation, q) every seed is done before the next block begins.
    """
    for later in (False, True):
        for augmented in (False, True):
            for noise in settings.noises:
                for seed in range(seeds):
                    for model in models(noise, augmented):
                        if model.later == later:
                            yield Cell(seed, noise, augmented, model)


def shifted(inputs: Tensor, generator: torch.Generator) -> Tensor:
    """Each 8×8 image moved by −1, 0 or 1 pixels down and across, all nine equally likely; zeros come in."""
    images = pad(inputs.view(-1, 8, 8), (1, 1, 1, 1))
    moves = images.unfold(1, 8, 1).unfold(2, 8, 1)  # [rows, down, across, 8, 8]
    down, across = torch.randint(3, (2, len(inputs)), generator=generator)
    return moves[torch.arange(len(inputs)), down, across].flatten(1)


def split_rows(settings: Settings, seed: int) -> tuple[Rows, Rows]:
    """(learn, judge), clean; the judged rows are the same for every seed."""
    found = load_digits()
    every = make_rows(torch.from_numpy(found.data).float() / 16, torch.from_numpy(found.target).long())
    order = torch.randperm(len(every), generator=torch.Generator().manual_seed(0))
    judge, pool = every.take(order[: settings.judged]), every.take(order[settings.judged :])
    chosen = torch.randperm(len(pool), generator=torch.Generator().manual_seed(1000 + seed))[: settings.rows]
    return pool.take(chosen), judge


def posterior_of(network: Network, model: Model, settings: Settings, augmented: bool) -> Posterior:
    noise = model.alpha_noise if model.stated is None else noise_for(model.stated, CLASSES)
    return Posterior(
        network=network,
        likelihood=categorical if noise is None else NoisyDirichlet(noise),
        prior=Gaussian(settings.precision),
        posterior_temperature=model.temperature,
        functional=None if model.alpha is None else Functional(DirClip(model.alpha, floor=-20.0)),
        augmentation=Augmentation(shifted, settings.views, "mean") if augmented else None,
    )


def run(cell: Cell, settings: Settings, folder: Path, starts: dict[Any, Parameters]) -> None:
    """Sample or climb, predict the judged rows, and keep both as `folder`/<cell>.json and .safetensors.

    starts: those that were already trained, by what they were trained on.
    """
    begun = time.process_time()
    clean, judge = split_rows(settings, cell.seed)
    rows, _, wrong = flip_labels(clean, cell.noise, seed=cell.seed)
    build = partial(build_mlp, 64, settings.hidden, CLASSES)
    network = build(seed=0)
    posterior, views = fixed_views(posterior_of(network, cell.model, settings, cell.augmented), rows, cell.seed)

    def trained(which: int) -> Parameters:
        key = (cell.seed, cell.noise, cell.augmented, which)
        if key not in starts:
            fitting, begin = Objective(network, categorical, mean), parameters_of(build(seed=100 * cell.seed + which))
            starts[key] = ascend(fitting, views, begin, cell.seed, TO_FIT).point()
        return starts[key]

    fresh = parameters_of(build(seed=100 * cell.seed + 50))
    record: dict[str, Any] = {"refused": None}
    try:
        if cell.model.sampled:
            pair = [trained(0), trained(1) if cell.model.start == "trained" else fresh]
            with torch.no_grad():
                outputs = [forward(network, start, views.inputs[:]) for start in pair]
            record["start_fit"] = [float((each.argmax(dim=1) == views.targets).double().mean()) for each in outputs]
            for each in outputs:
                check_start(posterior, each, views.targets)
            chains = sample(posterior, views, pair, cell.seed, settings, folder / f"{cell.name()}-chains")
            record |= diagnostics(chains, network, judge.inputs[:][:LOOKED_AT])
            each = torch.stack([one.probabilities for one in by_chain(network, chains, judge.inputs[:])])
            said = predict(network, chains, clean.inputs[:]).probabilities.argmax(dim=1)
        else:
            # L-BFGS may end where every unit is dead; of two climbs the higher end is the mode.
            ends = [ascend(posterior, views, start, cell.seed, TO_THE_MODE).point() for start in (trained(0), fresh)]
            mode = max(ends, key=lambda end: float(posterior.log_density(end, views)))
            each = forward(network, mode, judge.inputs[:]).double().softmax(dim=1)[None]
            said = forward(network, mode, clean.inputs[:]).argmax(dim=1)
        if bool(wrong.any()):
            record["believed"] = float((said == rows.targets)[wrong].double().mean())
        record["accuracies"] = [float((one.argmax(dim=1) == judge.targets).double().mean()) for one in each]
        write_tensors(folder / f"{cell.name()}.safetensors", {"probabilities": each.mean(dim=0)})
    except InputError as error:
        record["refused"] = str(error)
    record["seconds"] = time.process_time() - begun
    write_json(folder / f"{cell.name()}.json", record)
    shutil.rmtree(folder / f"{cell.name()}-chains", ignore_errors=True)


def sample(
    posterior: Posterior, rows: Rows, starts: Sequence[Parameters], seed: int, settings: Settings, folder: Path
) -> Chains:
    target = make_target(posterior, rows, chains=len(starts))
    begun = {name: torch.stack([start[name] for start in starts]) for name in starts[0]}
    told = Hmc(
        draws=settings.draws,
        burn_in=settings.burn_in,
        chains=len(starts),
        acceptance=settings.acceptance,
        trajectory=settings.trajectory * target.quarter,
    )
    if (folder / "chains.json").exists():  # sampled, but killed before it was told
        return load_chains(folder)
    return hmc(target, begun, seed, told, seen=rows.origins(), folder=folder)


def by_chain(network: Network, chains: Chains, inputs: Tensor) -> Iterator[Any]:
    """What each chain says by itself; all have the same number of draws, so that their mean is what all say."""
    for chain in range(chains.chains):
        shards = [
            Shard({name: tensor[:, chain : chain + 1] for name, tensor in shard.parameters.items()}, {})
            for shard in chains
        ]
        yield predict(network, Chains(1, chains.draws, tuple(shards), (), chains.seen), inputs)


def diagnostics(chains: Chains, network: Network, inputs: Tensor) -> dict[str, float]:
    found = {(each.name, each.slice): each.value for each in diagnose(chains, network, inputs)}
    statistics = chains.statistics()
    return {
        "acceptance": float(statistics["accept_probability"].mean()),
        "leapfrogs": float(statistics["leapfrogs"].mean()),
        "divergent": float(statistics["divergent"].sum()),
        "rhat_95": found["rhat_95", "functions"],
        "rhat_below_1_1": found["rhat_below_1_1", "functions"],
        "bulk_ess_05": found["bulk_ess_05", "functions"],
    }


def kept(cell: Cell, folder: Path) -> dict[str, Any] | None:
    """A finished cell's record and probabilities."""
    if not (folder / f"{cell.name()}.json").exists():
        return None
    record: dict[str, Any] = read_json(folder / f"{cell.name()}.json")
    if record["refused"] is None:
        record["probabilities"] = read_tensors(folder / f"{cell.name()}.safetensors")["probabilities"]
    return record


def study(settings: Settings, seeds: int, folder: Path, *, finished: bool) -> Mapping[Cell, dict[str, Any]]:
    """Every cell, told on stderr; missing ones are computed, or with `finished` left out."""
    folder = folder / digest_json(asdict(settings))[:10]
    folder.mkdir(parents=True, exist_ok=True)
    every, found, starts = list(cells(settings, seeds)), dict[Cell, dict[str, Any]](), dict[Any, Parameters]()
    for number, cell in enumerate(every, start=1):
        if not finished and kept(cell, folder) is None:
            run(cell, settings, folder, starts)
        record = kept(cell, folder)
        if record is None:
            continue
        found[cell] = record
        views = "with views" if cell.augmented else "without"
        said = "refused" if record["refused"] else f"{sum(record['accuracies']) / len(record['accuracies']):.3f}"
        print(
            f"[{number}/{len(every)}] seed {cell.seed}, q = {cell.noise:g}, {views}, {cell.model.name}: {said} "
            f"({record['seconds']:.1f} s)",
            file=sys.stderr,
            flush=True,
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small network, few rows and draws; seconds")
    parser.add_argument("--seeds", type=int, help="data seeds (3; with --quick 1)")
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "label_noise", help="where cells are kept")
    parser.add_argument("--finished", action="store_true", help="compute nothing; tell what is finished")
    parser.add_argument(
        "--publish", action="store_true", help="write docs/label-noise.md's tables, its data and picture"
    )
    chosen = parser.parse_args()
    if chosen.quick and chosen.publish:
        parser.error("--quick says nothing that should be published; leave out one of the two")
    torch.set_num_threads(1)
    settings = QUICK if chosen.quick else Settings()
    seeds = chosen.seeds or (1 if chosen.quick else 3)
    found = study(settings, seeds, chosen.folder, finished=chosen.finished)
    judge = split_rows(settings, 0)[1]
    record = {"settings": asdict(settings), "seeds": seeds, **summarise(found, judge, seeds)}
    print(tables(record))
    if chosen.publish:
        write_json(ROOT / "docs" / "data" / "label-noise.json", record)
        write_text(ROOT / "docs" / "images" / "label-noise.svg", picture(record))
        page = (ROOT / "docs" / "label-noise.md").read_text(encoding="utf-8")
        write_text(ROOT / "docs" / "label-noise.md", with_tables(page, record))


if __name__ == "__main__":
    main()
