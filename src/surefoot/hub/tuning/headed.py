"""A taught encoder that keeps its head beside its body, as `look`, `predict` and `features` open it.

z = W mean(x)          what `keep` leaves of an encoder, for which libraries have no class
"""

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

from jaxtyping import Float
from torch import Tensor, nn

from surefoot.files import read_json, read_tensors
from surefoot.hub.encoder import Encoder
from surefoot.hub.pretrained import open_folder
from surefoot.hub.tuning.classifier import linear_head, pooled
from surefoot.hub.tuning.keep import HEAD, RECORD

__all__ = ["HeadedText", "Said", "is_headed", "open_headed"]


class Said(NamedTuple):
    """What libraries call the result of a classifier."""

    logits: Float[Tensor, "rows classes"]


class HeadedText(nn.Module):
    """Body, mean over tokens, and head, called with a body's arguments by name."""

    def __init__(self, body: nn.Module, head: nn.Linear) -> None:
        super().__init__()
        self.body = body
        self.head = head

    def forward(self, **given: Tensor) -> Said:
        """Logits."""
        hidden = cast("Any", self.body)(**given).last_hidden_state
        return Said(self.head(pooled(hidden.float(), given["attention_mask"], "mean")))


def is_headed(folder: Path) -> bool:
    """Whether `keep_tuned` left an encoder here, with its head beside it."""
    return (folder / RECORD).is_file() and (folder / HEAD).is_file()


def open_headed(folder: Path) -> Encoder:
    """The encoder with its head, whose features are what enters that."""
    encoder = open_folder(folder)
    told = cast("dict[str, Any]", read_json(folder / RECORD))
    head = linear_head(read_tensors(folder / HEAD)["weight"].clone())
    return replace(
        encoder, name=f"{told['name']} in {folder.name}", module=HeadedText(encoder.module, head).eval(), head="head",
        classes=tuple(told["classes"]),
    )  # fmt: skip
