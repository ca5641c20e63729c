"""Retrieval of images by captions and back: contrastive learning against a text encoder that is locked.

    loss = ½ Σ over both directions of cross-entropy(scale · ⟨image_i, text_j⟩, j),      i, j in a batch

Captions that are the same are each other's right answers too, in equal shares. The text encoder is never trained; one
linear map of its embeddings is, as the image's side is.

Source: Zhai et al. (2022), "LiT: zero-shot transfer with locked-image text tuning", who lock one tower and teach the
other; they lock the image's and we the text's, since the sentence encoder is the tower that was trained on much.
Radford et al. (2021), "CLIP" (the loss).
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from surefoot.errors import InputError
from surefoot.findings.recall import recalled
from surefoot.flex.dense.heads import DenseViT, Outputs

__all__ = ["alike", "contrastive_loss", "recalled_both_ways"]

WARMEST = 4.6
"""The largest log scale, as in CLIP: ln 100."""


def contrastive_loss(
    model: DenseViT, said: Outputs, texts: Float[Tensor, "rows text"], captions: Int[Tensor, "rows"]
) -> Float[Tensor, ""]:
    """In nats a row. captions: a number for each, the same for the same words."""
    logits = model.warmth.clamp_max(WARMEST).exp() * (said.image @ model.captions(texts).T)
    shares = alike(captions, captions).to(logits)
    shares = shares / shares.sum(dim=1, keepdim=True)
    # The table of shares is symmetric, so that it serves both directions.
    both = logits.log_softmax(dim=0) + logits.log_softmax(dim=1)
    return -0.5 * (shares * both).sum() / len(logits)


def alike(one: Int[Tensor, "queries"], two: Int[Tensor, "gallery"]) -> Bool[Tensor, "queries gallery"]:
    """Which have the same caption."""
    return one[:, None] == two


def recalled_both_ways(
    images: Float[Tensor, "rows joint"], texts: Float[Tensor, "rows joint"], captions: Int[Tensor, "rows"], gallery: int
) -> Float[Tensor, "rows"]:
    """Of each row the mean of two hits at the first place: its caption's for its image, its image's for its caption.

    Rows are cut into galleries of `gallery`, in order, and ask their own.

    Raises `InputError` where galleries do not divide the rows.
    """
    if gallery < 1 or len(images) % gallery:
        raise InputError(f"{len(images)} rows were to be cut into galleries of {gallery}; give a number that divides.")
    hits: list[Tensor] = []
    for first in range(0, len(images), gallery):
        mine = slice(first, first + gallery)
        similarity, right = images[mine] @ texts[mine].T, alike(captions[mine], captions[mine])
        hits.append((recalled(similarity, right) + recalled(similarity.T, right)) / 2)
    return torch.cat(hits).float()
