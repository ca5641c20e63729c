"""Streamed predictions against all draws at once in numpy, exactness where floating point fails, and resumption."""

import math
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import special, stats
from torch import Tensor, nn

from surefoot.density.regression import GaussianNoise, LearnedNoise
from surefoot.errors import InputError
from surefoot.inference.chains.chains import Chains, load_chains
from surefoot.inference.chains.writer import ChainWriter
from surefoot.inference.draws import Draws
from surefoot.inference.predict import predict as predicting
from surefoot.inference.predict.normal import Normal
from surefoot.inference.predict.predict import kept_draws, predict
from surefoot.inference.predict.predictive import Categorical
from surefoot.inference.predict.values import function_values
from surefoot.networks.build import build_cnn, build_mlp
from surefoot.networks.network import Network, Parameters, forward, parameters_of

NOBODY: frozenset[str] = frozenset()


def chains_around(
    network: Network, draws: int = 6, chains: int = 3, scale: float = 0.5, folder: Path | None = None
) -> Chains:
    """Parameters with noise, in shards of two draws."""
    generator = torch.Generator().manual_seed(3)
    start = dict(network.module.named_parameters())
    size = sum(tensor.numel() * tensor.element_size() for tensor in start.values())
    writer = ChainWriter(folder, "test", chains=chains, shard_bytes=2 * chains * size)
    for _ in range(draws):
        noise = {name: torch.randn(chains, *tensor.shape, generator=generator) for name, tensor in start.items()}
        writer.append({name: start[name].detach() + scale * each for name, each in noise.items()}, {})
    return writer.finish(diagnostics=(), seen=frozenset({"row"}))


def inputs_for(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(4))


def all_logits(network: Network, chains: Chains, inputs: Tensor) -> Tensor:
    """Everything at once `[draws · chains, rows, outputs]`, the plain way."""
    buffers = dict(network.module.named_buffers())
    with torch.no_grad():
        return torch.stack([forward(network, {**buffers, **point}, inputs) for point in chains.points()]).double()


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_agrees_with_all_draws_at_once(kind: str) -> None:
    network = build_mlp(5, 7, 4, seed=0) if kind == "mlp" else build_cnn((2, 8, 8), (4,), 6, 4, seed=0)
    inputs = inputs_for(23, 5) if kind == "mlp" else inputs_for(23, 2, 8, 8)
    chains = chains_around(network)
    made = predict(network, chains, inputs, batch=10)
    each = special.softmax(all_logits(network, chains, inputs).numpy(), axis=2)
    mean = each.mean(axis=0)
    targets = torch.arange(23) % 4
    of_target = each[:, np.arange(23), targets.numpy()]
    votes = np.stack([np.bincount(column, minlength=4) for column in each.argmax(axis=2).T]) / 18
    near = {"rtol": 1e-5, "atol": 1e-6}  # the network itself runs in float32
    np.testing.assert_allclose(made.probabilities.numpy(), mean, **near)
    np.testing.assert_allclose(made.entropy.numpy(), stats.entropy(mean, axis=1), **near)
    np.testing.assert_allclose(made.expected_entropy.numpy(), stats.entropy(each, axis=2).mean(axis=0), **near)
    information = stats.entropy(mean, axis=1) - stats.entropy(each, axis=2).mean(axis=0)
    np.testing.assert_allclose(made.mutual_information.numpy(), information, **near)
    np.testing.assert_allclose(made.votes.numpy(), votes)
    np.testing.assert_allclose(made.model_average_nll(targets).numpy(), -np.log(of_target.mean(axis=0)), **near)
    np.testing.assert_allclose(made.gibbs_nll(targets).numpy(), -np.log(of_target).mean(axis=0), **near)
    assert bool((made.gibbs_nll(targets) > made.model_average_nll(targets)).all())  # Jensen
    assert made.draws == 18


def logits_network() -> Network:
    """Its logits are its bias, whatever the inputs."""
    return Network(nn.Sequential(nn.Linear(1, 2)), "0")


def saying(*logits: tuple[float, float], dtype: torch.dtype = torch.float32) -> Draws:
    count = len(logits)
    return Draws(
        {"0.weight": torch.zeros(count, 2, 1, dtype=dtype), "0.bias": torch.tensor(logits, dtype=dtype)},
        (),
        frozenset(),
    )


