"""Sums in float32 with their error measured: right where they are trusted, refused where they would not be."""

import math

import pytest
import torch
from torch import Tensor

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian
from surefoot.evidence.laplace import sums
from surefoot.evidence.laplace.expand import expand
from surefoot.evidence.laplace.expansion import Expansion
from surefoot.evidence.laplace.squares import (
    FLUSH,
    Seen,
    add_fast,
    add_square,
    eigenvalues_of,
    empty_square,
    moved,
    seen,
    start_fast,
    trusted,
)
from surefoot.networks.build import build_linear, build_mlp
from surefoot.networks.network import parameters_of
from surefoot.rows.rows import make_rows


def features(rows: int, size: int, mean: float = 3.0) -> Tensor:
    return torch.randn(rows, size, generator=torch.Generator().manual_seed(0)) + mean


def summed(given: Tensor) -> Seen:
    fast = start_fast(given[:300])
    for part in given.split(300):
        add_fast(fast, part, part.double())
    return seen(fast)


def test_a_sum_is_made_on_and_above_the_diagonal() -> None:
    given = features(50, 130).double()
    total = empty_square(130)
    add_square(total, given[:20])
    add_square(total, given[20:].reshape(5, 6, 130))
    torch.testing.assert_close(total.triu(), (given.T @ given).triu(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        eigenvalues_of(total), torch.linalg.eigvalsh(given.T @ given).clamp(min=0), rtol=1e-9, atol=1e-8
    )


@pytest.mark.parametrize(("rows", "mean"), [(700, 0.0), (700, 100.0), (FLUSH + 1000, 3.0)])
def test_the_error_is_an_upper_bound_and_no_loose_one(rows: int, mean: float) -> None:
    given = features(rows, 80, mean)
    exact = given.double().T @ given.double()
    found = summed(given)
    whole = found.square.triu() + found.square.triu(1).T
    away = torch.linalg.matrix_norm(whole - exact).item()
    assert away < found.error < 8 * away  # α = 4, of an estimate from 16 draws
    # A plain sum in float32 is worse, most of all where the mean is large.
    plain = torch.linalg.matrix_norm((given.T @ given).double() - exact).item()
    assert away < (plain / 50 if mean == 100.0 else 2 * plain)


def test_what_is_trusted_is_right_within_what_was_said_and_says_so_of_any_error() -> None:
    given = features(700, 80)
    exact = torch.linalg.eigvalsh(given.double().T @ given.double())
    found = summed(given)
    spectrum = trusted(found)
    assert spectrum is not None
    for shift in (0.0, 1.0, 1e4):
        apart = ((spectrum + shift).log().sum() - (exact + shift).log().sum()).abs().item()
        assert apart < moved(spectrum, found.error)
    # The worst error of its size, in the direction that counts most, is still within the bound.
    values, vectors = torch.linalg.eigh(given.double().T @ given.double())
    error = 0.3 * values.min().item()
    inverse = vectors @ values.reciprocal().diag() @ vectors.T
    worst = torch.linalg.eigvalsh((vectors * values) @ vectors.T - error * inverse / inverse.norm())
    gone = (worst.log().sum() - values.log().sum()).abs().item()
    assert 0.5 * moved(worst, error) < gone < moved(worst, error)


def test_features_that_are_zero_everywhere_do_no_harm_and_dependent_ones_are_refused() -> None:
    given = features(700, 80)
    given[:, 5] = 0
    spectrum = trusted(summed(given))
    assert spectrum is not None
    assert spectrum[0] == 0 < spectrum[1]
    given[:, 6] = given[:, 7]
    assert trusted(summed(given)) is None
    assert moved(torch.tensor([1.0, 2.0]).double(), math.inf) == math.inf
    assert moved(torch.tensor([1.0, 2.0]).double(), math.nan) == math.inf


@pytest.mark.parametrize("cosine", [0.0, 0.999])
def test_trust_ends_where_the_bound_passes_a_hundredth_of_a_nat(cosine: float) -> None:
    square = torch.tensor([[1.0, cosine], [cosine, 1.0]], dtype=torch.float64)
    edge = 0.00991 if cosine == 0.0 else 0.01
    inverse = torch.linalg.inv(square).norm().item()
    assert trusted(Seen(square, 0.98 * edge / inverse)) is not None
    assert trusted(Seen(square, 1.02 * edge / inverse)) is None


def expanded(inputs: Tensor) -> Expansion:
    network = build_linear(inputs.shape[1], 4, seed=0)
    rows = make_rows(inputs, torch.arange(len(inputs)) % 4)
    posterior = Posterior(network, categorical, Gaussian(1.0))
    return expand(posterior, rows, parameters_of(network), structure="kron", part="head")


def of_float64(inputs: Tensor, found: Expansion) -> Tensor:
    """The eigenvalues of the weight's block, with those of Σ Λ (the bias's) taken as they are."""
    inner = torch.linalg.eigvalsh(inputs.double().T @ inputs.double() / len(inputs)).clamp(min=0)
    return torch.outer(found.curvatures[1], inner).flatten()


def test_an_expansion_tries_float32_and_takes_float64_where_that_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    again: list[int] = []
    original = sums._squares_again
    monkeypatch.setattr(sums, "_squares_again", lambda *given: again.append(1) or original(*given))
    plain = features(900, 256)
    found = expanded(plain)
    assert not again
    seen_ones = found.curvatures[0] > 0  # Σ Λ has a row too many, whose eigenvalue is rounded to zero
    apart = (found.curvatures[0] / of_float64(plain, found) - 1)[seen_ones].abs().max().item()
    assert 1e-12 < apart < 1e-5  # float32 it was, and near enough

    # One feature is nearly another: an eigenvalue that float32 cannot see, and no precision that would cover it.
    poor = plain.clone()
    poor[:, 1] = poor[:, 0] + 1e-4 * poor[:, 1]
    found = expanded(poor)
    assert again
    exact = of_float64(poor, found)
    torch.testing.assert_close(found.curvatures[0], exact, rtol=1e-9, atol=1e-15 * exact.max().item())


def test_float64_is_taken_at_once_where_float32_cannot_do_or_saves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums, "start_fast", lambda *_: pytest.fail("float32 was tried"))
    expanded(features(400, 256))  # hardly more rows than features
    expanded(features(900, 64))
    expanded(features(900, 256).double().float()[:, :200])
    deep = build_mlp(600, (600, 256), 4, seed=0)  # passing rows again would cost more than is saved
    rows = make_rows(features(900, 600), torch.arange(900) % 4)
    expand(Posterior(deep, categorical, Gaussian(1.0)), rows, parameters_of(deep), structure="kron", part="head")
