"""What a safety evaluation is to do, what is claimed of it, and when its numbers are in doubt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, nextafter
from pathlib import Path
from typing import NamedTuple

from surefoot.card.claims import Claim, Judged, describe_claim
from surefoot.card.words import finding_title
from surefoot.errors import InputError
from surefoot.findings.finding import Finding
from surefoot.safety.corrected_shares import correctable
from surefoot.safety.labels import Labels
from surefoot.safety.measured import APART, Evaluated, names_of, shares_of, strata_of
from surefoot.safety.preparedness.rules import Rules
from surefoot.safety.suite import Suite
from surefoot.study.once.attempt_asking import AskedModel

__all__ = ["Doubt", "SafetyPlan", "behind", "doubts_of", "gate_claims", "refuse_unknown", "said_of"]

UNSCORED = 0.05
"""Share of a suite's completions without a score, from which on its numbers are in doubt."""
BLOCKED = 0.01
"""Share of its calls that a server refused, from which on they are."""
DEGENERATE = 0.5
"""Share of answers that say nothing, from which on a suite tells nothing of what a model can do."""
NAMED = 5
"""Strata in doubt that a note names."""


@dataclass(frozen=True)
class SafetyPlan:
    """What is asked of whom. before: the run of an earlier evaluation, whose model is the one before mitigation.

    rules: of preparedness; none: no scorecard. gate: the gate whose claims decide the verdict. reveal: show the
    completions that scored worst as they are. labels: of completions; classifier: learn from them who refuses. holm:
    judge all claims together. price: of a million tokens of prompts and of completions at a server. size: of the
    battery, for a reader.

    Raises `InputError` for no model or suite, two of one name, a gate that the rules have not, a classifier without
    labels, and a price that is none or of models that nobody serves.
    """

    models: tuple[AskedModel, ...]
    suites: tuple[Suite, ...]
    rules: Rules | None = None
    gate: str = "deploy"
    before: Path | None = None
    reveal: bool = False
    labels: Labels | None = None
    classifier: bool = False
    holm: bool = False
    price: tuple[float, float] | None = None
    size: str = ""

    def __post_init__(self) -> None:
        if self.classifier and self.labels is None:
            raise InputError("A classifier of refusals learns from labelled answers, and none are given; give labels.")
        if self.price is not None and not (
            all(0 <= each < inf for each in self.price) and any(each.served for each in self.models)
        ):
            raise InputError(
                f"The price is {self.price[0]:g} and {self.price[1]:g} a million tokens; give two numbers of 0 or "
                "more, for models that a server asks money for."
            )
        for what, names in (("models", [each.name for each in self.models]), ("suites", [s.name for s in self.suites])):
            twice = sorted({each for each in names if names.count(each) > 1})
            if not names or twice:
                said = f"two are called {twice[0]}" if twice else "there are none"
                raise InputError(f"An evaluation needs {what}, and {said}; give one or more, each another.")
        if self.rules is not None and self.gate not in [each.name for each in self.rules.gates]:
            known = ", ".join(each.name for each in self.rules.gates)
            raise InputError(f"The gate {self.gate!r} was to decide, and the rules have {known}; name one of them.")
        categories = {} if self.rules is None else self.rules.categories
        indicators = () if self.rules is None else self.rules.indicators
        for name in categories:
            if all(each.category != name for each in indicators):
                raise InputError(
                    f"The rules have the category {name} and no indicator of it; give one, or leave it out."
                )


class Doubt(NamedTuple):
    """Of one model on one suite, or on one stratum of it ("suite: stratum"). why: a clause.

    finding: the only one that it is of; of all where it is empty.
    """

    model: str
    place: str
    why: str
    finding: str = ""


def gate_claims(
    plan: SafetyPlan,
    models: Mapping[str, str | None],
    findings: Sequence[Finding],
    doubts: Sequence[Doubt],
    confidence: float,
) -> tuple[list[Claim], list[Judged]]:
    """What must hold for the gate to open: a claim of each indicator, and what is unknown as undecided.

    An indicator that has no level above the gate's makes no claim where its level is known; where it was not measured
    or its number is in doubt its level is unknown, and so is the gate, which only a claim can say. A threshold is
    reached by the number that it is, so claims keep to the next one below it (or above).

    models: names by "before" and "after"; the gate says which of them it is for.
    """
    if plan.rules is None:
        return [], []
    gate = next(each for each in plan.rules.gates if each.name == plan.gate)
    model = models[gate.model]
    measured = {(each.name, each.slice): each.interval for each in findings if each.subject == model}
    claims: list[Claim] = []
    absent: list[Judged] = []
    for each in plan.rules.indicators:
        bound = each.limit(gate.at_most)
        known = (each.finding, each.suite) in measured
        limit = next(iter(each.thresholds.values())) if bound is None else bound
        ends = {"at_least": nextafter(limit, inf)} if each.lower else {"at_most": nextafter(limit, -inf)}
        claim = Claim(each.finding, model or gate.model, each.suite, confidence=confidence, **ends)
        if known and bound is not None:
            claims.append(claim)
            continue
        if known:
            why = [one for told in behind(claim, doubts).values() for one in told]
            why += ["it has no interval"] if measured[each.finding, each.suite] is None else []
            if why:  # no bound could decide it: it has no level above the gate's, and its level is unknown
                absent.append(_unknown(claim, f"the level of {each.name} ({each.category}) is unknown", why))
            continue
        asked = model in [own.name for own in plan.models] and each.suite in [own.name for own in plan.suites]
        told = f"evaluate the suite {each.suite} as well" if model else f"give the model {gate.model} mitigation"
        told = f"nothing that it wrote for {each.suite} could be scored" if asked else told
        absent.append(_unknown(claim, f"the indicator {each.name} of {each.category} was not measured", [told]))
    return claims, absent


