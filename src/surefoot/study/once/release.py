"""One card for a whole release: the parts that were judged, their claims, and what ships.

    kept = make_release(Path("release.yaml"))
    print(kept.card.sentence)

<out>/release-…/     the card, which knows its parts by their digests and where they lie

No verdict of a part is taken on trust: every claim is judged again from the part's own numbers, carried to this card,
where it is judged by them once more. The release is as bad as the worst of its parts and its claims; what is required
and missing leaves it undecided, and a gate of a part that is not open shuts it, whoever waives what. Where people must
sign it, it is undecided until they did.
"""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from surefoot.card.card import Card, Record, RoleSummary, Subject
from surefoot.card.claims import Judged, Status, verdict_of
from surefoot.card.gate import HELD_BACK, ONCE_SIGNED, barriers, gated, worst
from surefoot.card.trail import SIGN_OFFS
from surefoot.errors import InputError
from surefoot.files import digest_json
from surefoot.study.once.keep import Asked, Kept, keep
from surefoot.study.once.release_again import Addresses, evaluate_again, identity_of, no_text
from surefoot.study.once.release_claims import (
    added_claim,
    carried_claim,
    claims_about,
    doubts_on_release,
    named_on_release,
    of_part,
)
from surefoot.study.once.release_file import ReleaseFile, read_release
from surefoot.study.once.release_parts import ReadPart, door_of, identities, is_release, read_part
from surefoot.study.once.release_words import levels_and_gates, limits_of, parts_sheet

__all__ = ["make_release"]

ASKED_WITH = ("models", "suites", "attempts", "temperature", "budgets")
"""Of a part's settings, those by which `release_again` tells whether it must be evaluated again."""
WITHIN = ("ships", "parts", "model")
"""Of a part that is a release itself, what leads to its own parts."""


def make_release(file: Path, *, text: Addresses = no_text, out: Path = Path("runs"), command: str = "") -> Kept:
    """Read the parts that a file names, judge every claim of theirs and of the file again, and make the card.

    text: the addresses by which a text model of a name may be known, where one ships.

    Raises `InputError` for a file that says what it may not, for claims on what no part measured, for a run that is two
    parts, and for a part that was tampered with; nothing is written then.
    """
    began = time.perf_counter()
    asked = read_release(file)
    parts = [
        read_part(name, (file.parent / each.run).resolve(), required=each.required)
        for name, each in asked.parts.items()
    ]
    _refuse_twice(parts)
    there = [(part, part.again) for part in parts if part.again is not None]
    findings = tuple(of_part(part.name, each) for part, card in there for each in card.findings)
    differences = tuple(of_part(part.name, each) for part, card in there for each in card.differences)
    subjects = tuple(_subject(part.name, each) for part, card in there for each in card.subjects)
    ships = _ships(asked, parts, subjects)
    carried = tuple(carried_claim(part.name, card, each) for part, card in there for each in card.claims)
    doubted = tuple(each for part, card in there for each in doubts_on_release(part.name, card))
    added = tuple(
        added_claim(asked, said, parts, subjects, (*findings, *differences), doubted) for said in asked.claims
    )
    claims = (*carried, *added)
    own = _shipped(asked, file, parts, text)
    held = [*_held(parts, added), *_held_by_model(asked, parts, own), *_held_by_others(asked, parts)]
    held += [f"the part {part.name} has changed ({each.rstrip('.')})" for part in parts for each in _since(part, text)]
    verdict = worst([verdict_of(claims, ships), *_verdicts(parts), *(["undecided"] if held else list[Status]())])
    settings = {**_settings(asked, parts, own, out), HELD_BACK: held, ONCE_SIGNED: verdict}
    question = Asked(
        road="release",
        name=asked.release,
        data=f"{len(parts)} parts: {', '.join(asked.parts)}",
        settings=settings,
        seeds=(),
        judge_digest=digest_json({part.name: card.record.judge_digest for part, card in there}),
        command=command,
    )

    def make(record: Record) -> Card:
        card = Card(
            title=f"Release {asked.release}",
            question=asked.question,
            verdict=verdict,
            sentence="",
            chosen=ships,
            claims=claims,
            subjects=subjects,
            findings=findings,
            differences=differences,
            classes=(),
            groups=tuple(dict.fromkeys(name for _, of in there for name in of.groups)),
            reliability={},
            confusion={},
            gallery={},
            roles=tuple(
                RoleSummary(f"{part.name}: judge", role.rows, role.clusters, {})
                for part, of in there
                for role in of.roles
                if role.role.endswith("judge")
            ),
            not_shown=limits_of(asked, parts),
            record=record,
            sheets=(parts_sheet(parts, ships), *levels_and_gates(parts)),
            doubted=doubted,
        )
        return gated(card).card  # which refuses a claim that its numbers do not bear, and writes every sentence

    return keep(question, out, {"read and judge again": time.perf_counter() - began}, make)


