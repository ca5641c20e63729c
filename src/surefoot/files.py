"""Files that are whole or absent, and names made from content.

Everything surefoot writes goes through `write_atomically` (a temporary sibling, flushed, then renamed), so a
killed run leaves no half-written file. Tensors are safetensors, records are JSON; nothing is ever unpickled.
"""

import hashlib
import json
import os
import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from surefoot.errors import InputError

__all__ = [
    "canonical_json",
    "digest_bytes",
    "digest_file",
    "digest_json",
    "digest_tensor",
    "parse_json",
    "read_json",
    "read_tensors",
    "write_atomically",
    "write_json",
    "write_tensors",
    "write_text",
]


HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""How JSON may write half of a character."""


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Call `write` on a temporary sibling of `path`, then rename it to `path` in one step.

    Raises `InputError` when the folder cannot be written or the disk is full; `path` is then as it was.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.parent / f".{path.name}.{secrets.token_hex(6)}"
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))  # as the umask says, unlike mkstemp
    except OSError as error:
        raise InputError(
            f"Cannot write to {path.parent} ({error.strerror}); choose an output folder that you may write to."
        ) from error
    try:
        write(temporary)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"Could not write {path} ({reason}); free space or choose another output folder. Nothing was left behind."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    write_atomically(path, lambda temporary: _write_bytes(temporary, text.encode()))


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all; NaN and infinity are refused."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write named tensors as safetensors, whole or not at all."""
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(path, lambda temporary: save_file(contiguous, temporary, dict(metadata or {})))


def parse_json(text: str | bytes) -> Any:
    """What a JSON text of a stranger says.

    Raises `ValueError`, and nothing else, for a text that is no JSON or no UTF-8, that is nested too deeply, that has a
    number of too many digits, or half of a character (\\ud800 alone), which no file could be written with.

    >>> parse_json('{"a": [1, 2]}')
    {'a': [1, 2]}
    """
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if HALF.search(text if isinstance(text, str) else text.decode(errors="replace")):
        try:
            json.dumps(found, ensure_ascii=False).encode()
        except (UnicodeEncodeError, RecursionError):
            raise ValueError("it has half of a character, such as \\ud800 alone") from None
    return found


def read_json(path: Path) -> Any:
    """Read one JSON file; raises `InputError` when it is missing or damaged."""
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"There is no file {path}; check the path.") from None
    except OSError as error:
        raise InputError(f"Cannot read {path} ({error.strerror}); check the path.") from None
    except ValueError as error:
        raise InputError(f"{path} is not readable JSON ({error}); it may be cut short: write it again.") from None


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file; raises `InputError` when it is missing or damaged."""
    try:
        return load_file(path)
    except FileNotFoundError:
        raise InputError(f"There is no file {path}; check the path.") from None
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is not a readable safetensors file ({error}); it may be cut short.") from None


def canonical_json(value: Any) -> str:
    """The one spelling of a JSON value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest_bytes(content: bytes) -> str:
    """sha256 as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def digest_json(value: Any) -> str:
    """sha256 of the canonical spelling of a JSON value.

    >>> digest_json({"a": 1, "b": 2}) == digest_json({"b": 2, "a": 1})
    True
    """
    return digest_bytes(canonical_json(value).encode())


def digest_file(path: Path) -> str:
    """sha256 of a file's bytes."""
    try:
        with path.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"Cannot read {path} ({error.strerror}); check the path.") from None


def digest_tensor(tensor: Tensor) -> str:
    """sha256 of a tensor's type, shape and bytes."""
    flat = tensor.detach().cpu().contiguous()
    hashed = hashlib.sha256(f"{flat.dtype}{tuple(flat.shape)}".encode())
    if flat.numel():
        hashed.update(flat.reshape(-1).view(torch.uint8).numpy().data)
    return hashed.hexdigest()


def _write_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)
