"""Chains from plain words: exact where an integral is known, the same after a kill, doubted if they have not mixed."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import expit
from torch import nn

import surefoot.bayes.sample
from surefoot.bayes.forecast import forecast
from surefoot.bayes.kept import CHAINS, digest_posterior, is_kept, keep_posterior, load_posterior
from surefoot.bayes.sample import sample_posterior
from surefoot.bayes.settings import BayesSettings, Sampler
from surefoot.bayes.starts import Begun, begin_head, begin_network
from surefoot.errors import InputError
from surefoot.findings.mixing import bulk_ess
from surefoot.inference.chains.writer import ChainWriter
from surefoot.inference.predict.predict import predict
from surefoot.networks.build import build_linear, build_mlp
from surefoot.networks.network import Network, forward, parameters_of
from surefoot.robust.head import LinearHead
from surefoot.rows.rows import Rows, make_rows

HEAD = LinearHead(torch.zeros(2, 1), torch.zeros(2))


@pytest.fixture
def line() -> Rows:
    """One feature, two classes that it tells in most rows."""
    generator = torch.Generator().manual_seed(3)
    labels = torch.arange(40) % 2
    inputs = (2.0 * labels - 1 + 1.5 * torch.randn(40, generator=generator))[:, None] * 4 + 10
    return make_rows(inputs, labels, classes=["no", "yes"])


def by_quadrature(x: np.ndarray, y: np.ndarray, precision: float, at: np.ndarray) -> tuple[np.ndarray, ...]:
    """Means and deviations of slope and offset of log odds, and the averaged probability of class 1 at `at`.

    Both weights of the softmax have N(0, 1/λ), so slope and offset, their differences, have N(0, 2/λ).
    """
    slope, offset = np.meshgrid(np.linspace(-4, 8, 601), np.linspace(-6, 6, 601), indexing="ij")
    odds = slope[..., None] * x + offset[..., None]
    log = np.where(y == 1, -np.logaddexp(0, -odds), -np.logaddexp(0, odds)).sum(-1)
    log -= precision / 4 * (slope**2 + offset**2)
    weight = np.exp(log - log.max())
    weight /= weight.sum()
    means = np.array([(weight * each).sum() for each in (slope, offset)])
    deviations = np.sqrt(
        [(weight * (each - mean) ** 2).sum() for each, mean in zip((slope, offset), means, strict=True)]
    )
    told = np.array([(weight * expit(slope * each + offset)).sum() for each in at])
    return means, deviations, told


@pytest.mark.parametrize("sampler", [pytest.param("nuts", marks=pytest.mark.slow), "hmc"])
def test_a_head_has_the_moments_that_an_integral_has(sampler: Sampler, line: Rows) -> None:
    """Means within 4.5 standard errors by effective draws: false alarms 4 in 100,000 (four looks, were seeds drawn)."""
    settings = BayesSettings(sampler=sampler, precision=0.5, draws=80 if sampler == "nuts" else 400, burn_in=40)
    begun = begin_head(line, HEAD, settings, 0)
    sampled = sample_posterior(begun.network, begun.rows, begun.starts, settings, 0)
    x, at = begun.rows.inputs[:].double().numpy()[:, 0], np.array([-2.0, 0.0, 0.5, 3.0])
    means, deviations, told = by_quadrature(x, line.targets.numpy(), 0.5, at)
    shards = list(sampled.chains)
    weight = torch.cat([each.parameters["head.weight"] for each in shards]).double()
    bias = torch.cat([each.parameters["head.bias"] for each in shards]).double()
    drawn = torch.stack([weight[:, :, 1, 0] - weight[:, :, 0, 0], bias[:, :, 1] - bias[:, :, 0]], dim=2)
    effective = bulk_ess(drawn).numpy()
    for each in range(2):
        error = deviations[each] / math.sqrt(effective[each])
        assert abs(float(drawn[..., each].mean()) - means[each]) < 4.5 * error
        assert float(drawn[..., each].std()) == pytest.approx(deviations[each], rel=6 / math.sqrt(2 * effective[each]))
    averaged = predict(begun.network, sampled.chains, torch.tensor(at)[:, None].float()).probabilities[:, 1]
    # A probability's slope by the log odds is a quarter at most.
    bound = 4.5 / 4 * np.sqrt((at * deviations[0]) ** 2 + deviations[1] ** 2) / math.sqrt(effective.min())
    assert (np.abs(averaged.numpy() - told) < bound).all()


def test_starting_at_the_trained_head_is_starting_at_the_same_function(line: Rows) -> None:
    head = LinearHead(torch.tensor([[0.3], [-0.2]]), torch.tensor([1.0, -1.0]))
    begun = begin_head(line, head, BayesSettings(start="trained", chains=2), 0)
    assert len(begun.starts) == 2
    logits = forward(begun.network, begun.starts[0], begun.rows.inputs[:])
    torch.testing.assert_close(logits, head.logits(line.inputs[:]).float(), atol=1e-5, rtol=0)
    fresh = begin_head(line, head, BayesSettings(chains=2), 0)
    assert not torch.equal(fresh.starts[0]["head.weight"], fresh.starts[1]["head.weight"])


@pytest.mark.parametrize(
    ("sampler", "told"),
    [
        ("hmc", {}), ("nuts", {"burn_in": 6, "draws": 4}), ("sghmc", {"step_size": 0.01}),
        ("sgld", {"step_size": 0.01}), ("mean_field", {"burn_in": 50, "step_size": 0.05}),
        ("swag", {"step_size": 0.05}), ("laplace", {}),
    ],
)  # fmt: skip
def test_every_sampler_is_reached_repeats_itself_and_learns(sampler: Sampler, told: dict[str, Any], line: Rows) -> None:
    """What they average to is right in most rows of a task that an even guess gets half of."""
    settings = BayesSettings(sampler=sampler, batch=10, **{"draws": 10, "burn_in": 20, **told})
    begun = begin_head(line, HEAD, settings, 0)
    one, other = (sample_posterior(begun.network, begun.rows, begun.starts, settings, 5) for _ in range(2))
    assert (one.chains.chains, one.chains.draws) == (settings.starts, settings.draws)
    for name, tensor in one.chains.as_draws().parameters.items():
        assert torch.equal(tensor, other.chains.as_draws().parameters[name])
    told_by = predict(begun.network, one.chains, begun.rows.inputs).probabilities.argmax(dim=1)
    assert float((told_by == line.targets).double().mean()) > 0.65
    assert one.chains.seen == line.origins()
    approximate = sampler in ("mean_field", "swag", "laplace")
    assert approximate == any("approximation" in note for note in one.notes)
    assert not (approximate and one.doubts)


def test_few_draws_are_doubted(line: Rows) -> None:
    settings = BayesSettings(sampler="hmc", draws=6, burn_in=20)
    begun = begin_head(line, HEAD, settings, 0)
    (doubt,) = sample_posterior(begun.network, begun.rows, begun.starts, settings, 0).doubts
    assert doubt.startswith("its chains have not mixed:")
    assert "effective draws" in doubt


def test_a_fit_that_had_no_time_to_leave_its_start_is_doubted(line: Rows) -> None:
    """40 rows in batches of 10 are 4 steps an epoch; 10 epochs of rate 0.01 on a cosine reach 40 · 0.01 / 2 = 0.2."""
    settings = BayesSettings(sampler="mean_field", draws=4, burn_in=10, batch=10)
    begun = begin_head(line, HEAD, settings, 0)
    (doubt,) = sample_posterior(begun.network, begun.rows, begun.starts, settings, 0).doubts
    assert doubt.startswith("its 40 steps of Adam can move a weight by 0.2 prior deviations at most")


def test_what_is_kept_predicts_as_the_chains_do(line: Rows, tmp_path: Path) -> None:
    """A head reads raw features again, and a network its rows; a folder without bayes.json is unfinished."""
    settings = BayesSettings(sampler="hmc", draws=20, burn_in=20)
    begun = begin_head(line, HEAD, settings, 0)
    folder = tmp_path / "head"
    sampled = sample_posterior(begun.network, begun.rows, begun.starts, settings, 0, folder=folder / CHAINS)
    assert not is_kept(folder)
    with pytest.raises(InputError, match="holds no finished posterior"):
        load_posterior(folder)
    keep_posterior(folder, sampled, settings, 2, begun.scaler)
    direct = predict(begun.network, sampled.chains, begun.rows.inputs).probabilities
    again = load_posterior(folder).probabilities(begun.network, line.inputs)
    torch.testing.assert_close(again.double(), direct, atol=1e-7, rtol=0)

    whole = BayesSettings(part="network", sampler="hmc", draws=5, burn_in=5, step_size=0.2)
    network = build_mlp(1, 3, 2, seed=0)
    started = begin_network(
        network, parameters_of(network), {"mlp": {"inputs": 1, "hidden": [3], "classes": 2}}, line, whole, 0
    )
    out = tmp_path / "network"
    drawn = sample_posterior(started.network, line, started.starts, whole, 0, folder=out / CHAINS)
    keep_posterior(out, drawn, whole, 2)
    assert load_posterior(out).scaler is None
    expected = torch.stack([forward(network, each, line.inputs[:]).softmax(dim=1) for each in drawn.chains.points()])
    told = load_posterior(out).probabilities(network, line.inputs)
    torch.testing.assert_close(told, expected.mean(dim=0), atol=1e-5, rtol=0)


@pytest.mark.parametrize("sampler", ["hmc", "sghmc", "swag", "laplace"])
def test_frozen_layers_are_those_of_the_starts(sampler: Sampler, line: Rows, tmp_path: Path) -> None:
    """The module's own body, an initial one, plays no part: neither in the draws nor in what they predict."""
    told: dict[str, Any] = {} if sampler == "laplace" else {"chains": 2, "step_size": 0.02, "burn_in": 5}
    if sampler == "hmc":
        told = {**told, "step_size": 0.03, "burn_in": 0}
    settings = BayesSettings(part="network", sampler=sampler, draws=5, **told)
    networks = [build_mlp(1, 3, 2, seed=0) for _ in range(2)]
    point = {name: 4 * tensor + 0.1 for name, tensor in parameters_of(networks[0]).items()}
    for name, tensor in networks[1].module.named_parameters():
        with torch.no_grad():
            tensor.copy_(point[name])
    said = []
    for number, network in enumerate(networks):
        network.module.get_submodule("hidden1").requires_grad_(False)
        folder = tmp_path / str(number)
        sampled = sample_posterior(network, line, [point] * settings.starts, settings, 0, folder=folder / CHAINS)
        assert set(sampled.fixed) == {"hidden1.weight", "hidden1.bias"}
        keep_posterior(folder, sampled, settings, 2)
        said.append(load_posterior(folder).probabilities(networks[0], line.inputs))
        draws = [{**sampled.fixed, **each} for each in sampled.chains.points()]
        expected = torch.stack([forward(network, each, line.inputs[:]).softmax(dim=1) for each in draws]).mean(dim=0)
        torch.testing.assert_close(said[-1], expected, atol=1e-5, rtol=0)
        assert digest_posterior(folder) != digest_without(folder)
    assert torch.equal(*said)
    if settings.starts > 1:
        other = {**point, "hidden1.bias": point["hidden1.bias"] + 1}
        with pytest.raises(InputError, match=rf"start of chain {settings.starts} holds 'hidden1\.bias'"):
            sample_posterior(networks[0], line, [*[point] * (settings.starts - 1), other], settings, 0)


