"""Cards made by hand: a usual one, one at every extreme, and one of almost nothing."""

import base64
import io
import itertools

import numpy as np
from PIL import Image

from surefoot.card.card import Card, Mistake, Record, RoleSummary, Subject, base_of
from surefoot.card.claims import Claim, judge_claims, verdict_of, verdict_sentence
from surefoot.findings.calibration import Bin
from surefoot.findings.finding import Direction, Finding, Interval

__all__ = ["bare", "card_of", "extreme", "finding", "usual"]

GROUPS = ("2–5, top 0", "2–5, top 1", "6–9, top 0", "6–9, top 1")
NOT_SHOWN = (
    "Whether the shortcut is the only one: groups are those that were named, and no others were searched for.",
    "How the model does on digits written by other people than those in the data.",
    "How badly the base model fails depends on how long it was trained; the early-stopped one fails most.",
)


def finding(
    name: str = "worst_group_accuracy",
    value: float = 0.88,
    half: float | tuple[float, float] | None = 0.03,
    *,
    subject: str = "erm",
    slice: str = "all",
    clusters: int = 600,
    unit: str = "proportion",
    direction: Direction = "higher",
    per_seed: tuple[float, ...] = (),
    confidence: float = 0.95,
) -> Finding:
    """A finding whose interval reaches `half` to both sides (or the given ends)."""
    if half is None:
        interval = None
    else:
        low, high = half if isinstance(half, tuple) else (value - half, value + half)
        interval = Interval(low, high, confidence, "clustered")
    return Finding(name, value, interval, clusters * 4, clusters, unit, slice, direction, subject, "judge", per_seed)


def record(seeds: int = 5, uses: int = 1) -> Record:
    return Record(
        command="surefoot run studies/digits.yaml --out runs/digits",
        seeds=tuple(range(seeds)),
        versions={"surefoot": "0.1.0", "python": "3.11.7", "torch": "2.13.0+cpu", "numpy": "2.4.0"},
        settings={
            "rows": {"dominoes": {"correlation": 0.98, "judge_correlation": 0.5}},
            "network": {"cnn": {"channels": [16, 32], "hidden": 64}},
            "product": "onednn",
        },
        data="Dominoes from 5,000 real digits, shortcut agrees in 98% of training rows and 50% of judge rows",
        judge_digest="9f2c" * 16,
        judge_uses=uses,
        created="2026-11-23T16:20:00+00:00",
        times={"rows": 3.1, "train": 82.4, "features": 4.0, "repair": 21.7, "judge": 1.2},
    )


def usual() -> Card:
    """Two base models, four repairs each, five seeds, four groups."""
    repairs = {
        "balanced": "class-balanced head",
        "dfr_train": "DFR, learns on repair rows",
        "dfr_choose": "DFR, learns on choose rows",
        "afr": "AFR, no group labels to learn from",
    }
    subjects: list[Subject] = []
    accuracies: dict[str, tuple[float, float, float, float]] = {}
    worst = {
        "stopped": (0.995, 0.44, 0.52, 0.99),
        "stopped+balanced": (0.99, 0.47, 0.61, 0.97),
        "stopped+dfr_train": (0.94, 0.89, 0.90, 0.95),
        "stopped+dfr_choose": (0.93, 0.90, 0.91, 0.94),
        "stopped+afr": (0.96, 0.78, 0.83, 0.95),
        "converged": (0.995, 0.77, 0.79, 0.99),
        "converged+balanced": (0.99, 0.74, 0.83, 0.98),
        "converged+dfr_train": (0.95, 0.91, 0.92, 0.96),
        "converged+dfr_choose": (0.95, 0.92, 0.92, 0.955),
        "converged+afr": (0.98, 0.80, 0.85, 0.97),
    }
    for base, label in (("stopped", "CNN, stopped early"), ("converged", "CNN, converged")):
        subjects.append(Subject(base, label, notes=("Eight epochs with shifts of a pixel.",)))
        accuracies[base] = worst[base]
        for key, words in repairs.items():
            name = f"{base}+{key}"
            chosen = tuple({"C": 0.1, "retrains": 20.0} for _ in range(5)) if "dfr" in key else ()
            subjects.append(Subject(name, f"{label} → {words}", base, chosen=chosen))
            accuracies[name] = worst[name]
    return card_of(
        title="Digits with a shortcut",
        question="Does the model read the lower digit, or does it look at the upper one?",
        subjects=subjects,
        accuracies={name: dict(zip(GROUPS, values, strict=True)) for name, values in accuracies.items()},
        classes=("2–5", "6–9"),
        chosen="converged+dfr_train",
        claims=(
            Claim("worst_group_accuracy", "chosen", at_least=0.85),
            Claim("weighted_accuracy", "chosen", at_least=0.9),
            Claim("calibration_error", "chosen", at_most=0.052),
        ),
        seeds=5,
        spread={"stopped+afr": 0.11, "converged+afr": 0.06},
    )


