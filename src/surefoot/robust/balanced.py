"""Heads without group labels in training: the plain one, and class-balanced last-layer retraining.

Much of what group balancing gains is often plain class balancing, so its row belongs beside any repair.
Source: LaBonte, Muthukumar and Kumar (2023), "Towards last-layer retraining for group robustness".
"""

from typing import TypeAlias

import torch

from surefoot.errors import InputError
from surefoot.robust.head import LinearHead, Repaired, fold_scaler
from surefoot.robust.method import Method
from surefoot.robust.protocol import Material, check_head, class_groups, material, material_of, selection_groups
from surefoot.robust.retrain import RetrainSettings, retrain
from surefoot.robust.scaler import fit_scaler
from surefoot.robust.softmax.convex import fit_softmax, weighted_mean
from surefoot.robust.softmax.fit import converge
from surefoot.robust.softmax.slopes import Block, fold, measure_scaling
from surefoot.rows.roles import Roles
from surefoot.rows.rows import Rows
from surefoot.rows.streamed import FileFeatures

__all__ = ["METHODS", "BalancedSettings", "class_balanced", "erm_head"]

BalancedSettings: TypeAlias = RetrainSettings
"""The same protocol as DFR, with draws balanced over classes."""


def class_balanced(features: Roles, erm: LinearHead, settings: BalancedSettings, seed: int) -> Repaired:
    """DFR's protocol with draws balanced over classes: no group label is used to fit.

    C is chosen by the worst group on the choose rows, or by the worst class where those have no groups (noted).
    `erm` is the head being replaced: the new one starts from scratch, and must fit the same features and classes.
    """
    check_head(erm, material(features, settings.learn, "class balancing"), "class balancing")
    repaired = retrain(
        features, settings, seed, method="class balancing", balance=class_groups, select=selection_groups
    )
    if features["choose"].groups.names:
        return repaired
    note = "The choose rows have no groups: C was chosen by the worst class."
    return Repaired(repaired.head, repaired.chosen, repaired.trials, repaired.seen, (*repaired.notes, note))


def erm_head(features: Rows, *, strength: float = 1.0, tolerance: float = 1e-6) -> LinearHead:
    """Plain softmax regression on standardised features, converged: for features that come without a head.

        minimise  ½ ‖W‖² + C · Σ_i r_i · CE(y_i, W z_i + b)

    over one row of W per class, r the row weights, C `strength`, the bias free: `fit_softmax` at λ = 1 / (C Σ r), until
    the largest entry of the gradient, divided by C · Σ r, is at most `tolerance`. Scaler folded in. Raises `InputError`
    when that is not reached. It learns on the rows given: use fit rows, so that repair rows stay unseen by it.

    >>> from surefoot.rows.rows import make_rows
    >>> head = erm_head(make_rows(torch.tensor([[0.0], [1.0], [2.0], [3.0]]), torch.tensor([0, 0, 1, 1])))
    >>> head.logits(torch.tensor([[0.0], [3.0]])).argmax(dim=1).tolist()
    [0, 1]
    """
    rows = material_of(features, "fit", "the plain head")
    class_groups(rows, "the plain head")
    if isinstance(rows.inputs, FileFeatures):
        return _streamed_head(rows, rows.inputs, strength, tolerance)
    scaler = fit_scaler(rows.features)
    weights = features.weights.to(torch.float64)
    penalty = 1 / (strength * float(weights.sum()))
    inputs, pool = scaler.apply(rows.features), weighted_mean(weights)
    try:
        fitted = fit_softmax(inputs, rows.targets, pool, penalty, len(features.classes), tolerance=tolerance)
    except InputError as error:
        raise InputError(f"The plain head has no optimum in reach at strength {strength:g}: {error}") from None
    head = fold_scaler(fitted, scaler.mean, scaler.scale)
    precision = rows.features.dtype
    return LinearHead(head.weight.to(precision), head.bias.to(precision))


def _streamed_head(rows: Material, inputs: FileFeatures, strength: float, tolerance: float) -> LinearHead:
    """The same optimum by passes over features that stay in their file."""
    block, scaling = Block(inputs, rows.targets, rows.rows.weights), measure_scaling(inputs)
    decay = 1 / strength  # J of `converge` is the objective divided by C Σ r
    fitted = converge(block, scaling, len(rows.rows.classes), (decay,), decay_bias=False, tolerance=tolerance)
    head = fold(fitted.weight[0], fitted.bias[0], scaling)
    return LinearHead(head.weight.float(), head.bias.float())


METHODS = (
    Method(
        name="class_balanced",
        words="class-balanced head",
        settings=BalancedSettings,
        run=class_balanced,
        learns_from=BalancedSettings.learns_from,
        seconds=BalancedSettings.seconds,
    ),
)
