"""Penalised heads of two and more classes, from the fits of the sparse solver.

Liblinear's semantics unless asked otherwise (`surefoot.robust.sparse.solve`). Two classes give logits ∓½(wᵀz + b), so
that their softmax is the sigmoid of the fit. More than two are fitted one against the rest; the logits are those of the
K fits, whose argmax is the one-versus-rest decision, and the head's softmax over them replaces the usual normalised
sigmoids. Or they are fitted as one softmax (`surefoot.robust.sparse.multinomial`), whose logits they are.
"""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from surefoot.robust.head import LinearHead
from surefoot.robust.scaler import Scaler
from surefoot.robust.sparse.multinomial import sparse_multinomial
from surefoot.robust.sparse.solve import Intercept, sparse_logistic

__all__ = ["fit_heads"]


def fit_heads(
    features: Float[Tensor, "rows features"],
    targets: Int[Tensor, "rows"],
    weights: Float[Tensor, "heads rows"],
    strengths: Float[Tensor, "heads"],
    classes: int,
    *,
    scaler: Scaler | None = None,
    multiclass: Literal["one_versus_rest", "multinomial"] = "one_versus_rest",
    intercept: Intercept = "penalised",
    l1_ratio: float = 1.0,
    start: LinearHead | None = None,
) -> list[LinearHead]:
    """One head on standardised features per row of `weights`, all in one call; see the module's text for K > 2.

    start: a head near which they are expected, as this function returned it; it changes the time alone.
    """
    heads = len(weights)
    mean, scale = (None, None) if scaler is None else (scaler.mean, scaler.divisor)
    if classes > 2 and multiclass == "multinomial":
        joint = sparse_multinomial(
            features, targets, weights, strengths, classes,
            l1_ratio=l1_ratio, intercept=intercept, mean=mean, scale=scale,
        )  # fmt: skip
        return [LinearHead(weight, bias) for weight, bias in zip(joint.weight, joint.bias, strict=True)]
    each = 1 if classes == 2 else classes
    labels = torch.ones(1, dtype=torch.int64) if classes == 2 else torch.arange(classes)
    begin = None
    if start is not None:
        begin = torch.cat([start.weight, start.bias[:, None]], dim=1)
        begin = (begin if classes > 2 else begin[1:] - begin[:1]).repeat(heads, 1)
    fits = sparse_logistic(
        features,
        (targets == labels[:, None]).repeat(heads, 1),
        weights.repeat_interleave(each, dim=0),
        strengths.repeat_interleave(each),
        l1_ratio=l1_ratio, intercept=intercept, mean=mean, scale=scale, start=begin,
    )  # fmt: skip
    if classes == 2:
        pairs = torch.tensor([-0.5, 0.5], dtype=torch.float64)
        return [
            LinearHead(pairs[:, None] * weight, pairs * bias)
            for weight, bias in zip(fits.weight, fits.bias, strict=True)
        ]
    by_head = zip(fits.weight.split(classes), fits.bias.split(classes), strict=True)
    return [LinearHead(weight, bias) for weight, bias in by_head]