def extreme() -> Card:
    """Sixteen groups with long names, ten classes, three seeds, markup in every name, a failed claim."""
    hostile = (
        "<script>alert('x')</script> & \"quoted\" background with a very long and unbroken_name_without_any_spaces"
    )
    values = ("forest at dusk in heavy rain", "open water with reflections", "urban street scene", hostile)
    groups = tuple(
        f"{animal}, {place}"
        for animal, place in itertools.product(("Eastern towhee", "Western wood pewee", "gull", "duck"), values)
    )
    subjects = [
        Subject("erm", "ResNet-50 <b>ImageNet</b>"),
        Subject("erm+dfr", "ResNet-50 with deep feature reweighting, learnt on the repair rows", "erm"),
        Subject("erm+afr", "ResNet-50 with automatic feature reweighting and a rather long label", "erm"),
    ]
    generator = np.random.default_rng(3)
    accuracies = {
        subject.name: {name: float(value) for name, value in zip(groups, generator.uniform(low, 1.0, 16), strict=True)}
        for subject, low in zip(subjects, (0.05, 0.7, 0.5), strict=True)
    }
    return card_of(
        title="Birds <i>and</i> places",
        question="Is the bird recognised wherever it stands, or only before the background it was seen with?",
        subjects=subjects,
        accuracies=accuracies,
        classes=(*tuple(f"class {number} of the birds" for number in range(9)), "<script>"),
        chosen="erm+dfr",
        claims=(
            Claim("accuracy", "chosen", slice=groups[3], at_least=0.99),
            Claim("worst_group_accuracy", "erm", at_least=0.5),
        ),
        seeds=3,
        spread={},
    )


def bare() -> Card:
    """One model, one seed, no groups, no claims, no images."""
    return card_of(
        title="predictions.csv",
        question="",
        subjects=[Subject("model", "model")],
        accuracies={"model": {}},
        classes=("0", "1"),
        chosen=None,
        claims=(),
        seeds=1,
        spread={},
        images=False,
    )


def card_of(
    *,
    title: str,
    question: str,
    subjects: list[Subject],
    accuracies: dict[str, dict[str, float]],
    classes: tuple[str, ...],
    chosen: str | None,
    claims: tuple[Claim, ...],
    seeds: int,
    spread: dict[str, float],
    images: bool = True,
) -> Card:
    """A card whose findings follow from each subject's accuracy per group."""
    generator = np.random.default_rng(0)
    findings: list[Finding] = []
    for subject in subjects:
        findings += _findings(subject.name, accuracies[subject.name], seeds, spread.get(subject.name, 0.012), generator)
    by_key = {(each.subject, each.name, each.slice): each for each in findings}
    differences: list[Finding] = []
    for subject in subjects:
        if subject.before is None:
            continue
        for (of, name, part), after in by_key.items():
            before = by_key.get((subject.before, name, part))
            if of == subject.name and before is not None:
                change, half = after.value - before.value, 0.02 if after.unit == "proportion" else 0.01
                differences.append(
                    finding(
                        name,
                        change,
                        half,
                        subject=f"{of} − {subject.before}",
                        slice=part,
                        unit=after.unit,
                        direction=after.direction,
                        per_seed=tuple(
                            first - second for first, second in zip(after.per_seed, before.per_seed, strict=True)
                        ),
                    )
                )
    labels = {subject.name: subject.label for subject in subjects}
    judged = judge_claims(claims, (*findings, *differences), chosen=chosen, labels=labels)
    shown = [subjects[0].name] if chosen is None else [base_of(subjects, chosen), chosen]
    groups = tuple(next(iter(accuracies.values())))
    counts = dict.fromkeys(groups, 1200)
    return Card(
        title=title,
        question=question,
        verdict=verdict_of(judged),
        sentence=verdict_sentence(judged),
        chosen=chosen,
        claims=judged,
        subjects=tuple(subjects),
        findings=tuple(findings),
        differences=tuple(differences),
        classes=classes,
        groups=groups,
        reliability={name: _bins(number) for number, name in enumerate(shown)},
        confusion={name: _confusion(len(classes), number) for number, name in enumerate(shown)},
        gallery={name: _mistakes(classes, groups, images, number) for number, name in enumerate(shown)},
        roles=tuple(
            RoleSummary(role, rows, sources, counts)
            for role, rows, sources in (
                ("fit", 9600, 2000),
                ("repair", 2400, 500),
                ("choose", 8000, 1000),
                ("judge", 4800, 1500),
            )
        ),
        not_shown=NOT_SHOWN,
        record=record(seeds, uses=1 if images else 3),
    )


