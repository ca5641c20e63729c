"""Real digits under DirClip: where ascent from nowhere goes, and whether the best is as good as a cold posterior.

Called by `studies/dirclip.py`, which says what is measured. Rows: the 5,000 digits at 14×14, pixels / 0.3. 2,500 are
judge rows, the same for every seed; a seed chooses 1,000 fit rows and 1,500 choose rows among the others, the networks'
first weights, and all noise. Network: 196-50-50-10, ReLU. Prior: N(0, σ²) on every number. Views: every shift by up to
one pixel, counted as their mean (`Augmentation`), so that likelihood and DirClip see the same views.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from surefoot.density.augmentation import Augmentation
from surefoot.density.functional import DirClip, Functional
from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior, fixed_views
from surefoot.density.priors import Gaussian
from surefoot.density.requirements import check_start
from surefoot.errors import InputError
from surefoot.files import digest_json, read_json, read_tensors, write_json, write_tensors
from surefoot.inference.ascend import Ascend, ascend
from surefoot.inference.chains.chains import load_chains
from surefoot.inference.diagnose import diagnose, mixed
from surefoot.inference.draws import Draws
from surefoot.inference.langevin.converters import from_mean_loss, whitened
from surefoot.inference.langevin.dynamics import sghmc
from surefoot.inference.langevin.schedules import Constant
from surefoot.inference.langevin.settings import Sghmc
from surefoot.inference.predict.predict import predict
from surefoot.inference.targets.make import make_target
from surefoot.networks.build import build_mlp
from surefoot.networks.network import Network, Parameters, forward, parameters_of
from surefoot.progress import Progress
from surefoot.rows.digits import digit_names, halved, load_digits
from surefoot.rows.rows import Rows, make_rows

SIDE, HIDDEN, CLASSES = 14, (50, 50), 10
DEVIATION = 10**-0.5
DECAY, BATCH = 0.95, 125
LOOKED_AT = 100  # judge rows at which functions of chains are compared


@dataclass(frozen=True)
class Scale:
    """How much is run: rows, chains, passes over the fit rows before the first draw, draws, passes between draws.

    views, trained: of each row, and passes over them, for the trained starts. climbed: passes of the ascents.
    """

    fit: int = 1000
    choose: int = 1500
    judge: int = 2500
    chains: int = 4
    burn_in: int = 120
    draws: int = 40
    thin: int = 2
    views: int = 9
    trained: int = 30
    climbed: int = 60


QUICK = Scale(fit=250, choose=250, judge=500, chains=2, burn_in=4, draws=4, thin=1, views=27, trained=27, climbed=15)


@dataclass(frozen=True)
class Model:
    """A posterior, and how it is sampled. rate: η, the learning rate of the mean loss. trained: where chains start."""

    family: str
    rate: float
    temperature: float = 1.0
    alpha: float | None = None
    floor: float = -50.0
    trained: bool = True

    @property
    def name(self) -> str:
        if self.alpha is None:
            return "plain" if self.temperature == 1 else f"cold, T = {self.temperature:g}"
        start = "" if self.trained else ", random start"
        return f"DirClip({self.alpha:g}, {self.floor:g}){start}".replace("-", "−")


FLOORS = (-10.0, -20.0, -50.0)
RATES = {0.8: 5e-3, 0.5: 2e-3, 0.0: 3e-4, -0.5: 3e-4}
PLAIN = Model("plain", 1e-2)
COLD = tuple(Model("cold", rate, temperature=t) for t, rate in ((0.1, 1e-2), (0.03, 6e-3), (0.01, 3e-3)))
DIRCLIP = tuple(Model("DirClip", RATES[alpha], alpha=alpha, floor=floor) for alpha in RATES for floor in FLOORS)
ASTRAY = tuple(Model("astray", RATES[alpha], alpha=alpha, floor=-10.0, trained=False) for alpha in (0.5, -0.5))
MODELS = (PLAIN, *COLD, *DIRCLIP, *ASTRAY)
QUICK_MODELS = (PLAIN, COLD[2], DIRCLIP[0], DIRCLIP[3], ASTRAY[0])
ALPHAS = (-0.5, 0.0, 0.4, 0.6, 0.7, 0.8, 0.9, 1.0)
QUICK_ALPHAS = (0.5, 1.0)
CLIMBED_FLOORS = (-10.0, -50.0)
CLIMBED_SEEDS = 2


@dataclass(frozen=True)
class Split:
    """The rows of one seed."""

    fit: Rows
    choose: Rows
    judge: Rows


def split_digits(seed: int, scale: Scale) -> Split:
    """Judge rows are the same for all seeds, and nobody learns or chooses by them."""
    digits = load_digits()
    inputs = halved(digits).reshape(5000, SIDE * SIDE) / 0.3
    order = torch.randperm(5000, generator=torch.Generator().manual_seed(2024))
    rest = order[2500:][torch.randperm(2500, generator=torch.Generator().manual_seed(seed))]

    def rows(index: Tensor) -> Rows:
        return make_rows(inputs[index], digits.labels[index], ids=digit_names(index.numpy()))

    chosen = rest[scale.fit : scale.fit + scale.choose]
    return Split(rows(rest[: scale.fit]), rows(chosen), rows(order[: scale.judge]))


WIDE = torch.arange((SIDE + 2) ** 2).view(SIDE + 2, SIDE + 2)
VIEWS = torch.stack([WIDE[y : y + SIDE, x : x + SIDE].flatten() for y, x in product(range(3), repeat=2)])
"""Where each pixel of the nine views lies in a picture with a frame of one pixel."""


def shifted(inputs: Tensor, generator: torch.Generator) -> Tensor:
    """Each picture moved by −1, 0 or 1 pixel each way, filled with background."""
    around = pad(inputs.view(-1, SIDE, SIDE), (1, 1, 1, 1)).flatten(1)
    return around.gather(1, VIEWS[torch.randint(0, 9, (len(inputs),), generator=generator)])


def posterior_of(model: Model, *, views: bool) -> Posterior:
    form = None if model.alpha is None else Functional(DirClip(model.alpha, model.floor))
    return Posterior(
        network_of(0),
        categorical,
        Gaussian(DEVIATION**-2),
        posterior_temperature=model.temperature,
        functional=form,
        augmentation=Augmentation(shifted, 9, "mean") if views else None,
    )


def network_of(seed: int) -> Network:
    return build_mlp(SIDE * SIDE, HIDDEN, CLASSES, seed=seed)


def random_start(seed: int, chain: int) -> Parameters:
    return parameters_of(network_of(1000 * seed + chain))


def trained_start(split: Split, seed: int, chain: int, scale: Scale, folder: Path) -> Parameters:
    """An ordinary network: fixed views, a hundredth of the prior's precision, no functional prior."""
    path = folder / f"start-{seed}-{chain}.safetensors"
    if not path.exists():
        views = Augmentation(shifted, scale.views, "mean")
        weak = Posterior(network_of(0), categorical, Gaussian(0.1), augmentation=views)
        fixed = fixed_views(weak, split.fit, seed)
        settings = Ascend(epochs=scale.trained, batch=128, rate=5e-3)
        draws = ascend(fixed.posterior, fixed.rows, random_start(seed, chain), 1000 * seed + chain, settings)
        write_tensors(path, draws.point())
    return read_tensors(path)