def test_the_two_losses_are_finite_and_exact_where_probabilities_underflow() -> None:
    """Draws that give the target e^−2000 and e^−2001: no floating-point probability is as small as their mean."""
    made = predict(logits_network(), saying((2000.0, 0.0), (2001.0, 0.0)), torch.zeros(1, 1))
    target = torch.tensor([1])
    assert float(made.probabilities[0, 1]) == 0.0
    assert float(made.model_average_nll(target)) == pytest.approx(2000 - math.log((1 + math.exp(-1)) / 2), abs=1e-9)
    assert float(made.gibbs_nll(target)) == pytest.approx(2000.5, abs=1e-9)
    assert float(made.entropy) == float(made.mutual_information) == 0.0


def test_draws_that_contradict_each_other_and_draws_that_agree() -> None:
    opposite = predict(logits_network(), saying((500.0, 0.0), (0.0, 500.0)), torch.zeros(1, 1))
    assert float(opposite.entropy) == pytest.approx(math.log(2))
    assert float(opposite.mutual_information) == pytest.approx(math.log(2))
    assert opposite.votes.tolist() == [[0.5, 0.5]]
    same = predict(logits_network(), saying(*[(0.3, -0.2)] * 300), torch.zeros(1, 1))
    assert 0.0 <= float(same.mutual_information) < 1e-13
    assert float(same.gibbs_nll(torch.tensor([0]))) == pytest.approx(float(same.model_average_nll(torch.tensor([0]))))
    assert same.probabilities[0].tolist() == pytest.approx(special.softmax([0.3, -0.2]), abs=1e-7)


def test_repeated_draws_count_again() -> None:
    """A chain that rejects a proposal says its state once more; leaving it out would give a half."""
    made = predict(logits_network(), saying((500.0, 0.0), (500.0, 0.0), (0.0, 500.0)), torch.zeros(1, 1))
    assert made.probabilities[0].tolist() == pytest.approx([2 / 3, 1 / 3])


def test_numbers_do_not_depend_on_how_draws_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    network = build_mlp(5, 7, 3, seed=0)
    chains, inputs = chains_around(network), inputs_for(20, 5)
    made = predict(network, chains, inputs, batch=6)
    from_draws = predict(network, chains.as_draws(), inputs, batch=6)
    monkeypatch.setattr(predicting, "TOGETHER", 1)
    one_by_one = predict(network, chains, inputs, batch=6)
    for other in (from_draws, one_by_one):
        assert torch.equal(made.log_probabilities, other.log_probabilities)
        assert torch.equal(made.expected_entropy, other.expected_entropy)
    whole = predict(network, chains, inputs)
    assert torch.allclose(made.log_probabilities, whole.log_probabilities, atol=1e-6)


