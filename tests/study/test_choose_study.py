"""Candidates in a study file: the chosen one becomes a base, is judged alone, and the card has what chose it."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import rankdata

from surefoot.card.serialise import card_from_json
from surefoot.errors import InputError
from surefoot.files import digest_file, read_json
from surefoot.study.choice.ask import asked_of_study
from surefoot.study.choice.run import choose
from surefoot.study.run import Outcome, run_study
from surefoot.study.schema import load_study
from surefoot.study.store import Store

STUDY = """\
study: chosen
rows:
  table: {path: rows.csv, target: y, split: role, id: id, columns: [core, spurious],
          meaning: {fit: fit, choose: choose, judge: judge}}
candidates:
  widths: [3]
  depths: [0, 1]
  precisions: [0.3, 3]
  rounds: 3
  draws: 3
  choose_by: evidence
base:
  best: {candidate: chosen, label: The chosen}
mitigations:
  balanced: {method: class_balanced, learn: choose}
seeds: [0, 1]
claims:
  - {finding: accuracy, of: best, at_least: 0.1}
"""
SIZES = {"fit": 80, "choose": 60, "judge": 100}


def write_study(folder: Path, text: str = STUDY) -> Path:
    lines = ["id,core,spurious,y,role"]
    for role, size in SIZES.items():
        lines += [f"{role}{number},{line},{role}" for number, line in enumerate(world(role, size))]
    (folder / "rows.csv").write_text("\n".join(lines))
    (folder / "study.yaml").write_text(text)
    return folder / "study.yaml"


def world(role: str, size: int) -> list[str]:
    random = np.random.default_rng(len(role))
    y = random.integers(0, 2, size)
    core, spurious = random.normal(size=size) + 2 * y, random.normal(size=size)
    return [f"{a},{b},{label}" for a, b, label in zip(core, spurious, y, strict=True)]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("candidates"))


@pytest.fixture(scope="module")
def outcome(file: Path) -> Outcome:
    return run_study(load_study(file), file.parent, out=file.parent / "runs", engine="in_process", product="default")


def test_the_candidate_with_most_evidence_is_the_base(file: Path, outcome: Outcome) -> None:
    """Ranks from the cells' own numbers, by scipy; the model that is left is that candidate's, for each seed."""
    store = Store(file.parent / "runs" / "cells")
    cells = {cell.title: cell for cell in store.cells()}
    names = ["linear-p0.3", "linear-p3", "3-p0.3", "3-p3"]
    means = [
        sum(
            read_json(store.path(cells[f"candidate {name}, seed {seed}"].address) / "criteria.json")["values"][
                "evidence"
            ]
            for seed in (0, 1)
        )
        for name in names
    ]
    best = names[int(rankdata(means).argmax())]
    for seed in (0, 1):
        own = store.path(cells[f"candidate {best}, seed {seed}"].address) / "model" / "model.safetensors"
        left = outcome.folder / "models" / "best" / f"seed-{seed}" / "model.safetensors"
        assert digest_file(own) == digest_file(left)
    notes = outcome.card.subjects[0].notes
    assert any(f"Chosen by evidence among 4 candidates: {best}." in note for note in notes)
    assert [each.name for each in outcome.card.subjects] == ["best", "best+balanced"]


def test_the_card_has_the_criteria_of_the_chosen(outcome: Outcome) -> None:
    found = {each.name: each for each in outcome.card.findings if each.subject == "best"}
    assert found["evidence"].value == pytest.approx(sum(found["evidence"].per_seed) / 2)
    assert {"conditional_evidence", "bma_loss", "map_loss", "chance_of_best_by_evidence"} <= set(found)
    assert 0 <= found["chance_of_best_by_evidence"].value <= 1
    assert any("chosen by evidence from fit rows" in line for line in outcome.card.not_shown)
    again = card_from_json(read_json(outcome.folder / "card.json"))
    assert again.findings == outcome.card.findings


def test_a_choice_of_the_same_study_trains_nothing_anew(file: Path, outcome: Outcome) -> None:
    chosen = choose(
        asked_of_study(file, {}), file.parent, out=file.parent / "runs", engine="in_process", product="default"
    )
    assert chosen.reused == 8
    taken = chosen.choice.picks["evidence"].chosen
    assert any(f": {taken}." in note for note in outcome.card.subjects[0].notes)


def test_choosing_by_another_criterion_trains_nothing_anew(file: Path, outcome: Outcome) -> None:
    text = STUDY.replace("choose_by: evidence", "choose_by: validation_loss")
    (file.parent / "other.yaml").write_text(text)
    study = load_study(file.parent / "other.yaml")
    other = run_study(study, file.parent, out=file.parent / "runs", engine="in_process", product="default")
    titles = {cell.address: cell.kind for cell in Store(file.parent / "runs" / "cells").cells()}
    assert "candidate" not in {titles[address] for address in other.computed}
    assert set(outcome.computed) & set(other.reused)


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("{candidate: chosen, label: The chosen}", "{candidate: chosen, epochs: 3}", "candidate and epochs given"),
        ("  widths: [3]\n", "", "give the widths of a grid"),
        ("  widths: [3]\n  depths: [0, 1]\n  precisions: [0.3, 3]\n", "  widths: [3]\n", "nothing to choose"),
        ("choose_by: evidence", "choose_by: evidense", "expected 'conditional_evidence'"),
        ("  widths: [3]", "  width: [3]", "did you mean 'widths'"),
        ("{candidate: chosen, label: The chosen}", "{model: runs/x}", "no base takes one"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(tmp_path: Path, old: str, new: str, match: str) -> None:
    assert old in STUDY
    with pytest.raises(InputError, match=match):
        load_study(write_study(tmp_path, STUDY.replace(old, new)))


def test_a_study_without_candidates_has_nothing_to_choose_among(tmp_path: Path) -> None:
    text = STUDY[: STUDY.index("candidates:")] + "network:\n  linear: {}\nbase:\n  plain: {epochs: 1}\n"
    with pytest.raises(InputError, match="has no candidates to choose among"):
        asked_of_study(write_study(tmp_path, text), {})
