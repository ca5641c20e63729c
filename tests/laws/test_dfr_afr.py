"""Law 6: DFR's solver reaches liblinear's optimum; AFR's batched path equals the plain loop step by step."""

import itertools
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn.functional import cross_entropy

from surefoot.robust.afr import AFRSettings, afr_weights
from surefoot.robust.afr_descent import Span, descend
from surefoot.robust.head import LinearHead
from surefoot.robust.protocol import Material
from surefoot.robust.sparse.solve import sparse_logistic, sparse_objective
from surefoot.rows.rows import Groups, make_rows

KINDS = ["plain", "twice the same columns", "constant columns", "low rank", "more columns than rows", "not centred"]


def matrix(kind: str, generator: torch.Generator) -> Tensor:
    rows, columns = (60, 90) if kind == "more columns than rows" else (150, 20)
    plain = torch.randn(rows, columns, generator=generator, dtype=torch.float64)
    if kind == "twice the same columns":
        return torch.cat([plain, plain], dim=1)
    if kind == "constant columns":
        return torch.cat([plain, torch.zeros(rows, 1), torch.full((rows, 1), 3.0)], dim=1)
    if kind == "low rank":
        return plain[:, :4] @ torch.randn(4, columns, generator=generator, dtype=torch.float64)
    if kind == "not centred":
        return plain + 2
    return plain


