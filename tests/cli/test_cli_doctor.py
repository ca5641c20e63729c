"""`doctor`: each trap is recognised and named."""

import json
from pathlib import Path

import pytest

from surefoot.cli import main
from surefoot.cli.checks import Check, examine


def found(name: str, runs: Path) -> Check:
    return {check.name: check for check in examine(runs)}[name]


def test_a_torchvision_that_cannot_be_imported_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build for another torch raises on import, and with it every library that merely looks for it."""
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert found("torchvision", tmp_path / "runs") == Check(
        "torchvision",
        "broken",
        "installed but cannot be imported (RuntimeError: operator torchvision::nms does not exist); it breaks other "
        "libraries: pip uninstall torchvision",
    )
    assert main(["doctor", "--check", "--out", str(tmp_path / "runs")]) == 2
    (package / "__init__.py").write_text("")
    assert found("torchvision", tmp_path / "runs").state == "good"


def test_spinning_threads_are_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOMP_SPINCOUNT", "1000")
    assert found("waiting threads", tmp_path) == Check(
        "waiting threads",
        "note",
        "spin (GOMP_SPINCOUNT=1000); on a busy machine that slows every product: set GOMP_SPINCOUNT=0",
    )
    monkeypatch.setenv("GOMP_SPINCOUNT", "0")
    assert found("waiting threads", tmp_path).state == "good"


def test_too_many_threads_are_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.get_num_threads", lambda: 512)
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1})
    check = found("threads", tmp_path)
    assert check.state == "note"
    assert check.text.endswith("; that is too many: set OMP_NUM_THREADS=2")


def test_a_folder_that_cannot_be_written_is_broken_and_none_is_left(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    check = found("runs folder", tmp_path / "file" / "runs")
    assert check.state == "broken"
    assert check.text.startswith(f"Cannot write to {tmp_path / 'file' / 'runs'} (")
    assert found("runs folder", tmp_path / "new" / "runs").state == "good"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_everything_in_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", "--json", "--out", str(tmp_path)])
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert set(checks) == {
        "system", "versions", "torchvision", "threads", "waiting threads", "matrix products", "runs folder",
        "cache folder", "digits",
    }  # fmt: skip
    assert "torch 2" in checks["versions"]["text"]
