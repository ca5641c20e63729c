"""A small causal transformer on packed texts, read in two ways: what comes next, and which of two texts is better.

With x_t the vector of token t, embedded from the token and its place, each block is

    x ← x + Σ_h O_h softmax_{s ≤ t}(⟨Q_h LN(x_t), K_h LN(x_s)⟩ / √d) V_h LN(x_s)
    x ← x + W₂ relu(W₁ LN(x))

A *writer* gives the logits of the token after each, `[rows, tokens, vocabulary]`; a *ranker* takes two texts and gives
the reward of each, read off its last token:

    r = ⟨w, LN(x_last)⟩        P(1 ≻ 2) = σ(r₁ − r₂) = softmax(r₁, r₂)₁

so that a ranker is a classifier of two classes, first and second, for which any loss on weak labels holds: its
cross-entropy is the usual −log σ(r_preferred − r_other). Both have the same tensors by the same names; a writer's
parameters are a ranker's start, and the head that is not read gets no gradient.

Attention is written as two products (`networks.product` says why). Where a text ends is a number that comes with it,
never a token that is looked for; what is after its end changes nothing.

Source: Vaswani et al. (2017), "Attention is all you need", eq. 1; norms come first as in Xiong et al. (2020), "On layer
normalization in the transformer architecture"; a reward of the last token: Stiennon et al. (2020), "Learning to
summarize from human feedback", eq. 1; without a bias, as it would cancel.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.utils import skip_init

from surefoot.errors import InputError
from surefoot.networks.network import Network
from surefoot.rows.packed import unpack

__all__ = ["Causal", "build_ranker", "build_writer"]


@dataclass(frozen=True)
class Causal:
    """The form of a causal transformer; room: the most tokens of a text.

    Raises `InputError` for sizes below one, and a width that the heads cannot share.
    """

    vocabulary: int
    room: int
    width: int
    blocks: int
    heads: int = 1

    def __post_init__(self) -> None:
        for name in ("vocabulary", "room", "width", "blocks", "heads"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} of a causal network is {getattr(self, name)}; give at least 1.")
        if self.width % self.heads:
            raise InputError(f"{self.heads} heads cannot share a width of {self.width}; give a multiple of them.")


def build_writer(form: Causal, seed: int) -> Network:
    """Packed texts `[rows, numbers]` to logits of the next token, `[rows, tokens, vocabulary]`.

    Its outputs are of three dimensions: read them with `forward_prepared`. `embed` refuses it, as it has no single
    vector a row.

    >>> texts = torch.tensor([[1, 3, 7, 8, 9, 0]])
    >>> tuple(build_writer(Causal(10, 4, width=8, blocks=1), seed=0).module(texts).shape)
    (1, 4, 10)
    """
    return Network(_seeded(_Texts(form, ranks=False), seed), "next")


def build_ranker(form: Causal, seed: int) -> Network:
    """Pairs of packed texts `[rows, 2, numbers]` to their rewards, `[rows, 2]`; the seed's tensors are the writer's.

    >>> pairs = torch.tensor([[[1, 3, 7, 8, 9, 0], [1, 2, 7, 8, 0, 0]]])
    >>> tuple(build_ranker(Causal(10, 4, width=8, blocks=1), seed=0).module(pairs).shape)
    (1, 2)
    """
    return Network(_seeded(_Texts(form, ranks=True), seed), "reward")


class _Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.ask = skip_init(nn.Linear, width, 3 * width)
        self.join = skip_init(nn.Linear, width, width)
        self.widen = skip_init(nn.Linear, width, 4 * width)
        self.narrow = skip_init(nn.Linear, 4 * width, width)

    def forward(self, vectors: Float[Tensor, "rows tokens width"], later: Tensor) -> Tensor:
        asked = self.ask(self.norm1(vectors)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        queries, keys, values = asked.unbind(0)
        likeness = queries @ keys.transpose(2, 3) / math.sqrt(queries.shape[3])
        mixed = likeness.masked_fill(later, -math.inf).softmax(dim=3) @ values
        vectors = vectors + self.join(mixed.transpose(1, 2).flatten(2))
        return vectors + self.narrow(torch.relu(self.widen(self.norm2(vectors))))


class _Texts(nn.Module):
    def __init__(self, form: Causal, ranks: bool) -> None:
        super().__init__()
        self.form, self.ranks = form, ranks
        self.vectors = nn.Parameter(torch.empty(form.vocabulary, form.width))
        self.places = nn.Parameter(torch.empty(form.room, form.width))
        self.blocks = nn.ModuleList(_Block(form.width, form.heads) for _ in range(form.blocks))
        self.norm = nn.LayerNorm(form.width)
        self.next = skip_init(nn.Linear, form.width, form.vocabulary)
        self.reward = skip_init(nn.Linear, form.width, 1, bias=False)
        later = torch.ones(form.room, form.room, dtype=torch.bool).triu(1)
        self.register_buffer("later", later, persistent=False)

    def forward(self, inputs: Int[Tensor, "rows *pair numbers"]) -> Tensor:
        if inputs.ndim != 2 + self.ranks:
            wanted = "pairs of texts, [rows, 2, numbers]" if self.ranks else "texts, [rows, numbers]"
            raise InputError(f"The inputs have shape {list(inputs.shape)}; give {wanted}.")
        _, lengths, tokens = unpack(inputs.flatten(0, -2))
        read = self._read(tokens)
        if not self.ranks:
            return self.next(self.norm(read))
        last = read[torch.arange(len(read), device=read.device), lengths - 1]
        return self.reward(self.norm(last).unflatten(0, (-1, 2)))[:, :, 0]

    def _read(self, tokens: Int[Tensor, "rows tokens"]) -> Float[Tensor, "rows tokens width"]:
        count = tokens.shape[1]
        if count > self.form.room:
            raise InputError(f"Texts have {count} tokens and the network room for {self.form.room}; give it more.")
        vectors = nn.functional.embedding(tokens, self.vectors) + self.places[:count]
        later = self.get_buffer("later")[:count, :count]
        for block in self.blocks:
            vectors = block(vectors, later)
        return vectors


def _seeded(module: _Texts, seed: int) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.Linear):
            bound = 1 / math.sqrt(part.in_features)
            for tensor in part.parameters():
                nn.init.uniform_(tensor, -bound, bound, generator=generator)
    for name in ("vectors", "places"):
        nn.init.normal_(getattr(module, name), std=0.5, generator=generator)
    return module.eval()
