"""The paper's toys, to the digits it prints; and what the evidence promises: calibrated probabilities of models."""

import json
import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from surefoot.errors import InputError
from surefoot.evidence.linear import LinearModel, linear_evidence, linear_posterior, linear_prefixes, predictive
from surefoot.evidence.prefixes import Prefixes, conditional_findings, crossing, orders_of
from surefoot.evidence.toys import (
    density_model,
    density_toy,
    fourier_features,
    fourier_models,
    fourier_orders,
    fourier_toy,
)

ROOT = Path(__file__).resolve().parents[2]


def ones(values: Tensor) -> Tensor:
    return torch.ones_like(values)[:, None]


def density_evidence(variance: float, mean: float) -> float:
    fit = density_toy().fit
    return linear_evidence(ones(fit), fit, density_model(variance, mean))


def density_judge(variance: float, mean: float) -> float:
    """The summed log predictive density of every judge number, given the fit ones."""
    fit, judge = density_toy()
    model = density_model(variance, mean)
    told = predictive(linear_posterior(ones(fit), fit, model), ones(judge), model)
    return float(torch.distributions.Normal(told.mean, told.variance.sqrt()).log_prob(judge).sum())


@cache
def terms(name: str, seed: int | None = 0) -> Prefixes:
    """All five hundred rows in 200 orders: our own, the same for all models, or (None) as the notebook drew them."""
    rows, (degree, model) = fourier_toy(), fourier_models()[name]
    orders = fourier_orders().of_all[("M3", "M9", "M9c").index(name)] if seed is None else orders_of(500, 200, seed)
    return linear_prefixes(fourier_features(rows.points, degree), rows.targets, model, orders)


@pytest.mark.parametrize(
    ("variance", "mean", "printed"), [(1e6, 1.0, -66.94), (0.07, -0.4, -66.32), (1.0, 0.0, -60.35)]
)
def test_density_models_have_the_published_evidence(variance: float, mean: float, printed: float) -> None:
    assert density_evidence(variance, mean) == pytest.approx(printed, abs=0.005)


def test_the_label_of_the_best_density_model_is_that_of_another_mean() -> None:
    """The paper's figure says −60.8 of its best model; the notebook that drew it held the mean −0.4."""
    assert density_evidence(1.0, -0.4) == pytest.approx(-60.737, abs=0.0005)
    assert density_evidence(1.0, 0.0) - density_evidence(1.0, -0.4) > 0.3


def test_the_best_prior_variance_of_the_density_is_where_theory_has_it() -> None:
    """The sum has variance n + n²σ², so the evidence is largest at σ² = x̄² − 1/n for the prior mean 0."""
    fit = density_toy().fit
    found = minimize_scalar(
        lambda variance: -density_evidence(float(variance), 0.0), bounds=(0.1, 3.0), method="bounded"
    )
    assert found.x == pytest.approx(float(fit.mean() ** 2) - 1 / 40, abs=1e-4)
    assert round(found.x, 1) == 0.6
    assert density_evidence(0.6, 0.0) == pytest.approx(-60.298, abs=0.0005)


PUBLISHED = [
    (0.1, -61.50, -1414.7), (0.6, -60.30, -1383.3), (1.0, -60.35, -1381.1), (10.0, -61.22, -1378.2),
    (1000.0, -63.49, -1377.9),
]  # fmt: skip


@pytest.mark.parametrize(("variance", "evidence", "judged"), PUBLISHED)
def test_a_vaguer_prior_predicts_better_while_its_evidence_falls(
    variance: float, evidence: float, judged: float
) -> None:
    assert density_evidence(variance, 0.0) == pytest.approx(evidence, abs=0.005)
    assert density_judge(variance, 0.0) == pytest.approx(judged, abs=0.05)


def test_the_evidence_prefers_the_density_that_predicts_worse_and_the_conditional_does_not() -> None:
    fit = density_toy().fit
    vague, wrong = (
        linear_prefixes(ones(fit), fit, density_model(*prior), orders_of(40, 200, 0))
        for prior in ((1e6, 1.0), (0.07, -0.4))
    )
    assert vague.evidence.mean() < wrong.evidence.mean()
    assert density_judge(1e6, 1.0) > density_judge(0.07, -0.4) + 90
    differences = vague.conditional(5) - wrong.conditional(5)
    assert float(differences.mean()) > 2
    assert float((differences > 0).double().mean()) > 0.9


@pytest.mark.parametrize(("name", "printed"), [("M3", 53.8036), ("M9", 28.9162), ("M9c", 54.2337)])
def test_fourier_models_have_the_published_evidence(name: str, printed: float) -> None:
    """The notebook works in float32, whose error is 0.003 for M9; the numbers as published have three digits after."""
    rows, (degree, model) = fourier_toy(), fourier_models()[name]
    found = linear_evidence(fourier_features(rows.points[:100], degree), rows.targets[:100], model)
    assert found == pytest.approx(printed, abs=0.004)
    assert found == pytest.approx({"M3": 53.804, "M9": 28.919, "M9c": 54.234}[name], abs=0.0005)


def test_the_corrected_prior_of_the_paper_has_a_deviation_for_its_variance() -> None:
    """Weights were drawn with deviation 1/d²: a prior that says so has 71.47, not 54.23."""
    rows, models = fourier_toy(), fourier_models()
    features = fourier_features(rows.points[:100], 9)
    frequency = torch.arange(1, 10, dtype=torch.float64).repeat(2)
    assert torch.equal(models["M9c"].model.prior_variance, frequency**-2)
    true = LinearModel(0.01, (frequency**-2) ** 2)
    assert torch.allclose(models["M9 true"].model.prior_variance, true.prior_variance)
    assert linear_evidence(features, rows.targets[:100], true) == pytest.approx(71.47, abs=0.005)


