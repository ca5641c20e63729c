"""The same rows, networks, steps and regression as in the race against posteriors."""

import importlib.util
import sys
from pathlib import Path

_path = Path(__file__).resolve().parent.parent / "sghmc_posteriors" / "work.py"
_spec = importlib.util.spec_from_file_location("sghmc_work", _path)
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
sys.modules["sghmc_work"] = _module
_spec.loader.exec_module(_module)
VARIANCE_BATCH, VARIANCE_DECAY = _module.VARIANCE_BATCH, _module.VARIANCE_DECAY
VARIANCE_STEP, VARIANCE_STEPS = _module.VARIANCE_STEP, _module.VARIANCE_STEPS
Work, answer, regression, shared, variance = (
    _module.Work,
    _module.answer,
    _module.regression,
    _module.shared,
    _module.variance,
)
