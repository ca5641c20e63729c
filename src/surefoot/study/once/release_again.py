"""When a card must be evaluated again: another model, another suite, more compute, or a part that was made anew.

    demand = evaluate_again(card, run, Shipping.read("runs/repair-digits-1a2b3c4d/model", Path("deploy.yaml")))
    print(demand.why)      # sentences; with one of them the gate does not open

A card says what was judged; whether that is what would ship, only who ships it can say. Models of surefoot's own files
are known by the digest of their tensors; text models by the address that their completions are kept under, which also
tells surefoot's own code and the machine's numerics apart: with another of these, numbers may be others too.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, cast

import yaml

from surefoot.card.card import Card
from surefoot.card.serialise import card_digest
from surefoot.errors import InputError
from surefoot.files import digest_json
from surefoot.study.once.release_parts import judged_models, read_part_card

__all__ = ["Addresses", "Demand", "Shipping", "evaluate_again", "identity_of", "no_text"]

Addresses: TypeAlias = Callable[[str], frozenset[str]]
"""From the name of a text model to the addresses that its completions may be kept under."""
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
            read: Any = yaml.safe_load(same_as.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise InputError(f"Cannot read {same_as} ({' '.join(str(error).split())}); give a YAML file.") from None
        if not isinstance(read, dict) or not read:
            raise InputError(f"{same_as} says nothing of what would ship; give keys of {', '.join(KEYS)}.")
        said = cast("dict[str, Any]", read)
        compute: dict[str, float] = {}
        for key, value in said.items():
            if key not in KEYS:
                raise InputError(f"{same_as} has the key {key!r}; it may have {', '.join(KEYS)}.")
            if key != "model" and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise InputError(f"{key} is {value!r} in {same_as}; give a number.")
            if key != "model":
                compute[key] = float(value)
        return Shipping(model or (str(said["model"]) if "model" in said else None), compute)


class Demand(NamedTuple):
    """why: sentences on why a card must be evaluated again. told: clauses on what could not be looked at."""

    why: tuple[str, ...] = ()
    told: tuple[str, ...] = ()


NOTHING = Shipping()


def no_text(named: str) -> frozenset[str]:
    """Where nobody says how text models are opened (the hub is above this floor), none is known."""
    raise InputError(f"{named} would ship, a text model was judged, and nothing here opens one; use surefoot gate.")


def evaluate_again(card: Card, path: Path, shipping: Shipping = NOTHING, text: Addresses = no_text) -> Demand:
    """Whether a card still speaks of what would ship, and of suites and parts as they are now.

    path: of the card, or of its run: parts of a release are looked for from there. text: the addresses by which a text
    model of a name may be known. Raises `InputError` for a model that cannot be opened.
    """
    settings = card.record.settings
    parts: Mapping[str, Any] = settings["parts"] if _is_release(settings) else {}
    changed, told = _parts(parts, path)
    why = list(changed)
    for name, of in [(name, each["settings"]) for name, each in parts.items()] or [("", settings)]:
        seeds = parts[name]["seeds"] if parts else card.record.seeds
        versions, unseen = _suites(of, list(seeds))
        why += [f"{f'Part {name}: ' if name else ''}{each}" for each in versions]
        told += unseen
    why += _own_model(settings, path, text)
    if shipping.model is not None:
        ships: Mapping[str, Any] = parts[settings["ships"].partition("/")[0]] if parts else {"settings": settings}
        judged = ships.get("judged", judged_models(settings))
        why += _model(judged, shipping.model, text if _of_text(ships["settings"]) else None)
    every = [each["settings"] for each in parts.values()] if parts else [settings]
    why += _compute(every, shipping.compute)
    return Demand(tuple(why), tuple(told))


def identity_of(named: str) -> frozenset[str]:
    """By what a card knows a model of surefoot's own files; raises `InputError` for what cannot be opened."""
    from surefoot.bayes.kept import digest_posterior
    from surefoot.study.once.opening import open_to_predict
    from surefoot.study.once.posteriors import digests_of

    opened = open_to_predict(named)
    own = digests_of(opened.parameters)
    return frozenset({digest_json(own if opened.draws is None else [own, digest_posterior(opened.draws)])})


def _is_release(settings: Mapping[str, Any]) -> bool:
    return "ships" in settings and "parts" in settings


def _parts(parts: Mapping[str, Any], path: Path) -> tuple[list[str], list[str]]:
    """Parts that are others now than when the release was made, and those that are not there to look at."""
    folder = path if path.is_dir() else path.parent
    why: list[str] = []
    told: list[str] = []
    for name, each in parts.items():
        if each["at"] is None or not (place := folder / each["at"]).exists():
            if each["digest"]:
                told.append(f"the part {name} is not where it was, so whether it was made anew is not known")
            continue
        try:
            now = card_digest(read_part_card(place))
        except InputError as error:
            why.append(f"The part {name} can no longer be read ({str(error).rstrip('.')}): make the release again.")
            continue
        if not each["digest"]:
            why.append(f"The part {name} was not there when this release was made, and is now: make it again.")
        elif now != each["digest"]:
            why.append(
                f"The part {name} is another one now (digest {now[:12]}) than when this release was made "
                f"({each['digest'][:12]}): make the release again."
            )
    return why, told


