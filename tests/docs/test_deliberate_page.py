"""The examples of docs/deliberate.md run, and docs/policy-world.md says what its data say."""

import json
import re
from pathlib import Path
from types import ModuleType

import pytest

from surefoot.reason.deliberate.policy_file import read_policy
from surefoot.study.once.say_policy_requests import read_requests, shared_out

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "studies"))
    import policy_world_tables

    return policy_world_tables


@pytest.mark.parametrize("number", [0, 1])
def test_examples_run(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    """What they print first is what their comments say."""
    page = (ROOT / "docs" / "deliberate.md").read_text(encoding="utf-8")
    code = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    assert len(code) == 2
    exec(compile(code[number], "deliberate.md", "exec"), {})
    said = capsys.readouterr().out.splitlines()
    assert f"print(filtered.words)  # {said[0]}\n" in code[number]
    if number == 0:
        found = dict(re.findall(r"\('(\w+)', ([\d.]+)\)", said[1]))
        assert float(found["decision"]) == float(found["retrieval"]) == 1


def test_the_page_says_what_its_data_say(told: ModuleType) -> None:
    record = json.loads((ROOT / "docs" / "data" / "policy-world.json").read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "policy-world.md").read_text(encoding="utf-8")
    assert told.tables(record) in page
    for name, svg in told.pictures(record).items():
        assert (ROOT / "docs" / "images" / f"{name}.svg").read_text(encoding="utf-8") == svg


def test_the_garden_centres_tables_are_those_of_its_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "studies"))
    import shop_tables

    kept = json.loads(shop_tables.DATA.read_text(encoding="utf-8"))
    assert shop_tables.tables(kept) in (ROOT / "docs" / "deliberate.md").read_text(encoding="utf-8")


def test_the_garden_centres_requests_are_those_of_its_script(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every one is under a category of the policy, none stands among its examples, and every kind is in every role."""
    monkeypatch.syspath_prepend(str(ROOT / "studies"))
    import shop_requests

    policy = read_policy(ROOT / "studies" / "shop_policy.md")
    rows = read_requests(shop_requests.OUT, policy)
    assert [(each.text, each.category, each.expected) for each in rows] == shop_requests.requests()
    shared = shared_out(rows, policy, 10_000, 10_000)
    assert not shared.notes
    kinds = {(each.category, each.expected) for each in rows}
    assert {(each.category, each.expected) for each in shared.judge} == kinds
    assert {(each.category, each.expected) for each in shared.learnt} == kinds
