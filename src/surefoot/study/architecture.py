"""The networks that a study file can name: exactly one of them, without the sizes that its rows decide."""

from pydantic import BaseModel, Field, model_validator

from surefoot.study.part import Count, Part

__all__ = ["CNN", "MLP", "Linear", "NetworkSpec", "ResNet", "exactly_one"]


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


class Linear(Part):
    """No features of its own: the inputs go straight into the head."""


class NetworkSpec(Part):
    """Exactly one network."""

    cnn: CNN | None = None
    mlp: MLP | None = None
    resnet: ResNet | None = None
    linear: Linear | None = None
    file: str | None = Field(None, description="your own: net.py:Net (runs only with --trust-code)")
    head: str | None = Field(None, description="the dotted name of the final linear layer of your own network")

    @model_validator(mode="after")
    def _one_kind(self) -> "NetworkSpec":
        exactly_one(self, ("cnn", "mlp", "resnet", "linear", "file"))
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
