"""What the kernel recognises, how it groups chains, and what it folds into the inputs."""

import pytest
import target_examples as examples
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian
from surefoot.inference.targets import mlp
from surefoot.inference.targets.autograd import AutogradTarget, make_autograd_target
from surefoot.inference.targets.evidence import make_evidence
from surefoot.inference.targets.make import make_target
from surefoot.inference.targets.mlp import MlpTarget, stacked_chains
from surefoot.inference.targets.mlp_shape import mlp_of
from surefoot.networks.build import build_cnn, build_linear, build_mlp, build_resnet
from surefoot.networks.network import Network
from surefoot.rows.rows import make_rows

FLAT = torch.zeros(2, 5)
CASES = examples.cases()


def stack(*parts: nn.Module) -> Network:
    return Network(nn.Sequential(*parts), str(len(parts) - 1))


def test_recognised() -> None:
    images = torch.zeros(2, 1, 5, 1)
    shapes = [
        (mlp_of(build_linear(5, 3, 0), FLAT), [(5, 3, True, None)]),
        (mlp_of(build_mlp(5, (4, 6), 3, 0), images), [(5, 4, True, "relu"), (4, 6, True, "relu"), (6, 3, True, None)]),
        (mlp_of(examples.tanh_mlp(), FLAT), [(5, 6, True, "tanh"), (6, 4, False, "relu"), (4, 3, True, None)]),
    ]
    for layers, expected in shapes:
        assert layers is not None
        assert [tuple(layer)[1:] for layer in layers] == expected


def frozen() -> Network:
    network = build_mlp(5, 4, 3, 0)
    network.module.get_submodule("hidden1").requires_grad_(False)
    return network


def hooked() -> Network:
    network = build_mlp(5, 4, 3, 0)
    network.module.get_submodule("hidden1").register_forward_hook(lambda module, entered, left: left * 2)
    return network


def tied() -> Network:
    first, second = nn.Linear(5, 5), nn.Linear(5, 5)
    second.weight = first.weight
    return stack(first, nn.ReLU(), second)


class Subclass(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input).abs()


def test_left_to_autograd() -> None:
    twice = nn.Linear(5, 5)
    others = [
        frozen(),
        hooked(),
        tied(),
        stack(twice, nn.ReLU(), twice),
        stack(nn.Linear(5, 4), nn.GELU(), nn.Linear(4, 3)),
        stack(nn.Linear(5, 4), nn.LayerNorm(4), nn.ReLU(), nn.Linear(4, 3)),
        stack(nn.Linear(5, 4), nn.Linear(4, 3)),
        stack(nn.Linear(5, 4), nn.ReLU()),
        stack(nn.ReLU(), nn.Linear(5, 3)),
        stack(Subclass(5, 3)),
        stack(parametrizations.weight_norm(nn.Linear(5, 3))),
        examples.knotted(),
    ]
    for network in others:
        assert mlp_of(network, FLAT) is None, network.module
    # A linear layer on images without flattening acts on their last axis.
    assert mlp_of(stack(nn.Linear(5, 3)), torch.zeros(2, 1, 5)) is None


@pytest.mark.parametrize("name", ["plain", "weights", "soft", "learned noise", "no closed form", "DirClip elsewhere"])
def test_groups_of_chains_do_not_matter(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = CASES[name]
    target = make_target(case.posterior, case.rows, dtype=torch.float64, compiled=False)
    assert isinstance(target, MlpTarget)
    position = examples.randn(5, target.size, seed=20)
    index = torch.randint(examples.ROWS, (5, 4), generator=torch.Generator().manual_seed(0))
    wide = torch.full((5, target.size + 3), torch.nan, dtype=torch.float64)
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    for limit in (0, 30_000, 1 << 40):
        monkeypatch.setattr(mlp, "STACKED_BYTES", limit)
        full, part = wide.clone()[:, 2:-1], torch.empty_like(position)  # rows of another matrix are written too
        target.gradient(position, full)
        target.minibatch_gradient(position, index, part)
        found.append((full, part, target.terms(position).likelihood))
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-12, atol=1e-12)


