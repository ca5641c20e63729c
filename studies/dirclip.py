"""Can a confident prior replace a cold posterior? DirClip on eighteen points and on real digits.

    python studies/dirclip.py [--quick] [--seeds 3] [--parts toy ascents digits] [--folder runs/dirclip] [--docs docs]

toy: HMC on the eighteen points beside what the paper's notebook printed; where Dir(0.01) sends particles.
ascents: which share of the fit rows an ascent with DirClip(α) ends up predicting wrongly, from a random start and from
a trained one, for α on both sides of (K − 2)/K.
digits: SGHMC of the plain posterior, cold ones and DirClip's from common trained starts; each family's best setting is
selected on choose rows, once a seed, and reported on judge rows that nothing else has seen. DirClip from a random start
is beside them, as a failure.

Everything is kept in --folder, so that a run that was killed goes on where it was; docs/data/dirclip.json and the
pictures come last. --quick is a smoke test: its numbers mean nothing and --docs is not written.

Source: Marek, Paige and Izmailov (2024), "Can a confident prior replace a cold posterior?".
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from curves import Axis, Line, Panel, chart
from dirclip_digits import (
    ALPHAS,
    ASTRAY,
    CLASSES,
    CLIMBED_FLOORS,
    CLIMBED_SEEDS,
    COLD,
    DIRCLIP,
    MODELS,
    PLAIN,
    QUICK,
    QUICK_ALPHAS,
    QUICK_MODELS,
    Model,
    Scale,
    climbs,
    judge_probabilities,
    refusal,
    sampled,
    split_digits,
)
from dirclip_toy import CASES, Length, astray, plane, toy_chains, toy_run, wrong_mass
from PIL import Image, ImageDraw
from torch import Tensor

from surefoot.density.functional import dirclip_threshold
from surefoot.files import write_json, write_text
from surefoot.findings.compare import compare
from surefoot.findings.finding import Finding, finding_to_json
from surefoot.findings.measure import measure
from surefoot.findings.predictions import Predictions, predictions_for
from surefoot.networks.product import measure_product, use_product
from surefoot.rows.toys import dirclip_toy

PARTS = ("toy", "ascents", "digits")
COLOURS = {"cold": "#0067b0", "DirClip": "#b3450a", "plain": "#4b5059", "trained": "#00785a"}


def toy(folder: Path, length: Length, quick: bool) -> dict[str, Any]:
    runs = [
        toy_run(case, length, together=together, seed=0, folder=folder, progress=tell)
        for case in CASES
        for together in (True, False)
    ]
    lines: list[list[str]] = []
    for case in CASES:
        accept, right, parameters, functions = case.published
        name = f"α = {case.alpha:g}, ε = {case.step:g}"
        lines.append([name, "published", f"{accept:.2%}", f"{right:.2%}", f"{parameters:.2f}", f"{functions:.2f}"])
        for run in (each for each in runs if each["alpha"] == case.alpha):
            start = "one start" if run["together"] else "own starts"
            rhats = [
                f"{run[f'rhat_{one}']:.2f} ({run[f'rhat_{one}_worst']:.2f})" for one in ("parameters", "functions")
            ]
            lines.append([name, start, f"{run['accept']:.2%}", f"{run['accuracy']:.2%}", *rhats])
    if not all(run["compiled"] for run in runs):
        say("No compiled trajectories here (pip install llvmlite): a tenth of the iterations were run.")
    say(table(["", "chains", "acceptance", "fit accuracy", "R̂ parameters (worst)", "R̂ functions (worst)"], lines))
    share, mass = astray(0.01, 2_000 if quick else 100_000, seed=0), wrong_mass(0.01)
    say(f"Dir(0.01), three classes: ascent leaves {share:.2%} of particles at a wrong class (published: 30.81 %); the")
    say(f"posterior has {mass:.2%} of its mass there (published: 1.36 %).\n")
    return {"runs": runs, "astray": share, "wrong_mass": mass}


def ascents(folder: Path, scale: Scale, seeds: int, quick: bool) -> dict[str, Any]:
    alphas = QUICK_ALPHAS if quick else ALPHAS
    told = [
        each
        for seed in range(min(seeds, CLIMBED_SEEDS))
        for each in climbs(seed, scale, alphas, folder / f"seed-{seed}", tell)
    ]
    kinds = [(trained, floor) for trained in (False, True) for floor in CLIMBED_FLOORS]
    lines = []
    for alpha in alphas:
        of = [each for each in told if each["alpha"] == alpha]
        shares = [[each["wrong"] for each in of if (each["trained"], each["floor"]) == kind] for kind in kinds]
        lines.append([f"{alpha:g}".replace("-", "−"), *(spread(each) for each in shares)])
    names = [f"{'trained' if trained else 'random'} start, v = {floor:g}".replace("-", "−") for trained, floor in kinds]
    starts = [each for each in told if each["trained"]]
    wrong, least = max(each["wrong_before"] for each in starts), min(each["least_before"] for each in starts)
    say(f"Trained starts predict {wrong:.1%} of the fit rows wrongly and are at least {least:.1%} sure of each.")
    threshold = dirclip_threshold(CLASSES)
    say(f"Fit rows predicted wrongly after ascent (mean [least, most] of seeds); the threshold is {threshold:g}.")
    say(table(["α", *names], lines))
    reason = refusal(0, ASTRAY[1], scale)
    say(f"check_start: {reason}\n")
    return {"climbs": told, "refusal": reason}


def digits(folder: Path, scale: Scale, seeds: int, quick: bool) -> dict[str, Any]:
    models = QUICK_MODELS if quick else MODELS
    records: dict[str, list[dict[str, Any]]] = {model.name: [] for model in models}
    for seed in range(seeds):
        for number, model in enumerate(models):
            records[model.name].append(sampled(model, seed, scale, folder / f"seed-{seed}", tell))
            tell(f"posteriors: seed {seed}", number + 1, len(models))
    rows = split_digits(0, scale).judge

    def predictions(chosen: Sequence[Model]) -> Predictions:
        """What the chosen model of every seed says of the judge rows."""
        each = [judge_probabilities(model, seed, folder / f"seed-{seed}") for seed, model in enumerate(chosen)]
        return predictions_for(rows, torch.stack(each))

    lines = []
    for model in models:
        of = records[model.name]
        means = {name: sum(each[name] for each in of) / len(of) for name in of[0] if isinstance(of[0][name], float)}
        failed = not model.trained  # all of these are below the threshold: no results, whatever they score
        lines.append([
            model.name,
            *(f"{means[name]:.1%}" for name in ("fit_accuracy", "choose_accuracy")),
            "failed" if failed else f"{means['judge_accuracy']:.1%}",
            "failed" if failed else f"{means['judge_nll']:.3f}",
            f"{means['rhat_95']:.2f}" if means["rhat_95"] < 100 else "over 100",
            f"{means['kinetic_temperature']:.2f}, {means['configurational_temperature']:.2f}".replace("-", "−"),
        ])  # fmt: skip
    say(f"Means over {seeds} seeds; settings in the lines below are selected on choose rows.")
    say(table(["posterior", "fit", "choose", "judge", "judge NLL", "R̂ functions", "temperatures"], lines))

    families = {
        name: [best([each for each in models if each in family], records, seed) for seed in range(seeds)]
        for name, family in (("plain", (PLAIN,)), ("cold", COLD), ("DirClip", DIRCLIP))
    }
    found: list[Finding] = []
    for name, chosen in families.items():
        found += measure(predictions(chosen), subject=name, source="judge")
        say(f"{name}: chosen {'; '.join(each.name for each in chosen)}")
    for before, after in (("plain", "cold"), ("plain", "DirClip"), ("cold", "DirClip")):
        both = predictions(families[before]), predictions(families[after])
        found += compare(*both, before_name=before, after_name=after, source="judge")
    kept = [each for each in found if each.name in ("accuracy", "nll", "calibration_error") and each.slice == "all"]
    subjects = list(dict.fromkeys(each.subject for each in kept))
    by = {(each.subject, each.name): each for each in kept}
    say(table(
        ["", "accuracy (points)", "NLL", "calibration error (points)"],
        [[one, *(worded(by[one, name]) for name in ("accuracy", "nll", "calibration_error"))] for one in subjects],
    ))  # fmt: skip
    ends = by["DirClip − cold", "accuracy"].interval
    assert ends is not None
    word = "yes" if ends.low > -0.01 else "no" if ends.high < -0.01 else "undecided"
    say(f"Is the best DirClip at most one point below the best cold posterior? {word}.\n")
    chosen = {name: [each.name for each in of] for name, of in families.items()}
    flat = [each for of in records.values() for each in of]
    return {"records": flat, "chosen": chosen, "findings": [finding_to_json(each) for each in kept], "within": word}


def best(models: Sequence[Model], records: dict[str, list[dict[str, Any]]], seed: int) -> Model:
    """By accuracy on choose rows; of equals, by their NLL."""
    of = {model: records[model.name][seed] for model in models}
    return max(models, key=lambda model: (of[model]["choose_accuracy"], -of[model]["choose_nll"]))


def planes(folder: Path, path: Path) -> None:
    """The averaged prediction over the plane, for both cases, from the chains with starts of their own."""
    side, scale = 90, 4
    sheet = Image.new("RGB", (len(CASES) * (side * scale + 12), side * scale + 26), "white")
    draw = ImageDraw.Draw(sheet)
    rows = dirclip_toy()
    for number, case in enumerate(CASES):
        left = number * (side * scale + 12)
        shares = plane(toy_chains(case, together=False, seed=0, folder=folder), side)
        sheet.paste(heat(shares).resize((side * scale, side * scale), Image.Resampling.BILINEAR), (left, 24))
        draw.text((left + 4, 6), f"DirClip, alpha = {case.alpha:g}: probability of orange", fill="black")
        for (x, y), label in zip(rows.inputs[:].tolist(), rows.targets.tolist(), strict=True):
            at = left + x * side * scale, 24 + (0.05 - y) * side * scale
            colour = (214, 96, 10) if label == 0 else (0, 90, 170)
            draw.ellipse([at[0] - 6, at[1] - 6, at[0] + 6, at[1] + 6], fill=colour, outline="white", width=2)
    sheet.save(path, optimize=True)


def lines_of(told: dict[str, Any], path: Path) -> None:
    """Where ascents go, and accuracies over α and over T."""
    threshold = dirclip_threshold(CLASSES)
    lines = []
    for trained, colour in ((False, COLOURS["DirClip"]), (True, COLOURS["trained"])):
        for floor in CLIMBED_FLOORS:
            of = [each for each in told["ascents"]["climbs"] if (each["trained"], each["floor"]) == (trained, floor)]
            means = [mean([each["wrong"] for each in of if each["alpha"] == alpha]) for alpha in ALPHAS]
            name = f"{'trained' if trained else 'random'} start, v = {floor:g}".replace("-", "−")
            points = list(zip(ALPHAS, means, strict=True))
            lines.append(Line(name, colour, points, dashed=floor == CLIMBED_FLOORS[0], dots=True))
    astray_axis = Axis("share of fit rows predicted wrongly", 0, 1, (0, 0.25, 0.5, 0.75, 1), percent=True)
    panels = [
        Panel("After ascent with DirClip(α, v)", Axis("α", -0.5, 1, (-0.5, 0, 0.5, 1)), astray_axis, lines,
              [(threshold, f"(K − 2)/K = {threshold:g}")])
    ]  # fmt: skip
    by = {name: [each for each in told["digits"]["records"] if each["model"] == name] for name in
          dict.fromkeys(each["model"] for each in told["digits"]["records"])}  # fmt: skip
    shown = Axis("accuracy on judge rows", 0.88, 0.96, (0.88, 0.9, 0.92, 0.94, 0.96), percent=True)

    def score(model: Model) -> float:
        return mean([each["judge_accuracy"] for each in by[model.name]])

    plain = score(PLAIN)
    floors = {-10.0: "#e39a3c", -20.0: COLOURS["DirClip"], -50.0: "#5f2208"}
    clipped = [
        Line(f"v = {floor:g}".replace("-", "−"), colour,
             [(1.0, plain), *((m.alpha or 0.0, score(m)) for m in DIRCLIP if m.floor == floor)], dots=True)
        for floor, colour in floors.items()
    ]  # fmt: skip
    panels.append(Panel("DirClip from trained starts", Axis("α", -0.5, 1, (-0.5, 0, 0.5, 1)), shown, clipped))
    cold = [(1.0, plain), *((model.temperature, score(model)) for model in COLD)]
    ticks = (0.01, 0.03, 0.1, 0.3, 1)
    temperatures = Axis("T", 0.01, 1, ticks, logarithmic=True)
    panels.append(Panel("Cold posterior", temperatures, shown, [Line("", COLOURS["cold"], cold, dots=True)]))
    write_text(path, chart("Real digits, means over seeds", panels))


def heat(shares: Tensor) -> Image.Image:
    """From blue (0) over white (½) to orange (1)."""
    ends = torch.tensor([[70, 130, 200], [255, 255, 255], [240, 150, 70]], dtype=torch.float64)
    low, share = (2 * shares).floor().clamp(max=1).long(), 2 * shares
    mixed_colours = ends[low] + (share - low)[..., None] * (ends[low + 1] - ends[low])
    return Image.fromarray(mixed_colours.round().to(torch.uint8).numpy())


def worded(found: Finding) -> str:
    ends = found.interval
    assert ends is not None
    by, digits_ = (1.0, 3) if found.unit.startswith("nats") else (100.0, 1)
    return f"{found.value * by:.{digits_}f} [{ends.low * by:.{digits_}f}, {ends.high * by:.{digits_}f}]".replace(
        "-", "−"
    )


def spread(values: Sequence[float]) -> str:
    """The mean, and the least and the most of the seeds."""
    return f"{mean(values):.1%} [{min(values):.1%}, {max(values):.1%}]"


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def table(names: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [names, ["---"] * len(names), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def say(words: str) -> None:
    print(words, flush=True)


def tell(stage: str, done: int, total: int) -> None:
    if done == total or done % max(1, total // 20) == 0:
        print(f"\r{stage}: {done} of {total}   ", end="\n" if done == total else "", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--folder", type=Path, default=Path("runs/dirclip"))
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    use_product(measure_product().name)
    folder = chosen.folder / "quick" if chosen.quick else chosen.folder
    seeds = min(chosen.seeds, 1) if chosen.quick else chosen.seeds
    scale = QUICK if chosen.quick else Scale()
    told: dict[str, Any] = {"command": "python studies/dirclip.py", "seeds": seeds}
    if "toy" in chosen.parts:
        told["toy"] = toy(folder / "toy", Length(20, 200) if chosen.quick else Length(), chosen.quick)
    if "ascents" in chosen.parts:
        told["ascents"] = ascents(folder / "digits", scale, seeds, chosen.quick)
    if "digits" in chosen.parts:
        told["digits"] = digits(folder / "digits", scale, seeds, chosen.quick)
    if not chosen.quick and set(chosen.parts) == set(PARTS):
        write_json(chosen.docs / "data/dirclip.json", told)
        planes(chosen.folder / "toy", chosen.docs / "images/dirclip-toy.png")
        lines_of(told, chosen.docs / "images/dirclip-digits.svg")


if __name__ == "__main__":
    main()
