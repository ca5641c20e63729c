"""A taught model as a Hugging Face folder: low-rank differences merged, whole or absent, and read back.

A decoder becomes what its library calls a classifier of sequences, head and all. Libraries have no class for an
encoder's mean under one linear layer, so an encoder becomes a sentence encoder (the body, and the mean as its pooling)
with the head beside it, in `head.safetensors`. Both are read by `open_folder`, by `from_pretrained`, and, as the model
that was kept, by `open_tuned`.

A library's classifier takes the last token that is not its padding's number, so texts that end in that very token are
pooled one token earlier there than here.
"""

import copy
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from surefoot.errors import InputError
from surefoot.files import read_json, read_tensors, write_json, write_tensors
from surefoot.hub.pretrained import open_folder, quiet_transformers
from surefoot.hub.readers import TextReader
from surefoot.hub.tuning.adapt import merged
from surefoot.hub.tuning.classifier import TextClassifier, linear_head
from surefoot.hub.tuning.tune import TunedText

__all__ = ["HEAD", "RECORD", "check_can_keep", "keep_tuned", "open_tuned"]

HEAD, RECORD = "head.safetensors", "surefoot_tuned.json"


def check_can_keep(classifier: TextClassifier) -> None:
    """Raise `InputError` for a decoder that its library has no classifier of sequences for, before it is taught."""
    if classifier.pools == "last":
        with quiet_transformers() as transformers, torch.device("meta"):
            _empty_classifier(transformers, copy.deepcopy(cast("Any", classifier.body).config))


def keep_tuned(tuned: TunedText, folder: Path, told: Mapping[str, Any] | None = None) -> Path:
    """Write the model as `folder`; returns it. told: plain JSON on where it came from.

    Raises `InputError` when the folder exists, and for a decoder that its library has no classifier of sequences for.
    """
    if folder.exists():
        raise InputError(f"{folder} exists already; choose another folder, or remove it.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = folder.parent / f".{folder.name}.{secrets.token_hex(6)}"
    body: Any = merged(tuned.classifier.body).cpu()
    weight = tuned.classifier.head.weight.detach().cpu()
    try:
        with quiet_transformers() as transformers:
            if tuned.classifier.pools == "last":
                _classifier(transformers, body, weight, tuned).save_pretrained(str(beside))
            else:
                body.save_pretrained(str(beside))
                _pooling(beside, body.config.hidden_size, tuned.reader.longest)
                write_tensors(beside / HEAD, {"weight": weight.contiguous()})
            tuned.reader.tokenizer.save_pretrained(str(beside))
        write_json(
            beside / RECORD,
            {"name": tuned.name, "classes": tuned.classes, "losses": tuned.losses, "cut": tuned.cut,
             "seen": sorted(tuned.seen), "provenance": dict(told or {})},
        )  # fmt: skip
        beside.replace(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return folder


def open_tuned(folder: Path) -> TunedText:
    """The model that `keep_tuned` wrote. Raises `InputError` for another folder."""
    if not (folder / RECORD).is_file():
        raise InputError(f"{folder} holds no {RECORD}; give a folder that keep_tuned wrote.")
    told = cast("dict[str, Any]", read_json(folder / RECORD))
    encoder = open_folder(folder)
    body: Any = encoder.module
    if encoder.head is None:
        weight = read_tensors(folder / HEAD)["weight"]
    else:
        weight = cast("nn.Linear", body.get_submodule(encoder.head)).weight.detach()
        body = body.base_model
    return TunedText(
        str(told["name"]),
        TextClassifier(body, linear_head(weight), "mean" if encoder.head is None else "last").eval(),
        cast("TextReader", encoder.reader),
        tuple(told["classes"]),
        tuple(told["losses"]),
        int(told["cut"]),
        frozenset(told["seen"]),
    )


def _classifier(transformers: Any, body: Any, weight: Tensor, tuned: TunedText) -> Any:
    config = body.config
    config.num_labels = len(tuned.classes)
    config.id2label = dict(enumerate(tuned.classes))
    config.label2id = {name: number for number, name in enumerate(tuned.classes)}
    config.pad_token_id = tuned.reader.tokenizer.pad_token_id
    module = _empty_classifier(transformers, config)
    module.base_model.load_state_dict(body.state_dict())
    with torch.no_grad():
        module.score.weight.copy_(weight)
    return module.eval()


def _empty_classifier(transformers: Any, config: Any) -> Any:
    """A classifier of sequences whose head is one linear layer without a bias, called `score`."""
    try:
        with torch.random.fork_rng(devices=[]):  # its first weights are drawn, and replaced below
            module = transformers.AutoModelForSequenceClassification.from_config(config)
    except ValueError:
        raise InputError(
            f"transformers has no classifier of sequences for {config.model_type}, so this model cannot be kept as one."
        ) from None
    head = getattr(module, "score", None)
    if not isinstance(head, nn.Linear) or len(list(head.parameters())) != 1:
        raise InputError(f"{type(module).__name__} has another head than one linear layer; it cannot be kept as one.")
    return module


def _pooling(folder: Path, width: int, longest: int) -> None:
    """The files by which a sentence encoder says that it takes the mean over tokens."""
    kind = "sentence_transformers.models"
    parts = [
        {"idx": 0, "name": "0", "path": "", "type": f"{kind}.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": f"{kind}.Pooling"},
    ]
    write_json(folder / "modules.json", parts)
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": longest})
    told = {"word_embedding_dimension": width, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}
    write_json(folder / "1_Pooling" / "config.json", told)