def _subject(part: str, subject: Subject) -> Subject:
    before = None if subject.before is None else named_on_release(part, subject.before)
    return replace(subject, name=named_on_release(part, subject.name), label=f"{part}: {subject.label}", before=before)


def _ships(asked: ReleaseFile, parts: Sequence[ReadPart], subjects: Sequence[Subject]) -> str | None:
    """The subject that ships; None where its part is missing, which holds the release back."""
    part = _main(asked, parts)
    if part.again is None:
        return None
    known = [each.name for each in subjects if each.name.startswith(f"{part.name}/")]
    if asked.ships not in known:
        raise InputError(f"What ships is {asked.ships!r}, which its part did not judge; it judged {', '.join(known)}.")
    return asked.ships


def _verdicts(parts: Sequence[ReadPart]) -> list[Status]:
    """Of every part that is there and claims something itself, or has a gate that is shut."""
    there = [each.again for each in parts if each.again is not None]
    return [each.verdict for each in there if each.claims or barriers(each)]


def _refuse_twice(parts: Sequence[ReadPart]) -> None:
    """One run under two names would count its claims for two."""
    known: dict[str, str] = {}
    for part in parts:
        for key in {str(part.at), part.digest} - {""}:
            if key in known and part.card is not None:
                raise InputError(
                    f"The parts {known[key]} and {part.name} are the same run, {part.at.name}; name every run once."
                )
            known[key] = part.name


def _since(part: ReadPart, text: Addresses) -> tuple[str, ...]:
    """Why a part must be evaluated again as it is."""
    return () if part.card is None else evaluate_again(part.card, part.at, text=text).why


def _held(parts: Sequence[ReadPart], added: Sequence[Judged]) -> list[str]:
    """Clauses on what keeps the release from passing beside its claims."""
    told: list[str] = []
    for part in parts:
        again = part.again
        if again is None:
            told += [f"the part {part.name} is required and missing, for {part.why}"] if part.required else []
            continue
        shut = barriers(again)
        told += [f"the part {part.name}: {each}" for each in shut]
        if not again.claims:
            if part.required and not claims_about(part.name, added):
                told.append(f"the part {part.name} is required, and no claim is made of it")
        elif not shut and again.verdict != worst(each.status for each in again.claims):
            told.append(f"the part {part.name} is {again.verdict} ({again.sentence.rstrip('.')})")
    return told


def _shipped(asked: ReleaseFile, file: Path, parts: Sequence[ReadPart], text: Addresses) -> dict[str, Any] | None:
    """Where the model that ships lies, and by what it is known; None where none is named, or nothing judged it."""
    part = _main(asked, parts)
    if asked.model is None or part.card is None:
        return None
    place = file.parent / asked.model
    of_text = _of_safety(part.card.record.settings)
    known = (text if of_text else identity_of)(str(place) if place.exists() else asked.model)
    at = str(place.resolve()) if place.exists() else asked.model
    return {"at": at, "of_hub": not place.exists(), "text": of_text, "identity": sorted(known)}


