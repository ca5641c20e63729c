"""Compiled blocks: a graph for each number of tokens, counted by a backend that the test owns."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import jaxtyping
import pytest
import torch
from torch import Tensor, nn

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Objective
from surefoot.density.pools import mean
from surefoot.errors import InputError
from surefoot.flex.compiled import compile_blocks, graphs_of, warm_up
from surefoot.flex.fixed import fixed_at
from surefoot.flex.schedule import Drawn, size_at, uniform
from surefoot.inference.ascend import Ascend, ascend
from surefoot.networks.flexible import FlexibleViT, Shape, at_patch, build_vit
from surefoot.networks.network import Network, forward, parameters_of
from surefoot.rows.rows import make_rows

SHAPE = Shape((1, 240, 240), width=8, depth=1, heads=2, buffer=(16, 16), grid=(3, 3), expansion=2)
SIZES = [(p, p) for p in (48, 40, 30, 24, 20, 16, 15, 12, 10, 8)]
COARSE = SIZES[:3]


@pytest.fixture(autouse=True)
def without_shape_checks() -> Iterator[None]:
    """The checks of shapes that tests run under cannot be compiled."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


class Counter:
    """A backend that runs graphs as they are: graphs made and run by the number of tokens that it sees."""

    def __init__(self) -> None:
        self.made: list[int] = []
        self.ran: list[int] = []

    def __call__(self, graph: Any, examples: list[Any]) -> Callable[..., Any]:
        (tokens,) = {int(each.shape[1]) for each in examples if isinstance(each, Tensor) and each.ndim == 3}
        self.made.append(tokens)

        def run(*inputs: Any) -> Any:
            self.ran.append(tokens)
            return graph.forward(*inputs)

        return run


def network_of(shape: Shape = SHAPE) -> Network:
    network = build_vit(shape, classes=3, patch=24, seed=0)
    module = network.module
    assert isinstance(module, FlexibleViT)
    nn.init.normal_(module.head.weight, generator=torch.Generator().manual_seed(1))
    return network


def images(rows: int = 1, side: int = 240) -> Tensor:
    return torch.randn(rows, 1, side, side, generator=torch.Generator().manual_seed(2))


