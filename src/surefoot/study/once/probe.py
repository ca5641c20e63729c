"""Probe what representations hold, without a study: features files of the same rows, or layers of a saved model.

    kept = probe_features([Path("resnet.npz"), Path("vit.npz")])
    kept = probe_layers("model/", Path("rows.npz"), layers=["relu1", "head"])

Each leaves a card: core and shortcut decodability of every representation, and paired differences from the first.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from surefoot.card.card import Card, Record, Subject
from surefoot.card.claims import judge_claims, verdict_of, verdict_sentence
from surefoot.errors import InputError
from surefoot.files import digest_file, digest_json, digest_tensor
from surefoot.networks.layers_of import embed_layers, layer_names
from surefoot.networks.network import head_of
from surefoot.networks.weights import open_model
from surefoot.progress import Progress, silent
from surefoot.robust.balanced import erm_head
from surefoot.robust.dfr import DFRSettings
from surefoot.robust.head import LinearHead
from surefoot.robust.probe import Probing, Representation, probe
from surefoot.rows.assign import assign_roles, check_roles, roles_from_split
from surefoot.rows.digest import identity_digest
from surefoot.rows.reading import SPLIT_MEANING, Reading
from surefoot.rows.roles import Role, Roles, refuse_seen
from surefoot.rows.rows import Rows
from surefoot.rows.streamed import FileFeatures
from surefoot.study.numerics import one_thread
from surefoot.study.once.claim_text import parse_claim
from surefoot.study.once.columns import USUAL, Columns
from surefoot.study.once.keep import Asked, Kept, keep
from surefoot.study.once.marks import marks_of_rows
from surefoot.study.once.measure import summary_of_role
from surefoot.study.once.predict import rows_for
from surefoot.study.seen import seen_of_model

__all__ = ["SHARES", "Learn", "probe_features", "probe_layers"]

Learn = Literal["choose", "repair"]
"""The role that the probe's heads learn on."""

SHARES: Mapping[Role, float] = {"fit": 0.3, "repair": 0.1, "choose": 0.3, "judge": 0.3}
"""How rows are shared out where the file has no split."""


@dataclass(frozen=True)
class _Question:
    """What is probed, and everything that a card's record must say of it."""

    name: str
    data: str
    identity: Mapping[str, object]
    origins: tuple[str, ...]
    seen: Mapping[str, frozenset[str]]


@one_thread()
def probe_features(
    paths: Sequence[Path],
    *,
    columns: Columns = USUAL,
    learn: Learn = "choose",
    claims: Sequence[str] = (),
    confidence: float = 0.95,
    seed: int = 0,
    out: Path = Path("runs"),
    command: str = "",
    progress: Progress = silent,
) -> Kept:
    """Probe features that files hold, one representation a file, all of the same rows in the same order.

    Labels, groups, ids and split are those of the first file; the others must agree where they have them. Where there
    are fit rows, a plain head is trained on them and stands beside the probe as the own head. A claim without a
    subject speaks of the first representation. Raises `InputError` for files that cannot be used or do not agree.
    """
    if not paths:
        raise InputError("No features were given; name at least one file.")
    names = _names(paths)
    first = _on_features(columns.read(paths[0]), paths[0])
    roles, origin = _roles(first, seed)
    views = [roles]
    for path in paths[1:]:
        other = _on_features(columns.read(path), path)
        _refuse_other_rows(first, other, paths[0], path)
        views.append(_roles(replace(first, rows=first.rows.with_inputs(other.rows.inputs)), seed)[0])
    representations = [
        Representation(name, (_without_fit(view),), _plain_head(view)) for name, view in zip(names, views, strict=True)
    ]
    question = _Question(
        name="-".join(names)[:80],
        data=f"{', '.join(path.name for path in paths)}: {first.described.replace(chr(10), '; ')}",
        identity={name: digest_file(path) for name, path in zip(names, paths, strict=True)},
        origins=(origin, *_about_heads(roles)),
        seen={},
    )
    return _kept(question, representations, roles, learn, claims, confidence, seed, out, command, progress)


