"""The one protocol of whatever writes: it samples completions, and says how probable one is."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, runtime_checkable

from jaxtyping import Float64
from torch import Tensor

from surefoot.errors import InputError
from surefoot.progress import Progress, silent
from surefoot.text.completion import Completion
from surefoot.text.images import Image

__all__ = ["Message", "Policy", "Prompt", "Sampling", "Unaskable", "sample_askable"]


class Unaskable(InputError):
    """Prompts that a policy cannot be asked, whatever else it can. places: theirs among those that were given."""

    def __init__(self, said: str, places: Sequence[int] = ()) -> None:
        super().__init__(said)
        self.places = tuple(places)


@dataclass(frozen=True)
class Message:
    """One turn of a conversation. role: "system", "developer", "user" or "assistant".

    images: shown with the text, to models that read images; a policy that reads texts alone raises `Unaskable`.
    """

    role: str
    text: str
    images: tuple[Image, ...] = field(default=(), repr=False)

    def identity_parts(self) -> dict[str, Any]:
        """For `inference.checkpoint.identity`: a message without images is what it was before there were any."""
        return {"role": self.role, "text": self.text, **({"images": self.images} if self.images else {})}

    def spelled(self) -> list[str]:
        """As plain JSON, by which a prompt is kept and compared: its images by their digests.

        >>> Message("user", "Hi").spelled()
        ['user', 'Hi']
        """
        return [self.role, self.text, *(f"{each.media} sha256 {each.digest}" for each in self.images)]


Prompt: TypeAlias = str | tuple[Message, ...]
"""A text, or a conversation that a completion is the next turn of."""


@dataclass(frozen=True)
class Sampling:
    """How completions are drawn.

    count: completions a prompt. most: tokens of a completion at most, its end counted. temperature: of the softmax; 0
    takes the likeliest token. thinking: None leaves it to the policy; 0 forbids a thought; n closes a thought after n
    tokens, and begins one where the policy would begin none.

    Raises `InputError` for numbers that no sampling has.
    """

    count: int = 1
    most: int = 64
    temperature: float = 1.0
    thinking: int | None = None

    def __post_init__(self) -> None:
        for name, least in (("count", 1), ("most", 1), ("temperature", 0), ("thinking", 0)):
            value = getattr(self, name)
            if value is not None and not least <= value < float("inf"):
                raise InputError(f"Sampling's {name} is {value}; give {least} or more.")


@runtime_checkable
class Policy(Protocol):
    """Something that writes. name: for cards. context: tokens of prompt and completion that it reads at most."""

    @property
    def name(self) -> str: ...

    @property
    def context(self) -> int: ...

    def sample(
        self, prompts: Sequence[Prompt], sampling: Sampling, seed: int, progress: Progress = silent
    ) -> list[tuple[Completion, ...]]:
        """`sampling.count` completions of each prompt; the same seed gives the same ones.

        Raises `Unaskable` where some prompts cannot be asked, before any is, and names them all.
        """
        ...

    def log_probability(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> Float64[Tensor, "rows"]:
        """log p(completion | prompt) in nats at temperature 1, one completion a prompt.

        completions: as written, marks of thought included; the end is counted.
        """
        ...


def sample_askable(
    policy: Policy, prompts: Sequence[Prompt], sampling: Sampling, seed: int
) -> list[tuple[Completion, ...]]:
    """What a policy says of each prompt; nothing of those that it cannot be asked, whatever the others are."""
    places = list(range(len(prompts)))
    found: list[tuple[Completion, ...]] = [()] * len(prompts)
    while places:
        try:
            drawn = policy.sample([prompts[at] for at in places], sampling, seed)
        except Unaskable as error:
            left = [at for number, at in enumerate(places) if number not in error.places]
            if len(left) == len(places):
                raise
            places = left
            continue
        for at, group in zip(places, drawn, strict=True):
            found[at] = group
        break
    return found
