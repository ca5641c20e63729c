"""Four looks at students of `weak_tuned.py`, each to a plain record: courses, neighbours, simulated labels, linearity.

Sizes are their places among the setting's widths. Where intervals are over rows and seeds they are findings'; where a
seed's rows are its own (what was filtered, what of the taught mistakes is repeated) they are t-intervals over seeds.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import one_hot
from weak_tables import plain
from weak_tuned import BASELINE, CONFIDENT, HEAD, HEAD_CONFIDENT, UNTRAINED, Tuned, supervised, ways
from weak_vision import BLOCK, CLASSES, build

from surefoot.files import read_tensors, write_tensors
from surefoot.findings.compare import compare
from surefoot.findings.finding import Finding
from surefoot.findings.predictions import Predictions, predictions_for
from surefoot.findings.quantiles import student_quantile
from surefoot.networks.network import Parameters, embed, parameters_of
from surefoot.rows.rows import Rows
from surefoot.supervise.course import Course, answers_by, early_stopping, teach_watched
from surefoot.supervise.disagreement import disagreement
from surefoot.supervise.gap import recovered_gap
from surefoot.supervise.labels import WeakLabels, halve, true_labels, weak_labels
from surefoot.supervise.linearity import Body, linearity
from surefoot.supervise.neighbours import caught, filtered, nearest, relabelled
from surefoot.supervise.simulate import Structure, simulated_labels

__all__ = ["COURSES", "FILTERED", "KEPT", "LINEAR", "NEAR", "SIMULATED", "changed", "courses", "linear", "neighbours",
           "over_seeds", "simulated"]  # fmt: skip

Record: TypeAlias = dict[str, Any]

COURSES = (
    (0, 3, BASELINE), (1, 3, BASELINE), (0, 2, BASELINE), (1, 3, CONFIDENT),
    (0, 3, HEAD), (1, 3, HEAD), (0, 2, HEAD),
)  # fmt: skip
FILTERED = ((0, 3), (1, 3), (0, 2))
NEAR, KEPT = 10, 0.75
"""Neighbours of a row, and the share of rows that filtering keeps; neither was searched for."""
SIMULATED = ((1, 3, BASELINE), (1, 3, HEAD), (0, 3, HEAD))
LINEAR = (2, 3)
FEW = 100
"""Rows of a probe that has few."""
PENALTIES = (1e-3, 1e-2, 1e-1)


def over_seeds(values: Sequence[float], confidence: float = 0.95) -> Record:
    """The mean of numbers by seed, with its t-interval; without one from a single seed."""
    if len(values) < 2 or not all(map(math.isfinite, values)):
        return {"value": mean(values), "low": mean(values), "high": mean(values), "per_seed": list(values)}
    reach = student_quantile((1 + confidence) / 2, len(values) - 1.0) * stdev(values) / len(values) ** 0.5
    return {"value": mean(values), "low": mean(values) - reach, "high": mean(values) + reach, "per_seed": list(values)}


def changed(before: Predictions, after: Predictions) -> Record | None:
    """Accuracy after − before, paired."""
    found = compare(before, after, before_name="before", after_name="after", source="judge")
    return plain(next(each for each in found if (each.name, each.slice) == ("accuracy", "all")))


def courses(setting: Tuned, labelled: Rows, judge: Rows, seeds: int) -> list[Record]:
    """Accuracy and agreement by epoch, what other choices of the epoch gain, and the share of the gap with each."""
    return [_course(setting, labelled, judge, seeds, *each) for each in COURSES]


def _course(setting: Tuned, labelled: Rows, judge: Rows, seeds: int, weak: int, strong: int, name: str) -> Record:
    way, ran, supervisors = ways(setting.digits.settings)[name], list[Course](), list[Tensor]()
    for seed in range(seeds):
        of = supervised(setting, weak, seed, labelled, judge)
        place, said = setting.place("courses", strong, of.labels, way, seed), of.judge.argmax(dim=1)
        if not place.exists():
            _tell(f"a course of {_called(setting, weak, strong)} by {name}, seed {seed}")
            ready = setting.ready(strong, of.labels, way, seed, (judge,))
            _, course = teach_watched(ready.learner, ready.labels, ready.others[0], said, seed)
            write_tensors(place, {"classes": course.classes.to(torch.int16)})
        ran.append(Course(read_tensors(place)["classes"].long(), judge.targets, said))
        supervisors.append(of.judge)
    supervisor = predictions_for(judge, torch.stack(supervisors))
    ceiling = _ceiling(setting, strong, name, labelled, judge, seeds)
    gained = {each.name: plain(each) for each in early_stopping(ran, judge, source="judge")}
    shares: Record = {}
    epochs: Record = {}
    for by in ("last epoch", "true labels", "weak labels", "patience"):
        answers, chosen = answers_by(ran, judge, by)
        shares[by] = plain(recovered_gap(supervisor, answers, ceiling, source="judge").recovered)
        epochs[by] = mean(chosen)
    return {
        **_pair(setting, weak, strong), "way": name, "supervisor": float(supervisor.correct().mean()),
        "ceiling": float(ceiling.correct().mean()),
        "truth": [mean(at) for at in zip(*(each.truth for each in ran), strict=True)],
        "agreement": [mean(at) for at in zip(*(each.agreement for each in ran), strict=True)],
        "best": [each.best for each in ran], "chosen": [each.chosen for each in ran],
        "stopped": [each.stopped() for each in ran], "gained": gained, "shares": shares, "epochs": epochs,
    }  # fmt: skip


def neighbours(setting: Tuned, labelled: Rows, judge: Rows, seeds: int) -> list[Record]:
    """Students of labels that were filtered, thinned at random as much, and relabelled, beside those of all labels."""
    found: list[Record] = []
    for weak, strong in FILTERED:
        versions: dict[str, list[WeakLabels]] = {"as they are": [], "filtered": [], "thinned at random": [],
                                                 "relabelled": []}  # fmt: skip
        quality: dict[str, list[float]] = {name: [] for name in ("wrong", "precision", "recall", "right", "mended")}
        supervisors: list[Tensor] = []
        for seed in range(seeds):
            of = supervised(setting, weak, seed, labelled, judge)
            made = _mended(setting, strong, of.labels, seed)
            for name, labels in made.items():
                versions[name].append(labels)
            truth = of.parts.student.targets
            out = caught(of.labels, made["filtered"], truth)
            for name, value in (("wrong", out.wrong), ("precision", out.precision), ("recall", out.recall)):
                quality[name].append(value)
            kept = made["filtered"].rows
            places = {name: place for place, name in enumerate(of.parts.student.ids.tolist())}
            own = truth[torch.tensor([places[name] for name in kept.ids.tolist()])]
            quality["right"].append(float((kept.targets.argmax(dim=1) == own).double().mean()))
            quality["mended"].append(
                float((made["relabelled"].rows.targets.argmax(dim=1) == truth).double().mean())
            )  # fmt: skip
            supervisors.append(of.judge)
        supervisor = predictions_for(judge, torch.stack(supervisors))
        for name in (BASELINE, HEAD):
            ceiling = _ceiling(setting, strong, name, labelled, judge, seeds)
            students = {kind: _students(setting, strong, each, name, judge) for kind, each in versions.items()}
            rows = {
                kind: {
                    "student": float(student.correct().mean()),
                    "recovered": plain(recovered_gap(supervisor, student, ceiling, source="judge").recovered),
                    "against": None if kind == "as they are" else changed(students["as they are"], student),
                }
                for kind, student in students.items()
            }
            found.append({
                **_pair(setting, weak, strong), "way": name, "supervisor": float(supervisor.correct().mean()),
                "ceiling": float(ceiling.correct().mean()), "versions": rows,
                "quality": {each: over_seeds(values) for each, values in quality.items()},
            })  # fmt: skip
    return found


def _mended(setting: Tuned, strong: int, labels: WeakLabels, seed: int) -> dict[str, WeakLabels]:
    near = nearest(_standardised(setting, strong, labels.rows, seed), NEAR)
    kept = filtered(labels, near, KEPT)
    order = torch.randperm(len(labels.rows), generator=torch.Generator().manual_seed(seed))[: len(kept.rows)]
    thinned = WeakLabels(labels.rows.take(order.sort().values), labels.seen, f"{labels.by}, thinned")
    return {"as they are": labels, "filtered": kept, "thinned at random": thinned,
            "relabelled": relabelled(labels, near)}  # fmt: skip


def simulated(setting: Tuned, labelled: Rows, judge: Rows, seeds: int) -> list[Record]:
    """Students of labels as accurate as a supervisor's, whose mistakes are elsewhere."""
    return [_simulated(setting, labelled, judge, seeds, *each) for each in SIMULATED]


