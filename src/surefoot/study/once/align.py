"""Deliberative alignment in a world whose right answers are known: arms side by side, and a control that must not work.

    kept = align_in_world(AlignPlan(), seeds=(0, 1, 2), claims=("unsafe <= 0.1",))

<out>/align/<twelve digits>/    models, each in a file of a seed, which a killed run goes on with
<out>/align-…/                  the card, and `model/seed-<seed>/`: the decoder after both stages on all requests

Stage 1 and 2 see fit requests; everything on the card is of judge requests, that no training saw in any order of
modifiers or cipher.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import NamedTuple

from surefoot.card.bounds import check_claim, check_level
from surefoot.card.card import Card, Record, RoleSummary, Subject
from surefoot.card.claims import Claim, judge_claims, verdict_of, verdict_sentence
from surefoot.card.curves import Curve, Place
from surefoot.card.row_marks import marks
from surefoot.card.traces import Trace
from surefoot.card.words import show_finding
from surefoot.errors import InputError
from surefoot.files import canonical_json, digest_bytes, digest_json
from surefoot.findings.finding import Finding
from surefoot.progress import Progress, silent
from surefoot.reason.deliberate.arms import ARMS, WorldSpec
from surefoot.reason.deliberate.monitor import monitor_findings
from surefoot.reason.deliberate.stage_one import Asked as Shown
from surefoot.study.numerics import one_thread
from surefoot.study.once.align_arms import CONTROLS, HIDDEN, PUNISHED, AlignPlan, address, ground_of, train_world
from surefoot.study.once.claim_text import parse_claim
from surefoot.study.once.keep import Asked, keep
from surefoot.study.once.reason import KeptReasoner
from surefoot.study.seeds import check_seeds
from surefoot.text.completion import Completion
from surefoot.text.decoder import Decoder
from surefoot.text.decoder_files import save_decoder
from surefoot.text.decoder_policy import DecoderPolicy
from surefoot.text.policy import Sampling
from surefoot.text.world.demonstrations import sums
from surefoot.text.world.language import Request, write_request
from surefoot.text.world.measure import Marked, mark, mark_sums, world_changes, world_findings
from surefoot.text.world.monitor import misquotes
from surefoot.text.world.requests import draw_requests
from surefoot.text.world.truth import rule_on

__all__ = ["FOLDER", "align_in_world"]

FOLDER = "align"
"""In the folder of runs, finished models."""
HELD, THREE, CIPHER = "all", "three modifiers", "cipher"
"""The judged sets; "all" is the first, of requests like those that were taught."""
SETS = (HELD, THREE, CIPHER)
MEASURED = (
    "decision", "decision_and_style", "unsafe", "over_refusal", "answered", "rule_cited", "retrieval",
    "thinking_tokens",
)  # fmt: skip
UNPAIRED = ("retrieval", "thinking_tokens")
"""Of these there are no paired differences."""
WATCHED = ("violations", "monitor_sensitivity", "monitor_specificity", "monitor_auroc")
BEST = "both, all"
BUDGETS = (0, 1, 2, 3, 4, 6, 8)
"""Tokens after which a thought is closed."""
MOST = 20
TRACES = 3
NAMES = {name: name.replace(",", "").replace(" ", "_") for name in (*(arm.name for arm in ARMS), *CONTROLS)}
"""What a claim calls an arm: "both_all" is "both, all"."""


def _nothing(line: str) -> None:
    """Tells nobody."""


@one_thread()
def align_in_world(
    plan: AlignPlan,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    claims: Sequence[str] = (),
    confidence: float = 0.95,
    out: Path = Path("runs"),
    command: str = "",
    say: Callable[[str], None] = _nothing,
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
        _refuse_unknown(claim, plan)
    say(
        f"{len(starts)} seed{'' if len(starts) == 1 else 's'} × {len(plan.models)} arms in the policy world: a base of "
        f"{plan.base.steps:,} steps each, then both stages and their controls."
    )
    models = [train_world(plan, seed, out / FOLDER / address(plan), progress) for seed in starts]
    asked = _Asking(plan, starts, models, confidence)
    drawn = {name: asked.drawn(name) for name in plan.models}
    progress("judging", 1, 1)

    def measured(level: float) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
        return asked.measured(drawn, level)

    findings, differences = measured(confidence)
    labels = {NAMES[name]: name for name in plan.models}
    verdicts = tuple(
        judged
        for claim in made
        for judged in judge_claims(
            [claim], [each for part in measured(claim.confidence) for each in part], labels=labels
        )
    )
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
            sentence=f"{verdict_sentence(verdicts, None, labels)} {_sentence(findings, plan)}".strip(),
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
            not_shown=_limits(len(starts)),
            record=record,
            curves=curves,
            traces=asked.traces(drawn),
        )

    kept = keep(question, out, {"train and measure": time.perf_counter() - began}, make)
    folders = {seed: kept.folder / "model" / f"seed-{seed}" for seed in starts}
    for seed, of in zip(starts, models, strict=True):
        save_decoder(folders[seed], of[BEST], plan.world.vocabulary, {"task": "policy-world", "seed": seed})
    return KeptReasoner(kept.card, kept.folder, folders)


class _Drawn(NamedTuple):
    """Completions of one arm, a seed each, by judged set; and of sums."""

    sets: Mapping[str, Sequence[Sequence[tuple[Completion, ...]]]]
    sums: Sequence[Sequence[tuple[Completion, ...]]]


class _Asking:
    """Who is asked what."""

    def __init__(
        self, plan: AlignPlan, seeds: Sequence[int], models: Sequence[Mapping[str, Decoder]], confidence: float
    ) -> None:
        self.plan, self.seeds, self.models, self.confidence = plan, seeds, models, confidence
        self.grounds = [ground_of(plan, seed) for seed in seeds]
        world = plan.world
        self.sets: dict[str, tuple[Request, ...]] = {
            HELD: draw_requests(world, "judge", plan.judged, 0),
            THREE: draw_requests(world, "judge", plan.judged, 0, modifiers=(3,)),
            CIPHER: draw_requests(world, "judge", plan.judged, 0, encoded=True),
        }
        self.sums = sums("judge")

    def drawn(self, name: str) -> _Drawn:
        """Completions at temperature 1."""
        sampling = Sampling(self.plan.samples, MOST)
        return _Drawn(
            {place: self._every(name, requests, sampling) for place, requests in self.sets.items()},
            [
                self._policy(at, name).sample(self.sums, Sampling(4, MOST), 1_000 + seed)
                for at, seed in enumerate(self.seeds)
            ],
        )

    def measured(
        self, drawn: Mapping[str, _Drawn], confidence: float
    ) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
        """Findings of every arm on every set, the monitor's of the controls, and changes against the base."""
        findings: list[Finding] = []
        differences: list[Finding] = []
        marked = {name: {place: self._marked(of, place) for place in self.sets} for name, of in drawn.items()}
        for name, of in drawn.items():
            for place, marks_ in marked[name].items():
                findings += world_findings(
                    marks_, subject=NAMES[name], slice_=place, source="judge", confidence=confidence
                )
                if name != "none":
                    differences += world_changes(
                        marked["none"][place], marks_, subject=f"{NAMES[name]} − none", slice_=place, source="judge",
                        confidence=confidence,
                    )  # fmt: skip
            adding = [mark_sums(self.sums, each) for each in of.sums]
            findings += [
                each
                for each in world_findings(
                    adding, subject=NAMES[name], slice_="sums", source="judge", confidence=confidence
                )
                if each.name == "capability"
            ]
            findings += self._watched(name, of, confidence) if name in CONTROLS else []
        return tuple(findings), tuple(differences)

    def thinking(self) -> list[Curve]:
        """Right decisions by the tokens that a thought may have, on requests that need the longest thoughts."""
        curves: list[Curve] = []
        for name in ("policy in prompt", BEST):
            places: list[Place] = []
            for budget in BUDGETS:
                sampling = Sampling(1, MOST, 0.0, thinking=budget)
                every = self._every(name, self.sets[THREE], sampling)
                marks_ = [self._mark(at, THREE, each) for at, each in enumerate(every)]
                found = next(
                    each
                    for each in world_findings(
                        marks_, subject=name, slice_=THREE, source="judge", confidence=self.confidence
                    )
                    if each.name == "decision"
                )
                places.append(_place(float(budget), found))
            curves.append(
                Curve("Three modifiers, by budget of thinking", name, "thinking tokens at most", "right decision",
                      "proportion", tuple(places))
            )  # fmt: skip
        return curves

    def blind(self, findings: Sequence[Finding]) -> list[Curve]:
        """The negative control: violations, and the share of them that a monitor of thoughts finds."""
        if not self.plan.controls:
            return []
        curves: list[Curve] = []
        for name, label in (("violations", "violations"), ("monitor_sensitivity", "found by the monitor")):
            found = {each.subject: each for each in findings if each.name == name}
            places = [
                _place(float(at), found[NAMES[arm]]) for at, arm in enumerate((HIDDEN, PUNISHED)) if NAMES[arm] in found
            ]
            if places:
                curves.append(
                    Curve("Negative control: pressing on thoughts", label, "0: thought hidden; 1: thought punished",
                          "share", "proportion", tuple(places))
                )  # fmt: skip
        return curves

    def traces(self, drawn: Mapping[str, _Drawn]) -> tuple[Trace, ...]:
        """The first completions of the first requests, of every arm's first seed."""
        book, traces = self.grounds[0].book, list[Trace]()
        for name, of in drawn.items():
            for request, group in list(zip(self.sets[HELD], of.sets[HELD][0], strict=True))[:TRACES]:
                right = rule_on(book[request.category], request).answer
                wanted = f"{right.decision} {right.style}"
                first = group[0]
                traces.append(
                    Trace(NAMES[name], write_request(self.plan.world, request), first.thought, first.answer, wanted,
                          float(first.answer == wanted))
                )  # fmt: skip
        return tuple(traces)

    def _every(self, name: str, requests: Sequence[Request], sampling: Sampling) -> list[list[tuple[Completion, ...]]]:
        shown = any(arm.shown for arm in ARMS if arm.name == name)
        found: list[list[tuple[Completion, ...]]] = []
        for at in range(len(self.seeds)):
            prompts = [write_request(self.plan.world, each) for each in requests]
            if shown:
                spec = WorldSpec(self.grounds[at].book)
                prompts = [
                    str(spec(Shown(prompt, str(each.category)))) for prompt, each in zip(prompts, requests, strict=True)
                ]
            found.append(self._policy(at, name).sample(prompts, sampling, 1_000 + self.seeds[at]))
        return found

    def _policy(self, at: int, name: str) -> DecoderPolicy:
        return DecoderPolicy(name, self.models[at][name], self.plan.world.vocabulary)

    def _marked(self, of: _Drawn, place: str) -> list[Marked]:
        return [self._mark(at, place, each) for at, each in enumerate(of.sets[place])]

    def _mark(self, at: int, place: str, drawn: Sequence[tuple[Completion, ...]]) -> Marked:
        return mark(self.plan.world, self.grounds[at].book, self.sets[place], drawn)

    def _watched(self, name: str, of: _Drawn, confidence: float) -> list[Finding]:
        """What a monitor finds, of the first seed: policies differ by seed, and so do violations."""
        book = self.grounds[0].book
        prompts = [write_request(self.plan.world, each) for each in self.sets[HELD]]
        watch = partial(misquotes, self.plan.world, book)
        return list(
            monitor_findings(
                self.plan.world, book, prompts, of.sets[HELD][0], watch, subject=NAMES[name], slice_=HELD,
                source="judge", confidence=confidence,
            )
        )  # fmt: skip


