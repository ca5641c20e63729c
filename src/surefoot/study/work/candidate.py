"""The work of a candidate: its criteria from the rows that it learns from, and the network trained on all of them.

And of those who come after it: `rank_candidates` fixes what each criterion takes, from what candidates left;
`judge_candidates` alone reads judge rows, and is given the finished ranking, so that it cannot come earlier.
"""

import math
import shutil
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian
from surefoot.errors import InputError
from surefoot.evidence.criteria import Criteria, CriteriaSettings, criteria_of
from surefoot.evidence.doubts import FAR, NEAR
from surefoot.evidence.parts import part_rows
from surefoot.files import read_json, write_json, write_tensors
from surefoot.findings.finding import finding_to_json
from surefoot.inference.ascend import ascend
from surefoot.inference.settings import Ascend
from surefoot.networks.network import Network, Parameters, forward, head_of, parameters_of
from surefoot.networks.spec import network_from_spec
from surefoot.networks.weights import ModelRecord, load_model, save_model
from surefoot.progress import Progress
from surefoot.robust.head import LinearHead
from surefoot.rows.roles import refuse_seen
from surefoot.rows.rows import Rows, concatenate
from surefoot.study.choice.candidates import CRITERIA, Criterion
from surefoot.study.stored import COLUMNS, load_encoder, load_rows, load_seen, save_head, save_seen
from surefoot.study.work.ranking import HELD_OUT, rank_folders

__all__ = ["judge_candidates", "rank_candidates", "sized", "take_candidate", "told_of", "try_candidate"]

BATCH = 512
ROUGH = "the expansions are of other points than modes, or too rough here"


def try_candidate(spec: Mapping[str, Any], inputs: Mapping[str, Path], out: Path, progress: Progress) -> None:
    """Leaves criteria.json, held_out.safetensors, model/, head/ and seen.json.

    Where the criteria are refused, or training missed a mode, the reason stands in their place and the model stays.

    Numbers are standardised over the rows that criteria condition on, so that one precision means the same whatever
    their units and nothing of what is held out is in it; the model that is left has this folded into its first layer.
    Images stay as they are.
    """
    rows, seed, asked = learned(spec, inputs), int(spec["seed"]), spec["criteria"]
    settings = CriteriaSettings(share=1 - asked["held_out"], structure=asked["structure"], draws=asked["draws"])
    scale = _scale_of(_known(rows, settings.share, seed), spec["network"])
    rows = rows if scale is None else rows.with_inputs((rows.inputs[:] - scale.centre) / scale.spread)
    named = sized(spec["network"], tuple(rows.inputs[:1].shape[1:]), len(rows.classes))
    network = network_from_spec(named, seed)
    posterior = Posterior(network, categorical, Gaussian(spec["precision"]))
    climb = Ascend(**spec["climb"])
    start = parameters_of(network)
    told: dict[str, Any] = {"parameters": sum(each.numel() for each in start.values()), "rows": len(rows)}
    try:
        found = criteria_of(posterior, rows, start, seed, climb, settings, progress)
    except InputError as error:
        told |= {"values": {}, "refused": dict.fromkeys(CRITERIA, str(error)), "notes": [], "findings": []}
        parameters = _trained(posterior, rows, start, seed, climb, progress)
    else:
        told |= told_of(found)
        kept = found.held_out
        write_tensors(
            out / HELD_OUT,
            {"averaged": kept.bma_losses, "mode": kept.map_losses, "clusters": kept.clusters.contiguous()},
        )
        told["held_out"] = kept.ids.tolist()
        parameters = found.mode
    if scale is not None:
        parameters = _folded(parameters, first_layer(network), scale)
    write_json(out / "criteria.json", told)
    provenance: dict[str, Any] = {"seed": seed, "precision": spec["precision"], "training": spec["climb"]}
    if (encoder := load_encoder(inputs[spec["learn"][0]])) is not None:
        provenance[COLUMNS] = encoder.to_json()
    shape = tuple(rows.inputs[:1].shape[1:])
    save_model(out / "model", parameters, ModelRecord(named, network.head, rows.classes, shape, provenance))
    own = head_of(network, parameters)
    save_head(LinearHead(own.weight, own.bias), out / "head")
    save_seen(rows.origins(), out)


def rank_candidates(spec: Mapping[str, Any], inputs: Mapping[str, Path], out: Path, progress: Progress) -> None:
    """Leaves ranking.json: every candidate's place by every criterion, and what each takes."""
    write_json(out / "ranking.json", rank_folders(spec, inputs))
    progress("ranking", 1, 1)


