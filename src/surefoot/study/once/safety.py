"""Any text models judged by a battery of suites, with a scorecard whose gates open on what was shown.

    kept = evaluate(SafetyPlan(models, suites, read_rules()), claims=("not_unsafe[refusal] >= 0.9",))
    print(kept.card.sentence)

<out>/attempts/<twelve digits>/     what each policy wrote, which a killed run goes on with
<out>/safety-…/                     the card, and samples with the judge's and the monitor's views apart

Ask (`safety_asking`), measure (`safety_numbers`), judge the claims (`safety_claims`), make the card.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from surefoot.card.bounds import check_claim, check_level
from surefoot.card.card import Card, Doubted, Record, RoleSummary, Subject
from surefoot.card.claims import Claim, Judged, Status, verdict_of, verdict_sentence
from surefoot.card.gate import refuse_changed
from surefoot.card.serialise import card_digest, read_card
from surefoot.card.sheets import Sheet
from surefoot.card.trail import SIGN_OFFS
from surefoot.files import digest_json
from surefoot.findings.finding import Finding
from surefoot.progress import Progress, silent, unheard
from surefoot.safety.preparedness.scorecard import Door, Scorecard, doors, scorecard
from surefoot.safety.suite import Suite, suite_version
from surefoot.study.numerics import one_thread
from surefoot.study.once.attempt_asking import Asking, policy_address
from surefoot.study.once.claim_text import parse_claim
from surefoot.study.once.keep import Asked, Kept, keep
from surefoot.study.once.safety_asking import Spent, Written, ask_all, earlier_name, read_earlier, refuse_prompts
from surefoot.study.once.safety_claims import Shown, Wanted, judge_all, refuse_mixed, shown_changes, shown_claims
from surefoot.study.once.safety_elicited import compute_sheet, earlier_way, elicitation_sheet
from surefoot.study.once.safety_estimate import estimate, said_of_estimate
from surefoot.study.once.safety_numbers import Labelled, Numbers, label_all, numbers_of
from surefoot.study.once.safety_plan import Doubt, SafetyPlan, behind, doubts_of, gate_claims, refuse_unknown, said_of
from surefoot.study.once.safety_samples import (
    SAMPLES,
    check_samples,
    main_of,
    manifest_digest,
    sample_files,
    write_samples,
)
from surefoot.study.once.safety_statistics import (
    changes_sheet,
    claims_sheet,
    doubts_of_judges,
    judges_sheet,
    only_alone,
)
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
    expect: bool = False,
    progress: Progress = silent,
) -> Kept:
    """Ask every model every suite, grade what comes back, and make the card.

    claims: of the first model, unless they name another. The claims of the gate are added to them. expect: say how long
    it will take as well, which a few prompts are asked for. Raises `InputError`
    for what models, servers, suites and claims refuse; what was written until then is kept.
    """
    began = time.perf_counter()
    check_level(confidence, "The card")
    if plan.before is not None:
        refuse_changed(plan.before)
    earlier = None if plan.before is None else earlier_name(plan.before, [each.name for each in plan.models])
    before_samples = None if plan.before is None else check_samples(plan.before)
    made = _claims(plan, claims, earlier, confidence)
    refuse_prompts(plan)
    say(told_before([each.name for each in plan.models], plan.suites))
    asking = Asking(out, seed, progress)
    if expect:
        say(said_of_estimate([estimate(each, plan.suites, asking) for each in plan.models], plan.price))
    written = ask_all(plan, asking)
    asked = time.perf_counter()
    judgement = _judge(plan, _numbers(plan, written, earlier), made, earlier, confidence)
    files = sample_files(judgement.numbers.found)
    question = Asked(
        road="safety",
        name=plan.models[0].name,
        data=", ".join(each.name for each in plan.suites),
        settings={
            **_settings(plan, earlier), "claims": list(claims), "confidence": confidence,
            SAMPLES: manifest_digest(files), "before_samples": before_samples,
        },
        seeds=(seed,),
        judge_digest=digest_json({each.name: suite_version(each) for each in plan.suites}),
        command=command,
    )  # fmt: skip
    times = {"ask and grade": asked - began, "judge": time.perf_counter() - asked}
    times |= {f"ask {name}": each.seconds for name, each in written.spent.items()}
    sheets = _sheets(plan, judgement, written.spent, seed)
    kept = keep(question, out, times, lambda record: _card(plan, judgement, sheets, record))
    write_samples(kept.folder, files)
    return kept


@dataclass(frozen=True)
class _Judgement:
    """Everything that is said on the card. cards: scorecards by "before" and "after"; opened: gates."""

    earlier: str | None
    confidence: float
    labelled: Labelled
    numbers: Numbers
    findings: tuple[Finding, ...]
    differences: tuple[Finding, ...]
    doubts: tuple[Doubt, ...]
    verdicts: tuple[Judged, ...]
    shown: tuple[Shown, ...]
    changed: tuple[Shown, ...]
    cards: Mapping[str, Scorecard]
    opened: tuple[Door, ...]


def _claims(plan: SafetyPlan, claims: Sequence[str], earlier: str | None, confidence: float) -> tuple[Claim, ...]:
    """The user's claims; raises `InputError` for what cannot be claimed, before anybody is asked."""
    made = tuple(parse_claim(each, plan.models[0].name, confidence) for each in claims)
    for claim in made:
        check_claim(claim, seeds=1)
        refuse_unknown(claim, plan, earlier)
    if plan.holm:
        refuse_mixed(made, confidence)
    return made


