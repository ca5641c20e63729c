"""The parts of an evidence: closed forms of a linear regression, finite differences, MacKay's fixed point."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from surefoot.density.layered import Layered
from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian
from surefoot.density.regression import GaussianNoise
from surefoot.evidence.anatomy import Anatomy, anatomy_of, ratios_of
from surefoot.evidence.laplace.evidence import evidence_of
from surefoot.evidence.laplace.expand import expand
from surefoot.evidence.laplace.expansion import Expansion
from surefoot.evidence.laplace.tune import tune
from surefoot.evidence.linear import LinearModel, linear_evidence
from surefoot.networks.build import build_linear, build_mlp
from surefoot.networks.network import parameters_of
from surefoot.rows.rows import make_rows

NOISE = 0.7


def regression() -> tuple[Tensor, Tensor]:
    """A design of four features of very different sizes and a constant, and targets."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(30, 4, generator=generator, dtype=torch.float64) * torch.tensor([3.0, 1.0, 0.1, 0.003])
    targets = inputs[:, 0] - inputs[:, 1] + NOISE * torch.randn(30, generator=generator, dtype=torch.float64)
    return torch.cat([inputs, torch.ones(30, 1).double()], dim=1), targets


def expanded(weight: float, bias: float) -> tuple[Expansion, Tensor]:
    """At the mode under N(0, 1/weight) of weights and N(0, 1/bias) of the constant; and that mode."""
    design, targets = regression()
    prior = torch.tensor([weight] * 4 + [bias], dtype=torch.float64)
    mode = torch.linalg.solve(design.T @ design / NOISE**2 + prior.diag(), design.T @ targets / NOISE**2)
    layered = Layered({"head.weight": Gaussian(weight), "head.bias": Gaussian(bias)})
    posterior = Posterior(build_linear(4, 1, seed=0), GaussianNoise(NOISE), layered)
    point = {"head.weight": mode[None, :4].clone(), "head.bias": mode[4:].clone()}
    return expand(posterior, make_rows(design[:, :4], targets[:, None]), point), mode


@pytest.mark.parametrize(("weight", "bias"), [(2.0, 2.0), (2.0, 0.1)])
def test_the_parts_have_their_closed_forms(weight: float, bias: float) -> None:
    expansion, mode = expanded(weight, bias)
    design, targets = regression()
    prior = torch.tensor([weight] * 4 + [bias], dtype=torch.float64)
    matrix = design.T @ design / NOISE**2 + prior.diag()
    found = anatomy_of(expansion)

    fit = Normal(design @ mode, NOISE).log_prob(targets).sum()
    occam = Normal(0.0, prior.rsqrt()).log_prob(mode).sum() + 2.5 * math.log(2 * math.pi) - 0.5 * matrix.logdet()
    assert found.fit == pytest.approx(fit.item(), abs=1e-9)
    assert found.occam == pytest.approx(occam.item(), abs=1e-9)
    assert found.effective == pytest.approx(5 - (prior / matrix.inverse().diagonal().reciprocal()).sum().item())
    assert found.evidence == pytest.approx(linear_evidence(design, targets, LinearModel(NOISE**2, 1 / prior)), abs=1e-9)
    assert (found.parameters, found.untouched) == (5, 1)  # the feature of size 0.003


def test_the_number_of_parameters_is_mackays_sum_over_singular_values() -> None:
    design, _ = regression()
    found = anatomy_of(expanded(2.0, 2.0)[0])
    squares = torch.linalg.svdvals(design).square() / NOISE**2
    assert found.effective == pytest.approx((squares / (squares + 2)).sum().item())


def test_the_slope_is_that_of_the_exact_evidence_whose_mode_moves_too() -> None:
    """At a mode what the mode contributes is of second order: ½ (γ − D) is the total derivative."""
    design, targets = regression()

    def exact(log_factor: float) -> float:
        variance = torch.tensor([0.5] * 4 + [10.0], dtype=torch.float64) * math.exp(-log_factor)
        return linear_evidence(design, targets, LinearModel(NOISE**2, variance))

    slope = anatomy_of(expanded(2.0, 0.1)[0]).slope
    assert abs(slope) > 0.1
    assert slope == pytest.approx((exact(1e-4) - exact(-1e-4)) / 2e-4, abs=1e-6)