STRUCTURES: Mapping[str, tuple[Structure, str]] = {
    "the supervisor's own, hard": ("copied", "supervisor"),
    "any row, any class": ("even", "supervisor"),
    "any row, classes confused alike": ("confused", "supervisor"),
    "rows hardest for the supervisor": ("hard", "supervisor"),
    "rows hardest in the student's features": ("hard", "student"),
}
SOFT = "the supervisor's own, soft"


def _simulated(setting: Tuned, labelled: Rows, judge: Rows, seeds: int, weak: int, strong: int, name: str) -> Record:
    taught: dict[str, list[WeakLabels]] = {SOFT: [], **{each: [] for each in STRUCTURES}}
    judged: dict[str, list[Tensor]] = {each: [] for each in taught}
    for seed in range(seeds):
        of = supervised(setting, weak, seed, labelled, judge)
        taught[SOFT].append(of.labels)
        judged[SOFT].append(of.judge)
        means = _class_means(setting, strong, of.parts.weak, (of.parts.student, judge), seed)
        for called, (structure, by) in STRUCTURES.items():
            pairs = zip((of.parts.student, judge), (of.labels.rows.targets, of.judge), means, strict=True)
            made: list[Tensor] = []
            for number, (rows, opinion, near) in enumerate(pairs):
                accuracy = float((opinion.argmax(dim=1) == rows.targets).double().mean())
                reference = opinion if by == "supervisor" else near
                classes = simulated_labels(
                    rows.targets, CLASSES, accuracy, structure, 2 * seed + number, reference=reference
                )
                made.append(one_hot(classes, CLASSES).float())
            taught[called].append(weak_labels(of.parts.student, made[0], seen=of.labels.seen, by=called))
            judged[called].append(made[1])
    ceiling, rows = _ceiling(setting, strong, name, labelled, judge, seeds), dict[str, Record]()
    for called, labels in taught.items():
        student = _students(setting, strong, labels, name, judge)
        own = _repeated(setting, strong, labels, name, labelled)
        supervisor = predictions_for(judge, torch.stack(judged[called]))
        rows[called] = {
            "supervisor": float(supervisor.correct().mean()), "student": float(student.correct().mean()),
            "recovered": plain(recovered_gap(supervisor, student, ceiling, source="judge").recovered),
            "taught_mistakes_repeated": over_seeds(own),
            "disagreement": _disagreement(supervisor, student),
        }  # fmt: skip
    return {**_pair(setting, weak, strong), "way": name, "ceiling": float(ceiling.correct().mean()), "rows": rows}


