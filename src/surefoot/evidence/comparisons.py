"""What speaks against comparing evidences of candidates, and against the order that they come in."""

from collections.abc import Sequence

import torch

from surefoot.evidence.anatomy import TENFOLD
from surefoot.evidence.decided import FEWEST_SEEDS, SeedOrder, order_of_seeds
from surefoot.evidence.doubt import By, Doubt, Question
from surefoot.evidence.laplace.expansion import Structure
from surefoot.evidence.trials import Trial
from surefoot.findings.finding import Finding

__all__ = ["LARGE", "incomparable", "undecided"]

LARGE = 1000.0
"""Nats: a difference beyond which, with more parameters than rows, the approximation may be what differs."""


def incomparable(asked: Question) -> list[Doubt]:
    """Why numbers do not compare: other rows, other curvatures, other frozen tensors."""
    return [*_rows(asked), *_curvature(asked), *_frozen(asked)]


def undecided(asked: Question) -> list[Doubt]:
    """Why numbers that compare do not decide: seeds, priors, structures of the curvature, more parameters than rows."""
    order = order_of_seeds(torch.tensor(asked.values(), dtype=torch.float64), asked.confidence)
    return [*_seeds(asked, order), *_prior(asked), *_structures(asked), *_size(asked, order)]


def _rows(asked: Question) -> list[Doubt]:
    counts = {each.rows for each in asked.all()}
    by_seed = zip(*asked.trials.values(), strict=True)
    digests: list[set[str]] = []
    for of in by_seed:
        digests.append({each.origin.rows for each in of if each.origin is not None})
        if asked.by == "conditional":
            digests.append({each.held for each in of if each.held is not None})
    if len(counts) == 1 and all(len(each) <= 1 for each in digests):
        return []
    findings = tuple(asked.finding("rows", float(of[0].rows), "rows", name) for name, of in asked.trials.items())
    what = f"{min(counts):,} to {max(counts):,} rows" if len(counts) > 1 else "different rows or targets"
    sentence = (
        f"The candidates' evidences are of {what}, and probabilities of different data do not compare, whatever the "
        "models; give every candidate the same rows, with targets in the same units."
    )
    return [Doubt("rows", "refuse", findings, sentence)]


def _curvature(asked: Question) -> list[Doubt]:
    doubts: list[Doubt] = []
    for word, of in (
        ("structures", {each.structure for each in asked.all()}),
        ("kinds", {each.kind for each in asked.all() if each.kind is not None}),
        ("parts", {each.part for each in asked.all() if each.part is not None}),
    ):
        if len(of) > 1:
            sentence = (
                f"The candidates' curvatures have the {word} {' and '.join(sorted(of))}, whose evidences differ for "
                "one and the same network; expand every candidate with the same one."
            )
            doubts.append(Doubt("curvature", "refuse", (), sentence))
    return doubts


def _frozen(asked: Question) -> list[Doubt]:
    origins = [each.origin for each in asked.all() if each.origin is not None]
    if any(each.part == "head" and each.origin is None for each in asked.all()):
        sentence = (
            "The evidences are of last layers and what lies below them is not known, and across bodies that were "
            "learnt from these rows they do not compare; say what was frozen with origin_of."
        )
        return [Doubt("frozen", "warn", (), sentence)]
    bodies = {origin.frozen for origin in origins}
    if len(bodies) < 2 or not any(origin.frozen and not origin.apart for origin in origins):
        return []
    sentence = (
        "The candidates have different frozen tensors below what was expanded, and learning those from the same rows "
        'is not counted, so the evidence favours whichever learnt more; expand part="all", freeze one body for all, or '
        "compare validation losses (bodies learnt from other data may be compared: say apart=True)."
    )
    count = asked.finding("frozen_bodies", float(len(bodies)), "bodies", "all candidates")
    return [Doubt("frozen", "refuse", (count,), sentence)]


def _seeds(asked: Question, order: SeedOrder) -> list[Doubt]:
    if order.decided:
        return []
    names = list(asked.trials)
    best, rival = names[order.best], names[order.rival]
    gap = asked.finding("evidence_gap", order.gap, "nats", f"{best} − {rival}", interval=order.interval)
    seeds = len(asked.trials[best])
    if order.interval is None:
        behind = f"{seeds} training of each candidate stands" if seeds == 1 else f"{seeds} trainings of each stand"
        found = f"Only {behind} behind the {order.gap:,.1f} nats"
    else:
        found = f"One training scatters by {order.spread:,.1f} nats around the {order.gap:,.1f} nats"
    sentence = (
        f"{found} between {best} and {rival}, and each training sees one mode of many, so another may turn the order "
        f"round; train with more seeds ({FEWEST_SEEDS} at the least), or call it undecided."
    )
    return [Doubt("seeds", "warn", (gap,), sentence)]


