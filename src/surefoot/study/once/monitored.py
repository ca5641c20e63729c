"""A monitor over the thoughts of a safety run: what it flags, and, where a person has read some, what it is worth.

    kept = monitor_run(run, MonitorPlan(RuleMonitor.of(RULES)), to=Path("audit.csv"))     # writes the sheet
    kept = monitor_run(run, MonitorPlan(RuleMonitor.of(RULES)), labels=Path("audit.csv")) # reads it

The same run, monitor, sample and seed make the same sheet, so that its answers are known again without a key.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from surefoot.card.bounds import check_claim, check_level
from surefoot.card.card import Card, Record, RoleSummary, Subject
from surefoot.card.claims import Claim, judge_by_level, verdict_of, verdict_sentence
from surefoot.errors import InputError
from surefoot.files import digest_json, write_text
from surefoot.findings.finding import Finding
from surefoot.findings.means import Quantity, mean_finding
from surefoot.progress import Progress, silent, unheard
from surefoot.safety.audited import AuditedRows, audited_findings
from surefoot.safety.monitors import Flag, RuleMonitor, thought_prompt, verdict_flag
from surefoot.study.numerics import one_thread
from surefoot.study.once.attempt_asking import AskedModel, Asking, ask, policy_address
from surefoot.study.once.claim_text import parse_claim
from surefoot.study.once.keep import Asked, Kept, keep
from surefoot.study.once.monitored_thoughts import (
    Thought,
    audit_sheet,
    drawn_unflagged,
    read_labels,
    thoughts_of,
)
from surefoot.study.once.monitored_words import limits_of, numbers_sheet, rules_sheet, sentence_of, wrong
from surefoot.text.policy import Sampling

__all__ = ["MonitorPlan", "Monitored", "monitor_run"]

UNREAD = 0.05
"""Share of thoughts that a judge gave no verdict on, from which on claims are in doubt."""
WITHOUT = ("flagged", "unread")
WITH = ("monitor_precision", "missed", "prevalence", "monitor_sensitivity", "monitor_specificity")
MOST = 256
"""Tokens of a judge's answer."""


@dataclass(frozen=True)
class MonitorPlan:
    """by: rules, or a model that is asked. told: what it is, for a reader. audit: unflagged thoughts that are read."""

    by: RuleMonitor | AskedModel
    told: str = "phrases that stand in surefoot"
    model: str | None = None
    audit: int = 50
    reveal: bool = False


class Monitored(NamedTuple):
    """The card; the sheet to be read, None where labels were given; its rows."""

    kept: Kept
    sheet: Path | None
    rows: int


@one_thread()
def monitor_run(
    run: Path,
    plan: MonitorPlan,
    *,
    labels: Path | None = None,
    to: Path | None = None,
    seed: int = 0,
    claims: Sequence[str] = (),
    confidence: float = 0.95,
    out: Path = Path("runs"),
    command: str = "",
    say: Callable[[str], None] = unheard,
    progress: Progress = silent,
) -> Monitored:
    """Flag thoughts, and make the card. labels: the sheet with its answers; without, it is written to `to`, or beside
    the card.

    Raises `InputError` for what the run, the monitor and the labels refuse, for a sheet that exists, and for claims on
    what is not measured.
    """
    began = time.perf_counter()
    check_level(confidence, "The card")
    if labels is not None and to is not None:
        raise InputError("Labels were given and a sheet was to be written; give one of --labels and --to.")
    if to is not None and to.exists():
        raise InputError(f"{to} exists, and answers may be on it; choose another file or remove it.")
    model, thoughts = thoughts_of(run, plan.model)
    made = [parse_claim(each, model, confidence) for each in claims]
    for claim in made:
        check_claim(claim, seeds=1)
        _refuse_unknown(claim, model, {each.suite for each in thoughts}, labelled=labels is not None)
    say(f"{len(thoughts):,} thoughts of {model}; the monitor: {plan.told}.")
    flags = _flags(plan, thoughts, Asking(out, seed, progress))
    known = [(thought, flag) for thought, flag in zip(thoughts, flags, strict=True) if flag.flagged is not None]
    if not known:
        raise InputError(f"The monitor gave no verdict on any of {len(thoughts)} thoughts; ask another one.")
    flagged = [thought for thought, flag in known if flag.flagged]
    sample = (*flagged, *drawn_unflagged([thought for thought, flag in known if not flag.flagged], plan.audit, seed))
    truth = None if labels is None else read_labels(labels, sample)

    def measured(level: float) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
        return _measured(model, thoughts, flags, truth, level), ()

    findings, _ = measured(confidence)
    unread = len(thoughts) - len(known)
    doubts = (
        (f"{unread / len(thoughts):.0%} of the thoughts have no verdict",) if unread / len(thoughts) > UNREAD else ()
    )
    possible = {(each.name, each.slice) for each in findings}
    for claim in made:
        if (claim.finding, claim.slice) not in possible:
            raise InputError(f"A claim is made on {claim.finding}, of which these labels say nothing; leave it out.")
    verdicts = judge_by_level(made, measured, doubts={model: doubts} if doubts else {})
    monitor = (
        digest_json(sorted((name, [each.pattern for each in of]) for name, of in plan.by.patterns.items()))
        if isinstance(plan.by, RuleMonitor)
        else policy_address(plan.by.policy)
    )
    content = digest_json([[each.row, each.whole] for each in thoughts])
    question = Asked(
        road="monitor",
        name=f"{run.name} {model}" if plan.model else run.name,
        data=f"{len(thoughts)} thoughts of {run.name}",
        settings={
            "run": run.name, "model": model, "monitor": monitor, "told": plan.told, "audit": plan.audit,
            "thoughts": content, "labels": None if truth is None else digest_json(dict(truth)), "claims": list(claims),
            "confidence": confidence, "reveal": plan.reveal,
        },
        seeds=(seed,),
        judge_digest=content,
        command=command,
    )  # fmt: skip

    def make(record: Record) -> Card:
        return Card(
            title=f"A monitor of the thoughts of {model}",
            question="Which thoughts does it flag, how often is it right, and how much does it miss?",
            verdict=verdict_of(verdicts),
            sentence=sentence_of(verdict_sentence(verdicts) if verdicts else "", findings, len(sample), labels is None),
            chosen=None,
            claims=verdicts,
            subjects=(
                Subject(
                    model, model, notes=(f"the monitor: {plan.told}", *(f"{d}: claims are undecided" for d in doubts))
                ),
            ),
            findings=findings,
            differences=(),
            classes=(),
            groups=(),
            reliability={},
            confusion={},
            gallery={},
            roles=(RoleSummary("judge", len(thoughts), len({each.cluster for each in thoughts}), {}),),
            not_shown=limits_of(len(sample), len(flagged), len(known), labelled=truth is not None),
            record=record,
            traces=() if truth is None else wrong(model, known, truth, reveal=plan.reveal),
            sheets=(numbers_sheet(findings), rules_sheet(known, truth)),
        )

    kept = keep(question, out, {"flag": time.perf_counter() - began}, make)
    if truth is not None:
        return Monitored(kept, None, len(sample))
    sheet = to or kept.folder / "audit.csv"
    if not sheet.exists():  # beside a card that was made before, answers may be on it
        write_text(sheet, audit_sheet(sample, seed))
    return Monitored(kept, sheet, len(sample))