class Shifted(nn.Module):
    """A frozen scale and a buffer below a head."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("shift", torch.tensor([1.0, 2.0]))
        self.scale = nn.Parameter(torch.ones(2), requires_grad=False)
        self.head = nn.Linear(2, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.scale * inputs + self.shift)


FIXED = {"shift": torch.tensor([3.0, -2.0]), "scale": torch.tensor([0.5, 4.0])}


def shifted() -> tuple[Network, Draws]:
    """A network, and draws of its head in float64."""
    network = Network(Shifted(), "head")
    head = {name: tensor for name, tensor in parameters_of(network).items() if name.startswith("head.")}
    return network, Draws({name: tensor.double().expand(3, *tensor.shape) for name, tensor in head.items()}, (), NOBODY)


def test_double_precision_draws_and_tensors_that_they_lack() -> None:
    network, draws = shifted()
    weight, bias = (draws.parameters[f"head.{name}"][0] for name in ("weight", "bias"))
    inputs = inputs_for(4, 2)
    expected = (FIXED["scale"] * inputs.double() + FIXED["shift"]) @ weight.T + bias
    made = predict(network, draws, inputs, fixed=FIXED)
    assert torch.allclose(made.log_probabilities, expected.log_softmax(dim=1), atol=1e-14)
    values = function_values(network, draws, inputs, fixed=FIXED)
    assert torch.allclose(values[2, 0], expected.softmax(dim=1).flatten(), atol=1e-14)
    # Of a whole point, what the draws hold is not read.
    whole = {**FIXED, "head.weight": torch.full((2, 2), 9.0), "head.bias": torch.zeros(2)}
    assert torch.equal(predict(network, draws, inputs, fixed=whole).log_probabilities, made.log_probabilities)


def test_a_frozen_head_above_a_sampled_body() -> None:
    network, _ = shifted()
    sampled = Draws({"scale": torch.tensor([[1.0, 2.0]]).double(), "shift": torch.zeros(1, 2).double()}, (), NOBODY)
    head = {"head.weight": torch.eye(2), "head.bias": torch.zeros(2)}
    made = predict(network, sampled, torch.tensor([[0.3, 0.4]]), fixed=head)
    expected = (torch.tensor([[0.3, 0.4]]).double() * torch.tensor([1.0, 2.0])).log_softmax(dim=1)
    assert torch.allclose(made.log_probabilities, expected, atol=1e-15)


def test_tensors_that_draws_lack_are_never_taken_from_the_network() -> None:
    network, draws = shifted()
    ran: list[int] = []
    network.module.register_forward_hook(lambda *_: ran.append(1))
    inputs = inputs_for(4, 2)
    for fixed in (None, {"shift": FIXED["shift"]}):
        with pytest.raises(InputError, match=r"The draws lack 'sc.*give as fixed= the tensors that were not sampled"):
            predict(network, draws, inputs, fixed=fixed)
        with pytest.raises(InputError, match="The draws lack 'sc"):
            function_values(network, draws, inputs, fixed=fixed)
    with pytest.raises(InputError, match="The draws lack 'shift'"):
        predict(network, draws, inputs, fixed={"scale": FIXED["scale"]})
    with pytest.raises(InputError, match=r"fixed has 'elsewhere'.*under no such name"):
        predict(network, draws, inputs, fixed={**FIXED, "elsewhere": torch.zeros(2)})
    with pytest.raises(InputError, match=r"fixed has 'shift' of shape \[3\].*of shape \[2\]"):
        predict(network, draws, inputs, fixed={**FIXED, "shift": torch.zeros(3)})
    assert not ran


def test_a_logit_temperature_is_part_of_what_a_draw_says(tmp_path: Path) -> None:
    """The mean over draws of softmax(z / T), which no temperature of the averaged probabilities would give."""
    network = build_mlp(5, 7, 4, seed=0)
    chains, inputs = chains_around(network), inputs_for(23, 5)
    logits = all_logits(network, chains, inputs).numpy()
    each = special.softmax(logits / 0.1, axis=2)
    family = Categorical(logit_temperature=0.1)
    made = predict(network, chains, inputs, family, folder=tmp_path, keep="draws", batch=10)
    near = {"rtol": 1e-4, "atol": 1e-5}
    np.testing.assert_allclose(made.probabilities.numpy(), each.mean(axis=0), **near)
    np.testing.assert_allclose(made.expected_entropy.numpy(), stats.entropy(each, axis=2).mean(axis=0), **near)
    kept = torch.cat([shard["probabilities"] for shard in kept_draws(tmp_path)]).numpy()
    np.testing.assert_allclose(kept, each, **near)
    values = function_values(network, chains, inputs, family)
    np.testing.assert_allclose(values.flatten(0, 1).numpy(), each.reshape(18, -1), **near)
    assert np.abs(each.mean(axis=0) - special.softmax(logits, axis=2).mean(axis=0)).max() > 0.1
    # One is the plain softmax, under either name; another temperature is another prediction.
    assert torch.equal(
        predict(network, chains, inputs, Categorical()).log_probabilities,
        predict(network, chains, inputs, "categorical").log_probabilities,
    )
    with pytest.raises(InputError, match="prediction of other draws"):
        predict(network, chains, inputs, folder=tmp_path, keep="draws", batch=10)
    for temperature in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(InputError, match="logit_temperature is"):
            Categorical(temperature)


def test_a_prediction_belongs_to_its_fixed_tensors(tmp_path: Path) -> None:
    network, draws = shifted()
    inputs = inputs_for(4, 2)
    made = predict(network, draws, inputs, fixed=FIXED, folder=tmp_path)
    again = predict(network, draws, inputs, fixed=FIXED, folder=tmp_path)
    assert torch.equal(made.log_probabilities, again.log_probabilities)
    with pytest.raises(InputError, match="prediction of other draws"):
        predict(network, draws, inputs, fixed={**FIXED, "shift": torch.zeros(2)}, folder=tmp_path)


def test_inputs_that_are_read_when_needed_are_read_once_for_several_draws() -> None:
    class Reader:
        def __init__(self, tensor: Tensor) -> None:
            self.tensor, self.read = tensor, 0

        def __len__(self) -> int:
            return len(self.tensor)

        def __getitem__(self, index: slice) -> Tensor:
            self.read += len(self.tensor[index])
            return self.tensor[index]

    network = build_mlp(5, 7, 3, seed=0)
    chains, inputs = chains_around(network), inputs_for(20, 5)
    reader = Reader(inputs)
    made = predict(network, chains, reader, batch=6)
    assert torch.equal(made.log_probabilities, predict(network, chains, inputs, batch=6).log_probabilities)
    assert reader.read < 20 * (18 / 8 + 1) + 5


class Killed(Exception):
    pass


def killer(after: int) -> Callable[[str, int, int], None]:
    def progress(stage: str, done: int, total: int) -> None:
        if done >= after:
            raise Killed

    return progress


@pytest.mark.parametrize("keep", ["mean", "draws"])
def test_a_killed_prediction_goes_on_where_it_was(tmp_path: Path, keep: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predicting, "EVERY", 5)
    monkeypatch.setattr(predicting, "TOGETHER", 2)
    network = build_mlp(5, 7, 3, seed=0)
    chains_around(network, folder=tmp_path / "chains")
    chains, inputs = load_chains(tmp_path / "chains"), inputs_for(20, 5)
    kept = "draws" if keep == "draws" else "mean"
    whole = predict(network, chains, inputs, folder=tmp_path / "whole", keep=kept)
    with pytest.raises(Killed):
        predict(network, chains, inputs, folder=tmp_path / "cut", keep=kept, progress=killer(8))
    seen: list[int] = []
    made = predict(
        network,
        chains,
        inputs,
        folder=tmp_path / "cut",
        keep=kept,
        progress=lambda stage, done, total: seen.append(done),
    )
    assert seen[0] == 8  # six draws were checkpointed, and the next two are taken anew
    for name in ("log_probabilities", "mean_logs", "votes", "expected_entropy"):
        assert torch.equal(getattr(made, name), getattr(whole, name))
    assert sorted(path.name for path in (tmp_path / "cut").iterdir()) == sorted(
        path.name for path in (tmp_path / "whole").iterdir()
    )
    # Found again, without another pass.
    again = predict(network, chains, inputs, folder=tmp_path / "cut", keep=kept, progress=killer(0))
    assert torch.equal(again.log_probabilities, whole.log_probabilities)
    if keep == "draws":
        each = [torch.cat([shard["probabilities"] for shard in kept_draws(tmp_path / at)]) for at in ("whole", "cut")]
        assert torch.equal(*each)
        assert torch.allclose(each[0].double(), all_logits(network, chains, inputs).softmax(dim=2), atol=1e-6)


def test_kept_shards_are_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predicting, "KEPT_BYTES", 3 * 20 * 3 * 4)
    network = build_mlp(5, 7, 3, seed=0)
    predict(network, chains_around(network), inputs_for(20, 5), folder=tmp_path, keep="draws")
    assert [len(shard["probabilities"]) for shard in kept_draws(tmp_path)] == [3] * 6


def test_normal_predictions_match_moments_and_are_a_mixture() -> None:
    network = build_mlp(5, 7, 2, seed=0)
    chains, inputs = chains_around(network), inputs_for(20, 5)
    targets = inputs_for(20, 2)
    noise = GaussianNoise(0.7, temperature=0.25)  # σ√T = 0.35
    made = predict(network, chains, inputs, Normal(noise, targets), batch=6)
    means = all_logits(network, chains, inputs).numpy()
    np.testing.assert_allclose(made.mean.numpy(), means.mean(axis=0), atol=1e-6)
    second = (0.35**2 + means**2).mean(axis=0) - means.mean(axis=0) ** 2
    np.testing.assert_allclose(made.deviation.numpy(), np.sqrt(second), rtol=1e-5)
    np.testing.assert_allclose(made.noise.numpy(), 0.35)
    np.testing.assert_allclose(made.spread.numpy(), means.std(axis=0), rtol=1e-5)
    logs = stats.norm.logpdf(targets.numpy(), means, 0.35).sum(axis=2)
    assert made.mixture_nll is not None
    assert made.gibbs_nll is not None
    np.testing.assert_allclose(made.mixture_nll.numpy(), math.log(18) - special.logsumexp(logs, axis=0), rtol=1e-5)
    np.testing.assert_allclose(made.gibbs_nll.numpy(), -logs.mean(axis=0), rtol=1e-5)
    matched = -stats.norm.logpdf(targets.numpy(), means.mean(axis=0), np.sqrt(second)).sum(axis=1)
    np.testing.assert_allclose(made.matched_nll(targets).numpy(), matched, rtol=1e-5)
    assert not np.allclose(matched, made.mixture_nll.numpy(), rtol=0.01)
    untold = predict(network, chains, inputs, Normal(noise))
    assert untold.mixture_nll is None


@pytest.mark.parametrize("noise", [GaussianNoise(0.4, temperature=2.0), LearnedNoise(temperature=2.0, floor=0.1)])
def test_normal_losses_are_those_of_the_likelihood(noise: GaussianNoise | LearnedNoise) -> None:
    network = build_mlp(5, 7, 2, seed=0)
    chains, inputs = chains_around(network), inputs_for(20, 5)
    targets = inputs_for(20, 1 if isinstance(noise, LearnedNoise) else 2)
    outputs = all_logits(network, chains, inputs)
    logs = torch.stack([noise(each, targets.double()) for each in outputs])
    made = predict(network, chains, inputs, Normal(noise, targets))
    assert made.gibbs_nll is not None
    assert made.mixture_nll is not None
    assert torch.allclose(made.gibbs_nll, -logs.mean(dim=0), rtol=1e-4)
    assert torch.allclose(made.mixture_nll, math.log(18) - logs.logsumexp(dim=0), rtol=1e-4)


def test_large_means_keep_their_spread() -> None:
    """E μ² − (E μ)² of means near 10⁸ that differ by one has no digit left; Welford's recurrence has all of them."""
    draws = saying((1e8, 5.0), (1e8 + 1, 5.0), (1e8 + 2, 5.0), dtype=torch.float64)
    made = predict(logits_network(), draws, torch.zeros(1, 1), Normal(GaussianNoise(0.1)))
    assert made.spread[0].tolist() == pytest.approx([math.sqrt(2 / 3), 0.0], rel=1e-9)


