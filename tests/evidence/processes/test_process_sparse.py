"""Inducing points: a bound that is below, exact where it should be, the same in blocks, with little memory."""

import math
from itertools import pairwise

import pytest
import torch
from scipy import stats
from torch import Tensor

from surefoot.errors import InputError
from surefoot.evidence.processes import sparse as module
from surefoot.evidence.processes.combine import Scaled
from surefoot.evidence.processes.deep import deep_kernel
from surefoot.evidence.processes.free import free_of, positive, with_free
from surefoot.evidence.processes.kernels import RBF, Linear, Matern
from surefoot.evidence.processes.learn import Learn
from surefoot.evidence.processes.means import ConstantMean
from surefoot.evidence.processes.process import Process, condition, predict, process_evidence
from surefoot.evidence.processes.sparse import (
    SparseProcess,
    condition_sparse,
    evidence_bound,
    inducing_rows,
    learn_sparse,
    predict_sparse,
    split_difference,
)
from surefoot.networks.build import build_mlp


def rows(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = 4 * torch.rand(count, 2, dtype=torch.float64, generator=generator)
    return x, x[:, 0].sin() + 0.3 * torch.randn(count, dtype=torch.float64, generator=generator)


def process() -> Process:
    mean = ConstantMean(torch.tensor(0.3, dtype=torch.float64))
    return Process(Scaled(Matern(positive(0.8, 1.5)), positive(1.3)), mean, positive(0.09))


def deep_process() -> Process:
    kernel = Scaled(deep_kernel(build_mlp(2, 6, 2, seed=0), RBF(positive(0.5, 0.5))), positive(1.0))
    return Process(kernel, ConstantMean(torch.zeros((), dtype=torch.float64)), positive(0.1))


@pytest.mark.parametrize("whole", [process(), deep_process()], ids=["matern", "deep"])
def test_the_bound_is_below_the_evidence_and_rises_to_it_with_points(whole: Process) -> None:
    x, y = rows(40)
    exact = float(process_evidence(whole, x, y))
    bounds = [float(evidence_bound(SparseProcess(whole, x[:points]), x, y).nats) for points in (1, 5, 15, 30, 40)]
    assert all(one <= two + 1e-9 for one, two in pairwise(bounds))
    assert bounds[0] < bounds[-1] <= exact + 1e-7
    assert bounds[-1] == pytest.approx(exact, abs=1e-4)
    assert evidence_bound(SparseProcess(whole, x[:5]), x, y).side == "below"


def test_with_all_rows_as_points_everything_is_exact() -> None:
    x, y = rows(30)
    new, _ = rows(9, seed=1)
    sparse = SparseProcess(process(), x)
    assert float(evidence_bound(sparse, x, y).nats) == pytest.approx(float(process_evidence(process(), x, y)), rel=1e-9)
    one, two = predict_sparse(condition_sparse(sparse, x, y), new), predict(condition(process(), x, y), new)
    assert one.mean.numpy() == pytest.approx(two.mean.numpy(), abs=1e-8)
    assert one.variance.numpy() == pytest.approx(two.variance.numpy(), abs=1e-8)
    assert one.observed.numpy() == pytest.approx(two.observed.numpy(), abs=1e-8)


def test_floats_of_fewer_digits_give_what_the_same_numbers_in_float64_give() -> None:
    x, y = (each.float() for each in rows(12))
    points = inducing_rows(process(), x, 4)
    assert torch.equal(points, inducing_rows(process(), x.double(), 4))
    one, two = SparseProcess(process(), points.float()), SparseProcess(process(), points)
    assert evidence_bound(one, x, y).nats == evidence_bound(two, x.double(), y.double()).nats
    told = [predict_sparse(condition_sparse(one, *given), given[0]) for given in ((x, y), (x.double(), y.double()))]
    assert torch.equal(told[0].observed, told[1].observed)
    learnt = [learn_sparse(one, *given, Learn(steps=2)).history for given in ((x, y), (x.double(), y.double()))]
    assert torch.equal(learnt[0], learnt[1])


def test_a_kernel_of_rank_two_needs_two_points() -> None:
    x, y = rows(50)
    linear = Process(Linear(positive(1.0, 2.0)), process().mean, positive(0.09))
    exact = float(process_evidence(linear, x, y))
    assert float(evidence_bound(SparseProcess(linear, x[:2]), x, y).nats) == pytest.approx(exact, rel=1e-9)
    assert float(evidence_bound(SparseProcess(linear, x[:1]), x, y).nats) < exact - 1


def test_the_bound_is_titsias_dense_formula() -> None:
    x, y = rows(25)
    u = x[:6] + 0.1
    kernel = process().kernel
    crossed = kernel.matrix(x, u)
    q = crossed @ torch.linalg.solve(kernel.matrix(u, u), crossed.T)
    normal = stats.multivariate_normal([0.3] * 25, (q + 0.09 * torch.eye(25, dtype=torch.float64)).numpy())
    trace = float(kernel.matrix(x, x).trace() - q.trace())
    expected = normal.logpdf(y.numpy()) - trace / (2 * 0.09)
    assert float(evidence_bound(SparseProcess(process(), u), x, y).nats) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("whole", [process(), deep_process()], ids=["matern", "deep"])
def test_blocks_change_neither_bound_nor_gradient_nor_predictions(whole: Process) -> None:
    x, y = rows(23)
    sparse = SparseProcess(whole, x[:5])
    found: list[tuple[float, list[Tensor]]] = []
    for block in (23, 5):
        free = {name: tensor.requires_grad_() for name, tensor in free_of(sparse).items()}
        bound = evidence_bound(with_free(sparse, free), x, y, block).nats
        found.append((float(bound.detach()), list(torch.autograd.grad(bound, list(free.values())))))
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-12)
    for name, one, two in zip(free_of(sparse), found[0][1], found[1][1], strict=True):
        assert two.numpy() == pytest.approx(one.numpy(), rel=1e-8, abs=1e-9), name
    one, two = (predict_sparse(condition_sparse(sparse, x, y, block), x, block) for block in (23, 5))
    assert two.mean.numpy() == pytest.approx(one.mean.numpy(), abs=1e-9)
    assert two.variance.numpy() == pytest.approx(one.variance.numpy(), abs=1e-9)


