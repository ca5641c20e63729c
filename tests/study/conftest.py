"""A study small enough to run in every test."""

from pathlib import Path

import pytest

from surefoot.study.schema import Study, load_study

TINY = """\
study: tiny
question: Does it read the digit?
rows:
  dominoes: {sizes: {fit: 200, repair: 200, choose: 400, judge: 400}}
network:
  cnn: {channels: [4], hidden: 8}
base:
  stopped: {epochs: 1, rate: 0.003}
mitigations:
  dfr: {method: dfr, learn: repair, strengths: [0.3, 0.03], retrains: 2}
  dfr_choose: {method: dfr, learn: choose, strengths: [0.3, 0.03], retrains: 2}
  afr: {method: afr, gammas: [4, 8], penalties: [0], steps: 20}
seeds: [0, 1]
claims:
  - {finding: worst_group_accuracy, of: chosen, at_least: 0.99}
"""


@pytest.fixture(scope="session")
def tiny_text() -> str:
    return TINY


@pytest.fixture
def tiny(tmp_path: Path) -> Study:
    path = tmp_path / "study.yaml"
    path.write_text(TINY, encoding="utf-8")
    return load_study(path)