def linear(setting: Tuned, labelled: Rows, judge: Rows, seeds: int) -> list[Record]:
    """Probes of bodies before and after they were taught, from many rows and from few."""
    probed = setting.digits.unlabelled
    few = halve(probed, seed=0, share=min(0.5, FEW / len(probed))).weak
    found: list[Record] = []
    for strong in LINEAR:
        before, after, own = _bodies(setting, strong, probed, labelled, judge, seeds)
        places = {name: place for place, name in enumerate(probed.ids.tolist())}
        chosen = torch.tensor([places[name] for name in few.ids.tolist()])
        rows: dict[str, Record] = {each.name: {"own": own.get(each.name)} for each in (before, *after)}
        for label, learn, take in (("many", probed, slice(None)), ("few", few, chosen)):
            cut = [Body(each.name, each.learn[:, take], each.judge) for each in (before, *after)]
            _tell(f"probes of cnn{setting.digits.settings.widths[strong]} from {label} rows")
            for each in linearity(cut[0], cut[1:], learn, judge, source="judge", penalties=PENALTIES):
                rows[each.subject.split(" − ")[0]][f"{label}: {each.name}"] = plain(each)
        found.append({"strong": f"cnn{setting.digits.settings.widths[strong]}", "rows": rows, "many": len(probed),
                      "few": len(few)})  # fmt: skip
    return found


