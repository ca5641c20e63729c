"""Small networks on boards of tokens: filters as large as the board, and a head that points from square to square.

A board of side × side squares is a row of tokens, one a square, and then tokens that belong to no square. With x_s the
vector of square s, embedded from its token, its place and the others' tokens, each block is

    x_s ← x_s + Σ_t k(s − t) ∘ LN(x_t)                 one filter a number, over all differences of rank and file
    x_s ← x_s + W₂ relu(W₁ LN(x_s))                    the same for every square

and the logit of class c, which points from square s_c to square t_c with kind r_c, is

    z_c = ⟨Q x_s, K x_t⟩ / √width + (R x_t)_r

So what is learnt of a line, a leap or a move in one place is known in all, whatever the number of classes; and a filter
sees across the board at a fraction of what attention costs.

Source: filters and per-square layers as in Tolstikhin et al. (2021), "MLP-Mixer", eq. 1, with filters that depend on
differences alone (a convolution whose kernel is twice the board); pointing: Vinyals et al. (2015), "Pointer networks",
§2.3, with products for its additive scores.
"""

import math
from collections.abc import Sequence
from typing import TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.utils import skip_init

from surefoot.errors import InputError
from surefoot.networks.network import Network

__all__ = ["Pointer", "build_board"]

Pointer: TypeAlias = tuple[int, int, int]
"""What a class points at: from a square, to a square, and the kind of pointing (0 unless classes differ in that)."""


def build_board(
    side: int, others: int, tokens: int, width: int, blocks: int, classes: Sequence[Pointer], seed: int
) -> Network:
    """A network from `[rows, side² + others]` tokens, whole numbers below `tokens`, to one logit a class.

    others: tokens after the squares'; each has vectors of its own, which are added to every square. Its head is no
    linear layer of one vector a row, so that `embed` refuses it.

    Raises `InputError` for sizes below one, no class, and classes that point off the board.

    >>> network = build_board(3, 1, tokens=4, width=8, blocks=1, classes=[(0, 8, 0), (8, 0, 1)], seed=0)
    >>> tuple(network.module(torch.zeros(5, 10, dtype=torch.int64)).shape)
    (5, 2)
    """
    sizes = {"side": side, "tokens": tokens, "width": width, "blocks": blocks, "the number of classes": len(classes)}
    for name, size in sizes.items():
        if size < 1:
            raise InputError(f"{name} of a board network is {size}; give at least 1.")
    if others < 0:
        raise InputError(f"others of a board network is {others}; give 0 or more.")
    squares = side * side
    for number, (start, end, kind) in enumerate(classes):
        if not (0 <= start < squares and 0 <= end < squares and kind >= 0):
            raise InputError(
                f"Class {number} points from square {start} to {end} with kind {kind}; give squares below {squares}, "
                "and kinds from 0."
            )
    module = _Board(side, others, tokens, width, blocks, classes)
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.Linear):
            bound = 1 / math.sqrt(part.in_features)
            for tensor in part.parameters():
                nn.init.uniform_(tensor, -bound, bound, generator=generator)
    for name, spread in (("vectors", 1.0), ("places", 0.1), ("others", 0.1)):
        nn.init.normal_(getattr(module, name), std=spread, generator=generator)
    for part in module.modules():
        if isinstance(part, _Block):
            nn.init.normal_(part.filters, std=0.05, generator=generator)
    return Network(module.eval(), "end")


class _Block(nn.Module):
    def __init__(self, side: int, width: int) -> None:
        super().__init__()
        reach = 2 * side - 1
        self.filters = nn.Parameter(torch.empty(width, reach * reach))
        self.register_buffer("differences", _differences(side), persistent=False)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.widen = skip_init(nn.Linear, width, 2 * width)
        self.narrow = skip_init(nn.Linear, 2 * width, width)

    def forward(self, board: Float[Tensor, "rows squares width"]) -> Tensor:
        mixing = self.filters[:, self.get_buffer("differences")]
        # [width, squares, rows]: one product of matrices for each of the vector's numbers.
        mixed = torch.bmm(mixing, self.norm1(board).permute(2, 1, 0)).permute(2, 1, 0)
        board = board + mixed
        return board + self.narrow(torch.relu(self.widen(self.norm2(board))))


class _Board(nn.Module):
    def __init__(
        self, side: int, others: int, tokens: int, width: int, blocks: int, classes: Sequence[Pointer]
    ) -> None:
        super().__init__()
        self.squares, self.width = side * side, width
        self.vectors = nn.Parameter(torch.empty(tokens, width))
        self.places = nn.Parameter(torch.empty(side * side, width))
        self.others = nn.Parameter(torch.empty(others, tokens, width))
        self.blocks = nn.ModuleList(_Block(side, width) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        kinds = 1 + max(kind for _, _, kind in classes)
        self.start = skip_init(nn.Linear, width, width)
        self.end = skip_init(nn.Linear, width, width)
        self.kind = skip_init(nn.Linear, width, kinds)
        arrows = torch.tensor([start * side * side + end for start, end, _ in classes])
        ends = torch.tensor([end * kinds + kind for _, end, kind in classes])
        self.register_buffer("arrows", arrows, persistent=False)
        self.register_buffer("ends", ends, persistent=False)

    def forward(self, inputs: Int[Tensor, "rows places"]) -> Float[Tensor, "rows classes"]:
        board = self.vectors[inputs[:, : self.squares]] + self.places
        for number in range(len(self.others)):
            board = board + self.others[number][inputs[:, self.squares + number]][:, None]
        for block in self.blocks:
            board = block(board)
        board = self.norm(board)
        pairs = self.start(board) @ self.end(board).transpose(1, 2) / math.sqrt(self.width)
        pointing = pairs.flatten(1)[:, self.get_buffer("arrows")]
        return pointing + self.kind(board).flatten(1)[:, self.get_buffer("ends")]


def _differences(side: int) -> Int[Tensor, "squares squares"]:
    """Which number of a filter goes from square t (second) to square s (first): its difference of rank and file."""
    place = torch.arange(side * side)
    ranks, files = place // side, place % side
    down, along = ranks[:, None] - ranks[None], files[:, None] - files[None]
    return (down + side - 1) * (2 * side - 1) + along + side - 1