def _prior(asked: Question) -> list[Doubt]:
    moved = {name: [_moved(each, asked.by) for each in of] for name, of in asked.trials.items()}
    known = {name: [each for each in of if each is not None] for name, of in moved.items()}
    if any(len(known[name]) < len(of) for name, of in moved.items()):
        return []
    what = "evidence" if asked.by == "evidence" else "conditional_evidence"
    looks = {
        f"{what}{end}": {name: _mean([each[place] for each in of]) for name, of in known.items()}
        for place, end in enumerate(("_at_a_tenth", "", "_at_ten_times"))
    }
    tenth, own, ten = (max(means, key=means.__getitem__) for means in looks.values())
    # Which prior of one network is first changes when all priors move, and says nothing against the network.
    if len({asked.trials[name][0].network or name for name in (tenth, own, ten)}) == 1:
        return []
    findings = tuple(
        asked.finding(look, means[name], "nats", name)
        for name in dict.fromkeys((own, tenth, ten))
        for look, means in looks.items()
    )
    others = "conditional evidences" if asked.by == "evidence" else "validation losses"
    sentence = (
        f"{own} is first at the prior precisions as they are, {tenth} with all of them {TENFOLD:g} times smaller and "
        f"{ten} with {TENFOLD:g} times larger ones (at the same modes), so the prior decides and not the rows; tune "
        f"each candidate's precision by evidence and train again, or compare {others}."
    )
    return [Doubt("prior", "warn", findings, sentence)]


def _moved(trial: Trial, by: By) -> tuple[float, float, float] | None:
    """The evidence with all precisions divided by ten, as they are, and times ten; None where its parts are not known.

    Of a conditional evidence, both of its evidences are moved.
    """
    if trial.anatomy is None:
        return None
    if by == "evidence":
        return trial.anatomy.lower, trial.evidence, trial.anatomy.higher
    if trial.known_anatomy is None or trial.conditional is None:
        return None
    lower, higher = (
        trial.conditional + (now - trial.anatomy.evidence) - (before - trial.known_anatomy.evidence)
        for now, before in (
            (trial.anatomy.lower, trial.known_anatomy.lower),
            (trial.anatomy.higher, trial.known_anatomy.higher),
        )
    )
    return lower, trial.conditional, higher


def _structures(asked: Question) -> list[Doubt]:
    if asked.by == "conditional":
        return []
    mean = {name: _mean([each.evidence for each in of]) for name, of in asked.trials.items()}
    first = max(mean, key=mean.__getitem__)
    against: dict[str, str] = {}
    findings: list[Finding] = []
    for structure in sorted(set[Structure].intersection(*(set(each.by_structure) for each in asked.all()))):
        other = {name: _mean([each.by_structure[structure] for each in of]) for name, of in asked.trials.items()}
        leads = max(other, key=other.__getitem__)
        if leads != first:
            against[structure] = leads
            findings += [asked.finding(f"evidence_{structure}", other[name], "nats", name) for name in (leads, first)]
    if not against:
        return []
    told = " and ".join(f"{leads} with {structure}" for structure, leads in against.items())
    sentence = (
        f"{first} is first with a curvature of structure {asked.all()[0].structure}, {told}, so the approximation "
        "decides and not the rows; take the richest structure that fits, and compare validation losses."
    )
    return [Doubt("structures", "warn", tuple(findings), sentence)]


def _size(asked: Question, order: SeedOrder) -> list[Doubt]:
    names = list(asked.trials)
    best, rival = names[order.best], names[order.rival]
    largest = max((each.parameters or 0 for name in (best, rival) for each in asked.trials[name]), default=0)
    if order.gap <= LARGE or largest <= asked.rows:
        return []
    gap = asked.finding("evidence_gap", order.gap, "nats", f"{best} − {rival}", interval=order.interval)
    size = asked.finding("parameters", float(largest), "parameters", f"{best} − {rival}")
    sentence = (
        f"{best} and {rival} differ by {order.gap:,.0f} nats with {largest:,} parameters and {asked.rows:,} rows, and "
        "a Laplace approximation can be wrong by as much; look at the validation losses, and at another structure "
        "of the curvature, before believing the size or the order."
    )
    return [Doubt("size", "warn", (gap, size), sentence)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