def test_gradients_are_finite_differences_points_included() -> None:
    x, y = rows(12)
    sparse = SparseProcess(process(), x[:3] + 0.05)
    free = {name: tensor.requires_grad_() for name, tensor in free_of(sparse).items()}
    assert "inducing" in free
    assert torch.autograd.gradcheck(
        lambda *tensors: evidence_bound(with_free(sparse, dict(zip(free, tensors, strict=True))), x, y, 5).nats,
        tuple(free.values()),
    )


def test_a_difference_of_bounds_is_above_or_below_the_conditional_evidence_and_says_so() -> None:
    """Two targets at one place, 3 and then −3, and a point far away: they explain nothing together and much apart."""
    whole = Process(RBF(positive(1.0)), ConstantMean(torch.zeros((), dtype=torch.float64)), positive(0.1))
    x, y = torch.zeros(2, 1, dtype=torch.float64), torch.tensor([3.0, -3.0], dtype=torch.float64)
    exact = stats.norm(3 / 1.1, (1 - 1 / 1.1 + 0.1) ** 0.5).logpdf(-3)
    tight = split_difference(SparseProcess(whole, x[:1]), x, y, first=1)
    assert float(tight.nats) == pytest.approx(exact, rel=1e-9)
    loose = split_difference(SparseProcess(whole, x[:1] + 100), x, y, first=1)
    assert loose.side == "neither"
    assert float(loose.nats) > exact + 10
    agreeing = split_difference(SparseProcess(whole, x[:1] + 100), x, y.abs(), first=1)
    assert float(agreeing.nats) < stats.norm(3 / 1.1, (1 - 1 / 1.1 + 0.1) ** 0.5).logpdf(3) - 10


def test_learning_raises_the_bound_and_moves_points() -> None:
    x, y = rows(80)
    start = SparseProcess(process(), x[:6])
    learnt = learn_sparse(start, x, y, Learn(steps=40), block=32)
    assert float(learnt.history[0]) == pytest.approx(float(evidence_bound(start, x, y).nats) / 80)
    assert float(learnt.history[-1]) == pytest.approx(float(evidence_bound(learnt.sparse, x, y).nats) / 80)
    assert learnt.history[-1] > learnt.history[0] + 0.01
    assert not torch.equal(learnt.sparse.inducing, start.inducing)
    held = learn_sparse(start, x, y, Learn(steps=3, held=("inducing",))).sparse
    assert torch.equal(held.inducing, start.inducing)


def test_inducing_rows_are_those_of_a_pivoted_cholesky_factorisation() -> None:
    """The largest conditional variance at every step, by dense algebra."""
    x, _ = rows(30)
    x[:, 0] *= 3
    kernel = process().kernel
    taken: list[int] = []
    for _ in range(8):
        whole = kernel.matrix(x, x)
        crossed = whole[:, taken]
        inner = torch.linalg.solve(whole[taken][:, taken], crossed.T) if taken else crossed.T
        left = (whole - crossed @ inner).diagonal()
        taken.append(0 if not taken else int(left.argmax()))
    chosen = inducing_rows(process(), x, 8)
    assert chosen.tolist() == x[taken].tolist()
    with pytest.raises(InputError, match="2 rows already explain"):
        inducing_rows(Process(Linear(positive(1.0)), process().mean, positive(0.1)), x, 3)


def test_memory_does_not_grow_with_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest matrix that is made while gradients are taken: points × block, whatever the number of rows."""
    largest: list[int] = []
    plain = module.torch.linalg.solve_triangular

    def watched(*given: Tensor, upper: bool) -> Tensor:
        largest.append(given[1].numel())
        return plain(*given, upper=upper)

    monkeypatch.setattr(module.torch.linalg, "solve_triangular", watched)
    x, y = rows(3000)
    sparse = SparseProcess(process(), x[:10])
    free = {name: tensor.requires_grad_() for name, tensor in free_of(sparse).items()}
    evidence_bound(with_free(sparse, free), x, y, 100).nats.backward()
    assert max(largest) == 10 * 100
    assert len(largest) >= 2 * 30  # every block twice: once for the sums, once for their gradients


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda x, y: learn_sparse(SparseProcess(process(), x), x, y, Learn("conditional", fresh=False)), "no bound"),
        (lambda x, y: split_difference(SparseProcess(process(), x[:2]), x, y, 0), "leave rows on both sides"),
        (lambda x, y: inducing_rows(process(), x, 99), "99 inducing points were asked for, of 9 rows"),
        (lambda x, y: evidence_bound(SparseProcess(process(), x[:2]), x, y, block=0), "at least one"),
        (lambda x, y: evidence_bound(SparseProcess(process(), x[:2]), x / math.nan, y), "not finite"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused(wrong: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        wrong(*rows(9))  # type: ignore[operator]
