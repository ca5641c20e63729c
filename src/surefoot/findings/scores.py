"""What one prediction scores on one row: right or wrong, negative log-likelihood, Brier score."""

from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from surefoot.findings.predictions import Predictions

__all__ = ["BRIER_UNIT", "LogLoss", "brier_scores", "log_losses"]

Reals: TypeAlias = NDArray[np.float64]

BRIER_UNIT = "score"
CARRIED = 0.2
"""A single row that holds more of the sum of losses than this is told of."""


class LogLoss(NamedTuple):
    """Losses in nats `[seeds, rows]`. note: how many probabilities of zero were replaced, and by what; or "".

    carried: what part of the sum the row with the largest loss holds, seeds together.
    """

    losses: Reals
    note: str
    carried: float

    def about_rare(self) -> str:
        """What a reader must know where one row carries much of the loss; or "".

        Losses in nats have no upper end, so nothing bounds what rows too rare to be here would add.
        """
        if self.carried <= CARRIED:
            return ""
        return f"one row holds {self.carried:.0%} of the sum, and what rarer rows would add is unknown"


def log_losses(predictions: Predictions) -> LogLoss:
    """−ln p(target) of every seed and row, in nats and double precision.

    A probability of exactly zero has no finite loss. It counts as the smallest positive number of the type in which
    the probabilities were given (1.4e-45 in single, 4.9e-324 in double precision: 103.3 and 744.4 nats), the least that
    could have been told apart from zero, and `note` says how many were replaced.
    """
    kept = predictions.probabilities
    of_target = kept.gather(2, predictions.targets.long().expand(len(kept), -1)[:, :, None]).squeeze(2)
    zeros = int((of_target == 0).sum())
    least = {torch.float64: 4.9406564584124654e-324, torch.float32: 2.0**-149, torch.float16: 2.0**-24}.get(
        kept.dtype, torch.finfo(kept.dtype).tiny
    )
    chance = of_target.double().numpy()
    losses = -np.log(np.where(chance == 0, least, chance))
    by_row = losses.sum(axis=0)
    carried = float(by_row.max() / total) if len(by_row) and (total := float(by_row.sum())) > 0 else 0.0
    return LogLoss(losses, f"{zeros} probabilities of zero counted as {least:.1e}" if zeros else "", carried)


def brier_scores(predictions: Predictions) -> Reals:
    """Σ over classes of (probability − 1[class is the target])², between 0 and 2, of every seed and row.

    Source: Brier (1950), Monthly Weather Review 78, 1–3.
    """
    chances = predictions.probabilities.double()
    truth = torch.nn.functional.one_hot(predictions.targets.long(), chances.shape[2])
    return ((chances - truth) ** 2).sum(dim=2).numpy()
