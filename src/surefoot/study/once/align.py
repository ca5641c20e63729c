"""Deliberative alignment in a world whose right answers are known: arms side by side, and a control that must not work.

    kept = align_in_world(AlignPlan(), seeds=(0, 1, 2), claims=("unsafe <= 0.1",))

<out>/align/<twelve digits>/    models, each in a file of a seed, which a killed run goes on with
<out>/align-…/                  the card, and `model/seed-<seed>/`: the decoder after both stages on all requests

Stage 1 and 2 see fit requests; everything on the card is of judge requests, that no training saw in any order of
modifiers or cipher.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from surefoot.card.bounds import check_claim, check_level
from surefoot.card.card import Card, Record, RoleSummary, Subject
from surefoot.card.claims import judge_by_level, verdict_of, verdict_sentence
from surefoot.card.row_marks import marks
from surefoot.files import canonical_json, digest_bytes, digest_json
from surefoot.findings.finding import Finding
from surefoot.progress import Progress, silent, unheard
from surefoot.study.numerics import one_thread
from surefoot.study.once.align_arms import AlignPlan, address, train_world
from surefoot.study.once.align_asking import Asking
from surefoot.study.once.align_words import BEST, NAMES, NOTES, limits_of, refuse_unknown, sentence_of
from surefoot.study.once.claim_text import parse_claim
from surefoot.study.once.keep import Asked, keep
from surefoot.study.once.reason import KeptReasoner
from surefoot.study.seeds import check_seeds
from surefoot.text.decoder_files import save_decoder
from surefoot.text.world.language import write_request

__all__ = ["FOLDER", "align_in_world"]

FOLDER = "align"
"""In the folder of runs, finished models."""


@one_thread()
def align_in_world(
    plan: AlignPlan,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    claims: Sequence[str] = (),
    confidence: float = 0.95,
    out: Path = Path("runs"),
    command: str = "",
    say: Callable[[str], None] = unheard,
    progress: Progress = silent,
) -> KeptReasoner:
    """Train a base, the arms and the negative control for every seed, and measure them beside each other.

    claims: of the model after both stages on all requests, unless they name another arm ("stage_1", "none").

    Raises `InputError` for claims on what is not measured, and what trainers refuse; what was trained is kept.
    """
    began = time.perf_counter()
    check_level(confidence, "The card")
    starts = check_seeds(seeds)
    made = [parse_claim(each, NAMES[BEST], confidence) for each in claims]
    for claim in made:
        check_claim(claim, seeds=len(starts))
        refuse_unknown(claim, plan)
    say(
        f"{len(starts)} seed{'' if len(starts) == 1 else 's'} × {len(plan.models)} arms in the policy world: a base of "
        f"{plan.base.steps:,} steps each, then both stages and their controls."
    )
    models = [train_world(plan, seed, out / FOLDER / address(plan), progress) for seed in starts]
    asked = Asking(plan, starts, models, confidence)
    drawn = {name: asked.drawn(name) for name in plan.models}
    progress("judging", 1, 1)

    def measured(level: float) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
        return asked.measured(drawn, level)

    findings, differences = measured(confidence)
    labels = {NAMES[name]: name for name in plan.models}
    verdicts = judge_by_level(made, measured, labels=labels)
    curves = (*asked.thinking(), *asked.blind(findings))
    judge = [each for requests in asked.sets.values() for each in requests]
    prompts = [*(write_request(plan.world, each) for each in judge), *asked.sums]
    question = Asked(
        road="align",
        name="policy-world",
        data="requests and policies made up by a program",
        settings={"plan": json.loads(canonical_json(asdict(plan))), "claims": list(claims), "confidence": confidence},
        seeds=starts,
        judge_digest=digest_json(prompts),
        command=command,
        marks=marks(inputs=[digest_bytes(each.encode()) for each in prompts], names=[]),
    )

    def make(record: Record) -> Card:
        return Card(
            title="Deliberative alignment in the policy world",
            question="Does thinking of a policy make a model follow it, and what if thoughts are pressed on?",
            verdict=verdict_of(verdicts),
            sentence=f"{verdict_sentence(verdicts, None, labels)} {sentence_of(findings, plan)}".strip(),
            chosen=None,
            claims=verdicts,
            subjects=tuple(Subject(NAMES[name], name, notes=(NOTES[name],)) for name in plan.models),
            findings=findings,
            differences=differences,
            classes=(),
            groups=(),
            reliability={},
            confusion={},
            gallery={},
            roles=tuple(
                RoleSummary(role, count, count, {}) for role, count in (("fit", plan.requests), ("judge", len(prompts)))
            ),
            not_shown=limits_of(len(starts)),
            record=record,
            curves=curves,
            traces=asked.traces(drawn),
        )

    kept = keep(question, out, {"train and measure": time.perf_counter() - began}, make)
    folders = {seed: kept.folder / "model" / f"seed-{seed}" for seed in starts}
    for seed, of in zip(starts, models, strict=True):
        save_decoder(folders[seed], of[BEST], plan.world.vocabulary, {"task": "policy-world", "seed": seed})
    return KeptReasoner(kept.card, kept.folder, folders)
