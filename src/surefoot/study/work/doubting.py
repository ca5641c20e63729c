"""What speaks against a choice by an evidence, for the ranking: each thing once, with the criteria that it is about.

Only candidates that have a number are looked at. A refusal says that these numbers do not compare: then nobody is taken
by that criterion. Losses are measured on rows, and have no such doubts; how sure they are is told beside them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from surefoot.evidence.doubt import By, Doubt
from surefoot.evidence.doubts import doubts_about_choice, doubts_of_each
from surefoot.evidence.trials import Trial, trial_to_json
from surefoot.findings.finding import finding_to_json
from surefoot.study.choice.candidates import Criterion

__all__ = ["doubts_about", "doubts_to_json", "trial_record"]

BY: Mapping[Criterion, By] = {"evidence": "evidence", "conditional_evidence": "conditional"}


def trial_record(trial: Trial) -> dict[str, Any] | None:
    """A trial as plain JSON, without what is no finite number; None where its evidence is none.

    >>> record = trial_record(Trial(-9.0, 0.0, 50, "full", conditional=-3.0, known_offset=math.inf))
    >>> record["evidence"], record["known_offset"], trial_record(Trial(math.nan, 0.0, 50, "full"))
    (-9.0, None, None)
    """
    record = trial_to_json(trial)
    if not _finite(record["evidence"]) or not _finite(record["offset"]):
        return None
    others = {structure: value for structure, value in trial.by_structure.items() if _finite(value)}
    return {name: value if _finite(value) else None for name, value in record.items()} | {"by_structure": others}


def doubts_about(criterion: Criterion, trials: Mapping[str, Sequence[Trial]]) -> list[Doubt]:
    """Refusals first; what is said of candidates one by one is said of the first two.

    trials: of the candidates that have a number by this criterion, one a seed.
    """
    if criterion not in BY or not trials:
        return []
    by = BY[criterion]
    of_choice = doubts_about_choice(trials, by=by) if len(trials) > 1 else ()
    told = {each.kind for each in of_choice}
    values = {name: [each.evidence if by == "evidence" else each.conditional or 0.0 for each in of]
              for name, of in trials.items()}  # fmt: skip
    order = sorted(trials, key=lambda name: -sum(values[name]))
    # What is doubted of one that is far behind says little of the choice.
    first_two = {name: trials[name] for name in order[:2]}
    of_each = [each for each in doubts_of_each(first_two, by=by) if each.kind not in told]
    return [
        replace(each, sentence=f"{each.sentence} (The ranking takes that difference.)")
        if each.kind == "draws"
        else each
        for each in (*of_choice, *of_each)
        if each.kind != "draws" or by == "conditional"  # draws have no part in the evidence of all rows
    ]


def doubts_to_json(of: Mapping[Criterion, Sequence[Doubt]]) -> list[dict[str, Any]]:
    """As plain JSON, refusals first; what is said of two criteria in the same words stands once."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for criterion, doubts in of.items():
        for each in doubts:
            record = found.setdefault(
                (each.kind, each.sentence),
                {
                    "about": [],
                    "kind": each.kind,
                    "severity": each.severity,
                    "sentence": each.sentence,
                    "findings": [finding_to_json(finding) for finding in each.findings],
                },
            )
            record["about"].append(criterion)
    return sorted(found.values(), key=lambda each: each["severity"] != "refuse")


def _finite(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(map(_finite, value.values()))
    return not isinstance(value, float) or math.isfinite(value)