NOTES: dict[str, str] = {
    "none": "the base, which never saw the policy",
    "policy in prompt": "the base, shown the policy of the category with every request",
    "stage 1": "imitation of what it thought up with the policy in its prompt, filtered; the policy dropped",
    "stage 2": "reinforcement alone, by a judge of answers",
    "both": "stage 2 after stage 1",
    "stage 1, longer": "a control: stage 1 for more steps than both stages take",
    "stage 1, all": "a control: stage 1 on all requests that stage 2 has",
    BEST: "stage 2 after stage 1, both on all requests",
    HIDDEN: "a negative control: complying always pays in three of six categories; the judge sees no thought",
    PUNISHED: "a negative control: the same, and nothing is paid where a monitor finds the thought suspicious",
}


def _place(at: float, found: Finding) -> Place:
    interval = found.interval
    return Place(at, found.value, *((None, None) if interval is None else (interval.low, interval.high)))


def _refuse_unknown(claim: Claim, plan: AlignPlan) -> None:
    """Raise `InputError` for a claim on what will not be measured, before anything is trained."""
    arms = [NAMES[name] for name in plan.models]
    pairs = [f"{arm} − none" for arm in arms if arm != "none"]
    known = {**dict.fromkeys(MEASURED, SETS), "capability": ("sums",)}
    if claim.subject in (NAMES[name] for name in CONTROLS):
        known |= dict.fromkeys(WATCHED, (HELD,))
    if claim.subject in pairs:
        known = dict.fromkeys((name for name in MEASURED if name not in UNPAIRED), SETS)
    if claim.subject not in (*arms, *pairs):
        raise InputError(
            f"A claim is made of {claim.subject!r}, which is not measured; the arms are {', '.join(arms)}, and each is "
            "compared with none (“both − none”)."
        )
    if claim.finding not in known:
        raise InputError(
            f"A claim is made on {claim.finding!r} of {claim.subject!r}, which is not measured; claim one of "
            f"{', '.join(known)}."
        )
    if claim.slice not in known[claim.finding]:
        raise InputError(
            f"A claim is made on {claim.finding} of the requests {claim.slice!r}, and there are "
            f"{', '.join(known[claim.finding])}; name one of these."
        )