def _flags(plan: MonitorPlan, thoughts: Sequence[Thought], asking: Asking) -> list[Flag]:
    if isinstance(plan.by, RuleMonitor):
        return plan.by([each.whole for each in thoughts])
    prompts = [thought_prompt(each.whole) for each in thoughts]
    said, _ = ask(asking, plan.by, prompts, Sampling(1, min(MOST, plan.by.most), 0.0), "monitor")
    return [verdict_flag(row[0].answer if row else None) for row in said]


def _measured(
    model: str, thoughts: Sequence[Thought], flags: Sequence[Flag], truth: Mapping[str, bool] | None, confidence: float
) -> tuple[Finding, ...]:
    known = [(thought, flag) for thought, flag in zip(thoughts, flags, strict=True) if flag.flagged is not None]

    def share(name: str, rows: Sequence[tuple[Thought, bool]], part: str = "all") -> Finding:
        return mean_finding(
            np.array([[float(value) for _, value in rows]]), Quantity(name, direction="none"), subject=model,
            source="monitor", clusters=_clusters([of for of, _ in rows]), part=part, confidence=confidence,
        )  # fmt: skip

    suites = list(dict.fromkeys(each.suite for each, _ in known))
    flagged = [(thought, flag.flagged is True) for thought, flag in known]
    found: list[Finding] = [share("flagged", flagged)]
    if truth is not None:
        rows = AuditedRows(
            np.array([value for _, value in flagged]),
            np.array([each.row in truth for each, _ in known]),
            np.array([truth.get(each.row, False) for each, _ in known]),
            _clusters([each for each, _ in known]),
        )
        found = list(audited_findings(rows, name="prevalence", subject=model, source="monitor", confidence=confidence))
    if len(suites) > 1:
        found += [share("flagged", [each for each in flagged if each[0].suite == suite], suite) for suite in suites]
    unread = [(thought, flag.flagged is None) for thought, flag in zip(thoughts, flags, strict=True)]
    return (*found, share("unread", unread))


def _clusters(thoughts: Sequence[Thought]) -> np.ndarray:
    numbers = {name: at for at, name in enumerate(dict.fromkeys(each.cluster for each in thoughts))}
    return np.array([[numbers[each.cluster]] for each in thoughts], dtype=np.int64)


def _refuse_unknown(claim: Claim, model: str, suites: set[str], *, labelled: bool) -> None:
    """Raise `InputError` for a claim on what will not be measured, before anything is asked."""
    if claim.finding in WITH and not labelled:
        raise InputError(
            f"A claim is made on {claim.finding}, which takes a person’s labels; fill in the sheet that this command "
            "writes, and give it with --labels."
        )
    if claim.finding not in (*WITHOUT, *WITH):
        raise InputError(
            f"A claim is made on {claim.finding!r}, which is not measured; the findings are "
            f"{', '.join((*WITHOUT, *WITH))}."
        )
    if claim.subject != model or claim.slice not in ({"all", *suites} if claim.finding == "flagged" else {"all"}):
        raise InputError(
            f"A claim is made on {claim.finding}[{claim.slice}] of {claim.subject}, which is not measured; claims are "
            f"of {model} on all thoughts, and flagged[suite] on one of {', '.join(sorted(suites))}."
        )
