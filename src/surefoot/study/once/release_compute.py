"""What would ship, and whether it would be asked with more compute, or in another way, than it was judged.

    Shipping.read("runs/repair-digits-1a2b3c4d/model", Path("deploy.yaml"))

Each suite is asked in its own way, so what ships is compared with each of them: what one suite saw of a longer answer
says nothing of another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple, cast

from surefoot.errors import InputError
from surefoot.yaml_text import parse_yaml

__all__ = ["KEYS", "JudgedWith", "Shipping", "more_than_judged"]

MOST_OF = ("most", "attempts", "thinking")
"""Amounts of compute, of which no more may ship than was judged: tokens of a completion, tries, tokens of thought."""
KEYS = (*MOST_OF, "temperature", "model")


@dataclass(frozen=True)
class Shipping:
    """What would ship. model: its path or name. compute: how it would be asked, by the names of `KEYS`."""

    model: str | None = None
    compute: Mapping[str, float] = field(default_factory=dict[str, float])

    @staticmethod
    def read(model: str | None, same_as: Path | None) -> "Shipping":
        """Of a command: a model, and a YAML file of the other keys; raises `InputError` for what that file may not be.

        A file that names a model does so for want of one in the command.
        """
        if same_as is None:
            return Shipping(model)
        try:
            read: Any = parse_yaml(same_as.read_text(encoding="utf-8")).value
        except (OSError, ValueError) as error:
            raise InputError(f"Cannot read {same_as} ({' '.join(str(error).split())}); give a YAML file.") from None
        if not isinstance(read, dict) or not read:
            raise InputError(f"{same_as} says nothing of what would ship; give keys of {', '.join(KEYS)}.")
        said = cast("dict[Any, Any]", read)
        for key in said:
            if key not in KEYS:
                raise InputError(f"{same_as} has the key {key!r}; it may have {', '.join(KEYS)}.")
        compute = {key: _amount(key, value, same_as) for key, value in said.items() if key != "model"}
        named = said.get("model", model)
        if not ("model" not in said or (isinstance(named, str) and named.strip())):
            raise InputError(f"model is {named!r} in {same_as}; give its path or its name, or leave it out.")
        return Shipping(model or named, compute)


class JudgedWith(NamedTuple):
    """One card that judged what ships. part: "" for the card itself. model: the subject's name; None: not known."""

    part: str
    settings: Mapping[str, Any]
    model: str | None


def more_than_judged(by: Sequence[JudgedWith], asked: Mapping[str, float]) -> list[str]:
    """Sentences on what would ship with more compute, or asked in another way, than was judged."""
    why: list[str] = []
    for key, value in asked.items():
        judged = [pair for each in by for pair in _judged_with(each, key)]
        would = f"It would ship with {key} {value:g}, and was judged"
        if not judged:
            why.append(
                f"The card does not say with which {key} it was judged, and {value:g} would ship: evaluate that."
            )
        elif other := [(where, amount) for where, amount in judged if _is_more(key, value, amount)]:
            told = ", ".join(dict.fromkeys(f"{amount:g}{where}" for where, amount in other))
            why.append(f"{would} with {'less' if key in MOST_OF else 'another'}: {told}. Evaluate it again.")
    return why


def _is_more(key: str, asked: float, judged: float) -> bool:
    return not asked <= judged if key in MOST_OF else asked != judged  # written so that NaN is more than anything


def _judged_with(by: JudgedWith, key: str) -> list[tuple[str, float]]:
    """Of everything that judged, where, and with how much; nothing where the card does not say."""
    settings = by.settings
    models: Mapping[str, Any] = settings.get("models") or {}
    suites: Mapping[str, Any] = settings.get("suites") or {}
    of = f" of the part {by.part}" if by.part else ""
    if key == "thinking":  # each budget was judged by itself
        budgets = [float(each) for each in settings.get("budgets") or ()]
        return [(of, max(budgets))] if budgets else []
    own: list[float] = []
    if key == "most":
        asked = [models[by.model]] if by.model is not None and by.model in models else list(models.values())
        own = [float(each["most"]) for each in asked if "most" in each]
    found = [(f" on {name}{of}", min([float(each[key]), *own])) for name, each in suites.items() if key in each]
    if found:
        return found
    return [(of, min(own))] if own else [(of, float(settings[key])) for _ in range(key in settings)]


def _amount(key: str, value: Any, file: Path) -> float:
    least = 1 if key in ("most", "attempts") else 0
    if not isinstance(value, bool) and isinstance(value, int | float):
        try:
            amount = float(value)
        except OverflowError:
            raise InputError(f"{key} is too large in {file}; give a number.") from None
        if isfinite(amount) and amount >= least:
            return amount
    raise InputError(f"{key} is {value!r} in {file}; give a number, {least} or more.")
