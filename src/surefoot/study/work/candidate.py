"""The work of a candidate: its criteria from the rows that it learns from, and the network trained on all of them."""

import math
import shutil
from collections.abc import Mapping
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian
from surefoot.errors import InputError
from surefoot.evidence.criteria import ALL_ROWS, CriteriaSettings, StructureOrAuto, criteria_of, mode_losses
from surefoot.evidence.criteria_found import Criteria
from surefoot.evidence.doubts import FAR
from surefoot.evidence.laplace.expansion import Structure
from surefoot.evidence.parts import part_rows
from surefoot.evidence.trials import origin_of, trial_of
from surefoot.files import digest_json, write_json, write_tensors
from surefoot.findings.finding import finding_to_json
from surefoot.inference.ascend import ascend
from surefoot.inference.settings import Ascend
from surefoot.networks.network import Network, Parameters, head_of, parameters_of
from surefoot.networks.spec import network_from_spec, sized_vit
from surefoot.networks.weights import ModelRecord, save_model
from surefoot.progress import Progress
from surefoot.robust.head import LinearHead
from surefoot.rows.rows import Rows, concatenate
from surefoot.study.choice.candidates import CRITERIA, Criterion
from surefoot.study.stored import COLUMNS, load_encoder, load_rows, save_head, save_seen
from surefoot.study.work.doubting import trial_record
from surefoot.study.work.ranking import HELD_OUT

__all__ = ["learned", "sized", "told_of", "try_candidate"]

SMALL = 1000
"""Parameters up to which other structures of the curvature cost little beside the training."""
LOST = "training ended in numbers that are not finite; give a smaller rate, or a precision nearer to 1"
UNFINISHED = "unfinished"
"""The folder of both trainings' checkpoints, from which a killed candidate goes on; it is gone in the end."""
ROUGH = "the expansions are of other points than modes, or too rough here"


def try_candidate(spec: Mapping[str, Any], inputs: Mapping[str, Path], out: Path, progress: Progress) -> None:
    """Leaves criteria.json, held_out.safetensors, model/, head/ and seen.json.

    Where the criteria are refused, or training missed a mode, the reason stands in their place and the model stays.
    Where training itself ran away there is no model, and `trained` is false, with the reason.

    Numbers are standardised over the rows that criteria condition on, so that one precision means the same whatever
    their units and nothing of what is held out is in it; the model that is left has this folded into its first layer.
    Images stay as they are.
    """
    rows, seed, asked = learned(spec, inputs), int(spec["seed"]), spec["criteria"]
    settings = CriteriaSettings(share=1 - asked["held_out"], structure=asked["structure"], draws=asked["draws"])
    scale = _scale_of(_known(rows, settings.share, seed), spec["network"])
    rows = rows if scale is None else rows.with_inputs((rows.inputs[:] - scale.centre) / scale.spread)
    named = sized(spec["network"], tuple(rows.inputs[:1].shape[1:]), len(rows.classes))
    network = network_from_spec(named, seed, trust_code=True)
    posterior = Posterior(network, categorical, Gaussian(spec["precision"]))
    climb = Ascend(**spec["climb"])
    start = parameters_of(network)
    told: dict[str, Any] = {"parameters": sum(each.numel() for each in start.values()), "rows": len(rows)}
    settings = replace(settings, others=_beside(settings.structure, told["parameters"]))
    unfinished = out / UNFINISHED
    training = _Training(posterior, rows, start, seed, climb)
    found, parameters, refused, untrained = _tried(training, settings, progress, unfinished)
    told |= {"trained": not untrained, "untrained": untrained}
    if found is None:
        told |= {"values": {}, "refused": dict.fromkeys(CRITERIA, refused), "findings": [], "trial": None}
        if not untrained:
            told |= _plain_loss(training, settings, progress, out)
            told["refused"] = {name: refused for name in CRITERIA if name not in told["values"]}
    else:
        # Nothing frozen is learnt here: it is as the network's code left it.
        trial = trial_of(found, origin_of(posterior, rows, found.mode, apart=True))
        told |= {**told_of(found), "trial": trial_record(replace(trial, network=digest_json(spec["network"])))}
        kept = found.held_out
        write_tensors(
            out / HELD_OUT,
            {"averaged": kept.bma_losses, "mode": kept.map_losses, "clusters": kept.clusters.contiguous()},
        )
        told["held_out"] = kept.ids.tolist()
    write_json(out / "criteria.json", told)
    save_seen(rows.origins(), out)
    if untrained:
        shutil.rmtree(unfinished, ignore_errors=True)
        return
    if scale is not None:
        parameters = _folded(parameters, first_layer(network), scale)
    provenance: dict[str, Any] = {"seed": seed, "precision": spec["precision"], "training": spec["climb"]}
    if (encoder := load_encoder(inputs[spec["learn"][0]])) is not None:
        provenance[COLUMNS] = encoder.to_json()
    shape = tuple(rows.inputs[:1].shape[1:])
    save_model(out / "model", parameters, ModelRecord(named, network.head, rows.classes, shape, provenance))
    own = head_of(network, parameters)
    save_head(LinearHead(own.weight, own.bias), out / "head")
    shutil.rmtree(unfinished, ignore_errors=True)


