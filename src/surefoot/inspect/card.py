"""A card of logs of Inspect: numbers with intervals, changes paired by sample, claims, and what is in doubt.

    kept = card_of_logs([Path("refusal.eval")], before=[Path("refusal-before.eval")])

Nothing is asked and nothing is graded again. A log that is not whole (its run was cancelled, ended in an error or has
not ended, samples are missing or were invalidated) is measured as it is, and claims on it are undecided.
"""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from surefoot.card.bounds import check_claim, check_level
from surefoot.card.card import Card, Record, RoleSummary, Subject
from surefoot.card.claims import judge_by_level, verdict_of, verdict_sentence
from surefoot.errors import InputError
from surefoot.files import digest_file, digest_json
from surefoot.findings.finding import Finding
from surefoot.inspect.log import Log, read_log
from surefoot.inspect.measured import doubts_of_log, evaluated_of, suite_name
from surefoot.safety.measured import Evaluated, changes_of, findings_of
from surefoot.study.once.claim_text import parse_claim
from surefoot.study.once.keep import Asked, Kept, keep
from surefoot.study.once.safety_plan import Doubt, behind, doubts_of, said_of
from surefoot.study.once.safety_words import flagged, suites_sheet
from surefoot.text.policy import Prompt

__all__ = ["card_of_logs", "model_name"]

AS_LOGGED = (
    "Read from logs of Inspect: scores are as its scorers gave them, nothing was asked or graded again, and how well a "
    "scorer judges is not measured."
)
NOT_ELICITED = "What was not elicited was not measured: another prompt, more attempts or tools may find more."
OF_STRANGERS = "Which way is better is not known of the scores of {}: their card shows numbers, and praises none."


@dataclass(frozen=True)
class _Read:
    """A log, the model's name on the card, and what it measured."""

    log: Log
    model: str
    of: Evaluated


def card_of_logs(
    logs: Sequence[Path],
    *,
    before: Sequence[Path] = (),
    claims: Sequence[str] = (),
    confidence: float = 0.95,
    group: str = "stratum",
    cluster: str = "cluster",
    reveal: bool = False,
    out: Path = Path("runs"),
    command: str = "",
) -> Kept:
    """Read logs and make their card. Claims are of the first log's model, unless they name another.

    before: logs of the model before a change. group, cluster: metadata of samples, by which numbers are told apart, and
    which samples hang together. reveal: show the worst completions as they are.

    Raises `InputError` for files that are no logs, two logs of one task and model, logs of one task that asked other
    samples than the first, and claims on what was not measured; nothing is written then.
    """
    began = time.perf_counter()
    check_level(confidence, "The card")
    read = _read(logs, before, group, cluster)
    models = list(dict.fromkeys(each.model for each in read))
    earlier = read[-1].model if before else None
    main = read[0].model
    pairs = [(main, each) for each in models[1:] if each != earlier]
    pairs = pairs if earlier is None else [(earlier, main), *pairs]
    made = [parse_claim(each, main, confidence) for each in claims]
    for claim in made:
        check_claim(claim, seeds=1)

    def measured(level: float) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
        numbers = tuple(one for each in read for one in findings_of(each.of, subject=each.model, confidence=level))
        return numbers, _changes(read, pairs, level)

    findings, differences = measured(confidence)
    doubts = [Doubt(each.model, each.of.suite.name, why) for each in read for why in doubts_of_log(each.log)]
    doubts += [one for each in read for one in doubts_of(each.model, [each.of])]
    labels = {name: name for name in models}
    verdicts = tuple(
        each
        for claim in made
        for each in judge_by_level([claim], measured, labels=labels, doubts=behind(claim, doubts))
    )
    suites = list({each.of.suite.name: each.of.suite for each in read}.values())
    asked = Asked(
        road="inspect",
        name=main,
        data=", ".join(each.name for each in suites),
        settings={
            "logs": [_settings(each) for each in read],
            "group": group,
            "cluster": cluster,
            "claims": list(claims),
            "confidence": confidence,
        },
        seeds=(),
        judge_digest=digest_json(
            {each.name: [[item.id, _told(item.prompt)] for item in each.items] for each in suites}
        ),
        command=command,
    )

    def make(record: Record) -> Card:
        return Card(
            title=f"{' and '.join(name for name in models if name != earlier)}, as Inspect logged",
            question="What do the logs show, and how sure is it?",
            verdict=verdict_of(verdicts),
            sentence=verdict_sentence(verdicts, None, labels),
            chosen=None,
            claims=verdicts,
            subjects=tuple(
                Subject(name, name, before=earlier if name == main else None, notes=_notes(read, name, doubts))
                for name in ([earlier] if earlier else []) + [each for each in models if each != earlier]
            ),
            findings=findings,
            differences=differences,
            classes=(),
            groups=(),
            reliability={},
            confusion={},
            gallery={},
            roles=(_judged(suites_of=read),),
            not_shown=_limits(read),
            record=record,
            traces=tuple(trace for each in read for trace in flagged(each.model, [each.of], reveal=reveal)),
            sheets=(suites_sheet(suites, models, findings),),
        )

    return keep(asked, out, {"read and measure": time.perf_counter() - began}, make)


