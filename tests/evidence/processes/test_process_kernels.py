"""Kernels against closed forms and scikit-learn's; free numbers; derivatives against finite differences."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.gaussian_process import kernels as peers
from torch import Tensor

from surefoot.errors import InputError
from surefoot.evidence.processes.combine import Even, Product, Scaled, Sum, Symmetric
from surefoot.evidence.processes.deep import deep_kernel
from surefoot.evidence.processes.free import free_of, positive, with_free
from surefoot.evidence.processes.kernels import RBF, Constant, Kernel, Linear, Matern, Periodic, RationalQuadratic
from surefoot.evidence.processes.spectral import SpectralMixture, spectral_start
from surefoot.networks.build import build_mlp

LENGTHS = positive(0.7, 2.0, 1.3)
TURNS = torch.tensor([[0, 1, 2], [1, 2, 0], [2, 0, 1]])
SWAPS = torch.tensor([[0, 1, 2], [2, 1, 0]])


def signs(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def rows(count: int = 7, inputs: int = 3, seed: int = 0) -> Tensor:
    return torch.randn(count, inputs, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def mixture() -> SpectralMixture:
    tensors = [0.2 + torch.rand(2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(s)) for s in (0, 1)]
    return SpectralMixture(positive(0.6, 1.1), tensors[0], 0.2 * tensors[1])


KERNELS: dict[str, Callable[[], Kernel]] = {
    "rbf": lambda: RBF(LENGTHS),
    "matern 3/2": lambda: Matern(LENGTHS, 1.5),
    "matern 5/2": lambda: Matern(LENGTHS),
    "rational quadratic": lambda: RationalQuadratic(LENGTHS, positive(0.4)),
    "periodic": lambda: Periodic(positive(0.9), positive(2.0, 3.0, 4.0)),
    "linear": lambda: Linear(positive(0.5, 1.0, 2.0)),
    "constant": lambda: Constant(positive(1.7)),
    "spectral mixture": mixture,
    "sum": lambda: Sum((RBF(LENGTHS), Scaled(Linear(positive(1.0)), positive(0.3)))),
    "product": lambda: Product((Matern(positive(1.0)), Constant(positive(2.0)), Linear(positive(1.0)))),
    "even": lambda: Even(RationalQuadratic(LENGTHS, positive(0.4))),
    "invariant": lambda: Symmetric(RationalQuadratic(LENGTHS, positive(0.4)), TURNS, signs(1, 1, 1)),
    "odd": lambda: Symmetric(RBF(LENGTHS), SWAPS, signs(1, -1)),
    "deep": lambda: deep_kernel(build_mlp(3, 5, 2, seed=0), RBF(positive(0.5, 0.8))),
}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (RBF(LENGTHS), peers.RBF([0.7, 2.0, 1.3])),
        (Matern(LENGTHS, 1.5), peers.Matern([0.7, 2.0, 1.3], nu=1.5)),
        (Matern(LENGTHS), peers.Matern([0.7, 2.0, 1.3], nu=2.5)),
        (RationalQuadratic(positive(0.8), positive(0.05)), peers.RationalQuadratic(0.8, 0.05)),
        (Linear(positive(1.0)), peers.DotProduct(0.0)),
        (Constant(positive(3.0)), peers.ConstantKernel(3.0)),
        (Sum((RBF(positive(1.0)), Constant(positive(2.0)))), peers.RBF(1.0) + peers.ConstantKernel(2.0)),
        (Product((RBF(positive(1.0)), Linear(positive(1.0)))), peers.RBF(1.0) * peers.DotProduct(0.0)),
        (Scaled(Matern(positive(2.0)), positive(0.3)), 0.3 * peers.Matern(2.0, nu=2.5)),
    ],
    ids=lambda kernel: type(kernel).__name__,
)
def test_kernels_are_scikit_learns(ours: Kernel, theirs: peers.Kernel) -> None:
    one, two = rows(6), rows(4, seed=1)
    assert ours.matrix(one, two).numpy() == pytest.approx(theirs(one.numpy(), two.numpy()), abs=1e-12)


def test_periodic_is_scikit_learns_of_one_input() -> None:
    """Theirs measures sin of the Euclidean distance, so only one input can be compared."""
    x = rows(8, 1)
    ours = Periodic(positive(0.9), positive(1.7)).matrix(x, x).numpy()
    assert ours == pytest.approx(peers.ExpSineSquared(0.9, 1.7)(x.numpy()), abs=1e-12)
    shifted = Periodic(positive(0.9), positive(1.7)).matrix(x, x + 1.7).numpy()
    assert shifted == pytest.approx(ours, abs=1e-12)


def test_the_spectral_mixture_is_the_characteristic_function_of_its_spectrum() -> None:
    """k(τ) = E cos(2π sᵀτ), s a draw from the mixture of normals: 400,000 draws, five standard errors of at most 1/√n.

    A false alarm per entry in 1.7 million, of six entries.
    """
    kernel, count = mixture(), 400_000
    generator = torch.Generator().manual_seed(0)
    x = 0.4 * rows(4)
    total = torch.zeros(4, 4, dtype=torch.float64)
    for weight, middle, width in zip(kernel.weights, kernel.frequencies, kernel.widths, strict=True):
        drawn = middle + width * torch.randn(count, 3, dtype=torch.float64, generator=generator)
        # A normal of any sign: the product over inputs of cosines needs signs that are free of one another.
        drawn = drawn * (2 * torch.randint(0, 2, (count, 3), generator=generator) - 1)
        for i in range(4):
            total[i] += weight * (2 * math.pi * (x[i] - x) @ drawn.T).cos().mean(dim=1)
    assert float((kernel.matrix(x, x) - total).abs().max()) < 5 * 1.7 / count**0.5


def test_spectral_start_finds_two_tones_in_uneven_rows() -> None:
    generator = torch.Generator().manual_seed(0)
    x = 20 * torch.rand(150, 1, dtype=torch.float64, generator=generator)
    y = 2 * (2 * math.pi * 0.4 * x[:, 0]).sin() + (2 * math.pi * 1.3 * x[:, 0]).cos() + 5
    start = spectral_start(x, y, components=2)
    assert start.frequencies[:, 0].numpy() == pytest.approx([0.4, 1.3], abs=1 / 40)
    assert float(start.weights.sum()) == pytest.approx(float(y.var()))
    assert float(start.weights[0] / start.weights[1]) == pytest.approx(4, rel=0.3)


def test_an_even_kernel_is_the_covariance_of_half_f_of_x_plus_f_of_minus_x() -> None:
    x, base = rows(5), RationalQuadratic(LENGTHS, positive(0.4))
    both = torch.cat([x, -x])
    average = 0.5 * torch.cat([torch.eye(5), torch.eye(5)], dim=1).double()
    assert Even(base).matrix(x, x).numpy() == pytest.approx((average @ base.matrix(both, both) @ average.T).numpy())
    assert Even(base).matrix(x, -x).numpy() == pytest.approx(Even(base).matrix(x, x).numpy(), abs=1e-14)


@pytest.mark.parametrize(("moves", "of"), [(TURNS, (1, 1, 1)), (SWAPS, (1, 1)), (SWAPS, (1, -1))])
def test_a_symmetric_kernel_is_the_covariance_of_a_signed_average_and_has_its_symmetry(
    moves: Tensor, of: tuple[int, ...]
) -> None:
    """The base has a length for each input, so it is not itself symmetric: every pair of moves counts."""
    x, base = rows(5), RBF(LENGTHS)
    kernel = Symmetric(base, moves, signs(*of))
    moved = torch.cat([x[:, move] for move in moves])
    average = torch.cat([sign * torch.eye(5).double() for sign in of], dim=1) / len(of)
    assert kernel.matrix(x, x).numpy() == pytest.approx((average @ base.matrix(moved, moved) @ average.T).numpy())
    other = rows(4, seed=1)
    for move, sign in zip(moves, of, strict=True):
        turned = kernel.matrix(x[:, move], other).numpy()
        assert turned == pytest.approx(sign * kernel.matrix(x, other).numpy(), abs=1e-14)
    assert list(free_of(kernel)) == ["kernel.lengths"]


@pytest.mark.parametrize("name", KERNELS)
def test_matrices_are_symmetric_semi_definite_and_have_the_diagonal(name: str) -> None:
    kernel, x = KERNELS[name](), rows(80, seed=3)
    matrix = kernel.matrix(x, x.clone())
    assert matrix.numpy() == pytest.approx(matrix.T.numpy(), abs=1e-12)
    assert matrix.diagonal().numpy() == pytest.approx(kernel.diagonal(x).numpy(), rel=1e-9)
    assert float(torch.linalg.eigvalsh(matrix).min()) > -1e-9 * float(matrix.diagonal().sum())


@pytest.mark.parametrize("name", KERNELS)
def test_gradients_are_finite_differences(name: str) -> None:
    """Of a random combination of the matrix with itself: the diagonal, where √ has no derivative, takes part."""
    kernel, x = KERNELS[name](), rows(6)
    mixed = rows(6, 6, seed=2)
    free = {path: tensor.requires_grad_() for path, tensor in free_of(kernel).items()}
    assert free
    assert torch.autograd.gradcheck(
        lambda *tensors: (mixed * with_free(kernel, dict(zip(free, tensors, strict=True))).matrix(x, x)).sum(),
        tuple(free.values()),
    )


@pytest.mark.parametrize("name", KERNELS)
def test_free_numbers_give_the_kernel_back(name: str) -> None:
    kernel, x = KERNELS[name](), rows()
    again = with_free(kernel, free_of(kernel))
    assert again.matrix(x, x).numpy() == pytest.approx(kernel.matrix(x, x).numpy(), rel=1e-13)


def test_free_numbers_are_named_by_their_paths_and_logarithms_of_positive_ones() -> None:
    kernel = Sum((Scaled(RBF(positive(1.0, 2.0)), positive(3.0)), Constant(positive(4.0))))
    free = free_of(kernel)
    assert list(free) == ["parts.0.kernel.lengths", "parts.0.variance", "parts.1.variance"]
    assert free["parts.0.kernel.lengths"].tolist() == [0.0, math.log(2.0)]
    changed = with_free(kernel, {"parts.1.variance": torch.tensor(0.0).double()})
    assert changed.parts[1] == Constant(torch.tensor(1.0).double())
    assert changed.parts[0] == kernel.parts[0]
    with pytest.raises(InputError, match=r"no 'parts\.2'"):
        with_free(kernel, {"parts.2": torch.tensor(0.0).double()})


def test_places_far_from_the_origin_keep_their_distances() -> None:
    """Without moving the origin, ‖a‖² + ‖b‖² − 2ab would lose 13 digits of 16 here."""
    x = 1e6 + 0.137 * torch.arange(5, dtype=torch.float64)[:, None]
    near = RBF(positive(0.3)).matrix(x - 1e6, x - 1e6)
    assert np.abs((RBF(positive(0.3)).matrix(x, x) - near).numpy()).max() < 1e-12


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: RBF(positive(1.0, 2.0)).matrix(rows(), rows()), "2 numbers for rows of 3 inputs"),
        (lambda: Linear(positive(1.0, 2.0)).matrix(rows(), rows()), "2 numbers for rows of 3 inputs"),
        (lambda: Matern(positive(1.0), 0.5), "smoothness is 0.5"),
        (lambda: positive(1.0, -2.0), "each positive"),
        (lambda: Sum(()), "at least one part"),
        (lambda: Symmetric(RBF(LENGTHS), TURNS[:2], signs(1, 1)), "no group"),
        (lambda: Symmetric(RBF(LENGTHS), TURNS, signs(1, -1, 1)), "no group"),
        (lambda: Symmetric(RBF(LENGTHS), SWAPS.flip(0), signs(1, 1)), "no group"),
        (lambda: Symmetric(RBF(LENGTHS), SWAPS[:1], signs(0)), "no group"),
        (lambda: Symmetric(RBF(LENGTHS), SWAPS, signs(1)), "a sign for each"),
        (lambda: Symmetric(RBF(LENGTHS), torch.tensor([[0, 0, 2]]), signs(1)), "an order of all inputs"),
        (lambda: Symmetric(RBF(positive(1.0)), SWAPS, signs(1, 1)).matrix(rows(3, 4), rows(3, 4)), "rows have 4"),
        (lambda: Symmetric(RBF(positive(1.0)), SWAPS, signs(1, 1)).diagonal(rows(3, 4)), "rows have 4"),
        (lambda: mixture().matrix(rows(3, 2), rows(3, 2)), "frequencies for 3 inputs"),
        (lambda: spectral_start(rows(2, 1), torch.zeros(2).double(), 1), "at least three rows"),
        (lambda: spectral_start(rows(5, 1), torch.zeros(5).double(), 1), "never vary"),
    ],
)
def test_what_makes_no_kernel_is_refused(wrong: Callable[[], object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        wrong()
