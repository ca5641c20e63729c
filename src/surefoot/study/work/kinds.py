"""The work of each kind of cell: `(spec, inputs, out, progress)`, files in, files out.

`inputs` names the folders of the cells a cell was given, and the files from outside. Nothing else is read: a repair
was never told where the judge rows lie.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from torch import Tensor

from surefoot.bayes.kept import is_kept, load_posterior
from surefoot.errors import InputError
from surefoot.files import read_json, write_json, write_tensors
from surefoot.networks.network import head_of
from surefoot.networks.weights import RECORD, ModelRecord, OpenedModel, load_model, save_model
from surefoot.progress import Progress
from surefoot.robust.head import LinearHead
from surefoot.robust.protocol import score as accuracy_of
from surefoot.rows.encoding import Encoder, encoder_from_json
from surefoot.rows.roles import refuse_seen
from surefoot.rows.rows import Rows
from surefoot.study.cells import Cell
from surefoot.study.once.predict import probabilities_of
from surefoot.study.seen import Seen, load_seen_inputs, seen_of_model
from surefoot.study.stored import (
    COLUMNS,
    load_encoder,
    load_head,
    load_rows,
    load_seen,
    save_head,
    save_rows,
    save_seen,
)
from surefoot.study.work.candidate import try_candidate
from surefoot.study.work.compute import measure_compute
from surefoot.study.work.labelling import label_rows, read_labels
from surefoot.study.work.patch import resize_model
from surefoot.study.work.repair import repair
from surefoot.study.work.rows import make_roles
from surefoot.study.work.sample import sample
from surefoot.study.work.taking import judge_candidates, rank_candidates, take_candidate
from surefoot.study.work.training import embedded, teach_base, train

__all__ = ["Work", "work_of"]

Work: TypeAlias = Callable[[Mapping[str, Any], Mapping[str, Path], Path, Progress], None]


def work_of(cell: Cell) -> Work:
    """The function that computes a cell."""
    match cell.kind:
        case "rows":
            return make_roles
        case "train":
            if "candidate" in cell.spec:
                return take_candidate
            if "taught" in cell.spec:
                return teach_base
            return _adopt if "model" in cell.places else train
        case "labels":
            return label_rows if "supervisor" in cell.inputs else read_labels
        case "features":
            return _features
        case "repair":
            return repair
        case "sample":
            return sample
        case "patch":
            return resize_model
        case "compute":
            return measure_compute
        case "choose":
            return _choose
        case "predict":
            return _predict
        case "candidate":
            return try_candidate
        case "ranking":
            return rank_candidates
        case "hindsight":
            return judge_candidates


def _adopt(spec: Mapping[str, Any], inputs: Mapping[str, Path], out: Path, progress: Progress) -> None:
    """Take a finished model as it is; leaves what a training leaves. What it has seen is known only if it says so."""
    saved = load_model(inputs["model"], trust_code=True)
    rows = load_rows(inputs["rows"])
    if saved.record.classes != rows.classes:
        raise InputError(
            f"The model in {inputs['model'].name} knows the classes {', '.join(saved.record.classes)}, and the rows "
            f"have {', '.join(rows.classes)}; give both the same classes in the same order."
        )
    _refuse_other_columns(load_encoder(inputs["rows"]), saved.record, inputs["model"].name)
    save_model(out / "model", saved.parameters, saved.record)
    own = head_of(saved.network, saved.parameters)
    save_head(LinearHead(own.weight, own.bias), out / "head")
    seen = seen_of_model(inputs["model"]) or Seen(frozenset())
    save_seen(seen.names_for(rows), out, seen.inputs)  # row 5 of the model's file is not row 5 of this one
    progress("adopting", 1, 1)


def _refuse_other_columns(rows: Encoder | None, record: ModelRecord, name: str) -> None:
    """Raise where the model was made for other features of a table's columns than these rows have."""
    told = record.provenance.get(COLUMNS)
    model = None if told is None else encoder_from_json(told)
    here, there = (None if each is None or each.plain else each.columns for each in (rows, model))
    if here != there:
        raise InputError(
            f"The columns of the table became other features here than for the model in {name}, whose fit rows were "
            "others; measure it on this table with `surefoot look`, which reads columns as the model's record says."
        )


