"""The commands' frame: what is imported, which exit code comes out, what a fault leaves."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from surefoot import __version__
from surefoot.cli import main, measuring
from surefoot.cli.app import app
from surefoot.findings.names import BARE, DECISIONS, PREFIXES, SCORES, SINGLE, TARGETS, TRUTHS
from surefoot.study.engine.tasks import StudyFault
from surefoot.study.seeds import LAST_SEED

COMMANDS = {"discover", "export", "features", "probe", "choose",
    "card", "demo", "diff", "doctor", "flex", "gate", "history", "init", "inspect", "log", "look", "monitor", "plan",
    "predict", "reason", "redteam", "release", "repair", "rows", "run", "safety", "sample", "sign", "schema", "store",
    "teach", "view",
}  # fmt: skip


def run_python(code: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if key != "GOMP_SPINCOUNT"}
    return subprocess.run(
        [sys.executable, "-c", code], env={**kept, **(environment or {})}, capture_output=True, text=True, check=False
    )


def test_every_command_is_there_and_has_help() -> None:
    commands = {command.name: command for command in app.registered_commands}
    assert set(commands) == COMMANDS
    assert all(command.callback is not None and command.callback.__doc__ for command in commands.values())


def test_the_help_of_card_lists_names_that_are_read() -> None:
    """Help cannot import the lists (they stand behind numpy), so that it agrees with them is tested."""
    told = {name.lower() for name in re.findall(r"`([^`]+)`", str(measuring.card.__doc__))}
    classes = {start + of for start in (*PREFIXES, *BARE) for of in ("cat", "dog", "pos", "0", "1")}
    assert told - classes == {
        *TARGETS[:3], "y", "y_true", "actual", "p", "probability", "score", "y_score", "y_prob",
        "prediction", "predicted", "pred", "y_pred",
    } - {"labels"}  # fmt: skip
    assert told - classes <= {*TARGETS, *TRUTHS, *SINGLE, *SCORES, *DECISIONS}


def test_several_processes_are_told_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, told in (("0", "torchrun started 2 processes"), ("1", "")):
        monkeypatch.setenv("RANK", rank)
        assert main(["rows", "no.csv"]) == 2
        said = capsys.readouterr().err
        assert bool(said) == bool(told)
        assert told in said
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert main(["rows", "no.csv"]) == 2
    assert "torchrun" not in capsys.readouterr().err


def test_help_imports_nothing_heavy() -> None:
    """Importing torch alone takes seconds; `--help` must not wait for it."""
    done = run_python(
        "import sys; from surefoot.cli import main; code = main(['--help']);"
        "heavy = {'torch', 'numpy', 'pydantic', 'yaml', 'PIL', 'safetensors', 'jaxtyping', 'http.server'};"
        "print('HEAVY', sorted(heavy & set(sys.modules)), code)"
    )
    assert done.stdout.splitlines()[-1] == "HEAVY [] 0", done.stdout + done.stderr


@pytest.mark.parametrize(("given", "seen"), [({}, "0"), ({"GOMP_SPINCOUNT": "7"}, "7")])
def test_waiting_threads_sleep_unless_the_user_says_otherwise(given: dict[str, str], seen: str) -> None:
    done = run_python(
        "import os; from surefoot.cli import main; main(['--version']); print(os.environ['GOMP_SPINCOUNT'])", given
    )
    assert done.stdout.splitlines() == [f"surefoot {__version__}", seen]


def test_module_and_script_are_the_same_command() -> None:
    done = subprocess.run([sys.executable, "-m", "surefoot", "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"surefoot {__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "begins", "ends"),
    [
        (["nosuch"], "surefoot: No such command 'nosuch'", ". Try: surefoot --help\n"),
        (["card"], "surefoot: Missing argument 'PREDICTIONS'", ". Try: surefoot card --help\n"),
        (
            ["look"],
            "surefoot: Missing argument '",
            "; look is called like this: surefoot look runs/my-run/model data.csv. Try: surefoot look --help\n",
        ),
        (["crad"], "surefoot: No such command 'crad'", "Did you mean 'card'? Try: surefoot --help\n"),
        (["card", "p.csv", "--nosuch"], "surefoot: No such option: --nosuch", ". Try: surefoot card --help\n"),
        (["view", "--port", "70000"], "surefoot: Invalid value for '--port'", ". Try: surefoot view --help\n"),
    ],
)
def test_wrong_usage_is_one_sentence_and_2(
    arguments: list[str], begins: str, ends: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(begins)
    assert captured.err.endswith(ends)
    assert captured.err.count("\n") == 1


def test_nothing_at_all_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    captured = capsys.readouterr()
    assert "surefoot demo" in captured.out
    assert captured.err == ""


def test_what_an_error_asks_for_is_ready_to_paste(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my p.csv").write_text("label,s,light\n" + "a,.2,day\nb,.7,night\nb,.6,day\n" * 9)
    assert main(["card", "my p.csv", "--prediction", "s"]) == 2
    assert capsys.readouterr().err == (
        "surefoot: The column 's' of my p.csv holds numbers between 0 and 1 (such as .2 in line 2), not classes; if "
        "they are the probability of b, name them as that. Try: surefoot card 'my p.csv' --probabilities s\n"
    )
    assert main(["card", "my p.csv", "--probabilities=s", "--claim", "worst_group_accuracy >= 0.9"]) == 2
    assert capsys.readouterr().err == (
        'surefoot: The claim "worst_group_accuracy >= 0.9" needs --groups; columns that could be: light. Try: surefoot '
        "card 'my p.csv' --probabilities=s --claim 'worst_group_accuracy >= 0.9' --groups light\n"
    )


def test_a_fault_of_ours_is_one_line_and_a_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(root: Path) -> None:
        raise ZeroDivisionError("three\nlines\nlong")

    monkeypatch.setattr("surefoot.cli.checks.examine", broken)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert main(["doctor"]) == 1
    captured = capsys.readouterr()
    (left,) = tmp_path.iterdir()
    assert captured.err == (
        "surefoot: this is a fault of surefoot, not of yours (ZeroDivisionError: three). The traceback is in "
        f"{left}; please open an issue with that file and the output of: surefoot doctor\n"
    )
    text = left.read_text()
    assert "command: surefoot doctor\n" in text
    assert "in broken" in text
    assert text.endswith("ZeroDivisionError: three\nlines\nlong\n")


def test_a_cell_that_fails_has_said_where_its_traceback_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: Path) -> None:
        raise StudyFault("train base, seed 0 failed (KeyError: 'x'); the traceback is in runs/faults/ab.txt.")

    monkeypatch.setattr("surefoot.study.schema.load_study", broken)
    assert main(["run", "study.yaml"]) == 1
    assert capsys.readouterr().err == (
        "surefoot: train base, seed 0 failed (KeyError: 'x'); the traceback is in runs/faults/ab.txt. What was "
        "finished is kept. If the fault is not in your own code, please open an issue.\n"
    )


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_a_full_memory_is_no_fault(
    error: Exception, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> None:
        raise error

    monkeypatch.setattr("surefoot.study.schema.load_study", full)
    assert main(["run", "study.yaml"]) == 2
    assert capsys.readouterr().err == (
        "surefoot: The memory is full; give fewer rows, or run where more memory is free.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["run", "a study.yaml", "--out", "x"],
            "surefoot: stopped. Everything that was finished is kept; to go on from there, give the same command "
            "again: surefoot run 'a study.yaml' --out x\n",
        ),
        (["doctor"], "surefoot: stopped. No half-written file was left behind.\n"),
    ],
)
def test_control_c_says_how_to_go_on(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("surefoot.study.schema.load_study", interrupted)
    monkeypatch.setattr("surefoot.cli.checks.examine", interrupted)
    assert main(arguments) == 130
    assert capsys.readouterr().err == sentence


def test_a_reader_who_leaves_is_no_fault() -> None:
    """`surefoot schema | true` ends as other programs do (128 + SIGPIPE), silently: a lost verdict is no pass."""
    done = subprocess.run(
        ["bash", "-c", f"'{sys.executable}' -m surefoot schema | true; echo ${{PIPESTATUS[0]}}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("141\n", "")


SEEDED = {
    "repair": "--seed", "discover": "--seed", "probe": "--seed", "sample": "--seed", "choose": "--split-seed",
    "teach": "--split-seed", "flex": "--seed", "reason": "--seed", "safety": "--seed",
    "redteam": "--seed", "monitor": "--seed",
}  # fmt: skip


@pytest.mark.parametrize(("command", "option"), SEEDED.items())
@pytest.mark.parametrize("seed", ["-1", str(LAST_SEED + 1), "12345678901234567890123"])
def test_a_seed_that_no_generator_takes_is_refused(
    command: str, option: str, seed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "nothing.csv", option, seed]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"surefoot: Invalid value for '{option}': Input should be ")
    assert told.endswith(f"Try: surefoot {command} --help\n")
    assert main([command, "nothing.csv", option, str(LAST_SEED)]) == 2
    assert "Invalid value" not in capsys.readouterr().err


def test_every_command_with_a_seed_is_among_those(capsys: pytest.CaptureFixture[str]) -> None:
    found: dict[str, str] = {}
    for command in COMMANDS:
        assert main([command, "--help"]) == 0
        for option in re.findall(r"(--(?:[a-z]+-)?seed) +<int", capsys.readouterr().out):
            found[command] = option
    assert found == SEEDED
