"""Rows of a study: generated or read, given their roles, checked, and laid into one folder per role."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from surefoot.errors import InputError
from surefoot.files import write_json
from surefoot.progress import Progress
from surefoot.rows.assign import check_roles, roles_from_split
from surefoot.rows.digest import identity_digest, rows_digest
from surefoot.rows.encoding import Encoder
from surefoot.rows.parting import draw_roles, encode_roles
from surefoot.rows.reading import SPLIT_MEANING, UNLABELLED, Reading, read_rows
from surefoot.rows.roles import ROLES, Role, Roles
from surefoot.rows.rows import LazyInputs, Rows
from surefoot.study.stored import save_encoder, save_rows

__all__ = ["MadeRows", "make_roles", "make_rows_of", "summary_of"]


def make_roles(spec: Mapping[str, Any], inputs: Mapping[str, Path], out: Path, progress: Progress) -> None:
    """Leaves one folder of rows per role, and summary.json about all of them."""
    roles, described, encoder, drawn = make_rows_of(spec, inputs)
    check_roles(roles, drawn)
    for number, (role, rows) in enumerate(roles.items()):
        save_rows(rows, role, out / role)
        if encoder is not None:
            save_encoder(encoder, out / role)
        progress("rows", number + 1, len(roles))
    write_json(out / "summary.json", {**summary_of(roles), "described": described})


def summary_of(roles: Roles) -> dict[str, Any]:
    """What plans and cards need to know without loading any rows."""
    first = next(iter(roles.values()))
    return {
        "classes": list(first.classes),
        "groups": list(first.groups.names),
        "shape": list(first.inputs[:1].shape[1:]),
        "roles": {role: _about(rows) for role, rows in roles.items()},
    }


def _about(rows: Rows) -> dict[str, Any]:
    counts = dict(zip(rows.groups.names, rows.groups.counts().tolist(), strict=True))
    return {
        "rows": len(rows),
        "sources": len(rows.origins()),
        "groups": counts,
        "partitioned": bool((rows.groups.members.sum(dim=1) == 1).all()),
        "digest": rows_digest(rows),
        "identity": identity_digest(rows.ids, rows.sources),
    }


class MadeRows(NamedTuple):
    """The rows of each role, words for a reader on where they come from, and how columns became their features.

    drawn: the roles among which rows of one file were shared out here, not by the file's own split.
    """

    roles: Roles
    described: str
    encoder: Encoder | None = None
    drawn: frozenset[Role] = frozenset()


def make_rows_of(spec: Mapping[str, Any], inputs: Mapping[str, Path]) -> MadeRows:
    """The rows of each role, generated or read, and words for a reader on where they come from."""
    if (given := spec.get("dominoes")) is not None:
        from surefoot.rows.dominoes import dominoes

        words = f"dominoes of real digits, shortcut and class agreeing in {given['correlation']:.0%} of training rows"
        return MadeRows(dominoes(**given), words)
    if (given := spec.get("coloured_digits")) is not None:
        from surefoot.rows.coloured import coloured_digits

        words = f"real digits, colour and class agreeing in {given['correlation']:.0%} of training rows"
        return MadeRows(coloured_digits(**given), words)
    return _read(spec, inputs)


def _read(spec: Mapping[str, Any], inputs: Mapping[str, Path]) -> MadeRows:
    """Rows from a file or folder with their roles; columns of a table become features by the fit rows alone."""
    given: Mapping[str, Any] = next(spec[kind] for kind in ("table", "features", "images") if kind in spec)
    roles, reading, drawn = _parted(spec, given, inputs, coded="table" in spec)
    if reading.coded is not None and "fit" not in roles:  # nothing to learn from how columns become features
        roles, reading, drawn = _parted(spec, given, inputs, coded=False)
    if reading.coded is None:
        return MadeRows(roles, reading.described, None, drawn)
    encoded = encode_roles(roles, reading.coded, drawn)
    words = [reading.described, *encoded.encoder.described, *encoded.notes]
    return MadeRows(encoded.roles, "\n".join(words), encoded.encoder, drawn)


def _parted(
    spec: Mapping[str, Any], given: Mapping[str, Any], inputs: Mapping[str, Path], *, coded: bool
) -> tuple[Roles, Reading, frozenset[Role]]:
    """Rows as they are read, by role; and the roles that were drawn here."""
    reading = read_rows(
        inputs["data"],
        target=given.get("target"),
        attributes=tuple(given["attributes"]),
        split=given.get("split"),
        cluster=given.get("cluster"),
        source=given.get("source"),
        id_column=given.get("id"),
        features=given.get("columns"),
        classes=given.get("classes"),
        images=inputs.get("images"),
        image_size=(given["size"][0], given["size"][1]) if "size" in given else None,
        coded=coded,
        labelled=False,
    )
    if reading.rows.classes == (UNLABELLED,):
        name = inputs["data"].name
        raise InputError(
            f"{name} has no true labels that are known by name, and a study measures with them; name their column "
            f"(target), or, where there are none, teach with the command that needs none: surefoot teach {name} --weak "
            "LABELS."
        )
    if isinstance(reading.rows.inputs, LazyInputs) and "images" not in (*spec, *inputs):
        raise InputError(
            f"{inputs['data'].name} names image files; name their folder too (images: .), so that a changed picture is "
            "noticed."
        )
    if spec.get("roles") is not None:
        return draw_roles(reading.rows, reading.coded, spec["roles"], spec["seed"]), reading, frozenset(spec["roles"])
    if reading.split is None:
        raise InputError(
            f"{inputs['data'].name} says nothing about roles; name its split column, or give rows a share per role, "
            "such as roles: {fit: 0.4, repair: 0.1, choose: 0.2, judge: 0.3}."
        )
    roles = roles_from_split(reading.rows, reading.split, given.get("meaning") or SPLIT_MEANING)
    drawn = frozenset[Role]()
    if spec.get("repair_share") is not None:
        share = float(spec["repair_share"])
        if "repair" in roles:
            raise InputError("repair_share was given, but the split already names repair rows; remove one of the two.")
        parted = draw_roles(roles["fit"], reading.coded, {"fit": 1 - share, "repair": share}, spec["seed"])
        roles, drawn = {**roles, **parted}, frozenset(parted)
    return {role: roles[role] for role in ROLES if role in roles}, reading, drawn
