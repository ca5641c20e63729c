"""Weak to strong where the answer is known: mistakes that are a feature of the rows, or in none, and how loud it is.

    python studies/weak_salience.py             five seeds; prints tables
    python studies/weak_salience.py --quick     few rows, in seconds: does it all run?
    python studies/weak_salience.py --publish   also writes its part of docs/weak-to-strong.md, its data and picture

All of it takes about a minute of one core.

Worlds: `rows/salience.py`. One true feature of salience g = 2, one proxy of salience b that agrees with the class in
75 % of the rows, four features of noise. The supervisor has accuracy 75 % and says the proxy ("proxy": its mistakes are
a feature), or the class with mistakes at random ("random": they are in no feature). Only b changes.

What a least-squares student of its labels recovers is known in a world without end. With random mistakes it is 1
whatever b is. With the proxy it is 1 at b = 0, where nobody can see which rows are wrong, and 0 once the proxy is as
loud as the truth. Students: least squares on the labels' signs, whose line must be the known one; and linear heads that
are taught the soft labels by cross-entropy and by confidence losses. The ceiling of each is the same student on the
truth (of all heads: by cross-entropy). A seed draws the learning rows; the judged ones are the same for all.

Source: Burns et al. (2023), "Weak-to-strong generalization" (imitation of a supervisor's mistakes, and how salient a
concept is to the student); the worlds, and their closed form, are ours.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias, get_args

import torch
from curves import Axis, Line, Panel, chart
from torch import Tensor
from weak_tables import COLOURS, GREY, asked, plain, publish, rounded, told

from surefoot.findings.predictions import Predictions, predictions_for
from surefoot.inference.ascend import Ascend
from surefoot.networks.build import build_linear
from surefoot.rows.rows import Rows
from surefoot.rows.salience import Mistakes, Salience, known_accuracies, known_recovery, salience_world
from surefoot.supervise.disagreement import disagreement
from surefoot.supervise.gap import recovered_gap
from surefoot.supervise.labels import weak_labels
from surefoot.supervise.losses import PAPER, PAPER_SMALL, CrossEntropy, WeakLoss
from surefoot.supervise.student import Learner, said_of, teach

Record: TypeAlias = dict[str, Any]
Student: TypeAlias = Callable[[Rows, Tensor, Rows, int], Tensor]
"""(learning rows, labels `[rows, classes]`, judged rows, seed) → probabilities of the judged rows."""

SQUARES, ENTROPY = "least squares", "cross-entropy"
JUDGES = 1_000_000
"""The seed of the judged rows, which no learning rows have."""
TITLE = "The known share of the gap, and what students recover: one true feature, one proxy"


@dataclass(frozen=True)
class Settings:
    """Sizes of the study. saliences: b, of the proxy. true: g."""

    rows: int = 4000
    judged: int = 10_000
    true: float = 2.0
    accuracy: float = 0.75
    noise: int = 4
    saliences: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0)
    epochs: int = 10
    batch: int = 200
    rate: float = 0.03


QUICK = Settings(rows=300, judged=500, saliences=(0.0, 2.0), epochs=3, batch=50)


def world_of(settings: Settings, salience: float, mistakes: Mistakes) -> Salience:
    return Salience(settings.true, (salience,), (settings.accuracy,), settings.noise, mistakes)


def by_squares(rows: Rows, labels: Tensor, judge: Rows, seed: int) -> Tensor:
    """Least squares on the sign of the likelier class, with a constant; its score is half a difference of logits."""
    del seed
    ones = [torch.cat([each.inputs[:], torch.ones(len(each), 1)], dim=1).double() for each in (rows, judge)]
    signs = 2.0 * labels.argmax(dim=1).double() - 1
    score = ones[1] @ torch.linalg.lstsq(ones[0], signs[:, None]).solution[:, 0]
    return torch.stack([-score, score], dim=1).softmax(dim=1).float()


def by_loss(loss: WeakLoss, settings: Settings) -> Student:
    """A linear head on standardised features."""
    climb = Ascend(epochs=settings.epochs, batch=settings.batch, rate=settings.rate, schedule="cosine")

    def student(rows: Rows, labels: Tensor, judge: Rows, seed: int) -> Tensor:
        inputs = rows.inputs[:]
        spread, middle = torch.std_mean(inputs, dim=0)
        head = build_linear(inputs.shape[1], 2, seed)
        taught = weak_labels(rows.with_inputs((inputs - middle) / spread), labels, seen=frozenset(), by="supervisor")
        point = teach(Learner("head", head, climb, loss), taught, seed).point()
        return said_of(head, point, (judge.inputs[:] - middle) / spread)

    return student


def students_of(settings: Settings) -> dict[str, Student]:
    """Of those that are no ceilings themselves, the ceiling is cross-entropy's."""
    return {
        SQUARES: by_squares,
        ENTROPY: by_loss(CrossEntropy(), settings),
        "confidence .5": by_loss(PAPER_SMALL, settings),
        "confidence .75": by_loss(PAPER, settings),
    }