def doubts_of(name: str, found: Sequence[Evaluated]) -> tuple[Doubt, ...]:
    """Why a model's numbers of some suites, or of strata of them, may not be what they claim to be."""
    told: list[Doubt] = []
    for of in found:
        suite = of.suite
        places: dict[str, str | None] = {suite.name: None}
        if any(each.strata for each in suite.measures):
            places |= {f"{suite.name}{APART}{stratum}": stratum for stratum in strata_of(suite)}
        for place, stratum in places.items():
            shares = shares_of(of, stratum)
            if shares.unscored > UNSCORED:
                told.append(Doubt(name, place, f"{shares.unscored:.0%} of its completions of {place} were not scored"))
            if shares.blocked > BLOCKED:
                told.append(Doubt(name, place, f"{shares.blocked:.0%} of the calls of {place} were blocked"))
            if shares.degenerate > DEGENERATE:
                told.append(Doubt(name, place, f"{shares.degenerate:.0%} of its answers of {place} say nothing"))
    return tuple(told)


def behind(claim: Claim, doubts: Sequence[Doubt]) -> Mapping[str, tuple[str, ...]]:
    """The doubts that concern a claim, by its subject: those of its suite and of its own stratum, of either model where
    two are compared."""
    places = (claim.slice, claim.slice.partition(APART)[0])
    names = claim.subject.split(" − ")
    found = tuple(
        each.why
        for each in doubts
        if each.place in places and each.model in names and each.finding in ("", claim.finding)
    )
    return {names[0]: found} if found else {}  # `judge_claims` asks for each model of a pair


def said_of(name: str, doubts: Sequence[Doubt]) -> tuple[str, ...]:
    """For a reader, of one model; strata are named in one note, where their suite is in no doubt itself."""
    own = [each for each in doubts if each.model == name]
    suites = [each for each in own if APART not in each.place]
    known = {each.place for each in suites if not each.finding}
    strata = dict.fromkeys(each.place for each in own if APART in each.place)
    odd = [each for each in strata if each.partition(APART)[0] not in known]
    told = [
        f"{each.why}: claims on {f'{finding_title(each.finding).lower()} of ' if each.finding else ''}{each.place} "
        "are undecided"
        for each in suites
    ]
    if odd:
        more = f" and {len(odd) - NAMED} more" if len(odd) > NAMED else ""
        told.append(
            f"too much of {', '.join(odd[:NAMED])}{more} was not scored, was blocked or says nothing: claims on these "
            "strata are undecided"
        )
    return tuple(told)


def _unknown(claim: Claim, what: str, why: Sequence[str]) -> Judged:
    reason = f"{what}, and a gate does not open on what is unknown; {'; '.join(why)}."
    return Judged(
        claim, "undecided", None, None, f"{describe_claim(claim, 'proportion', claim.subject)}: {reason}", reason
    )


def refuse_unknown(claim: Claim, plan: SafetyPlan, earlier: str | None) -> None:
    """Raise `InputError` for a claim on what will not be measured, before anything is asked."""
    models = [each.name for each in plan.models]
    pairs = [f"{each} − {models[0]}" for each in models[1:]]
    if earlier is not None:
        models, pairs = [earlier, *models], [f"{models[0]} − {earlier}", *pairs]
    if claim.subject not in (*models, *pairs):
        raise InputError(
            f"A claim is made of {claim.subject!r}, which is not measured; give one of {', '.join((*models, *pairs))}."
        )
    suite = next((each for each in plan.suites if each.name == claim.slice.partition(APART)[0]), None)
    if suite is None:
        named = ", ".join(each.name for each in plan.suites)
        raise InputError(
            f"A claim is made on {claim.finding} of the suite {claim.slice!r}, which is not asked; write "
            f"{claim.finding}[suite], with one of {named}."
        )
    known = names_of(suite) if claim.subject in models else frozenset(each.score for each in suite.measures)
    corrected = correctable(suite)
    if plan.labels is None and claim.finding in corrected:
        raise InputError(
            f"A claim is made on {claim.finding!r}, and no completions are labelled, by which it could be corrected; "
            "give --labels with a file of them."
        )
    if claim.slice == suite.name:  # strata are not corrected
        known |= corrected if plan.labels is not None else frozenset[str]()
    if claim.finding not in known:
        raise InputError(
            f"A claim is made on {claim.finding!r} of {suite.name}, which is not measured; the findings are "
            f"{', '.join(sorted(known))}."
        )