def test_ten_sizes_are_ten_graphs_and_none_runs_without_one() -> None:
    network, counter = network_of(), Counter()
    compiled = compile_blocks(network, counter)
    assert graphs_of(compiled) == ()
    table = warm_up(compiled, SIZES, images())
    tokens = [1 + (240 // p) ** 2 for p, _ in SIZES]
    assert counter.made == tokens == counter.ran
    assert table == tuple((count, 1, 1) for count in tokens)
    for size in SIZES:
        with torch.no_grad():
            assert torch.equal(at_patch(compiled, size).module(images()), at_patch(network, size).module(images()))
    assert counter.made == tokens
    assert counter.ran == tokens * 2
    assert graphs_of(compiled) == tuple((count, 1, 2) for count in tokens)


@pytest.mark.slow
def test_one_function_for_all_sizes_would_have_kept_eight() -> None:
    """What is guarded against: torch's own way with ten sizes."""
    counter, module = Counter(), network_of().module
    assert isinstance(module, FlexibleViT)
    plain = torch.compile(module.encode, backend=counter, dynamic=False)
    with torch.no_grad():
        for size in SIZES:
            plain(at_patch(network_of(), size).module.tokens(images()))  # type: ignore[operator]
    assert len(counter.made) == 8
    assert len(counter.ran) == 8


def test_gradients_are_those_of_the_network_as_it_was() -> None:
    network = network_of(replace(SHAPE, depth=2))
    compiled = compile_blocks(network, "aot_eager")
    warm_up(compiled, COARSE, images(2), training=True)
    made = [graph.made for graph in graphs_of(compiled)]
    assert all(tensor.grad is None for tensor in network.module.parameters())
    for size in COARSE:
        wanted, found = ({}, {})
        for each, into in ((network, wanted), (compiled, found)):
            module = at_patch(each, size).module
            module.zero_grad()
            module(images(2)).square().sum().backward()
            into.update({name: tensor.grad.clone() for name, tensor in module.named_parameters()})  # type: ignore[union-attr]
        assert wanted.keys() == found.keys()
        for name in wanted:
            torch.testing.assert_close(found[name], wanted[name], atol=1e-5, rtol=1e-5)
    assert [graph.made for graph in graphs_of(compiled)] == made == [1, 1, 1]


def test_training_runs_on_graphs_at_every_step() -> None:
    shape = Shape((1, 16, 16), width=8, depth=1, heads=2, buffer=(8, 8), grid=(2, 2))
    network = build_vit(shape, classes=2, patch=8, seed=0)
    rows = make_rows(images(20, 16), torch.arange(20) % 2)
    compiled, counter = compile_blocks(network, counter := Counter()), counter
    schedule, settings = uniform([(16, 16), (8, 8), (4, 4)]), Ascend(epochs=4, batch=10)
    plain, ours = (
        ascend(
            Objective(each, categorical, mean), rows, parameters_of(each), 0, settings, view=Drawn(schedule, seed=1)
        ).point()
        for each in (network, compiled)
    )
    assert plain.keys() == ours.keys()
    assert all(torch.equal(plain[name], ours[name]) for name in plain)
    drawn = [1 + (16 // size_at(schedule, 1, step, 8)[0]) ** 2 for step in range(8)]
    assert sorted(counter.ran) == sorted(drawn)
    assert sum(graph.runs for graph in graphs_of(compiled)) == 8
    assert len(set(drawn)) == 3


def test_copies_have_tensors_of_their_own_and_the_same_graphs() -> None:
    counter = Counter()
    compiled = compile_blocks(network_of(), counter)
    warm_up(compiled, COARSE, images())
    other = copy.deepcopy(compiled.module)
    with torch.no_grad():
        for tensor in other.parameters():
            tensor.mul_(2.0)
        assert not torch.allclose(other(images()), compiled.module(images()))
        assert isinstance(other, FlexibleViT)
        before = len(counter.made)
        other.at(COARSE[0])(images())
    assert len(counter.made) == before
    assert graphs_of(Network(other, "head")) == graphs_of(compiled)


def test_names_and_tensors_are_those_of_the_network() -> None:
    network = network_of()
    compiled = compile_blocks(network, "eager")
    theirs, ours = dict(network.module.named_parameters()), dict(compiled.module.named_parameters())
    assert theirs.keys() == ours.keys()
    assert all(theirs[name] is ours[name] for name in theirs)
    changed = {name: tensor + 0.1 for name, tensor in parameters_of(network).items()}
    assert torch.equal(forward(compiled, changed, images()), forward(network, changed, images()))
    assert isinstance(network.module.blocks, nn.ModuleList)
    plain = fixed_at(compiled, changed, (40, 40)).network.module
    assert isinstance(plain.blocks, nn.ModuleList)


def test_what_does_not_run_on_a_graph_is_told() -> None:
    compiled = compile_blocks(network_of(), "eager")
    warm_up(compiled, COARSE, images())
    with (
        torch.compiler.set_stance("force_eager"),
        pytest.raises(InputError, match="ran without their graph of 26 tokens"),
    ):
        warm_up(compiled, COARSE, images())
    before = graphs_of(compiled)
    for rows in range(2, 9):
        warm_up(compiled, COARSE[:1], images(rows))
    assert graphs_of(compiled)[0].made == before[0].made + 7
    with pytest.raises(InputError, match="blocks of 26 tokens have met more kinds of batches"):
        warm_up(compiled, COARSE[:1], images(9))


@pytest.mark.filterwarnings("ignore")  # of torch's compiler, on its own parts
def test_no_compiler_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    inductor = pytest.importorskip("torch._inductor.config")
    monkeypatch.setattr(inductor.cpp, "cxx", (None, "no-such-compiler"))
    with pytest.raises(InputError, match=r"no C\+\+ compiler, which torch.compile needs; install g\+\+"):
        warm_up(compile_blocks(network_of()), COARSE[:1], images())


def test_a_backend_that_fails_is_told() -> None:
    def broken(graph: Any, examples: list[Any]) -> Callable[..., Any]:
        raise RuntimeError("no room for graphs")

    with pytest.raises(InputError, match=r"cannot compile the blocks of 26 tokens \(.*no room for graphs"):
        warm_up(compile_blocks(network_of(), broken), COARSE[:1], images())


def test_other_networks_are_refused() -> None:
    linear = Network(nn.Sequential(nn.Linear(2, 2)), "0")
    with pytest.raises(InputError, match="Sequential is no transformer of `build_vit`"):
        compile_blocks(linear)
    with pytest.raises(InputError, match="FlexibleViT is not compiled"):
        warm_up(network_of(), COARSE, images())
    with pytest.raises(InputError, match="Sequential is not compiled"):
        graphs_of(linear)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_compiler_of_torch_gives_the_same_numbers_at_ten_sizes() -> None:
    network = network_of()
    compiled = compile_blocks(network)
    table = warm_up(compiled, SIZES, images())
    assert [(graph.made, graph.runs) for graph in table] == [(1, 1)] * 10
    for size in SIZES:
        with torch.no_grad():
            ours, wanted = (at_patch(each, size).module(images()) for each in (compiled, network))
        torch.testing.assert_close(ours, wanted, atol=1e-4, rtol=1e-4)
        assert wanted.std() > 0.01
    warm_up(compiled, COARSE[:2], images(), training=True)
    assert [graph.made for graph in graphs_of(compiled)] == [2, 2] + [1] * 8