def _features(spec: Mapping[str, Any], inputs: Mapping[str, Path], out: Path, progress: Progress) -> None:
    """Embed the rows of one role; leaves rows whose inputs are features."""
    rows = load_rows(inputs["rows"])
    save_rows(embedded(inputs["model"], rows, spec["device"], out, progress), spec["role"], out)


def _choose(spec: Mapping[str, Any], inputs: Mapping[str, Path], out: Path, progress: Progress) -> None:
    """Select among the bases and their repairs by worst-group accuracy on the choose rows, averaged over seeds.

    Ties go to the earlier in the study's order. A head that learned on the choose rows would be flattered there: it
    is scored by the trial that won it its setting, whose rows were held out from that trial's fit. A posterior is no
    single head, and its cell has left its score.
    """
    scores: dict[str, list[float]] = {}
    seen: frozenset[str] = frozenset()
    for number, seed in enumerate(spec["seeds"]):
        for base in spec["bases"]:
            rows = load_rows(inputs[f"rows {base} {seed}"])
            seen |= rows.origins()
            own = accuracy_of(load_head(inputs[f"head {base} {seed}"]), rows)
            scores.setdefault(base, []).append(own.worst_group_accuracy)
            for mitigation, scores_itself in spec["mitigations"]:
                subject = f"{base}+{mitigation}"
                if subject not in spec["subjects"]:
                    continue
                folder = inputs[f"head {subject} {seed}"]
                if scores_itself:
                    score = float(read_json(folder / "repaired.json")["held_out"])
                else:
                    score = accuracy_of(load_head(folder), rows).worst_group_accuracy
                scores.setdefault(subject, []).append(score)
        progress("choosing", number + 1, len(spec["seeds"]))
    means = {subject: sum(of_seed) / len(of_seed) for subject, of_seed in scores.items()}
    order: list[str] = spec["subjects"]
    chosen = max(order, key=lambda subject: (means[subject], -order.index(subject)))
    write_json(out / "choice.json", {"chosen": chosen, "scores": means, "per_seed": scores})
    save_seen(seen, out)


def _predict(spec: Mapping[str, Any], inputs: Mapping[str, Path], out: Path, progress: Progress) -> None:
    """Probabilities of one trained base and of its repairs on the judge rows, which nothing before has touched."""
    judge = load_rows(inputs["judge"])
    folders = {"": inputs["train"], **{name: inputs[f"head {name}"] for name in spec["mitigations"]}}
    if (before := load_seen_inputs(inputs["train"])) is not None:
        Seen(load_seen(inputs["train"]), before).refuse(judge, "the base training")
    for name, folder in folders.items():
        refuse_seen(judge, load_seen(folder), f"the base training and {name}" if name else "the base training")
    features = embedded(inputs["train"] / "model", judge, spec["device"], out, progress).inputs[:]
    probabilities: dict[str, Tensor] = {}
    for name, folder in folders.items():
        if name and (folder / "model" / RECORD).is_file():
            saved = load_model(folder / "model", trust_code=True)
            opened = OpenedModel(saved.network, saved.parameters, saved.record)
            probabilities[f"+{name}"] = probabilities_of(opened, judge, device=spec["device"])
        elif is_kept(folder):
            probabilities[f"+{name}"] = _averaged(folder, inputs["train"] / "model", judge, features)
        else:
            head = load_head(folder if name else folder / "head")
            probabilities[f"+{name}" if name else "base"] = head.probabilities(features)
    write_tensors(out / "probabilities.safetensors", probabilities)


def _averaged(folder: Path, model: Path, rows: Rows, features: Tensor) -> Tensor:
    """What all draws of a posterior say together: of a head on the features, of a network on the rows."""
    kept = load_posterior(folder)
    network = load_model(model, trust_code=True).network
    return kept.probabilities(network, features if kept.part == "head" else rows.inputs)