def _bodies(
    setting: Tuned, strong: int, probed: Rows, labelled: Rows, judge: Rows, seeds: int
) -> tuple[Body, list[Body], dict[str, float]]:
    """The pretrained body, those that were taught, and the accuracies of the students whose they are."""
    every, widths = ways(setting.digits.settings), setting.digits.settings.widths
    asked = [(size, name) for size in range(2) for name in (BASELINE, CONFIDENT)]
    layers: dict[str, list[tuple[Tensor, Tensor]]] = {}
    right: dict[str, list[float]] = {}
    for seed in range(seeds):
        network = build(widths[strong], CLASSES, seed)
        parts = halve(labelled, seed)
        truth = true_labels(parts.student)
        labels = [supervised(setting, size, seed, labelled, judge).labels for size in range(2)]
        points: dict[str, tuple[Parameters | None, WeakLabels, str]] = {
            "pretrained, before": (setting.digits.body(widths[strong], seed), truth, ""),
            **{f"taught by {labels[size].by}, {name}": (None, labels[size], name) for size, name in asked},
            "taught the truth": (None, truth, BASELINE),
            "never pretrained, before": (parameters_of(network), truth, ""),
            f"never pretrained, taught by {labels[1].by}": (None, labels[1], UNTRAINED),
            "never pretrained, taught the truth": (None, truth, UNTRAINED),
        }
        for called, (body, of, name) in points.items():
            point = body if body is not None else setting.point(strong, of, every[name], seed)
            full = {**parameters_of(network), **{n: t for n, t in point.items() if not n.startswith(network.head)}}
            layers.setdefault(called, []).append((_features(network, full, probed), _features(network, full, judge)))
            if name:
                said = setting.said(strong, of, every[name], seed, (judge,))[0]
                right.setdefault(called, []).append(float((said.argmax(dim=1) == judge.targets).double().mean()))
    bodies = [Body(called, *map(torch.stack, zip(*each, strict=True))) for called, each in layers.items()]
    return bodies[0], bodies[1:], {called: mean(each) for called, each in right.items()}


def _features(network: Any, parameters: Parameters, rows: Rows) -> Tensor:
    images = rows.inputs[:]
    with torch.no_grad():
        return torch.cat([embed(network, parameters, images[at : at + BLOCK]) for at in range(0, len(images), BLOCK)])


def _standardised(setting: Tuned, size: int, rows: Rows, seed: int) -> Tensor:
    """Of the pretrained body's features."""
    nobody = WeakLabels(rows, frozenset(), "nobody")
    return setting.ready(size, nobody, ways(setting.digits.settings)[HEAD], seed, ()).labels.rows.inputs[:]


def _class_means(setting: Tuned, size: int, known: Rows, others: Sequence[Rows], seed: int) -> list[Tensor]:
    """softmax(−‖x − mean of class‖² / features) in the student's standardised features, its means from the truth."""
    way = ways(setting.digits.settings)[HEAD]
    ready = setting.ready(size, true_labels(known), way, seed, others)
    features, targets = ready.labels.rows.inputs[:], known.targets
    means = torch.stack([features[targets == each].mean(dim=0) for each in range(CLASSES)])
    return [
        (-torch.cdist(each.inputs[:].double(), means.double()).square() / means.shape[1]).softmax(dim=1)
        for each in ready.others
    ]


def _students(setting: Tuned, size: int, labels: Sequence[WeakLabels], name: str, judge: Rows) -> Predictions:
    """One a seed."""
    way = ways(setting.digits.settings)[name]
    said: list[Tensor] = []
    for seed, each in enumerate(labels):
        if not setting.place("points", size, each, way, seed).exists():
            _tell(f"{each.by} to cnn{setting.digits.settings.widths[size]} by {name}, seed {seed}")
        said.append(setting.said(size, each, way, seed, (judge,))[0])
    return predictions_for(judge, torch.stack(said))


def _ceiling(setting: Tuned, size: int, name: str, labelled: Rows, judge: Rows, seeds: int) -> Predictions:
    """Of the kind of student: a whole network or a head."""
    kind = HEAD if name in (HEAD, HEAD_CONFIDENT) else BASELINE
    labels = [true_labels(halve(labelled, seed).student) for seed in range(seeds)]
    return _students(setting, size, labels, kind, judge)


def _repeated(setting: Tuned, size: int, labels: Sequence[WeakLabels], name: str, labelled: Rows) -> list[float]:
    """Which share of the wrong labels that it was taught the student says itself, by seed."""
    found: list[float] = []
    for seed, each in enumerate(labels):
        said = setting.said(size, each, ways(setting.digits.settings)[name], seed, (each.rows,))[0].argmax(dim=1)
        given, truth = each.rows.targets.argmax(dim=1), halve(labelled, seed).student.targets
        found.append(float((said == given)[given != truth].double().mean()))
    return found


def _disagreement(supervisor: Predictions, student: Predictions) -> Record:
    found: Sequence[Finding] = disagreement(supervisor, student, source="judge")
    return {each.name: plain(each, seeds=False) for each in found}


def _pair(setting: Tuned, weak: int, strong: int) -> Record:
    widths = setting.digits.settings.widths
    return {"weak": f"cnn{widths[weak]}", "strong": f"cnn{widths[strong]}"}


def _called(setting: Tuned, weak: int, strong: int) -> str:
    return " → ".join(_pair(setting, weak, strong).values())


def _tell(words: str) -> None:
    print(words, file=sys.stderr, flush=True)
