"""Running a user's file and the neighbours it imports as modules of their own, named by their content.

Python keeps what it imported under a plain name for as long as the process lives, and bytecode beside the source for
longer. Either could run old code under the address of new code. Here every module of a user is compiled from its
source each time, under a name that says of which code it is part, and `import` in it looks beside the file first.
"""

import builtins
import os
import sys
import sysconfig
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module, invalidate_caches
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import module_from_spec, resolve_name, spec_from_file_location
from pathlib import Path
from threading import RLock
from types import CodeType, ModuleType
from typing import Any

from surefoot.errors import InputError
from surefoot.files import digest_file, digest_json
from surefoot.networks.user_code import LIBRARIES, OURS, UserCode, is_beside, user_code

__all__ = ["USER_MODULE", "run_code", "watched"]

USER_MODULE = "surefoot_user_"
"""How the modules that users' files become are named, before a digest of their place and content."""
LOCKS: dict[str, RLock] = {}
"""For each name of a user's file: held while that file runs, and by no import in it, which may be another thread's."""
LOADED: dict[Path, str] = {}
"""Content of files that Python loads once a process, when a model first imported them."""
PYTHON = tuple({os.path.realpath(sysconfig.get_path(each)) + os.sep for each in ("stdlib", "platstdlib")})
OWN = str(Path(__file__).resolve().parents[1]) + os.sep


def run_code(path: Path) -> ModuleType:
    """Run a Python file, and what it imports from beside it, anew.

    The modules stay in `sys.modules`, where inspection, dataclasses and pickling need them, each as
    `surefoot_user_<digest>.<name>`; another content has another digest. What the file puts on `sys.path` is taken off
    again: what a name stands for must not depend on which models ran before.

    Raises `InputError` when the file is not Python, imports a file in a way that its text does not show, or imports one
    that this process has loaded from elsewhere and that has changed; and whatever the code raises.
    """
    code = user_code(path)
    _refuse_changed(path, code)
    alias = f"{USER_MODULE}{digest_json([str(path.resolve()), code.digest()])[:16]}"
    running = _Running(alias, code)
    spec = spec_from_file_location(alias, path, loader=_Fresh(alias, str(path), running))
    if spec is None or path.suffix != ".py":
        raise InputError(f"{path} is not a Python file; name the model as file.py:Net.")
    spec.submodule_search_locations = [str(path.resolve().parent)]
    with LOCKS.setdefault(alias, RLock()):
        invalidate_caches()
        RUNS[alias] = running
        with running.watched():
            return running.load(spec)


@contextmanager
def watched(module: ModuleType) -> Generator[None]:
    """While more of a module's code runs, its model being built: refuse imports that its text does not show."""
    with RUNS[module.__name__].watched():
        yield


class _Fresh(SourceFileLoader):
    """Compiles from the source, whatever bytecode lies beside it: that is told apart by size and seconds alone."""

    def __init__(self, fullname: str, path: str, running: "_Running") -> None:
        super().__init__(fullname, path)
        self.running = running

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": self.running.bring}
        super().exec_module(module)