def test_a_normal_prediction_resumes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predicting, "EVERY", 4)
    monkeypatch.setattr(predicting, "TOGETHER", 4)
    network = build_mlp(5, 7, 2, seed=0)
    chains, inputs = chains_around(network), inputs_for(20, 5)
    family = Normal(LearnedNoise(), inputs_for(20, 1))
    whole = predict(network, chains, inputs, family)
    with pytest.raises(Killed):
        predict(network, chains, inputs, family, folder=tmp_path, keep="draws", progress=killer(8))
    made = predict(network, chains, inputs, family, folder=tmp_path, keep="draws")
    assert torch.equal(made.deviation, whole.deviation)
    assert made.mixture_nll is not None
    assert whole.mixture_nll is not None
    assert torch.equal(made.mixture_nll, whole.mixture_nll)
    kept = torch.cat([shard["mean"] for shard in kept_draws(tmp_path)])
    assert torch.allclose(kept.double().mean(dim=0), whole.mean, atol=1e-6)


def test_function_values_are_probabilities_by_draw_and_chain() -> None:
    network = build_mlp(5, 7, 2, seed=0)
    chains, inputs = chains_around(network), inputs_for(9, 5)
    logits = all_logits(network, chains, inputs)
    expected = logits.softmax(dim=2).reshape(6, 3, 18)
    assert torch.allclose(function_values(network, chains, inputs, batch=4), expected, atol=1e-6)
    means = function_values(network, chains, inputs, Normal(LearnedNoise()))
    assert torch.allclose(means, logits[:, :, 0].reshape(6, 3, 9), atol=1e-6)


