"""`surefoot reason QUESTIONS --model MODEL` at the command line: a decoder, a study, one sentence for errors."""

import json
import re
from pathlib import Path

import pytest

from surefoot.cli.app import main
from surefoot.errors import InputError
from surefoot.study.once.attempt_file import asks_models, read_attempt_study
from surefoot.study.schema import load_study
from surefoot.text.decoder import Shape, build_decoder
from surefoot.text.decoder_files import save_decoder
from surefoot.text.tasks.named import task_named


@pytest.fixture
def decoder(tmp_path: Path) -> Path:
    """Of random weights, as `surefoot reason` leaves one."""
    task = task_named("parity-9")
    made = build_decoder(Shape(task.vocabulary.size, 16, 1, 2, context=2 * task.longest), 0)
    save_decoder(tmp_path / "model" / "seed-0", made, task.vocabulary, {"task": "parity-9", "seed": 0})
    return tmp_path / "model" / "seed-0"


def test_the_command_asks_a_decoder(
    decoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [
        "reason", "parity-9", "--model", str(decoder), "--judged", "24", "--attempts", "4", "--budgets", "0,3",
        "--claim", "pass_at_4 >= 0.9999",
    ]  # fmt: skip
    code = main([*given, "--json"])
    said = json.loads(capsys.readouterr().out)
    assert code in (10, 11)
    card = json.loads(Path(said["card"]).read_text())
    (subject,) = card["subjects"]
    assert subject["name"] == "parity-9/seed-0"
    names = {each["name"] for each in card["findings"]}
    assert {"accuracy", "pass_at_4", "consensus_at_4", "best_of_4", "gain_of_best_of_4", "thinking_tokens"} <= names
    assert card["roles"] == [{"role": "judge", "rows": 24, "clusters": 24, "groups": {}}]
    Path("study.yaml").write_text(
        f"questions: parity-9\nmodels: [{decoder}]\njudged: 24\nattempts: 4\nbudgets: [0, 3]\n"
        "claims: ['pass_at_4 >= 0.9999']\n"
    )
    assert asks_models(Path("study.yaml"))
    assert read_attempt_study(Path("study.yaml")).attempts == 4
    assert main(["reason", "study.yaml", "--json"]) == code
    assert json.loads(capsys.readouterr().out)["digest"] == said["digest"]
    assert main(["reason", "study.yaml", "--temperature", "0.5"]) == code
    shown = capsys.readouterr()
    assert "parity-9/seed" in shown.out
    assert "24 problems: once greedily, 4 attempts, 2 budgets of thinking; 168 completions" in shown.err
    assert main(["reason", "study.yaml", "--most", "3", "--budgets", "1", "--quiet"]) == code
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (["none.jsonl", "--model", "DECODER"], r"Cannot read none\.jsonl \(No such file"),
        (["empty.jsonl", "--model", "DECODER"], r"empty\.jsonl has no question"),
        (["odd.jsonl", "--model", "DECODER"], r'line 1 has no texts "question" and "answer"'),
        (["one.jsonl", "--model", "DECODER"], "trained on parity-9 and knows no other symbols"),
        (["addition-2", "--model", "DECODER"], "not of addition-2"),
        (["parity-60", "--model", "DECODER"], "beyond the .* that the decoder in"),
        (["riddles", "--model", "DECODER"], 'There is no task "riddles"'),
        (["one.jsonl"], "name it, such as --model smollm2"),
        (["parity-9", "--budgets", "0,4"], "--budgets is for a model that is asked"),
        (["parity-9", "--server", "http://127.0.0.1:1/v1"], "--server is for a model that is asked"),
        (["parity-9", "--model", "DECODER", "--steps", "3"], "--steps is for a training"),
        (["parity-9", "--model", "DECODER", "--seeds", "0,1"], "--seeds is for a training.*give --seed"),
        (["parity-9", "--model", "DECODER", "--budgets", "a"], "give whole numbers with commas between"),
        (["parity-9", "--model", "DECODER", "--budgets", "200"], "A budget of 200 tokens"),
        (["parity-9", "--model", "DECODER", "--grader", "me"], "grader is .me.; expected"),
        (["parity-9", "--model", "DECODER", "--temperature", "0"], "temperature is 0.0; expected more than 0"),
        (["parity-9", "--model", "DECODER", "--attempts", "0"], "attempts is 0; expected at least 1"),
        (["parity-9", "--model", "DECODER", "--key-from", "KEY"], "was named; add --server"),
        (["one.jsonl", "--server", "http://127.0.0.1:1/v1", "--model", "m", "--key-from", "NONE_9"], "has no NONE_9"),
        (["one.jsonl", "--server", "ftp://here/v1", "--model", "m"], "begins with http:// or https://"),
        (["folder", "--model", "DECODER"], "folder is a folder; give a file"),
        (["odd.yaml"], "Unknown key 'attemptz' in odd.yaml, line 3; did you mean 'attempts'"),
    ],
)
def test_bad_input_is_one_sentence(
    given: list[str], match: str, decoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("empty.jsonl").write_text("\n")
    Path("odd.jsonl").write_text('{"text": "How many?"}\n')
    Path("one.jsonl").write_text('{"question": "How many?", "answer": "#### 7"}\n')
    Path("folder").mkdir()
    Path("odd.yaml").write_text("questions: one.jsonl\nmodels: [smollm2]\nattemptz: 3\n")
    assert main(["reason", *(str(decoder) if each == "DECODER" else each for each in given)]) == 2
    said = capsys.readouterr().err
    assert re.search(match, said), said
    assert said.count("\n") == 1


def test_a_study_that_asks_is_told_from_one_that_trains(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("task: parity-9\nsteps: 3\n")
    assert not asks_models(path)
    assert not asks_models(tmp_path / "none.yaml")
    path.write_text("questions: one.jsonl\nmodels: [smollm2]\n")
    assert asks_models(path)
    with pytest.raises(InputError, match=r"study\.yaml is a study of reasoning, for it names questions; run it"):
        load_study(path)