class _Training(NamedTuple):
    """What `criteria_of`, `mode_losses` and `ascend` begin with."""

    posterior: Posterior
    rows: Rows
    start: Parameters
    seed: int
    climb: Ascend


def _plain_loss(training: _Training, settings: CriteriaSettings, progress: Progress, out: Path) -> dict[str, Any]:
    """The validation loss, which needs no expansion and no draws, of a candidate whose other criteria are refused."""
    try:
        held = mode_losses(*training, settings, progress, out / UNFINISHED)
    except InputError as error:
        if isinstance(error.__cause__, OSError | SafetensorError):
            raise
        return {}
    loss = float(held.losses.mean())
    if not math.isfinite(loss):
        return {}
    write_tensors(out / HELD_OUT, {"mode": held.losses, "clusters": held.clusters.contiguous()})
    return {"values": {"validation_loss": loss}, "held_out": held.ids.tolist()}


def sized(network: Mapping[str, Any], shape: tuple[int, ...], classes: int) -> Mapping[str, Any]:
    """A study's network with the sizes that its rows decide.

    >>> sized({"mlp": {"hidden": [8]}}, (2, 3), 4)
    {'mlp': {'hidden': [8], 'inputs': 6, 'classes': 4}}
    """
    if "file" in network:
        return network
    (kind, sizes), *_ = network.items()
    if kind == "vit":
        return sized_vit(sizes, shape, classes)
    entering = {"shape": list(shape)} if kind in ("cnn", "resnet") else {"inputs": int(torch.Size(shape).numel())}
    return {kind: {**sizes, **entering, "classes": classes}}


def learned(spec: Mapping[str, Any], inputs: Mapping[str, Path]) -> Rows:
    """The rows that a candidate is given: its roles one after another. Labels that are no classes are refused."""
    rows = reduce(concatenate, [load_rows(inputs[role]) for role in spec["learn"]])
    if rows.targets.ndim != 1:
        raise InputError(
            "The labels are class probabilities, which are no observations and have no evidence; give one class a row."
        )
    return rows


class Scale(NamedTuple):
    """Of every input number: its mean over the rows, and its standard deviation (one where it never varies)."""

    centre: Tensor
    spread: Tensor


def _known(rows: Rows, share: float, seed: int) -> Rows:
    """The rows that `criteria_of` conditions on; all of them where they cannot be parted, which it then says."""
    try:
        return part_rows(rows, share, seed).known
    except InputError:
        return rows


