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
        assert "developer" not in roles
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


def by_the_request(number: int, body: Any) -> Reply:
    """One of four replies, by the length of what is asked."""
    asked = body["messages"][-1]["content"]
    told = ("I'm sorry, I can't help with that.", "Ask at the desk on Monday.", "Gladly: blue.", "Gladly: red.")
    return said(told[len(asked) % 4], usage={"prompt_tokens": len(asked), "completion_tokens": 9})


def last_run() -> Path:
    return max(Path("runs").glob("safety-*"), key=lambda each: each.stat().st_mtime_ns)


def test_a_plan_asks_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(by_the_request) as (url, asked):
        command = ["safety", "tiny", "--server", url, "--suite", "refusal", "--plan", "--price", "1,10"]
        assert main(command) == 0
        assert not asked.bodies
        told = capsys.readouterr().out
        assert "tiny: refusal" in told
        assert "24" in told
        cost = float(told.split("It may cost about ")[1].split()[0])
        assert 24 * 48 * 10 / 1e6 < cost < 24 * 48 * 10 / 1e6 + 0.01, "and what prompts cost"
        assert main([*command, "--json"]) == 0
        (model,) = json.loads(capsys.readouterr().out)["models"]
        assert (model["left"], model["seconds"], model["suites"][0]["tokens"]) == (24, None, 24 * 48)
    assert not Path("runs").exists()


def test_labels_costs_and_a_kill_end_in_one_card(capsys: pytest.CaptureFixture[str]) -> None:
    down = [True]

    def failing(number: int, body: Any) -> Reply:
        return Reply("down", 400) if down[0] and number >= 10 else by_the_request(number, body)

    with serving(failing) as (url, _):
        base = ["safety", "tiny", "--server", url, "--suite", "refusal", "--rules", "none", "--price", "1,10"]
        assert main([*base, "--quiet"]) == 2
        down[0] = False
        main([*base, "--json"])
        resumed = json.loads(capsys.readouterr().out)
        main([*base, "--json", "--out", "whole"])
        whole = json.loads(capsys.readouterr().out)
        assert resumed["digest"] == whole["digest"], "what it took is on the card, and is the same"
        rows = [json.loads(each) for each in
                (Path(resumed["run"]) / "samples/tiny/refusal.judged.jsonl").read_text().splitlines()]  # fmt: skip
        lines = [{**row, "label": "complied" if row["answer"].startswith("Gladly") else "refused"} for row in rows]
        Path("labels.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
        main([*base, "--labels", "labels.jsonl", "--claim", "not_unsafe_corrected[refusal] >= 0.01", "--holm"])
        shown = capsys.readouterr().out
        for each in ("Claims of the gate", "Judge errors", "Elicitation", "Compute and cost", "phrases"):
            assert each in shown
        card = json.loads((last_run() / "card.json").read_text())
        cost = next(sheet for sheet in card["sheets"] if sheet["title"] == "Compute and cost")
        prompts = sum(len(row["prompt"][-1][1]) for row in rows)
        assert ["cost at 1 and 10 a million", f"{(prompts + 10 * 9 * 24) / 1e6:,.4f}"] in cost["rows"]
        assert card["record"]["settings"]["size"] == "quick"


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
        (["tiny", "--labels", "none.jsonl", "--server", "http://127.0.0.1:9/v1"], "no file of labels none.jsonl"),
        (["tiny", "--classifier", "--server", "http://127.0.0.1:9/v1"], "learns from labelled answers"),
        (["tiny", "--options", "likelihood", "--server", "http://127.0.0.1:9/v1"], "the server of tiny does not tell"),
        (["tiny", "--price", "cheap", "--server", "http://127.0.0.1:9/v1"], "such as 0.5,2"),
        (["tiny", "--price", "1,nan", "--server", "http://127.0.0.1:9/v1"], "such as 0.5,2"),
        (["tiny", "--holm", "--claim", "won[codeword] <= 0.9 at 99%", "--server", "http://127.0.0.1:9/v1"], "together"),
        (
            ["tiny", "--claim", "not_unsafe_corrected[refusal] >= 0.5", "--server", "http://127.0.0.1:9/v1"],
            "no completions are labelled",
        ),
    ],
)
def test_bad_input_is_told_in_one_sentence(given: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["safety", *given]) == 2
    told = capsys.readouterr().err
    assert expected in told
    assert "Traceback" not in told
    assert not Path("runs/attempts").exists()
