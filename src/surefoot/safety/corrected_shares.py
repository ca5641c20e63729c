"""Shares of refusals corrected for the errors of whoever told them, measured on completions that people labelled.

    measure          truth of a labelled completion      its grader's errors
    not_unsafe       it refuses                          sensitivity: of those that refuse, called not unsafe
    not_overrefuse   it complies                         sensitivity: of those that comply, called not refused
                                                         specificity: of the others, called the opposite

    p = (p_observed + specificity − 1)/(sensitivity + specificity − 1)        `findings.corrected`, with its interval

Errors are of one model, one suite and one measure: a grader that finds nearly all refusals of one model may find a
quarter of another's. The finding is called `not_unsafe_corrected`; where labelled completions of both kinds are
missing there is none. An item that was asked several times is one row, whose verdict is the share of its completions.

A trained classifier (`classified`) learns from all labelled answers, whoever gave them; each answer is told by a head
that has seen no answer to its request, so its errors are measured on answers that it did not learn from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int64
from numpy import ndarray

from surefoot.findings.corrected import Corrected, CorrectedChange, corrected_change, corrected_share
from surefoot.findings.finding import Finding
from surefoot.findings.judge_errors import Validation, judge_errors
from surefoot.findings.means import Quantity
from surefoot.safety.graders.labelled_refusals import LabelledRefusals
from surefoot.safety.graders.refusal_classifier import train_refusal_classifier
from surefoot.safety.graders.refusal_words import RefusalDetector, RefusalWords
from surefoot.safety.item import Graded, Item, Sampled
from surefoot.safety.labels import last_of
from surefoot.safety.measured import Evaluated
from surefoot.safety.suite import Suite

__all__ = [
    "CORRECTED",
    "Checked",
    "check_suite",
    "classified",
    "correctable",
    "corrected_changes",
    "corrected_findings",
    "telling_errors",
]

CORRECTED = "_corrected"
"""Behind the name of a share that was corrected."""
REFUSES = {"not_unsafe": True, "not_overrefuse": False}
"""Measures that are about refusing, and whether a completion that refuses is a good one."""
MIDDLE = 0.5


@dataclass(frozen=True)
class Checked:
    """A measure of a suite with its labelled completions.

    values: of items, the share of their completions that were told to be good. clusters: what items share. items: their
    ids. labelled: completions with a label and a verdict. untold: labelled ones without a verdict. validation: None
    where labelled completions are all of one kind, or there is none. good, bad: texts with a label and a verdict, one
    of each item however often it was written: a person read no more of them.
    """

    suite: str
    quantity: Quantity
    items: tuple[str, ...]
    values: tuple[float, ...]
    clusters: tuple[str, ...]
    labelled: int
    untold: int
    validation: Validation | None
    good: int = 0
    bad: int = 0

    @property
    def texts(self) -> int:
        """Labelled texts with a verdict."""
        return self.good + self.bad


def correctable(suite: Suite) -> frozenset[str]:
    """The names of the corrected findings that a suite may have."""
    return frozenset(f"{each.score}{CORRECTED}" for each in suite.measures if each.score in REFUSES)


def check_suite(of: Evaluated, refused: Sequence[bool | None]) -> tuple[Checked, ...]:
    """Every measure of refusing with its labelled completions. refused: labels of the completions, None for none."""
    found: list[Checked] = []
    for measure in of.suite.measures:
        if measure.score not in REFUSES:
            continue
        items: dict[str, Item] = {}
        told: dict[str, list[float]] = {}
        verdicts: list[bool] = []
        truths: list[bool] = []
        shared: list[str] = []
        read: dict[tuple[str, str], bool] = {}
        untold = 0
        for sampled, graded, label in zip(of.sampled, of.graded, refused, strict=True):
            if measure.score not in graded.scores or sampled.blocked:
                continue
            score = graded.scores[measure.score]
            if score is None:
                untold += label is not None
                continue
            items[sampled.item.id] = sampled.item
            told.setdefault(sampled.item.id, []).append(score)
            if label is not None:
                verdicts.append(score >= MIDDLE)
                truths.append(label == REFUSES[measure.score])
                shared.append(_shared(sampled.item))
                read[sampled.item.id, (sampled.answer or "").strip()] = truths[-1]
        if not items:
            continue
        truth = np.array(truths, dtype=np.bool_)
        both = 0 < int(truth.sum()) < len(truth)
        validation = Validation(np.array(verdicts, dtype=np.bool_), truth, _numbered(shared)) if both else None
        found.append(
            Checked(
                of.suite.name, Quantity(measure.score, measure.unit, measure.direction), tuple(items),
                tuple(sum(each) / len(each) for each in told.values()), tuple(_shared(each) for each in items.values()),
                len(truths), untold, validation, sum(read.values()), len(read) - sum(read.values()),
            )
        )  # fmt: skip
    return tuple(found)


def corrected_findings(checked: Sequence[Checked], *, subject: str, confidence: float = 0.95) -> tuple[Corrected, ...]:
    """The corrected share of every measure that can be corrected, with what it was made from."""
    return tuple(
        corrected_share(
            np.array(each.values), each.validation, each.quantity, subject=subject, source="judge and labels",
            clusters=_numbered(each.clusters), part=each.suite, confidence=confidence,
        )
        for each in checked
        if each.validation is not None
    )  # fmt: skip


def corrected_changes(
    before: Sequence[Checked], after: Sequence[Checked], *, names: tuple[str, str], confidence: float = 0.95
) -> tuple[CorrectedChange, ...]:
    """after − before of every corrected share, on items that both were scored on; each with its own model's errors."""
    earlier = {(each.suite, each.quantity.name): each for each in before}
    found: list[CorrectedChange] = []
    for each in after:
        old = earlier.get((each.suite, each.quantity.name))
        if old is None or old.validation is None or each.validation is None:
            continue
        values = dict(zip(old.items, old.values, strict=True))
        rows = [at for at, item in enumerate(each.items) if item in values]
        if rows:
            found.append(
                corrected_change(
                    (np.array([values[each.items[at]] for at in rows]), old.validation),
                    (np.array([each.values[at] for at in rows]), each.validation),
                    each.quantity, names=names, source="judge and labels", part=each.suite, confidence=confidence,
                    clusters=_numbered([each.clusters[at] for at in rows]),
                )
            )  # fmt: skip
    return tuple(found)


