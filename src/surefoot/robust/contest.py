"""A contest: any repairs on the same features, learned and chosen without the judge rows, then judged once together.

    kept = contest(features, erm_head(features["fit"]), seeds=(0, 1, 2))
    print(kept.table())

Every repair gets the fit, repair and choose rows alone. The judge rows are read after the last repair is done: each
entry is measured, and compared with the head it repairs, row by row and seed by seed.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

from surefoot.errors import InputError
from surefoot.findings.compare import compare
from surefoot.findings.finding import Finding
from surefoot.findings.measure import measure
from surefoot.findings.predictions import Predictions, predictions_for
from surefoot.robust.head import LinearHead, Repaired
from surefoot.robust.method import Method
from surefoot.robust.methods import METHODS
from surefoot.robust.protocol import check_head, material_of
from surefoot.robust.selecting import Selection
from surefoot.rows.roles import Roles, refuse_seen
from surefoot.rows.rows import Rows

__all__ = ["BASE", "Contest", "Contestant", "Entry", "contest", "group_shares", "usual_methods"]

Contestant: TypeAlias = Callable[[Roles, LinearHead, int], Repaired]
"""(features without judge rows, the head to repair, seed) → a repaired head."""

BASE = "erm"
"""The name of the head that is repaired."""


def usual_methods(selection: Selection = "groups") -> Mapping[str, Contestant]:
    """Every repair at its usual settings, by name; those that fit with groups come last.

    selection: how settings are chosen, see `surefoot.robust.selecting`; `class_balanced` and DFR have their own way.
    """

    def usual(method: Method[Any]) -> Contestant:
        settings = method.usual(selection)
        return lambda features, erm, seed: method.run(features, erm, settings, seed)

    compared = [method for method in METHODS if method.compared]
    return {method.name: usual(method) for method in sorted(compared, key=lambda method: method.needs_groups)}


@dataclass(frozen=True)
class Entry:
    """One repair: what it left for each seed, and the seconds each took (the base head: none)."""

    name: str
    repaired: tuple[Repaired, ...]
    seconds: tuple[float, ...]


@dataclass(frozen=True)
class Contest:
    """Everything measured on the judge rows.

    findings: of the base head and of every entry, as on a card (subject: the entry's name). differences: of every
    entry to the base head, paired (subject "<name> − erm"). predictions: by name, one layer per seed.
    """

    entries: tuple[Entry, ...]
    findings: tuple[Finding, ...]
    differences: tuple[Finding, ...]
    predictions: Mapping[str, Predictions]

    def find(self, name: str, finding: str = "worst_group_accuracy") -> Finding:
        """An entry's finding over all rows; raises `InputError` when there is none."""
        for each in (*self.findings, *self.differences):
            if each.subject == name and each.name == finding and (each.slice == "all" or finding != "accuracy"):
                return each
        raise InputError(f"The contest has no {finding} of {name!r}; it has {', '.join(self.predictions)}.")

    def table(self) -> str:
        """Worst group with its interval, its paired change, means and seconds, as Markdown in the entries' order."""
        lines = [
            "| method | worst group | change | mean | weighted mean | seconds |",
            "|---|---|---|---|---|---|",
        ]
        weighted = {each.subject: each for each in self.findings if each.name == "weighted_accuracy"}
        for name in self.predictions:
            entry = next((each for each in self.entries if each.name == name), None)
            change, taken = "–", "–"
            if entry is not None:
                change = _shown(self.find(f"{name} − {BASE}"), signed=True)
                taken = f"{sum(entry.seconds) / len(entry.seconds):.2f}"
            share = f"{weighted[name].value:.1%}" if name in weighted else "–"
            worst, mean = self.find(name), self.find(name, "accuracy")
            lines.append(f"| {name} | {_shown(worst)} | {change} | {mean.value:.1%} | {share} | {taken} |")
        return "\n".join(lines)


def contest(
    features: Roles,
    erm: LinearHead,
    methods: Mapping[str, Contestant] | None = None,
    *,
    seeds: Sequence[int] = (0,),
    confidence: float = 0.95,
) -> Contest:
    """Repair `erm` with every method and seed, then judge all of them once.

    methods: by name; `usual_methods()` if absent.
    features: rows of features for each role, judge among them; worst groups need groups on the judge rows. The
    weighted mean is added where each fit row is in exactly one group. Raises `InputError` when judge rows are missing,
    share a source with another role or with what a repair says it has seen, and whatever a method raises, naming it.

    >>> from surefoot.rows.worlds import gaussian_world
    >>> from surefoot.robust.balanced import erm_head
    >>> roles = gaussian_world(sizes={"fit": 400, "repair": 400, "choose": 400, "judge": 800}).roles
    >>> kept = contest(roles, erm_head(roles["fit"]), {"rwg": usual_methods()["rwg"]})
    >>> kept.find("rwg").value > kept.find("erm").value
    True
    """
    methods = usual_methods() if methods is None else methods
    if BASE in methods or not methods:
        raise InputError(f"A contest needs at least one method, none of them named {BASE!r}, which is the base head.")
    if not seeds:
        raise InputError("A contest needs a seed; give at least one.")
    if "judge" not in features:
        raise InputError(f"A contest needs judge rows, and the roles given are {', '.join(features)}; give it some.")
    judge = features["judge"]
    check_head(erm, material_of(judge, "judge", "the contest"), "the contest")
    if not judge.groups.names:
        raise InputError("A contest is about the worst group, and the judge rows have no groups; name some.")
    given: Roles = {role: rows for role, rows in features.items() if role != "judge"}
    for role, rows in given.items():
        # The base head does not tell what it has seen: any row that is not judged may have shaped it.
        refuse_seen(judge, rows.origins(), f"the {role} rows")
    entries: list[Entry] = []
    for name, method in methods.items():
        made: list[Repaired] = []
        seconds: list[float] = []
        for seed in seeds:
            began = time.perf_counter()
            try:
                made.append(method(given, erm, seed))
            except InputError as error:
                raise InputError(f"{name}: {error}") from None
            seconds.append(time.perf_counter() - began)
        for repaired in made:
            refuse_seen(judge, repaired.seen, name)
        entries.append(Entry(name, tuple(made), tuple(seconds)))

    heads = {BASE: [erm] * len(seeds), **{each.name: [of.head for of in each.repaired] for each in entries}}
    predictions = {
        name: predictions_for(judge, torch.stack([head.probabilities(judge.inputs[:]) for head in each]))
        for name, each in heads.items()
    }
    shares = group_shares(features["fit"], judge) if "fit" in features else None
    findings: list[Finding] = []
    differences: list[Finding] = []
    for name, each in predictions.items():
        findings += measure(each, subject=name, source="judge", proportions=shares, confidence=confidence)
        if name != BASE:
            differences += compare(
                predictions[BASE],
                each,
                before_name=BASE,
                after_name=name,
                source="judge",
                proportions=shares,
                confidence=confidence,
            )
    return Contest(tuple(entries), tuple(findings), tuple(differences), predictions)


def group_shares(fit: Rows, judge: Rows) -> Mapping[str, float] | None:
    """Each group's share of the fit rows; None unless each is in exactly one group, and judge has rows of them all."""
    groups = fit.groups
    if not groups.names or not bool((groups.members.sum(dim=1) == 1).all()):
        return None
    judged = dict(zip(judge.groups.names, judge.groups.counts().tolist(), strict=True))
    shares = dict(zip(groups.names, (groups.counts().double() / len(fit)).tolist(), strict=True))
    if any(share > 0 and not judged.get(name, 0) for name, share in shares.items()):
        return None
    return {name: shares.get(name, 0.0) for name in judged}


def _shown(finding: Finding, *, signed: bool = False) -> str:
    style = "+.1%" if signed else ".1%"
    if finding.interval is None:
        return f"{finding.value:{style}}"
    return f"{finding.value:{style}} [{finding.interval.low * 100:.1f}, {finding.interval.high * 100:.1f}]"