def _suites(settings: Mapping[str, Any], seeds: Sequence[int]) -> tuple[list[str], list[str]]:
    """Suites that are other versions in this surefoot, and those that are none of its own."""
    recorded: Mapping[str, Any] = settings.get("suites") or {}
    if not recorded:
        return [], []
    seed = int(seeds[0]) if seeds else 0
    now: dict[str, list[str]] = {}
    for size in ("quick", "full"):
        for name, version in _versions(tuple(recorded), size, seed).items():
            now.setdefault(name, []).append(version)
        if all(each["version"] in now[name] for name, each in recorded.items() if name in now):
            break  # whichever size was asked, it is as it was
    why = [
        f"The suite {name} is another version now ({' or '.join(now[name])}) than was asked ({each['version']}): "
        "evaluate again."
        for name, each in recorded.items()
        if name in now and each["version"] not in now[name]
    ]
    others = [name for name in recorded if name not in now]
    told = f"the suites {', '.join(others)} are none of surefoot's own, so whether they changed is not known"
    return why, [told] if others else []


@cache
def _versions(names: tuple[str, ...], size: Literal["quick", "full"], seed: int) -> dict[str, str]:
    """The versions of those of these suites that are surefoot's own; they do not change while a process runs."""
    from surefoot.safety.battery import OFFLINE, battery
    from surefoot.safety.preparedness.toys.battery import toy_suites
    from surefoot.safety.suite import suite_version

    ours = [name for name in names if name in OFFLINE]
    suites = list(battery(ours, size=size, seed=seed)) if ours else []
    if len(ours) < len(names):
        suites += [each for each in toy_suites(size, seed) if each.name in names]
    return {each.name: suite_version(each) for each in suites}


def _own_model(settings: Mapping[str, Any], path: Path, text: Addresses) -> list[str]:
    """Whether the model that a release names is still what it was."""
    own: Mapping[str, Any] | None = settings.get("model") if _is_release(settings) else None
    if own is None:
        return []
    place = (path if path.is_dir() else path.parent) / own["at"]
    if not place.exists():
        return []
    now = (text if own["text"] else identity_of)(str(place))
    if now & set(own["identity"]):
        return []
    return ["The model that this release names is another one now: evaluate it, and make the release again."]


def _model(judged: Mapping[str, str], named: str, text: Addresses | None) -> list[str]:
    """Whether a model is the main one of those that were judged. text: of a text model, its addresses."""
    if not judged:
        return [
            f"The card does not say which model it judged, so whether that is {named} is not known: judge {named} by "
            "look, or evaluate it again with this surefoot."
        ]
    main = next(iter(judged.values()))
    now = (text or identity_of)(named)
    if main in now:
        return []
    besides = ", or surefoot's code or this machine's numerics are others," if text else ""
    return [
        f"{named} ({', '.join(sorted(each[:12] for each in now))}) is not the model that was judged ({main[:12]})"
        f"{besides}: evaluate it again."
    ]


def _of_text(settings: Mapping[str, Any]) -> bool:
    return bool(settings.get("models"))


def _compute(every: Sequence[Mapping[str, Any]], asked: Mapping[str, float]) -> list[str]:
    """What would ship with more compute, or asked in another way, than was judged."""
    why: list[str] = []
    for key, value in asked.items():
        judged = sorted({each for settings in every for each in _judged_with(settings, key)})
        if not judged:
            why.append(
                f"The card does not say with which {key} it was judged, and {value:g} would ship: evaluate that."
            )
        elif key in MOST_OF and value > judged[-1]:
            why.append(
                f"It would ship with {key} {value:g}, and was judged with {judged[-1]:g} at most: evaluate again."
            )
        elif key not in MOST_OF and value not in judged:
            shown = " and ".join(f"{each:g}" for each in judged)
            why.append(f"It would ship with {key} {value:g}, and was judged with {shown}: evaluate again.")
    return why


def _judged_with(settings: Mapping[str, Any], key: str) -> list[float]:
    """The values of one kind that an evaluation of a text model used; none where it does not say."""
    models = list((settings.get("models") or {}).values())
    suites = list((settings.get("suites") or {}).values())
    if key == "most":
        own = [float(each["most"]) for each in models if "most" in each][:1]
        return [min(float(each["most"]), *own) for each in suites] if suites and own else own
    if key == "thinking":
        return [float(each) for each in settings.get("budgets") or ()]
    found = [each[key] for each in suites if key in each] or [settings[key] for _ in range(key in settings)]
    return [float(each) for each in found]
