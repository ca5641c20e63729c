"""Features are what enters the head, heads can be replaced, and calls neither leak nor disturb each other."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn

from surefoot.errors import InputError
from surefoot.networks.build import build_cnn, build_mlp, build_resnet
from surefoot.networks.network import (
    Network,
    Parameters,
    check_head_is_last,
    digest_parameters,
    embed,
    forward,
    head_of,
    parameters_of,
    with_head,
)


def seeded(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def other_parameters(network: Network, seed: int) -> Parameters:
    return {name: seeded(*tensor.shape, seed=seed) for name, tensor in parameters_of(network).items()}


class Scaled(nn.Module):
    """Logits that are changed after the head."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(3, 4)
        self.head = nn.Linear(4, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        return 2 * self.head(self.body(inputs).relu())


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.head(inputs))


@pytest.mark.parametrize(
    ("network", "inputs"),
    [
        (build_mlp(5, (7, 6), 3, seed=1), seeded(4, 5)),
        (build_cnn((1, 12, 8), (4, 6), 9, 2, seed=1), seeded(4, 1, 12, 8)),
        (build_resnet((2, 9, 8), 4, 1, 3, seed=1), seeded(4, 2, 9, 8)),
    ],
    ids=["mlp", "cnn", "resnet"],
)
def test_head_of_embedding_is_forward(network: Network, inputs: Tensor) -> None:
    parameters = other_parameters(network, seed=3)
    weight, bias = head_of(network, parameters)
    features = embed(network, parameters, inputs)
    assert torch.equal(nn.functional.linear(features, weight, bias), forward(network, parameters, inputs))
    assert not torch.allclose(forward(network, parameters, inputs), network.module(inputs))
    check_head_is_last(network, parameters, inputs)


def test_embedding_of_an_mlp_by_hand() -> None:
    network = build_mlp(5, 7, 3, seed=1)
    parameters = parameters_of(network)
    inputs = seeded(4, 5)
    by_hand = (inputs @ parameters["hidden1.weight"].T + parameters["hidden1.bias"]).clamp(min=0)
    torch.testing.assert_close(embed(network, parameters, inputs), by_hand, rtol=1e-6, atol=1e-7)


def test_running_leaves_the_module_as_it_was() -> None:
    network = build_mlp(5, 7, 3, seed=1)
    before = digest_parameters(parameters_of(network))
    embed(network, other_parameters(network, seed=5), seeded(4, 5))
    forward(network, other_parameters(network, seed=5), seeded(4, 5))
    assert digest_parameters(parameters_of(network)) == before
    assert not network.module.get_submodule("head")._forward_hooks


def test_missing_or_unknown_parameters_are_not_replaced_in_silence() -> None:
    network = build_mlp(5, 7, 3, seed=1)
    parameters = parameters_of(network)
    del parameters["hidden1.bias"]
    with pytest.raises(RuntimeError, match="hidden1"):
        forward(network, parameters, seeded(4, 5))


def test_threads_with_other_parameters_do_not_disturb_each_other() -> None:
    network = build_mlp(20, 30, 3, seed=1)
    inputs = seeded(16, 20)
    all_parameters = [other_parameters(network, seed) for seed in range(8)]
    alone = [
        (embed(network, parameters, inputs), forward(network, parameters, inputs)) for parameters in all_parameters
    ]

    def work(number: int) -> bool:
        features = embed(network, all_parameters[number % 8], inputs)
        logits = forward(network, all_parameters[number % 8], inputs)
        return torch.equal(features, alone[number % 8][0]) and torch.equal(logits, alone[number % 8][1])

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(200)))


def test_gradients_go_through_the_embedding() -> None:
    network = build_mlp(5, (), 3, seed=1)
    inputs = seeded(4, 5)
    gradient = torch.func.grad(lambda x: embed(network, parameters_of(network), x).square().sum())(inputs)
    torch.testing.assert_close(gradient, 2 * inputs)


