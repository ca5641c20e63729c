"""An encoder: a pretrained model with what it reads, what counts as its features, and where it came from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

from torch import Tensor, nn

from surefoot.rows.rows import Inputs

__all__ = ["OUTPUT", "Batch", "Encoder", "Pooling", "Reader", "Reads"]

Reads: TypeAlias = Literal["texts", "images", "numbers"]
Pooling: TypeAlias = Literal["mean", "cls", "pooler", "last"]
"""last: of a text's last attended token."""
OUTPUT = "output"
"""The name of an encoder's own features where it has no head: its pooled output."""


class Batch(NamedTuple):
    """Rows that go through the model together: their places in the chunk, and the model's arguments."""

    places: list[int]
    given: dict[str, Tensor]


@runtime_checkable
class Reader(Protocol):
    """Turns inputs into batches of a model's arguments."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Plain JSON: everything that shapes the arguments, for the address of the features."""
        ...

    @property
    def chunk(self) -> int:
        """Rows that are read, computed and written together; what a kill can cost."""
        ...

    def batches(self, inputs: Inputs, chunk: slice) -> Iterator[Batch]:
        """The rows of a chunk, each once, in batches of whatever size suits them."""
        ...


@dataclass(frozen=True)
class Encoder:
    """A model in evaluation mode, float32, and how to use it.

    head: the dotted name of the final `nn.Linear`, whose input is the features; None where the model has none, and
    its features are its last hidden states, pooled (`pooling`) and, with `normalise`, brought to length one.
    classes: the names of the logits, where the model names them. folder: where a Hugging Face model lies.
    untrained: names of tensors that no weights were given for; a layer that holds one has no features.
    """

    name: str
    reads: Reads
    module: nn.Module
    reader: Reader
    head: str | None
    pooling: Pooling
    normalise: bool = False
    classes: tuple[str, ...] | None = None
    folder: Path | None = None
    untrained: tuple[str, ...] = ()
