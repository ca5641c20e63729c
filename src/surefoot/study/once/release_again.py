"""When a card must be evaluated again: another model, another suite, more compute, or a part that was made anew.

    demand = evaluate_again(card, run, Shipping.read("runs/repair-digits-1a2b3c4d/model", Path("deploy.yaml")))
    print(demand.why)      # sentences; with one of them the gate does not open

A card says what was judged; whether that is what would ship, only who ships it can say. Models of surefoot's own files
are known by the digest of their tensors; text models by the address that their completions are kept under, which also
tells surefoot's own code and the machine's numerics apart: with another of these, numbers may be others too.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from surefoot.card.card import Card
from surefoot.card.serialise import card_digest
from surefoot.errors import InputError
from surefoot.files import digest_json
from surefoot.study.once.release_compute import JudgedWith, Shipping, more_than_judged
from surefoot.study.once.release_parts import door_of, identities, is_release, read_part_card, spoken_of

__all__ = ["Addresses", "Demand", "Shipping", "evaluate_again", "identity_of", "no_text"]

Addresses: TypeAlias = Callable[[str], frozenset[str]]
"""From the name of a text model to the addresses that its completions may be kept under."""


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

    path: of the card, or of its run: parts of a release are looked for from there, and theirs from where they lie.
    text: the addresses by which a text model of a name may be known. Raises `InputError` for a model to ship that
    cannot be opened.
    """
    settings = card.record.settings
    folder = path if path.is_dir() else path.parent
    changed, told = _parts(settings["parts"], folder) if is_release(settings) else (list[str](), list[str]())
    why = list(changed)
    leaves = _leaves(settings, card.record.seeds, identities(card))
    for leaf in leaves:
        versions, unseen = _suites(leaf.settings, list(leaf.seeds))
        why += [f"{f'Part {leaf.name}: ' if leaf.name else ''}{each}" for each in versions]
        told += unseen
    why += _own_models(settings, folder, text, known=shipping.model is not None)
    subject = settings["ships"] if is_release(settings) else None
    main = next((each for each in leaves if subject is not None and subject.startswith(f"{each.name}/")), leaves[0])
    if shipping.model is not None:
        opened = _Named(shipping.model, text if main.settings.get("models") else None)
        if is_release(settings):
            why += _not_shipped(identities(card), subject, opened)
        else:
            subject, unspoken = _not_judged(card, opened)
            why += unspoken
    if shipping.compute:
        why += more_than_judged(_judging(leaves, main, subject), shipping.compute)
    return Demand(tuple(why), tuple(told))


class _Leaf(NamedTuple):
    """A card that is no release, and judged something. name: by which parts it is reached; "" for the card itself."""

    name: str
    settings: Mapping[str, Any]
    seeds: Sequence[int]
    judged: Mapping[str, str]


def _leaves(
    settings: Mapping[str, Any], seeds: Sequence[int], judged: Mapping[str, str], name: str = ""
) -> list[_Leaf]:
    """What a card rests on, through releases within releases."""
    if not is_release(settings):
        return [_Leaf(name, settings, seeds, judged)]
    found: list[_Leaf] = []
    for part, each in settings["parts"].items():
        within: Mapping[str, Any] = each.get("release") or each["settings"]
        found += _leaves(within, each["seeds"], each["judged"], f"{name}/{part}" if name else part)
    return found


def _judging(leaves: Sequence[_Leaf], main: _Leaf, subject: str | None) -> list[JudgedWith]:
    """What judged the model that ships: its own part, and every other that knows it by the same digits."""
    name = subject.removeprefix(f"{main.name}/") if subject is not None and main.name else subject
    known = None if name is None else main.judged.get(name)
    found = [JudgedWith(main.name, main.settings, name)]
    for each in leaves:
        same = [other for other, by in each.judged.items() if by == known]
        if each is not main and same:
            found.append(JudgedWith(each.name, each.settings, same[0]))
    return found


def identity_of(named: str) -> frozenset[str]:
    """By what a card knows a model of surefoot's own files; raises `InputError` for what cannot be opened."""
    from surefoot.bayes.kept import digest_posterior
    from surefoot.study.once.opening import open_to_predict
    from surefoot.study.once.posteriors import digests_of

    opened = open_to_predict(named)
    own = digests_of(opened.parameters)
    return frozenset({digest_json(own if opened.draws is None else [own, digest_posterior(opened.draws)])})


def _parts(parts: Mapping[str, Any], folder: Path) -> tuple[list[str], list[str]]:
    """Parts that are others now than when the release was made, and those that are not there to look at; theirs too,
    where they are releases."""
    why: list[str] = []
    told: list[str] = []
    for name, each in parts.items():
        place = folder / each["at"]
        if not place.exists():
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
        if within := each.get("release"):
            more, unseen = _parts(within["parts"], place if place.is_dir() else place.parent)
            why += [f"Within the part {name}: {line}" for line in more]
            told += [f"within the part {name}: {line}" for line in unseen]
    return why, told


