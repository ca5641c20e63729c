"""Learning: optima in closed form, the objective's own history, conditional evidence, deep kernels, right choices."""

import math

import pytest
import torch
from torch import Tensor

from surefoot.errors import InputError
from surefoot.evidence.prefixes import orders_of
from surefoot.evidence.processes.climb import adam, lbfgs
from surefoot.evidence.processes.combine import Even, Scaled
from surefoot.evidence.processes.deep import DeepKernel, deep_kernel, features_of
from surefoot.evidence.processes.free import free_of, positive, with_free
from surefoot.evidence.processes.kernels import RBF, Constant, Kernel, Linear, Matern, Periodic
from surefoot.evidence.processes.learn import Learn, learn
from surefoot.evidence.processes.means import ConstantMean, ZeroMean
from surefoot.evidence.processes.process import (
    Process,
    condition,
    covariance,
    ordered_terms,
    predict,
    process_evidence,
    process_prefixes,
)
from surefoot.networks.build import build_mlp


def drawn(process: Process, x: Tensor, seed: int) -> Tensor:
    """Targets from the process itself."""
    generator = torch.Generator().manual_seed(seed)
    lower = torch.linalg.cholesky(covariance(process, x))
    return process.mean.of(x) + lower @ torch.randn(len(x), dtype=torch.float64, generator=generator)