def liblinear(features: Tensor, positive: Tensor, weights: Tensor, strength: float) -> tuple[Tensor, float]:
    kept = weights > 0
    model = LogisticRegression(
        l1_ratio=1, solver="liblinear", C=strength, tol=1e-10, max_iter=5000, intercept_scaling=1, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(features[kept].numpy(), positive[kept].numpy(), sample_weight=weights[kept].numpy())
    return torch.from_numpy(model.coef_[0]), float(model.intercept_[0])


@pytest.mark.parametrize("kind", KINDS)
def test_the_sparse_solver_reaches_liblinear_s_optimum(kind: str) -> None:
    generator = torch.Generator().manual_seed(KINDS.index(kind))
    features = matrix(kind, generator)
    truth = torch.randn(features.shape[1], generator=generator, dtype=torch.float64)
    noise = torch.randn(len(features), generator=generator, dtype=torch.float64) * 2
    positive = features @ truth + noise > (features @ truth).median()
    strengths = torch.tensor([1.0, 0.3, 0.1, 0.03, 0.01, 1.0, 0.1], dtype=torch.float64)
    # Subsets (0/1) for all, class weights of 10 and 100 for the last two.
    weights = (torch.rand(7, len(features), generator=generator) < 0.8).to(torch.float64)
    weights[5] *= torch.where(positive, 10.0, 1.0)
    weights[6] *= torch.where(positive, 1.0, 100.0)
    fits = sparse_logistic(features, positive.expand(7, -1), weights, strengths)
    assert float(fits.certificate.max()) <= 1e-7
    for fit in range(7):
        strength = float(strengths[fit])
        theirs = sparse_objective(
            features, positive, weights[fit], strength, *liblinear(features, positive, weights[fit], strength)
        )
        ours = sparse_objective(features, positive, weights[fit], strength, fits.weight[fit], float(fits.bias[fit]))
        assert ours == pytest.approx(float(fits.objective[fit]), rel=1e-12)
        assert ours == pytest.approx(theirs, rel=1e-6)
        # Liblinear bounds the optimum from above too: the certificate must not promise more than it found.
        assert theirs >= ours * (1 - float(fits.certificate[fit]))


def test_the_coefficients_are_liblinear_s_where_the_optimum_is_unique() -> None:
    generator = torch.Generator().manual_seed(9)
    features = torch.randn(300, 10, generator=generator, dtype=torch.float64)
    positive = features[:, 0] + torch.randn(300, generator=generator, dtype=torch.float64) > 0.4
    ones = torch.ones(1, 300, dtype=torch.float64)
    fits = sparse_logistic(features, positive[None], ones, torch.tensor([0.1], dtype=torch.float64), tolerance=1e-12)
    weight, bias = liblinear(features, positive, ones[0], 0.1)
    torch.testing.assert_close(fits.weight[0], weight, rtol=0, atol=1e-6)
    assert float(fits.bias[0]) == pytest.approx(bias, abs=1e-6)
    assert ((fits.weight[0] == 0) == (weight == 0)).all()


def plain_afr(
    repair: Material, choose: Material, groups: Groups, base: LinearHead, gamma: float, penalty: float, s: AFRSettings
) -> tuple[list[Tensor], list[float]]:
    """One setting, as the released script writes it: torch parameters, autograd, clip_grad_norm_, SGD."""
    weight, bias = base.weight.clone().requires_grad_(), base.bias.clone().requires_grad_()
    counts = repair.targets.bincount().to(weight.dtype)
    probability = base.logits(repair.features).softmax(1).gather(1, repair.targets[:, None])[:, 0]
    mu = torch.exp(-gamma * probability) / counts[repair.targets]
    mu = mu / mu.sum()
    optimiser = torch.optim.SGD([weight, bias], lr=s.rate)
    path, worst = [], []
    for step in range(s.steps + 1):
        with torch.no_grad():
            correct = (choose.features @ weight.T + bias).argmax(1) == choose.targets
            worst.append(min(float(correct[members].double().mean()) for members in groups.members.T))
            path.append(torch.cat([weight - base.weight, (bias - base.bias)[:, None]], 1).detach().clone())
        if step == s.steps:
            return path, worst
        optimiser.zero_grad()
        loss = (mu * cross_entropy(repair.features @ weight.T + bias, repair.targets, reduction="none")).sum()
        distance = (weight - base.weight).square().sum() + (bias - base.bias).square().sum()
        (loss + penalty * distance).backward()
        torch.nn.utils.clip_grad_norm_([weight, bias], s.clip)
        optimiser.step()
    raise AssertionError


def rows_of(classes: int, count: int, precision: torch.dtype, seed: int, role: str) -> Material:
    generator = torch.Generator().manual_seed(seed)
    targets = torch.arange(count) % classes
    features = torch.randn(count, 5, generator=generator, dtype=torch.float64) * 3
    features[:, 0] += 2.0 * targets
    ids = np.array([f"{role}:{row}" for row in range(count)])
    members = torch.stack([(targets == label) & (features[:, 1] > 0) for label in range(classes)], dim=1)
    groups = Groups(tuple(f"g{label}" for label in range(classes)), members)
    features = features.to(precision)
    rows = make_rows(features, targets, groups=groups, ids=ids, classes=[str(label) for label in range(classes)])
    return Material("repair" if role == "repair" else "choose", rows, features, targets)


@pytest.mark.parametrize(
    ("classes", "precision", "allowed", "clip"),
    [
        (2, torch.float32, 1e-5, 1.0),
        (3, torch.float32, 1e-5, 1.0),
        (2, torch.float64, 1e-10, 1.0),
        (3, torch.float64, 1e-10, 0.05),
    ],
)
def test_afr_batched_path_equals_the_plain_loop(
    classes: int, precision: torch.dtype, allowed: float, clip: float
) -> None:
    repair, choose = rows_of(classes, 60, precision, 1, "repair"), rows_of(classes, 81, precision, 2, "choose")
    groups = choose.rows.groups
    generator = torch.Generator().manual_seed(3)
    base = LinearHead(
        (torch.randn(classes, 5, generator=generator, dtype=torch.float64) * 0.3).to(precision),
        torch.randn(classes, generator=generator, dtype=torch.float64).to(precision),
    )
    # Trap 8 of AFR: at λ = 50 and rate .01 the shrink factor 1 − 2λ·rate is exactly 0.
    gammas, penalties = (0.0, 12.0), (0.0, 0.2, 50.0)
    probabilities = base.probabilities(repair.features).gather(1, repair.targets[:, None])[:, 0]
    weights = afr_weights(probabilities, repair.targets, gammas, classes, True)
    loops = {}
    full = AFRSettings(gammas=gammas, penalties=penalties, steps=500, clip=clip)
    for setting, (gamma, penalty) in enumerate(itertools.product(gammas, penalties)):
        if setting not in (0, 2):  # four of the six, for time
            loops[setting] = plain_afr(repair, choose, groups, base, gamma, penalty, full)
    spans: tuple[Span, ...] = ("features", "rows")
    for span, steps in itertools.product(spans, (0, 1, 2, 3, 10, 100, 500)):
        descent = replace(full, steps=steps).descent()
        path = descend(repair, choose, groups, base, weights, descent, span)
        for setting, (loop, worst) in loops.items():
            torch.testing.assert_close(path.last[setting], loop[steps], rtol=0, atol=allowed)
            if precision == torch.float64:
                # The first of the best steps, and the state there.
                first = int(np.argmax(worst[: steps + 1]))
                assert int(path.step[setting]) == first
                assert float(path.worst[setting]) == pytest.approx(worst[first], abs=1e-12)
                torch.testing.assert_close(path.change[setting], loop[first], rtol=0, atol=allowed)
