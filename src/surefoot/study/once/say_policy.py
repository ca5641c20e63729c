"""Deliberative alignment of a language model on a policy of one's own, stage 1, as a card.

    policy = read_policy(Path("policy.md"))
    kept = align_to_policy(speaker, policy, read_requests(Path("requests.csv"), policy), name="policy")

<out>/reason/<twelve digits>/    what the model said, portion by portion, and checkpoints of its teachings
<out>/say-…/                     the card, and `model/seed-<seed>/`: the model that was taught

The model answers fit and repair requests with the policy in its prompt; what a judge passes is learnt without it; judge
requests, of which it learnt nothing, are answered by every arm. There is no stage 2 here: reinforcement of a language
model by answers that a judge reads takes hours where this takes minutes.
"""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from surefoot.card.bounds import check_claim, check_level
from surefoot.card.card import Card, Record, RoleSummary, Subject
from surefoot.card.claims import judge_by_level, verdict_of, verdict_sentence
from surefoot.card.row_marks import marks
from surefoot.files import digest_bytes, digest_json
from surefoot.findings.finding import Finding
from surefoot.inference.checkpoint import identity
from surefoot.progress import Progress, silent, unheard
from surefoot.reason.deliberate.policy_file import PolicyText
from surefoot.reason.deliberate.stage_one import Judge
from surefoot.reason.journal import alone_in
from surefoot.study.numerics import numerics_of, one_thread
from surefoot.study.once.claim_text import parse_claim
from surefoot.study.once.keep import Asked, keep
from surefoot.study.once.reason import FOLDER, KeptReasoner
from surefoot.study.once.say_policy_arms import ARMS, TAUGHT, Answers, Ground, SayPlan, Speaker, ask_arms
from surefoot.study.once.say_policy_measure import measured, traces_of
from surefoot.study.once.say_policy_requests import Request, shared_out
from surefoot.study.once.say_policy_words import (
    LABELS,
    limits_of,
    note_of,
    refuse_unknown,
    sentence_of,
    told_before,
    told_kept,
)
from surefoot.study.seeds import check_seeds

__all__ = ["RULES", "Filter", "align_to_policy"]


@dataclass(frozen=True)
class Filter:
    """Who filters demonstrations. judge: None for the rules of the policy. words: for a reader. record: plain JSON."""

    judge: Judge | None
    words: str
    record: Any


RULES = Filter(None, "rules made of the policy", "rules")


@one_thread()
def align_to_policy(
    speaker: Speaker,
    policy: PolicyText,
    requests: Sequence[Request],
    *,
    name: str,
    plan: SayPlan | None = None,
    by: Filter = RULES,
    seeds: Sequence[int] = (0,),
    claims: Sequence[str] = (),
    confidence: float = 0.95,
    out: Path = Path("runs"),
    command: str = "",
    say: Callable[[str], None] = unheard,
    progress: Progress = silent,
) -> KeptReasoner:
    """Teach a model what it itself thinks up with a policy in its prompt, and measure it beside three other arms.

    name: of the policy, for the folder. claims: of the taught model, unless they name another arm.

    Raises `InputError` for too few requests of a role, claims on what is not measured, a stage 1 that keeps nothing,
    and what the model refuses; what was said and taught is kept.
    """
    began = time.perf_counter()
    plan = SayPlan() if plan is None else plan
    check_level(confidence, "The card")
    starts = check_seeds(seeds)
    shared = shared_out(requests, policy, plan.learnt, plan.judged)
    made = [parse_claim(each, TAUGHT, confidence) for each in claims]
    for claim in made:
        check_claim(claim, seeds=len(starts))
        refuse_unknown(claim, shared.judge)
    say(told_before(speaker, plan, shared, len(starts)))
    known = identity(speaker, numerics_of("default"))
    folder = out / FOLDER / known[:12]
    every: list[Answers] = []
    told = {"policy": policy.title or name, "how": speaker.words}
    models: dict[int, Path] = {}
    with alone_in(folder):
        ground = Ground(speaker, policy, shared, plan, by.judge, folder, known)
        for seed in starts:
            answers, taught = ask_arms(ground, seed, progress)
            say(told_kept(answers))
            every.append(answers)
            models[seed] = folder / "models" / f"{digest_json([name, seed])[:12]}"
            speaker.leave(taught, models[seed], {**told, "seed": seed})

    def measure(level: float) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
        return measured(policy, shared.judge, every, level)

    findings, differences = measure(confidence)
    verdicts = judge_by_level(made, measure, labels=LABELS)
    question = Asked(
        road="say",
        name=name,
        data=f"{len(requests):,} requests under {policy.title or name}",
        settings={
            "speaker": dict(speaker.record), "policy": digest_json(asdict(policy)), "learnt": len(shared.learnt),
            "stage": asdict(plan.stage), "judge": by.record, "claims": list(claims), "confidence": confidence,
        },
        seeds=starts,
        judge_digest=digest_json([[each.text, each.category, each.expected] for each in shared.judge]),
        command=command,
        marks=marks(inputs=[digest_bytes(each.text.encode()) for each in shared.judge], names=[]),
    )  # fmt: skip

    def make(record: Record) -> Card:
        return Card(
            title=f"{speaker.policy.name}: {policy.title or name}",
            question="Does a model that thinks of a policy follow it when nobody shows it, and is it the thought?",
            verdict=verdict_of(verdicts),
            sentence=f"{verdict_sentence(verdicts, None, LABELS)} {sentence_of(findings)}".strip(),
            chosen=None,
            claims=verdicts,
            subjects=tuple(Subject(arm, LABELS[arm], notes=(note_of(arm, speaker, every[0], shared),)) for arm in ARMS),
            findings=findings,
            differences=differences,
            classes=(),
            groups=(),
            reliability={},
            confusion={},
            gallery={},
            roles=tuple(
                RoleSummary(role, len(of), len(of), {})
                for role, of in (("fit", shared.learnt), ("choose", shared.choose), ("judge", shared.judge))
            ),
            not_shown=limits_of(shared, every, by.words),
            record=record,
            traces=traces_of(policy, shared.judge, every[0]),
        )

    kept = keep(question, out, {"ask and teach": time.perf_counter() - began}, make)
    return KeptReasoner(kept.card, kept.folder, _moved(models, kept.folder))


def _moved(models: dict[int, Path], folder: Path) -> dict[int, Path]:
    """The models beside their card."""
    found: dict[int, Path] = {}
    for seed, model in models.items():
        found[seed] = folder / "model" / f"seed-{seed}"
        shutil.rmtree(found[seed], ignore_errors=True)
        found[seed].parent.mkdir(parents=True, exist_ok=True)
        model.rename(found[seed])
    return found