def test_how_many_chains_are_stacked() -> None:
    small, wide = mlp_of(build_mlp(5, 50, 3, 0), FLAT), mlp_of(build_mlp(5, 5000, 3, 0), FLAT)
    assert small is not None
    assert wide is not None
    assert stacked_chains(small, 100, 8, 4) == 8
    assert stacked_chains(wide, 1000, 8, 4) == 1
    assert 1 < stacked_chains(small, 1_000, 100, 4) < 100
    assert stacked_chains(small, 1_000, 100, 8) < stacked_chains(small, 1_000, 100, 4)


def test_only_a_basis_without_centre_is_folded_into_the_inputs() -> None:
    for name, folded in {"plain": False, "correlated": True, "correlated around a centre": False}.items():
        target = make_target(CASES[name].posterior, CASES[name].rows, compiled=False)
        assert isinstance(target, MlpTarget)
        assert (target.fold is not None) == folded


def test_a_constant_direction_of_the_inputs_keeps_its_prior() -> None:
    """A dead input of a folded layer: the likelihood has no gradient along its coordinate, the prior all of it."""
    rows = examples.hard_rows()
    inputs = rows.inputs[:].clone()
    inputs[:, 2] = 0
    directions = torch.eye(5, dtype=torch.float64)
    from surefoot.density.correlated import Correlated
    from surefoot.density.layered import Layered

    first = Correlated("hidden1.weight", directions, torch.tensor([1.0, 2.0, 1e-8, 1.0, 0.5], dtype=torch.float64))
    posterior = Posterior(examples.mlp(7), categorical, Layered({"hidden1.weight": first}, rest=Gaussian(1.0)))
    target = make_target(posterior, rows.with_inputs(inputs), dtype=torch.float64, compiled=False)
    position = examples.randn(1, target.size, seed=21)
    out = torch.empty_like(position)
    target.gradient(position, out)
    assert isinstance(target, MlpTarget)
    views, here = target.coordinates.layout.views(out), target.coordinates.layout.views(position)
    torch.testing.assert_close(views["hidden1.weight"][..., 2], -here["hidden1.weight"][..., 2], rtol=0, atol=0)


@pytest.mark.parametrize(
    "network",
    [build_cnn((1, 6, 6), (2,), 4, 3, seed=0), build_resnet((1, 6, 6), 2, 1, 3, seed=0)],
    ids=["cnn", "resnet"],
)
def test_images(network: Network) -> None:
    rows = make_rows(examples.randn(6, 1, 6, 6), torch.arange(6) % 3)
    case = examples.Case(Posterior(network, categorical, Gaussian(4.0)), rows)
    target = make_target(case.posterior, rows, dtype=torch.float64)
    assert isinstance(target, AutogradTarget)
    position = examples.randn(2, target.size, seed=22)
    out = torch.empty_like(position)
    target.gradient(position, out)
    expected = examples.plain_gradient(case, target, position[1])
    torch.testing.assert_close(out[1], expected, rtol=1e-10, atol=1e-10)


def test_whole_numbers_as_inputs() -> None:
    network = stack(nn.Embedding(7, 4), nn.Flatten(), nn.Linear(8, 3))
    rows = make_rows(torch.arange(12).reshape(6, 2) % 7, torch.arange(6) % 3)
    case = examples.Case(Posterior(network, categorical, Gaussian(4.0)), rows)
    target = make_target(case.posterior, rows, dtype=torch.float64)
    position = examples.randn(2, target.size, seed=23)
    out = torch.empty_like(position)
    target.gradient(position, out)
    expected = examples.plain_gradient(case, target, position[1])
    torch.testing.assert_close(out[1], expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["plain", "correlated", "layers"])
def test_positions_and_parameters_are_inverse(name: str) -> None:
    case = CASES[name]
    for target in (
        make_target(case.posterior, case.rows, dtype=torch.float64),
        make_autograd_target(make_evidence(case.posterior, case.rows, torch.float64)),
    ):
        position = examples.randn(3, target.size, seed=24)
        parameters = target.parameters(position)
        assert {key: tuple(tensor.shape[1:]) for key, tensor in parameters.items()} == {
            key: tuple(tensor.shape) for key, tensor in case.posterior.network.module.named_parameters()
        }
        torch.testing.assert_close(target.position(parameters), position, rtol=1e-12, atol=1e-12)
        before = position.clone()
        for tensor in parameters.values():
            tensor.zero_()
        assert torch.equal(position, before)