def evenly(count: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    return torch.linspace(low, high, count, dtype=torch.float64)[:, None]


def deep_process(seed: int = 0) -> Process:
    kernel = Scaled(deep_kernel(build_mlp(3, 10, 2, seed=seed), RBF(positive(0.5, 0.5))), positive(1.0))
    return Process(kernel, ConstantMean(torch.zeros((), dtype=torch.float64)), positive(0.1))


def test_lbfgs_finds_the_summit_of_a_curved_ridge_and_never_falls() -> None:
    """Rosenbrock's function, whose maximum (of minus it) is at (1, 1)."""
    start = {"a": torch.tensor([-1.2, 1.0], dtype=torch.float64)}
    climbed = lbfgs(lambda f: -((1 - f["a"][0]) ** 2 + 100 * (f["a"][1] - f["a"][0] ** 2) ** 2), start, steps=200)
    assert climbed.free["a"].tolist() == pytest.approx([1.0, 1.0], abs=1e-5)
    assert bool((climbed.history.diff() >= 0).all())


def test_lbfgs_goes_back_from_where_there_is_no_objective() -> None:
    def objective(free: dict[str, Tensor]) -> Tensor:
        if float(free["a"].detach()) > 0.5:
            raise InputError("beyond")
        return free["a"] * 3

    reached = lbfgs(objective, {"a": torch.zeros((), dtype=torch.float64)}, steps=80).free["a"]
    assert 0.45 < float(reached) <= 0.5


def test_noise_and_constant_are_learnt_in_closed_form() -> None:
    """Without a kernel to speak of, the mean of y and its mean square around it."""
    y = torch.randn(50, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 3 + 7
    start = Process(Constant(positive(1e-9)), ConstantMean(torch.zeros((), dtype=torch.float64)), positive(1.0))
    learnt = learn(start, evenly(50), y, seed=0, settings=Learn(held=("kernel",))).process
    assert isinstance(learnt.mean, ConstantMean)
    assert float(learnt.mean.value) == pytest.approx(float(y.mean()), abs=1e-4)
    assert float(learnt.noise) == pytest.approx(float(y.var(correction=0)), rel=1e-4)
    assert learnt.kernel is start.kernel or learnt.kernel == start.kernel


def test_history_is_the_evidence_per_row_and_ends_at_a_stationary_point() -> None:
    truth = Process(Scaled(RBF(positive(0.2)), positive(2.0)), ZeroMean(), positive(0.05))
    x = evenly(60)
    y = drawn(truth, x, seed=1)
    start = Process(Scaled(RBF(positive(0.3)), positive(1.0)), ZeroMean(), positive(0.3))
    learnt = learn(start, x, y, seed=0)
    assert float(learnt.history[0]) == pytest.approx(float(process_evidence(start, x, y)) / 60)
    assert float(learnt.history[-1]) == pytest.approx(float(process_evidence(learnt.process, x, y)) / 60)
    assert learnt.history[-1] * 60 > process_evidence(truth, x, y)
    free = {name: tensor.requires_grad_() for name, tensor in free_of(learnt.process).items()}
    process_evidence(with_free(learnt.process, free), x, y).backward()
    assert all(abs(float(tensor.grad)) < 0.02 for tensor in free.values() if tensor.grad is not None)


def test_adam_and_lbfgs_agree() -> None:
    truth = Process(Scaled(RBF(positive(0.2)), positive(2.0)), ZeroMean(), positive(0.05))
    x = evenly(40)
    y = drawn(truth, x, seed=1)
    one = learn(truth, x, y, seed=0).process
    two = learn(truth, x, y, seed=0, settings=Learn(optimiser="adam", steps=250, rate=0.05)).process
    for name, value in free_of(one).items():
        assert float(value) == pytest.approx(float(free_of(two)[name]), abs=0.02)


def test_held_numbers_stay() -> None:
    x = evenly(10)
    start = Process(Scaled(RBF(positive(0.3)), positive(1.0)), ZeroMean(), positive(0.5))
    learnt = learn(start, x, x[:, 0], seed=0, settings=Learn(held=("kernel.kernel", "noise"))).process
    assert float(learnt.noise) == 0.5
    assert isinstance(learnt.kernel, Scaled)
    assert learnt.kernel.kernel == start.kernel.kernel  # type: ignore[union-attr]
    assert float(learnt.kernel.variance) != 1.0


def test_the_conditional_criterion_is_the_mean_over_its_orders() -> None:
    """With orders that stay, the first value of the history is what prefixes and `orders_of` give."""
    x = evenly(20)
    start = Process(Scaled(RBF(positive(0.3)), positive(1.0)), ZeroMean(), positive(0.5))
    settings = Learn("conditional", share=0.8, orders=7, fresh=False, steps=30)
    learnt = learn(start, x, x[:, 0].sin(), seed=3, settings=settings)
    prefixes = process_prefixes(start, x, x[:, 0].sin(), orders_of(20, 7, seed=3))
    assert float(learnt.history[0]) == pytest.approx(float(prefixes.conditional(16).mean()) / 4)
    assert learnt.history[-1] > learnt.history[0]


def test_fresh_orders_differ_between_steps_and_repeat_with_the_seed() -> None:
    x = evenly(12)
    start = Process(RBF(positive(0.3)), ZeroMean(), positive(0.5))
    told: dict[bool, Tensor] = {}
    for fresh in (True, False):
        settings = Learn("conditional", share=0.5, fresh=fresh, optimiser="adam", steps=4, rate=1e-12)
        told[fresh], again = (learn(start, x, 3 * x[:, 0].sin(), seed=5, settings=settings).history for _ in range(2))
        assert torch.equal(told[fresh], again)
    assert float(told[True].std()) > 1e-2
    assert float(told[False].std()) < 1e-9


def test_conditional_evidence_of_a_deep_kernel_is_a_difference_of_evidences() -> None:
    """The subset's kernel must be the whole's: features rescaled on the rows at hand would fail this."""
    process, generator = deep_process(), torch.Generator().manual_seed(0)
    x = torch.randn(25, 3, dtype=torch.float64, generator=generator)
    y = x[:, 0] * x[:, 1] + 2
    order = orders_of(25, 1, seed=1)
    found = process_prefixes(process, x, y, order).conditional(18)[0]
    first = order[0, :18]
    whole, part = process_evidence(process, x, y), process_evidence(process, x[first], y[first])
    assert float(found) == pytest.approx(float(whole - part), abs=1e-9)
    free = {name: tensor.requires_grad_() for name, tensor in free_of(process).items()}
    moved = with_free(process, free)
    one = torch.autograd.grad(ordered_terms(moved, x, y, order)[0, 18:].sum(), list(free.values()), retain_graph=True)
    difference = process_evidence(moved, x, y) - process_evidence(moved, x[first], y[first])
    two = torch.autograd.grad(difference, list(free.values()))
    for name, left, right in zip(free, one, two, strict=True):
        assert left.numpy() == pytest.approx(right.numpy(), abs=1e-8), name
        assert bool(left.any()) or name.endswith("head.bias"), f"{name} takes no part"


def test_a_deep_kernel_is_its_base_on_bounded_features_that_ask_no_other_row() -> None:
    deep = deep_process().kernel.kernel  # type: ignore[union-attr]
    assert isinstance(deep, DeepKernel)
    x = 10 * torch.randn(9, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    hidden = (x @ deep.parameters["hidden1.weight"].T + deep.parameters["hidden1.bias"]).relu()
    seen = (hidden @ deep.parameters["head.weight"].T + deep.parameters["head.bias"]).tanh()
    assert features_of(deep, x).numpy() == pytest.approx(seen.numpy(), abs=1e-14)
    assert deep.matrix(x, x).numpy() == pytest.approx(deep.kernel.matrix(seen, seen).numpy(), abs=1e-14)
    alone = deep.matrix(x[:2], x[2:5])
    assert alone.numpy() == pytest.approx(deep.matrix(x, x)[:2, 2:5].numpy(), abs=1e-12)


def test_a_deep_kernel_learns_features_that_a_plain_one_cannot() -> None:
    """A wave along a diagonal: features find the direction, which a kernel of a length for each input cannot have."""
    x = torch.randn(240, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y = (1.5 * x.sum(dim=1)).sin()
    kernel = Scaled(deep_kernel(build_mlp(3, 20, 2, seed=0), RBF(positive(0.5, 0.5))), positive(1.0))
    settings = Learn(optimiser="adam", steps=150, rate=0.02)
    errors: list[float] = []
    for tried in (kernel, Scaled(RBF(positive(1.0, 1.0, 1.0)), positive(1.0))):
        start = Process(tried, ZeroMean(), positive(0.1))
        process = learn(start, x[:120], y[:120], seed=0, settings=settings).process
        told = predict(condition(process, x[:120], y[:120]), x[120:])
        errors.append(float((told.mean - y[120:]).square().mean().sqrt()))
    assert errors[0] < 0.5 * errors[1]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (lambda: Learn("conditional"), "use adam, or fresh=False"),
        (lambda: Learn(share=1.0), "share between 0 and 1"),
        (lambda: Learn(steps=0), "at least one order and step"),
        (lambda: Learn(held=("kernel", "noise")), "nothing to learn"),
        (lambda: Learn(held=("nois",)), "no 'nois' to hold"),
        (lambda: Learn("conditional", share=0.01, optimiser="adam"), "leaves one side empty"),
        (lambda: Learn(optimiser="adam", rate=1e5), "not finite"),
    ],
)
def test_what_cannot_be_learnt_is_refused(settings: object, words: str) -> None:
    x = evenly(10)
    with pytest.raises(InputError, match=words):
        learn(Process(RBF(positive(0.3)), ZeroMean(), positive(0.5)), x, x[:, 0], seed=0, settings=settings())  # type: ignore[operator]


def test_an_objective_that_is_not_finite_is_told_with_its_step() -> None:
    with pytest.raises(InputError, match="step 4"):
        adam(lambda free: -(free["a"] - 2.5).sqrt().sum(), {"a": torch.full((1,), 5.0).double()}, 9, rate=1.0)
    with pytest.raises(InputError, match="not finite at the start"):
        lbfgs(lambda free: free["a"].log(), {"a": torch.zeros(()).double()}, 3)


def won(truth: Process, other: Process, x: Tensor, seeds: int) -> int:
    draws = [drawn(truth, x, seed) for seed in range(seeds)]
    return sum(bool(process_evidence(truth, x, y) > process_evidence(other, x, y)) for y in draws)


def test_evidence_is_beaten_by_a_wrong_kernel_no_more_often_than_markov_allows() -> None:
    """Under the true process P(p_wrong(y) ≥ c p_true(y)) ≤ 1/c, whatever is wrong, since the ratio has the mean one.

    200 draws, c = 20: at most 5 % expected; more than 22 has a probability below 3e-4 at exactly 5 % (binomial).
    """
    x = evenly(30, 0, 3)
    truth = Process(RBF(positive(0.5)), ZeroMean(), positive(0.05))
    for other in (Matern(positive(0.45), 1.5), Linear(positive(1.0)), RBF(positive(0.55))):
        wrong = Process(other, ZeroMean(), positive(0.05))
        draws = [drawn(truth, x, seed) for seed in range(200)]
        lost = sum(bool(process_evidence(wrong, x, y) - process_evidence(truth, x, y) > math.log(20)) for y in draws)
        assert lost <= 22


@pytest.mark.parametrize(
    ("truth", "other"),
    [
        (Periodic(positive(0.8), positive(1.0)), RBF(positive(0.25))),
        (RBF(positive(0.5)), Matern(positive(0.5), 1.5)),
        (Scaled(Even(RBF(positive(0.6))), positive(2.0)), RBF(positive(0.6))),
        (RBF(positive(0.6)), Scaled(Even(RBF(positive(0.6))), positive(2.0))),
    ],
    ids=["periodic", "smooth", "even", "not even"],
)
def test_the_true_kernel_wins(truth: Kernel, other: Kernel) -> None:
    """The difference of the two evidences is a difference of quadratic forms whose mean and variance are known.

    With Δ = C_o⁻¹ − C_t⁻¹ its mean is ½(log det C_o − log det C_t + tr(Δ C_t)) > 0, the Kullback–Leibler divergence,
    and its variance ½ tr((Δ C_t)²). The mean over 100 draws must be within five standard errors: a false alarm in about
    1.7 million. And the truth must win as often as Cantelli's inequality says, less five binomial standard errors.
    """
    x = evenly(30, -1.5, 1.5)
    one, two = (Process(kernel, ZeroMean(), positive(0.05)) for kernel in (truth, other))
    first, second = covariance(one, x), covariance(two, x)
    turned = (torch.linalg.inv(second) - torch.linalg.inv(first)) @ first
    mean = 0.5 * float(torch.logdet(second) - torch.logdet(first) + turned.trace())
    variance = 0.5 * float((turned @ turned).trace())
    draws = [drawn(one, x, seed) for seed in range(100)]
    apart = torch.stack([process_evidence(one, x, y) - process_evidence(two, x, y) for y in draws])
    assert mean > 0
    assert abs(float(apart.mean()) - mean) < 5 * (variance / 100) ** 0.5
    rate = mean**2 / (mean**2 + variance)
    assert float((apart > 0).double().mean()) > rate - 5 * (rate * (1 - rate) / 100) ** 0.5
