"""Forward and backward passes of an MLP by hand, feature-major, for several chains, without allocating.

Activations are `[chains, features + 1, rows]` with a constant last row of ones, and a layer's matrix `[out, in + 1]`
has its bias as last column: a layer is one product, and so is its gradient,

    Z_l = W_l A_{l−1}        ∂W_l = ∂Z_l A_{l−1}ᵀ        ∂A_{l−1} = W_l[:, :in]ᵀ ∂Z_l

and rows lie side by side in memory, where ReLU and its derivative run over whole vectors. Inputs are kept as
`[rows, in + 1]`: BLAS reads a transposed operand at the same speed, so a second copy would buy nothing (64-50-50-10 on
1,797 rows, one thread: 165 µs for the product with the copy and without), and minibatches gather contiguous rows.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.inference.targets.mlp_shape import Linear, Mlp

__all__ = [
    "Matrices",
    "Workspace",
    "backward",
    "forward_block",
    "make_workspace",
    "matrices_in",
    "with_back",
    "workspace_numbers",
]


@dataclass(frozen=True)
class Workspace:
    """Buffers for some chains and rows, with the views of them that a pass needs.

    hidden: activations of each layer but the last, with their row of ones. changes: ∂Z of each layer. outputs: Z of the
    last. leaving: where each layer writes (`hidden` without the ones; `outputs`). entered: what each layer but the
    first reads. turned: the same, transposed.
    """

    hidden: tuple[Float[Tensor, "chains _ rows"], ...]
    changes: tuple[Float[Tensor, "chains _ rows"], ...]
    outputs: Float[Tensor, "chains out rows"]
    leaving: tuple[Float[Tensor, "chains _ rows"], ...]
    entered: tuple[Float[Tensor, "chains _ rows"], ...]
    turned: tuple[Float[Tensor, "chains rows _"], ...]


class Matrices(NamedTuple):
    """Each layer's matrix; and its weights alone, transposed, for the way back."""

    whole: tuple[Float[Tensor, "chains _ _"], ...]
    back: tuple[Float[Tensor, "chains _ _"], ...]


def workspace_numbers(layers: Mlp) -> int:
    """Numbers that a workspace holds for each chain and row."""
    hidden = sum(2 * layer.leaving + 1 for layer in layers[:-1])
    return hidden + 2 * layers[-1].leaving


def make_workspace(layers: Mlp, chains: int, rows: int, dtype: torch.dtype) -> Workspace:
    """Buffers, the rows of ones written."""
    hidden = tuple(torch.ones(chains, layer.leaving + 1, rows, dtype=dtype) for layer in layers[:-1])
    outputs = torch.empty(chains, layers[-1].leaving, rows, dtype=dtype)
    entered = tuple(buffer[:, : layer.columns] for buffer, layer in zip(hidden, layers[1:], strict=True))
    return Workspace(
        hidden=hidden,
        changes=tuple(torch.empty(chains, layer.leaving, rows, dtype=dtype) for layer in layers),
        outputs=outputs,
        leaving=(*(buffer[:, :-1] for buffer in hidden), outputs),
        entered=entered,
        turned=tuple(view.mT for view in entered),
    )


def matrices_in(layers: Mlp, flat: Float[Tensor, "chains size"]) -> tuple[Float[Tensor, "chains _ _"], ...]:
    """Each layer's matrix, as views of an interleaved flat one."""
    views: list[Tensor] = []
    offset, between = flat.storage_offset(), flat.stride(0)
    for layer in layers:
        views.append(flat.as_strided((len(flat), layer.leaving, layer.columns), (between, layer.columns, 1), offset))
        offset += layer.leaving * layer.columns
    return tuple(views)


def with_back(layers: Mlp, whole: tuple[Float[Tensor, "chains _ _"], ...]) -> Matrices:
    """The matrices with what the way back needs of them."""
    turned = (matrix[:, :, : layer.entering].mT for matrix, layer in zip(whole, layers, strict=True))
    return Matrices(whole, tuple(turned))


def forward_block(
    layers: Mlp, matrices: Matrices, inputs: Float[Tensor, "chains rows columns"], space: Workspace
) -> Float[Tensor, "chains out rows"]:
    """Outputs of the rows, in the workspace; the hidden activations stay there for `backward`."""
    for number, layer in enumerate(layers):
        entered = space.entered[number - 1] if number else inputs.mT
        leaving = space.leaving[number]
        torch.bmm(matrices.whole[number], entered, out=leaving)
        if layer.activation == "relu":
            leaving.relu_()
        elif layer.activation == "tanh":
            leaving.tanh_()
    return space.outputs


def backward(
    layers: Mlp,
    matrices: Matrices,
    inputs: Float[Tensor, "chains rows columns"],
    space: Workspace,
    gradients: tuple[Float[Tensor, "chains _ _"], ...],
    *,
    add: bool,
) -> None:
    """Each layer's gradient, written or added to `gradients`; the last of `space.changes` holds the outputs' one."""
    for number in reversed(range(len(layers))):
        change = space.changes[number]
        entered = space.turned[number - 1] if number else inputs
        if add:
            gradients[number].baddbmm_(change, entered)
        else:
            torch.bmm(change, entered, out=gradients[number])
        if number:
            before = space.changes[number - 1]
            torch.bmm(matrices.back[number], change, out=before)
            _through(layers[number - 1], before, space.leaving[number - 1])


def _through(layer: Linear, change: Tensor, activation: Tensor) -> None:
    """∂A to ∂Z, in place."""
    if layer.activation == "relu":
        torch.ops.aten.threshold_backward.grad_input(change, activation, 0, grad_input=change)
    else:
        torch.ops.aten.tanh_backward.grad_input(change, activation, grad_input=change)
