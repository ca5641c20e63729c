"""Objectives, and posteriors: the objectives that are log densities.

    objective(θ | rows) = pool(score(network(θ, x), y), weights)  +  regulariser(θ)

An `Objective` is any such scalar; larger is better. A `Posterior` is the strict special case that is a log
density: a likelihood in nats, summed over rows, plus a log prior, with named temperatures. It has no pool to
choose, so a mean or a worst group cannot become one, and it owns the scaling of minibatches. Samplers and
evidence take a `Posterior`; `ascend` takes either.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from jaxtyping import Float
from torch import Tensor

from surefoot.density.batch import Batch, whole
from surefoot.density.pools import Pool, total
from surefoot.density.priors import Prior
from surefoot.errors import InputError
from surefoot.networks.network import Network, Parameters, forward
from surefoot.rows.rows import Rows

__all__ = ["Objective", "Posterior", "Regulariser", "Score", "trainable"]

Score: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""(outputs, targets) → one number per row, larger is better; a likelihood gives log probabilities in nats."""

Regulariser: TypeAlias = Callable[[Parameters], Tensor]
"""Trainable parameters → a scalar that is added; a prior's bound `log_density` is one."""


@dataclass(frozen=True)
class Objective:
    """pool(score(network(θ, x), y), weights) + regulariser(θ), taken batch by batch as it stands.

    Nothing rescales an objective: with the pool `total`, the share of the regulariser depends on the batch.
    Use a `Posterior` when the sum over all rows is meant.
    """

    network: Network
    score: Score
    pool: Pool
    regulariser: Regulariser | None = None

    def value(self, parameters: Parameters, batch: Batch) -> Float[Tensor, ""]:
        """The objective of one batch."""
        return self.value_of(forward(self.network, parameters, batch.inputs), parameters, batch)

    def value_of(self, outputs: Tensor, parameters: Parameters, batch: Batch) -> Float[Tensor, ""]:
        """The same from outputs that are already computed; the batch's inputs are not read."""
        pooled = self.pool(self.score(outputs, batch.targets), batch.weights, batch.members)
        if self.regulariser is None:
            return pooled
        return pooled + self.regulariser(trainable(self.network, parameters))


@dataclass(frozen=True)
class Posterior:
    """log density(θ) = [ Σ_i w_i log p(y_i | z_i / T_logit) / T_likelihood + log p(θ) ] / T_posterior + constant.

    likelihood: normalised, in nats per row. prior: a proper log density of the trainable parameters (buffers
    are left out). The temperatures are different things and all are one by default:

    - `posterior_temperature` divides likelihood and prior alike (the cold posterior);
    - `likelihood_temperature` divides the likelihood only;
    - `logit_temperature` divides the outputs before the likelihood sees them; the likelihood stays normalised.

    Raises `InputError` for a temperature that is not a positive number.
    """

    network: Network
    likelihood: Score
    prior: Prior
    posterior_temperature: float = 1.0
    likelihood_temperature: float = 1.0
    logit_temperature: float = 1.0

    def __post_init__(self) -> None:
        for name in ("posterior_temperature", "likelihood_temperature", "logit_temperature"):
            value: float = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"{name} is {value}; give a positive number (1 is the posterior itself).")

    def log_density(self, parameters: Parameters, rows: Rows) -> Float[Tensor, ""]:
        """The (unnormalised) log density given all rows at once, in nats."""
        batch = whole(rows)
        return self.minibatch_log_density(parameters, batch, len(rows))

    def minibatch_log_density(self, parameters: Parameters, batch: Batch, rows_total: int) -> Float[Tensor, ""]:
        """An unbiased estimate of the full log density from B of its N = `rows_total` rows.

            [ (N / B) Σ_{i in batch} w_i log p(y_i | …) / T_likelihood + log p(θ) ] / T_posterior

        Unbiased when every row is equally likely to be in the batch. Over any partition into batches, the mean
        weighted by batch sizes is the full density exactly (the plain mean, when the sizes are equal); over
        shuffled partitions with a smaller last batch, the plain mean is unbiased too.
        """
        outputs = forward(self.network, parameters, batch.inputs)
        return self.minibatch_log_density_of(outputs, parameters, batch, rows_total)

    def minibatch_log_density_of(
        self, outputs: Tensor, parameters: Parameters, batch: Batch, rows_total: int
    ) -> Float[Tensor, ""]:
        """The same from outputs that are already computed; the batch's inputs are not read."""
        if not 0 < len(batch.weights) <= rows_total:
            raise InputError(
                f"A batch of {len(batch.weights)} rows was given as part of {rows_total}; rows_total counts every row "
                "of the posterior, and a batch holds between one and all of them."
            )
        cooled = outputs if self.logit_temperature == 1 else outputs / self.logit_temperature
        evidence = total(self.likelihood(cooled, batch.targets), batch.weights, batch.members)
        scale = rows_total / len(batch.weights) / self.likelihood_temperature
        prior = self.prior.log_density(trainable(self.network, parameters))
        return (scale * evidence + prior) / self.posterior_temperature


def trainable(network: Network, parameters: Parameters) -> Parameters:
    """The tensors among `parameters` that training may change: no buffers, nothing frozen by `requires_grad`.

    >>> from torch import nn
    >>> from surefoot.networks.network import parameters_of
    >>> network = Network(nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2)), "1")
    >>> list(trainable(network, parameters_of(network)))
    ['0.weight', '0.bias', '1.weight', '1.bias']
    """
    return {name: parameters[name] for name, own in network.module.named_parameters() if own.requires_grad}
