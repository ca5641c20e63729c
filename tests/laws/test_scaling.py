"""Law 3: a posterior's minibatch density is unbiased for the full one."""

from itertools import permutations

import pytest
import torch
from torch import nn

from surefoot.density.batch import whole
from surefoot.density.functional import DirClip, Functional
from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian
from surefoot.networks.network import Network, parameters_of
from surefoot.rows.rows import Rows, make_rows

PLAIN = (1.0, 1.0, 1.0)
COLD = (0.3, 1.0, 1.0)
TEMPERED = (1.0, 0.7, 1.0)
SHARPENED = (1.0, 1.0, 1.5)

BELIEFS = {
    "none": None,
    "rows": Functional(DirClip(0.5, -3.0)),
    "own inputs": Functional(DirClip(0.5, -3.0), torch.ones(4, 3, dtype=torch.float64)),
}


def posterior(temperatures: tuple[float, float, float], belief: str = "none") -> Posterior:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    return Posterior(Network(module, "2"), categorical, Gaussian(2.0), *temperatures, functional=BELIEFS[belief])


def some_rows(count: int, weighted: bool) -> Rows:
    generator = torch.Generator().manual_seed(count)
    weights = torch.rand(count, generator=generator, dtype=torch.float64) * 3
    return make_rows(
        torch.randn(count, 3, generator=generator, dtype=torch.float64),
        torch.randint(0, 3, (count,), generator=generator),
        classes=["a", "b", "c"],
        weights=weights if weighted else None,
    )


@pytest.mark.parametrize("temperatures", [PLAIN, COLD, TEMPERED, SHARPENED])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("belief", list(BELIEFS))
def test_disjoint_batches_of_one_size_average_to_the_full_density(
    belief: str, weighted: bool, temperatures: tuple[float, float, float]
) -> None:
    target, rows = posterior(temperatures, belief), some_rows(24, weighted)
    parameters = parameters_of(target.network)
    order = torch.randperm(24, generator=torch.Generator().manual_seed(5))
    estimates = [target.minibatch_log_density(parameters, whole(rows.take(index)), 24) for index in order.split(6)]
    assert len({round(estimate.item(), 6) for estimate in estimates}) == 4, "the estimates themselves differ"
    torch.testing.assert_close(torch.stack(estimates).mean(), target.log_density(parameters, rows), rtol=1e-13, atol=0)


@pytest.mark.parametrize("weighted", [False, True])
def test_with_a_smaller_last_batch_the_mean_by_size_is_the_full_density(weighted: bool) -> None:
    target, rows = posterior(TEMPERED), some_rows(22, weighted)
    parameters = parameters_of(target.network)
    batches = [whole(rows.take(index)) for index in torch.arange(22).split(5)]
    estimates = torch.stack([target.minibatch_log_density(parameters, batch, 22) for batch in batches])
    sizes = torch.tensor([len(batch.weights) for batch in batches], dtype=torch.float64)
    assert sizes.tolist() == [5, 5, 5, 5, 2]
    full = target.log_density(parameters, rows)
    torch.testing.assert_close((sizes * estimates).sum() / 22, full, rtol=1e-13, atol=0)
    assert abs(estimates.mean() - full) > 1e-3, "one ragged partition alone is not balanced"


def test_over_all_shuffles_with_a_smaller_last_batch_the_plain_mean_is_the_full_density() -> None:
    """What ascent does: every step counts once. Every one of the 120 orders of five rows, in batches of 2, 2 and 1."""
    target, rows = posterior(PLAIN), some_rows(5, weighted=True)
    parameters = parameters_of(target.network)
    estimates = [
        target.minibatch_log_density(parameters, whole(rows.take(index)), 5)
        for order in permutations(range(5))
        for index in torch.tensor(order).split(2)
    ]
    torch.testing.assert_close(torch.stack(estimates).mean(), target.log_density(parameters, rows), rtol=1e-13, atol=0)


@pytest.mark.parametrize("belief", list(BELIEFS))
def test_gradients_are_unbiased_too(belief: str) -> None:
    target, rows = posterior(COLD, belief), some_rows(24, weighted=True)
    parameters = {name: value.requires_grad_() for name, value in parameters_of(target.network).items()}
    wanted = list(parameters.values())
    full = torch.autograd.grad(target.log_density(parameters, rows), wanted)
    parts = [
        torch.autograd.grad(target.minibatch_log_density(parameters, whole(rows.take(index)), 24), wanted)
        for index in torch.arange(24).split(8)
    ]
    for place, expected in enumerate(full):
        torch.testing.assert_close(sum(part[place] for part in parts) / 3, expected, rtol=1e-11, atol=1e-13)
