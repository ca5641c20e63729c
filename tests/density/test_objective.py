"""Objectives and posteriors against their equations."""

import dataclasses

import pytest
import torch
from torch import nn

from surefoot.density.batch import whole
from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Objective, Posterior, trainable
from surefoot.density.pools import mean, total, worst_group
from surefoot.density.priors import Gaussian
from surefoot.errors import InputError
from surefoot.networks.network import Network, Parameters, forward, parameters_of
from surefoot.rows.rows import Groups, Rows, make_rows


def network() -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2)).double()
    return Network(module, "3")


def some_rows(count: int = 12) -> Rows:
    generator = torch.Generator().manual_seed(1)
    return make_rows(
        torch.randn(count, 3, generator=generator, dtype=torch.float64),
        torch.randint(0, 2, (count,), generator=generator),
        classes=["no", "yes"],
        weights=torch.rand(count, generator=generator, dtype=torch.float64) + 0.5,
        groups=Groups(("a", "b"), torch.rand(count, 2, generator=generator) < 0.5),
    )


def log_likelihood(rows: Rows, parameters: Parameters, logit_temperature: float = 1.0) -> torch.Tensor:
    logits = forward(network(), parameters, rows.inputs[:]) / logit_temperature
    return (rows.weights * logits.log_softmax(dim=1)[torch.arange(len(rows)), rows.targets]).sum()


def test_value_is_the_pooled_score_plus_the_regulariser() -> None:
    rows, parameters = some_rows(), parameters_of(network())
    objective = Objective(network(), categorical, mean, Gaussian(2.0).log_density)
    moved = {name: value for name, value in parameters.items() if "running" not in name and "num" not in name}
    expected = log_likelihood(rows, parameters) / rows.weights.sum() + Gaussian(2.0).log_density(moved)
    torch.testing.assert_close(objective.value(parameters, whole(rows)), expected, rtol=1e-13, atol=0)


def test_value_without_regulariser_is_the_pool() -> None:
    rows, parameters = some_rows(), parameters_of(network())
    scores = categorical(forward(network(), parameters, rows.inputs[:]), rows.targets)
    expected = worst_group(scores, rows.weights, rows.groups.members)
    assert Objective(network(), categorical, worst_group).value(parameters, whole(rows)) == expected


def test_buffers_and_frozen_tensors_are_not_trainable() -> None:
    frozen = network()
    frozen.module.get_submodule("0").requires_grad_(False)
    assert list(trainable(frozen, parameters_of(frozen))) == ["1.weight", "1.bias", "3.weight", "3.bias"]


@pytest.mark.parametrize(
    ("posterior", "likelihood", "logit"), [(1.0, 1.0, 1.0), (0.1, 1.0, 1.0), (1.0, 0.5, 1.0), (3.0, 0.5, 2.0)]
)
def test_each_temperature_divides_what_its_name_says(posterior: float, likelihood: float, logit: float) -> None:
    rows, parameters = some_rows(), parameters_of(network())
    target = Posterior(
        network(),
        categorical,
        Gaussian(2.0),
        posterior_temperature=posterior,
        likelihood_temperature=likelihood,
        logit_temperature=logit,
    )
    prior = Gaussian(2.0).log_density(trainable(network(), parameters))
    expected = (log_likelihood(rows, parameters, logit) / likelihood + prior) / posterior
    torch.testing.assert_close(target.log_density(parameters, rows), expected, rtol=1e-13, atol=0)


def test_a_cold_posterior_is_a_cold_likelihood_with_a_wider_prior() -> None:
    """N(0, σ²) tempered as a whole is N(0, σ²T) with the likelihood tempered: differences between points agree."""
    rows, here = some_rows(), parameters_of(network())
    there = {name: value * 1.1 if value.is_floating_point() else value for name, value in here.items()}
    cold = Posterior(network(), categorical, Gaussian(2.0), posterior_temperature=0.2)
    likewise = Posterior(network(), categorical, Gaussian(2.0 / 0.2), likelihood_temperature=0.2)
    torch.testing.assert_close(
        cold.log_density(here, rows) - cold.log_density(there, rows),
        likewise.log_density(here, rows) - likewise.log_density(there, rows),
        rtol=1e-11,
        atol=0,
    )


def test_a_posterior_has_no_pool_to_choose() -> None:
    """So no mean and no worst group can become a density; and an objective has no density to give."""
    assert not {"pool", "score", "regulariser"} & {field.name for field in dataclasses.fields(Posterior)}
    objective = Objective(network(), categorical, mean)
    assert not [name for name in dir(objective) if "density" in name]


@pytest.mark.parametrize("name", ["posterior_temperature", "likelihood_temperature", "logit_temperature"])
def test_temperatures_are_positive(name: str) -> None:
    with pytest.raises(InputError) as raised:
        Posterior(network(), categorical, Gaussian(1.0), **{name: 0.0})
    assert str(raised.value) == f"{name} is 0.0; give a positive number (1 is the posterior itself)."


def test_rows_total_counts_every_row() -> None:
    rows, target = some_rows(), Posterior(network(), categorical, Gaussian(1.0))
    with pytest.raises(InputError) as raised:
        target.minibatch_log_density(parameters_of(network()), whole(rows), 5)
    assert str(raised.value) == (
        "A batch of 12 rows was given as part of 5; rows_total counts every row of the posterior, and a batch holds "
        "between one and all of them."
    )


def test_the_total_pool_without_temperatures_is_the_posterior() -> None:
    rows, parameters = some_rows(), parameters_of(network())
    plain = Objective(network(), categorical, total, Gaussian(2.0).log_density)
    dense = Posterior(network(), categorical, Gaussian(2.0))
    assert plain.value(parameters, whole(rows)) == dense.log_density(parameters, rows)
