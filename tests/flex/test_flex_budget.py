"""Plain transformers of one size, what sizes cost, and which one a budget buys."""

import math
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from surefoot.errors import InputError
from surefoot.flex import cost as costing
from surefoot.flex.choose import Candidate, choose_within
from surefoot.flex.cost import Cost, cost_findings, loaded, measure_costs
from surefoot.flex.fixed import fixed_at
from surefoot.flex.flexify import flexify
from surefoot.networks.flexible import FlexibleViT, Shape, at_patch, build_vit
from surefoot.networks.network import Network, forward, parameters_of

SHAPE = Shape((3, 32, 32), width=16, depth=2, heads=2, buffer=(16, 16), grid=(3, 3))


@pytest.fixture
def network() -> Network:
    built = build_vit(SHAPE, classes=5, patch=16, seed=0)
    assert isinstance(built.module, FlexibleViT)
    nn.init.normal_(built.module.head.weight, generator=torch.Generator().manual_seed(1))
    return built


def images(rows: int = 2) -> Tensor:
    return torch.randn(rows, 3, 32, 32, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("patch", [(32, 32), (16, 16), (8, 4)], ids=str)
def test_a_plain_network_says_what_the_flexible_one_says_at_its_size(network: Network, patch: tuple[int, int]) -> None:
    parameters = {name: tensor + 0.1 for name, tensor in parameters_of(network).items()}
    plain = fixed_at(network, parameters, patch)
    said = forward(at_patch(network, patch), parameters, images())
    torch.testing.assert_close(forward(plain.network, plain.parameters, images()), said, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(plain.network.module(images()), said, atol=1e-6, rtol=1e-6)
    module = plain.network.module
    assert isinstance(module, FlexibleViT)
    assert (module.shape.buffer, module.shape.grid) == (patch, (32 // patch[0], 32 // patch[1]))
    assert not module.training


def test_a_plain_module_is_of_its_own_class_and_has_parameters_of_its_own() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=8
    )

    class Logits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = transformers.ViTForImageClassification(config).eval()

        def forward(self, inputs: Tensor) -> Any:
            return self.model(pixel_values=inputs).logits

    flexible = Network(flexify(Logits(), 32), "module.model.classifier")
    parameters = parameters_of(flexible)
    plain = fixed_at(flexible, parameters, (16, 16))
    assert isinstance(plain.network.module, Logits)
    assert plain.network.head == "model.classifier"
    torch.testing.assert_close(
        plain.network.module(images()), forward(at_patch(flexible, 16), parameters, images()), atol=1e-6, rtol=1e-6
    )
    inside = plain.network.module.model.vit.embeddings
    assert isinstance(inside.position_embeddings, nn.Parameter)
    assert tuple(inside.position_embeddings.shape) == (1, 5, 16)
    ours = {tensor.data_ptr() for tensor in flexible.module.parameters()}
    assert not ours & {tensor.data_ptr() for tensor in plain.network.module.parameters()}


def test_operations_are_those_of_the_equations(network: Network) -> None:
    """Of one image: 2 · patches · 3pq · d, and in each of two blocks 24 t d² + 4 t² d, and the head."""
    sizes = [(16, 16), (8, 8), (4, 8)]
    costs = measure_costs(network, parameters_of(network), sizes, images(), rounds=3)
    for (p, q), cost in zip(sizes, costs, strict=True):
        tokens, d = 32 * 32 // (p * q), 16
        t = tokens + 1
        expected = 2 * tokens * 3 * p * q * d + 2 * (24 * t * d * d + 4 * t * t * d) + 2 * d * 5
        assert cost.operations == expected
        assert 0 < cost.fast <= cost.seconds <= cost.slow


class Chain(nn.Module):
    """Makes three tensors of 4,000 bytes, at most two of them at a time, and a view."""

    def forward(self, inputs: Tensor) -> Tensor:
        first = inputs + 1
        second = first.view(-1) * 2
        del first
        return second.exp()


def test_memory_is_what_lives_at_one_time() -> None:
    inputs = torch.zeros(10, 100)
    with torch.inference_mode():
        assert costing._memory(Chain(), inputs) == 8000
        assert costing._memory(nn.Identity(), inputs) == 0


def test_sizes_take_turns_and_the_first_passes_are_not_counted() -> None:
    calls: list[int] = []

    def slow(which: int) -> None:
        calls.append(which)
        time.sleep(0.02 if len(calls) <= 4 else 0.001 * (1 + 3 * which))

    told: list[tuple[str, int, int]] = []
    taken = costing._seconds(
        [lambda: slow(0), lambda: slow(1)], 3, lambda stage, done, total: told.append((stage, done, total))
    )
    assert taken.shape == (2, 3)
    assert calls[4:] == [0, 1, 1, 0, 0, 1]
    assert (taken[1] > taken[0]).all()
    assert taken.max() < 0.02
    assert told == [("timing", 1, 3), ("timing", 2, 3), ("timing", 3, 3)]


def candidate(size: int, slow: float, accuracy: float) -> Candidate:
    """Its upper quartile is `slow`, its median four fifths of it."""
    cost = Cost(1, (0.6 * slow, 0.7 * slow, 0.8 * slow, slow, 1.1 * slow), 1e6, 1000)
    return Candidate(str(size), f"{size} × {size}", cost, accuracy)


def test_the_most_accurate_that_is_quick_enough() -> None:
    every = [candidate(8, 0.05, 0.95), candidate(16, 0.02, 0.9), candidate(12, 0.018, 0.9), candidate(24, 0.01, 0.8)]
    assert choose_within(every, 0.1).name == "8"
    assert choose_within(every, 0.049).name == "12"
    assert choose_within(every, 0.0199).name == "12"
    assert choose_within(every, 0.01).name == "24"


def test_the_interval_of_a_median_is_between_order_statistics() -> None:
    """Of 15 passes, P(fewer than 4 below the median) = .0176 and of 5 .059: the 4th and the 12th bound 95 %."""
    cost = Cost(1, tuple(each / 1000 for each in (9, 3, 7, 1, 5, 2, 8, 4, 6, 10, 15, 14, 13, 12, 11)), 2e6, 2**21)
    time, operations, memory = cost_findings(cost, "model")
    assert (time.name, time.value, time.unit, time.count) == ("milliseconds", 8.0, "ms", 15)
    assert time.interval is not None
    assert (time.interval.low, time.interval.high) == (4.0, 12.0)
    assert (operations.value, memory.value) == (2.0, 2.0)
    wider = cost_findings(cost, "model", 0.99)[0].interval
    assert wider is not None
    assert (wider.low, wider.high) == (3.0, 13.0)
    assert cost_findings(replace(cost, times=cost.times[:5]), "model")[0].interval is None


def test_the_interval_of_a_median_covers_it() -> None:
    draws = np.random.default_rng(0).exponential(size=(1000, 21))
    hits = 0
    for each in draws:
        interval = cost_findings(Cost(1, tuple(each.tolist()), 0.0, 0), "model")[0].interval
        assert interval is not None
        hits += interval.low <= 1e3 * math.log(2) <= interval.high
    assert 0.957 < hits / len(draws) < 0.99  # exactly .9734 for n = 21, ranks 6 and 16


def test_a_loaded_module_has_tensors_of_its_own(network: Network) -> None:
    parameters = {name: tensor + 1 for name, tensor in parameters_of(network).items()}
    module = loaded(network, parameters)
    torch.testing.assert_close(module(images()), forward(network, parameters, images()))
    assert not {each.data_ptr() for each in module.parameters()} & {each.data_ptr() for each in parameters.values()}


def test_a_budget_that_nothing_meets_names_the_nearest() -> None:
    every = [candidate(8, 0.05, 0.95), candidate(24, 0.0123, 0.803)]
    with pytest.raises(InputError, match=r"within 5 ms here; the nearest is 24 × 24 with 12\.3 ms and 80\.3% right"):
        choose_within(every, 0.005)
    with pytest.raises(InputError, match="no model to choose"):
        choose_within([], 1.0)
    with pytest.raises(InputError, match="positive time"):
        choose_within(every, 0.0)


def test_what_has_no_size_or_does_not_divide_is_refused(network: Network) -> None:
    plain = Network(nn.Sequential(nn.Linear(2, 2)), "0")
    with pytest.raises(InputError, match="Sequential has no patch size to fix"):
        fixed_at(plain, parameters_of(plain), (8, 8))
    with pytest.raises(InputError, match="does not divide"):
        fixed_at(network, parameters_of(network), (5, 5))
    with pytest.raises(InputError, match="No patch size"):
        measure_costs(network, parameters_of(network), [], images())
    with pytest.raises(InputError, match="2 rounds of timing"):
        measure_costs(network, parameters_of(network), [(8, 8)], images(), rounds=2)
