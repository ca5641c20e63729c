"""How near predictions are to those of a reference posterior, such as long Hamiltonian Monte Carlo.

    agreement        = mean over rows of 1[argmax p = argmax p_ref]
    total variation  = mean over rows of ½ Σ_k |p_k − p_ref,k|
    Wasserstein-1    = mean over rows of ∫ |F(y) − F_ref(y)| dy, F the distribution function of a row's predicted values

The last is for regression, from draws of the predictive distribution. The contest that made these metrics known called
it W₂ and computed W₁; here it is named for what it is. Intervals are for rows drawn cluster by cluster, with the
reference held fixed: that it was itself sampled is not in them.

Sources: Izmailov, Vikram, Hoffman & Wilson (2021), ICML, §7 (agreement, total variation); Wilson, Izmailov, Hoffman et
al. (2022), PMLR 176, "Evaluating approximate inference in Bayesian deep learning".
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from surefoot.errors import InputError
from surefoot.findings.clustering import cluster_design, fewest_clusters, influence, spread
from surefoot.findings.finding import Finding
from surefoot.findings.intervals import check_confidence, mean_interval, proportion_interval
from surefoot.findings.predictions import ROUNDING, Predictions
from surefoot.findings.slices import slices_of, to_finding

__all__ = ["Agreement", "agreement", "wasserstein", "wasserstein_distances"]


class Agreement(NamedTuple):
    """How often the most probable class is the reference's, and how far apart the probabilities are."""

    agreement: Finding
    total_variation: Finding


def agreement(
    predictions: Predictions,
    reference: Float[Tensor, "_ _"],
    *,
    subject: str,
    source: str,
    confidence: float = 0.95,
) -> Agreement:
    """Agreement (higher is better) and total variation (lower, 0 to 1) with the `reference` probabilities.

    Of equally probable classes the first counts, on both sides. With several seeds each is compared by itself.
    Raises `InputError` for no rows, a reference of another shape, and one that holds no probabilities.
    """
    check_confidence(confidence)
    slices = slices_of(predictions)
    theirs = _checked(reference, predictions).double()
    ours = predictions.probabilities.double()
    same = (ours.argmax(dim=2) == theirs.argmax(dim=1)).double().numpy()
    apart = ((ours - theirs).abs().sum(dim=2) / 2).numpy()
    agreeing = spread(slices.design, [(1.0, influence(slices.design, slices.everything, same))])
    varying = spread(slices.design, [(1.0, influence(slices.design, slices.everything, apart))])
    return Agreement(
        to_finding(
            slices,
            slices.everything,
            name="agreement",
            slice_="all",
            per_seed=agreeing.per_seed,
            interval=proportion_interval(agreeing, confidence),
            direction="higher",
            subject=subject,
            source=source,
        ),
        to_finding(
            slices,
            slices.everything,
            name="total_variation",
            slice_="all",
            per_seed=varying.per_seed,
            interval=mean_interval(varying, confidence, low=0.0, high=1.0),
            direction="lower",
            subject=subject,
            source=source,
        ),
    )


def wasserstein_distances(
    values: Float[Tensor, "draws rows"], reference: Float[Tensor, "others _"]
) -> Float64[Tensor, "rows"]:
    """Wasserstein-1 between the draws of each row's value and the reference's, in the unit of the values.

    ∫ |F − F_ref| of the two empirical distributions, exact for any numbers of draws; with as many on both sides it is
    the mean distance of the sorted draws.

    Raises `InputError` for no draws, other rows, and values that are NaN or infinite.

    >>> wasserstein_distances(torch.tensor([[0.0], [1.0]]), torch.tensor([[5.0], [3.0]])).tolist()
    [3.5]
    """
    if values.shape[1] != reference.shape[1] or not len(values) or not len(reference):
        raise InputError(
            f"There are {list(values.shape)} [draws, rows] of values and {list(reference.shape)} of the reference; "
            "give at least one draw of each, for the same rows."
        )
    if not bool(values.isfinite().all() and reference.isfinite().all()):
        raise InputError("Some draws of the values or of the reference are NaN or infinite; leave out those draws.")
    ours, theirs = (each.double().T.sort(dim=1).values.contiguous() for each in (values, reference))
    if ours.shape == theirs.shape:
        return (ours - theirs).abs().mean(dim=1)
    steps = torch.cat([ours, theirs], dim=1).sort(dim=1).values
    widths, places = steps.diff(dim=1), steps[:, :-1].contiguous()
    heights = [torch.searchsorted(each, places, right=True).double() / each.shape[1] for each in (ours, theirs)]
    return ((heights[0] - heights[1]).abs() * widths).sum(dim=1)


def wasserstein(
    values: Float[Tensor, "draws rows"],
    reference: Float[Tensor, "others _"],
    *,
    unit: str,
    subject: str,
    source: str,
    clusters: Int[Tensor, "_ ways"] | None = None,
    confidence: float = 0.95,
) -> Finding:
    """The mean over rows of `wasserstein_distances`, lower is better; unit: that of the values.

    clusters: which rows hang together; every row stands alone without them. Raises `InputError` like
    `wasserstein_distances`, for no rows, and for clusters of other rows.
    """
    check_confidence(confidence)
    distances = wasserstein_distances(values, reference)
    rows = len(distances)
    numbers = torch.arange(rows)[:, None] if clusters is None else clusters
    if not rows or len(numbers) != rows:
        raise InputError(f"There are values for {rows} rows and clusters for {len(numbers)}; give one for every row.")
    design = cluster_design(numbers.numpy())
    everything = np.ones(rows, dtype=np.bool_)
    of = spread(design, [(1.0, influence(design, everything, distances[None].numpy()))])
    return Finding(
        name="wasserstein_1",
        value=of.value,
        interval=mean_interval(of, confidence, low=0.0, high=math.inf),
        count=rows,
        clusters=fewest_clusters(design, everything),
        unit=unit,
        slice="all",
        direction="lower",
        subject=subject,
        source=source,
    )


def _checked(reference: Tensor, predictions: Predictions) -> Tensor:
    if reference.shape != predictions.probabilities.shape[1:]:
        raise InputError(
            f"The reference has shape {list(reference.shape)} and the predictions have "
            f"{list(predictions.probabilities.shape)} [seeds, rows, classes]; give the "
            "reference's probabilities for the same rows and classes."
        )
    off = ~reference.isfinite() | (reference < 0)
    off = off.any(dim=1) | ((reference.double().sum(dim=1) - 1).abs() > ROUNDING)
    if bool(off.any()):
        first = predictions.ids[int(off.nonzero()[0])]
        raise InputError(
            f"The reference has {int(off.sum())} rows that are NaN, negative or do not sum to one (first: {first}); "
            "give its probabilities."
        )
    return reference
