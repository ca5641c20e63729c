"""What `surefoot reason POLICY.md` refuses before a model is opened, and what it makes of its options."""

from pathlib import Path
from typing import Any

import pytest

from surefoot.cli import reason_policy
from surefoot.cli.reason_policy import aligned_to, is_policy
from surefoot.errors import InputError
from surefoot.progress import silent, unheard
from surefoot.reason.deliberate.model_judge import ModelJudge
from surefoot.reason.deliberate.policy_file import read_policy
from surefoot.study.once.say_policy import RULES
from surefoot.text.served import ServedPolicy

POLICY = "# Rules\n## fire\n### Disallowed\n- bonfires\n"
REQUESTS = "request,category,expected\nA fire?,fire,refuse\n"


def written(folder: Path) -> tuple[Path, Path]:
    policy, rows = folder / "policy.md", folder / "requests.csv"
    policy.write_text(POLICY)
    rows.write_text(REQUESTS)
    return policy, rows


def test_policies_are_known_by_their_files(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("title: x\ncategories:\n  a: {allowed: [x]}\n")
    (tmp_path / "study.yaml").write_text("task: parity-16\n# categories: none\n")
    assert is_policy(str(tmp_path / "policy.yaml"))
    assert is_policy("anything.md")
    assert not is_policy(str(tmp_path / "study.yaml"))
    assert not is_policy(str(tmp_path / "none.yaml"))
    assert not is_policy("parity-16")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "is a policy, and --requests is missing; give it, such as a .csv"),
        ({"requests": "requests.csv"}, "is a policy, and --model is missing; give it, such as smollm2"),
        ({"requests": "requests.csv", "model": "smollm2", "thought_marks": 3}, "--thought-marks is an option"),
        ({"requests": "none.csv", "model": "smollm2"}, "There is no file of requests"),
        ({"requests": "requests.csv", "model": "minilm"}, "'minilm' is no language model that chats"),
        ({"requests": "requests.csv", "model": "none", "judge": "kind"}, "'kind' is no language model that chats"),
        ({"requests": "requests.csv", "model": "minilm", "samples": None}, "'minilm' is no language model"),
    ],
)
def test_faulty_options_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], message: str
) -> None:
    policy, _ = written(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        aligned_to(policy, given, None, tmp_path / "runs", unheard, silent)
    assert message in str(caught.value)
    assert not (tmp_path / "runs").exists()


def test_a_missing_policy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no policy file"):
        aligned_to(tmp_path / "none.md", {"requests": "r.csv", "model": "smollm2"}, None, tmp_path, unheard, silent)


def test_stages_have_the_verdicts_of_their_judge() -> None:
    rules = reason_policy._stage({"samples": 6, "most": 50}, rules=True)
    assert (rules.verdicts, rules.least, rules.sampling.count, rules.sampling.most) == (1, 1.0, 6, 50)
    model = reason_policy._stage({}, rules=False)
    assert (model.verdicts, model.least) == (4, 0.8)
    assert reason_policy._stage({"verdicts": 2}, rules=False).verdicts == 2


def test_a_judge_is_the_rules_or_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = read_policy(written(tmp_path)[0])
    assert reason_policy._filter("rules", policy, tmp_path, {}) == RULES
    monkeypatch.setenv("A_KEY", "secret")
    more = {"key_from": "A_KEY", "at_once": 3}
    served = reason_policy._filter("http://127.0.0.1:9/v1#big", policy, tmp_path, more)
    assert isinstance(served.judge, ModelJudge)
    assert isinstance(served.judge.asked, ServedPolicy)
    assert (served.judge.asked.key, served.judge.asked.at_once) == ("secret", 3)
    assert served.record == {"url": "http://127.0.0.1:9/v1", "name": "big"}
    assert served.words == "the model big at http://127.0.0.1:9/v1"
    with pytest.raises(InputError, match="The environment has no OTHER_KEY"):
        reason_policy._filter("http://127.0.0.1:9/v1", policy, tmp_path, {"key_from": "OTHER_KEY"})
    with pytest.raises(InputError, match="are for a judge that is served"):
        reason_policy._filter("rules", policy, tmp_path, more)