@dataclass(frozen=True)
class _Running:
    """The code of one model as it runs; `bring` is what its modules have for `import`."""

    alias: str
    code: UserCode

    @cached_property
    def elsewhere(self) -> set[str]:
        """The code that lies elsewhere, by the names of its files and by those that links lead to."""
        return {name for each in self.code.elsewhere.values() for name in (str(each), os.path.realpath(each))}

    def load(self, spec: ModuleSpec) -> ModuleType:
        """Run the model's file, which is known under its names while it runs and forgotten when it fails."""
        file = self.code.file
        module = module_from_spec(spec)
        self._forget()
        sys.modules[self.alias] = module
        if not (file.with_suffix("") / "__init__.py").is_file():
            sys.modules[f"{self.alias}.{file.stem}"] = module
        try:
            if spec.loader is not None:
                spec.loader.exec_module(module)
        except BaseException:
            self._forget()
            sys.modules.pop(self.alias, None)
            raise
        return module

    def bring(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """`import` as Python does it, with modules beside the file before those elsewhere."""
        first = name.partition(".")[0]
        if level:
            whole = resolve_name("." * level + name, str((globals or {}).get("__package__") or self.alias))
        elif is_beside(first, self.code.file.parent):
            whole = f"{self.alias}.{name}"
        else:
            module = builtins.__import__(name, globals, locals, fromlist or (), level)
            if first not in OURS and not first.startswith(USER_MODULE):
                self._refuse_elsewhere(name, fromlist or ())
            return module
        try:
            if fromlist:
                return builtins.__import__(whole, None, None, fromlist)
            import_module(whole)
            return import_module(f"{self.alias}.{first}")
        except ModuleNotFoundError as error:
            below = f"{self.alias}."
            if not (error.name or "").startswith(below):
                raise
            plain = str(error.name).removeprefix(below)
            raise ModuleNotFoundError(str(error).replace(below, ""), name=plain) from None

    def find(self, whole: str, path: Sequence[str]) -> ModuleSpec | None:
        """Where a module below the alias is, whichever way it is imported."""
        spec = PathFinder.find_spec(whole, path)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            file = spec.loader.path
            if Path(file) not in self.code.files.values():
                raise self._unseen(file)
            spec.loader = _Fresh(whole, file, self)
        return spec

    @contextmanager
    def watched(self) -> Generator[None]:
        """Refuse, and forget, what is loaded meanwhile and no part of the code; take off the path what is put on it."""
        before, path = dict(sys.modules), list(sys.path)
        unseen: list[str] = []
        try:
            yield
        finally:
            for each in [each for each in sys.path if each not in path]:
                with suppress(ValueError):
                    sys.path.remove(each)
            unseen += self._loaded_since(before)
        if unseen:
            raise self._unseen(unseen[0])

    def _loaded_since(self, before: Mapping[str, ModuleType]) -> Iterator[str]:
        """Files of new modules that are no part of the code; a part under a plain name must not change from here on."""
        beside = {os.path.realpath(each): each for each in self.code.files.values()}
        known = self.elsewhere | {os.path.realpath(each) for each in LOADED}
        for (
            name,
            module,
        ) in sys.modules.copy().items():  # a list of its items is not made in one step: other threads import
            file = _source(module)
            if before.get(name) is module or name.startswith(USER_MODULE) or name.partition(".")[0] in OURS:
                continue
            if file is None or _is_installed(file) or (real := os.path.realpath(file)) in known:
                continue
            if real in beside:
                LOADED.setdefault(beside[real], digest_file(beside[real]))
            else:
                sys.modules.pop(name, None)
                yield file

    def _refuse_elsewhere(self, name: str, fromlist: Sequence[str]) -> None:
        """Refuse what a statement has brought from elsewhere when that was not found before the code ran."""
        parts = name.split(".")
        names = [".".join(parts[:end]) for end in range(1, len(parts) + 1)] + [f"{name}.{each}" for each in fromlist]
        for file in filter(None, (_source(sys.modules.get(each)) for each in names)):
            if file not in self.elsewhere and not _is_installed(file) and os.path.realpath(file) not in self.elsewhere:
                raise self._unseen(file)

    def _unseen(self, file: str) -> InputError:
        path, folder = Path(os.path.normpath(file)), self.code.file.parent
        how = f"with its folder on PYTHONPATH or beside {self.code.file.name}"
        if path.is_relative_to(folder):
            parts = path.relative_to(folder).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            if parts and all(each.isidentifier() for each in parts):
                how = f"import {'.'.join(parts)}"
        return InputError(
            f"{self.code.file} imports {path} in a way that its text does not show; import it by a statement ({how}), "
            "so that a change of it is noticed."
        )

    def _forget(self) -> None:
        for name in [name for name in list(sys.modules) if name.startswith(f"{self.alias}.")]:
            sys.modules.pop(name, None)


class _Finder(MetaPathFinder):
    """Gives `importlib` the modules of users, whose files import by name, as `bring` gives them to statements."""

    def find_spec(
        self, fullname: str, path: Iterable[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        running = RUNS.get(fullname.partition(".")[0])
        return None if running is None or path is None else running.find(fullname, [*path])


RUNS: dict[str, _Running] = {}
sys.meta_path.insert(0, _Finder())


def _refuse_changed(path: Path, code: UserCode) -> None:
    """Refuse code of which Python, which loads a plain name once a process, would run what it was before."""
    for each in [*code.elsewhere.values(), *(each for each in code.files.values() if each in LOADED)]:
        content = digest_file(each)
        if LOADED.setdefault(each, content) != content:
            advice = f"keep it beside {path.name}"
            if each in code.files.values():
                advice = "import it by a statement, not by importlib"
            raise InputError(
                f"{each}, which {path} imports, has changed since this process loaded it; start Python anew, or "
                f"{advice}."
            )


def _source(module: object) -> str | None:
    """The Python file of a module, which a lazy one is not loaded for."""
    try:
        content: Any = object.__getattribute__(module, "__dict__")
    except AttributeError:
        return None
    file: object = content.get("__file__")
    return file if isinstance(file, str) and file.endswith(".py") and os.path.isfile(file) else None


@cache
def _is_installed(file: str) -> bool:
    """Whether a file is of Python, of surefoot or of an installed library."""
    return bool(LIBRARIES & {*Path(file).parts}) or os.path.realpath(file).startswith((*PYTHON, OWN))
