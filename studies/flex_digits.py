"""Flexible transformers on scaled digits: one set of weights at four patch sizes, beside four that have one size each.

    python studies/flex_digits.py                 three seeds; prints tables, keeps what is finished in runs/flex_digits
    python studies/flex_digits.py --quick         small models on few rows, in seconds: does it all run?
    python studies/flex_digits.py --publish       also writes docs/flex-digits.md, its data, picture and example model
    python studies/flex_digits.py --data DIGITS.npz [--setting small]
                                                  writes the rows as a file, for `surefoot flex` or your own use

A killed run goes on where it was; all of it takes about an hour of one core. What is kept does not know the version of
the code: after a change to it, delete the folder.

Rows: `surefoot.rows.scaled_digits`. Two settings: "large", a digit that fills the canvas, and "small", a smaller one at
any place. Models: transformers of width 64, depth 4, 2 heads, mean pooling; AdamW, one cycle of the rate, batches of
64; within a setting the recipe is the same for all (`RECIPES`). A fixed model keeps kernel and positions at its own
size; a flexible one keeps larger ones, resized to what a step draws.

Sizes are drawn by the power −.55 of what a step costs: between as many steps and as much arithmetic for each, so that
eleven passes over the rows are as much arithmetic as the two of each fixed model together ("equal compute": to a
thousandth in the one setting, to a few hundredths in the other). Equal steps: as many steps as each fixed model, over
all four sizes.

Source: Beyer et al. (2023), "FlexiViT: One model for all patch sizes", §3 and figure 2.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from flex_digits_tables import accuracy_of, blocks_of, difference_of, operations_of, picture
from torch import Tensor
from torch.nn.functional import conv2d
from weak_tables import DOCS, rounded, with_blocks

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Objective
from surefoot.density.pools import mean
from surefoot.files import digest_json, read_tensors, write_json, write_tensors, write_text
from surefoot.findings.predictions import Predictions, predictions_for
from surefoot.flex.schedule import Curriculum, Schedule, by_cost, uniform
from surefoot.flex.tune import itself, train_at_sizes
from surefoot.inference.ascend import ascend
from surefoot.inference.settings import Ascend
from surefoot.networks.flexible import Shape, at_patch, build_vit
from surefoot.networks.network import Network, Parameters, forward, parameters_of
from surefoot.networks.patches import BILINEAR, BILINEAR_SMOOTH, Resampling, resize_patches, resize_positions
from surefoot.networks.spec import vit_spec
from surefoot.networks.weights import ModelRecord, save_model
from surefoot.rows.roles import Roles
from surefoot.rows.rows import Rows
from surefoot.rows.scaled_digits import LARGE, MIDDLE, SMALL, SPREAD, Scene, scaled_digits
from surefoot.study.stored import save_seen

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "studies" / "flex-digits"
SIDE, CLASSES = 48, 10

MANY = 1000
DRAW, POWER = "coarse ones more often", 0.55

Record: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Recipe:
    """What all models of the study have in common. tuning: epochs of a plain model that is made flexible.

    spread: the deviation that learned positions are drawn with, or the amplitude of sines and cosines.
    """

    scene: Scene = LARGE
    sizes: tuple[int, ...] = (8, 12, 16, 24)
    unseen: tuple[int, ...] = (6, 48)
    fit: int = 28_000
    choose: int = 2_500
    judge: int = 5_000
    width: int = 64
    depth: int = 4
    epochs: int = 2
    tuning: int = 2
    batch: int = 64
    rate: float = 1.5e-3
    buffer: int = 48
    grid: int = 6
    positions: str = "learned"
    spread: float = 2.0


RECIPES = {
    "large": Recipe(),
    "small": Recipe(
        scene=SMALL, sizes=(12, 16, 24, 48), unseen=(8,), epochs=3, rate=3e-3, grid=4, positions="sincos", spread=2.0
    ),
}
SMALLEST = Recipe(sizes=(16, 24), unseen=(48,), fit=200, choose=40, judge=60, width=16, depth=1, epochs=1, tuning=1)
QUICK = {"large": SMALLEST, "small": replace(SMALLEST, scene=SMALL)}


@dataclass(frozen=True)
class Model:
    """A training run. patch: of a fixed one, or of the plain model that is tuned; 0 is flexible from a seed.

    sizes: drawn from; none is fixed. schedule: how. buffer and others: in place of the recipe's. most: seeds.
    """

    name: str
    epochs: int
    patch: int = 0
    sizes: tuple[int, ...] = ()
    schedule: str = DRAW
    teacher: bool = False
    buffer: int = 0
    grid: int = 0
    patches: Resampling = BILINEAR
    positions: str = ""
    spread: float = 0.0
    rate: float = 0.0
    mixup: float = 0.0
    most: int = MANY


@dataclass(frozen=True)
class Kept:
    """A trained model, and its logits on choose and judge rows at each size that it was asked at."""

    point: Parameters
    logits: dict[str, dict[int, Tensor]]


def models_of(recipe: Recipe, setting: str) -> list[Model]:
    """Those of a setting; a plain one stands before what is made of it."""
    sizes = recipe.sizes
    fixed = [Model(f"fixed {patch}", recipe.epochs, patch) for patch in sizes]
    flexible = [
        Model("flexible, equal steps", recipe.epochs, sizes=sizes),
        Model("flexible, equal compute", passes_of(recipe, DRAW), sizes=sizes),
    ]
    if setting != "large":
        return [*fixed, flexible[1]]
    least = sizes[0]
    tuned = [
        Model(f"fixed {least} tuned on labels", recipe.tuning, least, sizes),
        Model(f"fixed {least} tuned on itself", recipe.tuning, least, sizes, teacher=True),
        Model(f"fixed {least} tuned on labels, equal compute", passes_of(recipe, DRAW), least, sizes, most=1),
    ]
    probes = [
        Model("positions drawn from N(0, .02²)", recipe.epochs, sizes=sizes, spread=0.02, most=1),
        Model("sines and cosines of amplitude 1", recipe.epochs, sizes=sizes, positions="sincos", spread=1.0, most=1),
        Model("sines and cosines of amplitude 4", recipe.epochs, sizes=sizes, positions="sincos", spread=4.0, most=1),
        Model("kernel of 16 × 16", recipe.epochs, sizes=sizes, buffer=16, most=1),
        Model("kernel resized with antialiasing", recipe.epochs, sizes=sizes, patches=BILINEAR_SMOOTH, most=1),
        Model("rate up to 3e-3", recipe.epochs, sizes=sizes, rate=3e-3, most=1),
    ]
    longer = [Model(f"fixed {sizes[-1]}, as many steps", passes_of(recipe, DRAW), sizes[-1], most=1)]
    scheduled = [
        Model(f"equal compute, {how}", passes_of(recipe, how), sizes=sizes, schedule=how, most=1)
        for how in ("uniform", "by cost", "curriculum")
    ]
    return [*fixed, *flexible, *tuned, *longer, *probes, *scheduled]


def shape_of(recipe: Recipe, model: Model) -> Shape:
    """A plain model keeps kernel and positions at its own size, also when it is tuned; a flexible one the recipe's."""
    buffer = model.buffer or model.patch or recipe.buffer
    grid = model.grid or (SIDE // model.patch if model.patch else recipe.grid)
    return Shape(
        (1, SIDE, SIDE), recipe.width, recipe.depth, heads=2, buffer=(buffer, buffer), grid=(grid, grid), pool="mean",
        positions=model.positions or recipe.positions, spread=model.spread or recipe.spread,
        patches=model.patches, places=BILINEAR_SMOOTH,
    )  # fmt: skip


def network_of(recipe: Recipe, model: Model, seed: int) -> Network:
    return build_vit(shape_of(recipe, model), CLASSES, model.patch or model.sizes[0], seed)


def schedule_of(recipe: Recipe, sizes: Sequence[int], how: str) -> Schedule:
    """Uniform has as many steps for each size, by cost as much arithmetic; the recipe's is between them."""
    pairs = [(size, size) for size in sizes]
    costs = costs_of(recipe)
    match how:
        case "uniform":
            return uniform(pairs)
        case "by cost":
            return by_cost(pairs, [costs[size] for size in sizes])
        case "curriculum":
            return Curriculum(tuple(reversed(pairs)))
        case _:
            return by_cost(pairs, [costs[size] ** POWER for size in sizes])


def shares_of(schedule: Schedule) -> dict[int, float]:
    """Of the steps of a run, by size."""
    drawn = np.mean([schedule.shares(done / 1000) for done in range(1000)], axis=0)
    return {size[0]: float(share) for size, share in zip(schedule.sizes, drawn, strict=True)}


def passes_of(recipe: Recipe, how: str) -> int:
    """Epochs at drawn sizes that are as much arithmetic as those of all fixed models, to the nearest."""
    costs, shares = costs_of(recipe), shares_of(schedule_of(recipe, recipe.sizes, how))
    return round(recipe.epochs * sum(costs[size] for size in recipe.sizes) / sum(
        share * costs[size] for size, share in shares.items()
    ))  # fmt: skip


@dataclass(frozen=True)
class Bench:
    """The rows of a setting, and its models in a folder: what is there is not trained again."""

    recipe: Recipe
    roles: Roles
    folder: Path

    def has(self, model: Model, seed: int) -> bool:
        return self._place(model, seed).exists()

    def get(self, model: Model, seed: int) -> Kept:
        place = self._place(model, seed)
        if not place.exists():
            print(f"training {model.name}, seed {seed}", file=sys.stderr, flush=True)
            write_tensors(place, self._train(model, seed))
        tensors = read_tensors(place)
        logits: dict[str, dict[int, Tensor]] = {"choose": {}, "judge": {}}
        point: dict[str, Tensor] = {}
        for name, tensor in tensors.items():
            kind, _, rest = name.partition("/")
            if kind == "point":
                point[rest] = tensor
            else:
                logits[kind][int(rest)] = tensor
        return Kept(point, logits)

    def _place(self, model: Model, seed: int) -> Path:
        return self.folder / f"{model.name}, seed {seed}, {self._digest(model, seed)}.safetensors"

    def _digest(self, model: Model, seed: int) -> str:
        """Of all that decides what is kept; what a plain model of these settings was is among it."""
        recipe, shape = self.recipe, shape_of(self.recipe, model)
        told = {
            "scene": asdict(recipe.scene), "rows": [recipe.fit, recipe.choose, recipe.judge], "seed": seed,
            "asked": [*recipe.sizes, *recipe.unseen],
            "network": [recipe.width, recipe.depth, *shape.buffer, *shape.grid],
            "positions": [shape.positions, shape.spread], "resampling": asdict(shape.patches),
            "climb": [model.epochs, recipe.batch, model.rate or recipe.rate, model.mixup],
            "plain": recipe.epochs if model.patch and model.sizes else 0, "sizes": model.sizes,
            "schedule": "" if not model.sizes else model.schedule if model.schedule != DRAW else [DRAW, POWER],
            "teacher": model.teacher,
        }  # fmt: skip
        return digest_json(told)[:8]

    def predictions(self, model: Model, seeds: Sequence[int], size: int, role: str = "judge") -> Predictions:
        said = torch.stack([self.get(model, seed).logits[role][size].double().softmax(1) for seed in seeds])
        return predictions_for(self.roles[role], said)  # type: ignore[index]

    def _train(self, model: Model, seed: int) -> dict[str, Tensor]:
        recipe, fit = self.recipe, self.roles["fit"]
        network = network_of(recipe, model, seed)
        climb = Ascend(model.epochs, recipe.batch, model.rate or recipe.rate, mixup=model.mixup)
        start, teacher = parameters_of(network), None
        if model.patch and model.sizes:
            start = self.get(Model(f"fixed {model.patch}", recipe.epochs, model.patch), seed).point
            patch = (model.patch, model.patch)
            teacher = itself(network, start, patch, classes=fit.classes, seen=fit.origins()) if model.teacher else None
        if model.sizes:
            schedule = schedule_of(recipe, model.sizes, model.schedule)
            draws = train_at_sizes(network, start, fit, schedule, seed, climb, teacher=teacher)
        else:
            draws = ascend(Objective(network, categorical, mean), fit, start, seed, climb)
        point = draws.point()
        kept = {f"point/{name}": tensor for name, tensor in point.items()}
        for role in ("choose", "judge"):
            for size in (*recipe.sizes, *recipe.unseen):
                kept[f"{role}/{size}"] = logits_of(at_patch(network, size), point, self.roles[role])
        return kept


def inside(bench: Bench, model: Model, seed: int) -> Record:
    """At the finest size: deviations of what patches and what places add to a token; accuracy on rows learnt from."""
    recipe, some = bench.recipe, bench.roles["fit"].take(torch.arange(min(1000, bench.recipe.fit)))
    size, point = recipe.sizes[0], bench.get(model, seed).point
    network = at_patch(network_of(recipe, model, seed), size)
    patches = resize_patches(point["kernel"], (size, size), model.patches)
    places = resize_positions(point["positions"], (SIDE // size, SIDE // size))
    said = conv2d(some.inputs[:], patches, point["bias"], stride=size)
    right = logits_of(network, point, some).argmax(1) == some.targets
    return {
        "name": model.name, "patches": float(said.std()), "places": float(places.std()),
        "learnt": float(right.double().mean()),
    }  # fmt: skip


def logits_of(network: Network, point: Parameters, rows: Rows) -> Tensor:
    with torch.inference_mode():
        parts = [forward(network, point, rows.inputs[at : at + 250]) for at in range(0, len(rows), 250)]
    return torch.cat(parts).clone()


def rows_of(recipe: Recipe) -> Roles:
    return scaled_digits(recipe.scene, sizes={"fit": recipe.fit, "choose": recipe.choose, "judge": recipe.judge})


def write_data(path: Path, roles: Roles) -> None:
    """All rows as one file: x, y, the split (0 fit, 1 choose, 2 judge) and the digit that each shows."""
    order = [roles["fit"], roles["choose"], roles["judge"]]
    np.savez_compressed(
        path,
        x=np.concatenate([each.inputs[:].numpy().astype(np.float16) for each in order]),
        y=np.concatenate([each.targets.numpy() for each in order]),
        split=np.repeat([0, 1, 2], [len(each) for each in order]),
        source=np.concatenate([each.sources[:, 0] for each in order]),
    )


def record_of(bench: Bench, models: Sequence[Model], seeds: Sequence[int]) -> Record:
    """What a setting's tables and panels are made of: of models that are kept, by the seeds that are."""
    recipe, costs = bench.recipe, costs_of(bench.recipe)
    steps = -(-recipe.fit // recipe.batch)
    named = {model.name: model for model in models if any(bench.has(model, seed) for seed in seeds)}

    def run(*names: str) -> list[int]:
        """Seeds that all of these have; of two the first, since two say too little of how far seeds lie apart."""
        both = [seed for seed in seeds if all(bench.has(named[name], seed) for name in names)]
        return both if len(both) > 2 else both[:1]

    def apart(one: tuple[str, int], other: tuple[str, int]) -> Record | None:
        """The second model at its size minus the first at its own, by the seeds that both have."""
        both = run(one[0], other[0])
        return difference_of(*(bench.predictions(named[name], both, size) for name, size in (one, other)))

    told: list[Record] = []
    for model in named.values():
        sizes = [*recipe.sizes, *recipe.unseen]
        drawn = model.sizes or (model.patch,)
        shares = shares_of(schedule_of(recipe, drawn, model.schedule))
        own = run(model.name)
        told.append({
            "name": model.name, "patch": model.patch, "trained at": list(drawn), "steps": model.epochs * steps,
            # A step reads its rows once and its gradient costs twice that; a teacher reads them once more.
            "operations": model.epochs * recipe.fit * (
                sum(3 * share * costs[size] for size, share in shares.items())
                + (costs[model.patch] if model.teacher else 0.0)
            ),
            "accuracy": {str(size): accuracy_of(bench.predictions(model, own, size), model.name) for size in sizes},
        })  # fmt: skip
    fixed = [f"fixed {size}" for size in recipe.sizes]
    flexible = [name for name in named if name.startswith("flexible, equal")]
    tuned = [name for name in named if " tuned " in name]
    probed = [name for name, model in named.items() if model.most == 1 and not model.patch and model.schedule == DRAW]
    first, last = recipe.sizes[0], recipe.sizes[-1]
    rise = {"fixed, each at its size": apart((fixed[-1], last), (fixed[0], first))}
    rise |= {name: apart((name, last), (name, first)) for name in flexible}
    against = [
        {"name": name, "points": {str(size): apart((f"fixed {size}", size), (name, size)) for size in recipe.sizes}}
        for name in (*flexible, *tuned)
    ]
    return rounded({
        "side": SIDE, "scene": asdict(recipe.scene), "sizes": list(recipe.sizes), "unseen": list(recipe.unseen),
        "digits": len(bench.roles["judge"].clusters.unique()), "rows": len(bench.roles["judge"]),
        "fixed": fixed, "flexible": flexible, "models": told, "against": against,
        "shown": [*fixed, *(name for name in named if name.endswith("as many steps")), *flexible],
        "asked elsewhere": [*flexible, fixed[0]],
        "flexified": [*fixed[:1], *tuned, *flexible], "rise": rise,
        "inside": [
            inside(bench, named[name], run(name)[0]) for name in (*flexible[:1], *probed)
        ],
        "probed": [*flexible[:1], *probed],
        "scheduled": [name for name, model in named.items() if model.schedule != DRAW],
    })  # fmt: skip


@cache
def costs_of(recipe: Recipe) -> dict[int, float]:
    """Operations of one image, forward, at each size."""
    network = network_of(recipe, Model("", 1, sizes=recipe.sizes), 0)
    return {size: operations_of(network, size, (1, SIDE, SIDE)) for size in recipe.sizes}


def publish(record: Record, bench: Bench) -> None:
    """The page's tables, the record, the picture, and the flexible model of the first seed as an example."""
    page = DOCS / "flex-digits.md"
    text = page.read_text(encoding="utf-8")
    for name, blocks in blocks_of(record).items():
        text = with_blocks(text, name, blocks)
    write_json(DOCS / "data" / "flex-digits.json", record)
    write_text(DOCS / "images" / "flex-digits.svg", picture(record))
    write_text(page, text)
    recipe, fit = bench.recipe, bench.roles["fit"]
    model = _shipped(recipe)
    told = {
        "study": "studies/flex_digits.py", "seed": 0, "patches": [[each, each] for each in recipe.sizes],
        "pixels": f"(x - {MIDDLE}) / {SPREAD:.4f}",
    }  # fmt: skip
    spec = vit_spec(shape_of(recipe, model), CLASSES, (recipe.sizes[0],) * 2)
    save_model(EXAMPLE, bench.get(model, 0).point, ModelRecord(spec, "head", fit.classes, (1, SIDE, SIDE), told))
    save_seen(fit.origins(), EXAMPLE)


def study(
    recipes: Mapping[str, Recipe], seeds: Sequence[int], folder: Path, *, train: bool = True
) -> tuple[Record, dict[str, Bench]]:
    """Every model of every setting, seed by seed, told on stderr as it is trained; or those that are kept already."""
    benches = {name: Bench(recipe, rows_of(recipe), folder / name) for name, recipe in recipes.items()}
    models = {name: models_of(recipe, name) for name, recipe in recipes.items()}
    order = [
        (name, model, seed)
        for seed in seeds
        for name in recipes
        for model in models[name]
        if train and seed in seeds[: model.most]
    ]
    for name, model, seed in order:
        benches[name].get(model, seed)
    records = {name: record_of(benches[name], models[name], seeds) for name in recipes}
    told = {name: asdict(recipe) for name, recipe in recipes.items()}
    return {"recipes": told, "settings": records, "example": example_of(benches["large"])}, benches


def example_of(bench: Bench) -> Record:
    """How often the model that is shipped is right, by size."""
    said, judge = bench.get(_shipped(bench.recipe), 0).logits["judge"], bench.roles["judge"]
    right = {size: said[size].argmax(1) == judge.targets for size in bench.recipe.sizes}
    return rounded({str(size): float(each.double().mean()) for size, each in right.items()})


def _shipped(recipe: Recipe) -> Model:
    return next(each for each in models_of(recipe, "large") if each.name == "flexible, equal compute")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="everything in small; seconds")
    parser.add_argument("--seeds", type=int, help="seeds (3)")
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "flex_digits", help="where models are kept")
    parser.add_argument("--setting", choices=[*RECIPES], default="large", help="of --data")
    parser.add_argument("--data", type=Path, help="write the rows to this .npz and stop")
    parser.add_argument("--kept", action="store_true", help="train nothing: tables of the models that are kept")
    parser.add_argument("--publish", action="store_true", help="write the page, its data, picture and example model")
    chosen = parser.parse_args()
    if chosen.quick and chosen.publish:
        parser.error("--quick says nothing that should be published; leave out one of the two")
    torch.set_num_threads(1)
    recipes = QUICK if chosen.quick else RECIPES
    if chosen.data is not None:
        write_data(chosen.data, rows_of(recipes[chosen.setting]))
        return
    seeds = range(chosen.seeds or 3)
    folder = chosen.folder / ("quick" if chosen.quick else "full")
    record, benches = study(recipes, seeds, folder, train=not chosen.kept)
    for name, blocks in blocks_of(record).items():
        print(name, *blocks, sep="\n\n", end="\n\n")
    if chosen.publish:
        publish(record, benches["large"])


if __name__ == "__main__":
    main()