def test_evaluation_is_the_default_and_training_is_asked_for() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2)).train()
    network = Network(module, "3")
    parameters = parameters_of(network)
    inputs = seeded(6, 3)
    together = forward(network, parameters, inputs)
    alone = torch.cat([forward(network, parameters, inputs[row : row + 1]) for row in range(6)])
    torch.testing.assert_close(together, alone)
    assert parameters["1.num_batches_tracked"] == 0
    trained = forward(network, parameters, inputs, training=True)
    assert not torch.allclose(trained, together)
    assert parameters["1.num_batches_tracked"] == 1
    mean = (inputs @ parameters["0.weight"].T + parameters["0.bias"]).mean(dim=0)
    torch.testing.assert_close(parameters["1.running_mean"], 0.1 * mean)
    assert dict(module.named_buffers())["1.num_batches_tracked"] == 0


def test_with_head_changes_the_logits_and_shares_the_rest() -> None:
    network = build_mlp(5, 7, 3, seed=1)
    parameters = parameters_of(network)
    weight, bias = seeded(3, 7, seed=8).double(), seeded(3, seed=9).double()
    changed = with_head(network, parameters, weight, bias)
    inputs = seeded(4, 5)
    expected = embed(network, parameters, inputs) @ weight.float().T + bias.float()
    torch.testing.assert_close(forward(network, changed, inputs), expected)
    assert changed["hidden1.weight"] is parameters["hidden1.weight"]
    assert changed["head.weight"].dtype == torch.float32
    assert torch.equal(parameters["head.weight"], parameters_of(network)["head.weight"])
    restored = with_head(network, changed, *head_of(network, parameters))
    assert digest_parameters(restored) == digest_parameters(parameters)


def test_a_head_of_another_shape_is_refused() -> None:
    network = build_mlp(5, 7, 3, seed=1)
    with pytest.raises(
        InputError,
        match=re.escape(
            'The head "head" has 3 classes and 7 features; the new one has 2 classes, 7 features and 2 biases. '
            "Give a head of the same shape."
        ),
    ):
        with_head(network, parameters_of(network), torch.zeros(2, 7), torch.zeros(2))


def test_a_head_without_bias_takes_only_a_bias_of_zeros() -> None:
    network = Network(nn.Sequential(nn.Linear(4, 2, bias=False)), "0")
    parameters = parameters_of(network)
    assert head_of(network, parameters).bias.tolist() == [0, 0]
    assert list(with_head(network, parameters, torch.ones(2, 4), torch.zeros(2))) == ["0.weight"]
    with pytest.raises(
        InputError,
        match=re.escape(
            'The head "0" has no bias and the new one does; build the last nn.Linear with bias=True, '
            "or give a bias of zeros."
        ),
    ):
        with_head(network, parameters, torch.ones(2, 4), torch.tensor([0.0, 0.1]))


def test_a_step_after_the_head_is_found() -> None:
    network = Network(Scaled(), "head")
    with pytest.raises(
        InputError,
        match=re.escape(
            'The layer "head" is not the last step of the model: its outputs [5, 2] are changed before they leave '
            "as [5, 2]; return the logits of the last nn.Linear as they are, or name another head."
        ),
    ):
        check_head_is_last(network, parameters_of(network), seeded(5, 3))


def test_a_head_that_runs_twice_is_refused() -> None:
    network = Network(Twice(), "head")
    with pytest.raises(
        InputError,
        match=re.escape(
            'The layer "head" ran 2 times in one pass of the model; a head must run exactly once: name another one.'
        ),
    ):
        embed(network, parameters_of(network), seeded(5, 3))


def test_a_head_on_tokens_is_refused() -> None:
    network = Network(nn.Sequential(nn.Linear(4, 2)), "0")
    with pytest.raises(
        InputError,
        match=re.escape(
            'The layer "0" receives [5, 3, 4]; a head must receive [rows, features], one vector a row: '
            "pool before it, or name another head."
        ),
    ):
        embed(network, parameters_of(network), seeded(5, 3, 4))


def test_digests_see_names_shapes_types_and_values_only() -> None:
    weight = torch.arange(4.0)
    digest = digest_parameters({"a": weight, "b": weight})
    assert digest == digest_parameters({"b": weight.clone(), "a": weight.clone().requires_grad_()})
    different = [
        {"a": weight, "c": weight},
        {"a": weight, "b": weight.reshape(2, 2)},
        {"a": weight, "b": weight.double()},
        {"a": weight, "b": weight + torch.tensor([0, 0, 0, 1e-6])},
        {"a": weight},
    ]
    assert digest not in {digest_parameters(parameters) for parameters in different}
