"""The networks that a study file can name: exactly one of them, without the sizes that its rows decide."""

from typing import Literal

from pydantic import BaseModel, Field, model_validator

from surefoot.study.part import Count, Part

__all__ = ["CNN", "MLP", "Linear", "NetworkSpec", "ResNet", "ViT", "exactly_one"]


class CNN(Part):
    """Convolutions 3×3 with pooling, one hidden layer, a linear head."""

    channels: list[Count] = Field(default=[16, 32])
    hidden: Count = 64


class MLP(Part):
    """Fully connected layers and a linear head."""

    hidden: list[Count] = Field(default=[64])


class ResNet(Part):
    """A residual network with filter response normalisation."""

    width: Count = 16
    blocks: Count = 1


class ViT(Part):
    """A vision transformer whose patch size can be changed."""

    patch: Count = Field(8, description="pixels a side of the patch it runs at")
    width: Count = 64
    depth: Count = 4
    heads: Count = 2
    expansion: Count = Field(4, description="of the width, inside each block")
    buffer: Count | None = Field(None, description="pixels a side at which its kernel is kept; the patch if absent")
    grid: Count | None = Field(None, description="tokens a side at which its positions are kept; the patch's if absent")
    pool: Literal["mean", "token"] = "mean"
    positions: Literal["learned", "sincos"] = "learned"
    spread: float = Field(2.0, gt=0, description="deviation of learned positions when drawn, amplitude of sincos")


class Linear(Part):
    """No features of its own: the inputs go straight into the head."""


class NetworkSpec(Part):
    """Exactly one network."""

    cnn: CNN | None = None
    mlp: MLP | None = None
    resnet: ResNet | None = None
    vit: ViT | None = None
    linear: Linear | None = None
    file: str | None = Field(None, description="your own: net.py:Net (runs only with --trust-code)")
    head: str | None = Field(None, description="the dotted name of the final linear layer of your own network")

    @model_validator(mode="after")
    def _one_kind(self) -> "NetworkSpec":
        exactly_one(self, ("cnn", "mlp", "resnet", "vit", "linear", "file"))
        if self.head is not None and self.file is None:
            raise ValueError("head was given for a built-in network; it is only for your own (file)")
        if self.file is not None and ":" not in self.file:
            raise ValueError(f"file is {self.file!r}; expected a file and a name in it, such as net.py:Net")
        return self


def exactly_one(part: BaseModel, names: tuple[str, ...]) -> None:
    """Raise `ValueError` unless one of these keys is given."""
    given = [name for name in names if getattr(part, name) is not None]
    if len(given) != 1:
        expected = f"{', '.join(names[:-1])} or {names[-1]}"
        raise ValueError(f"{' and '.join(given) or 'none'} given; expected exactly one of {expected}")
