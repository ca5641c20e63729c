"""The study of parity: it runs, and what the page says is what its data says."""

import json
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


@pytest.fixture
def parity(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "studies"))
    import parity

    return parity


def test_both_studies_run_in_small(parity: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"imitate": 4, "steps": 2, "seeds": [0], "judged": 16, "chosen": 8, "width": 16, "prompts": 4, "samples": 2}
    monkeypatch.setattr(parity, "QUICK", small)
    found = {name: parity.record_of(card) for name, card in parity.cards(tmp_path, quick=True).items()}
    assert list(found) == ["parity", "parity32"]
    for record in found.values():
        assert json.loads(json.dumps(record)) == record
        table, said = parity.blocks_of(record)
        assert re.search(r"\| reinforced \| [\d.]+% \[", table)
        assert len(re.findall(r"^- (?:passed|failed|undecided): ", said, re.MULTILINE)) == len(record["claims"])
    assert parity.picture(found).count("<polyline") >= 6


def test_the_page_says_what_the_data_says(parity: ModuleType) -> None:
    data = json.loads((DOCS / "data" / "parity.json").read_text(encoding="utf-8"))
    page = (DOCS / "reason.md").read_text(encoding="utf-8")
    assert set(data) == set(parity.STUDIES)
    for name, record in data.items():
        assert page == parity.with_blocks(page, name, parity.blocks_of(record))
    assert (DOCS / "images" / "parity.svg").read_text(encoding="utf-8") == parity.picture(data)
