"""What every part of a study file is made of: strict models and the kinds of numbers they hold."""

from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from surefoot.study.seeds import LAST_SEED

__all__ = ["Count", "Level", "Name", "NotNegative", "Open", "Part", "Positive", "Seed", "Share"]

Name: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
"""Letters, digits, `_`, `-` and `.`: it becomes part of file names and of subjects."""
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Level: TypeAlias = Annotated[float, Field(ge=0.5, lt=1)]
Open: TypeAlias = Annotated[float, Field(gt=0, lt=1)]
Positive: TypeAlias = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count: TypeAlias = Annotated[int, Field(ge=1)]
Seed: TypeAlias = Annotated[int, Field(ge=0, le=LAST_SEED)]


class Part(BaseModel):
    """Every part of a study: unknown keys are refused, types are not coerced, values never change."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
