"""Conditional evidence against closed forms of linear regression; draws of every structure against their normals."""

import math
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from surefoot.density.augmentation import Augmentation
from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian
from surefoot.density.regression import GaussianNoise
from surefoot.errors import InputError
from surefoot.evidence import scale_search
from surefoot.evidence.conditional import (
    DrawnConditional,
    conditional_by_difference,
    conditional_by_draws,
    conditional_of,
    drawn_findings,
)
from surefoot.evidence.laplace.evidence import evidence_of
from surefoot.evidence.laplace.expand import expand
from surefoot.evidence.laplace.expansion import Expansion, Kind, Structure
from surefoot.evidence.laplace_draws import draw_expansion
from surefoot.evidence.parts import part_rows
from surefoot.evidence.row_likelihoods import Way, average_accuracy, average_losses, gibbs_losses, likelihoods_of
from surefoot.evidence.scale_search import ScaleSearch, search_scale
from surefoot.inference.draws import Draws
from surefoot.inference.predict.predict import predict
from surefoot.inference.predict.predictive import Categorical
from surefoot.inference.predict.running import as_chains
from surefoot.networks.network import Network, Parameters, forward, parameters_of
from surefoot.rows.rows import Rows, make_rows

WEIGHT = "0.weight"
PRECISION, NOISE = 0.7, 0.9
WAYS: tuple[Way, ...] = ("network", "linearised")


class Linear(NamedTuple):
    """y = x·w + noise, in float64; design and targets beside the rows."""

    posterior: Posterior
    rows: Rows
    design: Tensor
    targets: Tensor


def linear(rows: int, width: int, seed: int = 0) -> Linear:
    generator = torch.Generator().manual_seed(seed)
    design = torch.randn(rows, width, generator=generator, dtype=torch.float64)
    targets = design @ torch.ones(width, dtype=torch.float64)
    targets = targets + NOISE * torch.randn(rows, generator=generator, dtype=torch.float64)
    network = Network(nn.Sequential(nn.Linear(width, 1, bias=False)).double(), "0")
    posterior = Posterior(network, GaussianNoise(NOISE), Gaussian(PRECISION))
    return Linear(posterior, make_rows(design, targets, classes=()), design, targets)


def precision_of(design: Tensor) -> Tensor:
    return design.T @ design / NOISE**2 + PRECISION * torch.eye(design.shape[1], dtype=torch.float64)


def mode_of(design: Tensor, targets: Tensor) -> Parameters:
    return {WEIGHT: torch.linalg.solve(precision_of(design), design.T @ targets / NOISE**2)[None]}


def first(case: Linear, count: int) -> Rows:
    return case.rows.take(torch.arange(count))


def expanded(case: Linear, count: int, structure: Structure = "full", kind: Kind = "ggn") -> Expansion:
    mode = mode_of(case.design[:count], case.targets[:count])
    return expand(case.posterior, first(case, count), mode, structure=structure, kind=kind)


def log_marginal(design: Tensor, targets: Tensor) -> float:
    covariance = NOISE**2 * torch.eye(len(design), dtype=torch.float64) + design @ design.T / PRECISION
    return float(stats.multivariate_normal.logpdf(targets.numpy(), cov=covariance.numpy()))


def log_predictive(case: Linear, known: int, scale: float = 1.0) -> float:
    """log ∫ p(later | w) N(w; θ*, t² A⁻¹) dw, given the first `known` rows."""
    later = case.design[known:]
    mean = later @ mode_of(case.design[:known], case.targets[:known])[WEIGHT][0]
    spread = later @ torch.linalg.solve(precision_of(case.design[:known]), later.T)
    covariance = NOISE**2 * torch.eye(len(later), dtype=torch.float64) + scale**2 * spread
    return float(stats.multivariate_normal.logpdf(case.targets[known:].numpy(), mean.numpy(), covariance.numpy()))


