"""The same rows, draws and objective as in the race against liblinear."""

import importlib.util
import sys
from pathlib import Path

_path = Path(__file__).resolve().parent.parent / "dfr_liblinear" / "work.py"
_spec = importlib.util.spec_from_file_location("dfr_work", _path)
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
sys.modules["dfr_work"] = _module
_spec.loader.exec_module(_module)
GRID, Objectives, one_by_one, shared = _module.GRID, _module.Objectives, _module.one_by_one, _module.shared