def test_the_slope_is_zero_at_mackays_fixed_point() -> None:
    found, precision = expanded(1.0, 1.0)[0], 1.0
    for _ in range(30):  # λ = γ / Σ θ², training again each time
        precision = anatomy_of(found).effective / found.distances.sum().item()
        found = expanded(precision, precision)[0]
    assert anatomy_of(found).slope == pytest.approx(0.0, abs=1e-8)
    tuned = tune(found, optimiser="lbfgs")
    assert tuned.precisions[0].item() == pytest.approx(precision, rel=1e-4)
    design, targets = regression()

    def exact(value: float) -> float:
        return linear_evidence(design, targets, LinearModel(NOISE**2, torch.full((5,), 1 / value).double()))

    assert exact(precision) > max(exact(precision * 1.01), exact(precision / 1.01))


def networks() -> dict[str, Expansion]:
    """Every structure, kind and likelihood, away from a mode and under several precisions."""
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(20, 3, generator=generator)
    network = build_mlp(3, 4, 2, seed=0)
    names = list(parameters_of(network))
    several = Layered({name: Gaussian(0.5 + place) for place, name in enumerate(names)})
    found: dict[str, Expansion] = {}
    for prior_name, prior in (("one", Gaussian(1.5)), ("several", several)):
        classes = Posterior(network, categorical, prior)
        numbers = Posterior(network, GaussianNoise(0.6), prior)
        labels = make_rows(inputs, torch.randint(2, (20,), generator=generator))
        targets = make_rows(inputs, torch.randn(20, 2, generator=generator))
        for structure in ("full", "kron", "diag"):
            for kind in ("ggn", "fisher"):
                for posterior, rows in ((classes, labels), (numbers, targets)):
                    key = f"{prior_name} {structure} {kind} {type(posterior.likelihood).__name__}"
                    found[key] = expand(posterior, rows, parameters_of(network), structure=structure, kind=kind)
    return found


def test_every_structure_and_kind_agrees_with_the_evidence_and_its_finite_differences() -> None:
    found = networks()
    assert len(found) == 24
    for key, expansion in found.items():
        parts = anatomy_of(expansion)

        def at(factor: float, of: Expansion = expansion) -> float:
            return float(evidence_of(of, of.precisions * factor))

        assert parts.evidence == pytest.approx(at(1.0), abs=1e-9), key
        assert parts.lower == pytest.approx(at(0.1), abs=1e-8), key
        assert parts.higher == pytest.approx(at(10.0), abs=1e-8), key
        assert parts.slope == pytest.approx((at(1 + 1e-5) - at(1 - 1e-5)) / 2e-5, abs=1e-5), key
        assert 0 < parts.effective < parts.parameters


def test_given_precisions_and_noise_are_those_of_the_evidence() -> None:
    expansion = networks()["one full ggn GaussianNoise"]
    each = torch.linspace(0.5, 4.0, expansion.parameters, dtype=torch.float64)
    for precisions in (2.5, torch.linspace(1.0, 4.0, len(expansion.sizes)).double(), each):
        parts = anatomy_of(expansion, precisions, noise=1.3)
        assert parts.evidence == pytest.approx(float(evidence_of(expansion, precisions, noise=1.3)), abs=1e-9)
        assert parts.higher == pytest.approx(
            float(evidence_of(expansion, torch.as_tensor(precisions) * 10, noise=1.3)), abs=1e-8
        )
    matrix = expansion.curvatures[0] / 1.3**2
    assert ratios_of(expansion, each, noise=1.3).sum().item() == pytest.approx((matrix.diagonal() / each).sum().item())


def test_the_tail_is_the_share_of_directions_that_rows_hardly_touch() -> None:
    diagonal = replace(networks()["one diag ggn GaussianNoise"], noise=None, misses=0.0, numbers=0)
    size = diagonal.parameters
    values = torch.full((size,), 0.015).double()  # a hundredth of the precision
    values[0] = 15.0
    parts = anatomy_of(replace(diagonal, curvatures=values.split(diagonal.sizes)))
    small = (size - 1) * math.log(1.01)
    assert parts.untouched == size - 1
    assert parts.tail == pytest.approx(small / (small + math.log(11)))
    assert parts.effective == pytest.approx((size - 1) * 0.01 / 1.01 + 10 / 11)


def test_findings_are_the_parts() -> None:
    parts = anatomy_of(expanded(2.0, 2.0)[0])
    told = {finding.name: finding.value for finding in parts.as_findings("M", 30)}
    assert told == {
        "fit_at_mode": parts.fit,
        "occam_factor": parts.occam,
        "effective_parameters": parts.effective,
        "evidence_slope": parts.slope,
        "untouched_share": parts.tail,
    }
    assert isinstance(parts, Anatomy)
