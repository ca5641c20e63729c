"""The repairs that a study file can name: one part per method of `surefoot.robust.methods`, and one for posteriors.

Each part is made of its method's settings: their types, defaults and descriptions.
"""

from collections.abc import Mapping
from dataclasses import MISSING, fields
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, get_type_hints

from pydantic import Field, create_model, model_validator

from surefoot.bayes.settings import BayesSettings
from surefoot.errors import InputError
from surefoot.robust.disagreement import DisagreementSettings
from surefoot.robust.method import Method, described
from surefoot.robust.methods import METHODS, method_of
from surefoot.rows.roles import Role
from surefoot.study.part import Count, Name, Part

__all__ = [
    "BAYES", "NAMES", "PATCH", "Bayes", "Mitigation", "Patch", "Repair", "bayes_of", "is_method", "part_of",
    "settings_of", "spec_of",
]  # fmt: skip

BAYES = "bayes"
PATCH = "patch"
NAMES = (*(method.name for method in METHODS), BAYES, PATCH)
"""Every method that a study can name."""


class Repair(Part):
    """What all repairs may be told; the settings of its method stand beside it."""

    method: str
    label: str | None = Field(None, description="what readers of the card see")
    bases: list[Name] | None = Field(None, min_length=1, description="the bases it is applied to; all if absent")

    def settings(self) -> Any:
        """The settings as the method takes them."""
        return settings_of(spec_of(self))

    def learns_from(self) -> tuple[Role, ...]:
        """The roles whose features it needs."""
        return tuple(dict.fromkeys(method_of(self.method).learns_from(self.settings())))

    def needs_groups(self) -> bool:
        """Whether the rows it learns on must have groups."""
        return method_of(self.method).needs_groups

    def words(self) -> str:
        """What readers of the card see."""
        return self.label or method_of(self.method).label(self.settings())

    def rival(self) -> str | None:
        """The base that is the other version of the model which it learns from, if any."""
        return getattr(self, "against", None)

    @model_validator(mode="after")
    def _settings_hold(self) -> "Repair":
        try:
            self.settings()
        except InputError as error:
            raise ValueError(str(error)) from None
        return self


class RepairAgainst(Repair):
    """A repair that can learn from two versions of the model."""

    against: Name | None = Field(None, description="the base training that is the earlier version; dropout if absent")

    @model_validator(mode="after")
    def _one_version(self) -> "RepairAgainst":
        usual, told = DisagreementSettings(), self.settings()
        if self.against is not None and (told.dropout, told.masks) != (usual.dropout, usual.masks):
            raise ValueError("dropout and masks were given beside against; remove one side")
        return self


class Bayes(Repair):
    """A posterior of the last layer, or of the whole network, in place of one point."""

    def settings(self) -> BayesSettings:
        return bayes_of(spec_of(self))

    def learns_from(self) -> tuple[Role, ...]:
        return (self.settings().learn, "choose")

    def needs_groups(self) -> bool:
        return False

    def words(self) -> str:
        return self.label or self.settings().words


class Patch(Repair):
    """The same weights of a vision transformer at another patch size: nothing is learnt."""

    method: Literal["patch"]  # pyright: ignore[reportIncompatibleVariableOverride]
    size: Count = Field(description="pixels a side")

    def settings(self) -> int:
        return self.size

    def learns_from(self) -> tuple[Role, ...]:
        return ("choose",)

    def needs_groups(self) -> bool:
        return False

    def words(self) -> str:
        return self.label or f"patch {self.size} × {self.size}"


def is_method(repair: Repair) -> bool:
    """Whether it makes a new head from features: neither a posterior nor another patch size."""
    return not isinstance(repair, Bayes | Patch)


def bayes_of(spec: Mapping[str, Any]) -> BayesSettings:
    """The settings of a posterior that a spec names; raises `InputError` for values that it refuses."""
    return BayesSettings(**{name: value for name, value in spec.items() if name not in ("method", "seed", "device")})


def spec_of(repair: Repair) -> dict[str, Any]:
    """A repair as plain JSON: its method and what decides the numbers, not what it is called."""
    return repair.model_dump(mode="json", exclude={"label", "bases"})


def settings_of(spec: Mapping[str, Any]) -> Any:
    """The settings of the method that a spec names; raises `InputError` for values the method refuses."""
    told = {name: value for name, value in spec.items() if name not in ("method", "seed", "against")}
    return method_of(spec["method"]).make(told)


def part_of(method: Method[Any]) -> type[Repair]:
    """The part of a study file for one method: its settings with their types, defaults and descriptions."""
    keys = _keys(method.name, method.settings, frozenset(method.fixed))
    kind = Repair if method.run_against is None else RepairAgainst
    doc = f"{method.words}: see surefoot.robust.{method.settings.__module__.rpartition('.')[2]}."
    return create_model(method.name, __base__=kind, __doc__=doc, **keys)


def _keys(name: str, settings: Any, fixed: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The keys of a part of a study for a method of this name: its settings but for the fixed ones."""
    types, told = get_type_hints(settings, include_extras=True), described(settings)
    keys: dict[str, Any] = {"method": (Literal[name], ...)}
    for each in fields(settings):
        if each.name not in fixed:
            default = ... if each.default is MISSING else each.default
            keys[each.name] = (types[each.name], Field(default, description=told[each.name]))
    return keys


if TYPE_CHECKING:
    Mitigation: TypeAlias = Repair
else:
    Mitigation = Annotated[
        reduce(or_, (part_of(method) for method in METHODS))
        | create_model(BAYES, __base__=Bayes, __doc__=Bayes.__doc__, **_keys(BAYES, BayesSettings))
        | Patch,
        Field(discriminator="method"),
    ]
