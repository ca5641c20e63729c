"""Linear and convolutional layers of a network, seen from outside: what enters them, and slopes at what leaves.

A layer's outputs are linear in its tensors at each position t (a pixel, a word; one where there are none),

    y_t = W a_t + b        ∂z/∂W = Σ_t g_t a_tᵀ,   ∂z/∂b = Σ_t g_t

so activations a `[rows, positions, in]` and slopes g `[rows, positions, out]` say all about the Jacobian, in far less
room. Of a convolution, a_t is the patch under position t. Passes are in the precision of the network, which is that of
the mode; what is read off them is handed on in float64, so that nothing is ever summed in less.
"""

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn
from torch.nn.functional import unfold

from surefoot.errors import InputError

__all__ = ["Layer", "Passed", "Survey", "cast", "entering", "leaving", "slopes", "survey", "watched"]

Linear: TypeAlias = nn.Linear | nn.Conv2d


@dataclass(frozen=True)
class Layer:
    """A layer that is linear in its tensors. weight, bias: their names, where they are among those asked for.

    positions, width, outputs: the shapes of a `[positions, width]` and y `[positions, outputs]` of one row.
    """

    name: str
    module: Linear
    weight: str | None
    bias: str | None
    positions: int
    width: int
    outputs: int

    @property
    def names(self) -> tuple[str, ...]:
        """Its tensors among those asked for."""
        return tuple(name for name in (self.weight, self.bias) if name is not None)


@dataclass(frozen=True)
class Survey:
    """The layers that hold the tensors asked for, the tensors that no such layer holds, and what a row's pass keeps.

    others: for each tensor left, the kind of module that it is in, or why its layer does not count. outputs: how many
    numbers a row's outputs have. held: numbers that all modules leave in one row's pass.
    """

    layers: tuple[Layer, ...]
    others: dict[str, str]
    outputs: int
    held: int

    @property
    def plain(self) -> bool:
        """Whether there are only linear layers with one position, as in a perceptron."""
        return not self.others and all(layer.positions == 1 for layer in self.layers)


@dataclass
class Passed:
    """What a pass left behind: each watched layer's input, and its output as the root of a graph."""

    entered: dict[str, Tensor]
    left: dict[str, Tensor]
    versions: dict[str, int]

    def check(self) -> None:
        """Raise `InputError` where a layer's input was changed in place after the layer had read it."""
        for name, entered in self.entered.items():
            if entered._version != self.versions[name]:  # pyright: ignore[reportPrivateUsage] - no other way
                raise InputError(
                    f'What enters the layer "{name}" is changed in place later in the same pass, so its curvature '
                    "cannot be read off; use operations that leave their inputs alone (inplace=False)."
                )


def survey(module: nn.Module, names: Iterable[str], row: Tensor) -> Survey:
    """Run one row and say where the tensors `names` are; `module` is in evaluation mode."""
    wanted = set(names)
    homes: dict[int, list[str]] = {}
    named = dict(module.named_parameters())
    found: list[tuple[str, nn.Module, dict[str, str]]] = []
    by_id = {id(tensor): name for name, tensor in named.items()}
    for prefix, part in module.named_modules():
        own: dict[str, str] = {}
        for key, tensor in part.named_parameters(recurse=False):
            homes.setdefault(id(tensor), []).append(prefix)
            if by_id[id(tensor)] in wanted:
                own[key] = by_id[id(tensor)]
        if own:
            found.append((prefix, part, own))
    runs, held, outputs = _run_once(module, row)
    layers: list[Layer] = []
    others: dict[str, str] = {}
    for prefix, part, own in found:
        shared = any(len(homes[id(named[name])]) > 1 for name in own.values())
        seen = runs.get(prefix, [])
        reason = _reason(part, shared, len(seen))
        if reason is not None or not isinstance(part, nn.Linear | nn.Conv2d):
            others.update(dict.fromkeys(own.values(), f'"{prefix}", {reason}'))
            continue
        entered, left = seen[0]
        positions, width = _shape(part, entered, left)
        count = left.shape[-1] if isinstance(part, nn.Linear) else left.shape[1]
        layers.append(Layer(prefix, part, own.get("weight"), own.get("bias"), positions, width, count))
    return Survey(tuple(layers), others, outputs, held)