def _held_by_model(asked: ReleaseFile, parts: Sequence[ReadPart], own: Mapping[str, Any] | None) -> list[str]:
    """Whether the model that ships is the subject that its part judged, and its gate's."""
    part, subject = _main(asked, parts), asked.ships.partition("/")[2]
    if part.card is None:
        return []
    told: list[str] = []
    door = door_of(part.card)
    if door is not None and door.after and door.subject != subject:
        told.append(
            f"the gate {door.gate} of the part {part.name} is about {door.subject or 'nobody'}, and {subject} ships"
        )
    if own is None:
        return told
    judged = identities(part.card)
    if not judged:
        told.append(
            f"the part {part.name} does not say which model it judged, so whether {asked.model} is it is not known"
        )
    elif subject not in judged:
        told.append(f"the part {part.name} does not say by what {subject} is known, so it may not be {asked.model}")
    elif judged[subject] not in own["identity"]:
        told.append(f"{asked.model} is not the model that the part {part.name} judged as {subject}: evaluate it")
    return told


def _held_by_others(asked: ReleaseFile, parts: Sequence[ReadPart]) -> list[str]:
    """Parts of safety that are required, and say nothing of the model that ships, unless the file says so."""
    main = _main(asked, parts)
    if main.card is None:
        return []
    own = identities(main.card).get(asked.ships.partition("/")[2])
    return [
        f"the part {part.name} is required, and judged another model than {asked.ships}, as far as records say: "
        "evaluate that, or write other_model: true"
        for part in parts
        if part is not main and part.card is not None and part.required and not asked.parts[part.name].other_model
        if _of_safety(part.card.record.settings) and own not in identities(part.card).values()
    ]


def _of_safety(settings: Mapping[str, Any]) -> bool:
    """Whether a text model was asked, in a card or within a release."""
    if is_release(settings):
        return any(_of_safety(each.get("release") or each["settings"]) for each in settings["parts"].values())
    return bool(settings.get("models"))


def _main(asked: ReleaseFile, parts: Sequence[ReadPart]) -> ReadPart:
    """The part of what ships."""
    return next(each for each in parts if each.name == asked.ships.partition("/")[0])


def _settings(
    asked: ReleaseFile, parts: Sequence[ReadPart], own: Mapping[str, Any] | None, out: Path
) -> dict[str, Any]:
    """What was asked, and what each part was: as plain JSON, its paths relative to the folder of the release."""
    beside = out.resolve() / "release"  # wherever its own name leads, it lies beside other runs

    def told(part: ReadPart) -> Mapping[str, Any]:
        settings: Mapping[str, Any] = {} if part.card is None else part.card.record.settings
        within = {"release": {key: settings[key] for key in WITHIN}} if is_release(settings) else {}
        return {
            "at": os.path.relpath(part.at, beside),
            "digest": part.digest,
            "required": part.required,
            "judge": "" if part.card is None else part.card.record.judge_digest,
            "seeds": [] if part.card is None else list(part.card.record.seeds),
            "judged": {} if part.card is None else identities(part.card),
            "settings": {key: settings[key] for key in ASKED_WITH if key in settings},
            **within,
        }

    model = None
    if own is not None:
        at = os.path.relpath(own["at"], beside) if Path(own["at"]).is_absolute() else own["at"]
        model = {**own, "at": at}
    signs = [int(each.card.record.settings.get(SIGN_OFFS, 0)) for each in parts if each.card is not None]
    return {
        "ships": asked.ships,
        "parts": {part.name: told(part) for part in parts},
        "model": model,
        "claims": list(asked.claims),
        "confidence": asked.confidence,
        SIGN_OFFS: max([asked.sign_offs, *signs]),
    }
