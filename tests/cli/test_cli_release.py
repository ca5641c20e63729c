"""`surefoot release`, and the gate on what it leaves: exit codes, what is printed, what is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from surefoot.card.card import Card
from surefoot.cli import main


@pytest.fixture
def made(write_example: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Writes a release file over cards of given statuses; the first part ships."""
    monkeypatch.chdir(tmp_path)

    def write(*statuses: str, **more: object) -> Path:
        folders = [write_example(f"run{number}", status) for number, status in enumerate(statuses)]
        parts: dict[str, object] = {f"part{number}": str(folder) for number, folder in enumerate(folders)}
        first = Card.read(folders[0])
        ships = f"part0/{first.chosen or first.subjects[0].name}"
        file = tmp_path / "release.yaml"
        file.write_text(yaml.safe_dump({"release": "r", "ships": ships, "parts": parts, **more}, sort_keys=False))
        return file

    return write


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        (("passed",), 0),
        (("passed", "passed"), 0),
        (("passed", "undecided"), 11),
        (("passed", "failed", "undecided"), 10),
    ],
)
def test_a_release_is_as_bad_as_its_worst_part(
    statuses: tuple[str, ...], code: int, made: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["release", str(made(*statuses))]) == code
    shown = capsys.readouterr().out
    assert "part0 (ships)" in shown
    (run,) = Path("runs").glob("release-r-*")
    assert f"The page: {run / 'card.html'}" in shown
    assert (run / "card.html").is_file()
    assert main(["gate", str(run)]) == code
    assert main(["history"]) == 0
    assert "release r" in capsys.readouterr().out


def test_a_release_tells_programs_what_it_found(
    made: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = made("passed", "failed")
    assert main(["release", str(file), "--json", "--junit", "j.xml", "--pull-request", "p.md", "--out", "out"]) == 10
    told = json.loads(capsys.readouterr().out)
    assert told["verdict"] == "failed"
    assert Path(told["card"]).is_file()
    assert 'failures="1"' in Path("j.xml").read_text(encoding="utf-8")
    assert "Failed: Release r" in Path("p.md").read_text(encoding="utf-8")


def test_the_gate_asks_for_another_release_where_a_part_was_made_anew(
    made: Callable[..., Path], write_example: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    file = made("passed", "passed")
    assert main(["release", str(file), "--quiet"]) == 0
    (run,) = Path("runs").glob("release-r-*")
    write_example("run1", "failed")
    capsys.readouterr()
    assert main(["gate", str(run), "--json", "--junit", "j.xml"]) == 11
    (told,) = json.loads(capsys.readouterr().out)["cards"]
    assert told["verdict"] == "undecided"
    assert told["evaluate_again"][0].startswith("The part part1 is another one now")
    assert told["sentence"].startswith("The part part1 is another one now")
    assert 'errors="1"' in Path("j.xml").read_text(encoding="utf-8")


def test_a_missing_part_and_its_waiver(made: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    file = made("passed")
    said = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**said, "parts": {**said["parts"], "gone": "nowhere"}}))
    assert main(["release", str(file)]) == 11
    shown = " ".join(capsys.readouterr().out.split())
    assert "the part gone is required and missing, for there is nothing at" in shown
    assert "missing: there is nothing" in shown


def test_the_gate_asks_which_model_and_how_it_would_ship(
    write_example: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, deploy = write_example("one", "passed"), tmp_path / "deploy.yaml"
    assert main(["gate", str(run), "--model", "nowhere"]) == 11
    assert "does not say which model it judged" in capsys.readouterr().out
    deploy.write_text("most: 2048\n")
    assert main(["gate", str(run), "--same-as", str(deploy)]) == 11
    assert "does not say with which most it was judged" in capsys.readouterr().out
    deploy.write_text("[]")
    assert main(["gate", str(run), "--same-as", str(deploy)]) == 2
    assert main(["gate", str(run), "--same-as", "none.yaml"]) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("release: r\n", "parts"), ("- a\n", "holds no"), ("release: [\n", "not readable YAML"),
        ("{release: r, ships: a/m, parts: {a: {runs: x}}}", "runs"),
        ("{release: r, ships: a, parts: {a: x}}", "part/subject"),
    ],
)  # fmt: skip
def test_bad_release_files_are_told_in_a_sentence(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "r.yaml"
    file.write_text(text)
    assert main(["release", str(file), "--out", str(tmp_path / "runs")]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told
    assert not (tmp_path / "runs").exists()
    for other in ("none.yaml", "none.csv"):
        assert main(["release", str(tmp_path / other)]) == 2
