"""What is said of a release beside its claims: its parts side by side, levels and gates, and what it does not show."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version

from surefoot.card.card import Card
from surefoot.card.sheets import Sheet
from surefoot.card.trail import read_trail, signed_by, waived
from surefoot.card.words import show_count, show_share
from surefoot.study.once.release_file import ReleaseFile
from surefoot.study.once.release_parts import (
    ReadPart,
    identities,
    judged_rows_of,
    learned_rows_of,
    road_of,
)

__all__ = ["levels_and_gates", "limits_of", "parts_sheet"]

CARRIED = ("Scorecard", "Gates")
"""Tables of a part that a release shows as well."""
NONE = "–"


def parts_sheet(parts: Sequence[ReadPart], ships: str | None) -> Sheet:
    """Every part: how it was judged, on what, when, and by which digest it is known again."""
    heads = ("Part", "Made by", "Model", "Verdict", "Claims", "Judge rows", "Looks at them", "Made", "Digest")
    lead = (
        "Every claim was judged again by the numbers of its part. Looks: how many questions had been asked of the same "
        "judge rows when the part was made, its own among them."
    )
    return Sheet("Parts", heads, tuple(_row(each, ships) for each in parts), lead)


def levels_and_gates(parts: Sequence[ReadPart]) -> tuple[Sheet, ...]:
    """Levels of preparedness, and gates, of the parts that have them."""
    return tuple(
        replace(sheet, title=f"{part.name}: {sheet.title.lower()}")
        for part in parts
        if part.card is not None
        for sheet in part.card.sheets
        if sheet.title in CARRIED
    )


def limits_of(asked: ReleaseFile, parts: Sequence[ReadPart]) -> tuple[str, ...]:
    """What the card of a release cannot tell, its own limits first, and then those of its parts."""
    own: list[str] = []
    for part in parts:
        if part.card is None:
            own.append(f"The {'required ' if part.required else ''}part {part.name} is missing: {part.why}.")
        elif not part.card.claims:
            own.append(f"The part {part.name} makes no claim of its own: it was measured, and nothing was asked of it.")
    own += _other_models(asked, parts)
    own += _shared_rows(parts)
    unknown = [each.name for each in parts if each.card is not None and not each.recorded]
    if unknown:
        own.append(f"No ledger holds the cards of {', '.join(unknown)}: whether they were changed cannot be seen.")
    own += [line for part in parts if part.card is not None for line in _trail(part, part.card)]
    if asked.claims:
        own.append(
            f"{show_count(len(asked.claims), 'claim')} of the release itself: judged by numbers that were there before "
            "the claim was; write claims before anything is judged."
        )
    own.append("Curves, galleries and calibration of the parts are on their own pages.")
    return (*own, *_limits_of_parts(parts))


def _row(part: ReadPart, ships: str | None) -> tuple[str, ...]:
    name = f"{part.name} ({'ships' if (ships or '').startswith(f'{part.name}/') else _need(part)})"
    card, again = part.card, part.again
    if card is None or again is None:
        return (name, NONE, NONE, f"missing: {part.why}", NONE, NONE, NONE, NONE, NONE)
    judge = [role for role in card.roles if role.role.endswith("judge")]
    rows = f"{sum(each.rows for each in judge):,}" if judge else NONE
    looks = str(card.record.judge_uses) if card.record.judge_uses else "not counted"
    if card.record.judged_before:
        looks += f" ({show_share(card.record.judged_before)} judged before)"
    passed = sum(each.status == "passed" for each in again.claims)
    models = identities(card)
    shown = (ships or "").partition("/")[2] if (ships or "").startswith(f"{part.name}/") else None
    main = models.get(shown, "") if shown else next(iter(models.values()), "")
    by = card.record.versions.get("surefoot")
    return (
        name,
        road_of(card, part.at) + (f", surefoot {by}" if by else ""),
        main[:12] or "not recorded",
        again.verdict if again.claims else "no claim",
        f"{passed} of {len(again.claims)} hold" if again.claims else "none",
        f"{rows} ({card.record.judge_digest[:8]})" if card.record.judge_digest else rows,
        looks,
        card.record.created[:16].replace("T", " "),
        part.digest[:12],
    )


def _need(part: ReadPart) -> str:
    return "required" if part.required else "optional"


def _other_models(asked: ReleaseFile, parts: Sequence[ReadPart]) -> list[str]:
    """Which parts say nothing of the model that ships."""
    main = next(each for each in parts if each.name == asked.ships.partition("/")[0])
    if main.card is None:
        return []
    own = {identities(main.card).get(asked.ships.partition("/")[2])}
    others = [
        each.name
        for each in parts
        if each.card is not None and each is not main and not own & set(identities(each.card).values())
    ]
    if not others:
        return []
    return [
        f"What ships was judged by the part {main.name}. As far as records say, {', '.join(others)} judged other "
        "models: what holds of them does not hold of it."
    ]


def _shared_rows(parts: Sequence[ReadPart]) -> list[str]:
    """Judge rows that several parts used, and those that another part learned from."""
    there = [(each.name, each.card) for each in parts if each.card is not None]
    by_rows: dict[str, list[str]] = {}
    for name, card in there:
        for rows in sorted(judged_rows_of(card)):
            by_rows.setdefault(rows, []).append(name)
    same = dict.fromkeys(tuple(names) for names in by_rows.values() if len(names) > 1)
    told = [
        f"The parts {', '.join(names)} judge the same rows: what one of them showed may have shaped another, and their "
        "intervals do not err apart."
        for names in same
    ]
    for one, first in there:
        for two, second in there:
            if one != two and learned_rows_of(first) & judged_rows_of(second):
                told.append(f"Models of the part {one} learned from, or were chosen by, the rows that judge {two}.")
    return told


def _trail(part: ReadPart, card: Card) -> list[str]:
    """Who signed a part, and what was waived of it, which a release does not heed."""
    entries = read_trail(part.at if part.at.is_dir() else part.at.parent)
    signed = signed_by(card, entries)
    told = [f"The part {part.name} was signed by {', '.join(signed)}."] if signed else []
    return told + [
        f"Claim {each.claim} of the part {part.name} was waived by {each.by} until {each.until}: a release heeds "
        "waivers of its own claims alone."
        for each in waived(card, entries, datetime.now(UTC).date())
    ]


def _limits_of_parts(parts: Sequence[ReadPart]) -> list[str]:
    """Every limit once, behind the parts that have it."""
    of: dict[str, list[str]] = {}
    here = version("surefoot")
    for part in parts:
        if part.card is None:
            continue
        by = part.card.record.versions.get("surefoot", here)
        older = (f"It was made by surefoot {by}, and this is {here}.",) if by != here else ()
        for line in dict.fromkeys((*older, *part.card.not_shown)):
            of.setdefault(line, []).append(part.name)
    return [f"{', '.join(names)}: {line}" for line, names in of.items()]
