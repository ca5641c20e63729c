"""From finished cells to a card and to models that can be used: the end of a study's road."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any

import torch

from surefoot.bayes.kept import is_kept
from surefoot.card.assemble import assemble_card
from surefoot.card.card import Card, Record, RoleSummary, Subject
from surefoot.card.ledger import Used
from surefoot.files import digest_json, read_json, read_tensors
from surefoot.findings.finding import Finding, finding_from_json
from surefoot.findings.predictions import Predictions, predictions_for
from surefoot.networks.network import with_head
from surefoot.networks.weights import RECORD, ModelRecord, load_model, save_model
from surefoot.rows.copies import about_repeats
from surefoot.rows.rows import Inputs, Rows
from surefoot.study.computed import about_times, candidates_of, with_costs
from surefoot.study.graph import Graph
from surefoot.study.once.opening import BODY
from surefoot.study.plan import claims_of
from surefoot.study.seconds import training_seconds
from surefoot.study.seen import SeenInputs, inputs_of, load_seen_inputs
from surefoot.study.shape import Study
from surefoot.study.store import Store
from surefoot.study.stored import COLUMNS, GROUPS, load_head, load_rows, load_seen, save_seen
from surefoot.study.taught.judging import beside, of_students

__all__ = ["Judging", "judge_digest", "make_card", "training_proportions", "write_models"]

CELL_ALONE = shutil.ignore_patterns("repaired.json", "record.json")
"""What a cell of a posterior holds for the study alone."""
SMALL_MODELS = 256 * 2**20  # bytes of models that are written out without being asked for


@dataclass(frozen=True)
class Judging:
    """What a card's record must say besides what the cells hold. times: seconds by stage."""

    command: str
    numerics: Mapping[str, Any]
    used: Used
    times: Mapping[str, float]


def judge_digest(graph: Graph, store: Store) -> str:
    """Which rows judge, in whatever order they stand: the ledger counts their uses by this."""
    return str(_summary(graph, store)["roles"]["judge"]["identity"])


def make_card(study: Study, graph: Graph, store: Store, judging: Judging) -> Card:
    """Assemble the card of a study all of whose cells are finished."""
    summary = _summary(graph, store)
    choice: Any = read_json(store.path(graph.choose.address) / "choice.json")
    judge = load_rows(store.path(graph.rows.address) / "judge")
    chosen = str(choice["chosen"]) if len(study.subjects()) > 1 else study.subjects()[0]
    taught = beside(study, graph, store, judge)
    predictions = {**_predictions(study, graph, store, judge), **taught.predictions}
    further = partial(of_students, taught.lessons, predictions)
    refused = dict.fromkeys(further(study.confidence).refused.values())
    subjects = _subjects(study, graph, store)
    labels = {subject.name: subject.label for subject in subjects}
    candidates = candidates_of(study, graph, store, labels, choice["scores"])
    record = Record(
        command=judging.command,
        seeds=tuple(study.seeds),
        versions={"surefoot": version("surefoot"), "torch": str(torch.__version__), "python": python_version()},
        settings={
            "study": study.canonical(),
            "numerics": dict(judging.numerics),
            "scores on choose rows": choice["scores"],
        },
        data=f"{'; '.join(summary['described'].splitlines())} (rows {digest_json(summary)[:12]})",
        judge_digest=judge_digest(graph, store),
        judge_uses=judging.used.cards,
        judged_before=judging.used.share,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        times=judging.times,
        seconds=training_seconds(study, graph, store),
    )
    card = assemble_card(
        title=study.study,
        question=study.question,
        predictions=predictions,
        subjects=[*subjects, *taught.subjects],
        claims=claims_of(study),
        roles_summary=[
            RoleSummary(role, about["rows"], about["sources"], about["groups"])
            for role, about in summary["roles"].items()
        ],
        proportions=training_proportions(summary),
        chosen=chosen,
        seen={**_seen(study, graph, store), **taught.seen},
        images=_images(judge),
        record=record,
        not_shown=(*dict.fromkeys([*refused, *taught.told, *_not_shown(study)]), *about_repeats(judge)),
        confidence=study.confidence,
        further=lambda level: with_costs(further(level), candidates, study.subjects(), chosen, level),
        budgeted=candidates,
    )
    return replace(card, findings=(*card.findings, *_of_candidates(study, graph, store)))


