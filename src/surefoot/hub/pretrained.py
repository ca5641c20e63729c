"""Models in Hugging Face folders, opened offline: safetensors, never a pickle, no code of theirs unless trusted.

A folder on this machine never touches the network. A name that is no folder is fetched from the hub once, into the
hub's own cache, and opened as a folder from there.
"""

import inspect
import json
import re
import warnings
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from surefoot.errors import InputError
from surefoot.files import digest_json, read_json
from surefoot.hub.encoder import Encoder, Pooling, Reads
from surefoot.hub.layers import find_head
from surefoot.hub.readers import ImageReader, TextReader

__all__ = ["fetch_folder", "open_folder", "quiet_transformers"]

HEADED = ("ForSequenceClassification", "ForImageClassification")
FETCHED = ("*.json", "*.txt", "*.model", "*.jinja", "*.safetensors")
PICKLED = ("pytorch_model.bin", "pytorch_model-*.bin")
PROCESSORS = ("preprocessor_config.json", "processor_config.json")
TOKENIZERS = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "spiece.model", "tokenizer.model")
UNBOUNDED = 100_000
"""Tokenizers that know no longest text say a number far above this."""
LONGEST = 512
POOLINGS: Mapping[str, Pooling] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "last",
}


def open_folder(folder: Path, *, trust_code: bool = False) -> Encoder:
    """The encoder in a Hugging Face folder: text or image classification, a plain encoder, or a sentence encoder.

    Features are the input of the last linear layer that returns the logits; without one, last hidden states: the
    pooling that a sentence encoder names, else the mean over a text's tokens, an image's class token, or the mean
    over pixels.

    Raises `InputError` when the folder is incomplete, lacks weights (they would be random), needs code of its own, or
    is of a kind whose head is not one linear layer on one vector a row.
    """
    config = _read_config(folder)
    if config.get("auto_map") and not trust_code:
        raise InputError(
            f"The model in {folder} runs Python code that came with it; if you trust that code, pass --trust-code "
            "(in Python: trust_code=True)."
        )
    names = cast("list[str]", config.get("architectures") or [])
    headed = bool(names) and names[0].endswith(HEADED)
    described = _sentence_encoder(folder)
    module, missing = _load(folder, names, headed, trust_code)
    reads: Reads = "images" if module.main_input_name == "pixel_values" else "texts"
    if reads == "texts" and module.main_input_name != "input_ids":
        raise InputError(
            f"The model in {folder} reads {module.main_input_name}; surefoot reads models of texts or images."
        )
    reader = (
        _image_reader(folder, config, trust_code)
        if reads == "images"
        else _text_reader(folder, module, config, described, trust_code)
    )
    head = find_head(module, reader, folder) if headed else None
    usual: Pooling = "cls" if reads == "images" else "last" if head is not None and head.of_tokens else "mean"
    labels = cast("dict[str, str]", config.get("id2label") or {})
    classes = tuple(labels[key] for key in sorted(labels, key=int))
    named = headed and bool(classes) and not all(re.fullmatch(r"LABEL_\d+", each) for each in classes)
    return Encoder(
        name=f"{names[0] if names else config.get('model_type', 'model')} in {folder.name}",
        reads=reads,
        module=module,
        reader=reader,
        head=None if head is None else head.name,
        pooling=described.get("pooling") or usual,
        normalise=bool(described.get("normalise")),
        classes=classes if named else None,
        folder=folder,
        untrained=tuple(missing),
    )


def fetch_folder(name: str) -> Path:
    """The folder of a model on the Hugging Face hub, downloaded once; weights as safetensors where there are any."""
    with quiet_transformers():
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError

        try:
            folder = Path(snapshot_download(name, allow_patterns=list(FETCHED)))
            if not any(folder.glob("*.safetensors")):
                folder = Path(snapshot_download(name, allow_patterns=[*FETCHED, *PICKLED]))
        except HFValidationError:
            raise InputError(
                f'There is no folder "{name}", and it is no name of a model on the hub either; give a folder, '
                "organisation/model, file.py:Net, minilm or efficientnet-lite0."
            ) from None
        except (OSError, ValueError, RuntimeError, HfHubHTTPError) as error:
            reason = _first_line(error)
            raise InputError(
                f'There is no folder "{name}", and no model of that name could be fetched from the hub ({reason}); '
                "check the name and the network, or give a folder that holds the model."
            ) from None
    return folder