@pytest.mark.parametrize(
    ("place", "name", "printed"), [(0, "M3", 10.717725), (1, "M9", 12.877536), (2, "M9c", 13.276567)]
)
def test_conditional_evidence_after_85_rows_is_the_notebooks_in_its_own_orders(
    place: int, name: str, printed: float
) -> None:
    """Means of the same 200 orders; float32 is worth 0.003 of M9."""
    rows, (degree, model) = fourier_toy(), fourier_models()[name]
    features = fourier_features(rows.points[:100], degree)
    found = linear_prefixes(features, rows.targets[:100], model, fourier_orders().of_fit[place])
    assert float(found.conditional(85).mean()) == pytest.approx(printed, abs=0.003)


def test_other_orders_give_the_conditional_evidence_that_was_told() -> None:
    """10.9 ± .24, 13.2 ± .16 and 13.2 ± .16 over 200 orders; other orders lie 4 standard errors of a difference away
    less than once in 10,000 times."""
    rows = fourier_toy()
    for name, told, error in (("M3", 10.9, 0.24), ("M9", 13.2, 0.16), ("M9c", 13.2, 0.16)):
        degree, model = fourier_models()[name]
        features = fourier_features(rows.points[:100], degree)
        found = linear_prefixes(features, rows.targets[:100], model, orders_of(100, 200, seed=1))
        mean, deviation = conditional_findings(found, 85, subject=name, source="fit")
        assert mean.value == pytest.approx(told, abs=4 * math.sqrt(2) * error)
        assert deviation.value / math.sqrt(200) == pytest.approx(error, rel=0.35)


def test_the_small_model_leads_up_to_297_rows() -> None:
    """As published, in the notebook's orders; the interval says that 297 is 284 to 308."""
    found = crossing(terms("M3", None), terms("M9", None))
    assert found is not None
    assert found.rows == 297
    assert found.first < 290
    assert found.last is not None
    assert found.last > 300
    shared = crossing(terms("M3"), terms("M9"))
    assert shared is not None
    assert shared.first <= 306
    assert shared.last is not None
    assert shared.last >= 290


def test_learning_curves_cross_long_before_the_evidence_does() -> None:
    """M9 predicts the next row better from some 50 rows on, and needs 300 to make up for its first ones."""
    better = terms("M9").terms.mean(0) > terms("M3").terms.mean(0)
    assert not bool(better[:10].any())
    assert bool(better[60:].double().mean() > 0.9)
    assert terms("M9").evidence.mean() > terms("M3").evidence.mean()


def test_probabilities_of_models_are_calibrated() -> None:
    """2,000 data sets, each from one of two models with odds 3 : 7. The evidence gives the first the probability p, so
    Σ w (is first − p) has mean 0 and variance Σ w² p (1 − p), for any weights w of p; three of them, each beyond 4.2
    deviations once in 37,000 runs of a sound evidence."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    frequency = torch.arange(1, 4, dtype=torch.float64).repeat(2)
    models = (
        LinearModel(0.25, frequency**-2),
        LinearModel(0.5, torch.full((4,), 0.5).double(), torch.ones(4).double()),
    )
    first, said = [], []
    for _ in range(2_000):
        points = 6 * torch.rand(8, generator=generator, dtype=torch.float64)
        features = fourier_features(points, 3), fourier_features(points, 2)
        chosen = int(torch.rand((), generator=generator) >= 0.3)
        model = models[chosen]
        mean = 0.0 if model.prior_mean is None else model.prior_mean
        weights = mean + model.prior_variance.sqrt() * normal(len(model.prior_variance))
        targets = features[chosen] @ weights + math.sqrt(model.noise_variance) * normal(8)
        left, right = (linear_evidence(each, targets, one) for each, one in zip(features, models, strict=True))
        first.append(1 - chosen)
        said.append(1 / (1 + 7 / 3 * math.exp(right - left)))
    truth, p = np.array(first), np.array(said)
    assert p.std() > 0.2  # the data do tell the models apart
    for weight in (np.ones_like(p), p - 0.5, (p > 0.8).astype(float)):
        assert abs((weight * (truth - p)).sum()) < 4.2 * math.sqrt((weight**2 * p * (1 - p)).sum())


def test_a_basis_without_a_frequency_is_refused() -> None:
    with pytest.raises(InputError, match="at least 1"):
        fourier_features(torch.zeros(1, dtype=torch.float64), 0)


def test_the_page_says_what_its_data_say_and_the_data_what_the_code_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "studies"))
    import evidence_toys

    record = json.loads((ROOT / "docs/data/evidence-toys.json").read_text(encoding="utf-8"))
    page = (ROOT / "docs/evidence-toys.md").read_text(encoding="utf-8")
    assert evidence_toys.with_tables(page, record) == page
    assert evidence_toys.picture(record) == (ROOT / "docs/images/evidence-toys.svg").read_text(encoding="utf-8")
    for line in record["density"]["lines"]:
        now = evidence_toys.density_of(line["variance"], line["mean"])
        assert (line["evidence"], line["judge"]) == pytest.approx((now["evidence"], now["judge"]))
        assert line["conditional"]["value"] == pytest.approx(now["conditional"]["value"])
    with pytest.raises(ValueError, match="fewer places"):
        evidence_toys.with_tables("<!-- numbers --><!-- /numbers -->", record)
