"""The chess setting: its rows, its sizes, that chains and pairs run, and that its page holds what its data say."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from surefoot.files import read_json
from surefoot.rows.chess.board import KING, OTHERS
from surefoot.rows.chess.moves import is_mate, legal_moves, name_of_move, play
from surefoot.rows.chess.puzzles import mate_puzzles

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "studies"))
import weak_chess
import weak_tables

sys.path.pop(0)

ROOT = Path(__file__).resolve().parents[2]
SMALL = replace(weak_chess.QUICK, puzzles=40, models=(("one", 2, 1, 0.02), ("two", 3, 1, 0.02)), epochs=1)
PUZZLES = mate_puzzles(40, 0, endgames=0.9)


def test_boards_face_one_way_and_stay_puzzles() -> None:
    for puzzle in map(weak_chess.faced, PUZZLES):
        if not puzzle.position.castling:
            assert puzzle.position.squares.index(KING + OTHERS) % 8 < 4
        mates = [move for move in legal_moves(puzzle.position) if is_mate(play(puzzle.position, move))]
        assert mates == [puzzle.move]


def test_rare_moves_are_left_out_and_games_are_not_parted() -> None:
    settings = replace(SMALL, rare=2, judged=0.5)
    rows, judge = weak_chess.split(PUZZLES, settings)
    assert not rows.origins() & judge.origins()
    counts = torch.cat([rows.targets, judge.targets]).bincount()
    assert int(counts.min()) >= 2
    every = sum(map(len, weak_chess.split(PUZZLES, replace(SMALL, rare=1))))
    assert len(rows) + len(judge) < every == 40


def test_the_rules_are_all_legal_moves_alike() -> None:
    rows, _ = weak_chess.split(PUZZLES, SMALL)
    rules = weak_chess.rules_of(PUZZLES, rows)
    positions = {each.name: each.position for each in map(weak_chess.faced, PUZZLES)}
    for name, said, truth in zip(rows.ids.tolist(), rules.rows.targets, rows.targets, strict=True):
        position = positions.get(name) or {each.name: each.position for each in PUZZLES}[name]
        legal = {name_of_move(move) for move in legal_moves(position)} & set(rows.classes)
        assert {rows.classes[number] for number in said.nonzero()[:, 0].tolist()} == legal
        assert said[truth] == pytest.approx(1 / len(legal))


def test_the_published_sizes_grow() -> None:
    classes = ["e2e4", "a7a8q", "a7a8n"]
    numbers = [
        sum(each.numel() for each in weak_chess.build(weak_chess.Settings(), size, classes, 0).module.parameters())
        for size in range(4)
    ]
    assert numbers == sorted(numbers)
    assert numbers[-1] > 10 * numbers[0]


def test_a_small_study_runs_and_is_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = weak_chess.study(SMALL, 1, tmp_path)
    assert [each["loss"] for each in record["chains"]] == [weak_chess.BASELINE, "confidence .5"]
    assert len(record["pairs"]) == 3 * 3
    # With two sizes a chain is one link, and that link is direct teaching.
    for each in record["chains"]:
        assert each["chain"] == each["direct"]
    assert weak_chess.chains_table(record).count("\n") == 3
    assert [each["loss"] for each in record["knowing"]] == list(weak_chess.recipes(SMALL))
    monkeypatch.setattr(weak_chess, "teach", lambda *_: pytest.fail("it was taught again"))
    monkeypatch.setattr(weak_chess, "bootstrap", lambda *_: pytest.fail("it was taught again"))
    assert weak_chess.study(SMALL, 1, tmp_path) == record


def test_the_page_holds_what_the_data_say() -> None:
    record = read_json(ROOT / "docs/data/weak-chess.json")
    page = (ROOT / "docs/weak-chess.md").read_text(encoding="utf-8")
    assert weak_tables.with_blocks(page, "chess", weak_chess.blocks_of(record)) == page
    drawn = weak_tables.picture(record, weak_chess.TITLE, "confidence .5")
    assert (ROOT / "docs/images/weak-chess.svg").read_text(encoding="utf-8") == drawn


def test_the_page_says_in_words_what_the_data_say() -> None:
    record = read_json(ROOT / "docs/data/weak-chess.json")
    page = " ".join((ROOT / "docs/weak-chess.md").read_text(encoding="utf-8").split())
    rows = record["rows"]
    assert f"{rows['labelled']:,} are labelled, of {rows['games']:,} games, and {record['judged']:,} judged" in page
    assert f"with {rows['classes']} moves to choose from" in page
    baseline = {(each["weak"], each["strong"]): each for each in record["pairs"] if each["loss"] == record["baseline"]}
    widest = baseline["board4", "board32"]
    assert widest["gap"]["value"] > 0.1
    assert f"is {weak_tables.told(widest['gap'], 100, 1)} points" in page
    assert f"share of the gap, {weak_tables.told(widest['recovered'])}, is above nothing" in page
    repeated = [
        baseline["board4", strong]["disagreement"]["agreement_with_wrong_labels"]["value"]
        for strong in ("board8", "board16", "board32")
    ]
    one, two, three = (f"{100 * each:.0f} %" for each in repeated)
    assert f"repeat {one}, {two} and {three} of its mistakes" in page
    assert repeated == sorted(repeated)
    assert f"about {10 * round(widest['equivalent']['size'] / 10):,} that was taught the truth" in page
    others = [each for each in record["pairs"] if not each["itself"]]
    sure = [each["against_baseline"] for each in others if each["loss"] == "confidence .5"]
    assert all(each["low"] < 0 < each["high"] for each in sure)
    lowered = [
        baseline[each["weak"], each["strong"]]["disagreement"]["agreement_with_wrong_labels"]["value"]
        - each["disagreement"]["agreement_with_wrong_labels"]["value"]
        for each in others
        if each["loss"] == "confidence .5"
    ]
    assert [round(100 * end) for end in (min(lowered), max(lowered))] == [3, 8]
    short = [each["against_baseline"] for each in others if each["loss"] == weak_chess.SHORT]
    assert max(each["value"] for each in short) < 0
    assert sum(each["high"] < 0 for each in short) == len(short) / 2
    assert not any(each["change"]["low"] > 0 for each in record["chains"])
    ceilings = [record["sizes"][-1]["ceiling"], record["knowing"][0]["ceiling"]]
    assert "lift its ceiling from {:.1f} % to {:.1f} %".format(*(100 * each for each in ceilings)) in page
    gained = [each["gained"]["value"] for each in record["knowing"]]
    assert max(gained) < ceilings[1] - ceilings[0]
    assert all(each["recovered"]["value"] < 0.1 for each in record["knowing"])


def test_the_pages_code_runs(capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs/weak-chess.md").read_text(encoding="utf-8")
    (code,) = (part.split("```")[0] for part in page.split("```python\n")[1:])
    exec(compile(code, "weak-chess.md", "exec"), {})
    assert len(capsys.readouterr().out.splitlines()) == 3
