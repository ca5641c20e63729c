"""Objectives and posteriors against their equations."""

import dataclasses
from typing import Any

import pytest
import torch
from torch import nn

from surefoot.density.augmentation import Augmentation
from surefoot.density.batch import whole
from surefoot.density.dirichlet import NoisyDirichlet
from surefoot.density.functional import Confidence, DirClip, Dirichlet, Functional
from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Objective, Posterior, trainable
from surefoot.density.pools import mean, total, worst_group
from surefoot.density.priors import Gaussian
from surefoot.density.regression import GaussianNoise, LearnedNoise
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
    ("posterior", "likelihood", "logit"), [(1.0, 1.0, 1.0), (0.1, 1.0, 1.0), (1.0, 0.5, 1.0), (1.0, 1.0, 2.0)]
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


@pytest.mark.parametrize("own", [False, True])
def test_a_functional_prior_looks_where_it_says(own: bool) -> None:
    """On the rows of the likelihood: weighted and scaled from batch to all. On its own inputs: summed, never scaled."""
    rows, parameters, form = some_rows(), parameters_of(network()), DirClip(0.5, -20.0)
    inputs = torch.randn(5, 3, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    functional = Functional(form, inputs) if own else Functional(form)
    plain = Posterior(network(), categorical, Gaussian(2.0))
    target = Posterior(network(), categorical, Gaussian(2.0), posterior_temperature=0.5, functional=functional)
    part = whole(rows.take(torch.arange(4)))
    if own:
        expected = form.log_density(forward(network(), parameters, inputs)).sum()
    else:
        expected = 3 * (part.weights * form.log_density(forward(network(), parameters, part.inputs))).sum()
    difference = target.minibatch_log_density(parameters, part, 12) * 0.5
    difference = difference - plain.minibatch_log_density(parameters, part, 12)
    torch.testing.assert_close(difference, expected, rtol=1e-11, atol=0)


@pytest.mark.parametrize(
    ("parameters_in", "inputs_in"), [(torch.float64, torch.float32), (torch.float32, torch.float64)]
)
def test_inputs_of_a_functional_priors_own_come_in_any_precision(
    parameters_in: torch.dtype, inputs_in: torch.dtype
) -> None:
    parameters = {name: tensor.to(parameters_in) for name, tensor in parameters_of(network()).items()}
    inputs, form = torch.linspace(-1, 1, 15).reshape(5, 3).to(inputs_in), DirClip(0.5, -20.0)
    target = Posterior(network(), categorical, Gaussian(2.0), functional=Functional(form, inputs))
    expected = Gaussian(2.0).log_density(trainable(network(), parameters))
    expected = expected + form.log_density(forward(network(), parameters, inputs.to(parameters_in))).sum()
    torch.testing.assert_close(target.prior_terms(parameters), expected)


def test_temperatures_reach_a_functional_prior_as_documented() -> None:
    """The likelihood's does not; the logits' changes the probabilities that both see."""
    rows, parameters, form = some_rows(), parameters_of(network()), DirClip(0.5, -20.0)
    outputs = forward(network(), parameters, rows.inputs[:])
    posterior = Posterior(
        network(), categorical, Gaussian(2.0), functional=Functional(form), likelihood_temperature=0.5
    )
    expected = categorical(outputs, rows.targets) / 0.5 + form.log_density(outputs)
    torch.testing.assert_close(posterior.row_log_density(outputs, rows.targets), expected, rtol=1e-13, atol=0)
    posterior = Posterior(network(), categorical, Gaussian(2.0), functional=Functional(form), logit_temperature=0.5)
    expected = categorical(outputs / 0.5, rows.targets) + form.log_density(outputs / 0.5)
    torch.testing.assert_close(posterior.row_log_density(outputs, rows.targets), expected, rtol=1e-13, atol=0)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"posterior_temperature": 0.3},
        {"likelihood_temperature": 0.3},
        {"logit_temperature": 0.3},
        {"likelihood": NoisyDirichlet(0.1), "likelihood_temperature": 0.3},
        {"functional": Functional(DirClip(0.5, -3.0)), "likelihood_temperature": 0.3},
        {"functional": Functional(Confidence(0.5)), "logit_temperature": 0.3},
        {"functional": Functional(Confidence(0.5), torch.zeros(2, 3, dtype=torch.float64))},
        {"functional": Functional(Dirichlet(2.0)), "augmentation": Augmentation(lambda x, _: x, 7, "sum")},
    ],
    ids=lambda changed: "+".join(changed) or "plain",
)
def test_the_gradient_by_the_outputs_is_that_of_autograd(changed: dict[str, Any]) -> None:
    """And both belong to the density: weights, N/B and the posterior temperature put in by hand give it back."""
    rows, parameters = some_rows(), parameters_of(network())
    posterior = Posterior(**{"network": network(), "likelihood": categorical, "prior": Gaussian(2.0), **changed})
    leaf = forward(network(), parameters, rows.inputs[:]).detach().requires_grad_()
    terms = posterior.row_log_density(leaf, rows.targets)
    terms.sum().backward()
    torch.testing.assert_close(posterior.row_gradient(leaf, rows.targets), leaf.grad, rtol=1e-11, atol=1e-13)
    by_hand = (rows.weights * terms).sum() + posterior.prior_terms(parameters) / posterior.posterior_temperature
    found = posterior.minibatch_log_density_of(leaf, parameters, whole(rows), 12)
    torch.testing.assert_close(found, by_hand, rtol=1e-12, atol=0)


def test_two_temperatures_at_once_are_refused() -> None:
    with pytest.raises(InputError) as raised:
        Posterior(network(), categorical, Gaussian(1.0), posterior_temperature=0.1, logit_temperature=0.5)
    assert str(raised.value) == (
        "posterior_temperature = 0.1, logit_temperature = 0.5 were given at once, and are different things: the "
        "posterior's divides likelihood and prior, the likelihood's the likelihood alone, the logits' the outputs; set "
        "one. With a prior N(0, σ²), posterior temperature T equals likelihood temperature T with the prior N(0, σ²T)."
    )


@pytest.mark.parametrize("likelihood", [NoisyDirichlet(0.1), GaussianNoise(1.0), LearnedNoise()])
def test_outputs_that_are_no_free_logits_are_not_rescaled(likelihood: Any) -> None:
    with pytest.raises(InputError, match="are no logits that could be rescaled"):
        Posterior(network(), likelihood, Gaussian(1.0), logit_temperature=0.5)


def test_a_regression_has_no_class_probabilities_to_believe_in() -> None:
    with pytest.raises(InputError) as raised:
        Posterior(network(), GaussianNoise(1.0), Gaussian(1.0), functional=Functional(Confidence(0.1)))
    assert str(raised.value) == (
        "A functional prior of class probabilities was given beside GaussianNoise, whose outputs are no logits; leave "
        "it out, or use a likelihood of classes."
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
