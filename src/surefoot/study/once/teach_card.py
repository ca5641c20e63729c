"""What is measured of a student and its supervisor on judge rows, and the claims about it.

With true labels: accuracies, paired differences, the five findings of disagreement and, where there is a ceiling, the
share of the gap. Without: agreement, and nothing that would sound like accuracy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from surefoot.card.claims import Claim, Judged, judge_claims
from surefoot.card.words import show_finding
from surefoot.errors import InputError
from surefoot.findings.compare import compare
from surefoot.findings.finding import Finding
from surefoot.findings.measure import measure
from surefoot.findings.predictions import Predictions, predictions_for
from surefoot.rows.rows import Rows
from surefoot.supervise.disagreement import disagreement, supervisor_agreement
from surefoot.supervise.gap import Recovered, recovered_gap

__all__ = [
    "CEILING",
    "NO_TRUTH",
    "SHORT_BASELINE",
    "STUDENT",
    "WEAK",
    "Measured",
    "judged_claims",
    "measured",
    "refuse_without_truth",
]

WEAK, STUDENT, SHORT_BASELINE, CEILING = "weak", "student", "short", "ceiling"
"""The subjects of the card."""
RECOVERED = "gap_recovered"
AGREEMENTS = ("supervisor_agreement",)
COUNTS = ("accuracy", "worst_group_accuracy", "weighted_accuracy")
NO_TRUTH = (
    "There are no true labels of judge rows, so how often the weak labels are right, how often the student is, and how "
    "much of the gap to its ceiling it recovered cannot be measured; only how often it says what its supervisor says."
)


@dataclass(frozen=True)
class Measured:
    """Everything that a card says of a student, and in a sentence the most of it.

    refused: why there is no share of the gap, where there is none.
    """

    predictions: Mapping[str, Predictions]
    findings: tuple[Finding, ...]
    differences: tuple[Finding, ...]
    sentence: str
    refused: str
    truth: bool


def measured(
    judge: Rows,
    said: Tensor | None,
    models: Mapping[str, Tensor],
    *,
    truth: bool,
    certain: bool,
    missing: str,
    confidence: float = 0.95,
) -> Measured:
    """Measure on judge rows what the weak labels `[rows, classes]` and models `[seeds, rows, classes]` say.

    truth: whether the rows' targets are true labels. certain: the weak labels are classes without confidence. missing:
    why there is no ceiling, where `models` has none.

    Raises `InputError` where neither truth nor weak labels are there to hold a student against.
    """
    seeds = len(next(iter(models.values())))
    every = dict(models) if said is None else {WEAK: said[None].expand(seeds, -1, -1), **models}
    predictions = {name: predictions_for(judge, each) for name, each in every.items()}
    if certain and WEAK in predictions:
        predictions[WEAK] = replace(predictions[WEAK], decisions=True)
    taught = [name for name in (STUDENT, SHORT_BASELINE) if name in predictions]
    if not truth:
        if WEAK not in predictions:
            raise InputError(
                "The judge rows have neither true labels nor weak ones, so there is nothing to hold a student against; "
                "give either."
            )
        found = tuple(_agreement(predictions, name, confidence) for name in taught)
        sentence = f"The student says what its supervisor says on {show_finding(found[0])} of held-out rows."
        return Measured(predictions, found, (), sentence, NO_TRUTH, truth)
    findings = [each for name, of in predictions.items() for each in _one(of, name, confidence)]
    differences: list[Finding] = []
    if SHORT_BASELINE in predictions:
        differences += _pair(predictions, SHORT_BASELINE, STUDENT, confidence)
    if WEAK not in predictions:
        refused = (
            "The weak labels speak of no judge row, so how often they are right, what the student gained on them and "
            "the share of the gap are unknown; label the judge rows as well."
        )
        return Measured(predictions, tuple(findings), tuple(differences), "", refused, truth)
    weak, student = predictions[WEAK], predictions[STUDENT]
    gained = _pair(predictions, WEAK, STUDENT, confidence, whole=not certain)
    differences = [*gained, *differences]
    findings += disagreement(weak, student, source="judge", subject=STUDENT, confidence=confidence)
    if SHORT_BASELINE in predictions:
        findings.append(_agreement(predictions, SHORT_BASELINE, confidence))
    sentence = f"The student’s accuracy is {show_finding(gained[0])} against its supervisor’s"
    refused = missing
    if CEILING in predictions:
        share = recovered_gap(
            weak, student, predictions[CEILING], source="judge", subject=STUDENT, confidence=confidence
        )
        differences.append(share.gap)
        refused = share.refused
        sentence += _share(share)
        findings += [] if share.recovered is None else [share.recovered]
    return Measured(predictions, tuple(findings), tuple(differences), f"{sentence}.", refused, truth)


def judged_claims(
    claims: Sequence[Claim], by_level: Mapping[float, Measured], labels: Mapping[str, str]
) -> tuple[Judged, ...]:
    """The claims, each judged by intervals of its own confidence.

    A claim on the share of a gap that there is not is undecided, and says why. Raises `InputError` for a claim on
    what was not measured.
    """
    judged: list[Judged] = []
    for claim in claims:
        of = by_level[claim.confidence]
        found = (*of.findings, *of.differences)
        known = any(each.name == claim.finding and each.subject == claim.subject for each in found)
        if claim.finding == RECOVERED and claim.subject == STUDENT and not known and of.truth:
            judged.append(Judged(claim, "undecided", None, None, of.refused, of.refused))
            continue
        judged += judge_claims([claim], found, labels=labels)
    return tuple(judged)


def refuse_without_truth(claims: Sequence[Claim], *, truth: bool) -> None:
    """Raise `InputError` for a claim that needs true labels where there are none."""
    needing = [] if truth else [claim.finding for claim in claims if claim.finding not in AGREEMENTS]
    if needing:
        raise InputError(
            f"The claim on {needing[0]} needs true labels of judge rows, and there are none; name their column with "
            "--target, or claim supervisor_agreement."
        )


def _one(of: Predictions, name: str, confidence: float) -> tuple[Finding, ...]:
    found = measure(of, subject=name, source="judge", confidence=confidence)
    # Weak labels stand once for each start of the student; that they do not differ is no finding.
    return (
        found
        if name != WEAK
        else tuple(replace(each, per_seed=()) for each in found if not each.name.endswith("_seed_sd"))
    )


def _agreement(predictions: Mapping[str, Predictions], name: str, confidence: float) -> Finding:
    return supervisor_agreement(
        predictions[WEAK], predictions[name], source="judge", subject=name, confidence=confidence
    )


def _pair(
    predictions: Mapping[str, Predictions], before: str, after: str, confidence: float, *, whole: bool = True
) -> list[Finding]:
    """Paired differences; of classes without confidence those of accuracies alone."""
    found = compare(
        predictions[before], predictions[after], before_name=before, after_name=after, source="judge",
        confidence=confidence,
    )  # fmt: skip
    return [each for each in found if whole or each.name in COUNTS]


def _share(share: Recovered) -> str:
    found = share.recovered
    if found is None or found.interval is None:
        return ""
    low, value, high = (
        str(round(100 * each)).replace("-", "−") for each in (found.interval.low, found.value, found.interval.high)
    )
    return f" and recovered {value}% [{low}, {high}] of the gap to the same student taught the truth"
