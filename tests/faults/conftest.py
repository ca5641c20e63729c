"""One undisturbed run of the small study, for every fault to be compared with."""

import shutil
from pathlib import Path

import pytest
from crash_points import count_operations
from small_study import Small, in_child, run_small, write_study


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    folder = tmp_path_factory.mktemp("small").resolve()
    study = write_study(folder)
    run_small(study, folder, folder / "warm")
    out = folder / "plain"

    def work() -> str:
        count = count_operations(out)
        return f"{run_small(study, folder, out)} {count()}"

    ended = in_child(work)
    assert ended.status == 0, ended.said
    digest, operations = ended.said.split()
    return Small(study, folder, digest, int(operations), out)


@pytest.fixture
def out(small: Small, tmp_path: Path) -> Path:
    """A copy of the finished folder of runs."""
    return Path(shutil.copytree(small.finished, tmp_path / "runs"))
