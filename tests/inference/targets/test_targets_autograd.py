"""Gradients by autograd on batches, against float64 autograd of the posterior's own log density on the same rows."""

import pytest
import target_examples as examples
import torch
from torch import Tensor, nn

from surefoot.density.batch import Batch
from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian
from surefoot.inference.targets.autograd import FEW_CLASSES, AutogradTarget, make_autograd_target
from surefoot.inference.targets.evidence import make_evidence
from surefoot.networks.build import build_cnn, build_mlp
from surefoot.networks.network import Network, forward, forward_prepared, parameters_of, prepare
from surefoot.rows.rows import Rows, make_rows

ROWS = 40


class Shared(nn.Module):
    """One layer that is used under two names, a frozen one, a buffer, and one that is never used."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(5, 5)
        self.again = self.first
        self.frozen = nn.Linear(5, 5).requires_grad_(False)
        self.idle = nn.Linear(2, 1)
        self.head = nn.Linear(5, 3)
        self.shift: Tensor
        self.register_buffer("shift", torch.linspace(-1, 1, 5))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.frozen(self.again(self.first(inputs).tanh() + self.shift)).tanh())


def images(classes: int = 10) -> Rows:
    """Borders of zeros, as digits have: many pixels of a window are then equal."""
    inputs = torch.zeros(ROWS, 2, 8, 8, dtype=torch.float64)
    inputs[:, :, 2:6, 2:6] = examples.randn(ROWS, 2, 4, 4, seed=1)
    rows = make_rows(inputs, torch.arange(ROWS) % classes, classes=[str(label) for label in range(classes)])
    return Rows(**{**vars(rows), "weights": torch.linspace(0.0, 2.0, ROWS, dtype=torch.float64)})


def posteriors() -> dict[str, tuple[Posterior, Rows]]:
    cnn, prior = build_cnn((2, 8, 8), (4, 6), 7, 10, seed=0), Gaussian(1.0)
    wide = FEW_CLASSES + 1
    many = make_rows(examples.randn(ROWS, 5), torch.arange(ROWS), classes=[str(label) for label in range(wide)])
    flat = make_rows(examples.randn(ROWS, 5), torch.arange(ROWS) % 3)
    return {
        "cnn": (Posterior(cnn, categorical, prior), images()),
        "cold posterior": (Posterior(cnn, categorical, prior, posterior_temperature=0.3), images()),
        "cold likelihood": (Posterior(cnn, categorical, prior, likelihood_temperature=0.3), images()),
        "logit temperature": (Posterior(cnn, categorical, prior, logit_temperature=0.3), images()),
        "many classes": (Posterior(build_mlp(5, 4, wide, seed=0), categorical, prior), many),
        "shared": (Posterior(Network(Shared(), "head"), categorical, prior), flat),
    }


POSTERIORS = posteriors()


def target_of(name: str, dtype: torch.dtype = torch.float64) -> AutogradTarget:
    return make_autograd_target(make_evidence(*POSTERIORS[name], dtype))


@pytest.mark.parametrize("name", POSTERIORS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 2e-5)])
def test_a_batch_has_the_gradient_of_its_own_density(name: str, dtype: torch.dtype, tolerance: float) -> None:
    posterior, rows = POSTERIORS[name]
    target = target_of(name, dtype)
    position = (0.5 * examples.randn(2, target.size, seed=2)).to(dtype)
    index = torch.stack([torch.randperm(ROWS, generator=torch.Generator().manual_seed(seed))[:16] for seed in (0, 1)])
    out = torch.full_like(position, torch.nan)
    target.minibatch_gradient(position, index, out)
    fixed = {key: tensor.double() for key, tensor in target.evidence.fixed.items()}
    for chain in range(2):
        leaves = {key: t[chain].double().requires_grad_() for key, t in target.parameters(position).items()}
        own = index[chain]
        batch = Batch(rows.inputs[own], rows.targets[own], rows.weights[own], rows.groups.members[own])
        value = posterior.minibatch_log_density({**fixed, **leaves}, batch, ROWS)
        gradients = torch.autograd.grad(value, list(leaves.values()), materialize_grads=True)
        # θ = u under N(0, 1), so both gradients are in the same coordinates.
        expected = torch.cat([gradient.reshape(-1) for gradient in gradients])
        scale = expected.abs().max()
        torch.testing.assert_close(out[chain].double() / scale, expected / scale, rtol=0.0, atol=tolerance)


def test_chunks_add_up_and_batches_of_all_rows_are_the_whole() -> None:
    target = target_of("cnn")
    small = AutogradTarget(**{**vars(target), "chunk": 7})
    position = examples.randn(2, target.size, seed=3)
    outs = [torch.empty_like(position) for _ in range(3)]
    target.gradient(position, outs[0])
    small.gradient(position, outs[1])
    small.minibatch_gradient(position, torch.arange(ROWS).flip(0).expand(2, -1), outs[2])
    torch.testing.assert_close(outs[1], outs[0], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(outs[2], outs[0], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(small.terms(position).likelihood, target.terms(position).likelihood)


@pytest.mark.parametrize("name", ["cnn", "shared"])
def test_a_prepared_network_is_the_network(name: str) -> None:
    """The same outputs, in evaluation mode; the module's own tensors are back afterwards, also after an error."""
    posterior, rows = POSTERIORS[name]
    network = posterior.network
    parameters = {key: tensor.double() + 0.1 for key, tensor in parameters_of(network).items()}
    before = {key: (tensor, tensor.clone()) for key, tensor in network.module.state_dict(keep_vars=True).items()}
    prepared = prepare(network)
    network.module.train()
    outputs = forward_prepared(prepared, parameters, rows.inputs[:])
    assert not any(part.training for part in network.module.modules())
    torch.testing.assert_close(outputs, forward(network, parameters, rows.inputs[:]), rtol=0.0, atol=0.0)
    with pytest.raises(RuntimeError):
        forward_prepared(prepared, parameters, rows.inputs[:].flatten(1)[:, :3])
    with pytest.raises(KeyError):
        forward_prepared(prepared, {}, rows.inputs[:])
    for key, tensor in network.module.state_dict(keep_vars=True).items():
        assert tensor is before[key][0]
        assert torch.equal(tensor, before[key][1])