def _findings(
    subject: str, accuracy: dict[str, float], seeds: int, spread: float, generator: np.random.Generator
) -> list[Finding]:
    def around(centre: float, width: float) -> tuple[float, ...]:
        if seeds == 1:
            return ()
        drawn = generator.normal(0, width, seeds)
        return tuple(float(min(1, max(0, value))) for value in centre + drawn - drawn.mean())

    def share(name: str, value: float, part: str = "all", clusters: int = 600) -> Finding:
        half = 0.008 + 1.2 * (value * (1 - value) / clusters) ** 0.5 + spread / 2
        ends = (max(0.0, value - half), min(1.0, value + half))
        return finding(
            name, value, ends, subject=subject, slice=part, clusters=clusters, per_seed=around(value, spread)
        )

    groups = [share("accuracy", value, name) for name, value in accuracy.items()]
    mean = sum(accuracy.values()) / len(accuracy) if accuracy else 0.9
    made = [share("accuracy", mean, clusters=1500), *groups]
    if accuracy:
        made.append(share("weighted_accuracy", min(0.99, mean + 0.03), clusters=1500))
        made.append(share("worst_group_accuracy", min(accuracy.values())))
    for name, value in (("nll", 0.31), ("brier", 0.12)):
        unit = "nats" if name == "nll" else "squared probability"
        made.append(
            finding(name, value, 0.02, subject=subject, unit=unit, direction="lower", per_seed=around(value, 0.01))
        )
    for name, value in (("calibration_error", 0.049), ("calibration_error_equal_mass", 0.046)):
        made.append(finding(name, value, 0.008, subject=subject, direction="lower", per_seed=around(value, 0.004)))
    return made


def _bins(number: int) -> tuple[Bin, ...]:
    centres = [(step + 0.5) / 15 for step in range(7, 15)]
    return tuple(
        Bin(centre, min(1.0, centre - (0.09 - 0.05 * number) * (1 - centre) * 4), 40 + 25 * place**2)
        for place, centre in enumerate(centres)
    )


def _confusion(classes: int, number: int) -> tuple[tuple[int, ...], ...]:
    generator = np.random.default_rng(number)
    counts = generator.integers(0, 60, (classes, classes))
    counts[np.arange(classes), np.arange(classes)] = 900 + 100 * number
    return tuple(tuple(int(count) for count in row) for row in counts)


def _mistakes(classes: tuple[str, ...], groups: tuple[str, ...], images: bool, number: int) -> tuple[Mistake, ...]:
    return tuple(
        Mistake(
            id=f"domino:judge:{37 * place + number:06d}",
            target=classes[place % 2],
            predicted=classes[-1 - place % 2],
            probability=0.999 - 0.011 * place,
            groups=groups[place % len(groups) :][:1] if groups else (),
            image=_picture(place + 100 * number) if images else "",
        )
        for place in range(12)
    )


def _picture(number: int) -> str:
    """A blurry blob on a 28×14 canvas, standing in for a domino."""
    generator = np.random.default_rng(number)
    rows, columns = np.mgrid[0:28, 0:14]
    canvas = np.zeros((28, 14))
    for top in (7, 21):
        angle = generator.uniform(0, 6.28) + np.linspace(0, 5, 40)
        for turn in angle:
            centre = (top + 4 * np.sin(turn), 7 + 3 * np.cos(turn))
            canvas = np.maximum(canvas, np.exp(-((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2) / 1.2))
    written = io.BytesIO()
    Image.fromarray((canvas * 255).astype(np.uint8)).save(written, format="PNG")
    return base64.b64encode(written.getvalue()).decode("ascii")
