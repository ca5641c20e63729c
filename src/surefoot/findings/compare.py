"""Compare two models on the same rows, seed by seed: after − before, paired.

Rows that both models get right or wrong cancel, so a paired difference is far surer than the difference of two
intervals. Differences of means (accuracies, losses) are means of per-row differences. The worst group and the
calibration error are not means; their intervals rest on the proofs in `differences` and `calibration` and need no
bootstrap, which fails where groups tie and where a calibration error is near zero, and would depend on a seed.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from surefoot.errors import InputError
from surefoot.findings.calibration import calibration_difference_interval, calibration_error
from surefoot.findings.clustering import Design, Influence, Spread, influence, spread
from surefoot.findings.differences import change_interval, minimum_difference_interval
from surefoot.findings.finding import Finding, Interval
from surefoot.findings.intervals import check_confidence, mean_interval, minimum_interval, proportion_interval
from surefoot.findings.predictions import Predictions
from surefoot.findings.scores import BRIER_UNIT, brier_scores, log_losses
from surefoot.findings.slices import Reals, group_weights, slices_of, to_finding, with_note

__all__ = ["compare"]


def compare(
    before: Predictions,
    after: Predictions,
    *,
    before_name: str,
    after_name: str,
    source: str,
    proportions: Mapping[str, float] | None = None,
    confidence: float = 0.95,
) -> tuple[Finding, ...]:
    """Paired differences after − before of everything that `measure` finds, under the same names and slices.

    The subject is "after_name − before_name"; seeds are paired by their index. Raises `InputError` when the two sets
    of predictions differ in rows (ids, their order, targets, groups, clusters), classes or number of seeds.
    """
    check_confidence(confidence)
    _same_rows(before, after, before_name, after_name)
    slices = slices_of(before)
    weights = {} if proportions is None else group_weights(before, proportions)
    design, everything = slices.design, slices.everything
    finding = partial(to_finding, slices, subject=f"{after_name} − {before_name}", source=source)
    right_before, right_after = before.correct().numpy(), after.correct().numpy()
    gained, lost = right_after * (1 - right_before), right_before * (1 - right_after)

    higher = partial(finding, direction="higher")
    changes = {
        name: (influence(design, rows, gained), influence(design, rows, lost))
        for name, rows in {"all": everything, **slices.groups}.items()
    }
    findings: list[Finding] = []
    for name, change in changes.items():
        of, interval = _change(design, [(1.0, change)], confidence)
        rows = slices.groups.get(name, everything)
        findings.append(higher(rows, name="accuracy", slice_=name, per_seed=of.per_seed, interval=interval))
    if slices.groups:
        of_before = _worst_first({name: influence(design, rows, right_before) for name, rows in slices.groups.items()})
        of_after = _worst_first({name: influence(design, rows, right_after) for name, rows in slices.groups.items()})

        alone = [{name: spread(design, [(1.0, each)]) for name, each in side} for side in (of_after, of_before)]

        def pair(g: int, h: int, confidence: float) -> Interval:
            (name, one), (other, two) = of_after[g], of_before[h]
            if name == other:
                return _change(design, [(1.0, changes[name])], confidence)[1]
            of = spread(design, [(1.0, one), (-1.0, two)])
            return change_interval(of, alone[0][name], alone[1][other], confidence, paired=False)

        findings.append(
            higher(
                slices.groups[of_after[0][0]],
                name="worst_group_accuracy",
                slice_=slices.worst,
                value=of_after[0][1].means.mean() - of_before[0][1].means.mean(),
                per_seed=_lowest(of_after) - _lowest(of_before),
                interval=_worst_change(pair, list(alone[0].values()), list(alone[1].values()), confidence),
            )
        )
    if weights:
        of, interval = _change(design, [(weight, changes[name]) for name, weight in weights.items()], confidence)
        findings.append(
            higher(everything, name="weighted_accuracy", slice_="all", per_seed=of.per_seed, interval=interval)
        )

    lower = partial(finding, everything, slice_="all", direction="lower")
    losses = log_losses(before), log_losses(after)
    for name, values, unit, most in (
        ("nll", losses[1].losses - losses[0].losses, "nats", np.inf),
        ("brier", brier_scores(after) - brier_scores(before), BRIER_UNIT, 2.0),
    ):
        of = spread(design, [(1.0, influence(design, everything, values))])
        interval = mean_interval(of, confidence, low=-most, high=most)
        findings.append(lower(name=name, per_seed=of.per_seed, interval=interval, unit=unit))
        notes = [f"{side}: {loss.note}" for side, loss in zip(("before", "after"), losses, strict=True) if loss.note]
        if name == "nll" and notes:
            findings[-1] = with_note(findings[-1], "; ".join(notes))
    for name, equal_mass in (("calibration_error", False), ("calibration_error_equal_mass", True)):
        one = calibration_error(before, design, equal_mass=equal_mass)
        two = calibration_error(after, design, equal_mass=equal_mass)
        interval = calibration_difference_interval(one, two, design, confidence)
        findings.append(lower(name=name, per_seed=two.spread.per_seed - one.spread.per_seed, interval=interval))
    return tuple(findings)


PAIRED = 0.8
"""The share of the error that the pairs of groups may spend; the two worst groups by themselves have the rest."""


def _worst_change(
    pair: Callable[[int, int, float], Interval], after: Sequence[Spread], before: Sequence[Spread], confidence: float
) -> Interval:
    """The interval by pairs of groups, cut to what the two worst groups can be by themselves.

    Pairs follow the rows from before to after, but of small groups they know little; a worst group of 0 % cannot lose.
    Each part fails with its share of the error at most, so that together they cover as stated.
    """
    error = 1 - confidence
    paired = minimum_difference_interval(pair, len(after), 1 - PAIRED * error)
    rest = 1 - (1 - PAIRED) / 2 * error
    new, old = (
        minimum_interval([partial(proportion_interval, each, exact=True) for each in side], rest)
        for side in (after, before)
    )
    low, high = max(paired.low, new.low - old.high), min(paired.high, new.high - old.low)
    return Interval(low, high, confidence, f"{paired.method}; within what each worst group can be")


def _change(
    design: Design, terms: Sequence[tuple[float, tuple[Influence, Influence]]], confidence: float
) -> tuple[Spread, Interval]:
    """A weighted sum of changes, each of rows gained and rows lost, and its interval."""
    plus = [(weight, gained) for weight, (gained, _) in terms]
    minus = [(weight, lost) for weight, (_, lost) in terms]
    of = spread(design, [*plus, *((-weight, lost) for weight, lost in minus)])
    return of, change_interval(of, spread(design, plus), spread(design, minus), confidence)


def _worst_first(groups: Mapping[str, Influence]) -> list[tuple[str, Influence]]:
    return sorted(groups.items(), key=lambda item: float(item[1].means.mean()))


def _lowest(groups: Sequence[tuple[str, Influence]]) -> Reals:
    """Each seed's own worst group."""
    return np.min([each.means for _, each in groups], axis=0)


