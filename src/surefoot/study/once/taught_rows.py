"""Which rows a student is taught, and which rows judge it, from data and somebody's labels of it.

    no truth            a fifth of the labelled rows is held out; there is agreement to measure, and nothing else
    truth of all        a fifth of the labelled rows judges, with its truth; the others' truth makes the ceiling
    truth of some       they judge; all of them where they are at most half of the labelled rows, else a fifth
    a split in the file its test rows judge, all others with labels are taught

A row that the supervisor saw is neither: with a label it is refused, without one it stays out, as its relatives do.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from surefoot.card.words import show_count
from surefoot.errors import InputError
from surefoot.findings.names import written_alike
from surefoot.memory import require_memory
from surefoot.rows.assign import check_roles, families, roles_from_split
from surefoot.rows.encoding import Encoder
from surefoot.rows.parting import draw_roles, encode_roles
from surefoot.rows.reading import SPLIT_MEANING, UNLABELLED, Reading
from surefoot.rows.roles import Role, Roles
from surefoot.rows.rows import Groups, Rows, rooted
from surefoot.rows.texts import Texts
from surefoot.study.once.opinions import Opinions, unknown_classes
from surefoot.supervise.labels import WeakLabels, weak_labels

__all__ = ["SHARES", "Taught", "supervised", "taught_rows", "used_classes"]

SHARES: Mapping[Role, float] = {"fit": 0.8, "judge": 0.2}
"""How rows are shared out where the file has no split."""
FEW = 0.5
"""Of the labelled rows; so many with truth, or fewer, all judge."""


@dataclass(frozen=True)
class Taught:
    """What a student is taught, and what judges it.

    truth: the student's rows with their true labels; None where one of them has none. judge: rows that neither saw;
    their targets mean nothing unless `measured`. said: the weak labels of judge rows; None where there are none.
    notes: what a reader must know of where rows came from. without_truth: of the student's rows.
    """

    labels: WeakLabels
    truth: Rows | None
    without_truth: int
    judge: Rows
    measured: bool
    said: Float[Tensor, "rows classes"] | None
    encoder: Encoder | None
    notes: tuple[str, ...]


def taught_rows(reading: Reading, opinions: Opinions, seen: frozenset[str], seed: int) -> Taught:
    """Part the rows of a file by what is known of them; see the module's text.

    reading: read with `partly`. seen: names of rows that the supervisor was trained on.

    Raises `InputError` for classes that the weak labels do not know, a supervisor that labels or judges rows it saw,
    and where nobody is left to be taught or to judge.
    """
    line = opinions.of(reading.rows)
    rows, known = _with_classes(reading.rows, opinions)
    labelled = line >= 0
    own, direct = supervised(rows, seen)
    if bool((own & labelled).any()):
        raise InputError(
            f"The supervisor was trained on {int((own & labelled).sum()):,} of the rows that it labels (first: "
            f"{rows.ids[(own & labelled).numpy()][0]}), whose answers it knows; leave their labels out of "
            f"{opinions.name}."
        )
    # Weights are all one here: they carry each row's place through what follows, and are put back.
    placed = rows.with_targets(torch.where(known, rows.targets, 0))
    placed = replace(placed, weights=torch.arange(len(rows), dtype=torch.float64))
    given = replace(reading, rows=placed)
    split = reading.split is not None
    roles, notes, drawn = _by_split(given, labelled, known, own) if split else _drawn(given, labelled, known, own, seed)
    encoder, alike = None, tuple[str, ...]()
    if reading.coded is not None:
        roles, encoder, alike = encode_roles(roles, reading.coded, drawn)
    else:
        inputs: Roles = {
            role: part if isinstance(part.inputs, Texts) else part.with_inputs(_numbers(part))
            for role, part in roles.items()
        }
        roles = inputs
        check_roles(roles, drawn)
    places = {role: part.weights.to(torch.int64) for role, part in roles.items()}
    parts = {role: replace(part, weights=torch.ones(len(part))) for role, part in roles.items()}
    judge, at = parts["judge"], line[places["judge"]]
    said = opinions.probabilities[at] if bool((at >= 0).all()) else None
    taught, at = parts["fit"], line[places["fit"]]
    without = int((~known[places["fit"]]).sum())
    names = frozenset(rows.take(own).origins()) if bool(own.any()) else frozenset[str]()
    away = frozenset(name for name in seen if name not in direct and not name.removeprefix("row:").isdecimal())
    labels = weak_labels(taught, opinions.probabilities[at].float(), seen=names | away, by=opinions.name)
    out = int(own.sum())
    told = f"{show_count(out, 'row')} that the supervisor was trained on, or a relative of one, took no part."
    return Taught(
        labels=labels,
        truth=None if without else taught,
        without_truth=without,
        judge=judge,
        measured=bool(known[places["judge"]].all()),
        said=said,
        encoder=encoder,
        notes=(*notes, *((told,) if out else ()), *alike),
    )


def used_classes(rows: Rows) -> tuple[str, ...]:
    """The classes that some row's true label is of."""
    if rows.targets.ndim != 1:
        return tuple(rows.classes)
    counts = rows.targets.bincount(minlength=len(rows.classes)).tolist()
    return tuple(name for name, count in zip(rows.classes, counts, strict=True) if count and name != UNLABELLED)


