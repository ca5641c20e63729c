"""From predictions on the judge rows to a card: guard, measure, compare, judge."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

import numpy as np
import torch

from surefoot.card.bounds import check_claim, check_level
from surefoot.card.budgets import settle_budget
from surefoot.card.card import Card, Record, RoleSummary, Subject, base_of
from surefoot.card.claims import Claim, Judged, judge_claims, verdict_of, verdict_sentence
from surefoot.card.evidence import about_evidence
from surefoot.card.gallery import worst_errors
from surefoot.errors import InputError
from surefoot.findings.calibration import reliability
from surefoot.findings.compare import compare
from surefoot.findings.confusion import confusion
from surefoot.findings.finding import Finding
from surefoot.findings.measure import measure
from surefoot.findings.predictions import Predictions
from surefoot.flex.choose import Candidate
from surefoot.rows.grouping import DISCOVERED
from surefoot.rows.roles import refuse_seen
from surefoot.rows.rows import Groups, Inputs, make_rows

__all__ = ["Further", "assemble_card"]


@dataclass(frozen=True)
class Further:
    """What a card says beside what is measured of every subject, its intervals at one confidence.

    refused: by finding and subject, why there is no such number, in a sentence; a claim on it stays undecided.
    """

    findings: tuple[Finding, ...] = ()
    differences: tuple[Finding, ...] = ()
    refused: Mapping[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])


def assemble_card(
    *,
    title: str,
    question: str,
    predictions: Mapping[str, Predictions],
    subjects: Sequence[Subject],
    claims: Sequence[Claim],
    roles_summary: Sequence[RoleSummary],
    proportions: Mapping[str, float] | None,
    chosen: str | None,
    seen: Mapping[str, frozenset[str]],
    images: Inputs | None,
    record: Record,
    not_shown: Sequence[str],
    confidence: float = 0.95,
    further: Callable[[float], Further] | None = None,
    budgeted: Sequence[Candidate] = (),
) -> Card:
    """Measure every subject on the judge rows, compare each to the one it repairs, and judge the claims.

    predictions: by subject name, all of the same judge rows in the same order.
    proportions: each group's share of the training rows, for the weighted mean; None leaves it out.
    chosen: the subject selected on the choose rows; the claim subject "chosen" means it.
    seen: by subject name, the sources that its fit, its repair or the choice among settings has seen.
    images: the judge rows' inputs, for the gallery; None when there are none to draw.
    confidence: of the intervals on the card. A claim at another confidence is judged by intervals of its own.
    further: what else is measured, by the confidence of its intervals.
    budgeted: among what a claim within a budget of time chooses.

    Raises `InputError` when a judge row's source was seen by any subject, when subjects and predictions do not
    belong together, or when a claim names what was not measured.
    """
    check_level(confidence, "The card")
    for claim in claims:
        check_claim(claim, seeds=max((len(of.probabilities) for of in predictions.values()), default=None))
    names = [subject.name for subject in subjects]
    _belong_together(predictions, subjects, chosen)
    _refuse_seen(predictions, seen)
    findings, differences, refused = _all_of(predictions, subjects, proportions, confidence, further)
    labels = {subject.name: subject.label for subject in subjects}
    doubts = {subject.name: subject.doubts for subject in subjects if subject.doubts}
    judged: dict[Claim, Judged] = {}
    for level in dict.fromkeys([confidence, *(claim.confidence for claim in claims)]):
        found, changed, why = findings, differences, refused
        if level != confidence:
            found, changed, why = _all_of(predictions, subjects, proportions, level, further)
        left: dict[Claim, Claim] = {}
        for claim in (each for each in claims if each.confidence == level):
            settled = settle_budget(claim, budgeted)
            if isinstance(settled, Judged):
                judged[claim] = settled
            elif reason := why.get((settled.finding, settled.subject)):
                judged[claim] = Judged(settled, "undecided", None, None, reason, reason)
            else:
                left[claim] = settled
        of_level = judge_claims(
            list(left.values()), (*found, *changed), chosen=chosen, labels=labels, doubts=doubts
        )  # fmt: skip
        judged |= zip(left, of_level, strict=True)
    in_order = tuple(judged[claim] for claim in claims)
    shown = _shown(subjects, chosen)
    sure = [name for name in shown if not predictions[name].decisions]
    first = predictions[names[0]]
    return Card(
        title=title,
        question=question,
        verdict=verdict_of(in_order, chosen),
        sentence=verdict_sentence(in_order, chosen, labels),
        chosen=chosen,
        claims=in_order,
        subjects=tuple(subjects),
        findings=findings,
        differences=differences,
        classes=first.classes,
        groups=first.groups.names,
        reliability={name: reliability(predictions[name]) for name in sure},
        confusion={name: confusion(predictions[name]) for name in shown},
        gallery={name: worst_errors(predictions[name], images) for name in sure},
        roles=tuple(roles_summary),
        not_shown=(*_about_doubts(subjects), *not_shown, *_about_groups(first.groups), *about_evidence(first)),
        record=record,
    )


def _about_doubts(subjects: Sequence[Subject]) -> tuple[str, ...]:
    """What a reader must know before all else of models whose numbers may not be what they claim to be."""
    return tuple(
        f"“{subject.label}”: {doubt}. Its numbers are shown as they came, and no claim about it is decided by them."
        for subject in subjects
        for doubt in subject.doubts
    )


def _about_groups(groups: Groups) -> tuple[str, ...]:
    """What a reader must know of groups that do not simply divide the rows, or that nobody gave."""
    if not groups.names:
        return ()
    times = groups.members.sum(dim=1)
    told: list[str] = []
    if found := sum(name.startswith(DISCOVERED) for name in groups.names):
        told.append(
            f"{found} group{' was' if found == 1 else 's were'} discovered in a model's errors, not given: "
            "a slice says where it failed, not why, and another search could have found others."
        )
    if unknown := int((times == 0).sum()):
        told.append(
            f"{unknown:,} of {len(times):,} judge rows are in no group (unknown): they count for the mean alone."
        )
    if several := int((times > 1).sum()):
        told.append(f"{several:,} judge rows are in several groups and count in each of them.")
    return tuple(told)


def _all_of(
    predictions: Mapping[str, Predictions],
    subjects: Sequence[Subject],
    proportions: Mapping[str, float] | None,
    confidence: float,
    further: Callable[[float], Further] | None,
) -> tuple[tuple[Finding, ...], tuple[Finding, ...], Mapping[tuple[str, str], str]]:
    """Everything that is measured at one confidence, and why some of it is not."""
    findings, differences = _measured(predictions, subjects, proportions, confidence)
    more = Further() if further is None else further(confidence)
    return (*findings, *more.findings), (*differences, *more.differences), more.refused


def _measured(
    predictions: Mapping[str, Predictions],
    subjects: Sequence[Subject],
    proportions: Mapping[str, float] | None,
    confidence: float,
) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """Findings of every subject, and paired differences to the subject each one repairs."""
    findings: list[Finding] = []
    differences: list[Finding] = []
    for subject in subjects:
        of = predictions[subject.name]
        findings.extend(
            measure(of, subject=subject.name, source="judge", proportions=proportions, confidence=confidence)
        )
        if subject.before is not None:
            differences.extend(
                compare(
                    predictions[subject.before],
                    of,
                    before_name=subject.before,
                    after_name=subject.name,
                    source="judge",
                    proportions=proportions,
                    confidence=confidence,
                )
            )
    return tuple(findings), tuple(differences)


def _belong_together(predictions: Mapping[str, Predictions], subjects: Sequence[Subject], chosen: str | None) -> None:
    names = [subject.name for subject in subjects]
    if not names:
        raise InputError("The card has no subject; give the predictions of at least one model.")
    if len(set(names)) != len(names):
        raise InputError(f"Subject names repeat in {names}; give each subject its own name.")
    for name in dict.fromkeys([*names, *predictions]):
        if name not in predictions:
            raise InputError(f'There are no predictions for the subject "{name}"; give one entry per subject.')
        if name not in names:
            raise InputError(f'There are predictions for "{name}", which is no subject; name it among the subjects.')
    wanted = [("before", subject.before) for subject in subjects] + [("chosen", chosen)]
    for role, name in wanted:
        if name is not None and name not in names:
            near = get_close_matches(name, names, n=1, cutoff=0.5)
            hint = f' did you mean "{near[0]}"?' if near else f" the subjects are {', '.join(names)}."
            raise InputError(f'{role} names "{name}", which is not a subject of this card;{hint}')
    for name in names:
        base_of(subjects, name)
    first = predictions[names[0]]
    for name in names[1:]:
        other = predictions[name]
        same = (
            np.array_equal(first.ids, other.ids)
            and torch.equal(first.targets, other.targets)
            and first.classes == other.classes
            and first.groups.names == other.groups.names
            and torch.equal(first.groups.members, other.groups.members)
        )
        if not same:
            raise InputError(
                f'The predictions of "{names[0]}" and "{name}" are not about the same judge rows; '
                "give both the same rows, targets, classes and groups in the same order."
            )


def _refuse_seen(predictions: Mapping[str, Predictions], seen: Mapping[str, frozenset[str]]) -> None:
    """Law 4. Every subject's predictions are checked against everything any subject has seen."""
    for of in predictions.values():
        judge = make_rows(torch.zeros(len(of.ids), 0), of.targets, classes=of.classes, ids=of.ids, sources=of.sources)
        for name, sources in seen.items():
            refuse_seen(judge, sources, f'"{name}"')


def _shown(subjects: Sequence[Subject], chosen: str | None) -> tuple[str, ...]:
    """The subjects drawn in full: the base and the chosen model; without a choice, every base and an only repair."""
    if chosen is not None:
        return tuple(dict.fromkeys([base_of(subjects, chosen), chosen]))
    only = sum(subject.before is not None for subject in subjects) == 1
    return tuple(subject.name for subject in subjects if only or subject.before is None)
