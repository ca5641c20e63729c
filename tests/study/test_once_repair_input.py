"""Features that no repair can use are told in a sentence."""

from pathlib import Path

import numpy as np
import pytest

from surefoot.errors import InputError
from surefoot.study.once_repair import repair_features


def test_rows_of_one_class_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "one.npz", inputs=np.random.default_rng(0).normal(size=(40, 3)), y=np.zeros(40, dtype=int))
    with pytest.raises(InputError, match="of one class"):
        repair_features(tmp_path / "one.npz", out=tmp_path / "runs")
