"""What a choice found, in two parts: what the criteria say, and what the judge said afterwards."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from surefoot.evidence.doubt import Doubted, Severity
from surefoot.findings.finding import Finding, finding_to_json
from surefoot.study.choice.candidates import CRITERIA, Candidate, Criterion

__all__ = [
    "LOWER",
    "TITLES",
    "UNITS",
    "Choice",
    "ChoiceDoubt",
    "Hindsight",
    "Pick",
    "Ranked",
    "Score",
    "choice_to_json",
]

TITLES: Mapping[Criterion, str] = {
    "conditional_evidence": "Conditional evidence",
    "evidence": "Evidence",
    "validation_loss_averaged": "Validation loss, averaged",
    "validation_loss": "Validation loss",
}
UNITS: Mapping[Criterion, str] = {
    "conditional_evidence": "nats",
    "evidence": "nats",
    "validation_loss_averaged": "nats per row",
    "validation_loss": "nats per row",
}
LOWER = frozenset[Criterion]({"validation_loss_averaged", "validation_loss"})
"""Criteria of which less is better."""


@dataclass(frozen=True)
class Score:
    """One candidate by one criterion. value: mean over seeds; None where it is refused, and why. rank: from 1, None
    where the candidate is not trained."""

    value: float | None
    per_seed: tuple[float, ...]
    rank: int | None
    refused: str = ""


@dataclass(frozen=True)
class Ranked:
    """A candidate with its place by every criterion. untrained: why it counts as not trained; "" where it is."""

    candidate: Candidate
    parameters: int
    scores: Mapping[Criterion, Score]
    untrained: str = ""

    @property
    def trained(self) -> bool:
        """With every seed."""
        return not self.untrained


@dataclass(frozen=True)
class ChoiceDoubt:
    """What speaks against a choice. about: the criteria that it is about; kind, severity, findings, sentence: as of an
    `evidence.doubt.Doubt`."""

    about: tuple[Criterion, ...]
    kind: Doubted
    severity: Severity
    findings: tuple[Finding, ...]
    sentence: str


@dataclass(frozen=True)
class Pick:
    """What a criterion takes. chosen: "" where it has a number for nobody. sure: the chance that its first is its best
    but for the luck of rows and seeds; None where that was not measured. words: that in words, with the next best."""

    chosen: str
    second: str
    sure: float | None
    words: str


@dataclass(frozen=True)
class Hindsight:
    """What nobody knew when the choices were made. accuracies, losses: on the judge rows, by candidate that is trained.
    best: by accuracy, of which there are `tied`. behind: accuracy of each chosen minus that of the best, paired.
    agreement: rank correlations.
    """

    accuracies: Mapping[str, Finding]
    losses: Mapping[str, Finding]
    best: str
    tied: int
    behind: Mapping[str, Finding]
    agreement: Mapping[Criterion, Finding | None]


@dataclass(frozen=True)
class Choice:
    """A finished choice. picks: by criterion. doubts: refusals first. agree: a sentence. rows: learned from, held out
    (by seed) and judged.

    models: where each chosen candidate lies, relative to the folder, one a seed. told: what must be known with it.
    """

    name: str
    choose_by: Criterion
    ranked: tuple[Ranked, ...]
    picks: Mapping[Criterion, Pick]
    doubts: tuple[ChoiceDoubt, ...]
    agree: str
    hindsight: Hindsight
    rows: Mapping[str, int]
    seeds: tuple[int, ...]
    confidence: float
    models: Mapping[str, str]
    told: tuple[str, ...]
    record: Mapping[str, Any]

    @property
    def chosen(self) -> str:
        """The candidate that goes on."""
        return self.picks[self.choose_by].chosen

    def ranked_by(self, criterion: Criterion) -> tuple[Ranked, ...]:
        """The candidates, the criterion's first first, and those that are not trained last."""
        last = len(self.ranked) + 1
        return tuple(sorted(self.ranked, key=lambda each: each.scores[criterion].rank or last))

    @property
    def untrained(self) -> tuple[Ranked, ...]:
        """The candidates that are not trained."""
        return tuple(each for each in self.ranked if not each.trained)


def choice_to_json(choice: Choice) -> dict[str, Any]:
    """A choice as plain JSON; its findings as everywhere."""
    after = choice.hindsight
    return {
        "name": choice.name,
        "choose_by": choice.choose_by,
        "chosen": choice.chosen,
        "agree": choice.agree,
        "picks": {name: asdict(choice.picks[name]) for name in CRITERIA},
        "candidates": [
            {
                **asdict(each),
                "trained": each.trained,
                "accuracy": _to_json(after.accuracies.get(each.candidate.name)),
                "nll": _to_json(after.losses.get(each.candidate.name)),
            }
            for each in choice.ranked
        ],
        "doubts": [
            {**asdict(each), "findings": [finding_to_json(finding) for finding in each.findings]}
            for each in choice.doubts
        ],
        "hindsight": {
            "best": after.best,
            "tied": after.tied,
            "behind": {name: finding_to_json(each) for name, each in after.behind.items()},
            "rank_correlation": {name: _to_json(each) for name, each in after.agreement.items()},
        },
        "rows": dict(choice.rows),
        "seeds": list(choice.seeds),
        "confidence": choice.confidence,
        "models": dict(choice.models),
        "told": list(choice.told),
        "record": dict(choice.record),
    }


def _to_json(finding: Finding | None) -> dict[str, Any] | None:
    return None if finding is None else finding_to_json(finding)