def sure_start(split: Split, seed: int, scale: Scale, folder: Path) -> Parameters:
    """For ascents, which see the rows as they are: a network that is right and sure of every fit row."""
    path = folder / f"sure-{seed}.safetensors"
    if not path.exists():
        weak = Posterior(network_of(0), categorical, Gaussian(1e-3))
        settings = Ascend(epochs=2 * scale.trained, batch=100, rate=5e-3)
        write_tensors(path, ascend(weak, split.fit, random_start(seed, 0), seed, settings).point())
    return read_tensors(path)


def climbs(seed: int, scale: Scale, alphas: Sequence[float], folder: Path, progress: Progress) -> list[dict[str, Any]]:
    """Ascents of posteriors with DirClip(α, v) on the fit rows as they are, from a random and from a trained start."""
    split = split_digits(seed, scale)
    settings = Ascend(epochs=scale.climbed, batch=100, rate=2e-3)
    told: list[dict[str, Any]] = []
    for number, (alpha, floor, trained) in enumerate(product(alphas, CLIMBED_FLOORS, (False, True)), start=1):
        path = folder / f"climb-{alpha:g}-{floor:g}-{trained}.json"
        if not path.exists():
            start = sure_start(split, seed, scale, folder) if trained else random_start(seed, 0)
            posterior = posterior_of(Model("DirClip", 1.0, alpha=alpha, floor=floor), views=False)
            point = ascend(posterior, split.fit, start, seed, settings).point()
            outputs = [forward(network_of(0), each, split.fit.inputs[:]) for each in (start, point)]
            before, after = (float((each.argmax(dim=1) != split.fit.targets).double().mean()) for each in outputs)
            least = outputs[0].softmax(dim=1).gather(1, split.fit.targets[:, None]).min()
            write_json(path, {
                "alpha": alpha, "floor": floor, "trained": trained, "seed": seed,
                "wrong_before": before, "least_before": float(least), "wrong": after,
                "density_before": float(posterior.log_density(start, split.fit)),
                "density": float(posterior.log_density(point, split.fit)),
            })  # fmt: skip
        told.append(read_json(path))
        progress(f"ascents: seed {seed}", number, len(alphas) * len(CLIMBED_FLOORS) * 2)
    return told