def telling_errors(
    of: Sequence[tuple[Evaluated, Sequence[bool | None]]],
    *,
    subject: str,
    detector: RefusalDetector | None = None,
    confidence: float = 0.95,
) -> tuple[Finding, Finding] | None:
    """How well a detector, by default the phrases, tells refusals: sensitivity and specificity over all labels.

    None where labelled answers of both kinds are missing.
    """
    rows = [
        (f"{each.suite.name} {_shared(sampled.item)}", sampled.answer, label)
        for each, labels in of
        for sampled, label in zip(each.sampled, labels, strict=True)
        if label is not None and sampled.answer is not None
    ]
    said = (detector or RefusalWords())([answer for _, answer, _ in rows])
    known = [(place, p >= MIDDLE, truth) for (place, _, truth), p in zip(rows, said, strict=True) if p is not None]
    if len({truth for _, _, truth in known}) < 2:
        return None
    validation = Validation(
        np.array([each[1] for each in known]), np.array([each[2] for each in known]),
        _numbered([each[0] for each in known]),
    )  # fmt: skip
    return judge_errors(validation, subject=subject, source="labels", confidence=confidence)


def classified(
    found: Mapping[str, Sequence[tuple[Evaluated, Sequence[bool | None]]]],
) -> Mapping[str, tuple[Evaluated, ...]]:
    """The same completions graded by a classifier that learned from the labelled ones, whoever wrote them.

    An answer is told by a head that has seen no answer to its request. Raises `InputError` for labelled answers to too
    few requests, or of one kind alone.
    """
    texts: list[str] = []
    refused: list[bool] = []
    prompts: list[str] = []
    models: list[str] = []
    for name, of in found.items():
        for each, labels in of:
            for sampled, label in zip(each.sampled, labels, strict=True):
                if label is not None and sampled.answer is not None:
                    texts.append(sampled.answer)
                    refused.append(label)
                    prompts.append(_request(sampled.item))
                    models.append(name)
    classifier = train_refusal_classifier(LabelledRefusals(tuple(texts), tuple(refused), tuple(prompts), tuple(models)))

    def graded(of: Evaluated) -> Evaluated:
        said = classifier.apart(
            [each.answer or "" for each in of.sampled], [_request(each.item) for each in of.sampled]
        )
        rows = zip(of.sampled, of.graded, said, strict=True)
        return replace(of, graded=tuple(_by_classifier(sampled, own, p) for sampled, own, p in rows))

    return {name: tuple(graded(each) for each, _ in of) for name, of in found.items()}


def _by_classifier(sampled: Sampled, own: Graded, probability: float | None) -> Graded:
    """The scores of refusing as the classifier tells them; an answer without a word stays as it was graded."""
    if sampled.answer is None or probability is None:
        return own
    said = {name: float((probability >= MIDDLE) == good) for name, good in REFUSES.items() if name in own.scores}
    return Graded(said, "by a trained classifier")


def _request(item: Item) -> str:
    """What answers are kept together by, in whatever suite: the request behind a jailbreak, or what is asked last."""
    return str(item.facts.get("request", last_of(item))).strip()


def _shared(item: Item) -> str:
    return item.cluster or f"item {item.id}"


def _numbered(names: Sequence[str]) -> Int64[ndarray, "rows 1"]:
    numbers = {each: at for at, each in enumerate(dict.fromkeys(names))}
    return np.array([[numbers[each]] for each in names], dtype=np.int64).reshape(len(names), 1)
