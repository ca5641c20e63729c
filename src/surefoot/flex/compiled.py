"""Blocks compiled once for each number of tokens, and counted: no size runs slowly without being told.

`torch.compile` keeps at most eight graphs of a function (`recompile_limit`) and runs whatever comes after them eagerly.
A transformer of ten patch sizes has ten numbers of tokens, so that two sizes, perhaps the dearest, would not be
compiled. Here each number of tokens has a function of its own, whose graphs are counted apart:

    tokens n  →  blocks_n, compiled whole and for fixed shapes  →  graphs made, passes that ran on one

What depends on the patch size itself, the resize of the kernel and one convolution, stays as it is. A pass that did not
run on a graph is an error, whatever the reason: graphs are counted in the backend, not asked of the compiler.

Other batch sizes, gradients on or off, and parameters lent by `forward` make other graphs of the same function, eight
at most of a number of tokens.
"""

import copy
import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from types import FunctionType
from typing import Any, Literal, NamedTuple, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn

from surefoot.errors import InputError
from surefoot.networks.flexible import FlexibleViT, at_patch
from surefoot.networks.network import Network
from surefoot.networks.patches import Size

__all__ = ["Backend", "CompiledBlocks", "Graphs", "compile_blocks", "graphs_of", "warm_up"]

Backend: TypeAlias = Literal["inductor", "eager", "aot_eager"] | Callable[[Any, list[Any]], Callable[..., Any]]
"""What makes a graph run: one of torch's by name, or (graph, example inputs) → a function of the inputs."""


class Graphs(NamedTuple):
    """Of one number of tokens: graphs made, and passes that ran on one."""

    tokens: int
    made: int
    runs: int


def compile_blocks(network: Network, backend: Backend = "inductor") -> Network:
    """The network with its blocks compiled, a graph for each number of tokens; the same tensors, under the same names.

    Nothing is compiled yet: `warm_up` does it now, or else the first pass at a size. Copies of the network, such as
    `ascend` trains, share the graphs. `fixed_at` gives a network without them.

    Raises `InputError` for a network that is no transformer of `build_vit`. A pass raises it where there is no C++
    compiler, where torch cannot compile the blocks, at a ninth graph of one number of tokens, and where it did not run
    on a graph.

    >>> from surefoot.networks.flexible import Shape, build_vit
    >>> shape = Shape((1, 16, 16), width=8, depth=1, heads=2, buffer=(8, 8), grid=(2, 2))
    >>> compiled = compile_blocks(build_vit(shape, classes=3, patch=8, seed=0), backend="eager")
    >>> [graph.tokens for graph in warm_up(compiled, [(8, 8), (4, 4)], torch.zeros(2, 1, 16, 16))]  # doctest: +SKIP
    [5, 17]
    """
    module = network.module
    if not isinstance(module, FlexibleViT):
        raise InputError(
            f"{type(module).__name__} is no transformer of `build_vit`, whose blocks could be compiled; compile it at "
            "one size with `torch.compile`."
        )
    other = copy.copy(module)
    blocks = CompiledBlocks(module.blocks.named_children(), _Kept(backend))
    vars(other)["_modules"] = {**vars(module)["_modules"], "blocks": blocks}
    return replace(network, module=other)


def warm_up(
    network: Network,
    sizes: Sequence[Size],
    images: Float[Tensor, "rows channels height width"],
    *,
    training: bool = False,
) -> tuple[Graphs, ...]:
    """Compile every size now, for this number of images; what there is then, by number of tokens.

    training: forward and backward passes, as `ascend` takes them; otherwise passes without gradients.

    Raises `InputError` for a network that is not compiled, and what its passes raise.
    """
    graphs_of(network)
    for size in sizes:
        module = at_patch(network, size).module
        if training:
            learnt = [tensor for tensor in module.parameters() if tensor.requires_grad]
            torch.autograd.grad(module(images).sum(), learnt, allow_unused=True)
        else:
            with torch.no_grad():
                module(images)
    return graphs_of(network)


def graphs_of(network: Network) -> tuple[Graphs, ...]:
    """What was compiled so far and how often it ran, from the fewest tokens. Raises `InputError` for other networks."""
    blocks = getattr(network.module, "blocks", None)
    if not isinstance(blocks, CompiledBlocks):
        raise InputError(f"This {type(network.module).__name__} is not compiled; give what `compile_blocks` returned.")
    kept = blocks.kept
    return tuple(Graphs(tokens, kept.made[tokens], kept.runs[tokens]) for tokens in sorted(kept.functions))