def _same_rows(before: Predictions, after: Predictions, before_name: str, after_name: str) -> None:
    pair = f'"{before_name}" and "{after_name}"'
    if len(before.ids) != len(after.ids):
        raise InputError(
            f"{pair} speak of {len(before.ids)} and {len(after.ids)} rows; a paired comparison needs the same rows."
        )
    if (before.ids != after.ids).any():
        at = int(np.flatnonzero(before.ids != after.ids)[0])
        raise InputError(
            f"{pair} speak of different rows (row {at} is {before.ids[at]} and {after.ids[at]}); "
            "a paired comparison needs the same rows in the same order."
        )
    if before.classes != after.classes:
        raise InputError(f"{pair} have the classes {before.classes} and {after.classes}; compare models of one task.")
    same = {
        "targets": before.targets.equal(after.targets),
        "groups": before.groups.names == after.groups.names and before.groups.members.equal(after.groups.members),
        "clusters": before.clusters.equal(after.clusters),
    }
    for name, agrees in same.items():
        if not agrees:
            raise InputError(f"{pair} have different {name} for the same rows; a paired comparison needs one truth.")
    seeds = len(before.probabilities), len(after.probabilities)
    if seeds[0] != seeds[1]:
        raise InputError(
            f"{pair} have {seeds[0]} and {seeds[1]} training seeds; a paired comparison needs the same seeds."
        )
