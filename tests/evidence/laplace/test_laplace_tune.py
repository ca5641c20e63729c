"""Hyperparameters by evidence: where MacKay's fixed point is, and where the exact evidence has its maximum."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian
from surefoot.density.regression import GaussianNoise
from surefoot.errors import InputError
from surefoot.evidence.laplace.evidence import evidence_of
from surefoot.evidence.laplace.expand import expand
from surefoot.evidence.laplace.expansion import Expansion
from surefoot.evidence.laplace.online import EvidenceTraining, TrainedByEvidence, train_by_evidence
from surefoot.evidence.laplace.tune import tune
from surefoot.inference.ascend import Ascend
from surefoot.networks.build import build_linear, build_mlp
from surefoot.networks.network import parameters_of
from surefoot.rows.rows import Rows, make_rows


def regression() -> tuple[Rows, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(40, 5, generator=generator, dtype=torch.float64)
    truth = torch.tensor([2.0, -1.0, 0.5, 0.0, 3.0], dtype=torch.float64)
    targets = inputs @ truth + 1 + 0.3 * torch.randn(40, generator=generator, dtype=torch.float64)
    return make_rows(inputs, targets), inputs, targets


def expanded(structure: str) -> Expansion:
    rows, _, _ = regression()
    network = build_mlp(5, 6, 1, seed=0)
    mode = {name: 2 * tensor for name, tensor in parameters_of(network).items()}
    return expand(Posterior(network, GaussianNoise(0.5), Gaussian(1.0)), rows, mode, structure=structure)


@pytest.mark.parametrize("structure", ["full", "kron", "diag"])
@pytest.mark.parametrize("optimiser", ["adam", "lbfgs"])
def test_one_precision_reaches_mackays_fixed_point(structure: str, optimiser: str) -> None:
    expansion = expanded(structure)
    h = torch.cat([block / 0.25 for block in expansion.eigenvalues])
    precision = 1.0
    for _ in range(500):
        precision = ((h / (h + precision)).sum() / expansion.squares.sum()).item()
    found = tune(expansion, steps=200, optimiser=optimiser)
    assert found.precisions.tolist() == pytest.approx([precision] * 4, rel=1e-4)
    assert found.evidence == pytest.approx(evidence_of(expansion, precision).item(), abs=1e-6)
    assert found.evidence == max(found.course)


@pytest.mark.parametrize("structure", ["full", "kron", "diag"])
def test_a_precision_per_tensor_and_the_noise_reach_theirs(structure: str) -> None:
    expansion = expanded(structure)
    found = tune(expansion, ("precisions", "noise"), steps=400, optimiser="lbfgs")
    assert found.noise is not None
    own, variance = found.precisions, found.noise**2
    if structure == "full":
        spread = own.repeat_interleave(torch.tensor(expansion.sizes))
        inverse = torch.linalg.inv(expansion.curvatures[0] / variance + spread.diag()).diagonal()
        parts = (1 - spread * inverse).split(expansion.sizes)
        gammas = torch.stack([part.sum() for part in parts])
    else:
        gammas = torch.stack(
            [(h / (h + variance * one)).sum() for h, one in zip(expansion.curvatures, own, strict=True)]
        )
    torch.testing.assert_close(own, gammas / expansion.distances, rtol=1e-3, atol=1e-6)
    assert variance == pytest.approx(expansion.misses / (expansion.numbers - gammas.sum().item()), rel=1e-3)


def test_what_cannot_be_tuned_is_refused() -> None:
    expansion = expanded("diag")
    with pytest.raises(InputError, match="what is"):
        tune(expansion, ("precision", "precisions"))
    with pytest.raises(InputError, match="steps is 0"):
        tune(expansion, steps=0)
    network = build_linear(2, 2, seed=0)
    rows = make_rows(torch.eye(2), torch.tensor([0, 1]))
    classes = expand(Posterior(network, categorical, Gaussian(1.0)), rows, parameters_of(network))
    with pytest.raises(InputError, match="no Gaussian noise"):
        tune(classes, ("noise",))


def trained(settings: EvidenceTraining, **files: object) -> TrainedByEvidence:
    rows, _, _ = regression()
    posterior = Posterior(build_linear(5, 1, seed=0), GaussianNoise(1.0), Gaussian(1.0))
    start = {name: tensor.double() for name, tensor in parameters_of(posterior.network).items()}
    return train_by_evidence(posterior, rows, start, 0, settings, **files)  # pyright: ignore[reportArgumentType]


CLIMB = Ascend(epochs=2, optimiser="lbfgs", rate=1.0, schedule="constant")


def test_training_a_linear_model_by_evidence_ends_at_the_maximum_of_the_exact_one() -> None:
    found = trained(EvidenceTraining(CLIMB, rounds=12, what=("precisions", "noise"), structure="full"))
    _, inputs, targets = regression()
    x, y = inputs.numpy(), targets.numpy()

    def loss(logs: np.ndarray) -> float:
        weight, bias, noise = np.exp(logs)
        covariance = noise**2 * np.eye(40) + x @ x.T / weight + 1 / bias
        return 0.5 * (np.linalg.slogdet(2 * np.pi * covariance)[1] + y @ np.linalg.solve(covariance, y))

    best = minimize(loss, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9, "maxiter": 2000})
    assert found.evidence == pytest.approx(-best.fun, abs=1e-4)
    assert found.noise == pytest.approx(np.exp(best.x[2]), rel=1e-2)
    assert found.precisions["head.weight"] == pytest.approx(np.exp(best.x[0]), rel=3e-2)
    assert isinstance(found.posterior.likelihood, GaussianNoise)
    assert found.posterior.likelihood.scale == found.noise
    again = expand(found.posterior, regression()[0], found.point)
    assert evidence_of(again).item() == pytest.approx(found.evidence, abs=1e-9)
    assert found.evidence == max(told.before for told in found.course if told.before is not None)


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path) -> None:
    settings = EvidenceTraining(Ascend(epochs=2, batch=16), rounds=4, burn_in=1, steps=10)
    whole = trained(settings)
    assert [told.before is None for told in whole.course] == [True, False, False, False]
    # Far from where anything converges, the best is still the point under what it was trained with.
    again = expand(whole.posterior, regression()[0], whole.point, structure="kron")
    assert evidence_of(again).item() == pytest.approx(whole.evidence, abs=1e-9)
    file = tmp_path / "training.safetensors"

    class Stopped(Exception):
        pass

    def stop(stage: str, done: int, total: int) -> None:
        if stage == "training by evidence" and done == 2:
            raise Stopped

    with pytest.raises(Stopped):
        trained(settings, checkpoint=file, progress=stop)
    resumed = trained(settings, checkpoint=file)
    assert resumed.course == whole.course
    torch.testing.assert_close(resumed.point, whole.point, rtol=0, atol=0)
    assert resumed.precisions == whole.precisions
    other = EvidenceTraining(Ascend(epochs=2, batch=16), rounds=5, burn_in=1, steps=10)
    with pytest.raises(InputError, match="belongs to a run"):
        trained(other, checkpoint=file)
