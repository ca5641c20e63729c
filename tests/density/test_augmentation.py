"""Augmentation: what views are worth, and that they descend from their rows."""

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from surefoot.density.augmentation import Augmentation, expand
from surefoot.density.batch import Batch, whole
from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior, fixed_views
from surefoot.density.priors import Gaussian
from surefoot.density.regression import GaussianNoise
from surefoot.errors import InputError
from surefoot.inference.ascend import Ascend, ascend
from surefoot.networks.network import Network, forward, parameters_of
from surefoot.rows.rows import Groups, Rows, concatenate, make_rows


def noisy(inputs: Tensor, generator: torch.Generator) -> Tensor:
    return inputs + torch.randn(inputs.shape, generator=generator, dtype=inputs.dtype)


def network(outputs: int = 2) -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Network(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, outputs)).double(), "2")


def some_rows(count: int = 6) -> Rows:
    generator = torch.Generator().manual_seed(1)
    return make_rows(
        torch.randn(count, 3, generator=generator, dtype=torch.float64),
        torch.randint(0, 2, (count,), generator=generator),
        classes=["no", "yes"],
        weights=torch.rand(count, generator=generator, dtype=torch.float64) + 0.5,
        groups=Groups(("a",), torch.rand(count, 1, generator=generator) < 0.5),
    )


def views(rows: Rows, count: int, seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [noisy(rows.inputs[:], generator) for _ in range(count)]


@pytest.mark.parametrize(("mode", "worth"), [("mean", 1 / 5), ("sum", 1.0)])
def test_the_density_of_expanded_rows_is_the_mean_or_sum_over_views(mode: str, worth: float) -> None:
    rows, parameters = some_rows(), parameters_of(network())
    augmented = Posterior(network(), categorical, Gaussian(2.0), augmentation=Augmentation(noisy, 5, mode))  # pyright: ignore
    fixed = fixed_views(augmented, rows, seed=7)
    scores = [categorical(forward(network(), parameters, view), rows.targets) for view in views(rows, 5, seed=7)]
    expected = worth * (rows.weights * torch.stack(scores)).sum() + Gaussian(2.0).log_density(parameters)
    found = fixed.posterior.log_density(parameters, fixed.rows)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


def test_drawing_one_view_at_each_step_is_unbiased_for_fixed_views() -> None:
    """A change that draws one of four given views: its mean over many draws is the density of the four.

    1,500 draws, five standard errors: a false alarm in less than one of 10⁶ runs.
    """
    rows, parameters = some_rows(), parameters_of(network())
    given = torch.stack(views(rows, 4, seed=3))

    def one_of_four(inputs: Tensor, generator: torch.Generator) -> Tensor:
        which = torch.randint(0, 4, (len(inputs),), generator=generator)
        return given[which, torch.arange(len(inputs))]

    posterior = Posterior(network(), categorical, Gaussian(2.0), augmentation=Augmentation(one_of_four, 4, "sum"))
    batch = (rows.inputs[:], rows.targets, rows.weights, rows.groups.members)
    generator = torch.Generator().manual_seed(0)
    scores = torch.stack([categorical(forward(network(), parameters, view), rows.targets) for view in given])
    expected = (rows.weights * scores).sum() + Gaussian(2.0).log_density(parameters)
    with torch.no_grad():
        found = torch.stack(
            [posterior.minibatch_log_density(parameters, Batch(*batch), 6, generator) for _ in range(1_500)]
        )
    error = found.std() / len(found) ** 0.5
    assert error > 0
    assert abs(found.mean() - expected) < 5 * error


def test_a_mean_over_views_is_normal_noise_of_k_times_the_variance() -> None:
    """(1/K) Σ_j log N(y; f_j, σ²) and Σ_j log N(y; f_j, Kσ²) differ by a constant: differences of points agree."""
    rows = make_rows(torch.randn(6, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64), torch.zeros(6))
    rows = dataclasses.replace(rows, targets=torch.randn(6, generator=torch.Generator().manual_seed(2)))
    here = parameters_of(network(1))
    there = {name: value * 1.3 for name, value in here.items()}
    densities: list[Tensor] = []
    for counted, scale in ((Augmentation(noisy, 4, "mean"), 0.5), (Augmentation(noisy, 4, "sum"), 0.5 * 4**0.5)):
        posterior, views = fixed_views(
            Posterior(network(1), GaussianNoise(scale), Gaussian(2.0), augmentation=counted), rows, seed=0
        )
        densities.append(posterior.log_density(here, views) - posterior.log_density(there, views))
    torch.testing.assert_close(densities[0], densities[1], rtol=1e-11, atol=0)


def test_a_likelihood_temperature_of_one_over_k_undoes_the_mean() -> None:
    rows, parameters = some_rows(), parameters_of(network())
    mean = Posterior(
        network(), categorical, Gaussian(2.0), likelihood_temperature=0.2, augmentation=Augmentation(noisy, 5, "mean")
    )
    total = Posterior(network(), categorical, Gaussian(2.0), augmentation=Augmentation(noisy, 5, "sum"))
    fixed = [fixed_views(posterior, rows, 1) for posterior in (mean, total)]
    found = [each.posterior.log_density(parameters, each.rows) for each in fixed]
    torch.testing.assert_close(found[0], found[1], rtol=1e-12, atol=0)


def test_views_descend_from_their_rows() -> None:
    rows = some_rows()
    spread = expand(rows, Augmentation(noisy, 3, "sum"), seed=0)
    assert spread.origins() == rows.origins()
    assert spread.clusters.tolist() == rows.clusters.tolist() * 3
    assert spread.sources[:, 0].tolist() == rows.ids.tolist() * 3
    assert len(set(spread.ids.tolist())) == 18
    assert not set(spread.ids.tolist()) & set(rows.ids.tolist())
    assert spread.groups.members.tolist() == rows.groups.members.tolist() * 3
    both = concatenate(rows, spread)
    assert both.origins() == rows.origins()


def test_the_same_seed_gives_the_same_views_and_no_global_number_is_drawn() -> None:
    before = torch.random.get_rng_state()
    first, again, other = (expand(some_rows(), Augmentation(noisy, 2, "mean"), seed).inputs[:] for seed in (4, 4, 5))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first[:6], first[6:])
    assert torch.equal(torch.random.get_rng_state(), before)