def test_the_difference_is_the_closed_form() -> None:
    case = linear(30, 4)
    whole = expanded(case, 30)
    for known in (1, 3, 20, 29):
        exact = log_marginal(case.design, case.targets) - log_marginal(case.design[:known], case.targets[:known])
        found = conditional_by_difference(whole, expanded(case, known)).item()
        assert found == pytest.approx(exact, abs=1e-8)
        assert found == pytest.approx(log_predictive(case, known), abs=1e-8)


def test_two_conditionals_add_up() -> None:
    case = linear(30, 4, seed=1)
    parts = [expanded(case, count) for count in (8, 17, 30)]
    steps = [conditional_by_difference(more, less).item() for less, more in pairwise(parts)]
    assert sum(steps) == pytest.approx(conditional_by_difference(parts[2], parts[0]).item(), abs=1e-9)
    assert sum(steps) == pytest.approx(log_predictive(case, 8), abs=1e-8)


def test_the_difference_is_taken_at_the_precisions_and_noise_given_and_is_differentiable() -> None:
    case = linear(20, 3)
    whole, part = expanded(case, 20, "diag"), expanded(case, 10, "diag")
    precision = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    found = conditional_by_difference(whole, part, precision, noise=0.5)
    by_hand = evidence_of(whole, 2.0, noise=0.5) - evidence_of(part, 2.0, noise=0.5)
    assert found.item() == pytest.approx(by_hand.item(), abs=1e-12)
    found.backward()
    step = 1e-5
    ends = [conditional_by_difference(whole, part, 2.0 + sign * step, noise=0.5).item() for sign in (1, -1)]
    assert precision.grad is not None
    assert precision.grad.item() == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5)


def test_expansions_that_do_not_belong_together_are_refused() -> None:
    case = linear(20, 3)
    whole, part = expanded(case, 20), expanded(case, 10)
    with pytest.raises(InputError, match="structure 'full' and that of the first rows 'diag'"):
        conditional_by_difference(whole, expanded(case, 10, "diag"))
    with pytest.raises(InputError, match="kind 'ggn' and that of the first rows 'fisher'"):
        conditional_by_difference(whole, expanded(case, 10, kind="fisher"))
    with pytest.raises(InputError, match="part 'all'"):
        conditional_by_difference(whole, replace(part, part="head"))
    with pytest.raises(InputError, match="names"):
        conditional_by_difference(whole, replace(part, names=("1.weight",)))
    with pytest.raises(InputError, match="all rows first"):
        conditional_by_difference(part, whole)
    other = replace(part, precisions=part.precisions * 2)
    with pytest.raises(InputError, match="prior precisions"):
        conditional_by_difference(whole, other)
    assert conditional_by_difference(whole, other, PRECISION) == conditional_by_difference(whole, part)
    with pytest.raises(InputError, match="which noise"):
        conditional_by_difference(whole, replace(part, noise=2.0))


