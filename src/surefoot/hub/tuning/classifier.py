"""A text model with a linear head: logits of classes from one vector a text.

    z = W v(x)          v: of a decoder the last hidden state of the last attended token; of an encoder their mean

W begins at zero and has no bias, as published, so that every model begins with the same opinion of all texts. The last
attended token is found by the attention mask: token numbers say nothing, for 0 is "!" in GPT-2, and the padding's
number may be a word's.

Source: Burns et al. (2023), "Weak-to-strong generalization", appendix A, and their repository, which takes the last
token whose number is not 0.
"""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from surefoot.errors import InputError
from surefoot.hub.encoder import Encoder
from surefoot.hub.tuning.adapt import Adaptation, adapted, first_layers

__all__ = ["Pools", "TextClassifier", "linear_head", "make_classifier", "pooled"]

Pools: TypeAlias = Literal["last", "mean"]
"""The last attended token, or the mean of all that are attended."""


class TextClassifier(nn.Module):
    """Body and head. pools: how a text's hidden states become one vector."""

    def __init__(self, body: nn.Module, head: nn.Linear, pools: Pools) -> None:
        super().__init__()
        self.body = body
        self.head = head
        self.pools: Pools = pools

    def vectors(self, given: Mapping[str, Tensor]) -> Float[Tensor, "rows features"]:
        """What the head reads, in float32."""
        body: Any = self.body
        frozen = not any(each.requires_grad for each in self.body.parameters())
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
            hidden = body(**given).last_hidden_state
            return pooled(hidden.float(), given["attention_mask"], self.pools)

    def forward(self, given: Mapping[str, Tensor]) -> Float[Tensor, "rows classes"]:
        """Logits."""
        return self.head(self.vectors(given))


def pooled(
    hidden: Float[Tensor, "rows tokens features"], mask: Int[Tensor, "rows tokens"], pools: Pools
) -> Float[Tensor, "rows features"]:
    """One vector a text, of its attended tokens.

    >>> hidden = torch.tensor([[[1.0], [3.0], [9.0]]])
    >>> [pooled(hidden, torch.tensor([[1, 1, 0]]), each).item() for each in ("mean", "last")]
    [2.0, 3.0]
    """
    if pools == "mean":
        kept = mask.to(hidden.dtype)
        # A sum of products, but the head's: in the precision of its vectors, whatever the body's products have.
        with torch.autocast(hidden.device.type, enabled=False):
            return torch.einsum("rtf,rt->rf", hidden, kept) / kept.sum(dim=1, keepdim=True)
    last = (mask * torch.arange(mask.shape[1], device=mask.device)).argmax(dim=1)
    return hidden[torch.arange(len(hidden), device=hidden.device), last]


def linear_head(weight: Float[Tensor, "classes features"]) -> nn.Linear:
    """A linear layer without a bias, with these weights, that draws none of its own."""
    head = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    head.weight = nn.Parameter(weight.detach().clone())
    return head


def make_classifier(
    encoder: Encoder, classes: int, how: Adaptation, seed: int, layers: int | None = None
) -> TextClassifier:
    """A classifier on a copy of the encoder's body (its own head and pooler left out), ready to be taught.

    layers: of the body, the first ones; None keeps all. Whether a text's last token or the mean is read is settled by
    what the body does: where later tokens change nothing of earlier ones, it is a decoder.

    Raises `InputError` for a model that reads no texts and whatever `first_layers` and `adapted` refuse.
    """
    if encoder.reads != "texts":
        raise InputError(f"{encoder.name} reads {encoder.reads}; give a model of texts.")
    body = first_layers(encoder.module, layers).cpu()  # features may have been taken on another device before
    pools: Pools = "last" if _looks_back_only(body) else "mean"
    width = int(getattr(body.config, "hidden_size"))  # noqa: B009 - any library's configuration
    return TextClassifier(adapted(body, how, seed), linear_head(torch.zeros(classes, width)), pools).eval()


def _looks_back_only(body: Any) -> bool:
    tokens = torch.tensor([[1, 2, 3, 4], [1, 2, 3, 5]])
    with torch.no_grad():
        one, other = body(input_ids=tokens, attention_mask=torch.ones_like(tokens)).last_hidden_state
    return bool(torch.allclose(one[:3], other[:3], rtol=1e-4, atol=1e-5))