def bad_draws(network: Network) -> Parameters:
    return {name: torch.full_like(tensor, math.nan)[None] for name, tensor in parameters_of(network).items()}


def test_errors_say_what_to_do(tmp_path: Path) -> None:
    network = build_mlp(5, 7, 3, seed=0)
    chains, inputs = chains_around(network, draws=1), inputs_for(4, 5)
    with pytest.raises(InputError, match="no rows to predict"):
        predict(network, chains, inputs[:0])
    with pytest.raises(InputError, match="no draws to predict with"):
        predict(network, Draws({"head.bias": torch.zeros(0, 3)}, (), frozenset()), inputs)
    with pytest.raises(InputError, match=r"The draws lack 'head\.bias'"):
        predict(build_mlp(5, (), 3, seed=0), Draws({"head.weight": torch.zeros(1, 3, 5)}, (), frozenset()), inputs)
    with pytest.raises(InputError, match=r"which the network has not"):
        predict(build_mlp(5, (), 3, seed=0), chains, inputs)
    with pytest.raises(InputError, match="NaN or infinite; leave out the chain that diverged"):
        predict(network, Draws(bad_draws(network), (), frozenset()), inputs)
    with pytest.raises(InputError, match="no folder for them"):
        predict(network, chains, inputs, keep="draws")
    with pytest.raises(InputError, match="batch is 0"):
        predict(network, chains, inputs, batch=0)
    predict(network, chains, inputs, folder=tmp_path)
    with pytest.raises(InputError, match="did not keep its draws"):
        next(kept_draws(tmp_path))
    with pytest.raises(InputError, match="prediction of other draws"):
        predict(network, chains, inputs + 1, folder=tmp_path)
    with pytest.raises(InputError, match="no finished prediction"):
        next(kept_draws(tmp_path / "nowhere"))
    made = predict(network, chains, inputs)
    with pytest.raises(InputError, match="4 rows and 3 targets"):
        made.gibbs_nll(torch.zeros(3).long())
    with pytest.raises(InputError, match="from 0 to 3 and the predictions have 3 classes"):
        made.gibbs_nll(torch.tensor([0, 1, 2, 3]))
    with pytest.raises(InputError, match="4 rows and 2 targets"):
        predict(network, chains, inputs, Normal(GaussianNoise(1.0), torch.zeros(2, 3)))
    with pytest.raises(InputError, match="3 outputs a row; learned noise"):
        predict(network, chains, inputs, Normal(LearnedNoise()))