def write_models(study: Study, graph: Graph, store: Store, chosen: str | None, folder: Path) -> None:
    """Write every model of the study (the chosen one alone where they are large) as `<subject>/seed-<seed>/`.

    Each is the trained network with its repaired head in place, the scaler folded in, and beside it the names and the
    inputs of the rows that shaped it: those of its fit and its repair, and where it was selected, of the choice. Of a
    posterior it is all draws, with the network that was sampled in `body`.
    """
    first = store.path(next(iter(graph.train.values())).address) / "model" / "model.safetensors"
    small = first.stat().st_size * len(study.subjects()) * len(study.seeds) <= SMALL_MODELS
    seen, inputs = _seen(study, graph, store), dict[frozenset[str], SeenInputs | None]()
    learned = [store.path(graph.rows.address) / role for role in _summary(graph, store)["roles"] if role != "judge"]
    for (base, seed), trained in graph.train.items():
        heads = {base: trained, **{f"{base}+{name}": graph.repair[base, name, seed] for name in study.repairs_of(base)}}
        wanted = {subject: cell for subject, cell in heads.items() if small or subject == chosen}
        if not wanted:
            continue
        saved = load_model(store.path(trained.address) / "model", trust_code=True)
        for subject, cell in wanted.items():
            place = store.path(cell.address)
            parameters, spec, out = saved.parameters, saved.record.spec, folder / subject / f"seed-{seed}"
            if subject != base and (place / "model" / RECORD).is_file():
                spec = load_model(place / "model", trust_code=True).record.spec
            elif is_kept(place):
                shutil.copytree(place, out, dirs_exist_ok=True, ignore=CELL_ALONE)
            elif subject != base:
                head = load_head(place)
                parameters = with_head(saved.network, parameters, head.weight, head.bias)
            provenance: dict[str, Any] = {"study": study.study, "subject": subject, "seed": seed, "cell": cell.address}
            provenance[GROUPS] = _with_rows(graph, store)
            provenance |= {name: told for name, told in saved.record.provenance.items() if name in (COLUMNS, "patches")}
            record = ModelRecord(spec, saved.record.head, saved.record.classes, saved.record.input_shape, provenance)
            save_model(out / BODY if is_kept(place) else out, parameters, record)
            names = seen[subject]
            if names not in inputs:
                inputs[names] = inputs_of((load_rows(each) for each in learned), names)
            own, before = inputs[names], load_seen_inputs(store.path(trained.address))
            save_seen(names, out, before if own is None else own.joined(before))


def _summary(graph: Graph, store: Store) -> dict[str, Any]:
    return read_json(store.path(graph.rows.address) / "summary.json")


def _predictions(study: Study, graph: Graph, store: Store, judge: Rows) -> dict[str, Predictions]:
    """Each subject's probabilities on the judge rows, one layer per seed."""
    layers: dict[str, list[torch.Tensor]] = {subject: [] for subject in study.subjects()}
    for (base, _), cell in graph.predict.items():
        read = read_tensors(store.path(cell.address) / "probabilities.safetensors")
        layers[base].append(read["base"])
        for name in study.repairs_of(base):
            layers[f"{base}+{name}"].append(read[f"+{name}"])
    return {subject: predictions_for(judge, torch.stack(each)) for subject, each in layers.items()}


def _subjects(study: Study, graph: Graph, store: Store) -> list[Subject]:
    """Every model in the study's order, with what its repairs chose and noted in each seed."""
    subjects: list[Subject] = []
    for base, training in study.base.items():
        words = training.label or f"Base model ({base})"
        subjects.append(Subject(base, words, notes=_notes(study.seeds, _told(study, graph, store, base))))
        for name in study.repairs_of(base):
            mitigation = study.mitigations[name]
            repaired = [
                read_json(store.path(graph.repair[base, name, seed].address) / "repaired.json") for seed in study.seeds
            ]
            subjects.append(
                Subject(
                    name=f"{base}+{name}",
                    label=f"{words} + {mitigation.words()}",
                    before=base,
                    notes=_notes(study.seeds, [each["notes"] for each in repaired]),
                    chosen=tuple(each["chosen"] for each in repaired),
                    doubts=_doubts(study.seeds, [each.get("doubts", []) for each in repaired]),
                )
            )
    return subjects


def _of_candidates(study: Study, graph: Graph, store: Store) -> list[Finding]:
    """What the criteria found of the candidate that became a base, its mean over seeds, then without interval."""
    found: list[Finding] = []
    for base, training in study.base.items():
        if training.candidate is None:
            continue
        files = [store.path(graph.train[base, seed].address) / "taken.json" for seed in study.seeds]
        layers = [[finding_from_json(each) for each in read_json(file)["findings"]] for file in files]
        for name in dict.fromkeys(each.name for layer in layers for each in layer):
            same = [each for layer in layers for each in layer if each.name == name]
            values = tuple(each.value for each in same)
            one = replace(same[0], subject=base, value=sum(values) / len(values))
            found.append(one if len(values) == 1 else replace(one, interval=None, per_seed=values))
    return found