def digest_without(folder: Path) -> str:
    """What the posterior of this folder would be called if it lost its frozen tensors."""
    file = folder / "fixed.safetensors"
    aside = file.rename(folder / "aside")
    try:
        return digest_posterior(folder)
    finally:
        aside.rename(file)


class Killed(Exception):
    """What a test throws where a real run would be killed."""


@pytest.mark.parametrize("sampler", ["hmc", pytest.param("nuts", marks=pytest.mark.slow)])
def test_chains_that_were_interrupted_go_on_as_if_nothing_had_happened(
    sampler: Sampler, line: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = BayesSettings(sampler=sampler, draws=8, burn_in=8)
    begun = begin_head(line, HEAD, settings, 0)
    whole = sample_posterior(begun.network, begun.rows, begun.starts, settings, 0)
    monkeypatch.setattr(surefoot.bayes.sample, "SAVE_EVERY", 0.0)
    save, saved = ChainWriter.checkpoint, 0

    def kill_at_the_tenth(writer: ChainWriter, state: object) -> None:
        nonlocal saved
        save(writer, state)
        saved += 1
        if saved == 10:
            raise Killed

    monkeypatch.setattr(ChainWriter, "checkpoint", kill_at_the_tenth)
    with pytest.raises(Killed):
        sample_posterior(begun.network, begun.rows, begun.starts, settings, 0, folder=tmp_path)
    told: list[int] = []
    resumed = sample_posterior(
        begun.network, begun.rows, begun.starts, settings, 0, folder=tmp_path,
        progress=lambda stage, done, total: told.append(done) if stage.startswith("sampling") else None,
    )  # fmt: skip
    assert told[0] == 11, "it went on after the checkpoint"
    for name, tensor in whole.chains.as_draws().parameters.items():
        assert torch.equal(tensor, resumed.chains.as_draws().parameters[name])
    with pytest.raises(InputError, match="holds finished chains"):
        sample_posterior(begun.network, begun.rows, begun.starts, settings, 0, folder=tmp_path)
    again = sample_posterior(
        begun.network, begun.rows, begun.starts, settings, 0, folder=tmp_path, resume_finished=True
    )
    assert again.findings == resumed.findings


def refused(begun: Begun, settings: BayesSettings) -> str:
    with pytest.raises(InputError) as error:
        sample_posterior(begun.network, begun.rows, begun.starts, settings, 0)
    return str(error.value)


def test_a_step_that_nothing_survives_names_another(line: Rows) -> None:
    settings = BayesSettings(sampler="hmc", burn_in=0, step_size=1.5, draws=20, precision=1e-4)
    begun = begin_head(line, HEAD, settings, 0)
    told = refused(begun, settings)
    assert "accepted none of its 80 proposals" in told
    assert "try step_size=" in told


def test_batch_normalisation_is_refused_where_it_is_sampled(line: Rows) -> None:
    module = nn.Sequential(nn.Linear(1, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 2))
    network, settings = Network(module, "3"), BayesSettings(part="network", start="trained")
    begun = begin_network(network, parameters_of(network), {}, line, settings, 0)
    assert 'batch normalisation at "1"' in refused(begun, settings)


def test_a_confident_prior_is_not_begun_from_nowhere(line: Rows) -> None:
    three = make_rows(line.inputs, torch.arange(40) % 3, classes=["a", "b", "c"])
    settings = BayesSettings(sampler="hmc", functional="dirclip", alpha=0.1, draws=5)
    begun = begin_head(three, LinearHead(torch.zeros(3, 1), torch.zeros(3)), settings, 0)
    assert "pushed away from their labels" in refused(begun, settings)
    unbounded = replace(settings, functional="dirichlet", alpha=0.9)
    assert "grows without limit" in refused(begin_head(line, HEAD, unbounded, 0), unbounded)


def test_every_chain_has_a_start(line: Rows) -> None:
    settings = BayesSettings(chains=3)
    begun = begin_head(line, HEAD, BayesSettings(chains=2), 0)
    assert "2 starts were given for 3 chains" in refused(begun, settings)


def test_what_it_takes_is_told_before(line: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes of disk are those of the draws; twice the draws take twice the rest; too much is refused."""
    few, many = BayesSettings(draws=100, burn_in=0, step_size=0.1), BayesSettings(draws=10_000_000)
    begun = begin_head(line, HEAD, few, 0)
    told = forecast(begun.network, begun.rows, begun.starts, few, tmp_path)
    assert (told.size, told.disk) == (4, 4 * 4 * 4 * 100)
    assert told.seconds > 0
    assert told.memory > 100 * 2**20
    assert told.told(few).startswith("4 chains of 4 numbers (nuts): about ")
    assert "hours" in forecast(begun.network, begun.rows, begun.starts, many, tmp_path).told(many)
    without = replace(few, draws=10**13)
    with pytest.raises(InputError, match="Keeping the draws needs about"):
        forecast(begun.network, begun.rows, begun.starts, without, tmp_path)
    monkeypatch.setattr("surefoot.memory.available_memory", lambda: 1000)
    with pytest.raises(InputError, match=r"Sampling this posterior needs about .* and 1000 bytes are available"):
        forecast(begun.network, begun.rows, begun.starts, few, tmp_path)


def test_a_linear_network_and_a_head_on_standardised_rows_are_the_same_posterior(line: Rows) -> None:
    """A head over features whose scaler is the identity samples what a linear network over them samples."""
    x = begin_head(line, HEAD, BayesSettings(), 0).rows
    settings = BayesSettings(sampler="hmc", draws=10, burn_in=10)
    head = begin_head(x, HEAD, settings, 7)
    network = build_linear(1, 2, 7)
    whole = replace(settings, part="network")
    started = begin_network(
        network, parameters_of(network), {"linear": {"inputs": 1, "classes": 2}}, head.rows, whole, 7
    )
    one = sample_posterior(head.network, head.rows, head.starts, settings, 1)
    other = sample_posterior(started.network, started.rows, started.starts, whole, 1)
    for name, tensor in one.chains.as_draws().parameters.items():
        assert torch.equal(tensor, other.chains.as_draws().parameters[name])