def test_a_damaged_shard_is_found(tmp_path: Path) -> None:
    network = build_mlp(5, 7, 3, seed=0)
    predict(network, chains_around(network), inputs_for(4, 5), folder=tmp_path, keep="draws")
    path = tmp_path / "draws-00001.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(InputError, match=r"draws-00001\.safetensors is not the file"):
        list(kept_draws(tmp_path))


SUICIDE = """
import os, signal, sys
from pathlib import Path
import torch
from surefoot.inference.chains.chains import load_chains
from surefoot.inference.predict.predict import predict
from surefoot.networks.build import build_mlp

def progress(stage, done, total):
    if done >= 24:
        os.kill(os.getpid(), signal.SIGKILL)

torch.set_num_threads(1)
inputs = torch.randn(20, 5, generator=torch.Generator().manual_seed(4))
folder = Path(sys.argv[1])
predict(build_mlp(5, 7, 3, seed=0), load_chains(folder / "chains"), inputs, folder=folder / "made", keep="draws",
        progress=progress)
"""


@pytest.mark.slow
def test_a_process_that_is_killed_leaves_what_the_next_one_needs(tmp_path: Path) -> None:
    network = build_mlp(5, 7, 3, seed=0)
    chains, inputs = chains_around(network, draws=12, folder=tmp_path / "chains"), inputs_for(20, 5)
    ended = subprocess.run([sys.executable, "-c", SUICIDE, str(tmp_path)], check=False, timeout=120)
    assert ended.returncode == -signal.SIGKILL
    assert not (tmp_path / "made" / "predictive.json").exists()
    seen: list[int] = []
    made = predict(
        network,
        chains,
        inputs,
        folder=tmp_path / "made",
        keep="draws",
        progress=lambda stage, done, total: seen.append(done),
    )
    assert seen == [24, 32, 36]  # sixteen draws were checkpointed
    assert torch.equal(made.log_probabilities, predict(network, chains, inputs).log_probabilities)