@contextmanager
def quiet_transformers() -> Generator[Any]:
    """transformers, imported when needed, without its progress bars, its advice and its warnings about others."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import transformers
        except ImportError:
            raise InputError(
                'Models of the hub need transformers, which is not installed: pip install "surefoot[hub]"'
            ) from None
        logging = transformers.utils.logging
        level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        try:
            yield transformers
        finally:
            logging.set_verbosity(level)
            if bars:
                logging.enable_progress_bar()


def _read_config(folder: Path) -> dict[str, Any]:
    for path in (folder / "config.json", folder / "0_Transformer" / "config.json"):
        if path.is_file():
            config = read_json(path)
            if isinstance(config, dict):
                return cast("dict[str, Any]", config)
            raise InputError(f"{path} is no model configuration; give a folder that save_pretrained wrote.")
    raise InputError(f"{folder} holds no config.json; give a folder that save_pretrained wrote.")


def _load(folder: Path, names: Sequence[str], headed: bool, trust_code: bool) -> tuple[Any, list[str]]:
    """The module in float32, and the names of its tensors that the folder has no weights for."""
    inside = folder if (folder / "config.json").is_file() else folder / "0_Transformer"
    with quiet_transformers() as transformers:
        kind = transformers.AutoModel
        if headed and names[0].endswith("ForImageClassification"):
            kind = transformers.AutoModelForImageClassification
        elif headed:
            kind = transformers.AutoModelForSequenceClassification
        try:
            module, info = kind.from_pretrained(
                str(inside),
                local_files_only=True,
                trust_remote_code=trust_code,
                weights_only=True,
                dtype=torch.float32,
                output_loading_info=True,
            )
        except Exception as error:
            reason = _first_line(error)
            raise InputError(
                f"The model in {folder} could not be loaded ({reason}); check that it is complete."
            ) from error
    missing = sorted(str(name) for name in info["missing_keys"])
    lost = [name for name in missing if not name.startswith("pooler.")]
    if lost:
        raise InputError(
            f"The weights in {folder} lack {len(lost)} tensors of the model (such as {lost[0]}), which would be "
            "random; give a folder whose weights are complete."
        )
    return module.eval(), missing


def _sentence_encoder(folder: Path) -> dict[str, Any]:
    """What the files of a sentence encoder say: pooling, normalise, longest; nothing for other models."""
    path = folder / "modules.json"
    if not path.is_file():
        return {}
    told: dict[str, Any] = {}
    for part in cast("list[dict[str, Any]]", read_json(path)):
        kind = str(part["type"]).rsplit(".", 1)[-1]
        if kind == "Pooling":
            modes = cast("dict[str, Any]", read_json(folder / str(part["path"]) / "config.json"))
            on = [name for name, value in modes.items() if name.startswith("pooling_mode") and value is True]
            if modes.get("pooling_mode") in ("mean", "cls", "lasttoken"):
                told["pooling"] = POOLINGS.get(f"pooling_mode_{modes['pooling_mode']}", modes["pooling_mode"])
            elif len(on) == 1 and on[0] in POOLINGS:
                told["pooling"] = POOLINGS[on[0]]
            else:
                raise InputError(
                    f"The sentence encoder in {folder} pools by {', '.join(on) or modes.get('pooling_mode')}; surefoot "
                    "knows the mean of the tokens, the first and the last: name a layer, or give another encoder."
                )
        elif kind == "Normalize":
            told["normalise"] = True
        elif kind != "Transformer":
            raise InputError(
                f"The sentence encoder in {folder} has a part {kind}, which surefoot does not know; give an encoder "
                "of a transformer, a pooling and a normalisation."
            )
    for name in ("sentence_bert_config.json", "0_Transformer/sentence_bert_config.json"):
        if (folder / name).is_file():
            told["longest"] = cast("dict[str, Any]", read_json(folder / name)).get("max_seq_length")
    return told


def _text_reader(
    folder: Path, module: Any, config: Mapping[str, Any], described: Mapping[str, Any], trust_code: bool
) -> TextReader:
    inside = folder if (folder / "config.json").is_file() else folder / "0_Transformer"
    with quiet_transformers() as transformers:
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                str(inside), local_files_only=True, trust_remote_code=trust_code
            )
        except Exception as error:
            if any((inside / name).is_file() for name in TOKENIZERS):
                lacks = f"its tokenizer could not be loaded ({_first_line(error)})"
            else:
                lacks = "the folder holds no tokenizer"
            raise InputError(
                f"The model in {folder} reads texts, and {lacks}; copy the tokenizer's files from {_origin(config)}."
            ) from error
    names = tuple(name for name in tokenizer.model_input_names if name in _arguments(module))
    if not {*tokenizer.get_vocab()} - {*tokenizer.all_special_tokens}:
        # What the library makes up where it finds no file: every word would be the unknown one.
        raise InputError(
            f"The model in {folder} reads texts, and the folder holds no tokenizer that knows a word; copy the "
            f"tokenizer's files from {_origin(config)}."
        )
    if tokenizer.pad_token_id is None:
        _pad_with_the_end(folder, module, tokenizer, names)
    bounds = [
        described.get("longest"),
        tokenizer.model_max_length,
        # RoBERTa counts its positions from padding_idx + 1.
        (getattr(module.config, "max_position_embeddings", None) or UNBOUNDED)
        - (2 if module.config.model_type in {"roberta", "xlm-roberta", "camembert"} else 0),
    ]
    longest = min((int(bound) for bound in bounds if bound and bound < UNBOUNDED), default=LONGEST)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    settings = {
        "tokenizer": digest_json(json.loads(backend.to_str()) if backend is not None else tokenizer.get_vocab()),
        "longest": longest,
        "names": list(names),
    }
    return TextReader(tokenizer, longest, names, settings)


def _pad_with_the_end(folder: Path, module: Any, tokenizer: Any, names: Sequence[str]) -> None:
    """Pad with the token that ends texts: a mask says what is a text's own. So GPT-2 and its like are read."""
    if tokenizer.eos_token_id is None or "attention_mask" not in names:
        raise InputError(f"The tokenizer in {folder} has no padding token; set one and save it again.")
    tokenizer.pad_token = tokenizer.eos_token
    if module.config.pad_token_id is None:  # where its library's classifier of sequences looks for a text's end
        module.config.pad_token_id = tokenizer.pad_token_id