def test_effective_draws_and_error_are_those_of_a_brute_force() -> None:
    """The weights one by one, and the delta method of log mean with a sample variance."""
    likelihoods = 2 * torch.randn(7, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weights = [math.exp(sum(row)) for row in likelihoods.tolist()]
    mean = sum(weights) / 7
    variance = sum((weight - mean) ** 2 for weight in weights) / 6
    found = conditional_of(likelihoods, 0.5)
    assert found.value == pytest.approx(math.log(mean), abs=1e-12)
    assert found.effective == pytest.approx(sum(weights) ** 2 / sum(weight**2 for weight in weights), rel=1e-12)
    assert found.error == pytest.approx(math.sqrt(variance / 7) / mean, rel=1e-12)
    assert (found.draws, found.rows, found.scale) == (7, 3, 0.5)
    assert conditional_of(likelihoods - 1e4).value == pytest.approx(found.value - 3e4)  # nothing underflows
    assert math.isnan(conditional_of(likelihoods[:1]).error)


def test_the_monte_carlo_error_covers_at_the_stated_rate() -> None:
    """95 % intervals of 400 runs with 300 draws, some 100 of them effective: 366 to 393 cover.

    At a true .95, fewer or more have probability 2e-3 together; the error times .8, or divided by it, would fail.
    """
    case = linear(24, 2, seed=3)
    known, exact = 20, log_predictive(linear(24, 2, seed=3), 20)
    mode = mode_of(case.design[:known], case.targets[:known])[WEIGHT][0]
    factor = torch.linalg.cholesky(torch.linalg.inv(precision_of(case.design[:known])))
    generator = torch.Generator().manual_seed(4)
    covered, effective = 0, 0.0
    for _ in range(400):
        weights = mode + torch.randn(300, 2, generator=generator, dtype=torch.float64) @ factor.T
        misses = case.targets[known:] - weights @ case.design[known:].T
        found = conditional_of(-0.5 * ((misses / NOISE).square() + math.log(2 * math.pi * NOISE**2)))
        covered += abs(found.value - exact) < 1.959964 * found.error
        effective += found.effective / 400
    assert 366 <= covered <= 393
    assert 50 < effective < 295


def test_the_error_is_believed_only_where_it_covers() -> None:
    """Of L ~ N(0, s²), whose log mean exp is s²/2: 1,500 runs of 100 draws at s = 1 cover .92, and at s = 2 .79.

    Where doubt begins lies between. The bounds are three standard errors from what 20,000 runs gave.
    """
    generator = torch.Generator().manual_seed(0)
    covered, effective, doubted = dict[float, float](), dict[float, float](), dict[float, float]()
    for deviation in (1.0, 2.0):
        runs = [
            conditional_of(deviation * torch.randn(100, 1, generator=generator, dtype=torch.float64))
            for _ in range(1500)
        ]
        hits = [abs(run.value - deviation**2 / 2) < 1.959964 * run.error for run in runs]
        covered[deviation] = sum(hits) / len(runs)
        effective[deviation] = torch.tensor([run.effective for run in runs]).median().item()
        doubted[deviation] = sum(run.doubt is not None for run in runs) / len(runs)
    assert covered[1.0] == pytest.approx(0.925, abs=0.02)
    assert covered[2.0] == pytest.approx(0.79, abs=0.033)
    assert effective[1.0] == pytest.approx(42.7, abs=1)
    assert effective[2.0] == pytest.approx(10.8, abs=1)
    assert doubted[1.0] < 0.5 < 0.99 < doubted[2.0]


@pytest.mark.parametrize("scale", [1.0, 0.4])
def test_draws_converge_to_the_closed_form_and_scale_the_standard_deviation(scale: float) -> None:
    """Within four errors of the analytic value with t² A⁻¹ (false alarms: 6e-5), far from that with t A⁻¹."""
    case, known = linear(6, 2, seed=5), 3
    mode = mode_of(case.design[:known], case.targets[:known])
    part = first(case, known)
    drawn = draw_expansion(case.posterior, part, mode, expanded(case, known), 1000, seed=1)
    later = case.rows.take(torch.arange(known, 6))
    found = conditional_by_draws(case.posterior, part, later, drawn, mode=mode, scale=scale)
    assert abs(found.value - log_predictive(case, known, scale)) < 4 * found.error
    assert found.scale == scale
    assert found.effective > 300
    if scale != 1:
        assert abs(found.value - log_predictive(case, known, math.sqrt(scale))) > 8 * found.error
        assert abs(found.value - log_predictive(case, known)) > 8 * found.error


def test_the_scale_multiplies_deviations_from_the_mode() -> None:
    case = linear(10, 3, seed=6)
    mode = mode_of(case.design, case.targets)
    drawn = draw_expansion(case.posterior, case.rows, mode, expanded(case, 10), 200, seed=0).as_draws()
    moved = Draws({WEIGHT: mode[WEIGHT] + 0.1 * (drawn.parameters[WEIGHT] - mode[WEIGHT])}, (), drawn.seen)
    scaled = likelihoods_of(case.posterior, case.rows, drawn, mode=mode, scale=0.1)
    torch.testing.assert_close(scaled, likelihoods_of(case.posterior, case.rows, moved), rtol=0, atol=1e-12)
    misses = case.targets - moved.parameters[WEIGHT][:, 0] @ case.design.T
    by_hand = -0.5 * ((misses / NOISE).square() + math.log(2 * math.pi * NOISE**2))
    torch.testing.assert_close(scaled, by_hand, rtol=0, atol=1e-12)


def test_losses_of_draws_are_those_of_predictions() -> None:
    """The average's, a single draw's and the accuracy, against `predict`, at a logit temperature of two."""
    network = Network(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)), "2")
    generator = torch.Generator().manual_seed(0)
    parameters = {
        name: torch.randn(20, *value.shape, generator=generator).double()
        for name, value in parameters_of(network).items()
    }
    rows = make_rows(torch.randn(17, 3, generator=generator).double(), torch.randint(3, (17,), generator=generator))
    draws = Draws(parameters, (), frozenset())
    posterior = Posterior(network, categorical, Gaussian(1.0), logit_temperature=2.0)
    likelihoods = likelihoods_of(posterior, rows, draws, batch=5)
    said = predict(network, draws, rows.inputs, Categorical(2.0))
    torch.testing.assert_close(average_losses(likelihoods), said.model_average_nll(rows.targets), rtol=0, atol=1e-10)
    torch.testing.assert_close(gibbs_losses(likelihoods), said.gibbs_nll(rows.targets), rtol=0, atol=1e-10)
    right = (said.probabilities.argmax(1) == rows.targets).double().mean().item()
    assert average_accuracy(posterior, rows, as_chains(draws), None, 1.0, batch=5) == right


