"""Kronecker factors: exact where they must be, and the convention for positions by brute force."""

import pytest
import torch
from torch import Tensor, nn
from torch.func import jacrev, vmap
from torch.nn.functional import pad

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian
from surefoot.density.regression import GaussianNoise
from surefoot.errors import InputError
from surefoot.evidence.laplace.expand import expand
from surefoot.networks.build import build_linear, build_mlp, build_resnet
from surefoot.networks.network import Network, parameters_of
from surefoot.rows.rows import make_rows


def spectrum(matrix: Tensor) -> Tensor:
    return torch.linalg.eigvalsh(matrix).clamp(min=0)


def test_one_row_through_a_linear_layer_is_exact() -> None:
    network = build_linear(4, 3, seed=0)
    rows = make_rows(torch.tensor([[1.0, -2.0, 0.5, 3.0]]), torch.tensor([1]), classes=("a", "b", "c"))
    posterior = Posterior(network, categorical, Gaussian(1.0))
    for kind in ("ggn", "fisher"):
        whole = expand(posterior, rows, parameters_of(network), kind=kind).curvatures[0]
        weight, bias = expand(posterior, rows, parameters_of(network), structure="kron", kind=kind).curvatures
        torch.testing.assert_close(weight.sort().values, spectrum(whole[:12, :12]), rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(bias.sort().values, spectrum(whole[12:, 12:]), rtol=1e-9, atol=1e-12)


def test_a_linear_layer_under_gaussian_noise_is_exact_for_any_rows() -> None:
    generator = torch.Generator().manual_seed(0)
    network = build_linear(4, 3, seed=0)
    rows = make_rows(torch.randn(9, 4, generator=generator), torch.randn(9, 3, generator=generator))
    posterior = Posterior(network, GaussianNoise(1.0), Gaussian(1.0))
    for part in ("all", "head"):
        whole = expand(posterior, rows, parameters_of(network), part=part).curvatures[0]
        blocks = expand(posterior, rows, parameters_of(network), structure="kron", part=part).curvatures
        torch.testing.assert_close(blocks[0].sort().values, spectrum(whole[:12, :12]), rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(blocks[1].sort().values, spectrum(whole[12:, 12:]), rtol=1e-9, atol=1e-12)


def after(layer: nn.Module, module: nn.Sequential) -> nn.Sequential:
    place = list(module).index(layer)
    return module[place + 1 :]


@pytest.mark.parametrize("kind", ["ggn", "fisher"])
def test_convolutions_follow_the_expand_convention(kind: str) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(2, 3, (3, 2), stride=(1, 2), padding=(1, 0))
    module = nn.Sequential(conv, nn.Tanh(), nn.Flatten(), nn.Linear(3 * 5 * 3, 3)).double()
    inputs, targets = torch.randn(7, 2, 5, 6, dtype=torch.float64), torch.arange(7) % 3
    posterior = Posterior(Network(module, "3"), categorical, Gaussian(1.0))
    mode = parameters_of(posterior.network)
    found = expand(posterior, make_rows(inputs, targets), mode, structure="kron", kind=kind)

    with torch.no_grad():
        left = conv(inputs)
        logits = module(inputs)
    slopes = vmap(jacrev(lambda left: after(conv, module)(left[None])[0]))(left).detach().flatten(3)  # [n, K, o, T]
    p = logits.softmax(dim=1)
    gradient = torch.eye(3, dtype=torch.float64)[targets] - p
    bent = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    if kind == "fisher":
        bent = gradient[:, :, None] * gradient[:, None, :]
    outer = torch.einsum("nkot,nkl,nlpt->op", slopes, bent, slopes)
    padded = pad(inputs, (0, 0, 1, 1))
    patches = [
        padded[:, :, row : row + 3, 2 * column : 2 * column + 2].flatten(1) for row in range(5) for column in range(3)
    ]
    inner = sum(patch.T @ patch for patch in patches) / (7 * 15)
    assert found.names[:2] == ("0.weight", "0.bias")
    torch.testing.assert_close(
        found.curvatures[0].sort().values, spectrum(torch.kron(outer, inner)), rtol=1e-8, atol=1e-10
    )
    torch.testing.assert_close(found.curvatures[1].sort().values, spectrum(outer), rtol=1e-8, atol=1e-10)


def test_words_of_a_linear_layer_are_positions() -> None:
    class Mean(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            return inputs.mean(dim=1)

    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), Mean(), nn.Linear(2, 2)).double()
    inputs = torch.randn(5, 4, 3, dtype=torch.float64)
    posterior = Posterior(Network(module, "3"), categorical, Gaussian(1.0))
    rows = make_rows(inputs, torch.arange(5) % 2)
    found = expand(posterior, rows, parameters_of(posterior.network), structure="kron")

    with torch.no_grad():
        left, p = module[0](inputs), module(inputs).softmax(dim=1)
    slopes = vmap(jacrev(lambda left: module[1:](left[None])[0]))(left).detach()  # [n, K, T, o]
    bent = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    outer = torch.einsum("nkto,nkl,nltp->op", slopes, bent, slopes)
    inner = torch.einsum("nti,ntj->ij", inputs, inputs) / (5 * 4)
    torch.testing.assert_close(
        found.curvatures[0].sort().values, spectrum(torch.kron(outer, inner)), rtol=1e-8, atol=1e-12
    )


def test_a_module_without_blocks_is_named() -> None:
    network = build_resnet((1, 6, 6), 2, 1, 2, seed=0)
    rows = make_rows(torch.randn(3, 1, 6, 6, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 0]))
    posterior = Posterior(network, categorical, Gaussian(1.0))
    with pytest.raises(InputError, match=r'"norm.gamma" is in "norm", a FilterResponseNorm.*structure="diag"'):
        expand(posterior, rows, parameters_of(network), structure="kron")


def test_a_thousand_classes_of_a_last_layer_fit() -> None:
    network = build_mlp(6, (5,), 1000, seed=0)
    generator = torch.Generator().manual_seed(0)
    rows = make_rows(
        torch.randn(8, 6, generator=generator),
        torch.randint(1000, (8,), generator=generator),
        classes=[str(label) for label in range(1000)],
    )
    posterior = Posterior(network, categorical, Gaussian(1.0))
    mode = parameters_of(network)
    found = expand(posterior, rows, mode, structure="kron", part="head")
    with torch.no_grad():
        features = network.module[:-1](torch.as_tensor(rows.inputs[:])).double()
        p = network.module(torch.as_tensor(rows.inputs[:])).double().softmax(dim=1)
    outer = p.sum(dim=0).diag() - p.T @ p
    inner = features.T @ features / 8
    product = torch.outer(spectrum(outer), spectrum(inner)).flatten()
    torch.testing.assert_close(found.curvatures[0].sort().values, product.sort().values, rtol=1e-4, atol=1e-8)