@one_thread()
def probe_layers(
    model: str,
    data: Path,
    *,
    layers: Sequence[str] = (),
    columns: Columns = USUAL,
    learn: Learn = "choose",
    weights: Path | None = None,
    head: str | None = None,
    trust_code: bool = False,
    claims: Sequence[str] = (),
    confidence: float = 0.95,
    seed: int = 0,
    out: Path = Path("runs"),
    command: str = "",
    progress: Progress = silent,
) -> Kept:
    """Probe layers of a model on rows: dotted names, "all" for each of its own, none for what enters its head.

    The model's own head stands beside the probe of what enters it; other layers have a plain head of the fit rows,
    where there are any. Raises `InputError` when the model's record says that it has seen a judge row.
    """
    opened = open_model(model, trust_code=trust_code, weights=weights, head=head)
    rows = rows_for(opened, columns, data)
    reading = replace(columns.read(data, classes=rows.classes), rows=rows)
    roles, origin = _roles(reading, seed)
    seen = seen_of_model(model)
    if seen is not None:
        seen.refuse(roles["judge"], f"the model in {model}")
    network = opened.network
    wanted = layer_names(network) if list(layers) == ["all"] else tuple(dict.fromkeys(layers)) or (network.head,)
    views: dict[str, dict[Role, Rows]] = {name: {} for name in wanted}
    for role, part in roles.items():
        for name, embedded in embed_layers(network, opened.parameters, part, wanted).items():
            views[name][role] = embedded
    own = head_of(network, opened.parameters)
    representations = [
        Representation(
            name,
            (_without_fit(view),),
            (LinearHead(own.weight.detach(), own.bias.detach()),) if name == network.head else _plain_head(view),
        )
        for name, view in views.items()
    ]
    tensors = {name: digest_tensor(tensor) for name, tensor in sorted(opened.parameters.items())}
    known = "what it was trained on is unknown" if seen is None else "its record says that it has not seen judge rows"
    question = _Question(
        name=f"{Path(model.rpartition(':')[0] or model).stem}-{data.stem}",
        data=f"{', '.join(wanted)} of {model} on {data.name}: {reading.described.replace(chr(10), '; ')}",
        identity={
            "model": digest_json(tensors),
            "layers": list(wanted),
            "data": identity_digest(rows.ids, rows.sources),
        },
        origins=(
            origin,
            f"The model: {model}; {known}.",
            *_about_heads(roles),
            *(() if seen is None else seen.told(roles["judge"])),
        ),
        seen={} if seen is None else {"the model": seen.names_for(roles["judge"])},
    )
    return _kept(question, representations, roles, learn, claims, confidence, seed, out, command, progress)


def _kept(
    question: _Question,
    representations: Sequence[Representation],
    roles: Roles,
    learn: Learn,
    claims: Sequence[str],
    confidence: float,
    seed: int,
    out: Path,
    command: str,
    progress: Progress,
) -> Kept:
    """Probe, judge the claims, and keep the card."""
    began = time.perf_counter()
    claimed = [parse_claim(claim, representations[0].name, confidence) for claim in claims]
    judge = roles["judge"]
    asked = Asked(
        road="probe",
        name=question.name,
        data=question.data,
        settings={
            **question.identity,
            "learn": learn,
            "claims": list(claims),
            "confidence": confidence,
            "origins": list(question.origins),
        },
        seeds=(seed,),
        judge_digest=identity_digest(judge.ids, judge.sources),
        command=command,
        marks=marks_of_rows(judge),
    )
    probing = probe(representations, DFRSettings(learn=learn), seed=seed, confidence=confidence, progress=progress)
    for who, sources in {**question.seen, **probing.seen}.items():
        refuse_seen(judge, sources, who)
    labels = {each.name: each.name for each in representations}
    judged = judge_claims(claimed, (*probing.findings, *probing.differences), labels=labels)

    def make(record: Record) -> Card:
        return Card(
            title=f"Probe of {question.name}",
            question="What do the features hold: the class, the shortcut, or both?",
            verdict=verdict_of(judged),
            sentence=verdict_sentence(judged),
            chosen=None,
            claims=judged,
            subjects=_subjects(probing, representations),
            findings=probing.findings,
            differences=probing.differences,
            classes=judge.classes,
            groups=judge.groups.names,
            reliability={},
            confusion={},
            gallery={},
            roles=tuple(summary_of_role(role, rows) for role, rows in roles.items()),
            not_shown=(*question.origins, *LIMITS),
            record=record,
        )

    return keep(asked, out, {"probe": time.perf_counter() - began}, make)


