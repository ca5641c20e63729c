"""Objectives, and posteriors: the objectives that are log densities.

    objective(θ | rows) = pool(score(network(θ, x), y), weights)  +  regulariser(θ)

An `Objective` is any such scalar; larger is better. A `Posterior` is the strict special case that is a log
density: a likelihood in nats, summed over rows, plus a log prior and perhaps a functional one, with named
temperatures. It has no pool to choose, so a mean or a worst group cannot become one, and it owns the scaling of
minibatches. Samplers and evidence take a `Posterior`; `ascend` takes either.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.density.augmentation import Augmentation, expand
from surefoot.density.batch import Batch, whole
from surefoot.density.dirichlet import NoisyDirichlet
from surefoot.density.functional import Functional
from surefoot.density.likelihoods import gradient_by_outputs
from surefoot.density.pools import Pool, total
from surefoot.density.priors import Prior
from surefoot.density.regression import GaussianNoise, LearnedNoise
from surefoot.density.temperatures import check_temperatures
from surefoot.errors import InputError
from surefoot.networks.network import Network, Parameters, forward
from surefoot.rows.rows import Rows

__all__ = ["Fixed", "Objective", "Paced", "Posterior", "Regulariser", "Score", "fixed_views", "trainable"]

Score: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""(outputs, targets) → one number per row, larger is better; a likelihood gives log probabilities in nats."""

Regulariser: TypeAlias = Callable[[Parameters], Tensor]
"""Trainable parameters → a scalar that is added; a prior's bound `log_density` is one."""


@dataclass(frozen=True)
class Paced:
    """A score that changes as a run goes on: (outputs, targets, share of the steps that are done) → one number a row.

    >>> later = Paced(lambda outputs, targets, done: done * outputs[:, 0])
    >>> later.score(torch.ones(2, 1), torch.zeros(2), 0.25).tolist()
    [0.25, 0.25]
    """

    score: Callable[[Tensor, Tensor, float], Tensor]


@dataclass(frozen=True)
class Objective:
    """pool(score(network(θ, x), y), weights) + regulariser(θ), taken batch by batch as it stands.

    Nothing rescales an objective: with the pool `total`, the share of the regulariser depends on the batch.
    Use a `Posterior` when the sum over all rows is meant.
    """

    network: Network
    score: Score | Paced
    pool: Pool
    regulariser: Regulariser | None = None

    def value(self, parameters: Parameters, batch: Batch) -> Float[Tensor, ""]:
        """The objective of one batch."""
        return self.value_of(forward(self.network, parameters, batch.inputs), parameters, batch)

    def value_of(self, outputs: Tensor, parameters: Parameters, batch: Batch) -> Float[Tensor, ""]:
        """The same from outputs that are already computed; the batch's inputs are not read."""
        if isinstance(self.score, Paced):
            scores = self.score.score(outputs, batch.targets, batch.done)
        else:
            scores = self.score(outputs, batch.targets)
        pooled = self.pool(scores, batch.weights, batch.members)
        if self.regulariser is None:
            return pooled
        return pooled + self.regulariser(trainable(self.network, parameters))


