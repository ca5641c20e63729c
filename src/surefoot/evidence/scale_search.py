"""The scale t of draws θ* + t (w − θ*), searched on rows that then are not used again.

Draws of a Gauss–Newton posterior through a network with hidden layers are usually too far from the mode. Published
code divides their deviations by t until the accuracy of the averaged prediction stops to improve, and so comes close to
the mode: the approximation that is evaluated then is no longer the posterior's.

Source: the search is that of Lotfi et al. (2022), in their `logcml_*` scripts. They multiply the *standard deviation*
by t (which they call a temperature), draw anew for every t and see rows under random crops and flips; here every t has
the same draws, on plain rows.
"""

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.errors import InputError
from surefoot.evidence.row_likelihoods import Way, average_accuracy, average_losses, likelihoods_of
from surefoot.inference.chains.chains import Chains
from surefoot.networks.network import Parameters
from surefoot.rows.rows import Rows

__all__ = ["ScaleSearch", "Ties", "search_scale"]

Ties: TypeAlias = Literal["warmer", "colder"]
"""Which of two scales that are equally good is taken: the larger (as published), or the smaller."""


@dataclass(frozen=True)
class ScaleSearch:
    """How t is searched on a share of the later rows, which then are not used for the value.

    From `start`, t is divided by 10 after every strict improvement and by 5 after every other try; the search ends with
    the try after `failures` others that did not improve in a row (published: 2, and 3 for residual networks).

    by: "accuracy" of the averaged prediction (as published), or its "average_loss". ties: a tie is no improvement;
    under "colder" its t is taken all the same. seed: of the rows it is chosen on; families stay together.

    Raises `InputError` for numbers out of range.
    """

    share: float = 0.5
    start: float = 1.0
    failures: int = 2
    by: Literal["accuracy", "average_loss"] = "accuracy"
    ties: Ties = "warmer"
    seed: int = 0
    tries: int = 50

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise InputError(f"share is {self.share}; give a part of the later rows, between 0 and 1.")
        if not (math.isfinite(self.start) and self.start > 0):
            raise InputError(f"start is {self.start}; give a positive number of standard deviations.")
        if self.failures < 0 or self.tries < 1 or self.seed < 0:
            raise InputError(
                f"failures is {self.failures}, tries {self.tries} and seed {self.seed}; give none or more failures, at "
                "least one try and a seed that is not negative."
            )


def search_scale(
    posterior: Posterior, rows: Rows, chains: Chains, mode: Parameters | None, search: ScaleSearch, way: Way, batch: int
) -> float:
    if search.by == "accuracy" and posterior.likelihood is not categorical:
        raise InputError('The scale is to be searched by accuracy and there are no classes; give by="average_loss".')
    scale = taken = search.start
    best, failures = -math.inf, 0
    for _ in range(search.tries):
        if search.by == "accuracy":
            score = average_accuracy(posterior, rows, chains, mode, scale, way, batch)
        else:
            likelihoods = likelihoods_of(posterior, rows, chains, mode=mode, scale=scale, way=way, batch=batch)
            score = -float(average_losses(likelihoods).mean())
        if score > best:
            best, taken, failures = score, scale, 0
            scale /= 10
            continue
        if score == best and search.ties == "colder":
            taken = scale
        if failures == search.failures:
            break
        failures += 1
        scale /= 5
    return taken