def refusal(seed: int, model: Model, scale: Scale) -> str | None:
    """What `check_start` says of a random start."""
    split = split_digits(seed, scale)
    outputs = forward(network_of(0), random_start(seed, 0), split.fit.inputs[:])
    try:
        check_start(posterior_of(model, views=False), outputs, split.fit.targets)
    except InputError as error:
        return str(error)
    return None


def sampled(model: Model, seed: int, scale: Scale, folder: Path, progress: Progress) -> dict[str, Any]:
    """Sample one posterior, unless it was; the record of what came out. Judge probabilities lie beside it."""
    place = folder / digest_json([vars(model), seed])[:12]
    if not (place / "record.json").exists():
        _sample(model, seed, scale, place, folder, progress)
    return read_json(place / "record.json")


def judge_probabilities(model: Model, seed: int, folder: Path) -> Tensor:
    return read_tensors(folder / digest_json([vars(model), seed])[:12] / "judge.safetensors")["probabilities"]


def _sample(model: Model, seed: int, scale: Scale, place: Path, folder: Path, progress: Progress) -> None:
    split, network = split_digits(seed, scale), network_of(0)
    posterior = posterior_of(model, views=True)
    points = [
        trained_start(split, seed, chain, scale, folder) if model.trained else random_start(seed, chain)
        for chain in range(scale.chains)
    ]
    if model.trained:
        for point in points:
            check_start(posterior, forward(network, point, split.fit.inputs[:]), split.fit.targets)
    starts = {name: torch.stack([point[name] for point in points]) for name in points[0]}
    dynamics = from_mean_loss(model.rate, len(split.fit), DECAY, model.temperature)
    each = math.ceil(len(split.fit) / BATCH)
    pacing = Constant(scale.draws, whitened(dynamics.step, DEVIATION), scale.burn_in * each, scale.thin * each)
    chains = place / "chains"
    if not (chains / "chains.json").exists():
        target = make_target(posterior, split.fit, seed=seed, chains=scale.chains)
        settings = Sghmc(pacing, decay=dynamics.decay, batch=BATCH)
        sghmc(target, starts, seed, settings, seen=split.fit.origins(), folder=chains, progress=progress)
    drawn = load_chains(chains)
    findings = diagnose(drawn, network, split.judge.inputs[:LOOKED_AT])
    by = {(each.name, each.slice): each.value for each in findings}
    heat = {each.name: each.value for each in drawn.diagnostics if each.name.endswith("temperature")}
    record: dict[str, Any] = {"model": model.name, "family": model.family, "seed": seed, **heat}
    record |= {"rhat_95": by["rhat_95", "functions"], "bulk_ess_05": by["bulk_ess_05", "functions"]}
    record["doubts"] = list(mixed(findings).reasons)
    start = predict(network, _one_draw(starts), split.fit.inputs)
    record["start_wrong"] = 1 - _accuracy(start.probabilities, split.fit)
    for role, rows in (("fit", split.fit), ("choose", split.choose), ("judge", split.judge)):
        told = predict(network, drawn, rows.inputs)
        record[f"{role}_accuracy"] = _accuracy(told.probabilities, rows)
        record[f"{role}_nll"] = float(told.model_average_nll(rows.targets).mean())
        if role == "judge":
            write_tensors(place / "judge.safetensors", {"probabilities": told.probabilities.float()})
    write_json(place / "record.json", record)


def _one_draw(starts: Parameters) -> Draws:
    return Draws(starts, (), frozenset())


def _accuracy(probabilities: Tensor, rows: Rows) -> float:
    return float((probabilities.argmax(dim=1) == rows.targets).double().mean())
