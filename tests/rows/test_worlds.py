"""Gaussian worlds: the closed forms agree with simulation, with scipy's densities and with Fisher's rule fitted."""

import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import norm
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from surefoot.errors import InputError
from surefoot.rows.worlds import Linear, gaussian_world, group_accuracies, linear_optimum, log_odds


@pytest.fixture(scope="module")
def world():
    return gaussian_world(
        core_mean=0.8, core_std=1.1, spurious_mean=1.2, spurious_std=0.5, noise=3, noise_std=0.7,
        correlation=0.9, sizes={"fit": 40_000, "judge": 40_000}, seed=5,
    )  # fmt: skip


def test_counts_are_exact(world):
    assert world.roles["fit"].groups.counts().tolist() == [18_000, 2_000, 2_000, 18_000]
    assert world.roles["judge"].groups.counts().tolist() == [10_000] * 4
    assert world.roles["fit"].inputs.shape == (40_000, 5)


@pytest.mark.parametrize(
    "linear",
    [
        Linear(torch.tensor([1.0, 0.7, -0.4, 0.2, 0.9]), 0.3),
        Linear(torch.tensor([-0.2, 2.0, 0.0, 0.0, 0.0]), -1.0),
    ],
)
def test_group_accuracies_agree_with_simulation(world, linear):
    """Each of 4 groups within 4.5 standard errors: false alarms 3e-5 a case."""
    judge = world.roles["judge"]
    exact = group_accuracies(world, linear)
    right = ((judge.inputs @ linear.weight + linear.bias > 0) == (judge.targets == 1)).double()
    for group in range(4):
        member = judge.groups.members[:, group]
        error = float((exact[group] * (1 - exact[group]) / member.sum()).sqrt())
        assert abs(float(right[member].mean() - exact[group])) < 4.5 * error


def test_bayes_rule_is_the_ratio_of_the_densities(world):
    inputs = world.roles["judge"].inputs[:50].double()

    def density(t: int) -> torch.Tensor:
        core = norm.logpdf(inputs[:, 0], t * 0.8, 1.1)
        agree, differ = norm.logpdf(inputs[:, 1], t * 1.2, 0.5), norm.logpdf(inputs[:, 1], -t * 1.2, 0.5)
        return torch.from_numpy(core + logsumexp([agree, differ], axis=0, b=[[0.9], [0.1]]))

    assert torch.allclose(log_odds(world, inputs, 0.9), density(1) - density(-1), atol=1e-10)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 1.0])
def test_bayes_rule_is_linear_without_a_mixture(world, correlation):
    inputs = world.roles["judge"].inputs.double()
    weight, bias = linear_optimum(world, correlation)
    assert torch.allclose(log_odds(world, inputs, correlation), inputs @ weight + bias, rtol=1e-9, atol=1e-9)


def test_no_linear_rule_beats_the_balanced_optimum_in_its_worst_group(world):
    best = group_accuracies(world, linear_optimum(world, 0.5))
    assert torch.allclose(best, torch.full((4,), norm.cdf(0.8 / 1.1), dtype=torch.float64))
    generator = torch.Generator().manual_seed(0)
    for _ in range(300):
        weight, bias = torch.randn(5, generator=generator), float(torch.randn(1, generator=generator))
        assert group_accuracies(world, Linear(weight, bias)).min() <= best.min()


def test_the_training_optimum_is_what_fisher_finds_in_the_rows(world):
    """The fitted ratio of the weights has a relative standard error of about 1 %; 5 % is a false alarm in 1e6."""
    fit = world.roles["fit"]
    found = LinearDiscriminantAnalysis().fit(fit.inputs.numpy(), fit.targets.numpy()).coef_[0]
    weight, _ = linear_optimum(world, 0.9)
    assert found[1] / found[0] == pytest.approx(float(weight[1] / weight[0]), rel=0.05)
    assert abs(found[2:]).max() < 0.05 * abs(found[0])
    exact = group_accuracies(world, linear_optimum(world, 0.9))
    assert exact[1] == exact[2] < exact[0] == exact[3]


def test_the_seed_and_the_role_decide_the_draws():
    first, again = gaussian_world(sizes={"fit": 50, "judge": 50}), gaussian_world(sizes={"judge": 50})
    assert torch.equal(first.roles["judge"].inputs, again.roles["judge"].inputs)
    assert not torch.equal(first.roles["fit"].inputs, first.roles["judge"].inputs)
    assert not torch.equal(gaussian_world(seed=1).roles["fit"].inputs, gaussian_world(seed=2).roles["fit"].inputs)


def test_what_is_refused():
    with pytest.raises(InputError, match=r"^core_std is 0\.0; give a standard deviation above 0\.$"):
        gaussian_world(core_std=0.0)
    with pytest.raises(InputError, match=r"^judge_correlation is 1\.1; give a share of rows between 0 and 1\.$"):
        gaussian_world(judge_correlation=1.1)
    with pytest.raises(InputError, match=r"^The size of fit is 0; give at least one row, or leave the role out\.$"):
        gaussian_world(sizes={"fit": 0})
