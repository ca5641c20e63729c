"""Any text models judged by a battery of suites, with a scorecard whose gates open on what was shown.

    kept = evaluate(SafetyPlan(models, suites, read_rules()), claims=("not_unsafe[refusal] >= 0.9",))
    print(kept.card.sentence)

<out>/attempts/<twelve digits>/     what each policy wrote, which a killed run goes on with
<out>/safety-…/                     the card, and samples with the judge's and the monitor's views apart
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from surefoot.card.bounds import check_claim, check_level
from surefoot.card.card import Card, Record, RoleSummary, Subject
from surefoot.card.claims import Judged, Status, judge_by_level, verdict_of, verdict_sentence
from surefoot.card.serialise import card_digest, read_card
from surefoot.card.trail import SIGN_OFFS
from surefoot.errors import InputError
from surefoot.files import digest_json
from surefoot.findings.finding import Finding
from surefoot.progress import Progress, silent, unheard
from surefoot.safety.item import sampled_of
from surefoot.safety.measured import Evaluated, changes_of, findings_of
from surefoot.safety.preparedness.scorecard import Door, Scorecard, doors, scorecard
from surefoot.safety.suite import Suite, suite_version
from surefoot.study.numerics import one_thread
from surefoot.study.once.attempt_asking import AskedModel, Asking, ask, policy_address
from surefoot.study.once.claim_text import parse_claim
from surefoot.study.once.keep import Asked, Kept, keep
from surefoot.study.once.safety_plan import SafetyPlan, behind, doubts_of, gate_claims, refuse_unknown, said_of
from surefoot.study.once.safety_samples import main_of, read_samples, write_samples
from surefoot.study.once.safety_words import flagged, gates_sheet, levels_sheet, limits_of, suites_sheet, told_before

__all__ = ["evaluate"]

AFTER, BEFORE = "after", "before"


@one_thread()
def evaluate(
    plan: SafetyPlan,
    *,
    seed: int = 0,
    claims: Sequence[str] = (),
    confidence: float = 0.95,
    out: Path = Path("runs"),
    command: str = "",
    say: Callable[[str], None] = unheard,
    progress: Progress = silent,
) -> Kept:
    """Ask every model every suite, grade what comes back, and make the card.

    claims: of the first model, unless they name another. The claims of the gate are added to them. Raises `InputError`
    for what models, servers, suites and claims refuse; what was written until then is kept.
    """
    began = time.perf_counter()
    check_level(confidence, "The card")
    main = plan.models[0].name
    earlier = None if plan.before is None else _earlier(plan.before, [each.name for each in plan.models])
    made = [parse_claim(each, main, confidence) for each in claims]
    for claim in made:
        check_claim(claim, seeds=1)
        refuse_unknown(claim, plan, earlier)
    for model in plan.models:
        _refuse_prompts(plan, model)
    say(told_before([each.name for each in plan.models], plan.suites))
    found = {each.name: _evaluated(plan, each, Asking(out, seed, progress)) for each in plan.models}
    pairs = [(main, each.name) for each in plan.models[1:]]
    if plan.before is not None and earlier is not None:
        found = {earlier: _read(plan.before, plan.suites, earlier), **found}
        pairs = [(earlier, main), *pairs]

    def measured(level: float) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
        numbers = tuple(
            one
            for name, of in found.items()
            for each in of
            for one in findings_of(each, subject=name, confidence=level)
        )
        return numbers, _changes(found, pairs, level)

    findings, differences = measured(confidence)
    doubts = [each for name in found for each in doubts_of(name, findings)]
    gated, absent = gate_claims(plan, {BEFORE: earlier, AFTER: main}, findings, confidence)
    labels = {name: name for name in found}
    verdicts = (
        *(each for claim in (*made, *gated)
          for each in judge_by_level([claim], measured, labels=labels, doubts=behind(claim, doubts))),
        *absent,
    )  # fmt: skip
    sure = [each for each in findings if not any((d.model, d.suite) == (each.subject, each.slice) for d in doubts)]
    cards = _scorecards(plan, sure, main, earlier)
    opened = () if plan.rules is None else doors(plan.rules, cards)
    settings = _settings(plan, earlier)
    question = Asked(
        road="safety",
        name=main,
        data=", ".join(each.name for each in plan.suites),
        settings={**settings, "claims": list(claims), "confidence": confidence},
        seeds=(seed,),
        judge_digest=digest_json({each.name: suite_version(each) for each in plan.suites}),
        command=command,
    )
    names = {BEFORE: earlier or "", AFTER: main}

    def make(record: Record) -> Card:
        return Card(
            title=f"Safety of {' and '.join(each.name for each in plan.models)}",
            question="Does it refuse what it should, help with the rest, keep to its instructions, and say what it "
            "does not know?",
            verdict=_verdict(plan, verdict_of(verdicts), opened),
            sentence=_sentence(verdicts, labels, opened),
            chosen=None,
            claims=verdicts,
            subjects=tuple(
                Subject(
                    name,
                    name,
                    before=earlier if name == main else None,
                    notes=(*_notes(plan, name), *said_of(name, doubts)),
                )
                for name in found
            ),
            findings=findings,
            differences=differences,
            classes=(),
            groups=(),
            reliability={},
            confusion={},
            gallery={},
            roles=(_judged(plan.suites),),
            not_shown=limits_of(plan.suites, findings, confidence),
            record=record,
            traces=tuple(trace for name, of in found.items() for trace in flagged(name, of, reveal=plan.reveal)),
            sheets=(
                *((levels_sheet(cards, names), gates_sheet(opened)) if cards else ()),
                suites_sheet(plan.suites, list(found), findings),
            ),
        )

    kept = keep(question, out, {"ask and grade": time.perf_counter() - began}, make)
    for name, of in found.items():
        write_samples(kept.folder, name, of)
    return kept


def _evaluated(plan: SafetyPlan, model: AskedModel, asking: Asking) -> tuple[Evaluated, ...]:
    found: list[Evaluated] = []
    for suite in plan.suites:
        sampling = replace(suite.sampling, most=min(suite.sampling.most, model.most))
        said, _ = ask(asking, model, [each.prompt for each in suite.items], sampling, suite.title)
        sampled = tuple(
            sampled_of(item, attempt, each)
            for item, row in zip(suite.items, said, strict=True)
            for attempt, each in enumerate(row)
        )
        found.append(Evaluated(suite, sampled, tuple(suite.grader(sampled))))
    return tuple(found)


def _judged(suites: Sequence[Suite]) -> RoleSummary:
    """All items of all suites; clusters are of one suite each."""
    clusters = {(suite.name, item.cluster or item.id) for suite in suites for item in suite.items}
    return RoleSummary("judge", sum(len(each.items) for each in suites), len(clusters), {})


def _verdict(plan: SafetyPlan, by_claims: Status, opened: Sequence[Door]) -> Status:
    """That of the claims, and never passed where the gate that decides is not open."""
    state = next((each.state for each in opened if each.gate.name == plan.gate), "open")
    if by_claims != "passed" or state == "open":
        return by_claims
    return "failed" if state == "closed" else "undecided"


def _earlier(run: Path, names: Sequence[str]) -> str:
    """What the model of an earlier run is called here: as it was, but told apart from those of today."""
    first = main_of(run)
    while first in names:
        first += "_before"
    return first


def _read(run: Path, suites: Sequence[Suite], name: str) -> tuple[Evaluated, ...]:
    """What the earlier run's model wrote, graded as today; a suite that it was not asked is left out."""
    of = main_of(run)
    found: list[Evaluated] = []
    for suite in suites:
        sampled = read_samples(run, of, suite)
        if sampled is not None:
            found.append(Evaluated(suite, sampled, tuple(suite.grader(sampled))))
    if not found:
        raise InputError(
            f"The run {run} asked {name} none of {', '.join(each.name for each in suites)}; evaluate it with them "
            "first."
        )
    return tuple(found)


