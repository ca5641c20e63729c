"""What a release is made of, from a YAML file.

release: digits-2026-11
ships: repair/base+dfr                # a part, and one of its subjects
model: runs/repair-digits-1a2b3c4d/model
parts:
  repair: runs/repair-digits-1a2b3c4d
  safety: {run: runs/safety-tiny-5e6f7a8b}
  budget: {run: runs/flex-digits-9c0d1e2f, required: false}
claims:
  - worst_group_accuracy of repair/base+dfr >= 0.8
sign_offs: 2                          # how many people must sign the card of the release

Paths are relative to the folder that the file lies in. A part is required unless it says otherwise.
"""

from pathlib import Path
from typing import Any

from pydantic import Field, NonNegativeInt, model_validator

from surefoot.errors import InputError
from surefoot.study.part import Level, Name, Part
from surefoot.study.schema import load_shaped

__all__ = ["PartAsked", "ReleaseFile", "read_release"]


class PartAsked(Part):
    """One part. required: without it, or without a claim of it, the release is undecided."""

    run: str = Field(min_length=1, description="the folder of a run, or its card.json")
    required: bool = True
    other_model: bool = Field(False, description="a safety part that is required, and of another model than ships")

    @model_validator(mode="before")
    @classmethod
    def _of_a_path(cls, given: Any) -> Any:
        """A path alone is a part that is required."""
        return {"run": given} if isinstance(given, str) else given


class ReleaseFile(Part):
    """The keys of such a file, and what each is without one."""

    release: Name = Field(description="what it is called")
    ships: str = Field(description="part/subject: whose claims must hold")
    model: str | None = Field(None, description="what ships, as files: it must be what its part judged")
    question: str = "May this be released?"
    parts: dict[Name, PartAsked] = Field(min_length=1)
    claims: list[str] = Field([], description="of what ships, unless they name another part/subject")
    sign_offs: NonNegativeInt = Field(0, description="people who must sign the release")
    confidence: Level = 0.95


def read_release(path: Path) -> ReleaseFile:
    """The release in a YAML file; raises `InputError` with one sentence for every problem."""
    if path.suffix not in (".yaml", ".yml"):
        raise InputError(f"{path} is no YAML file; give a file of a release that ends in .yaml.")
    if not path.is_file():
        raise InputError(f"There is no file {path}; write one with the keys release, ships and parts.")
    read = load_shaped(path, ReleaseFile, "release, ships, parts and claims")
    part, found, subject = read.ships.partition("/")
    if not found or not subject or part not in read.parts:
        raise InputError(
            f"ships is {read.ships!r} in {path.name}; name one of the parts ({', '.join(read.parts)}) and its subject, "
            "as part/subject."
        )
    if not read.parts[part].required:
        raise InputError(f"What ships is judged by the part {part}, which is not required; leave required: false out.")
    return read