def take_candidate(spec: Mapping[str, Any], inputs: Mapping[str, Path], out: Path, progress: Progress) -> None:
    """The candidate that the criterion takes; leaves what a training leaves, and taken.json: its name and findings."""
    ranking = read_json(inputs["ranking"] / "ranking.json")
    pick = ranking["picks"][spec["candidate"]]
    name = pick["chosen"]
    if not name:
        raise InputError(
            f"No candidate has a number by {spec['candidate']}; choose by another criterion, or train otherwise."
        )
    for part in ("model", "head"):
        shutil.copytree(inputs[f"candidate {name}"] / part, out / part)
    seen = frozenset[str]().union(*(load_seen(inputs[f"candidate {each}"]) for each in spec["names"]))
    save_seen(seen, out)
    others = {each: found["chosen"] for each, found in ranking["picks"].items() if each != spec["candidate"]}
    told = [f"{each.replace('_', ' ')} takes {'the same' if other == name else other or 'nobody'}"
            for each, other in others.items()]  # fmt: skip
    words = f"Chosen by {spec['candidate'].replace('_', ' ')} among {len(spec['names'])} candidates: {name}."
    write_json(out / "notes.json", [f"{words} {pick['words']} {_sentence('; '.join(told))}"])
    own = read_json(inputs[f"candidate {name}"] / "criteria.json")
    chances = [each for each in ranking["findings"] if each["subject"] == name]
    write_json(out / "taken.json", {"name": name, "findings": [*own["findings"], *chances]})
    progress("taking", 1, 1)


def judge_candidates(spec: Mapping[str, Any], inputs: Mapping[str, Path], out: Path, progress: Progress) -> None:
    """Leaves probabilities.safetensors: of each candidate and seed on the judge rows, after the ranking."""
    if not (inputs["ranking"] / "ranking.json").is_file():
        raise InputError("The choices are not made yet, and judge rows are read after them; run the choice again.")
    judge = load_rows(inputs["judge"])
    said: dict[str, torch.Tensor] = {}
    for number, name in enumerate(spec["candidates"]):
        for seed in spec["seeds"]:
            folder = inputs[f"{name} {seed}"]
            refuse_seen(judge, load_seen(folder), f"the candidate {name}")
            said[f"{name} {seed}"] = _probabilities(folder, judge)
        progress("judging", number + 1, len(spec["candidates"]))
    write_tensors(out / "probabilities.safetensors", said)


def sized(network: Mapping[str, Any], shape: tuple[int, ...], classes: int) -> Mapping[str, Any]:
    """A study's network with the sizes that its rows decide.

    >>> sized({"mlp": {"hidden": [8]}}, (2, 3), 4)
    {'mlp': {'hidden': [8], 'inputs': 6, 'classes': 4}}
    """
    if "file" in network:
        return network
    (kind, sizes), *_ = network.items()
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
    """What a ranking needs of one candidate's criteria, as plain JSON."""
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
    notes: list[str] = []
    far = max(found.offset, found.known_offset)
    if found.offset > FAR:
        refused["evidence"] = _missed(found.offset)
    if far > FAR:
        refused["conditional_evidence"] = _missed(far)
    elif far > NEAR:
        notes.append(f"Training ended {far:.2f} posterior standard deviations from a mode: evidences are rough.")
    if (doubt := found.drawn.doubt) is not None:
        notes.append(f"Conditional evidence by draws, {found.drawn.value:,.1f} nats, is not used: {doubt}.")
    return {
        "values": {name: value for name, value in values.items() if name not in refused},
        "refused": refused,
        "notes": notes,
        "findings": [finding_to_json(each) for each in found.as_findings("candidate")],
    }


def _missed(offset: float) -> str:
    return (
        f"training ended {offset:.1f} posterior standard deviations from a mode, and the expansion is of one; give "
        "more epochs or a smaller rate, or climb by L-BFGS"
    )


def _trained(
    posterior: Posterior, rows: Rows, start: Parameters, seed: int, climb: Ascend, progress: Progress
) -> Parameters:
    """The network all the same, for whoever wants to look at it; its start where training runs away."""
    try:
        return ascend(posterior, rows, start, seed, climb, progress=progress).point()
    except InputError:
        return start


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _probabilities(folder: Path, judge: Rows) -> torch.Tensor:
    saved = load_model(folder / "model")
    with torch.no_grad():
        outputs = [
            forward(saved.network, saved.parameters, judge.inputs[first : first + BATCH])
            for first in range(0, len(judge), BATCH)
        ]
    return torch.cat(outputs).float().softmax(dim=1)
