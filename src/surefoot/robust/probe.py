"""The probe: what does a representation hold, whatever its head makes of it?

Two linear heads are retrained by DFR on draws balanced over class × attribute, and judged on rows nobody has seen:

- **core decodability**: the target is the class; the worst group's accuracy is what a new head could reach.
- **shortcut decodability**: the target is the attribute instead, over the same groups ("s-DFR").

Each is told as the worst group and as the plain mean of the groups' accuracies. Features that say nothing of the
target give a mean of 1/(number of values), whatever the shares of the groups; their worst group is then often 0, since
an empty head says the same of every row.

Beside them stands the worst group of the model's own head: where it is far below core decodability, the features are
sound and only the head is wrong. Equal core decodability of two training methods means that they differ in the head,
not in what they have learned; features are the same only if shortcut decodability agrees as well.

Several training seeds of one representation are probed one by one; intervals then count seeds and clusters of rows.
Two representations are compared in pairs, on the same judge rows and seeds.

Source: Izmailov, Kirichenko, Gruver and Wilson (2022), "On feature learning in the presence of spurious correlations",
section 3; the shortcut as target is `--predict_spurious` of their code. Departures are those of `surefoot.robust.dfr`;
and where there are several attributes, each has its own pair of probes, balanced over class × that attribute, because
draws cannot be balanced over groups that overlap.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from surefoot.errors import InputError
from surefoot.findings.compare import compare
from surefoot.findings.finding import Finding
from surefoot.findings.measure import measure
from surefoot.findings.predictions import Predictions, predictions_for
from surefoot.progress import Progress, silent
from surefoot.robust.attributes import Attribute, attributes_of, with_attribute
from surefoot.robust.dfr import DFRSettings, dfr
from surefoot.robust.head import LinearHead, logits_of
from surefoot.rows.roles import Role, Roles, refuse_seen
from surefoot.rows.rows import Rows

__all__ = ["Probing", "Representation", "probe", "target_attribute"]

LEARNED = DFRSettings(learn="choose")
WORST, MEAN = "worst_group_accuracy", "accuracy"


@dataclass(frozen=True)
class Representation:
    """One way of seeing the rows: a layer, a backbone, a training method.

    name: its subject in findings. runs: for each training seed the rows by role, inputs `[rows, features]`; choose
    and judge, and repair where the probe learns there. heads: the model's own head of each run, or none.
    """

    name: str
    runs: tuple[Roles, ...]
    heads: tuple[LinearHead, ...] = ()

    def __post_init__(self) -> None:
        if not self.runs:
            raise InputError(f'The representation "{self.name}" has no rows; give at least one run.')
        if self.heads and len(self.heads) != len(self.runs):
            raise InputError(
                f'The representation "{self.name}" has {len(self.heads)} heads for {len(self.runs)} runs; give one '
                "per run, or none."
            )


@dataclass(frozen=True)
class Probing:
    """What was measured on the judge rows.

    findings: per representation `core_decodability`, `shortcut_decodability` (worst groups) and both with `_mean`
    (every group weighs the same); and everything that `measure` says of its own head, where it has one. With several
    attributes the slice is "attribute <name>".
    differences: each representation minus the first; and "<name>, new head − <name>", what a new head gains over the
    own one. own: the predictions of the own heads. By name: seen, the sources that its probes used; notes; and
    chosen, the settings that won in each run.
    """

    findings: tuple[Finding, ...]
    differences: tuple[Finding, ...]
    attributes: tuple[str, ...]
    own: Mapping[str, Predictions]
    heads: Mapping[str, Mapping[tuple[str, str], tuple[LinearHead, ...]]]
    seen: Mapping[str, frozenset[str]]
    notes: Mapping[str, tuple[str, ...]]
    chosen: Mapping[str, tuple[Mapping[str, float], ...]]


@dataclass(frozen=True)
class _Decoded:
    """The probes of one representation by (what, attribute), and their predictions on the judge rows."""

    of: Mapping[tuple[str, str], Predictions]
    heads: Mapping[tuple[str, str], tuple[LinearHead, ...]]
    seen: frozenset[str]
    notes: tuple[str, ...]
    chosen: tuple[Mapping[str, float], ...]


def probe(
    representations: Sequence[Representation],
    settings: DFRSettings = LEARNED,
    *,
    seed: int = 0,
    confidence: float = 0.95,
    progress: Progress = silent,
) -> Probing:
    """Measure core and shortcut decodability of every representation, and how they differ from the first one's.

    settings: of both probes; `learn` is "choose" (tuned on halves of it) or "repair" (tuned on choose). Run r draws
    with seed + r. The attribute is read from the groups (`attributes_of`); rows where it is unknown are left out of
    its probes, and noted.

    Raises `InputError` when names repeat, when learn is "fit" (features of rows that the network was trained on say
    more than those of new ones), when a role is missing, when judge rows descend from rows that a probe learned or
    chose on, and for rows without groups or with groups that name no attribute.

    >>> from surefoot.rows.rows import cross_groups, make_rows
    >>> from surefoot.rows.worlds import gaussian_world
    >>> world = gaussian_world(core_mean=2.0, correlation=0.8, sizes={"choose": 400, "judge": 400})
    >>> core = {role: rows.with_inputs(rows.inputs[:, :1]) for role, rows in world.roles.items()}
    >>> probing = probe([Representation("both", (world.roles,)), Representation("core alone", (core,))])
    >>> for each in probing.findings:
    ...     if not each.name.endswith("mean"):
    ...         print(f"{each.subject}: {each.name} {each.value:.2f}")
    both: core_decodability 0.98
    both: shortcut_decodability 1.00
    core alone: core_decodability 0.98
    core alone: shortcut_decodability 0.00
    """
    names = [each.name for each in representations]
    if not names or len(set(names)) != len(names):
        raise InputError(f"The representations are called {names}; give at least one, each with a name of its own.")
    if settings.learn == "fit":
        raise InputError(
            'The probe was asked to learn on the fit rows, which the network has memorised; use learn="choose" or '
            '"repair", whose rows it has not seen.'
        )
    decoded: dict[str, _Decoded] = {}
    own: dict[str, Predictions] = {}
    for number, each in enumerate(representations):
        progress("probing", number, len(representations))
        decoded[each.name] = _decode(each, settings, seed)
        if each.heads:
            own[each.name] = _predicted([run["judge"] for run in each.runs], each.heads)
    progress("probing", len(representations), len(representations))
    attributes = tuple(dict.fromkeys(attribute for _, attribute in decoded[names[0]].of))
    findings: list[Finding] = []
    differences: list[Finding] = []
    for name in names:
        if name in own:
            findings += measure(own[name], subject=name, source="judge", confidence=confidence)
        for (what, attribute), of in decoded[name].of.items():
            measured = measure(of, subject=name, source="judge", proportions=_equal(of), confidence=confidence)
            findings += _renamed(measured, what, _slice(attribute, attributes))
        if name in own and len(attributes) == 1:
            differences += _kept(_difference(own, decoded, name, confidence))
    for name in names[1:]:
        differences += _from_first(names[0], name, own, decoded, attributes, confidence)
    return Probing(
        findings=tuple(findings),
        differences=tuple(differences),
        attributes=attributes,
        own=own,
        heads={name: of.heads for name, of in decoded.items()},
        seen={name: of.seen for name, of in decoded.items()},
        notes={name: of.notes for name, of in decoded.items()},
        chosen={name: of.chosen for name, of in decoded.items()},
    )


def target_attribute(rows: Rows, attribute: Attribute) -> Rows:
    """The rows with the attribute as target, groups kept; rows whose value is unknown are left out.

    >>> from surefoot.rows.worlds import gaussian_world
    >>> rows = gaussian_world(sizes={"judge": 4}).roles["judge"]
    >>> target_attribute(rows, attributes_of(rows)[0]).classes
    ('shortcut negative', 'shortcut positive')
    """
    known = (attribute.numbers >= 0).nonzero().squeeze(1)
    taken = rows.take(known)
    return replace(taken, targets=attribute.numbers[known], classes=attribute.values)


def _decode(representation: Representation, settings: DFRSettings, seed: int) -> _Decoded:
    """Both probes for every attribute and run."""
    needed: tuple[Role, ...] = ("choose",) if settings.learn == "choose" else ("repair", "choose")
    heads: dict[tuple[str, str], list[LinearHead]] = {}
    judged: dict[tuple[str, str], list[Rows]] = {}
    chosen: list[Mapping[str, float]] = []
    notes: dict[str, None] = {}
    seen: frozenset[str] = frozenset()
    for number, run in enumerate(representation.runs):
        for role in (*needed, "judge"):
            if role not in run:
                given = ", ".join(run) or "none"
                raise InputError(
                    f'The probe of "{representation.name}" needs {role} rows, but the roles given are: {given}.'
                )
        per_role: dict[Role, tuple[Attribute, ...]] = {role: attributes_of(run[role]) for role in (*needed, "judge")}
        for place, attribute in enumerate(per_role["judge"]):
            _refuse_other_attributes(representation.name, per_role, place)
            views: dict[str, dict[Role, Rows]] = {"core": {}, "shortcut": {}}
            for role in (*needed, "judge"):
                of_role = per_role[role][place]
                grouped = _known(with_attribute(run[role], of_role), of_role, role, notes)
                views["core"][role] = grouped
                views["shortcut"][role] = target_attribute(grouped, attributes_of(grouped)[0])
            settled: dict[str, float] = {}
            for what, roles in views.items():
                judge = roles.pop("judge")
                repaired = dfr(roles, settings, seed + number)
                refuse_seen(judge, repaired.seen, f'the probe of "{representation.name}"')
                seen |= repaired.seen
                heads.setdefault((what, attribute.name), []).append(repaired.head)
                judged.setdefault((what, attribute.name), []).append(judge)
                settled |= {f"{what} {key}": value for key, value in repaired.chosen.items()}
                notes |= dict.fromkeys(repaired.notes)
            chosen.append(settled)
    of = {key: _predicted(judged[key], heads[key]) for key in heads}
    kept = {key: tuple(each) for key, each in heads.items()}
    return _Decoded(of, kept, seen, tuple(notes), tuple(chosen))


def _known(rows: Rows, attribute: Attribute, role: str, notes: dict[str, None]) -> Rows:
    """The rows whose attribute is known; says how many are not."""
    known = attribute.numbers >= 0
    if bool(known.all()):
        return rows
    unknown = int((~known).sum())
    notes[f"{unknown} of {len(rows)} {role} rows have no known {attribute.name}; its probes leave them out."] = None
    return rows.take(known)


def _predicted(judged: Sequence[Rows], heads: Sequence[LinearHead]) -> Predictions:
    """What the heads say of the judge rows, one layer per run; every run must have the same rows."""
    first = judged[0]
    for number, rows in enumerate(judged[1:], start=1):
        if len(rows) != len(first) or (rows.ids != first.ids).any():
            raise InputError(
                f"Run {number} has other judge rows than run 0; give every training seed the same judge rows in the "
                "same order."
            )
    said: list[Tensor] = []
    for rows, head in zip(judged, heads, strict=True):
        with torch.no_grad():
            said.append(logits_of(head, rows.inputs).softmax(dim=1))
    return predictions_for(first, torch.stack(said))


def _refuse_other_attributes(name: str, per_role: Mapping[Role, Sequence[Attribute]], place: int) -> None:
    wanted = per_role["judge"][place]
    for role, of_role in per_role.items():
        found = of_role[place] if place < len(of_role) else None
        if found is None or (found.name, found.values) != (wanted.name, wanted.values):
            raise InputError(
                f'The probe of "{name}" got judge rows with the attribute {wanted.name} ({", ".join(wanted.values)}), '
                f"but {role} rows without it or with other values; give every role the same groups."
            )


def _slice(attribute: str, attributes: Sequence[str]) -> str:
    return "all" if len(attributes) == 1 else f"attribute {attribute}"


def _renamed(measured: Sequence[Finding], what: str, part: str) -> list[Finding]:
    """The worst group and the mean among the findings of a probe, under the probe's names."""
    kept: list[Finding] = []
    for each in measured:
        if each.name == WORST:
            of = part if each.slice == "all" else each.slice if part == "all" else f"{part}, {each.slice}"
            kept.append(replace(each, name=f"{what}_decodability", slice=of))
        elif each.name == "weighted_accuracy":
            kept.append(replace(each, name=f"{what}_decodability_mean", slice=part))
    return kept