@dataclass(frozen=True)
class Posterior:
    """A likelihood, a prior and temperatures: with outputs z_i = network(θ, x_i),

        log density(θ) = [ f Σ_i w_i ( ℓ(y_i | z_i/T_logit) / T_likelihood + g(z_i/T_logit) ) + log p(θ) ] / T_posterior

    up to a constant; where g has inputs of its own, its sum over them stands beside log p(θ) instead.

    likelihood: ℓ, in nats per row. prior: a proper log density of the trainable parameters (buffers are left out).
    functional: g, what is believed of the predictions (`Functional` says on which inputs), none by default.
    augmentation: K views of every row (`Augmentation`); f is its factor, one without it. The temperatures are different
    things, all are one by default, and one at most may differ from it:

    - `posterior_temperature` divides likelihood and priors alike (the cold posterior);
    - `likelihood_temperature` divides the likelihood only;
    - `logit_temperature` divides the outputs before likelihood and functional prior see them; a categorical likelihood
      stays normalised. It is part of the model, and predictions are to be told of it (`Categorical` in `predict`).

    With a prior N(0, σ²) and no functional prior, the posterior temperature T gives the same density as the likelihood
    temperature T with the prior N(0, σ²T). A regression's *noise* temperature is another thing again and belongs to
    its likelihood.

    Whether samplers or evidence may have a posterior is asked by `surefoot.density.requirements`.

    Raises `InputError` for a temperature that is not a positive number, two temperatures at once, a logit temperature
    of outputs that are no free logits, and a functional prior on a regression.
    """

    network: Network
    likelihood: Score
    prior: Prior
    posterior_temperature: float = 1.0
    likelihood_temperature: float = 1.0
    logit_temperature: float = 1.0
    functional: Functional | None = None
    augmentation: Augmentation | None = None

    def __post_init__(self) -> None:
        check_temperatures(self.posterior_temperature, self.likelihood_temperature, self.logit_temperature)
        regression = isinstance(self.likelihood, GaussianNoise | LearnedNoise)
        called = type(self.likelihood).__name__
        if self.logit_temperature != 1 and (regression or isinstance(self.likelihood, NoisyDirichlet)):
            raise InputError(
                f"logit_temperature is {self.logit_temperature}, but the outputs of {called} are no logits that could "
                "be rescaled: their level is observed; use posterior_temperature or likelihood_temperature."
            )
        if self.functional is not None and regression:
            raise InputError(
                f"A functional prior of class probabilities was given beside {called}, whose outputs are no logits; "
                "leave it out, or use a likelihood of classes."
            )

    def log_density(self, parameters: Parameters, rows: Rows) -> Float[Tensor, ""]:
        """The (unnormalised) log density given all rows at once, in nats.

        Raises `InputError` with an augmentation, whose views would be others at every call; see `fixed_views`.
        """
        if self.augmentation is not None:
            raise InputError(
                "The density of all rows under an augmentation changes with every draw of views; call "
                "`fixed_views(posterior, rows, seed)` and use the posterior and rows that it returns."
            )
        batch = whole(rows)
        return self.minibatch_log_density(parameters, batch, len(rows))

    def minibatch_log_density(
        self, parameters: Parameters, batch: Batch, rows_total: int, generator: torch.Generator | None = None
    ) -> Float[Tensor, ""]:
        """An unbiased estimate of the full log density from B of its N = `rows_total` rows.

            [ (N / B) f Σ_{i in batch} w_i ( ℓ_i / T_likelihood + g_i ) + g's own inputs + log p(θ) ] / T_posterior

        Unbiased when every row is equally likely to be in the batch. Over any partition into batches, the mean
        weighted by batch sizes is the full density exactly (the plain mean, when the sizes are equal); over
        shuffled partitions with a smaller last batch, the plain mean is unbiased too.

        generator: what an augmentation draws one view of each row from; needed exactly when there is one.
        """
        inputs = batch.inputs
        if self.augmentation is not None:
            if generator is None:
                raise InputError("This posterior augments its rows and was given no generator; pass a torch.Generator.")
            inputs = self.augmentation.change(inputs, generator)
        return self.minibatch_log_density_of(forward(self.network, parameters, inputs), parameters, batch, rows_total)

    def minibatch_log_density_of(
        self, outputs: Tensor, parameters: Parameters, batch: Batch, rows_total: int
    ) -> Float[Tensor, ""]:
        """The same from outputs that are already computed (under an augmentation: of changed inputs); the batch's
        inputs are not read."""
        if not 0 < len(batch.weights) <= rows_total:
            raise InputError(
                f"A batch of {len(batch.weights)} rows was given as part of {rows_total}; rows_total counts every row "
                "of the posterior, and a batch holds between one and all of them."
            )
        evidence = total(self._row_terms(outputs, batch.targets), batch.weights, batch.members)
        scale = rows_total / len(batch.weights)
        return (scale * evidence + self.prior_terms(parameters)) / self.posterior_temperature

    def row_log_density(self, outputs: Tensor, targets: Tensor) -> Float[Tensor, "rows"]:
        """What each row adds to the log density, before its weight and N/B: f (ℓ/T_likelihood + g) / T_posterior."""
        return self._row_terms(outputs, targets) / self.posterior_temperature

    def row_gradient(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The gradient of `row_log_density` by the outputs, by closed forms where there are any; not recorded."""
        cooled = self._cooled(outputs)
        gradient = gradient_by_outputs(self.likelihood, cooled, targets)
        factor = self._factor() / self.logit_temperature / self.posterior_temperature
        if self.functional is None or self.functional.inputs is not None:
            return gradient * (factor / self.likelihood_temperature)
        return (gradient / self.likelihood_temperature + self.functional.form.output_gradient(cooled)) * factor

    def prior_terms(self, parameters: Parameters) -> Float[Tensor, ""]:
        """log p(θ), and the functional prior on inputs of its own; before T_posterior."""
        prior = self.prior.log_density(trainable(self.network, parameters))
        if self.functional is None or self.functional.inputs is None:
            return prior
        head, inputs = parameters[f"{self.network.head}.weight"], self.functional.inputs
        inputs = inputs.to(head) if inputs.is_floating_point() else inputs.to(head.device)
        outputs = forward(self.network, parameters, inputs)
        return prior + self.functional.form.log_density(self._cooled(outputs)).sum()

    def _row_terms(self, outputs: Tensor, targets: Tensor) -> Tensor:
        cooled = self._cooled(outputs)
        terms = self.likelihood(cooled, targets)
        if self.likelihood_temperature != 1:
            terms = terms / self.likelihood_temperature
        if self.functional is not None and self.functional.inputs is None:
            terms = terms + self.functional.form.log_density(cooled)
        return terms if self._factor() == 1 else terms * self._factor()

    def _cooled(self, outputs: Tensor) -> Tensor:
        return outputs if self.logit_temperature == 1 else outputs / self.logit_temperature

    def _factor(self) -> float:
        return 1.0 if self.augmentation is None else self.augmentation.factor


class Fixed(NamedTuple):
    """A posterior without augmentation, and the rows whose views it is about."""

    posterior: Posterior
    rows: Rows


def fixed_views(posterior: Posterior, rows: Rows, seed: int) -> Fixed:
    """The posterior given K views of every row, drawn once from `seed`: a density that full-batch samplers may have.

    Without an augmentation, both come back as they are.

    >>> from torch import nn
    >>> from surefoot.density.likelihoods import categorical
    >>> from surefoot.density.priors import Gaussian
    >>> from surefoot.rows.rows import make_rows
    >>> noisy = Augmentation(lambda x, generator: x + torch.randn(x.shape, generator=generator), 4, "mean")
    >>> network = Network(nn.Sequential(nn.Linear(3, 2)), "0")
    >>> posterior = Posterior(network, categorical, Gaussian(1.0), augmentation=noisy)
    >>> fixed = fixed_views(posterior, make_rows(torch.zeros(2, 3), torch.tensor([0, 1])), seed=0)
    >>> len(fixed.rows), fixed.posterior.augmentation
    (8, None)
    """
    if posterior.augmentation is None:
        return Fixed(posterior, rows)
    return Fixed(replace(posterior, augmentation=None), expand(rows, posterior.augmentation, seed))


def trainable(network: Network, parameters: Parameters) -> Parameters:
    """The tensors among `parameters` that training may change: no buffers, nothing frozen by `requires_grad`.

    >>> from torch import nn
    >>> from surefoot.networks.network import parameters_of
    >>> network = Network(nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2)), "1")
    >>> list(trainable(network, parameters_of(network)))
    ['0.weight', '0.bias', '1.weight', '1.bias']
    """
    return {name: parameters[name] for name, own in network.module.named_parameters() if own.requires_grad}
