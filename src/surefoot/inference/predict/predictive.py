"""What many draws say together about class probabilities, and the running sums that it is made of.

With p_s the probabilities of draw s of S, all of equal weight:

    p̄ = (1/S) Σ_s p_s                       the prediction (its logarithm is what is summed, by log-sum-exp in float64)
    H[p̄] = −Σ_k p̄_k ln p̄_k                  predictive entropy: all uncertainty
    (1/S) Σ_s H[p_s]                        expected entropy: what is left if the parameters were known
    H[p̄] − (1/S) Σ_s H[p_s] ≥ 0             mutual information of label and parameters: where draws disagree
    −ln p̄_y                                 the averaged prediction's NLL (`model_average_nll`)
    −(1/S) Σ_s ln p_s,y  ≥  −ln p̄_y         a single draw's, on average (`gibbs_nll`), by Jensen's inequality

The two losses are different quantities and published tables mix them up; so neither is called "nll" alone.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int
from torch import Tensor

from surefoot.errors import InputError

__all__ = ["Categorical", "Predictive", "Tally", "add_outputs", "empty_tally", "predictive_of"]


@dataclass(frozen=True)
class Categorical:
    """How outputs are read as class probabilities: softmax(z / T).

    logit_temperature: T, that of the posterior that was sampled; another one reads another model than was learned.
    Posterior and likelihood temperatures do not appear here, as they change the draws and not what a draw says.

    Raises `InputError` for a temperature that is not a positive number.

    >>> Categorical(logit_temperature=0.5).logits(torch.tensor([[1.0, 0.0]])).tolist()
    [[2.0, 0.0]]
    """

    logit_temperature: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.logit_temperature) and self.logit_temperature > 0):
            raise InputError(f"logit_temperature is {self.logit_temperature}; give the posterior's, a positive number.")

    def logits(self, outputs: Tensor) -> Float64[Tensor, "rows classes"]:
        """z / T in float64."""
        return outputs.double() / self.logit_temperature


@dataclass(frozen=True)
class Predictive:
    """The averaged prediction of `draws` draws for rows in order; entropies and losses in nats.

    log_probabilities: ln p̄. mean_logs: (1/S) Σ ln p_s. votes: the share of draws whose most probable class (of equal
    ones the first) is this. expected_entropy: (1/S) Σ H[p_s].
    """

    log_probabilities: Float64[Tensor, "rows classes"]
    mean_logs: Float64[Tensor, "rows classes"]
    votes: Float64[Tensor, "rows classes"]
    expected_entropy: Float64[Tensor, "rows"]
    draws: int

    @property
    def probabilities(self) -> Float64[Tensor, "rows classes"]:
        """p̄; sums to one but for rounding."""
        return self.log_probabilities.exp()

    @property
    def entropy(self) -> Float64[Tensor, "rows"]:
        """H[p̄]."""
        return _entropy(self.log_probabilities)

    @property
    def mutual_information(self) -> Float64[Tensor, "rows"]:
        """H[p̄] − E H[p]; never negative but for rounding (10⁻¹⁵), which is set to zero."""
        return (self.entropy - self.expected_entropy).clamp(min=0.0)

    def model_average_nll(self, targets: Int[Tensor, "rows"]) -> Float64[Tensor, "rows"]:
        """−ln p̄ of each row's target: the loss of the averaged prediction. Finite where p̄ itself underflows."""
        return -_at(self.log_probabilities, targets)

    def gibbs_nll(self, targets: Int[Tensor, "rows"]) -> Float64[Tensor, "rows"]:
        """The mean over draws of −ln p_s of each row's target: the loss of one draw taken at random."""
        return -_at(self.mean_logs, targets)


@dataclass(frozen=True)
class Tally:
    """Running sums over draws, changed in place: ln Σ p, Σ ln p, votes, Σ H[p]."""

    log_sum: Float64[Tensor, "rows classes"]
    sum_logs: Float64[Tensor, "rows classes"]
    votes: Float64[Tensor, "rows classes"]
    entropies: Float64[Tensor, "rows"]

    def tensors(self) -> dict[str, Tensor]:
        return {
            "log_sum": self.log_sum,
            "sum_logs": self.sum_logs,
            "votes": self.votes,
            "entropies": self.entropies,
        }


def empty_tally(rows: int, classes: int) -> Tally:
    """No draw yet."""
    zeros = torch.zeros(rows, classes, dtype=torch.float64)
    return Tally(torch.full_like(zeros, -torch.inf), zeros.clone(), zeros.clone(), zeros.new_zeros(rows))


def add_outputs(tally: Tally, rows: slice, outputs: Tensor) -> Float64[Tensor, "batch classes"]:
    """Add one draw's logits for some rows; returns their log probabilities in float64."""
    logs = outputs.double().log_softmax(dim=1)
    sums = tally.log_sum[rows]
    torch.logaddexp(sums, logs, out=sums)
    tally.sum_logs[rows] += logs
    tally.votes[rows].scatter_add_(1, logs.argmax(dim=1, keepdim=True), torch.ones_like(logs[:, :1]))
    tally.entropies[rows] += _entropy(logs)
    return logs


def predictive_of(tally: Tally, draws: int) -> Predictive:
    """The averages of what was added."""
    log_mean = tally.log_sum - torch.tensor(float(draws), dtype=torch.float64).log()
    return Predictive(log_mean, tally.sum_logs / draws, tally.votes / draws, tally.entropies / draws, draws)


def _entropy(logs: Tensor) -> Tensor:
    # p ln p is 0 where p is; a log probability of −1,000 has p = 0 and would do, one of −∞ would not.
    return -torch.where(logs.isneginf(), 0.0, logs.exp() * logs).sum(dim=1)


def _at(values: Tensor, targets: Tensor) -> Tensor:
    rows, classes = values.shape
    if len(targets) != rows:
        raise InputError(f"There are predictions for {rows} rows and {len(targets)} targets; give one per row.")
    if rows and not 0 <= int(targets.min()) <= int(targets.max()) < classes:
        raise InputError(
            f"The targets reach from {int(targets.min())} to {int(targets.max())} and the predictions have {classes} "
            "classes; number the classes from 0."
        )
    return values.gather(1, targets.long()[:, None]).squeeze(1)
