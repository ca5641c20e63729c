"""Running a user's file and the neighbours it imports as modules of their own, named by their content.

Python keeps what it imported under a plain name for as long as the process lives, and bytecode beside the source for
longer. Either could run old code under the address of new code. Here every module of a user is compiled from its
source each time, under a name that says of which code it is part, and `import` in it looks beside the file first.
"""

import builtins
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import invalidate_caches
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import module_from_spec, resolve_name, spec_from_file_location
from pathlib import Path
from threading import RLock
from types import CodeType, ModuleType
from typing import Any

from surefoot.errors import InputError
from surefoot.files import digest_file, digest_json
from surefoot.networks.user_code import UserCode, is_beside, user_code

__all__ = ["USER_MODULE", "run_code"]

USER_MODULE = "surefoot_user_"
"""How the modules that users' files become are named, before a digest of their place and content."""
RUNNING = RLock()
LOADED: dict[Path, str] = {}
"""Content of files elsewhere on the path, which Python loads once a process, when a model first imported them."""


def run_code(path: Path) -> ModuleType:
    """Run a Python file, and what it imports from beside it, anew.

    The modules stay in `sys.modules`, where inspection, dataclasses and pickling need them, each as
    `surefoot_user_<digest>.<name>`; another content has another digest.

    Raises `InputError` when the file is not Python, imports a file in a way that its text does not show, or imports one
    that this process has loaded from elsewhere and that has changed; and whatever the code raises.
    """
    code = user_code(path)
    for each in code.elsewhere.values():
        content = digest_file(each)
        if LOADED.setdefault(each, content) != content:
            raise InputError(
                f"{each}, which {path} imports, has changed since this process loaded it; start Python anew, or keep "
                f"it beside {path.name}."
            )
    alias = f"{USER_MODULE}{digest_json([str(path.resolve()), code.digest()])[:16]}"
    spec = spec_from_file_location(alias, path, loader=_Fresh(alias, str(path)))
    if spec is None or path.suffix != ".py":
        raise InputError(f"{path} is not a Python file; name the model as file.py:Net.")
    spec.submodule_search_locations = [str(path.resolve().parent)]
    with RUNNING:
        invalidate_caches()
        for name in [name for name in sys.modules if name == alias or name.startswith(f"{alias}.")]:
            del sys.modules[name]
        return _Running(alias, code).load(spec)


class _Fresh(SourceFileLoader):
    """Compiles from the source, whatever bytecode lies beside it: that is told apart by size and seconds alone."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


@dataclass(frozen=True)
class _Running:
    """The code of one model as it runs; `bring` is what its modules have for `import`."""

    alias: str
    code: UserCode

    def load(self, spec: ModuleSpec) -> ModuleType:
        """Run one module, which is known under its name while it runs and forgotten when it fails."""
        module = module_from_spec(spec)
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": self.bring}
        sys.modules[spec.name] = module
        try:
            if spec.loader is not None:
                spec.loader.exec_module(module)
        except BaseException:
            sys.modules.pop(spec.name, None)
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
        folder = self.code.file.parent
        if level:
            whole = resolve_name("." * level + name, str((globals or {}).get("__package__") or self.alias))
        elif is_beside(name.partition(".")[0], folder):
            whole = f"{self.alias}.{name}"
        else:
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        with RUNNING:
            module = self._module(whole)
            if not fromlist:
                return self._module(f"{self.alias}.{name.partition('.')[0]}")
            for each in [*fromlist, *getattr(module, "__all__", ())] if "*" in fromlist else fromlist:
                if each != "*" and not hasattr(module, each) and hasattr(module, "__path__"):
                    self._submodule(f"{whole}.{each}")
            return module

    def _submodule(self, whole: str) -> None:
        """Load a module that a name might stand for, if there is one."""
        try:
            self._module(whole)
        except ModuleNotFoundError as error:
            if error.name != whole.removeprefix(f"{self.alias}."):
                raise

    def _module(self, whole: str) -> ModuleType:
        """The module of this name below the alias, after those it lies in."""
        if whole in sys.modules:
            return sys.modules[whole]
        above, _, last = whole.rpartition(".")
        parent = self._module(above) if above else None
        spec = PathFinder.find_spec(whole, getattr(parent, "__path__", []))
        if spec is None:
            plain = whole.removeprefix(f"{self.alias}.")
            raise ModuleNotFoundError(f"No module named '{plain}'", name=plain)
        if isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Fresh(whole, spec.loader.path)
            self._refuse_unseen(Path(spec.loader.path))
        module = self.load(spec)
        setattr(parent, last, module)
        return module

    def _refuse_unseen(self, path: Path) -> None:
        if path not in self.code.files.values():
            raise InputError(
                f"{self.code.file} imports {path} in a way that its text does not show; import it by a statement at "
                "the top of the file, so that a change of it is noticed."
            )
