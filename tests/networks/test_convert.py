"""Without batch norm: folded, the function is the same; replaced, rows no longer see one another."""

import copy
import re

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from surefoot.errors import InputError
from surefoot.networks.build import build_mlp
from surefoot.networks.convert import batch_norms, fold_batch_norm, replace_batch_norm
from surefoot.networks.layers import FilterResponseNorm, ThresholdedLinear
from surefoot.networks.network import Network, forward, parameters_of


class Block(nn.Module):
    """A residual block with one ReLU for two places, as torchvision's have."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, groups=2)
        self.bn2 = nn.BatchNorm2d(channels, affine=False)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, inputs: Tensor) -> Tensor:
        inside = self.relu(self.bn1(self.conv1(inputs)))
        return self.relu(self.bn2(self.conv2(inside)) + inputs)


class Image(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4, eps=1e-3), nn.ReLU())
        self.block = Block(4)
        self.hidden = nn.Linear(4, 6)
        self.bn = nn.BatchNorm1d(6)
        self.head = nn.Linear(6, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        pooled = self.block(self.stem(inputs)).mean(dim=(2, 3))
        return self.head(relu(self.bn(self.hidden(pooled))))


class Branching(nn.Module):
    """What torch cannot trace."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten())
        self.head = nn.Linear(2 * 36, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        if inputs.sum() > 1e9:
            inputs = -inputs
        return self.head(self.body(inputs))


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def trained(module: nn.Module) -> nn.Module:
    """Every tensor drawn, averages too, so that no norm is the identity."""
    generator = torch.Generator().manual_seed(1)
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if tensor.is_floating_point():
            with torch.no_grad():
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.5)
                if name.endswith("running_var"):
                    tensor.square_().add_(0.1)
    return module.eval()


@pytest.fixture
def network() -> Network:
    with torch.random.fork_rng():
        return Network(trained(Image()), "head")


def test_all_norms_are_named(network: Network) -> None:
    assert batch_norms(network) == ("stem.1", "block.bn1", "block.bn2", "bn")
    assert batch_norms(build_mlp(3, 4, 2, seed=0)) == ()


def test_a_folded_network_is_the_same_function(network: Network) -> None:
    inputs = drawn(5, 3, 12, 12)
    parameters = parameters_of(network)
    folded = fold_batch_norm(network, parameters)
    expected = forward(network, parameters, inputs)
    found = forward(folded.network, folded.parameters, inputs)
    assert float((found - expected).abs().max()) < 2e-5 * float(expected.abs().max())
    exact = fold_batch_norm(network, {name: tensor.double() for name, tensor in parameters.items()})
    wide = {name: tensor.double() for name, tensor in parameters.items()}
    wider = forward(exact.network, exact.parameters, inputs.double()) - forward(network, wide, inputs.double())
    assert float(wider.abs().max()) < 1e-12
    assert batch_norms(folded.network) == ()
    assert not [name for name in folded.parameters if "running" in name or "batches" in name]
    assert set(folded.parameters) == set(parameters_of(folded.network))
    # The module's own tensors, its starting values, are the same function too.
    assert torch.equal(forward(folded.network, parameters_of(folded.network), inputs), found)


def test_other_parameters_than_the_module_s_are_folded(network: Network) -> None:
    other = {
        name: tensor * 1.5 if tensor.is_floating_point() else tensor for name, tensor in parameters_of(network).items()
    }
    before = {name: tensor.clone() for name, tensor in other.items()}
    inputs = drawn(5, 3, 12, 12)
    folded = fold_batch_norm(network, other)
    expected = forward(network, other, inputs)
    assert torch.allclose(forward(folded.network, folded.parameters, inputs), expected, rtol=1e-4, atol=1e-4)
    assert all(torch.equal(before[name], other[name]) for name in before)
    assert batch_norms(network) == ("stem.1", "block.bn1", "block.bn2", "bn")


def test_what_cannot_be_folded_is_said() -> None:
    cases = {
        "is the result of input": nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2)),
        "keeps no averages": nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, track_running_stats=False)),
        "is the result of _1; only": nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.BatchNorm1d(4), nn.Linear(4, 2)),
    }
    for words, module in cases.items():
        network = Network(module.eval(), str(len(module) - 1))
        with pytest.raises(InputError, match=words):
            fold_batch_norm(network, parameters_of(network))
    branching = Network(Branching().eval(), "head")
    with pytest.raises(InputError, match="cannot trace Branching"):
        fold_batch_norm(branching, parameters_of(branching))