@pytest.mark.parametrize("scale", [1.0, 0.3])
def test_linearised_draws_are_the_mode_plus_the_jacobian(scale: float) -> None:
    """Against Jacobians row by row, for a network with a hidden layer; a linear one knows no difference."""
    posterior, rows, mode = convolutional()
    generator = torch.Generator().manual_seed(0)
    away = {name: torch.randn(4, *value.shape, generator=generator).double() for name, value in mode.items()}
    away["0.bias"].zero_()
    draws = Draws({name: mode[name] + away[name] for name in mode}, (), frozenset())
    found = likelihoods_of(posterior, rows, draws, mode=mode, scale=scale, way="linearised", batch=4)
    jacobian = torch.func.jacrev(lambda own: forward(posterior.network, own, rows.inputs[:]))(mode)
    moved = sum(torch.einsum("nkp,sp->snk", jacobian[name].flatten(2), away[name].flatten(1)) for name in mode)
    outputs = forward(posterior.network, mode, rows.inputs[:]) + scale * moved
    by_hand = outputs.log_softmax(2).gather(2, rows.targets.expand(4, -1)[:, :, None])[:, :, 0]
    torch.testing.assert_close(found, by_hand, rtol=0, atol=1e-10)
    assert not torch.allclose(found, likelihoods_of(posterior, rows, draws, mode=mode, scale=scale))
    case = linear(10, 3, seed=6)
    known, later = first(case, 6), case.rows.take(torch.arange(6, 10))
    point = mode_of(case.design[:6], case.targets[:6])
    drawn = draw_expansion(case.posterior, known, point, expanded(case, 6), 20, seed=0)
    one, other = (
        conditional_by_draws(case.posterior, known, later, drawn, mode=point, scale=scale, way=way) for way in WAYS
    )
    assert one.value == pytest.approx(other.value, abs=1e-10)
    same = Draws({name: tensor[None] for name, tensor in mode.items()}, (), frozenset())
    at_mode = likelihoods_of(posterior, rows, same, mode=mode, way="linearised")
    assert torch.equal(at_mode, likelihoods_of(posterior, rows, same))
    with pytest.raises(InputError, match="linearised and there is no mode"):
        likelihoods_of(posterior, rows, draws, way="linearised")


