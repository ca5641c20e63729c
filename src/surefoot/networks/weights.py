"""A model in a folder: `model.safetensors` for the tensors, `record.json` for everything needed to use them.

The record says which architecture to build, what its classes and inputs are, where the model came from, and the
shape, type and digest of what the other file must hold. Loading compares all of it and never unpickles.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, cast

from torch import Tensor

from surefoot.errors import InputError
from surefoot.files import digest_file, read_json, read_tensors, write_json, write_tensors
from surefoot.networks.network import Network, Parameters
from surefoot.networks.spec import network_from_spec, seeded_user_module
from surefoot.networks.split import split
from surefoot.networks.user import fit_weights, read_foreign_weights

__all__ = ["POSTERIOR", "ModelRecord", "OpenedModel", "SavedModel", "load_model", "open_model", "save_model"]

SCHEMA = 1
TENSORS = "model.safetensors"
RECORD = "record.json"
POSTERIOR = "bayes.json"  # beside the draws of a posterior: see surefoot.bayes.kept


@dataclass(frozen=True)
class ModelRecord:
    """What must be known to use a model's tensors.

    spec: the architecture, as `network_from_spec` reads it. head: the dotted name of the last layer.
    classes: the name of each logit. input_shape: the shape of one input, without the leading row axis.
    provenance: plain JSON on where the model came from (seed, method, what was chosen, digest of the study).
    """

    spec: Mapping[str, Any]
    head: str
    classes: tuple[str, ...]
    input_shape: tuple[int, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class SavedModel:
    """A model read back. sha256: of the tensor file; written_by: the surefoot that wrote it."""

    network: Network
    parameters: Parameters
    record: ModelRecord
    sha256: str
    written_by: str


class OpenedModel(NamedTuple):
    """A network with its weights; `record` is None for a model that surefoot did not save.

    draws: the folder of a posterior that is predicted with in place of these weights, or of their head; see
    `surefoot.study.once.opening`, which alone opens such models.
    """

    network: Network
    parameters: Parameters
    record: ModelRecord | None
    draws: Path | None = None


def save_model(folder: Path, parameters: Parameters, record: ModelRecord) -> None:
    """Write both files, each whole or not at all; the record last, so that a folder with a record is complete.

    Raises `InputError` when `parameters` have no such head, or the head has another number of classes.
    """
    if f"{record.head}.weight" not in parameters:
        raise InputError(f'The parameters have no "{record.head}.weight"; name the head of the network they are for.')
    _check_classes(record, parameters)
    (folder / RECORD).unlink(missing_ok=True)
    write_tensors(folder / TENSORS, parameters)
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "spec": record.spec,
        "head": record.head,
        "classes": list(record.classes),
        "input_shape": list(record.input_shape),
        "provenance": record.provenance,
        "tensors": {name: _described(tensor) for name, tensor in sorted(parameters.items())},
        "sha256": digest_file(folder / TENSORS),
        "surefoot": version("surefoot"),
    }
    write_json(folder / RECORD, content)


def load_model(folder: Path, *, trust_code: bool = False) -> SavedModel:
    """Read a model that `save_model` wrote; a model of a user's own file is built only with `trust_code`.

    Raises `InputError` when the record is newer than this surefoot, incomplete, or does not agree with the
    tensors: one missing or too many, another shape or type, or other bytes than were written.
    """
    path = folder / RECORD
    content = _read_record(path)
    record = ModelRecord(
        spec=content["spec"],
        head=content["head"],
        classes=tuple(content["classes"]),
        input_shape=tuple(content["input_shape"]),
        provenance=content["provenance"],
    )
    tensors = read_tensors(folder / TENSORS)
    _check_tensors(folder / TENSORS, tensors, content["tensors"])
    digest = digest_file(folder / TENSORS)
    if digest != content["sha256"]:
        raise InputError(
            f"{folder / TENSORS} has changed since {RECORD} was written (sha256 {digest[:12]}…, recorded "
            f"{content['sha256'][:12]}…); restore the file or save the model again."
        )
    network = network_from_spec(record.spec, seed=0, trust_code=trust_code)
    if network.head != record.head:
        raise InputError(
            f'{path} names the head "{record.head}", but that of its architecture is "{network.head}"; '
            "save the model again."
        )
    parameters = fit_weights(network.module, tensors, str(folder / TENSORS))
    _check_classes(record, parameters)
    return SavedModel(network, parameters, record, digest, content["surefoot"])


def open_model(
    named: str, *, trust_code: bool = False, weights: Path | None = None, head: str | None = None
) -> OpenedModel:
    """The model a user names: a folder `save_model` wrote, or "file.py:Net" with weights from a file.

    weights: `.safetensors`, `.pt` or `.pth`; without them the tensors are those the user's code starts with (what
    it draws at random is drawn from seed 0). Raises `InputError` when the name leads to no model, or to two.
    """
    folder = Path(named)
    if not folder.is_dir():
        if ":" not in named:
            raise InputError(
                f"There is no folder {named}; give a folder that surefoot saved a model in, or name a model in a file "
                "as file.py:Net."
            )
        module = seeded_user_module(named, 0, trust_code)
        tensors = dict(module.state_dict()) if weights is None else read_foreign_weights(weights)
        network = split(module, head)
        prefix = "" if network.module is module else "0."
        tensors = {f"{prefix}{name}": tensor.detach().clone() for name, tensor in tensors.items()}
        source = named if weights is None else str(weights)
        return OpenedModel(network, fit_weights(network.module, tensors, source), None)
    if (folder / RECORD).is_file():
        if weights is not None or head is not None:
            raise InputError(f"{folder} already says its weights and its head; leave out weights and head.")
        saved = load_model(folder, trust_code=trust_code)
        return OpenedModel(saved.network, saved.parameters, saved.record)
    if (folder / "config.json").is_file():
        raise InputError(
            f"{folder} is a Hugging Face model folder, which this command cannot open; look, predict and repair "
            f"--model do, and `surefoot features {folder} DATA --layer NAME --out FILE` writes what probe compares."
        )
    if (folder / POSTERIOR).is_file():
        raise InputError(
            f"{folder} holds a posterior, many networks in one; look and predict average over them, and this command "
            "wants a single one: give it another model."
        )
    inner = sorted(each.parent.name for each in folder.glob(f"*/{RECORD}"))
    if inner:
        raise InputError(
            f"{folder} holds {len(inner)} models ({', '.join(inner[:10])}); name one: {folder / inner[0]}."
        )
    raise InputError(f"{folder} holds no {RECORD}; give a folder that surefoot saved a model in, or file.py:Net.")


def _read_record(path: Path) -> dict[str, Any]:
    """The record with every entry there and of its type."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} is not a surefoot model record; give a folder that surefoot saved a model in.")
    record = cast("dict[str, Any]", content)
    schema = record.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        raise InputError(
            f"{path} was written by a newer surefoot (schema {schema}; this one reads up to {SCHEMA}); "
            "upgrade: pip install -U surefoot."
        )
    expected = {
        "schema": int,
        "spec": dict,
        "head": str,
        "classes": list,
        "input_shape": list,
        "provenance": dict,
        "tensors": dict,
        "sha256": str,
        "surefoot": str,
    }
    for name, kind in expected.items():
        if name not in record:
            raise InputError(f'{path} has no "{name}"; it is incomplete: save the model again.')
        if not isinstance(record[name], kind):
            raise InputError(f'{path} has {record[name]!r} for "{name}"; it must be a {kind.__name__}.')
    if not all(isinstance(each, str) for each in record["classes"]):
        raise InputError(f'{path} has {record["classes"]!r} for "classes"; they must be texts.')
    return record


def _check_tensors(path: Path, tensors: Mapping[str, Tensor], recorded: Mapping[str, Any]) -> None:
    for name in recorded:
        if name not in tensors:
            raise InputError(f'{path} has no tensor "{name}", which {RECORD} lists; save the model again.')
    for name, tensor in tensors.items():
        if name not in recorded:
            raise InputError(f'{path} has a tensor "{name}", which {RECORD} does not list; save the model again.')
        found = _described(tensor)
        if found != recorded[name]:
            raise InputError(
                f'{path} has "{name}" as {json.dumps(found)}, but {RECORD} says '
                f"{json.dumps(recorded[name])}; save the model again."
            )


def _check_classes(record: ModelRecord, parameters: Parameters) -> None:
    outputs = len(parameters[f"{record.head}.weight"])
    if outputs != len(record.classes):
        raise InputError(
            f"The model has {outputs} outputs and its record names {len(record.classes)} classes "
            f"({', '.join(record.classes)}); give one name per output."
        )


def _described(tensor: Tensor) -> dict[str, Any]:
    return {"dtype": str(tensor.dtype).removeprefix("torch."), "shape": list(tensor.shape)}
