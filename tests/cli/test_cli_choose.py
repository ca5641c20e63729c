"""`surefoot choose`: what a user sees, and what is refused."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from surefoot.cli import main

QUICK = ["--widths", "3", "--depths", "0,1", "--precisions", "1", "--seeds", "0", "--draws", "3", "--workers", "1"]
Call = Callable[[Sequence[str]], tuple[int, str, str]]


@pytest.fixture
def call(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """One command in a folder of its own, where rows.csv lies: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    labels = np.arange(100) % 2
    inputs = random.normal(size=(100, 2)) + 1.5 * labels[:, None]
    lines = [f"{a:.5f},{b:.5f},{label}" for (a, b), label in zip(inputs, labels, strict=True)]
    (tmp_path / "rows.csv").write_text("\n".join(["a,b,label", *lines]))

    def call(words: Sequence[str]) -> tuple[int, str, str]:
        code = main(list(words))
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


def test_a_table_is_ranked_told_and_kept(call: Call, tmp_path: Path) -> None:
    code, out, told = call(["choose", "rows.csv", "--target", "label", *QUICK, "--by", "evidence"])
    assert code == 0
    assert told.startswith("2 candidates, 1 seed, 80 rows to learn from (fit): about ")
    assert "of memory" in told
    for word in ("linear-p1", "3-p1", "Conditional evidence", "Evidence *", "not measured", "hindsight"):
        assert word in out, word
    (folder,) = (tmp_path / "runs" / "choices").iterdir()
    assert {"choice.json", "page.html", "plot.svg", "models"} <= {each.name for each in folder.iterdir()}
    record = json.loads((folder / "choice.json").read_text())
    assert record["choose_by"] == "evidence"
    assert f"The chosen model ({record['chosen']}): runs/choices/{folder.name}/models/{record['chosen']}/seed-0" in out
    model = f"runs/choices/{folder.name}/models/{record['chosen']}/seed-0"
    assert call(["predict", model, "rows.csv"])[0] == 0
    code, out, told = call(["choose", "rows.csv", "--target", "label", *QUICK, "--by", "evidence", "--json"])
    assert told == ""
    assert json.loads(out)["chosen"] == record["chosen"]
    assert json.loads(out)["model"] == model


def test_the_judge_is_the_same_whatever_the_candidates(call: Call, tmp_path: Path) -> None:
    judged: list[int] = []
    for precision in ("1", "2"):
        words = ["--widths", "3", "--depths", "0", "--precisions", f"{precision},5", "--seeds", "0", "--draws", "3"]
        code, out, _ = call(["choose", "rows.csv", "--target", "label", *words, "--workers", "1", "--json"])
        assert code == 0
        record = json.loads((tmp_path / json.loads(out)["choice"]).read_text())
        judged.append(record["rows"]["judge"])
        assert record["rows"] == {"learned": 80, "held_out": 16, "judge": 20}
    assert judged == [20, 20]


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["--precisions", "1", "--widths", "3", "--depths", "1"], "There is 1 candidate, so nothing to choose"),
        (["--widths", "3,x"], "--widths is '3,x'; give whole numbers with commas between"),
        (["--precisions", "0,1"], "precisions is 0.0; expected more than 0"),
        (["--by", "luck"], "choose_by is \"luck\"; expected 'conditional_evidence'"),
        (["--seeds", "0,0"], "give different ones"),
        (["--seeds", "0,12345678901234567890123"], "give whole numbers from 0 to 2147483647."),
        (["--seeds=-1"], "give whole numbers from 0 to 2147483647."),
        (["--held-out", "1.5"], "held_out is 1.5; expected"),
        (["--target", "lable"], "label"),
        (["--features", "a,label"], "both a feature and the target"),
        (["--epochs", "5"], "give --rates as well"),
        (["--precisions", "0.123456,0.12345601"], "differ in six digits"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(call: Call, tmp_path: Path, words: list[str], match: str) -> None:
    given = [*(["--target", "label"] if "--target" not in words else []), *words]
    code, _, told = call(["choose", "rows.csv", *given])
    assert code == 2
    assert match in told
    assert "Traceback" not in told
    assert not (tmp_path / "runs" / "choices").exists()