class CompiledBlocks(nn.Module):
    """All blocks as one layer; its parts have the names that they have in a list of blocks."""

    def __init__(self, blocks: Iterator[tuple[str, nn.Module]], kept: "_Kept") -> None:
        super().__init__()
        for name, block in blocks:
            self.add_module(name, block)
        self.kept = kept

    def __iter__(self) -> Iterator[nn.Module]:
        """The layers that a pass takes, one after the other: this one."""
        yield self

    def forward(self, tokens: Float[Tensor, "rows tokens features"]) -> Float[Tensor, "rows tokens features"]:
        return self.kept.run(tuple(self.children()), tokens)


@dataclass(frozen=True)
class _Kept:
    """The functions of a network and all its copies, by number of tokens, and what was counted."""

    backend: Backend
    functions: dict[int, Callable[..., Tensor]] = field(default_factory=dict[int, Callable[..., Tensor]])
    made: dict[int, int] = field(default_factory=dict[int, int])
    runs: dict[int, int] = field(default_factory=dict[int, int])

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Kept":
        """Itself: copies of a network have tensors of their own and the same graphs."""
        return self

    def run(self, blocks: tuple[nn.Module, ...], tokens: Tensor) -> Tensor:
        count = tokens.shape[1]
        if count not in self.functions:
            self.made[count] = self.runs[count] = 0
            compiling = torch.compile(backend=self._counting(count), fullgraph=True, dynamic=False)
            self.functions[count] = compiling(_own_code(_through, f"blocks_{count}"))
        before = self.runs[count]
        try:
            with warnings.catch_warnings():
                # torch, as it compiles, asks tokens for a gradient that it does not read, and warns of that.
                warnings.filterwarnings("ignore", message=r"The \.grad attribute of a Tensor that is not a leaf")
                left = self.functions[count](blocks, tokens)
        except Exception as error:
            raise _told(error, count) or error from error
        if self.runs[count] != before + 1:
            raise InputError(
                f"The blocks ran without their graph of {count} tokens: torch.compile is switched off here "
                "(TORCHDYNAMO_DISABLE, or a stance of eager); switch it on, or give the network that is not compiled."
            )
        return left

    def _counting(self, count: int) -> Callable[[Any, list[Any]], Callable[..., Any]]:
        def compiled(graph: Any, examples: list[Any]) -> Callable[..., Any]:
            from torch._dynamo.backends.registry import lookup_backend

            backend = lookup_backend(self.backend) if isinstance(self.backend, str) else self.backend
            made = backend(graph, examples)
            self.made[count] += 1

            def run(*inputs: Any) -> Any:
                self.runs[count] += 1
                return made(*inputs)

            return run

        return compiled


def _through(blocks: tuple[nn.Module, ...], tokens: Tensor) -> Tensor:
    for block in blocks:
        tokens = block(tokens)
    return tokens


def _own_code(function: Callable[..., Tensor], name: str) -> Callable[..., Tensor]:
    """The function with a code object of its own, which is what torch counts graphs by."""
    function = inspect.unwrap(function)  # without the checks of shapes that tests put around it
    assert isinstance(function, FunctionType)
    return FunctionType(function.__code__.replace(co_name=name), function.__globals__, name)


def _told(error: Exception, count: int) -> InputError | None:
    from torch._dynamo import exc

    if isinstance(error, exc.FailOnRecompileLimitHit):
        return InputError(
            f"The blocks of {count} tokens have met more kinds of batches than torch keeps graphs of a function; give "
            "batches of one size, or raise torch._dynamo.config.recompile_limit."
        )
    if not isinstance(error, exc.TorchDynamoException):
        return None
    inside = error.inner_exception if isinstance(error, exc.BackendCompilerFailed) else error
    reason = (str(inside).strip().splitlines() or [type(inside).__name__])[0]
    if "C++ compiler" in reason:
        return InputError(
            "There is no C++ compiler, which torch.compile needs; install g++ (or name one in CXX), or give the "
            "network that is not compiled."
        )
    return InputError(
        f"torch cannot compile the blocks of {count} tokens ({reason}); give the network that is not compiled."
    )
