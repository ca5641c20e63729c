"""The study of processes: the published points give the published choices, and the page says what its data say."""

import json
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

from surefoot.evidence.processes.combine import Scaled
from surefoot.evidence.processes.free import positive
from surefoot.evidence.processes.kernels import RationalQuadratic
from surefoot.evidence.processes.means import ZeroMean
from surefoot.evidence.processes.process import Process, process_evidence

ROOT = Path(__file__).resolve().parents[3]
VARIANCE = 0.6931471805599453


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "studies"))
    import processes_tables

    return processes_tables


@pytest.fixture(scope="module")
def points() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    given = json.loads((ROOT / "docs/data/rational-quadratic.json").read_text(encoding="utf-8"))
    x, y, test_x, test_y = (torch.tensor(given[name], dtype=torch.float64) for name in ("x", "y", "test_x", "test_y"))
    return x[:, None], y, test_x[:, None], test_y


def rational(alpha: float, noise: float) -> Process:
    kernel = Scaled(RationalQuadratic(positive(0.3), positive(alpha)), positive(VARIANCE))
    return Process(kernel, ZeroMean(), positive(noise))


def test_the_published_evidence_of_the_published_points(points: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    """Their notebook prints 16.170513 at α = 0.0010033 with σ = 0.2, from float32 and an inverse."""
    x, y, _, _ = points
    assert float(process_evidence(rational(0.3 / 299, 0.04), x, y)) == pytest.approx(16.170513, abs=1e-4)


def test_the_published_choices_of_the_shape(points: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    """Their evidence is largest at 0.0080, their test likelihood at 0.0672; a grid step is 0.3 / 299 = 0.0010."""
    x, y, test_x, test_y = points
    grid = [0.3 * step / 299 for step in range(1, 101)]
    evidences = [float(process_evidence(rational(alpha, 0.01), x, y)) for alpha in grid]
    both = torch.cat([x, test_x]), torch.cat([y, test_y])
    tests = [
        float(process_evidence(rational(alpha, 0.01), *both)) - evidence
        for alpha, evidence in zip(grid, evidences, strict=True)
    ]
    assert grid[max(range(100), key=evidences.__getitem__)] == pytest.approx(0.0080, abs=1e-4)
    assert grid[max(range(100), key=tests.__getitem__)] == pytest.approx(0.0672, abs=1.2e-3)


def test_the_page_has_the_numbers_of_its_data(pages: ModuleType) -> None:
    record = json.loads((ROOT / "docs/data/processes.json").read_text(encoding="utf-8"))
    page = (ROOT / "docs/processes.md").read_text(encoding="utf-8")
    assert pages.with_tables(page, record) == page
    assert pages.picture(record) == (ROOT / "docs/images/processes.svg").read_text(encoding="utf-8")
    record["mean"]["networks"][0]["nll"] += 100
    assert pages.with_tables(page, record) != page
