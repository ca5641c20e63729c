"""The reward setting: who writes first, what a glance sees, that it resumes, and that its page says its data."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from surefoot.files import read_json
from surefoot.rows.comparisons import Writing, comparisons
from surefoot.rows.packed import LEADING
from surefoot.supervise.labels import halve, true_labels, weak_labels
from surefoot.supervise.losses import CrossEntropy

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "studies"))
import weak_reward
import weak_tables

sys.path.pop(0)

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "docs/data/weak-reward.json"
SMALL = replace(
    weak_reward.QUICK,
    world=Writing(digits=3),
    labelled=40,
    judged=20,
    texts=40,
    models=(("one", 2, 1, 1, 0.02), ("two", 4, 1, 1, 0.02)),
    epochs=1,
)


def test_students_and_ceilings_write_first_and_supervisors_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught: list[int] = []
    tune = weak_reward.tune_writer
    monkeypatch.setattr(weak_reward, "tune_writer", lambda *given: taught.append(len(given[1])) or tune(*given))
    rows, judge = (comparisons(SMALL.world, count, seed).rows for count, seed in ((40, 0), (20, 1)))
    parts = halve(rows, 0)
    arm = weak_reward.Reward(SMALL, tmp_path, written_first=True)
    said = arm(0, true_labels(parts.weak), CrossEntropy(), 0, parts.student, judge)
    assert taught == [40], "a supervisor has read the corpus"
    arm(1, true_labels(parts.student), CrossEntropy(), 0, parts.student, judge)
    assert taught == [40, 40, 2 * len(parts.student)], "a ceiling has read it, and written both completions"
    labels = weak_labels(parts.student, said.labelled, seen=parts.weak.origins(), by="one")
    arm(1, labels, weak_reward.recipes(SMALL, written_first=True)["cross-entropy"], 0, parts.student, judge)
    assert len(taught) == 3, "its student starts where the ceiling did"
    unread = weak_reward.recipes(SMALL, written_first=False)[weak_reward.UNREAD]
    weak_reward.Reward(SMALL, tmp_path / "other", written_first=False)(1, labels, unread, 0, parts.student, judge)
    assert len(taught) == 3


def test_a_glance_sees_form_and_no_digit() -> None:
    rows, scores = comparisons(Writing(polite=1.0, stop=100.0), 200, seed=0)
    seen = weak_reward.glance(rows)
    stops = torch.zeros(200, 2)
    for place in (0, 1):
        for row, text in enumerate(rows.inputs[:, place].tolist()):
            stops[row, place] = text[LEADING + text[1] - 1] == 11
    assert torch.equal(seen[:, 1], stops[:, 1] - stops[:, 0])
    # With a full stop worth a hundred mistakes, it decides wherever one has it alone.
    sure = seen[:, 1] != 0
    assert torch.equal((scores[:, 1] - scores[:, 0]).sign()[sure], seen[sure, 1])
    digits = rows.inputs[:].clone()
    answers = digits[..., LEADING + 3 :]
    answers[answers < 10] = 0
    assert torch.equal(weak_reward.glance(rows.with_inputs(digits)), seen)


def test_the_published_sizes_grow() -> None:
    sizes = [
        sum(each.numel() for each in weak_reward.build_ranker(weak_reward.form_of(weak_reward.Settings(), size), 0)
            .module.parameters())
        for size in range(4)
    ]  # fmt: skip
    assert sizes == sorted(sizes)
    assert sizes[-1] > 50 * sizes[0]


def test_a_small_study_runs_and_is_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = weak_reward.study(SMALL, 1, tmp_path)
    assert len(record["plain"]["pairs"]) == 3 * 4
    assert len(record["written"]["pairs"]) == len(record["arms"]) == 3 * 2
    supervisors = [[each["supervisor"] for each in record[arm]["sizes"]] for arm in ("plain", "written")]
    assert supervisors[0] == supervisors[1], "both arms have the same supervisors"
    assert len(weak_reward.blocks_of(record)) == 9
    for name in ("teach", "tune_writer"):
        monkeypatch.setattr(weak_reward, name, lambda *_: pytest.fail("it was taught again"))
    monkeypatch.setattr(weak_reward, "known", lambda *_: record["known"])
    assert weak_reward.study(SMALL, 1, tmp_path) == record


def test_the_page_holds_what_the_data_say() -> None:
    record = read_json(DATA)
    page = (ROOT / "docs/weak-reward.md").read_text(encoding="utf-8")
    assert weak_tables.with_blocks(page, "reward", weak_reward.blocks_of(record)) == page
    for name, drawn in zip(("weak-reward", "weak-reward-written"), weak_reward.pictures(record), strict=True):
        assert (ROOT / f"docs/images/{name}.svg").read_text(encoding="utf-8") == drawn


def test_the_page_says_in_words_what_the_data_say() -> None:
    record = read_json(DATA)
    page = " ".join((ROOT / "docs/weak-reward.md").read_text(encoding="utf-8").split())
    known = {name: f"{100 * each:.1f} %" for name, each in record["known"].items()}
    assert f"more often than {known['best']} of the time; the true score is, {known['score']}" in page
    assert f"that sees form and length alone, {known['form']}" in page
    smallest = record["plain"]["sizes"][0]
    assert max(smallest["supervisor"], smallest["ceiling"]) < record["known"]["form"]
    marked = [each["marked"] for each in record["readers"]]
    assert max(marked[:2]) < 0.5 < min(marked[2:])
    plain, written = (
        {(each["weak"], each["strong"], each["loss"]): each for each in record[arm]["pairs"] if not each["itself"]}
        for arm in ("plain", "written")
    )
    widest = plain["causal4", "causal32", "cross-entropy"]
    assert f"between them is {weak_tables.told(widest['gap'], 100, 1)} points" in page
    assert f"right {100 * widest['student']:.1f} % of the time: {weak_tables.told(widest['recovered'])}" in page
    agreed = [
        plain["causal4", f"causal{width}", "cross-entropy"]["disagreement"]["agreement_with_wrong_labels"]["value"]
        for width in (8, 16, 32)
    ]
    assert all(0.885 < each < 0.905 for each in agreed)
    shares = {
        arm: {key: each["recovered"] for key, each in of.items() if each["recovered"] is not None}
        for arm, of in (("plain", plain), ("written", written))
    }
    best = max((each for key, each in shares["plain"].items() if key[2] == "cross-entropy"), key=lambda of: of["value"])
    assert f"recovers of a clear gap is {weak_tables.told(best)}" in page
    above = {key: each for key, each in shares["plain"].items() if each["low"] > 0}
    assert list(above) == [("causal8", "causal32", weak_reward.UNREAD)]
    assert f"clearly above nothing, {weak_tables.told(next(iter(above.values())))} from causal8 to causal32" in page
    assert all(each["low"] <= 0 for each in shares["written"].values())
    told = [f"{each['value']:.2f}".replace("-", "−") for key, each in shares["written"].items()
            if key[2] == "cross-entropy"]  # fmt: skip
    assert "Shares are {}, {}, {} and {}, none".format(*told) in page
    for of in (plain, written):
        sure = [each["against_baseline"] for key, each in of.items() if key[2] == "confidence .5"]
        assert all(each["low"] < 0 < each["high"] for each in sure)
    short = [plain[key] for key in plain if key[2] == weak_reward.SHORT]
    assert not any(each["against_baseline"]["low"] > 0 for each in short)
    unread = [plain[key]["against_baseline"] for key in plain if key[2] == weak_reward.UNREAD]
    assert all(each["low"] < 0 < each["high"] for each in unread)
    changes = {
        loss: [each["change"] for each in record["arms"] if each["loss"] == loss and not each["itself"]]
        for loss in ("cross-entropy", "confidence .5")
    }
    values = [100 * each["value"] for each in changes["cross-entropy"]]
    assert f"changes students by {min(values):+.1f} to {max(values):+.1f} points".replace("-", "−") in page
    assert all(each["low"] < 0 < each["high"] for each in changes["cross-entropy"])
    assert [each["value"] < 0 for each in changes["confidence .5"] if each["high"] < 0 or each["low"] > 0] == [True]


def test_the_pages_code_runs(capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs/weak-reward.md").read_text(encoding="utf-8")
    (code,) = (part.split("```")[0] for part in page.split("```python\n")[1:])
    exec(compile(code, "weak-reward.md", "exec"), {})
    assert capsys.readouterr().out.splitlines()
