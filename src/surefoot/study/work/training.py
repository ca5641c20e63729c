"""The work of a training: of the whole network on true labels, or on somebody's."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Objective
from surefoot.files import read_json, write_json
from surefoot.findings.finding import finding_to_json
from surefoot.flex.schedule import Drawn, schedule_named
from surefoot.inference.ascend import Ascend, ascend
from surefoot.inference.draws import Draws
from surefoot.networks.cache import extract
from surefoot.networks.network import Network, head_of, parameters_of
from surefoot.networks.spec import network_from_spec
from surefoot.networks.weights import ModelRecord, load_model, save_model
from surefoot.progress import Progress
from surefoot.robust.head import LinearHead
from surefoot.rows.rows import Rows
from surefoot.study.once.students import LOSSES
from surefoot.study.stored import COLUMNS, load_encoder, load_head, load_rows, load_seen, save_head, save_seen
from surefoot.study.work.candidate import sized
from surefoot.study.work.emphasis import emphasise
from surefoot.study.work.labelling import LABELS, halves_of
from surefoot.supervise.labels import WeakLabels
from surefoot.supervise.student import Learner, teach

__all__ = ["embedded", "teach_base", "train"]


def train(spec: Mapping[str, Any], inputs: Mapping[str, Path], out: Path, progress: Progress) -> None:
    """Train the network on the truth of the fit rows, or of those it is to know; leaves model/, head/ and seen.json."""
    fit, notes = _known(load_rows(inputs["fit"]), spec, inputs)
    named, network = _network(spec, fit)
    wrong = _mistakes(inputs["first"], fit, spec["device"], out, progress) if "first" in inputs else None
    emphasised = emphasise(fit, spec.get("emphasis", {}), spec["seed"], wrong)
    draws = ascend(
        Objective(network, categorical, emphasised.pool),
        emphasised.rows,
        parameters_of(network),
        spec["seed"],
        Ascend(**spec["training"], draw=emphasised.draw),
        view=_view(spec),
        progress=progress,
        device=spec["device"],
    )
    told = {"seed": spec["seed"], "training": spec["training"]}
    if "patches" in spec:
        told["patches"] = [[size, size] for size in spec["patches"]["sizes"]]
    _leave(out, draws, network, named, fit, inputs["fit"], told)
    save_seen(draws.seen | (load_seen(inputs["first"]) if "first" in inputs else frozenset()), out)
    if notes or emphasised.notes:
        write_json(out / "notes.json", [*notes, *emphasised.notes])


def teach_base(spec: Mapping[str, Any], inputs: Mapping[str, Path], out: Path, progress: Progress) -> None:
    """Train the network on weak labels; leaves the same. There is no true label in any file that it is given."""
    told: Mapping[str, Any] = read_json(inputs["taught"] / LABELS)
    labels = WeakLabels(load_rows(inputs["taught"]), load_seen(inputs["taught"]), told["by"])
    named, network = _network(spec, labels.rows)
    loss = LOSSES[spec["taught"]["loss"]]
    draws = teach(
        Learner("student", network, Ascend(**spec["training"]), loss), labels, spec["seed"], progress=progress,
        device=spec["device"],
    )  # fmt: skip
    provenance = {"seed": spec["seed"], "training": spec["training"], "labels of": told["by"], "loss": repr(loss)}
    _leave(out, draws, network, named, labels.rows, inputs["taught"], provenance)
    save_seen(draws.seen, out)
    write_json(out / "notes.json", told["notes"])


def embedded(model: Path, rows: Rows, device: str, out: Path, progress: Progress) -> Rows:
    """The rows with the features that enter the model's head."""
    saved = load_model(model, trust_code=True)
    cache = out / "extracting"
    features = extract(saved.network, saved.parameters, rows, folder=cache, device=device, progress=progress)
    features = features.with_inputs(features.inputs[:].clone())
    shutil.rmtree(cache)
    return features


def _known(fit: Rows, spec: Mapping[str, Any], inputs: Mapping[str, Path]) -> tuple[Rows, list[str]]:
    """The fit rows whose truth a training is to know: all, one half of two, or those that a table labels."""
    if "half" in spec:
        halves = halves_of(fit, spec["seed"])
        if spec["half"] == "student":
            return halves.student, []
        known, left = len(halves.weak), len(halves.student)
        told = f"Trained on the truth of {known:,} of {len(fit):,} fit rows; the other {left:,} are for it to label."
        return halves.weak, [told]
    if "named" in inputs:
        return fit.take(torch.from_numpy(np.isin(fit.ids, load_rows(inputs["named"]).ids))), []
    return fit, []


def _network(spec: Mapping[str, Any], rows: Rows) -> tuple[Mapping[str, Any], Network]:
    """The study's network with the sizes of its rows, where it starts."""
    named = sized(spec["network"], tuple(rows.inputs[:1].shape[1:]), len(rows.classes))
    return named, network_from_spec(named, spec["seed"], trust_code=True)


def _view(spec: Mapping[str, Any]) -> Drawn | None:
    """What each step runs: the network at a patch size that is drawn for it, where sizes are named."""
    if "patches" not in spec:
        return None
    drawn = spec["patches"]
    return Drawn(schedule_named(drawn["schedule"], [(size, size) for size in drawn["sizes"]]), spec["seed"])


def _leave(
    out: Path,
    draws: Draws,
    network: Network,
    named: Mapping[str, Any],
    rows: Rows,
    folder: Path,
    provenance: Mapping[str, Any],
) -> None:
    """What every training leaves but for what it saw. folder: of the rows, where their columns are told."""
    parameters = draws.point()
    encoder = load_encoder(folder)
    told = {**provenance, **({} if encoder is None else {COLUMNS: encoder.to_json()})}
    shape = tuple(rows.inputs[:1].shape[1:])
    save_model(out / "model", parameters, ModelRecord(named, network.head, rows.classes, shape, told))
    own = head_of(network, parameters)
    save_head(LinearHead(own.weight, own.bias), out / "head")
    write_json(out / "diagnostics.json", [finding_to_json(finding) for finding in draws.diagnostics])


def _mistakes(first: Path, fit: Rows, device: str, out: Path, progress: Progress) -> Tensor:
    """Which fit rows the first model gets wrong."""
    features = embedded(first / "model", fit, device, out, progress).inputs[:]
    return load_head(first / "head").logits(features).argmax(dim=1) != fit.targets