def _origin(config: Mapping[str, Any]) -> str:
    """The model that this one was made from, as far as its configuration says."""
    named = str(config.get("_name_or_path") or "")
    if named and not Path(named).exists():
        return f"{named}, which it was made from"
    return f"the {config.get('model_type', 'base')} model that it was made from"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _arguments(module: nn.Module) -> tuple[str, ...]:
    return tuple(inspect.signature(type(module).forward).parameters)


def _image_reader(folder: Path, config: Mapping[str, Any], trust_code: bool) -> ImageReader:
    with quiet_transformers() as transformers:
        try:
            processor = transformers.AutoImageProcessor.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=trust_code, backend="pil"
            )
        except Exception as error:
            if any((folder / name).is_file() for name in PROCESSORS):
                lacks = f"its {PROCESSORS[0]} could not be read ({_first_line(error)})"
            else:
                lacks = f"the folder holds no {PROCESSORS[0]}, which says how pixels are prepared"
            raise InputError(
                f"The model in {folder} reads images, and {lacks}; copy that file from {_origin(config)}."
            ) from error

    def pixels(images: Sequence[Any]) -> Tensor:
        with quiet_transformers():
            return cast("Tensor", processor(images=list(images), return_tensors="pt")["pixel_values"])

    told = {key: value for key, value in processor.to_dict().items() if not key.startswith("_")}
    settings = {
        "processor": json.loads(json.dumps(told, default=str, sort_keys=True)),
        "model": config.get("model_type"),
    }
    return ImageReader(pixels, settings)
