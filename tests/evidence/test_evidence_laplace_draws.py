"""Draws of an expansion, of every structure, against the normal distributions that the evidence speaks of."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian
from surefoot.density.regression import GaussianNoise
from surefoot.errors import InputError
from surefoot.evidence.laplace.expand import expand
from surefoot.evidence.laplace.expansion import Kind, Structure
from surefoot.evidence.laplace_draws import draw_expansion
from surefoot.inference.draws import Draws
from surefoot.networks.network import Network, Parameters, parameters_of
from surefoot.rows.rows import Rows, make_rows

WEIGHT = "0.weight"


def regression(rows: int, width: int) -> tuple[Posterior, Rows, Parameters]:
    """A linear regression in float64, and some point."""
    generator = torch.Generator().manual_seed(7)
    design = torch.randn(rows, width, generator=generator, dtype=torch.float64)
    targets = torch.randn(rows, generator=generator, dtype=torch.float64)
    network = Network(nn.Sequential(nn.Linear(width, 1, bias=False)).double(), "0")
    mode = {WEIGHT: torch.full((1, width), 0.5, dtype=torch.float64)}
    return Posterior(network, GaussianNoise(0.9), Gaussian(0.7)), make_rows(design, targets, classes=()), mode


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


def deviations(drawn: Draws, mode: Parameters, name: str) -> Tensor:
    return (drawn.parameters[name] - mode[name]).flatten(1)


@pytest.mark.parametrize("structure", ["full", "kron", "diag"])
def test_draws_have_the_spread_that_the_evidence_speaks_of(structure: Structure) -> None:
    """Σ of all variances against Σ 1/(h + λ) over the eigenvalues that the evidence takes; 5 standard errors, 6e-7."""
    posterior, rows, mode = convolutional()
    expansion = expand(posterior, rows, mode, structure=structure)
    drawn = draw_expansion(posterior, rows, mode, expansion, 1000, seed=2).as_draws()
    precision = 0.9
    again = draw_expansion(posterior, rows, mode, expansion, 1000, seed=2, precisions=precision).as_draws()
    for draws, own in ((drawn, 0.5), (again, precision)):
        variances = torch.cat([1 / (block + own) for block in expansion.eigenvalues])
        squares = sum(deviations(draws, mode, name).square().sum(1) for name in expansion.names)
        assert isinstance(squares, Tensor)
        error = math.sqrt(2 * float(variances.square().sum()) / 1000)
        assert abs(float(squares.mean() - variances.sum())) < 5 * error
        if structure == "full":
            continue
        for block, name in zip(expansion.eigenvalues, expansion.names, strict=True):
            variances = 1 / (block + own)
            error = math.sqrt(2 * float(variances.square().sum()) / 1000)
            assert abs(float(deviations(draws, mode, name).square().sum(1).mean() - variances.sum())) < 5 * error


def test_kronecker_draws_have_the_covariance_of_their_factors() -> None:
    """Whitened by blocks that are summed row by row here, covariances are 1 to within 6 errors of each number."""
    posterior, rows, mode = convolutional()
    drawn = draw_expansion(
        posterior, rows, mode, expand(posterior, rows, mode, structure="kron"), 1500, seed=3
    ).as_draws()
    module = posterior.network.module
    inner = torch.zeros(8, 8, dtype=torch.float64)
    outer = torch.zeros(3, 3, dtype=torch.float64)
    patches, leaving = torch.zeros(4, 4, dtype=torch.float64), torch.zeros(2, 2, dtype=torch.float64)
    assert isinstance(module, nn.Sequential)
    for row in rows.inputs[:]:
        patch = torch.stack([row[0, i : i + 2, j : j + 2].flatten() for i in range(2) for j in range(2)])
        patches += patch.T @ patch / (11 * 4)
        convolved = (patch @ module[0].weight.detach().reshape(2, 4).T + module[0].bias.detach()).requires_grad_()
        features = convolved.tanh().T.flatten()
        inner += torch.outer(features, features).detach() / 11
        logits = module[3].weight.detach() @ features + module[3].bias.detach()
        p = logits.detach().softmax(0)
        bent = torch.diag(p) - torch.outer(p, p)
        outer += bent
        slopes = torch.stack([torch.autograd.grad(z, convolved, retain_graph=True)[0] for z in logits])  # [K, 4, 2]
        leaving += torch.einsum("kti,kl,ltj->ij", slopes, bent, slopes)
    for name, block in (
        ("0.weight", torch.kron(leaving, patches)),
        ("0.bias", leaving),
        ("3.weight", torch.kron(outer, inner)),
        ("3.bias", outer),
    ):
        away = deviations(drawn, mode, name)
        factor = torch.linalg.cholesky(block + 0.5 * torch.eye(len(block), dtype=torch.float64))
        white = away @ factor
        covariance = white.T @ white / len(white)
        torch.testing.assert_close(
            covariance, torch.eye(len(block), dtype=torch.float64), rtol=0, atol=6 / 1500**0.5 * 1.5
        )


@pytest.mark.parametrize("kind", ["ggn", "fisher"])
@pytest.mark.parametrize("structure", ["full", "kron", "diag"])
def test_draws_of_a_regression_know_its_noise(structure: Structure, kind: Kind) -> None:
    """One weight: the variance is 1/(h/σ² + λ), or h/σ⁴ of a Fisher matrix; 1,500 draws are off by 18 % once in 10⁷."""
    posterior, rows, mode = regression(6, 1)
    expansion = expand(posterior, rows, mode, structure=structure, kind=kind)
    design = rows.inputs[:][:, 0]
    per_row = design.square() * (1 if kind == "ggn" else (rows.targets - 0.5 * design).square())
    for noise in (None, 0.3):
        deviation = 0.9 if noise is None else noise
        fall = deviation ** (-2 if kind == "ggn" else -4)
        drawn = draw_expansion(posterior, rows, mode, expansion, 1500, seed=4, noise=noise).as_draws()
        expected = 1 / (float(per_row.sum()) * fall + 0.7)
        assert float(deviations(drawn, mode, WEIGHT).square().mean()) == pytest.approx(expected, rel=0.18)


@pytest.mark.parametrize("structure", ["full", "kron"])
def test_draws_of_a_wide_layer_are_whitened_by_its_precision(structure: Structure) -> None:
    """A linear layer of 130 inputs has one exact Kronecker block: squared lengths are χ² of 130, to 5 errors."""
    posterior, rows, mode = regression(60, 130)
    drawn = draw_expansion(
        posterior, rows, mode, expand(posterior, rows, mode, structure=structure), 600, seed=6
    ).as_draws()
    design = rows.inputs[:]
    precision = design.T @ design / 0.9**2 + 0.7 * torch.eye(130, dtype=torch.float64)
    white = deviations(drawn, mode, WEIGHT) @ torch.linalg.cholesky(precision)
    lengths = white.square().sum(1)
    assert float(lengths.mean()) == pytest.approx(130, abs=5 * math.sqrt(2 * 130 / 600))
    assert float(lengths.var()) == pytest.approx(2 * 130, rel=5 * math.sqrt(2 / 600))


def test_draws_of_the_head_leave_the_rest_alone_and_repeat_by_seed() -> None:
    posterior, rows, mode = convolutional()
    mode = {name: tensor.float() for name, tensor in mode.items()}
    for structure in ("full", "kron", "diag"):
        expansion = expand(posterior, rows, mode, structure=structure, part="head")
        drawn = draw_expansion(posterior, rows, mode, expansion, 5, seed=0).as_draws()
        again = draw_expansion(posterior, rows, mode, expansion, 5, seed=0).as_draws()
        other = draw_expansion(posterior, rows, mode, expansion, 5, seed=1).as_draws()
        assert torch.equal(drawn.parameters["0.weight"], mode["0.weight"].expand(5, -1, -1, -1, -1))
        assert torch.equal(drawn.parameters["3.weight"], again.parameters["3.weight"])
        assert not torch.equal(drawn.parameters["3.weight"], other.parameters["3.weight"])
        assert drawn.parameters["3.weight"].dtype == torch.float32
        assert drawn.seen == rows.origins()


def test_full_draws_are_whitened_by_the_dense_matrix() -> None:
    posterior, rows, mode = convolutional()
    expansion = expand(posterior, rows, mode)
    drawn = draw_expansion(posterior, rows, mode, expansion, 1500, seed=5).as_draws()
    away = torch.cat([deviations(drawn, mode, name) for name in expansion.names], dim=1)
    dense = expansion.curvatures[0] + 0.5 * torch.eye(expansion.parameters, dtype=torch.float64)
    white = away @ torch.linalg.cholesky(dense)
    expected = torch.eye(expansion.parameters, dtype=torch.float64)
    torch.testing.assert_close(white.T @ white / 1500, expected, rtol=0, atol=6 / 1500**0.5 * 1.5)


def test_what_cannot_be_drawn_is_refused() -> None:
    posterior, rows, mode = regression(10, 2)
    expansion = expand(posterior, rows, mode)
    with pytest.raises(InputError, match="draws is 0"):
        draw_expansion(posterior, rows, mode, expansion, 0, 0)
    with pytest.raises(InputError, match="of 10 rows and 5"):
        draw_expansion(posterior, rows.take(torch.arange(5)), mode, expansion, 1, 0)
    with pytest.raises(InputError, match="positive"):
        draw_expansion(posterior, rows, mode, expansion, 1, 0, precisions=-1.0)
    with pytest.raises(InputError, match=r"shape \[3\]"):
        draw_expansion(posterior, rows, mode, expansion, 1, 0, precisions=torch.ones(3, dtype=torch.float64))
    with pytest.raises(InputError, match="noise is"):
        draw_expansion(posterior, rows, mode, expansion, 1, 0, noise=0.0)
    posterior, rows, point = convolutional()
    with pytest.raises(InputError, match="no known Gaussian noise"):
        draw_expansion(posterior, rows, point, expand(posterior, rows, point), 1, 0, noise=1.0)


def test_draws_are_stored_where_a_folder_is_given(tmp_path: Path) -> None:
    posterior, rows, mode = regression(10, 2)
    expansion = expand(posterior, rows, mode)
    folder = tmp_path / "draws"
    kept = draw_expansion(posterior, rows, mode, expansion, 4, 0, folder=folder)
    held = draw_expansion(posterior, rows, mode, expansion, 4, 0)
    assert torch.equal(kept.as_draws().parameters[WEIGHT], held.as_draws().parameters[WEIGHT])
    assert any(folder.iterdir())