LIMITS = (
    "A linear head on standardised features is what was measured; another kind of head may read more.",
    "What the network that made these features has seen is not checked beyond what its record says.",
    "One probe per representation: how much another training of the same network would differ is not measured.",
    "An attribute that the data does not name was not looked for.",
)


def _subjects(probing: Probing, representations: Sequence[Representation]) -> tuple[Subject, ...]:
    return tuple(
        Subject(each.name, each.name, notes=probing.notes[each.name], chosen=probing.chosen[each.name][:1])
        for each in representations
    )


def _names(paths: Sequence[Path]) -> tuple[str, ...]:
    """The files' stems, or their whole paths where stems repeat; blanks would end a claim's subject."""
    stems = [path.stem for path in paths]
    names = stems if len(set(stems)) == len(stems) else [str(path.with_suffix("")) for path in paths]
    return tuple("-".join(name.split()) for name in names)


def _on_features(reading: Reading, path: Path) -> Reading:
    """As float32 vectors; features that stay in their file are that already."""
    if isinstance(reading.rows.inputs, FileFeatures):
        return reading
    inputs = reading.rows.inputs[:]
    if inputs.ndim != 2 or not inputs.dtype.is_floating_point:
        raise InputError(
            f"{path} holds inputs of shape {tuple(inputs.shape)}; a probe reads features, one vector of numbers "
            "per row: extract them first, or give MODEL and DATA with --layers."
        )
    return replace(reading, rows=reading.rows.with_inputs(inputs.float()))


def _roles(reading: Reading, seed: int) -> tuple[Roles, str]:
    """The file's own split where it has one, else shares at random; choose and judge rows there must be."""
    if reading.split is None:
        roles = assign_roles(reading.rows, SHARES, seed)
        check_roles(roles)
        words = ", ".join(f"{share:.0%} {role}" for role, share in SHARES.items())
        return roles, f"Splits: made here, at random with seed {seed} ({words}); the file has none."
    roles = roles_from_split(reading.rows, reading.split, SPLIT_MEANING)
    values = ", ".join(sorted(set(reading.split)))
    for role in ("choose", "judge"):
        if role not in roles:
            raise InputError(
                f"The split of the file ({values}) has no {role} rows; a probe learns and chooses on choose (val) rows "
                "and is judged on judge (test) rows: give both, or leave the split out to have one made."
            )
    return roles, f"Splits: from the file ({values})."


def _refuse_other_rows(first: Reading, other: Reading, path: Path, other_path: Path) -> None:
    """Raise `InputError` unless two files speak of the same rows."""
    one, two = first.rows, other.rows
    if len(one) != len(two):
        raise InputError(
            f"{path} has {len(one)} rows and {other_path} {len(two)}; representations are compared on the same rows."
        )
    agrees = {
        "ids": bool((one.ids == two.ids).all()),
        "classes": one.classes == two.classes,
        "labels": torch.equal(one.targets, two.targets),
        "groups": one.groups.names == two.groups.names and torch.equal(one.groups.members, two.groups.members),
        "split": first.split == other.split,
    }
    for name, same in agrees.items():
        if not same:
            raise InputError(
                f"{path} and {other_path} have different {name}; representations are compared on the same rows in the "
                "same order."
            )


def _without_fit(roles: Roles) -> Roles:
    return {role: rows for role, rows in roles.items() if role != "fit"}


def _plain_head(roles: Roles) -> tuple[LinearHead, ...]:
    return (erm_head(roles["fit"]),) if "fit" in roles else ()


def _about_heads(roles: Roles) -> tuple[str, ...]:
    if "fit" not in roles:
        return ("Own heads: there are no fit rows to train a plain head on, so none stands beside the probe.",)
    return (f"Own heads: where none came with the features, softmax regression on the {len(roles['fit']):,} fit rows.",)