def _sentence(findings: Sequence[Finding], plan: AlignPlan) -> str:
    def of(arm: str, name: str) -> Finding | None:
        key = (NAMES[arm], name, HELD)
        return next((each for each in findings if (each.subject, each.name, each.slice) == key), None)

    none, best = of("none", "unsafe"), of(BEST, "unsafe")
    told = ""
    if none is not None and best is not None:
        refused = [of(arm, "over_refusal") for arm in ("none", BEST)]
        said = [show_finding(each) for each in refused if each is not None]
        told = (
            f"Unsafe answers: {show_finding(none)} without the policy, {show_finding(best)} after both stages; "
            f"refusals of what is allowed: {' and '.join(said)}."
        )
    hidden, punished = of(HIDDEN, "monitor_sensitivity"), of(PUNISHED, "monitor_sensitivity")
    if plan.controls and hidden is not None and punished is not None:
        told += (
            f" A monitor of thoughts finds {show_finding(hidden)} of violations where thoughts were hidden from the "
            f"judge, and {show_finding(punished)} where they were punished."
        )
    return told.strip()


def _limits(seeds: int) -> tuple[str, ...]:
    limits = [
        "Requests and rules are symbols: what holds here need not hold of language, where rules have to be understood.",
        "Right and wrong are known to the judges but for errors at a known rate; real judges err in ways nobody knows.",
        "The monitor is measured on the first seed's policy alone.",
    ]
    if seeds < 3:
        limits.append("Reinforcement can fail on one seed and not on another: three or more tell.")
    return tuple(limits)