def convolutional() -> tuple[Posterior, Rows, Parameters]:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 2, 2), nn.Tanh(), nn.Flatten(), nn.Linear(8, 3)).double()
    network = Network(module, "3")
    generator = torch.Generator().manual_seed(1)
    rows = make_rows(
        torch.randn(11, 1, 3, 3, generator=generator, dtype=torch.float64),
        torch.randint(3, (11,), generator=generator),
        classes=("a", "b", "c"),
    )
    return Posterior(network, categorical, Gaussian(0.5)), rows, parameters_of(network)


def test_rows_on_both_sides_and_what_is_no_likelihood_are_refused() -> None:
    case = linear(10, 2)
    mode = mode_of(case.design[:6], case.targets[:6])
    known, later = first(case, 6), case.rows.take(torch.arange(6, 10))
    drawn = draw_expansion(case.posterior, known, mode, expanded(case, 6), 3, 0)
    with pytest.raises(InputError, match=r"1 sources of the later rows \(first: row:5\)"):
        conditional_by_draws(case.posterior, known, case.rows.take(torch.arange(5, 10)), drawn)
    with pytest.raises(InputError, match="among the rows conditioned on"):
        conditional_by_draws(case.posterior, first(case, 2), case.rows.take(torch.arange(3, 10)), drawn)
    unseen = replace(drawn.as_draws(), seen=frozenset())
    with pytest.raises(InputError, match=r"first: row:5\)"):
        conditional_by_draws(case.posterior, known, case.rows.take(torch.arange(5, 10)), unseen)
    with pytest.raises(InputError, match=r"scaled by 0\.5 and there is no mode"):
        conditional_by_draws(case.posterior, known, later, drawn, scale=0.5)
    with pytest.raises(InputError, match="scale is 0"):
        conditional_by_draws(case.posterior, known, later, drawn, mode=mode, scale=0.0)
    with pytest.raises(InputError, match="no classes"):
        conditional_by_draws(case.posterior, known, later, drawn, mode=mode, scale=ScaleSearch())
    noisy = Augmentation(lambda x, generator: x + torch.randn(x.shape, generator=generator), 2, "mean")
    with pytest.raises(InputError, match="no evidence"):
        conditional_by_draws(replace(case.posterior, augmentation=noisy), known, later, drawn)
    with pytest.raises(InputError, match="no evidence"):
        conditional_by_draws(replace(case.posterior, likelihood_temperature=0.5), known, later, drawn)
    with pytest.raises(InputError, match="weights"):
        conditional_by_draws(case.posterior, known, replace(later, weights=later.weights * 2), drawn)


def searched(
    monkeypatch: pytest.MonkeyPatch, accuracies: list[float], search: ScaleSearch
) -> tuple[float, list[float]]:
    """What the search takes, and the scales it tries, where they have these accuracies in turn."""
    posterior, rows, mode = convolutional()
    tried: list[float] = []

    def accuracy(*given: object) -> float:
        tried.append(float(str(given[4])))
        return accuracies[len(tried) - 1]

    monkeypatch.setattr(scale_search, "average_accuracy", accuracy)
    draws = as_chains(Draws({name: tensor[None] for name, tensor in mode.items()}, (), frozenset()))
    return search_scale(posterior, rows, draws, mode, search, "network", 512), tried


def test_the_search_divides_by_ten_after_a_gain_and_by_five_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    taken, tried = searched(monkeypatch, [0.5, 0.6, 0.6, 0.55, 0.5, 0.9], ScaleSearch())
    assert tried == pytest.approx([1, 0.1, 0.01, 0.002, 0.0004])
    assert taken == pytest.approx(0.1)
    taken, _ = searched(monkeypatch, [0.5, 0.6, 0.6, 0.55, 0.5, 0.9], ScaleSearch(ties="colder"))
    assert taken == pytest.approx(0.01)
    taken, tried = searched(monkeypatch, [0.5, 0.6, 0.6, 0.55, 0.5, 0.9, 0, 0, 0, 0], ScaleSearch(failures=3))
    assert taken == pytest.approx(0.00008)  # a gain counts failures anew
    assert tried == pytest.approx([1, 0.1, 0.01, 0.002, 0.0004, 8e-5, 8e-6, 1.6e-6, 3.2e-7, 6.4e-8])
    taken, tried = searched(monkeypatch, [0.5, 0.4, 0.7], ScaleSearch(failures=0, start=0.001))
    assert (taken, tried) == (0.001, pytest.approx([0.001, 0.0001]))
    taken, tried = searched(monkeypatch, [0.1, 0.2, 0.3], ScaleSearch(tries=3))
    assert taken == pytest.approx(0.01)