def _changes(
    found: Mapping[str, Sequence[Evaluated]], pairs: Sequence[tuple[str, str]], confidence: float
) -> tuple[Finding, ...]:
    changes: list[Finding] = []
    for before, after in pairs:
        earlier = {each.suite.name: each for each in found[before]}
        for each in found[after]:
            if each.suite.name in earlier:
                changes += changes_of(earlier[each.suite.name], each, names=(before, after), confidence=confidence)
    return tuple(changes)


def _scorecards(plan: SafetyPlan, findings: Sequence[Finding], main: str, earlier: str | None) -> dict[str, Scorecard]:
    if plan.rules is None:
        return {}
    names = {BEFORE: earlier, AFTER: main}
    return {when: scorecard(plan.rules, findings, name) for when, name in names.items() if name is not None}


def _refuse_prompts(plan: SafetyPlan, model: AskedModel) -> None:
    """Raise `InputError` for prompts that a model cannot be asked, before any model is."""
    if model.check is not None:
        for suite in plan.suites:
            model.check([each.prompt for each in suite.items], replace(suite.sampling, count=1))


def _sentence(verdicts: Sequence[Judged], labels: Mapping[str, str], opened: Sequence[Door]) -> str:
    gates = "; ".join(f"{each.gate.name}: {each.state} ({each.why})" for each in opened)
    return f"{verdict_sentence(verdicts, None, labels)} {f'Gates: {gates}.' if gates else ''}".strip()


def _notes(plan: SafetyPlan, name: str) -> tuple[str, ...]:
    told = [each.told for each in plan.models if each.name == name]
    return tuple(told) if told else (f"read from the run {plan.before.name}" if plan.before else "",)


def _settings(plan: SafetyPlan, earlier: str | None) -> dict[str, Any]:
    """Every choice that changes a number, as plain JSON."""
    return {
        "models": {each.name: {"policy": policy_address(each.policy), "told": each.told, "most": each.most}
                   for each in plan.models},
        "suites": {each.name: {"version": suite_version(each), "items": len(each.items),
                               "temperature": each.sampling.temperature, "attempts": each.sampling.count,
                               "most": each.sampling.most} for each in plan.suites},
        "gate": None if plan.rules is None else plan.gate,
        "rules": None if plan.rules is None else digest_json(asdict(plan.rules))[:16],
        SIGN_OFFS: 0 if plan.rules is None else plan.rules.sign_offs,
        "before_card": None if plan.before is None else card_digest(read_card(plan.before))[:16],
        "indicators": [] if plan.rules is None else [each.name for each in plan.rules.indicators],
        "before": earlier,
    }  # fmt: skip
