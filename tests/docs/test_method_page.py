"""`docs/method.md` keeps its word: its module, one line in the list and its test are a method that a study can name."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import surefoot

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/method.md").read_text(encoding="utf-8")

STUDY = """\
study: temperature
rows:
  dominoes: {correlation: 0.9, sizes: {fit: 200, repair: 200, choose: 300, judge: 200}}
network:
  cnn: {channels: [4], hidden: 8}
base:
  erm: {epochs: 1}
mitigations:
  temperature: {method: temperature, coldest: 0.1}
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with the method added exactly as the page says, and the page's test beside it."""
    folder = tmp_path_factory.mktemp("house")
    shutil.copytree(Path(surefoot.__file__).parent, folder / "surefoot", ignore=shutil.ignore_patterns("__pycache__"))
    module, test = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    (line,) = re.findall(r"^    (\*temperature\.METHODS,)$", PAGE, flags=re.MULTILINE)
    (folder / "surefoot/robust/temperature.py").write_text(module, encoding="utf-8")
    methods = folder / "surefoot/robust/methods.py"
    text = methods.read_text(encoding="utf-8")
    assert text.count("    reweighted,\n") == text.count("    *softmax_head.METHODS,\n") == 1
    text = text.replace("    reweighted,\n", "    reweighted,\n    temperature,\n")
    methods.write_text(text.replace("    *softmax_head", f"    {line}\n    *softmax_head"), encoding="utf-8")
    (folder / "test_temperature.py").write_text(test, encoding="utf-8")
    (folder / "study.yaml").write_text(STUDY, encoding="utf-8")
    return folder


def run(house: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(house)}
    return subprocess.run(
        [sys.executable, *words], cwd=house, env=environment, capture_output=True, text=True, check=False
    )


def test_the_page_s_test_passes(house: Path) -> None:
    done = run(house, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_temperature.py")
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_a_study_names_the_method_and_its_card_shows_it(house: Path) -> None:
    done = run(house, "-m", "surefoot", "run", "study.yaml", "--quiet", "--workers", "1")
    assert done.returncode == 11, done.stdout + done.stderr  # no claim: undecided
    (file,) = house.glob("runs/**/card.json")
    card = json.loads(file.read_text(encoding="utf-8"))
    (repaired,) = (each for each in card["subjects"] if each["before"] is not None)
    assert repaired["label"].endswith("+ temperature")
    assert repaired["chosen"][0]["temperature"] > 0.1
    worst = {each["subject"]: each["value"] for each in card["findings"] if each["name"] == "worst_group_accuracy"}
    assert worst["erm"] == worst["erm+temperature"]


def test_the_schema_and_the_refusals_know_it(house: Path) -> None:
    (house / "wrong.yaml").write_text(STUDY.replace("coldest: 0.1", "coldest: 0"), encoding="utf-8")
    done = run(house, "-m", "surefoot", "plan", "wrong.yaml")
    assert done.returncode == 2
    assert "coldest is 0.0; give a positive temperature." in " ".join(done.stderr.split())