def test_rows_that_a_scale_was_chosen_on_are_not_used_again() -> None:
    case = linear(60, 2, seed=8)
    known, later = first(case, 20), case.rows.take(torch.arange(20, 60))
    mode = mode_of(case.design[:20], case.targets[:20])
    drawn = draw_expansion(case.posterior, known, mode, expanded(case, 20), 50, 0)
    wide = Draws({WEIGHT: mode[WEIGHT] + 30 * (drawn.as_draws().parameters[WEIGHT] - mode[WEIGHT])}, (), drawn.seen)
    search = ScaleSearch(share=0.25, by="average_loss")
    found = conditional_by_draws(case.posterior, known, later, wide, mode=mode, scale=search)
    chosen_on, left = part_rows(later, search.share, search.seed)
    assert found.scale < 1  # thirty standard deviations lose to three, or to less
    assert (len(chosen_on), len(left), found.rows) == (10, 30, 30)
    assert not set(chosen_on.ids) & set(left.ids)
    alone = conditional_by_draws(case.posterior, known, left, wide, mode=mode, scale=found.scale)
    assert found == alone
    losses = {
        scale: float(average_losses(likelihoods_of(case.posterior, chosen_on, wide, mode=mode, scale=scale)).mean())
        for scale in (1.0, found.scale)
    }
    assert losses[found.scale] < losses[1.0]


def test_too_few_effective_draws_are_told() -> None:
    """A thousand later rows at thirty parameters: one draw outweighs the others, and the value is far too low."""
    case = linear(1020, 30, seed=9)
    known, mode = first(case, 20), mode_of(case.design[:20], case.targets[:20])
    drawn = draw_expansion(case.posterior, known, mode, expanded(case, 20), 40, 0)
    found = conditional_by_draws(case.posterior, known, case.rows.take(torch.arange(20, 1020)), drawn)
    assert found.effective == pytest.approx(1, abs=0.1)
    assert found.value < log_predictive(case, 20) - 20 * max(found.error, 1)
    assert found.doubt is not None
    assert "about that of the best draw less ln 40" in found.doubt
    some = DrawnConditional(-70.0, 0.3, 8.0, 100, 1.0, 50).doubt
    assert some == "8.0 of 100 draws count: the value may be too low by more than its Monte-Carlo error says"
    value, effective = drawn_findings(found, subject="M", source="fit")
    assert value.interval is None
    assert "of 40 draws count" in value.unit
    assert (value.direction, effective.direction) == ("higher", "none")
    sure = DrawnConditional(-5.0, 0.1, 80.0, 100, 1.0, 7)
    value, effective = drawn_findings(sure, subject="M", source="fit", clusters=3, confidence=0.9)
    assert sure.doubt is None
    assert value.interval is not None
    assert value.interval.high - value.interval.low == pytest.approx(2 * 0.1 * stats.norm.ppf(0.95))
    assert (value.count, value.clusters, effective.value, value.unit) == (7, 3, 80.0, "nats")


@pytest.mark.parametrize(
    ("setting", "said"),
    [({"share": 1.0}, "share"), ({"start": 0.0}, "start"), ({"failures": -1}, "failures"), ({"tries": 0}, "tries")],
)
def test_searches_out_of_range_are_refused(setting: dict[str, float], said: str) -> None:
    with pytest.raises(InputError, match=said):
        replace(ScaleSearch(), **setting)