def _with_classes(rows: Rows, opinions: Opinions) -> tuple[Rows, Bool[Tensor, "rows"]]:
    """The rows with the classes of their weak labels, and which of them have a true label."""
    if rows.targets.ndim != 1:
        raise InputError(
            "The true labels are class probabilities, and a student is judged by classes; give one class a row, or "
            "leave the target out."
        )
    names = [name for name in rows.classes if name != UNLABELLED]
    alike = dict(zip(names, written_alike(opinions.classes, names, "the data")[0], strict=True)) if names else {}
    used = used_classes(rows)
    strange = [name for name in used if alike[name] not in opinions.classes]
    if strange:
        raise unknown_classes(strange, opinions.classes, opinions.name)
    place = torch.tensor(
        [opinions.classes.index(alike[name]) if name in used else -1 for name in rows.classes], dtype=torch.int64
    )
    kept = [at for at, name in enumerate(rows.groups.names) if not name.startswith(f"{UNLABELLED}, ")]
    groups = Groups(tuple(rows.groups.names[at] for at in kept), rows.groups.members[:, kept])
    targets = place[rows.targets]
    return replace(rows, targets=targets, classes=opinions.classes, groups=groups), targets >= 0


def supervised(rows: Rows, seen: frozenset[str]) -> tuple[Bool[Tensor, "rows"], frozenset[str]]:
    """Rows that are named in `seen`, or are relatives of one that is; and the names that were found."""
    if not seen:
        return torch.zeros(len(rows), dtype=torch.bool), frozenset()
    names = np.concatenate([rows.ids[:, None], rooted(rows.ids, rows.sources)], axis=1).astype(np.str_)
    counted = np.char.replace(rows.ids.astype(np.str_), "row:", "")
    by_place = np.char.startswith(rows.ids.astype(np.str_), "row:")
    listed_names = np.array(sorted(seen), dtype=np.str_)
    named = np.isin(names, listed_names)
    direct = named.any(axis=1) | (by_place & np.isin(counted, listed_names))
    found = {*names[named].tolist(), *counted[by_place & np.isin(counted, listed_names)].tolist()}
    if not direct.any():
        return torch.zeros(len(rows), dtype=torch.bool), frozenset()
    family = families(rows)
    return torch.isin(family, family[torch.from_numpy(direct)]), frozenset(map(str, found))


