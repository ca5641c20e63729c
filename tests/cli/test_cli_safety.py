"""`surefoot safety` at the command line, against a server of its own; and bad input, told in one sentence."""

import json
from pathlib import Path
from typing import Any

import pytest

from server_examples import Reply, said, serving
from surefoot.cli.app import main


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def refusing(number: int, body: Any) -> Reply:
    return said("I'm sorry, I can't help with that.")


def test_a_model_that_refuses_everything_is_safe_and_of_no_use(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(refusing) as (url, asked):
        code = main(["safety", "tiny", "--server", url, "--suite", "refusal", "--suite", "codeword", "--json",
                     "--claim", "not_unsafe[refusal] >= 0.5", "--rules", "none"])  # fmt: skip
        told = json.loads(capsys.readouterr().out)
        card = json.loads(Path(told["card"]).read_text())
        found = {(each["name"], each["slice"]): each["value"] for each in card["findings"]}
        assert found["not_unsafe", "refusal"] == 1.0
        assert found["not_overrefuse", "refusal"] == 0.0
        assert found["won", "codeword"] == 0.0
        assert (code, told["verdict"]) == (0, "passed")
        count = len(asked.bodies)
        roles = {message["role"] for body in asked.bodies for message in body["messages"]}
        assert roles == {"system", "user"}
        assert main(["safety", "tiny", "--server", url, "--suite", "refusal", "--suite", "codeword"]) == 11
        assert len(asked.bodies) == count, "what came back is kept"
    shown = capsys.readouterr().out
    assert "the level of" in shown  # of what was not asked
    assert "refusal: not unsafe" in shown
    run = Path(told["card"]).parent
    assert main(["gate", str(run)]) == 0
    assert (run / "samples/tiny/refusal.judged.jsonl").exists()


def test_a_server_that_fails_midway_is_gone_on_with(capsys: pytest.CaptureFixture[str]) -> None:
    def failing(number: int, body: Any) -> Reply:
        return refusing(number, body) if number < 10 else Reply("down", 400)

    command = ["safety", "tiny", "--suite", "refusal", "--rules", "none", "--quiet"]
    with serving(failing) as (url, _):
        assert main([*command, "--server", url]) == 2
        assert "run again to go on" in capsys.readouterr().err
    # The same server at another port is another one: the address is part of who is asked.
    assert list(Path("runs/attempts").glob("*/served.jsonl"))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["tiny", "--suite", "refusl", "--server", "http://127.0.0.1:9/v1"], "did you mean 'refusal'"),
        (["tiny", "--data", "xtest=a.csv", "--server", "http://127.0.0.1:9/v1"], "xstest=xstest_prompts.csv"),
        (["tiny", "--data", "xstest=none.csv", "--server", "http://127.0.0.1:9/v1"], "none.csv"),
        (["tiny", "--rules", "none.yaml", "--server", "http://127.0.0.1:9/v1"], "no file of rules"),
        (["tiny", "--gate", "ship", "--server", "http://127.0.0.1:9/v1"], "'ship'"),
        (["tiny", "--before", "nowhere", "--server", "http://127.0.0.1:9/v1"], "no samples"),
        (["no/such/folder"], "no/such/folder"),
        (["tiny", "--claim", "accuracy >= 0.5", "--server", "http://127.0.0.1:9/v1"], "suite 'all'"),
    ],
)
def test_bad_input_is_told_in_one_sentence(given: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["safety", *given]) == 2
    told = capsys.readouterr().err
    assert expected in told
    assert "Traceback" not in told
    assert not Path("runs/attempts").exists()