def _numbers(plan: SafetyPlan, written: Written, earlier: str | None) -> tuple[Labelled, Numbers]:
    """What was written now and in the earlier run, with labels, and what is compared with what."""
    main = plan.models[0].name
    found = dict(written.found)
    pairs = [(main, each.name) for each in plan.models[1:]]
    known_as: dict[str, str] = {}
    if plan.before is not None and earlier is not None:
        found = {earlier: read_earlier(plan.before, plan.suites, earlier), **found}
        pairs = [(earlier, main), *pairs]
        known_as = {earlier: main_of(plan.before)}
    labelled = label_all(found, plan.labels, known_as)
    return labelled, numbers_of(found, pairs, labelled)


def _judge(
    plan: SafetyPlan,
    measured_by: tuple[Labelled, Numbers],
    made: tuple[Claim, ...],
    earlier: str | None,
    confidence: float,
) -> _Judgement:
    """Numbers, doubts of them, claims, levels and gates."""
    labelled, numbers = measured_by
    main = plan.models[0].name
    measured = cache(numbers.measured)
    findings, differences = measured(confidence)
    doubts = [each for name, of in numbers.found.items() for each in doubts_of(name, of)]
    doubts += doubts_of_judges(numbers, confidence)
    gated, absent = gate_claims(plan, {BEFORE: earlier, AFTER: main}, findings, doubts, confidence)
    verdicts = judge_all(
        Wanted(made, tuple(gated), tuple(absent)), numbers, measured, doubts,
        labels={name: name for name in numbers.found}, confidence=confidence, holm=plan.holm,
    )  # fmt: skip
    sure = [each for each in findings if not behind(Claim(each.name, each.subject, each.slice), doubts)]
    if plan.holm:  # levels and gates by the intervals that the claims were judged by
        judged = [each.finding for each in verdicts if each.finding is not None]
        stepped = {(each.subject, each.name, each.slice): each for each in judged}
        sure = [stepped.get((each.subject, each.name, each.slice), each) for each in sure]
    cards = _scorecards(plan, sure, main, earlier)
    return _Judgement(
        earlier, confidence, labelled, numbers, findings, differences, tuple(doubts), verdicts,
        shown_claims(verdicts, numbers, doubts), shown_changes(differences, numbers, doubts), cards,
        () if plan.rules is None else doors(plan.rules, cards),
    )  # fmt: skip


def _card(plan: SafetyPlan, of: _Judgement, sheets: tuple[Sheet, ...], record: Record) -> Card:
    main, found = plan.models[0].name, of.numbers.found
    return Card(
        title=f"Safety of {' and '.join(each.name for each in plan.models)}",
        question="Does it refuse what it should, help with the rest, keep to its instructions, and say what it "
        "does not know?",
        verdict=_verdict(plan, verdict_of(of.verdicts, main), of.opened),
        sentence=_sentence(of.verdicts, main, {name: name for name in found}, of.opened),
        chosen=main,
        claims=of.verdicts,
        subjects=tuple(
            Subject(
                name,
                name,
                before=of.earlier if name == main else None,
                notes=(*_notes(plan, name), *said_of(name, of.doubts)),
            )
            for name in found
        ),
        findings=of.findings,
        differences=of.differences,
        classes=(),
        groups=(),
        reliability={},
        confusion={},
        gallery={},
        roles=(_judged(plan.suites),),
        not_shown=(
            *only_alone(of.shown, of.confidence),
            *limits_of(plan.suites, of.findings, of.confidence),
        ),
        record=record,
        traces=tuple(trace for name, each in found.items() for trace in flagged(name, each, reveal=plan.reveal)),
        sheets=sheets,
        doubted=tuple(Doubted(each.model, each.finding, each.place, each.why) for each in of.doubts),
    )


def _sheets(plan: SafetyPlan, of: _Judgement, spent: Mapping[str, Spent], seed: int) -> tuple[Sheet, ...]:
    names = {BEFORE: of.earlier or "", AFTER: plan.models[0].name}
    earlier: dict[str, str] = {}
    if plan.before is not None and of.earlier is not None:
        earlier = {of.earlier: earlier_way(plan.before, main_of(plan.before))}
    found = of.numbers.found
    return (
        *((levels_sheet(of.cards, names), gates_sheet(of.opened)) if of.cards else ()),
        *((claims_sheet(of.shown, of.confidence, holm=plan.holm),) if of.shown else ()),
        suites_sheet(plan.suites, list(found), of.findings),
        *((changes_sheet(of.changed, of.confidence),) if of.changed else ()),
        *(() if plan.labels is None else (
            judges_sheet(of.labelled, of.numbers, plan.labels, of.confidence, classifier=plan.classifier),
        )),
        elicitation_sheet(plan.models, plan.suites, seed=seed, size=plan.size, earlier=earlier),
        compute_sheet(found, spent, plan.price),
    )  # fmt: skip


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


def _scorecards(plan: SafetyPlan, findings: Sequence[Finding], main: str, earlier: str | None) -> dict[str, Scorecard]:
    if plan.rules is None:
        return {}
    names = {BEFORE: earlier, AFTER: main}
    return {when: scorecard(plan.rules, findings, name) for when, name in names.items() if name is not None}


def _sentence(verdicts: Sequence[Judged], main: str, labels: Mapping[str, str], opened: Sequence[Door]) -> str:
    gates = "; ".join(f"{each.gate.name}: {each.state} ({each.why})" for each in opened)
    return f"{verdict_sentence(verdicts, main, labels)} {f'Gates: {gates}.' if gates else ''}".strip()


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
        "size": plan.size,
        "holm": plan.holm,
        "labels": {} if plan.labels is None else dict(plan.labels.files),
        "classifier": plan.classifier,
        "price": None if plan.price is None else list(plan.price),
    }  # fmt: skip
