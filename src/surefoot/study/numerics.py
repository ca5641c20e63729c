"""What decides the last bits of every number: settled once per study, recorded, part of every address."""

import platform
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch

import surefoot
from surefoot.errors import InputError
from surefoot.files import digest_file, digest_json, read_json, write_json
from surefoot.inference.small.compile import compiler_is_installed
from surefoot.networks.product import measure_product
from surefoot.rows.digits import cache_folder

__all__ = [
    "compiler_of_trajectories",
    "computing_code",
    "numerics_of",
    "one_thread",
    "processor",
    "product_of_this_machine",
    "require_device",
]

CPU_INFO = Path("/proc/cpuinfo")
COMPUTING = (
    "files.py", "rows", "findings", "networks", "density", "inference", "robust", "flex", "bayes",
    "evidence", "supervise", "text", "reason",
    "study/architecture.py", "study/choice/candidates.py", "study/mitigations.py",
    "study/numerics.py", "study/seen.py", "study/stored.py", "study/work", "study/once/opening.py",
    "study/once/flex_train.py", "study/once/reason_arms.py", "study/once/align_arms.py", "study/once/attempt_asking.py",
    "study/once/opinions.py", "study/once/predict.py", "study/once/students.py", "study/once/taught_rows.py",
    "study/once/say_policy_arms.py", "study/once/say_policy_asking.py",
)  # fmt: skip
"""The rooms and modules whose code leaves the numbers of a cell; pages, cards and commands do not."""


@contextmanager
def one_thread() -> Generator[None]:
    """Inside, torch computes on one thread: sums split over threads differ in the last bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def numerics_of(product: str) -> dict[str, Any]:
    """Surefoot's own code, libraries, product path, threads a cell, precision, the processor's vector instructions."""
    return {
        "surefoot": f"{version('surefoot')} {computing_code()[:16]}",
        "product": product,
        "threads": 1,
        "dtype": "float32",
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "pillow": PIL.__version__,
        "vectors": torch.backends.cpu.get_cpu_capability(),
    }


def compiler_of_trajectories() -> str:
    """What makes the trajectories of tiny networks: a compiler and its version, or torch; their last bits differ."""
    return f"llvmlite {version('llvmlite')}" if compiler_is_installed() else "torch"


@cache
def computing_code() -> str:
    """sha256 of the source that computes cells, read once a process.

    Two installations of one version number may differ (a checkout, a patch), and then so may what they compute.
    """
    root = Path(surefoot.__file__).parent
    named = [root / name for name in COMPUTING]
    files = sorted(file for each in named for file in ([each] if each.is_file() else each.rglob("*.py")))
    return digest_json({file.relative_to(root).as_posix(): digest_file(file) for file in files})


def product_of_this_machine() -> str:
    """The product path that is best here, measured once per machine and torch and then remembered.

    A busy machine may measure differently from one day to the next; a remembered choice lets every study of this
    machine agree. Remove `product-….json` from the cache folder to measure anew.
    """
    machine = {"torch": str(torch.__version__), "processor": processor()}
    path = cache_folder() / f"product-{digest_json(machine)[:12]}.json"
    try:
        remembered: Mapping[str, Any] = read_json(path)
        if remembered["machine"] == machine and remembered["name"] in ("default", "onednn"):
            return str(remembered["name"])
    except (InputError, KeyError, TypeError):
        pass
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        choice = measure_product()
    finally:
        torch.set_num_threads(threads)
    write_json(path, {"machine": machine, "name": choice.name, "reason": choice.reason})
    return choice.name


def require_device(named: str) -> torch.device:
    """The device of a name; raises `InputError` when it is unknown to torch or not there."""
    try:
        place = torch.device(named)
        torch.zeros(1, device=place)
    except (RuntimeError, AssertionError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f'The device "{named}" cannot be used here ({reason}); try --device cpu.') from None
    return place


def processor() -> str:
    """The processor's model name."""
    try:
        lines = CPU_INFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()