def _equal(of: Predictions) -> dict[str, float]:
    """The same share for every group that has judge rows."""
    present = (of.groups.counts() > 0).tolist()
    return {name: has / sum(present) for name, has in zip(of.groups.names, present, strict=True)}


def _kept(measured: Sequence[Finding]) -> list[Finding]:
    """The worst group and the mean among differences."""
    return [each for each in measured if each.name == WORST or (each.name == MEAN and each.slice == "all")]


def _difference(
    own: Mapping[str, Predictions], decoded: Mapping[str, _Decoded], name: str, confidence: float
) -> tuple[Finding, ...]:
    """What a new head gains over the own one, paired. Only where the probe judges every row (no unknown attribute)."""
    new = next(of for (what, _), of in decoded[name].of.items() if what == "core")
    if len(new.ids) != len(own[name].ids):
        return ()
    before = replace(own[name], groups=new.groups)
    return compare(before, new, before_name=name, after_name=f"{name}, new head", source="judge", confidence=confidence)


def _from_first(
    first: str,
    name: str,
    own: Mapping[str, Predictions],
    decoded: Mapping[str, _Decoded],
    attributes: Sequence[str],
    confidence: float,
) -> list[Finding]:
    """Everything of `name` minus the same of `first`, paired."""
    differences: list[Finding] = []
    if first in own and name in own:
        differences += _kept(
            compare(own[first], own[name], before_name=first, after_name=name, source="judge", confidence=confidence)
        )
    if decoded[first].of.keys() != decoded[name].of.keys():
        raise InputError(
            f'"{first}" and "{name}" have different attributes; probe representations of the same rows together.'
        )
    for (what, attribute), after in decoded[name].of.items():
        before = decoded[first].of[what, attribute]
        paired = compare(
            before,
            after,
            before_name=first,
            after_name=name,
            source="judge",
            proportions=_equal(after),
            confidence=confidence,
        )
        differences += _renamed(paired, what, _slice(attribute, attributes))
    return differences
