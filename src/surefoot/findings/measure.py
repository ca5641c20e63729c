"""Measure one model: every number of a card, each with an interval that counts clusters and seeds."""

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from surefoot.findings.calibration import calibration_error, calibration_interval
from surefoot.findings.clustering import influence, spread
from surefoot.findings.finding import Finding
from surefoot.findings.intervals import (
    check_confidence,
    mean_interval,
    minimum_interval,
    proportion_interval,
    spread_interval,
)
from surefoot.findings.predictions import Predictions
from surefoot.findings.scores import BRIER_UNIT, brier_scores, log_losses
from surefoot.findings.slices import Slices, group_weights, slices_of, to_finding, with_note

__all__ = ["measure"]


def measure(
    predictions: Predictions,
    *,
    subject: str,
    source: str,
    proportions: Mapping[str, float] | None = None,
    confidence: float = 0.95,
) -> tuple[Finding, ...]:
    """Everything a card says about one model on one set of rows.

    - `accuracy` on "all" rows (the raw mean) and on each group that has rows.
    - `worst_group_accuracy`: min over groups of the accuracy expected over seeds. If some groups have no row, it speaks
      of the others only, and its slice says so ("all groups but …"): a claim about "all" then finds nothing.
    - `weighted_accuracy` Σ_g π_g · accuracy_g, where `proportions` (π, from the training rows) are given.
    - `nll` (nats), `brier` (0 to 2), `calibration_error` (15 bins of equal width), `calibration_error_equal_mass`,
      unless the predictions are decisions alone.
    - `accuracy_seed_sd`, `worst_group_accuracy_seed_sd`: how far single seeds lie apart (with two seeds or more), the
      luck of single rows included.

    Every other interval is for the expectation over training seeds and over rows drawn cluster by cluster; `count` are
    the rows (of the worst group: its own), `clusters` the fewest independent clusters over the ways in which they hang
    together. Seeds and rows are crossed: every seed predicts every row.
    Raises `InputError` for no rows, for proportions that do not fit the groups, and a confidence outside (0, 1).

    Source of the weighted mean: Sagawa et al. (2020), ICLR; WILDS calls it adj_acc_avg.
    """
    check_confidence(confidence)
    slices = slices_of(predictions)
    weights = {} if proportions is None else group_weights(predictions, proportions)
    design, everything = slices.design, slices.everything
    finding = partial(to_finding, slices, subject=subject, source=source)
    correct = predictions.correct().numpy()

    overall = spread(design, [(1.0, influence(design, everything, correct))])
    influences = {name: influence(design, rows, correct) for name, rows in slices.groups.items()}
    groups = {name: spread(design, [(1.0, each)]) for name, each in influences.items()}
    higher = partial(finding, direction="higher")
    findings = [
        higher(
            slices.groups.get(name, everything),
            name="accuracy",
            slice_=name,
            per_seed=of.per_seed,
            interval=proportion_interval(of, confidence),
        )
        for name, of in {"all": overall, **groups}.items()
    ]
    seeds = {"accuracy": (overall.per_seed, everything, "all")}
    if groups:
        worst = min(groups, key=lambda name: groups[name].value)
        parts = [partial(proportion_interval, each, exact=True) for each in groups.values()]
        each_worst = np.min([each.per_seed for each in groups.values()], axis=0)
        seeds["worst_group_accuracy"] = (each_worst, slices.groups[worst], slices.worst)
        findings.append(
            higher(
                slices.groups[worst],
                name="worst_group_accuracy",
                slice_=slices.worst,
                value=groups[worst].value,
                per_seed=each_worst,
                interval=minimum_interval(parts, confidence),
            )
        )
    if weights:
        mixed = spread(design, [(weight, influences[name]) for name, weight in weights.items()])
        interval = proportion_interval(mixed, confidence)
        findings.append(
            higher(everything, name="weighted_accuracy", slice_="all", per_seed=mixed.per_seed, interval=interval)
        )

    if not predictions.decisions:
        findings.extend(_of_probabilities(predictions, slices, subject, source, confidence))

    if len(correct) > 1:
        for name, (values, rows, where) in seeds.items():
            deviation = float(values.std(ddof=1))
            found = finding(
                rows,
                name=f"{name}_seed_sd",
                slice_=where,
                value=deviation,
                per_seed=values,
                interval=spread_interval(values.tolist(), confidence),
                direction="lower",
            )
            findings.append(replace(found, per_seed=()))
    return tuple(findings)


def _of_probabilities(
    predictions: Predictions, slices: Slices, subject: str, source: str, confidence: float
) -> list[Finding]:
    """Losses and calibration: what needs more than the most probable class."""
    design, everything = slices.design, slices.everything
    lower = partial(to_finding, slices, everything, subject=subject, source=source, slice_="all", direction="lower")
    findings: list[Finding] = []
    loss = log_losses(predictions)
    for name, values, unit, most in (
        ("nll", loss.losses, "nats", math.inf),
        ("brier", brier_scores(predictions), BRIER_UNIT, 2.0),
    ):
        of = spread(design, [(1.0, influence(design, everything, values))])
        interval = mean_interval(of, confidence, low=0.0, high=most)
        findings.append(lower(name=name, per_seed=of.per_seed, interval=interval, unit=unit))
        told = [each for each in (loss.about_rare() if interval is not None else "", loss.note) if each]
        if name == "nll" and told:
            findings[-1] = with_note(findings[-1], "; ".join(told))
    for name, equal_mass in (("calibration_error", False), ("calibration_error_equal_mass", True)):
        error = calibration_error(predictions, design, equal_mass=equal_mass)
        interval = calibration_interval(error, confidence)
        findings.append(lower(name=name, per_seed=error.spread.per_seed, interval=interval))
    return findings
