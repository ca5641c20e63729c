"""Repair from a file of features: roles, a base head, its repairs, a choice, one judgement.

    kept = repair_features(Path("features.npz"), claims=["worst_group_accuracy >= 0.8"])
    print(kept.origins)      # where the splits and the base head came from

The chosen head is left as a model that reads features: `look` and `predict` open it like any other.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from surefoot.card.assemble import assemble_card
from surefoot.card.card import Card, Record, Subject
from surefoot.errors import InputError
from surefoot.files import digest_file, digest_json, digest_tensor
from surefoot.findings.predictions import predictions_for
from surefoot.memory import human_bytes
from surefoot.networks.network import head_of
from surefoot.networks.weights import ModelRecord, open_model, save_model
from surefoot.progress import Progress, silent
from surefoot.robust.balanced import erm_head
from surefoot.robust.class_order import doubt_order
from surefoot.robust.contest import group_shares
from surefoot.robust.head import LinearHead, Repaired, logits_of
from surefoot.robust.method import Method, learn_role
from surefoot.robust.methods import method_of
from surefoot.robust.protocol import score
from surefoot.rows.copies import about_repeats
from surefoot.rows.digest import identity_digest
from surefoot.rows.encoding import Encoder
from surefoot.rows.parting import encode_roles
from surefoot.rows.reading import Reading
from surefoot.rows.roles import ROLES, Role, Roles
from surefoot.rows.rows import Rows
from surefoot.rows.streamed import FileFeatures
from surefoot.study.numerics import one_thread
from surefoot.study.once.behind import Behind
from surefoot.study.once.claim_text import parse_claim
from surefoot.study.once.columns import USUAL, Columns
from surefoot.study.once.keep import Asked, keep
from surefoot.study.once.marks import marks_of_rows
from surefoot.study.once.measure import summary_of_role
from surefoot.study.once.parted import give_roles, on_features, refuse_unlearnable
from surefoot.study.once.posteriors import digests_of
from surefoot.study.once.predict import encoder_of
from surefoot.study.seen import Seen, inputs_of, seen_of_model
from surefoot.study.stored import COLUMNS, GROUPS, save_seen

__all__ = ["KeptRepair", "refuse_unknown_methods", "repair_features"]

BASE = "base"
OWN_LAYER = "the model's own last layer"
UNKNOWN_NETWORK = (
    "What the network that made these features has seen is unknown: it may have been trained on the rows judged here."
)

USUAL_METHODS = ("class_balanced", "afr", "dfr", "dfr_choose")
"""The repairs that are tried where none are named; without groups, those of them that need none."""
STREAMED = ("dfr", "dfr_choose")
"""Of them, those that need only what they draw in memory; the others need all of a role."""


@dataclass(frozen=True)
class KeptRepair:
    """A finished card, the folder that holds it and the chosen head, and where splits and base head came from.

    warnings: what a reader must know before all else; the card's limits begin with them.
    """

    card: Card
    folder: Path
    head: LinearHead
    origins: tuple[str, ...]
    warnings: tuple[str, ...] = ()


class _Repair(NamedTuple):
    """A repaired head, its label for readers, and the role that it learned on."""

    label: str
    learned_on: Role
    repaired: Repaired


class _Base(NamedTuple):
    """The head to repair, in words where it comes from, what it is known to have seen, and how that was compared."""

    head: LinearHead
    origin: str
    seen: Seen
    told: tuple[str, ...] = ()


@one_thread()
def repair_features(
    path: Path,
    *,
    columns: Columns = USUAL,
    head: str | None = None,
    methods: Sequence[str] | None = None,
    claims: Sequence[str] = (),
    confidence: float = 0.95,
    seed: int = 0,
    out: Path = Path("runs"),
    command: str = "",
    behind: Behind | None = None,
    progress: Progress = silent,
) -> KeptRepair:
    """Repair the last layer on features that a file holds, and judge the best repair once.

    Of a table, columns of numbers and words become features by an encoder that sees the fit rows alone; it lies in
    the record of the model that is left, so that `predict` and `look` read another table in the same way.
    methods: names of `surefoot.robust.methods`; by default class balancing, AFR and, with groups, DFR in both ways.
    Without groups "worst" means the worst class; the card says so.
    head: a saved model whose last layer reads these features; without it a plain head is trained on the fit rows.
    behind: the model and the data that the features were taken from, for the words and pictures of the card.
    Raises `InputError` for features that cannot be used and for a head that has seen judge rows, before these are
    looked at.
    """
    began = time.perf_counter()
    claims_made = [parse_claim(claim, "chosen", confidence) for claim in claims]
    encoder = None if head is None else encoder_of(open_model(head))
    reading = columns.read(path, coded=head is None, encoder=encoder)
    parted = give_roles(on_features(reading, path, own_head=head is None), seed)
    if head is None:
        refuse_unlearnable(parted.roles)
    roles, alike = parted.roles, ()
    if reading.coded is not None:
        roles, encoder, alike = encode_roles(roles, reading.coded, parted.drawn)
    wanted = _wanted(methods, roles)
    base, base_origin, base_seen, compared = _base_head(roles, head, behind)
    warnings = (*_doubts(roles, base, head), *(() if behind is None else behind.warnings))
    origins = (
        parted.origin, base_origin, *(() if behind is None else behind.notes), *_about_groups(roles),
        *_about_streaming(roles, methods), *_about_columns(reading, encoder, columns), *alike,
    )  # fmt: skip
    repairs = _repairs(roles, base, wanted, seed, progress)
    chosen = _choice(roles["choose"], base, repairs)
    # What is judged is what is left behind: heads in single precision.
    heads = {
        BASE: _single(base),
        **{name: _single(made.repaired.head) for name, made in repairs.items()},
    }
    # Fit rows count as seen by a model that was given, too: nobody can say that it was not trained on them.
    learned = [rows.origins() for role, rows in roles.items() if role != "judge"]
    everyone = base_seen.names_for(roles["judge"]).union(*learned)
    seen = {BASE: everyone, **{name: everyone | made.repaired.seen for name, made in repairs.items()}}
    subjects = [Subject(BASE, "base head", notes=(base_origin,))] + [
        Subject(name, label, before=BASE, notes=repaired.notes, chosen=(repaired.chosen,))
        for name, (label, _, repaired) in repairs.items()
    ]
    judge = roles["judge"]
    asked = Asked(
        road="repair",
        name=path.stem if behind is None else behind.title,
        data=f"{path.name}: {reading.described.replace(chr(10), '; ')}" if behind is None else behind.data,
        settings={
            "features": digest_file(path),
            "head": [digest_tensor(base.weight), digest_tensor(base.bias)],
            "left": digest_json(digests_of(_tensors(heads[chosen]))),
            "claims": list(claims),
            "confidence": confidence,
            "origins": list(origins),
            **({} if methods is None else {"methods": [method.name for method in wanted]}),
        },
        seeds=(seed,),
        judge_digest=identity_digest(judge.ids, judge.sources),
        command=command,
        marks=marks_of_rows(judge),
    )
    times = {"repair": time.perf_counter() - began}

    def make(record: Record) -> Card:
        return assemble_card(
            title=f"Repair of {path.stem if behind is None else behind.title}",
            question="Does a retrained last layer lift the worst group?",
            predictions={
                name: predictions_for(judge, logits_of(each, judge.inputs).softmax(dim=1)[None])
                for name, each in heads.items()
            },
            subjects=subjects,
            claims=claims_made,
            roles_summary=[summary_of_role(role, rows) for role, rows in roles.items()],
            proportions=group_shares(roles["fit"], judge),
            chosen=chosen,
            seen=seen,
            images=None if behind is None else behind.pictures_of(judge),
            record=record,
            not_shown=(
                *warnings,
                *origins,
                *compared,
                *about_repeats(judge),
                *((UNKNOWN_NETWORK,) if behind is None else ()),
                "Only the last layer was repaired; what the features do not hold, no head can find.",
                "One seed: how much another would differ is not measured.",
            ),
            confidence=confidence,
        )

    kept = keep(asked, out, times, make)
    inputs = inputs_of((rows for role, rows in roles.items() if role != "judge"), seen[chosen])
    left = Seen(seen[chosen], base_seen.inputs if inputs is None else inputs.joined(base_seen.inputs))
    _leave_model(kept.folder / "model", heads[chosen], roles, chosen, seed, left, encoder)
    return KeptRepair(kept.card, kept.folder, heads[chosen], origins, warnings)


def refuse_unknown_methods(names: Sequence[str]) -> None:
    """Raise `InputError` unless these are names of repairs, at least one and each once."""
    for name in names:
        method_of(name)
    if not names or len(set(names)) != len(names):
        raise InputError(f"methods are {', '.join(names) or 'none'}; give at least one, and each once.")


def _single(head: LinearHead) -> LinearHead:
    return LinearHead(head.weight.float(), head.bias.float())


def _tensors(head: LinearHead) -> dict[str, torch.Tensor]:
    """Of the model that is left behind, by their names in its file."""
    return {f"{HEAD}.weight": head.weight, f"{HEAD}.bias": head.bias}


def _doubts(roles: Roles, base: LinearHead, head: str | None) -> tuple[str, ...]:
    """Whether a head that was given speaks of the classes in another order; no judge row is asked."""
    asked: list[Role] = [role for role in ROLES if role != "judge" and role in roles]
    if head is None or any(roles[role].targets.ndim > 1 for role in asked):
        return ()
    logits = torch.cat([logits_of(base, roles[role].inputs) for role in asked])
    targets = torch.cat([roles[role].targets for role in asked])
    told = doubt_order(logits, targets, f"{', '.join(asked[:-1])} and {asked[-1]} rows")
    return () if told is None else (told,)


def _base_head(roles: Roles, head: str | None, behind: Behind | None) -> _Base:
    if head is None:
        words = f"Base head: trained here on the {len(roles['fit']):,} fit rows (softmax regression)."
        return _Base(erm_head(roles["fit"]), words, Seen(roles["fit"].origins()))
    opened = open_model(head)
    own = head_of(opened.network, opened.parameters)
    seen, told = seen_of_model(head), ()
    checked = "what it has seen is unknown"
    if seen is not None:
        seen.refuse(roles["judge"], f"the model in {head if behind is None else behind.model}")
        checked, told = "its record says that it has not seen the judge rows", seen.told(roles["judge"])
    words = f"Base head: {f'the last layer of {head}' if behind is None else OWN_LAYER}; {checked}."
    return _Base(LinearHead(own.weight, own.bias), words, seen or Seen(frozenset()), told)


def _about_streaming(roles: Roles, methods: Sequence[str] | None) -> tuple[str, ...]:
    """That features stayed in their file, and what was not tried for it."""
    inputs = roles["repair"].inputs
    if not isinstance(inputs, FileFeatures):
        return ()
    told = "The features are many and were read block by block."
    if methods is None and roles["choose"].groups.names:
        needed = human_bytes(8 * len(inputs) * inputs.width)
        told += (
            f" AFR, which goes over them many times, and class balancing, which needs {needed} for the repair rows "
            "at once, were not tried; --methods can."
        )
    return (told,)


def _about_groups(roles: Roles) -> tuple[str, ...]:
    if roles["choose"].groups.names:
        return ()
    return (
        "Groups: none were named, so DFR was not tried, and “worst group” in choosing means the worst class; --groups "
        "names the columns that make them.",
    )


def _about_columns(reading: Reading, encoder: Encoder | None, columns: Columns) -> tuple[str, ...]:
    """How each column of a table became features, and which name groups and did not."""
    if encoder is None:
        return ()
    parts = [part.strip() for name in columns.groups for part in name.split("*")]
    apart = [name for name in dict.fromkeys(parts) if name not in encoder.names]
    told = (f"Columns that name groups are no features: {', '.join(apart)}; --features can name them.",)
    return (*encoder.described, *(told if apart and reading.coded is not None else ()))


def _wanted(names: Sequence[str] | None, roles: Roles) -> list[Method[Any]]:
    """The repairs to try; raises `InputError` for a name that is none, and for one that needs groups there are not."""
    grouped = bool(roles["choose"].groups.names)
    if names is None:
        usual = STREAMED if grouped and isinstance(roles["repair"].inputs, FileFeatures) else USUAL_METHODS
        return [method for method in map(method_of, usual) if grouped or not method.needs_groups]
    refuse_unknown_methods(names)
    wanted = [method_of(name) for name in names]
    for method in wanted:
        if method.needs_groups and not grouped:
            raise InputError(
                f"The repair {method.name!r} fits with groups, and the rows have none; name columns with --groups."
            )
    return wanted


def _repairs(
    roles: Roles, base: LinearHead, wanted: Sequence[Method[Any]], seed: int, progress: Progress
) -> dict[str, _Repair]:
    """Every repair that is wanted, by the name of its subject."""
    given: Roles = {role: rows for role, rows in roles.items() if role != "judge"}
    selection = "groups" if roles["choose"].groups.names else "classes"
    made: dict[str, _Repair] = {}
    progress("repairing", 0, len(wanted))
    for number, method in enumerate(wanted):
        settings = method.usual(selection)
        repaired = method.run(given, base, settings, seed)
        made[f"{BASE}+{method.name}"] = _Repair(method.label(settings), learn_role(settings), repaired)
        progress("repairing", number + 1, len(wanted))
    return made


def _choice(choose: Rows, base: LinearHead, repairs: Mapping[str, _Repair]) -> str:
    """The subject with the best worst group on the choose rows; of equals the first.

    A head that learned on the choose rows is scored by the trial that won, whose rows were held out from its fit.
    """
    scores = {BASE: score(base, choose).worst_group_accuracy}
    for name, (_, learned_on, repaired) in repairs.items():
        if learned_on == "choose":
            scores[name] = max(trial.worst_group_accuracy for trial in repaired.trials)
        else:
            scores[name] = score(repaired.head, choose).worst_group_accuracy
    return max(scores, key=lambda name: scores[name])


def _leave_model(
    folder: Path,
    head: LinearHead,
    roles: Roles,
    chosen: str,
    seed: int,
    seen: Seen,
    encoder: Encoder | None,
) -> None:
    """The chosen head as a model that reads features, with the columns they are made of, and what it has seen."""
    width, classes = head.weight.shape[1], roles["judge"].classes
    spec = {"linear": {"inputs": width, "classes": len(classes)}}
    counts = sum(rows.groups.counts() for rows in roles.values())
    groups = [name for name, count in zip(roles["judge"].groups.names, torch.as_tensor(counts), strict=True) if count]
    provenance: dict[str, Any] = {"chosen": chosen, "seed": seed, GROUPS: groups}
    if encoder is not None:
        provenance[COLUMNS] = encoder.to_json()
    record = ModelRecord(spec, HEAD, classes, (width,), provenance)
    save_model(folder, _tensors(head), record)
    save_seen(seen.names, folder, seen.inputs)


HEAD = "head"
"""The name of a linear network's layer."""