def _scale_of(rows: Rows, network: Mapping[str, Any]) -> Scale | None:
    inputs = rows.inputs[:]
    if inputs.ndim != 2 or not ("mlp" in network or "linear" in network):
        return None
    spread, centre = torch.std_mean(inputs.double(), dim=0)
    return Scale(centre.float(), torch.where(spread > 1e-7 * centre.abs(), spread, 1.0).float())


def first_layer(network: Network) -> str:
    """The name of the layer that the inputs enter."""
    return next(name for name, module in network.module.named_modules() if isinstance(module, nn.Linear))


def _folded(parameters: Parameters, layer: str, scale: Scale) -> Parameters:
    """The same network for inputs that are not standardised: W/s, b − W m/s."""
    weight = parameters[f"{layer}.weight"].double() / scale.spread.double()
    bias = parameters[f"{layer}.bias"].double() - weight @ scale.centre.double()
    return {**parameters, f"{layer}.weight": weight.float(), f"{layer}.bias": bias.float()}


def told_of(found: Criteria) -> dict[str, Any]:
    """The numbers of one candidate's criteria as plain JSON, or why there are none."""
    values: dict[Criterion, float] = {
        "conditional_evidence": found.conditional,
        "evidence": found.evidence,
        "validation_loss_averaged": found.bma_loss,
        "validation_loss": found.map_loss,
    }
    refused: dict[Criterion, str] = {
        name: "it is not a finite number" for name, value in values.items() if not math.isfinite(value)
    }
    for name in ("conditional_evidence", "evidence"):
        if values[name] > 0:
            refused[name] = f"it is {values[name]:+.1f} nats, and no probability of classes is above 0: {ROUGH}"
    offsets = [math.inf if math.isnan(each) else each for each in (found.offset, found.known_offset)]
    if offsets[0] > FAR:
        refused["evidence"] = _missed(offsets[0])
    if max(offsets) > FAR:
        refused["conditional_evidence"] = _missed(max(offsets))
    return {
        "values": {name: value for name, value in values.items() if name not in refused},
        "refused": refused,
        "findings": [finding_to_json(each) for each in found.as_findings("candidate") if math.isfinite(each.value)],
    }


def _beside(structure: StructureOrAuto, parameters: int) -> tuple[Structure, ...]:
    """Other structures by which the evidence is computed too, to see whether they agree: those that cost little."""
    small: tuple[Structure, ...] = ("full", "kron", "diag") if parameters <= SMALL else ("diag",)
    return tuple(each for each in small if each != structure)


def _missed(offset: float) -> str:
    return (
        f"training ended {offset:.1f} posterior standard deviations from a mode, and the expansion is of one; give "
        "more epochs or a smaller rate, or climb by L-BFGS"
    )


class _Tried(NamedTuple):
    """refused: why there are no criteria. untrained: why there is no model either."""

    found: Criteria | None
    parameters: Parameters
    refused: str
    untrained: str


def _tried(training: _Training, settings: CriteriaSettings, progress: Progress, folder: Path) -> _Tried:
    """Criteria; where they are refused the network all the same, for whoever wants to look at it."""
    try:
        found = criteria_of(*training, settings, progress, folder)
        if _finite(found.mode):
            return _Tried(found, found.mode, "", "")
        return _Tried(None, training.start, LOST, LOST)
    except InputError as error:
        if isinstance(error.__cause__, OSError | SafetensorError):  # a full disk is nothing that the candidate is
            raise
        refused = str(error)
    try:
        file = folder / ALL_ROWS
        parameters = ascend(*training, checkpoint=file, progress=progress).point()
    except InputError as error:
        if isinstance(error.__cause__, OSError | SafetensorError):
            raise
        return _Tried(None, training.start, refused, str(error))
    lost = "" if _finite(parameters) else LOST
    return _Tried(None, parameters, refused, lost)


def _finite(parameters: Parameters) -> bool:
    return all(bool(each.isfinite().all()) for each in parameters.values())