def test_a_layer_that_is_read_twice_is_not_folded() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.norm, self.head = nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 2)

        def forward(self, inputs: Tensor) -> Tensor:
            inside = self.first(inputs)
            return self.head(self.norm(inside) + inside)

    network = Network(Twice().eval(), "head")
    with pytest.raises(InputError, match=re.escape('enters the batch norm "norm" is the result of first')):
        fold_batch_norm(network, parameters_of(network))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("frozen", "trained"),
    [
        ({"0", "1"}, set()),
        (set(), {"0.weight", "0.bias"}),
        ({"1"}, {"0.weight", "0.bias"}),  # a norm that is frozen, as is usual in fine-tuning
        ({"0"}, {"0.weight", "0.bias"}),  # only its γ and β are trained, and both tensors move with them
        ({"0.bias", "1"}, {"0.weight"}),
    ],
)
def test_frozen_tensors_stay_frozen_when_they_are_folded(frozen: set[str], trained: set[str], bias: bool) -> None:
    module = nn.Sequential(nn.Linear(3, 4, bias=bias), nn.BatchNorm1d(4), nn.Linear(4, 2))
    for name, tensor in module.named_parameters():
        tensor.requires_grad_(name not in frozen and name.partition(".")[0] not in frozen)
    if not bias and frozen == {"1"}:
        trained = {"0.weight"}  # the new bias is made of frozen tensors alone
    network = Network(module.eval(), "2")
    folded = fold_batch_norm(network, parameters_of(network)).network.module
    assert {name for name, tensor in folded.named_parameters() if tensor.requires_grad} == {
        *trained, "2.weight", "2.bias",
    }  # fmt: skip


def test_a_bias_of_stored_averages_alone_follows_its_weight() -> None:
    for trained in (True, False):
        module = nn.Sequential(nn.Linear(3, 4, bias=False), nn.BatchNorm1d(4, affine=False), nn.Linear(4, 2))
        module.requires_grad_(trained)
        network = Network(module.eval(), "2")
        folded = fold_batch_norm(network, parameters_of(network)).network.module
        assert {tensor.requires_grad for tensor in folded.parameters()} == {trained}


def test_a_network_without_batch_norms_folds_to_itself() -> None:
    network = build_mlp(3, 4, 2, seed=0)
    parameters = parameters_of(network)
    folded = fold_batch_norm(network, parameters)
    inputs = drawn(4, 3)
    assert torch.equal(forward(folded.network, folded.parameters, inputs), forward(network, parameters, inputs))


def test_replaced_layers_are_the_right_ones(network: Network) -> None:
    before = copy.deepcopy(parameters_of(network))
    replaced = replace_batch_norm(network, drawn(2, 3, 12, 12))
    kinds = {name: type(part) for name, part in replaced.module.named_modules()}
    assert batch_norms(replaced) == ()
    assert kinds["stem.1"] is kinds["block.bn1"] is kinds["block.bn2"] is FilterResponseNorm
    assert kinds["stem.2"] is ThresholdedLinear
    assert kinds["block.relu"] is nn.ReLU  # for two places
    assert kinds["bn"] is nn.LayerNorm
    assert replaced.head == "head"
    assert all(torch.equal(before[name], tensor) for name, tensor in parameters_of(network).items())


def test_rows_of_a_replaced_network_do_not_see_one_another_even_in_training(network: Network) -> None:
    inputs = drawn(6, 3, 12, 12)
    replaced = replace_batch_norm(network)
    parameters = parameters_of(replaced)
    whole = forward(replaced, parameters, inputs, training=True)
    alone = torch.cat([forward(replaced, parameters, inputs[row : row + 1], training=True) for row in range(6)])
    assert torch.allclose(whole, alone, atol=1e-5)
    assert torch.equal(whole, forward(replaced, parameters, inputs))
    own = parameters_of(network)
    seen = forward(network, dict(own), inputs, training=True)
    other = forward(network, dict(parameters_of(network)), inputs[:3], training=True)
    assert not torch.allclose(seen[:3], other, atol=1e-3)  # as those of the network before do


def test_neighbours_are_seen_where_torch_cannot_trace() -> None:
    replaced = replace_batch_norm(Network(Branching().eval(), "head"))
    assert isinstance(replaced.module.get_submodule("body.1"), FilterResponseNorm)
    assert isinstance(replaced.module.get_submodule("body.2"), ThresholdedLinear)


def test_what_cannot_be_replaced_is_said() -> None:
    for module, words in (
        (nn.Sequential(nn.Conv3d(1, 2, 3), nn.BatchNorm3d(2)), "is a BatchNorm3d; only"),
        (nn.Sequential(nn.Conv1d(1, 2, 3), nn.BatchNorm1d(2)), "is a BatchNorm1d of sequences; only"),
    ):
        with pytest.raises(InputError, match=words):
            replace_batch_norm(Network(module, "0"))
    point = nn.Sequential(nn.Conv2d(1, 2, 4), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(2, 2))
    with pytest.raises(InputError, match='"1" sees one pixel a channel'):
        replace_batch_norm(Network(point, "4"), drawn(2, 1, 4, 4))
