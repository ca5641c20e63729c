"""What a choice found, in two parts: what the criteria say, and what the judge said afterwards."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from surefoot.findings.finding import Finding, finding_to_json
from surefoot.study.choice.candidates import CRITERIA, Candidate, Criterion

__all__ = ["LOWER", "TITLES", "UNITS", "Choice", "Hindsight", "Pick", "Ranked", "Score", "choice_to_json"]

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
    """One candidate by one criterion. value: mean over seeds; None where it is refused, and why. rank: from 1."""

    value: float | None
    per_seed: tuple[float, ...]
    rank: int
    refused: str = ""


@dataclass(frozen=True)
class Ranked:
    """A candidate with its place by every criterion."""

    candidate: Candidate
    parameters: int
    scores: Mapping[Criterion, Score]
    notes: tuple[str, ...]


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
    """What nobody knew when the choices were made. accuracies, losses: on the judge rows, by candidate. best: by
    accuracy, of which there are `tied`. behind: accuracy of each chosen minus that of the best, paired. agreement: rank
    correlations.
    """

    accuracies: Mapping[str, Finding]
    losses: Mapping[str, Finding]
    best: str
    tied: int
    behind: Mapping[str, Finding]
    agreement: Mapping[Criterion, Finding | None]


@dataclass(frozen=True)
class Choice:
    """A finished choice. picks: by criterion. agree: a sentence. rows: learned from, held out (by seed) and judged.

    models: where each chosen candidate lies, relative to the folder, one a seed. told: what must be known with it.
    """

    name: str
    choose_by: Criterion
    ranked: tuple[Ranked, ...]
    picks: Mapping[Criterion, Pick]
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
        """The candidates, the criterion's first first."""
        return tuple(sorted(self.ranked, key=lambda each: each.scores[criterion].rank))


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
                "accuracy": finding_to_json(after.accuracies[each.candidate.name]),
                "nll": finding_to_json(after.losses[each.candidate.name]),
            }
            for each in choice.ranked
        ],
        "hindsight": {
            "best": after.best,
            "tied": after.tied,
            "behind": {name: finding_to_json(each) for name, each in after.behind.items()},
            "rank_correlation": {
                name: None if each is None else finding_to_json(each) for name, each in after.agreement.items()
            },
        },
        "rows": dict(choice.rows),
        "seeds": list(choice.seeds),
        "confidence": choice.confidence,
        "models": dict(choice.models),
        "told": list(choice.told),
        "record": dict(choice.record),
    }