def _told(study: Study, graph: Graph, store: Store, base: str) -> list[list[str]]:
    """What each seed's base training noted."""
    files = [store.path(graph.train[base, seed].address) / "notes.json" for seed in study.seeds]
    return [list(read_json(file)) if file.is_file() else [] for file in files]


def _doubts(seeds: Sequence[int], doubts: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Each doubt, a clause, with its seed where there are several."""
    several = len(seeds) > 1
    pairs = zip(seeds, doubts, strict=True)
    return tuple(f"{doubt} (seed {seed})" if several else doubt for seed, each in pairs for doubt in each)


def _notes(seeds: Sequence[int], notes: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Each note once, with the seeds it is true of where they are not all."""
    of: dict[str, list[int]] = {}
    for seed, each in zip(seeds, notes, strict=True):
        for note in each:
            of.setdefault(note, []).append(seed)
    return tuple(
        note if len(told) == len(seeds) else f"Seed {', '.join(map(str, told))}: {note}" for note, told in of.items()
    )


def training_proportions(summary: Mapping[str, Any]) -> dict[str, float] | None:
    """Each group's share of the fit rows; None unless each is in exactly one group, and judge has rows of them all."""
    if "fit" not in summary["roles"]:
        return None
    fit = summary["roles"]["fit"]
    counts: Mapping[str, int] = fit["groups"]
    if not counts or not fit["partitioned"]:
        return None
    judged: Mapping[str, int] = summary["roles"]["judge"]["groups"]
    if any(count and not judged[name] for name, count in counts.items()):
        return None
    return {name: count / fit["rows"] for name, count in counts.items()}


def _seen(study: Study, graph: Graph, store: Store) -> dict[str, frozenset[str]]:
    """What shaped each subject, over all seeds; selecting among several has looked at the choose rows."""
    chose = load_seen(store.path(graph.choose.address)) if len(study.subjects()) > 1 else frozenset[str]()
    seen: dict[str, frozenset[str]] = {}
    for base in study.base:
        of_base = [load_seen(store.path(graph.train[base, seed].address)) for seed in study.seeds]
        seen[base] = chose.union(*of_base)
        for name in study.repairs_of(base):
            own = [load_seen(store.path(graph.repair[base, name, seed].address)) for seed in study.seeds]
            seen[f"{base}+{name}"] = seen[base].union(*own)
    return seen


def _with_rows(graph: Graph, store: Store) -> list[str]:
    """The groups that have rows in some role."""
    summary = _summary(graph, store)
    return [name for name in summary["groups"] if any(each["groups"][name] for each in summary["roles"].values())]


def _images(rows: Rows) -> Inputs | None:
    """The rows' inputs where they are images `[rows, 1 or 3, height, width]`."""
    shape = rows.inputs[:1].shape
    return rows.inputs if len(shape) == 4 and shape[1] in (1, 3) else None


def _not_shown(study: Study) -> tuple[str, ...]:
    """What no card of this study can tell."""
    sentences = [
        *study.limits,
        "Groups that the data does not name were not looked at.",
        "Data that differ from the judge rows in other ways than these groups were not looked at.",
    ]
    if study.candidates is not None:
        sentences.append(
            f"The candidate was chosen by {study.candidates.choose_by.replace('_', ' ')} from fit rows; what other "
            "candidates would have been judged is not shown (surefoot choose does)."
        )
    if len(study.seeds) == 1:
        sentences.append("One training run: how much another would differ is not measured.")
    if len(study.base) == 1:
        sentences.append("One way of training: how badly a model fails can depend on how long it was trained.")
    networks = [study.network_of(base) for base in study.base]
    if any(each is not None and each.file is not None for each in networks):
        sentences.append("What the network of your own file had seen before this training is unknown.")
    if any(base.model is not None for base in study.base.values()):
        sentences.append("What a finished model had seen before this study is known only as far as it says so.")
    if study.compute is not None:
        sentences.append(about_times(study.compute))
    if study.mitigations:
        sentences.append(
            "Scores on the choose rows selected the settings and the model; they are optimistic and are not shown as "
            "results."
        )
    return tuple(sentences)
