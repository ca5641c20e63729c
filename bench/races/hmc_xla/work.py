"""The same rows, starts and trajectories as in the race against blackjax."""

import importlib.util
import sys
from pathlib import Path

_path = Path(__file__).resolve().parent.parent / "hmc_blackjax" / "work.py"
_spec = importlib.util.spec_from_file_location("hmc_work", _path)
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
sys.modules["hmc_work"] = _module
_spec.loader.exec_module(_module)
Work, answer, flattened, layers, shared = (
    _module.Work,
    _module.answer,
    _module.flattened,
    _module.layers,
    _module.shared,
)