def _suites(settings: Mapping[str, Any], seeds: Sequence[int]) -> tuple[list[str], list[str]]:
    """Suites that are other versions in this surefoot, and those that are none of its own."""
    recorded: Mapping[str, Any] = settings.get("suites") or {}
    if not recorded:
        return [], []
    seed = int(seeds[0]) if seeds else 0
    now: dict[str, list[str]] = {}
    for size in ("quick", "full"):
        for name, versions in _versions(tuple(recorded), size, seed).items():
            now.setdefault(name, []).extend(versions)
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
def _versions(names: tuple[str, ...], size: Literal["quick", "full"], seed: int) -> dict[str, list[str]]:
    """The versions of those of these suites that are surefoot's own; they do not change while a process runs.

    A multiple choice has two: its options are written, or chosen by their likelihood.
    """
    from surefoot.safety.battery import OFFLINE, battery
    from surefoot.safety.preparedness.toys.battery import toy_suites
    from surefoot.safety.suite import suite_version
    from surefoot.safety.suites.choices import to_likelihood

    ours = [name for name in names if name in OFFLINE]
    suites = list(battery(ours, size=size, seed=seed)) if ours else []
    if len(ours) < len(names):
        suites += [each for each in toy_suites(size, seed) if each.name in names]
    return {
        each.name: list(dict.fromkeys(suite_version(way) for way in (each, to_likelihood(each)))) for each in suites
    }


def _own_models(settings: Mapping[str, Any], folder: Path, text: Addresses, *, known: bool) -> list[str]:
    """Whether the model that a release names is still what it was, and those that releases within it name.

    known: what ships is named beside the card, so it does no harm where this one is not there.
    """
    if not is_release(settings):
        return []
    why: list[str] = []
    if own := settings.get("model"):
        why += _own_model(own, folder, text, known=known)
    for part in settings["parts"].values():
        if within := part.get("release"):
            place = folder / part["at"]
            why += _own_models(within, place if place.is_dir() else place.parent, text, known=known)
    return why


def _own_model(own: Mapping[str, Any], folder: Path, text: Addresses, *, known: bool) -> list[str]:
    named = own["at"] if own.get("of_hub") else str(folder / own["at"])
    unsure = "so whether it is still the one that was judged is not known: name it by --model, or bring it back."
    if not own.get("of_hub") and not Path(named).exists():
        return [] if known else [f"The model that this release names is not where it was ({own['at']}), {unsure}"]
    try:
        now = (text if own["text"] else identity_of)(named)
    except InputError as error:
        told = str(error).rstrip(".")
        return [] if known else [f"The model that this release names cannot be opened ({told}), {unsure}"]
    if now & set(own["identity"]):
        return []
    return ["The model that this release names is another one now: evaluate it, and make the release again."]


class _Named(NamedTuple):
    """A model by its name. text: of a text model, its addresses."""

    name: str
    text: Addresses | None

    def known_by(self) -> frozenset[str]:
        return (self.text or identity_of)(self.name)

    def is_not(self, now: frozenset[str], judged: str) -> str:
        besides = ", or surefoot's code or this machine's numerics are others" if self.text else ""
        shown = ", ".join(sorted(each[:12] for each in now))
        return f"{self.name} ({shown}) is not the model that was judged ({judged[:12]}){besides}: evaluate it again."

    def is_unsaid(self, of: str) -> str:
        return (
            f"The card does not say {of}, so whether that is {self.name} is not known: judge {self.name} by look, or "
            "evaluate it again with this surefoot."
        )


def _not_shipped(judged: Mapping[str, str], ships: str | None, named: _Named) -> list[str]:
    """Whether a model is the subject that a release ships."""
    own = judged.get(ships or "")
    if own is None:
        return [named.is_unsaid(f"by what {ships} is known" if judged else "which model it judged")]
    now = named.known_by()
    return [] if own in now else [named.is_not(now, own)]


def _not_judged(card: Card, named: _Named) -> tuple[str | None, list[str]]:
    """Which subject of a card a model is, and whether the card says anything of it."""
    judged = identities(card)
    if not judged:
        return None, [named.is_unsaid("which model it judged")]
    now = named.known_by()
    same = [subject for subject, by in judged.items() if by in now]
    if not same:
        return None, [named.is_not(now, next(iter(judged.values())))]
    door = door_of(card)
    why: list[str] = []
    if not set(same) & spoken_of(card):
        is_it = "" if same[0] == named.name else f", which is {named.name}"
        why.append(f"No claim, and no gate, of the card is about {same[0]}{is_it}: claim something of it.")
    elif door is not None and door.after and door.subject not in same:
        why.append(
            f"The gate {door.gate} of the card is about {door.subject}, and {named.name} is {same[0]}: evaluate it."
        )
    return same[0], why