def test_an_augmented_density_of_all_rows_is_not_guessed() -> None:
    posterior = Posterior(network(), categorical, Gaussian(1.0), augmentation=Augmentation(noisy, 2, "mean"))
    with pytest.raises(InputError, match="fixed_views"):
        posterior.log_density(parameters_of(network()), some_rows())
    with pytest.raises(InputError, match="was given no generator"):
        posterior.minibatch_log_density(parameters_of(network()), whole(some_rows()), 6)


def test_ascent_of_an_augmented_posterior_is_not_silently_plain() -> None:
    posterior = Posterior(network(), categorical, Gaussian(1.0), augmentation=Augmentation(noisy, 2, "mean"))
    with pytest.raises(InputError, match="fixed_views"):
        ascend(posterior, some_rows(), parameters_of(network()), 0, Ascend(epochs=1))
    fixed = fixed_views(posterior, some_rows(), seed=0)
    assert (
        ascend(fixed.posterior, fixed.rows, parameters_of(network()), 0, Ascend(epochs=1)).seen == some_rows().origins()
    )


def test_bad_settings_are_refused() -> None:
    with pytest.raises(InputError, match="An augmentation of 0 views"):
        Augmentation(noisy, 0, "mean")
    with pytest.raises(InputError, match="turned 6 rows into 5"):
        expand(some_rows(), Augmentation(lambda inputs, generator: inputs[1:], 2, "mean"), 0)
    with pytest.raises(InputError, match="The seed is -1"):
        expand(some_rows(), Augmentation(noisy, 2, "mean"), -1)