@contextmanager
def watched(layers: Iterable[Layer]) -> Generator[Passed]:
    """While it is open, a pass of the layers' module keeps what enters and what leaves them.

    What leaves is handed on as a copy, so that activations that work in place change the copy.
    """
    passed = Passed({}, {}, {})

    def hook_of(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
        def keep(_: nn.Module, arguments: tuple[Tensor, ...], left: Tensor) -> Tensor:
            passed.entered[name] = arguments[0].detach()
            passed.versions[name] = arguments[0]._version  # pyright: ignore[reportPrivateUsage]
            passed.left[name] = left if left.requires_grad else left.requires_grad_()
            return left.clone()

        return keep

    hooks = [layer.module.register_forward_hook(hook_of(layer.name)) for layer in layers]
    try:
        yield passed
    finally:
        for hook in hooks:
            hook.remove()


def slopes(
    outputs: Tensor,
    column: Tensor,
    passed: Passed,
    layers: Iterable[Layer],
    room: Sequence[Float64[Tensor, "_ _ _"]] | None = None,
) -> list[Float64[Tensor, "rows positions out"]]:
    """g of every layer, for one column `[rows, outputs]` that is sent back; written into `room` where that is given."""
    asked = list(layers)
    lefts = [passed.left[layer.name] for layer in asked]
    sent = column.to(outputs.dtype).reshape(outputs.shape)
    found = torch.autograd.grad(outputs, lefts, sent, retain_graph=True, materialize_grads=True)
    if room is None:
        return [leaving(layer, slope).double() for layer, slope in zip(asked, found, strict=True)]
    return [place.copy_(leaving(layer, slope)) for layer, slope, place in zip(asked, found, room, strict=True)]


def entering(layer: Layer, entered: Tensor) -> Float64[Tensor, "rows positions in"]:
    """a of every row."""
    module = layer.module
    if isinstance(module, nn.Linear):
        return entered.reshape(len(entered), -1, module.in_features).double()
    assert not isinstance(module.padding, str)
    return unfold(entered, module.kernel_size, module.dilation, module.padding, module.stride).mT.double()  # pyright: ignore[reportArgumentType] - pairs, which torch's stubs widen


def leaving(layer: Layer, tensor: Tensor) -> Float[Tensor, "rows positions out"]:
    """What leaves a layer, or its slope, by position."""
    if isinstance(layer.module, nn.Linear):
        return tensor.reshape(len(tensor), -1, layer.outputs)
    return tensor.flatten(2).mT


def cast(inputs: Tensor, precision: torch.dtype) -> Tensor:
    """Numbers in a precision; class or word numbers as they are."""
    return inputs.to(precision) if inputs.is_floating_point() else inputs


def _shape(module: Linear, entered: Tensor, left: Tensor) -> tuple[int, int]:
    """Positions and width of a."""
    if isinstance(module, nn.Linear):
        return entered.numel() // module.in_features, module.in_features
    return left[0, 0].numel(), module.weight[0].numel()


def _run_once(module: nn.Module, row: Tensor) -> tuple[dict[str, list[tuple[Tensor, Tensor]]], int, int]:
    """Of each module that holds parameters, what entered and left it; numbers held in all; numbers put out."""
    runs: dict[str, list[tuple[Tensor, Tensor]]] = {}
    held = [row.numel()]

    def hook_of(name: str, keeps: bool):
        def hook(_: nn.Module, entered: tuple[Tensor, ...], left: object) -> None:
            if isinstance(left, Tensor):
                held[0] += left.numel()
                if keeps and entered:
                    runs.setdefault(name, []).append((entered[0], left))

        return hook

    hooks = [
        part.register_forward_hook(hook_of(name, any(True for _ in part.parameters(recurse=False))))
        for name, part in module.named_modules()
        if not any(True for _ in part.children())
    ]
    try:
        with torch.no_grad():
            outputs = module(row)
    finally:
        for hook in hooks:
            hook.remove()
    if not isinstance(outputs, Tensor):
        raise InputError(f"The network returns {type(outputs).__name__}, not one tensor of outputs; wrap it so.")
    return runs, held[0], outputs.numel()


def _reason(part: nn.Module, shared: bool, runs: int) -> str | None:
    """Why a module is not one of the layers, or None."""
    if not isinstance(part, nn.Linear | nn.Conv2d):
        return f"a {type(part).__name__}"
    if shared:
        return "which shares its tensors with another layer"
    if runs != 1:
        return f"which runs {runs} times in one pass"
    if isinstance(part, nn.Conv2d) and (
        part.groups != 1 or part.padding_mode != "zeros" or isinstance(part.padding, str)
    ):
        return "a Conv2d with groups, or padding other than a number of zeros"
    return None
