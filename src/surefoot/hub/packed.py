"""Texts without padding: a batch's tokens end to end in one row, attention within each text alone.

Every linear layer, norm and activation of an encoder works token by token, so it need not know where a text ends; only
attention and positions do. A batch is therefore run as `[1, tokens]` with each token's own position, and attention
takes runs of texts of equal length together, without a mask. After the last layer texts are laid apart again,
so that whatever pools or classifies them sees what it always saw.

The products of attention stay on torch's default path whatever the linear layers use (`surefoot.networks.product`).
"""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import groupby
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from surefoot.errors import InputError
from surefoot.networks.product import onednn_is_available

__all__ = ["FAMILIES", "Packed", "can_pack", "equal_runs", "packed"]

FAMILIES = ("bert", "roberta", "xlm-roberta", "camembert", "distilbert", "electra")
"""Encoders whose every layer but attention works token by token, and whose attention looks at the whole text."""
NAME = "surefoot_packed"
_runs: ContextVar[list[tuple[int, int]]] = ContextVar("runs")


def can_pack(module: nn.Module) -> bool:
    """Whether the module is of a family that runs packed; whether its features stay the same is measured."""
    config: Any = getattr(module, "config", None)
    return getattr(config, "model_type", "") in FAMILIES and not getattr(config, "is_decoder", False)


def equal_runs(lengths: list[int]) -> list[tuple[int, int]]:
    """How many texts of which length follow each other.

    >>> equal_runs([3, 3, 5, 3])
    [(2, 3), (1, 5), (1, 3)]
    """
    return [(len(list(run)), length) for length, run in groupby(lengths)]


class Packed(nn.Module):
    """A text encoder that takes padded batches, as it always did, and runs them packed."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner
        self.kept: Tensor | None = None
        self.shape = (0, 0)

    def forward(self, input_ids: Int[Tensor, "rows width"], attention_mask: Tensor, **others: Tensor) -> Any:
        """What the encoder gives for the same arguments."""
        self.kept = attention_mask.flatten().nonzero().squeeze(1)
        self.shape = (input_ids.shape[0], input_ids.shape[1])
        positions = self._positions(input_ids)
        given = {"input_ids": input_ids, "position_ids": positions, **others}
        token = _runs.set(equal_runs(cast("list[int]", attention_mask.sum(dim=1).tolist())))
        try:
            return self.inner(**{name: value.flatten()[self.kept][None] for name, value in given.items()})
        finally:
            _runs.reset(token)

    def apart(self, value: Float[Tensor, "1 tokens features"]) -> Float[Tensor, "rows width features"]:
        """Tokens where they were before packing; zeros where there was padding."""
        assert self.kept is not None
        rows, width = self.shape
        padded = value.new_zeros(rows * width, value.shape[-1])
        padded[self.kept] = value[0]
        return padded.view(rows, width, -1)

    def is_packed(self, value: Tensor) -> bool:
        """Whether this is a layer's result for the packed tokens of the last batch."""
        return self.kept is not None and value.ndim == 3 and value.shape[:2] == (1, len(self.kept))

    def get_submodule(self, target: str) -> nn.Module:
        """Layers keep their names."""
        return self.inner.get_submodule(target)

    def _positions(self, input_ids: Tensor) -> Tensor:
        embeddings = getattr(self.inner.base_model, "embeddings", None)
        count = getattr(embeddings, "create_position_ids_from_input_ids", None)
        if count is not None:  # the RoBERTa family counts from the padding's number
            return cast("Tensor", count(input_ids, cast("Any", embeddings).padding_idx))
        return torch.arange(input_ids.shape[1], device=input_ids.device).expand_as(input_ids)


@contextmanager
def packed(module: Any) -> Generator[Packed]:
    """The module as one that runs packed, until the end of the block."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, _attention)
    config = module.config
    before = config._attn_implementation
    wrapped = Packed(module)
    hook = _last_layer(module).register_forward_hook(lambda _, entered, left: _laid_apart(wrapped, left))
    config._attn_implementation = NAME
    try:
        yield wrapped
    finally:
        hook.remove()
        config._attn_implementation = before


def _last_layer(module: Any) -> nn.Module:
    count = module.config.num_hidden_layers
    for part in module.base_model.modules():
        if isinstance(part, nn.ModuleList) and len(part) == count:
            return part[-1]
    raise InputError(f"{type(module).__name__} has no list of its {count} layers, so its texts cannot be packed.")


def _laid_apart(wrapped: Packed, left: Any) -> Any:
    if isinstance(left, tuple):
        return (wrapped.apart(left[0]), *left[1:])
    return wrapped.apart(left)


def _attention(
    module: nn.Module,
    query: Float[Tensor, "1 heads tokens width"],
    key: Float[Tensor, "1 heads tokens width"],
    value: Float[Tensor, "1 heads tokens width"],
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **others: Any,
) -> tuple[Float[Tensor, "1 tokens heads width"], None]:
    """softmax(q · k / √d) · v within each text; runs of equal length at once.

    others: what the library passes to every attention; one that narrows what a token sees is refused.
    """
    narrowed = {name for name in ("sliding_window", "position_bias") if others.get(name) is not None}
    if attention_mask is not None or narrowed or query.shape[0] != 1 or getattr(module, "is_causal", False):
        raise InputError("This attention does not look at the whole text, so texts cannot be packed.")
    _, heads, tokens, width = query.shape
    result = query.new_empty(1, tokens, heads, width)
    start = 0
    with _default_products():
        for count, length in _runs.get():
            stop = start + count * length

            def texts(part: Tensor, start: int = start, stop: int = stop, shape: Any = (count, length)) -> Tensor:
                return part[0, :, start:stop].transpose(0, 1).view(*shape, heads, width).transpose(1, 2)

            seen = nn.functional.scaled_dot_product_attention(texts(query), texts(key), texts(value), scale=scaling)
            result[0, start:stop].view(count, length, heads, width).copy_(seen.transpose(1, 2))
            start = stop
    return result, None


@contextmanager
def _default_products() -> Generator[None]:
    if not onednn_is_available():
        yield
        return
    switch: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = switch.fp32_precision
    if before != "none":
        switch.fp32_precision = "none"
    try:
        yield
    finally:
        if before != "none":
            switch.fp32_precision = before