def _by_split(
    reading: Reading,
    labelled: Bool[Tensor, "rows"],
    known: Bool[Tensor, "rows"],
    own: Bool[Tensor, "rows"],
) -> tuple[Roles, tuple[str, ...], frozenset[Role]]:
    """The file's test rows judge, all its other rows with labels are taught."""
    assert reading.split is not None
    strange = sorted(set(reading.split) - set(SPLIT_MEANING))
    if strange:
        raise InputError(
            f"The split {strange[0]!r} has no role (known are {', '.join(SPLIT_MEANING)}); rename it, or leave its "
            "rows out."
        )
    test = torch.tensor([SPLIT_MEANING[value] == "judge" for value in reading.split])
    if bool((test & own).any()):
        raise InputError(
            f"The supervisor was trained on {int((test & own).sum()):,} of the test rows (first: "
            f"{reading.rows.ids[(test & own).numpy()][0]}); judge on rows that it has not seen."
        )
    values = ", ".join(sorted(set(reading.split)))
    if not bool(test.any()):
        raise InputError(
            f"The split of the file ({values}) has no test rows, and a student is judged on rows that it has not seen; "
            "give some, or leave the split out to have one made."
        )
    judge, told = _judging(test, labelled, known)
    used = judge | (labelled & ~test)
    if not bool((labelled & ~test).any()):
        raise InputError("No row outside the test split has a weak label, so there is nobody to teach; label some.")
    meaning: Mapping[str, Role] = {name: "judge" if role == "judge" else "fit" for name, role in SPLIT_MEANING.items()}
    split = [value for value, taken in zip(reading.split, used.tolist(), strict=True) if taken]
    roles = roles_from_split(reading.rows.take(used), split, meaning)
    left = int((~used & ~own & ~test).sum())
    unused = (f"{show_count(left, 'row')} without a weak label took no part.",) if left else ()
    return roles, (f"Splits: from the file ({values}); its test rows judge.", *told, *unused), frozenset()


def _judging(
    test: Bool[Tensor, "rows"], labelled: Bool[Tensor, "rows"], known: Bool[Tensor, "rows"]
) -> tuple[Bool[Tensor, "rows"], tuple[str, ...]]:
    """Those of the test rows that can judge: with truth where there is any, with weak labels where there are any."""
    judge, told = test, list[str]()
    for having, what in ((known, "true"), (labelled, "weak")):
        if bool((judge & having).any()):
            left = int((judge & ~having).sum())
            told += [f"{show_count(left, 'test row')} without a {what} label did not judge."] if left else []
            judge = judge & having
    if not bool((judge & (known | labelled)).any()):
        raise InputError(
            "No test row has a true label or a weak one, so there is nothing to hold a student against; label some."
        )
    return judge, tuple(told)


def _drawn(
    reading: Reading,
    labelled: Bool[Tensor, "rows"],
    known: Bool[Tensor, "rows"],
    own: Bool[Tensor, "rows"],
    seed: int,
) -> tuple[Roles, tuple[str, ...], frozenset[Role]]:
    """Rows shared out here: at random, or by who has a true label."""
    rows, both, drawn = reading.rows, labelled & known, frozenset[Role](("fit", "judge"))
    some = bool(known.any()) and not bool(known[labelled].all())
    if not some or int(both.sum()) > FEW * int(labelled.sum()):
        among = both if some else labelled
        roles = draw_roles(rows.take(among), reading.coded, SHARES, seed)
        shares = ", ".join(f"{share:.0%} {role}" for role, share in SHARES.items())
        of = "rows with both labels" if some else "labelled rows"
        told = f"Splits: made here, at random with seed {seed}, of {int(among.sum()):,} {of} ({shares})."
        judging = torch.zeros(len(rows), dtype=torch.bool)
        judging[roles["judge"].weights.to(torch.int64)] = True
    else:
        can = known & ~own
        judging, _ = _judging(can, labelled, known) if bool(both.any()) else (can, ())
        if not bool(judging.any()):
            raise InputError("The supervisor was trained on every row with a true label; judge on others.")
        told = f"Splits: the {show_count(int(judging.sum()), 'row')} with a true label judge, the others are taught."
    family = families(rows)
    near = torch.isin(family, family[judging])
    taught = labelled & ~near
    if not bool(taught.any()):
        raise InputError("No row with a weak label is left beside those that judge, so there is nobody to teach.")
    roles: Roles = {"fit": rows.take(taught), "judge": rows.take(judging)}
    left = int((labelled & near & ~judging).sum())
    unused = int((~labelled & ~judging & ~own).sum())
    notes = (
        told,
        *((f"{show_count(left, 'labelled row')} related to a judge row took no part.",) if left else ()),
        *((f"{show_count(unused, 'row')} without a weak label took no part.",) if unused else ()),
    )
    return roles, notes, drawn


def _numbers(rows: Rows) -> Tensor:
    """Inputs that networks read: floating-point numbers, in memory."""
    first = rows.inputs[:1]
    require_memory(4 * len(rows) * int(first.numel()), "The inputs")
    return rows.inputs[:].float()