def measure(settings: Settings, salience: float, mistakes: Mistakes, seeds: int) -> Record:
    """One world: what is known of it, and what every student recovers."""
    world = world_of(settings, salience, mistakes)
    roles, opinions = salience_world(world, {"judge": settings.judged}, JUDGES)
    judge, weak = roles["judge"], opinions["judge"]
    said: dict[str, list[Tensor]] = {}
    ceilings: dict[str, list[Tensor]] = {}
    for seed in range(seeds):
        parts, labels = salience_world(world, {"fit": settings.rows}, seed)
        rows = parts["fit"]
        truth = torch.nn.functional.one_hot(rows.targets, 2).float()
        every = students_of(settings)
        best = {name: every[name](rows, truth, judge, seed) for name in (SQUARES, ENTROPY)}
        for name, student in every.items():
            said.setdefault(name, []).append(student(rows, labels["fit"], judge, seed))
            ceilings.setdefault(name, []).append(best.get(name, best[ENTROPY]))
    supervisor = predictions_for(judge, weak[None].expand(seeds, -1, -1))
    names = ("weak", "student", "ceiling")
    return {
        "salience": salience,
        "mistakes": mistakes,
        "known": {**dict(zip(names, known_accuracies(world), strict=True)), "recovered": known_recovery(world)},
        "students": {
            name: _measured(supervisor, predictions_for(judge, torch.stack(each)),
                            predictions_for(judge, torch.stack(ceilings[name])), name)
            for name, each in said.items()
        },
    }  # fmt: skip


def study(settings: Settings, seeds: int) -> Record:
    """All worlds, told on stderr as they are finished."""
    asked = [(salience, mistakes) for mistakes in get_args(Mistakes) for salience in settings.saliences]
    worlds: list[Record] = []
    for number, (salience, mistakes) in enumerate(asked, start=1):
        worlds.append(measure(settings, salience, mistakes, seeds))
        print(f"[{number}/{len(asked)}] b = {salience:g}, {mistakes}", file=sys.stderr, flush=True)
    most = max(settings.saliences)
    curves = {
        mistakes: [
            [most * step / 60, known_recovery(world_of(settings, most * step / 60, mistakes))] for step in range(61)
        ]
        for mistakes in get_args(Mistakes)
    }
    return rounded({"settings": asdict(settings), "seeds": seeds, "worlds": worlds, "curves": curves})


def tables(record: Mapping[str, Any]) -> list[str]:
    """Two blocks: shares of the gap, with the known one; and which of the supervisor's mistakes are repeated."""
    names = list(record["worlds"][0]["students"])
    shares = [f"| mistakes | b | known | {' | '.join(names)} |", f"| --- | --- | --- |{' --- |' * len(names)}"]
    agreed = [f"| mistakes | b | {' | '.join(names)} |", f"| --- | --- |{' --- |' * len(names)}"]
    for world in record["worlds"]:
        found = [world["students"][name] for name in names]
        where = f"| {world['mistakes']} | {world['salience']:g} |"
        known = f"{round(world['known']['recovered'], 2) + 0.0:.2f}"
        shares.append(f"{where} {known} | {' | '.join(told(each['recovered']) for each in found)} |")
        agreed.append(f"{where} {' | '.join(told(each['agreement_with_wrong_labels'], 100, 1) for each in found)} |")
    return ["\n".join(shares), "\n".join(agreed)]


def picture(record: Mapping[str, Any]) -> str:
    """A panel for each kind of mistakes."""
    saliences = record["settings"]["saliences"]
    across = Axis("salience b of the proxy (the true feature's: 2)", 0.0, max(saliences), (0, 1, 2, 3, 4))
    up = Axis("gap recovered", -0.25, 1.25, (0, 0.5, 1))
    words = {"proxy": "The supervisor says the proxy", "random": "The supervisor errs at random"}
    panels: list[Panel] = []
    for mistakes, known in record["curves"].items():
        lines = [Line("known, least squares", GREY, [(one, two) for one, two in known], dashed=True)]
        mine = [each for each in record["worlds"] if each["mistakes"] == mistakes]
        for number, name in enumerate(mine[0]["students"]):
            points = [
                (each["salience"], found["value"])
                for each in mine
                if (found := each["students"][name]["recovered"]) is not None
            ]
            lines.append(Line(name, COLOURS[number], points, dots=True))
        panels.append(Panel(words[mistakes], across, up, lines))
    return chart(TITLE, panels)


def _measured(weak: Predictions, student: Predictions, ceiling: Predictions, name: str) -> Record:
    found = recovered_gap(weak, student, ceiling, source="judge", subject=name)
    agreed = {each.name: each for each in disagreement(weak, student, source="judge", subject=name)}
    return {
        "supervisor": float(weak.correct().mean()),
        "accuracy": float(student.correct().mean()),
        "ceiling": float(ceiling.correct().mean()),
        "recovered": plain(found.recovered),
        "agreement_with_wrong_labels": plain(agreed.get("agreement_with_wrong_labels"), seeds=False),
    }


def main() -> None:
    chosen = asked(__doc__, seeds=5, quick_seeds=2)
    record = study(QUICK if chosen.quick else Settings(), chosen.seeds)
    blocks = tables(record)
    print("\n\n".join(blocks))
    if chosen.publish:
        publish("salience", record, blocks, picture(record))


if __name__ == "__main__":
    main()
