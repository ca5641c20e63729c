"""Which code a user's model is made of: what stands beside its file, and what it imports from there.

Found by reading, not by running: the address of a training must be known before anything untrusted runs.
"""

import ast
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Lock

from surefoot.errors import InputError
from surefoot.files import digest_file, digest_json

__all__ = ["LIBRARIES", "OURS", "UserCode", "digest_code", "is_beside", "user_code"]

MOST = 2000  # Python files, or folders, of one imported package
OURS = frozenset({"PIL", "numpy", "surefoot", "torch"})
"""Libraries whose versions are in every address anyway; a folder of that name beside a model does not hide them."""
LIBRARIES = frozenset({"dist-packages", "site-packages"})
"""Folders that libraries are installed in, which count by their versions."""
READ = (".bin", ".json", ".npy", ".npz", ".pt", ".pth", ".safetensors", ".toml", ".yaml", ".yml")
"""How the names of files end that code reads when it builds a model."""


@dataclass
class UserCode:
    """The file of a model and all it may be made of.

    files: Python files beside it and in the packages beside it that are imported, by name. elsewhere: those of packages
    that lie neither there nor where libraries are installed. named: files of weights or settings that stand beside
    the code and are named in it. libraries: what else is imported, each with its version.
    """

    file: Path
    files: dict[str, Path] = field(default_factory=dict[str, Path])
    elsewhere: dict[str, Path] = field(default_factory=dict[str, Path])
    named: dict[str, Path] = field(default_factory=dict[str, Path])
    libraries: dict[str, str] = field(default_factory=dict[str, str])

    def digest(self) -> str:
        """sha256 of the content of all of it."""
        parts = {"files": self.files, "elsewhere": self.elsewhere, "named": self.named}
        content = {part: {name: digest_file(path) for name, path in files.items()} for part, files in parts.items()}
        return digest_json({**content, "libraries": self.libraries})


def digest_code(file: Path) -> str:
    """sha256 of the code that the model in this file is made of."""
    return user_code(file).digest()


def user_code(file: Path) -> UserCode:
    """What the model in `file` is made of: the modules beside it, and every package that it imports from there.

    Imports are followed from the file; of a package in a folder beside it, every file counts, whichever of them is
    imported. Packages that lie neither there nor where libraries are installed count in the same way.

    Raises `InputError` when an imported package is too large to be a model's code.
    """
    file = file.resolve()
    folder = file.parent
    code = UserCode(file, {each.name: each for each in sorted({file, *folder.glob("*.py")}) if each.is_file()})
    unread = [file]
    known: set[tuple[str, bool]] = set()
    while unread:
        reading = unread.pop()
        tree = _parsed(reading)
        for name in _texts(tree):
            if name.endswith(READ) and (folder / name).is_file():
                code.named[name] = folder / name
        for name, relative in set(_imported(tree, _depth(reading, folder))) - known:
            known.add((name, relative))
            unread += _take(name, relative, folder, code)
    return code


def is_beside(name: str, folder: Path, relative: bool = False) -> bool:
    """Whether a user's module in `folder` that imports `name` is given what stands beside it.

    Python's own modules and the libraries that surefoot computes with are not replaced, and a folder without
    `__init__.py` gives way to an installed package, as everywhere in Python; a relative import means neither.
    """
    if relative:
        return (folder / f"{name}.py").is_file() or (folder / name).is_dir()
    if name in sys.stdlib_module_names or name in OURS:
        return False
    if (folder / f"{name}.py").is_file() or (folder / name / "__init__.py").is_file():
        return True
    if not (folder / name).is_dir():
        return False
    elsewhere = _found(name)
    return elsewhere is None or elsewhere.origin is None


def _take(name: str, relative: bool, folder: Path, code: UserCode) -> list[Path]:
    """Put what a first name of an import stands for into `code`; the files that are to be read in turn."""
    if is_beside(name, folder, relative):
        package, module = folder / name, folder / f"{name}.py"
        found = list(_python_files(package, code.file)) if package.is_dir() else []
        found += [module] if module.is_file() else []
        code.files.update({each.relative_to(folder).as_posix(): each for each in found})
        return found
    if relative or name in sys.stdlib_module_names or name in OURS:
        return []
    spec = _found(name)
    places = [] if spec is None else [*(spec.submodule_search_locations or ())] or [spec.origin]
    taken: list[Path] = []
    for root in (Path(place) for place in places if place is not None and Path(place).exists()):
        if LIBRARIES & {*root.parts}:
            code.libraries[name] = _version(name, root)
            continue
        found = list(_python_files(root, code.file)) if root.is_dir() else [root]
        for each in found:
            code.elsewhere.setdefault(each.relative_to(root.parent).as_posix(), each)
        taken += found
    return taken


def _found(name: str) -> ModuleSpec | None:
    """Where Python would find a module, which is not loaded by asking."""
    found = (finder.find_spec(name, None) for finder in sys.meta_path)
    return next((spec for spec in found if spec is not None), None)


def _version(name: str, root: Path) -> str:
    """The version of an installed library; where its package is called otherwise, what its first file says."""
    try:
        return version(name)
    except PackageNotFoundError:
        first = root / "__init__.py" if root.is_dir() else root
        return digest_file(first) if first.is_file() else ""


def _python_files(package: Path, file: Path) -> Iterator[Path]:
    """The Python files of a package, links followed; not those of hidden folders, caches and environments."""
    visited: set[str] = set()
    count = 0
    for place, folders, names in os.walk(package, followlinks=True):
        real = os.path.realpath(place)
        if real in visited or "pyvenv.cfg" in names:
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(each for each in folders if not each.startswith(".") and each != "__pycache__")
        for name in sorted(names):
            if name.endswith(".py"):
                count += 1
                yield Path(place, name)
        if max(count, len(visited)) > MOST:
            raise InputError(
                f"{file} imports {package.name}, and {package} holds more than {MOST:,} Python files or folders; keep "
                "what the model needs in a folder of its own, so that a change of it can be noticed."
            )


_PARSING = Lock()
"""Python 3.11 counts the depth of what it parses for all threads together, and fails where two parse at once."""


def _parsed(file: Path) -> ast.Module:
    """A file's syntax; an empty one where it has none, which shows when it runs."""
    try:
        with _PARSING:
            return ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return ast.Module([], [])


def _depth(file: Path, folder: Path) -> int | None:
    """How many packages below the folder a file lies in; None where it does not lie there."""
    return len(file.parent.relative_to(folder).parts) if file.is_relative_to(folder) else None


def _imported(tree: ast.Module, depth: int | None) -> Iterator[tuple[str, bool]]:
    """The first names of all imports, wherever in the file they stand, and whether they are relative.

    A relative import counts where it reaches the folder of the model; one that stays in a package finds it counted.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((each.name.partition(".")[0], False) for each in node.names)
        elif isinstance(node, ast.ImportFrom) and (not node.level or node.level - 1 == depth):
            if node.module is not None:
                yield node.module.partition(".")[0], node.level > 0
            else:
                yield from ((each.name, True) for each in node.names)


def _texts(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
