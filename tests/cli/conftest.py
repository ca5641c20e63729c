"""Cards and features that several tests of the command line use."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cli_examples import example_card, write_features

from surefoot.card.claims import Status
from surefoot.card.write import write_card


@pytest.fixture
def write_example(tmp_path: Path) -> Callable[..., Path]:
    """Write an example card as the run `name` below tmp_path/runs and return its folder."""

    def write(name: str, status: Status = "passed", *, accuracy: float = 0.93) -> Path:
        folder = tmp_path / "runs" / name
        write_card(example_card(status, title=f"Example {name}", accuracy=accuracy), folder)
        return folder

    return write


@pytest.fixture(scope="session")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,200 rows of 4 features: class in the first, a clear shortcut in the second that agrees in 92 % of rows."""
    path = tmp_path_factory.mktemp("features") / "features.npz"
    write_features(path, rows=1200, agree=0.92, seed=0)
    return path
