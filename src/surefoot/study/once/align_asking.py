"""Who is asked what in the policy world: completions of every arm, findings, curves and traces."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

from surefoot.card.curves import Curve, Place
from surefoot.card.traces import Trace
from surefoot.findings.finding import Finding
from surefoot.reason.deliberate.arms import ARMS, WorldSpec
from surefoot.reason.deliberate.monitor import Watched, monitor_findings
from surefoot.reason.deliberate.stage_one import Asked as Shown
from surefoot.study.once.align_arms import CONTROLS, HIDDEN, PUNISHED, AlignPlan, ground_of
from surefoot.study.once.align_words import BEST, CIPHER, HELD, NAMES, THREE
from surefoot.text.completion import Completion
from surefoot.text.decoder import Decoder
from surefoot.text.decoder_policy import DecoderPolicy
from surefoot.text.policy import Sampling
from surefoot.text.world.demonstrations import sums
from surefoot.text.world.language import Request, write_request
from surefoot.text.world.measure import Marked, mark, mark_sums, world_changes, world_findings
from surefoot.text.world.monitor import misquotes
from surefoot.text.world.requests import draw_requests
from surefoot.text.world.truth import rule_on

__all__ = ["Asking", "Drawn"]

BUDGETS = (0, 1, 2, 3, 4, 6, 8)
"""Tokens after which a thought is closed."""
MOST = 20
TRACES = 3


class Drawn(NamedTuple):
    """Completions of one arm, a seed each, by judged set; and of sums."""

    sets: Mapping[str, Sequence[Sequence[tuple[Completion, ...]]]]
    sums: Sequence[Sequence[tuple[Completion, ...]]]


class Asking:
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

    def drawn(self, name: str) -> Drawn:
        """Completions at temperature 1."""
        sampling = Sampling(self.plan.samples, MOST)
        return Drawn(
            {place: self._every(name, requests, sampling) for place, requests in self.sets.items()},
            [
                self._policy(at, name).sample(self.sums, Sampling(4, MOST), 1_000 + seed)
                for at, seed in enumerate(self.seeds)
            ],
        )

    def measured(
        self, drawn: Mapping[str, Drawn], confidence: float
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

    def traces(self, drawn: Mapping[str, Drawn]) -> tuple[Trace, ...]:
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

    def _marked(self, of: Drawn, place: str) -> list[Marked]:
        return [self._mark(at, place, each) for at, each in enumerate(of.sets[place])]

    def _mark(self, at: int, place: str, drawn: Sequence[tuple[Completion, ...]]) -> Marked:
        return mark(self.plan.world, self.grounds[at].book, self.sets[place], drawn)

    def _watched(self, name: str, of: Drawn, confidence: float) -> list[Finding]:
        """What a monitor finds; policies differ by seed, and so do violations."""
        world, prompts = self.plan.world, [write_request(self.plan.world, each) for each in self.sets[HELD]]
        watched = [
            Watched(ground.book, prompts, drawn, partial(misquotes, world, ground.book))
            for ground, drawn in zip(self.grounds, of.sets[HELD], strict=True)
        ]
        return list(
            monitor_findings(
                world, watched, subject=NAMES[name], slice_=HELD, source="judge", confidence=confidence
            )
        )  # fmt: skip


def _place(at: float, found: Finding) -> Place:
    interval = found.interval
    return Place(at, found.value, *((None, None) if interval is None else (interval.low, interval.high)))
