"""A model that learns by reinforcement to think before it answers, and controls that say whether it is the thinking.

    kept = reason_about(ReasonPlan(task_named("parity-16")), seeds=(0, 1, 2), claims=("accuracy >= 0.99",))
    print(kept.card.sentence, kept.models)

<out>/reason/<twelve digits>/    trainings, each a folder a seed and arm, which a killed run goes on with
<out>/reason-…/                  the card, and `model/seed-<seed>/`: the reinforced decoder

Fit problems are demonstrated, repair problems are reinforced on, curves and traces are of choose problems, and all that
is claimed is measured on judge problems.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, cast

from surefoot.card.bounds import check_claim, check_level
from surefoot.card.card import Card, Record, RoleSummary, Subject
from surefoot.card.claims import Claim, judge_by_level, verdict_of, verdict_sentence
from surefoot.card.row_marks import marks
from surefoot.card.words import show_finding
from surefoot.errors import InputError
from surefoot.files import canonical_json, digest_bytes, digest_json
from surefoot.findings.finding import Finding
from surefoot.progress import Progress, silent, unheard
from surefoot.study.numerics import one_thread
from surefoot.study.once.claim_text import parse_claim
from surefoot.study.once.keep import Asked, keep
from surefoot.study.once.reason_arms import (
    IMITATED,
    LABELS,
    POOL,
    REINFORCED,
    ReasonPlan,
    address,
    train_arms,
)
from surefoot.study.once.reason_curves import curves_of
from surefoot.study.once.reason_measure import attempted, measured, names_of, pairs_of, traces_of
from surefoot.study.once.reason_words import limits_of, note_of, told_before
from surefoot.study.seeds import check_seeds
from surefoot.text.decoder_files import save_decoder
from surefoot.text.tasks.task import Problem, problems

__all__ = ["FOLDER", "KeptReasoner", "reason_about"]

FOLDER = "reason"
"""In the folder of runs, finished trainings."""


@dataclass(frozen=True)
class KeptReasoner:
    """A finished card, its folder, and the reinforced decoders by seed."""

    card: Card
    folder: Path
    models: Mapping[int, Path]


@one_thread()
def reason_about(
    plan: ReasonPlan,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    claims: Sequence[str] = (),
    confidence: float = 0.95,
    out: Path = Path("runs"),
    command: str = "",
    say: Callable[[str], None] = unheard,
    progress: Progress = silent,
) -> KeptReasoner:
    """Train a decoder on demonstrations, reinforce it, and measure both beside controls.

    claims: of the reinforced model, unless they name another arm.

    Raises `InputError` for what the tasks, trainers and claims refuse; what was trained is kept.
    """
    began = time.perf_counter()
    check_level(confidence, "The card")
    starts = check_seeds(seeds)
    made = [parse_claim(each, REINFORCED, confidence) for each in claims]
    for claim in made:
        check_claim(claim, seeds=len(starts))
        _refuse_unknown(claim, plan)
    settings = _settings(plan)
    asked = problems(plan.task, "judge", plan.judged, 0, fewer=True)
    say(told_before(plan, len(starts)))
    by_seed = [train_arms(plan, seed, out / FOLDER / address(plan), progress) for seed in starts]
    trained = {arm: [of[arm] for of in by_seed] for arm in plan.arms}
    found = attempted(plan, trained, starts, progress)
    findings, differences = measured(plan, found, confidence)
    verdicts = judge_by_level(made, lambda level: measured(plan, found, level), labels=LABELS)
    curves = curves_of(plan, trained, starts, confidence, progress)
    traces = traces_of(plan, trained, starts[0])
    question = Asked(
        road="reason",
        name=plan.task.name,
        data=f"problems of {plan.task.name}, made up by a program",
        settings={**settings, "claims": list(claims), "confidence": confidence},
        seeds=starts,
        judge_digest=digest_json([each.prompt for each in asked]),
        command=command,
        marks=marks(inputs=[digest_bytes(each.prompt.encode()) for each in asked], names=[]),
    )

    def make(record: Record) -> Card:
        return Card(
            title=f"Learning to think: {plan.task.name}",
            question="Does reinforcement on right answers alone make it think, and is it the thinking that helps?",
            verdict=verdict_of(verdicts),
            sentence=f"{verdict_sentence(verdicts, None, LABELS)} {_sentence(findings)}".strip(),
            chosen=None,
            claims=verdicts,
            subjects=tuple(
                Subject(arm, LABELS[arm], before=None if arm == IMITATED else IMITATED, notes=(note_of(arm, plan),))
                for arm in plan.arms
            ),
            findings=findings,
            differences=differences,
            classes=(),
            groups=(),
            reliability={},
            confusion={},
            gallery={},
            roles=_roles(plan, asked, starts[0]),
            not_shown=limits_of(plan, len(starts)),
            record=record,
            curves=curves,
            traces=traces,
        )

    kept = keep(question, out, {"train and measure": time.perf_counter() - began}, make)
    models = {seed: kept.folder / "model" / f"seed-{seed}" for seed in starts}
    for seed, of in zip(starts, trained[REINFORCED], strict=True):
        save_decoder(models[seed], of.decoder, plan.task.vocabulary, {"task": plan.task.name, "seed": seed})
    return KeptReasoner(kept.card, kept.folder, models)


def _refuse_unknown(claim: Claim, plan: ReasonPlan) -> None:
    """Raise `InputError` for a claim on what will not be measured, before anything is trained."""
    known = names_of(plan)
    pairs = [f"{after} − {before}" for before, after in pairs_of(plan.arms)]
    if claim.finding not in known:
        raise InputError(
            f"A claim is made on {claim.finding!r}, which is not measured; the findings are {', '.join(sorted(known))}."
        )
    if claim.subject not in (*plan.arms, *pairs) or claim.slice != "all":
        where = "" if claim.slice == "all" else f" on {claim.slice!r}"
        raise InputError(
            f"A claim is made of {claim.subject!r}{where}, which is not measured; the arms are {', '.join(plan.arms)}, "
            f"and the differences {', '.join(pairs)}."
        )
    if claim.subject in pairs and claim.finding != "accuracy":
        raise InputError(
            f"A claim is made on {claim.finding} of {claim.subject!r}, and differences are of accuracy alone; claim it."
        )


def _sentence(findings: Sequence[Finding]) -> str:
    def of(arm: str, name: str) -> Finding:
        return next(each for each in findings if (each.subject, each.name) == (arm, name))

    before, after = of(IMITATED, "accuracy"), of(REINFORCED, "accuracy")
    tokens = [of(arm, "thinking_tokens").value for arm in (IMITATED, REINFORCED)]
    return (
        f"Reinforcement took it from {show_finding(before)} right to {show_finding(after)}, and from {tokens[0]:.1f} "
        f"tokens of thought to {tokens[1]:.1f}."
    )


def _settings(plan: ReasonPlan) -> dict[str, Any]:
    """Every choice, as plain JSON; of a task its name, and its sizes where it is a data class that has some."""
    said = {each.name: getattr(plan, each.name) for each in fields(plan) if each.name != "task"}
    plain = {key: asdict(cast("Any", value)) if is_dataclass(value) else value for key, value in said.items()}
    return {**json.loads(canonical_json(plain)), "task": plan.task.name}


def _roles(plan: ReasonPlan, asked: Sequence[Problem], seed: int) -> tuple[RoleSummary, ...]:
    counts = {role: len(problems(plan.task, role, POOL, seed, fewer=True)) for role in ("fit", "repair")}
    counts |= {"choose": len(problems(plan.task, "choose", plan.chosen, 0, fewer=True)), "judge": len(asked)}
    return tuple(RoleSummary(role, count, count, {}) for role, count in counts.items())