def model_name(model: str) -> str:
    """A model's name without what a claim could not name.

    >>> model_name("openai/gpt 4 <tuned>")
    'openai/gpt_4_tuned_'
    """
    return re.sub(r"[\s<>=≤≥]+", "_", model) or "model"


def _read(logs: Sequence[Path], before: Sequence[Path], group: str, cluster: str) -> list[_Read]:
    """All logs, those of before last; logs of one task are measured together, so that one unit is theirs."""
    if not logs:
        raise InputError("No log was given; give one or more of those that `inspect eval` wrote.")
    given = [(read_log(each), False) for each in logs] + [(read_log(each), True) for each in before]
    names = {model_name(log.model) for log, earlier in given if not earlier}
    first = next((model_name(log.model) for log, earlier in given if earlier), "")
    if any(earlier and model_name(log.model) != first for log, earlier in given):
        raise InputError("The logs of before are of several models; give those of one.")
    while first in names:
        first += "_before"
    named = [(log, first if earlier else model_name(log.model)) for log, earlier in given]
    places = [(name, suite_name(log)) for log, name in named]
    for at, place in enumerate(places):
        if place in places[:at]:
            raise InputError(
                f"{named[places.index(place)][0].path} and {named[at][0].path} are both of {place[1]} by {place[0]}; "
                "give one of them, or compare them: --before LOG."
            )
    found: dict[int, Evaluated] = {}
    for task in dict.fromkeys(task for _, task in places):
        numbers = [at for at, place in enumerate(places) if place[1] == task]
        measured = evaluated_of([named[at][0] for at in numbers], group=group, cluster=cluster)
        found |= dict(zip(numbers, measured, strict=True))
    return [_Read(log, name, found[at]) for at, (log, name) in enumerate(named)]


def _changes(read: Sequence[_Read], pairs: Sequence[tuple[str, str]], confidence: float) -> tuple[Finding, ...]:
    """Paired by the ids of samples; logs that asked them in another order are brought into one."""
    by_place = {(each.model, each.of.suite.name): each.of for each in read}
    changes: list[Finding] = []
    for before, after in pairs:
        for (model, suite), of in by_place.items():
            earlier = by_place.get((before, suite))
            if model == after and earlier is not None:
                order = {each.id: at for at, each in enumerate(of.suite.items)}
                items = sorted(earlier.suite.items, key=lambda each: order.get(each.id, len(order)))
                earlier = replace(earlier, suite=replace(earlier.suite, items=tuple(items)))
                changes += changes_of(earlier, of, names=(before, after), confidence=confidence)
    return tuple(changes)


def _settings(of: _Read) -> dict[str, Any]:
    """Of one log, as plain JSON: what it is, and every choice in it that changes a number."""
    return {
        "model": of.model, "task": of.log.task, "log": digest_file(of.log.path), "status": of.log.status,
        "samples": len(of.log.samples), "epochs": of.log.epochs, "sampling": dict(of.log.settings),
    }  # fmt: skip


def _told(prompt: Prompt) -> Any:
    return prompt if isinstance(prompt, str) else [each.spelled() for each in prompt]


def _notes(read: Sequence[_Read], name: str, doubts: Sequence[Doubt]) -> tuple[str, ...]:
    logs = [each.log for each in read if each.model == name]
    told = "; ".join(f"{suite_name(each)}, {each.created[:10] or 'no date'}" for each in logs)
    failed = sum(bool(sample.failed) for each in logs for sample in each.samples)
    lost = (f"{failed:,} samples had an error, hit a limit or were invalidated: unscored",) if failed else ()
    return (f"logs of Inspect: {told}", *lost, *said_of(name, doubts))


def _judged(suites_of: Sequence[_Read]) -> RoleSummary:
    """All samples of all tasks, once for all models."""
    suites = {each.of.suite.name: each.of.suite for each in suites_of}.values()
    clusters = {(suite.name, item.cluster or item.id) for suite in suites for item in suite.items}
    return RoleSummary("judge", sum(len(each.items) for each in suites), len(clusters), {})


def _limits(read: Sequence[_Read]) -> tuple[str, ...]:
    unknown = {each.of.suite.name for each in read if all(m.direction == "none" for m in each.of.suite.measures)}
    strangers = (OF_STRANGERS.format(", ".join(sorted(unknown))),) if unknown else ()
    unscored: Mapping[str, int] = {
        each.of.suite.name: sum(None in graded.scores.values() for graded in each.of.graded) for each in read
    }
    lost = [f"{count:,} of {name}" for name, count in unscored.items() if count]
    gone = (f"Completions that were not scored, and are in no score's mean: {', '.join(lost)}.",) if lost else ()
    return (AS_LOGGED, NOT_ELICITED, *strangers, *gone)
