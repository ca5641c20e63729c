"""The chess setting: its rows, its sizes, that chains and pairs run, and that its page holds what its data say."""

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from surefoot.files import read_json
from surefoot.rows.chess.board import KING, OTHERS
from surefoot.rows.chess.moves import is_mate, legal_moves, name_of_move, play
from surefoot.rows.chess.puzzles import Puzzle, mate_puzzles

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "studies"))
import weak_chess
import weak_tables

sys.path.pop(0)

ROOT = Path(__file__).resolve().parents[2]
SMALL = replace(weak_chess.QUICK, puzzles=40, models=(("one", 2, 1, 0.02), ("two", 3, 1, 0.02)), epochs=1)
PUZZLES = mate_puzzles(40, 0, endgames=0.9)


def test_names_and_positions_are_told_apart() -> None:
    one, two, three = (replace(each, name="a") for each in PUZZLES[:3])
    other = replace(one, position=replace(one.position, white=not one.position.white), name="b")
    assert [each.name for each in weak_chess.distinct([one, two, other])] == ["a", "a again"]
    assert weak_chess.distinct([one, replace(two, name="c"), three])[1].name == "c"


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


def test_longer_puzzles_are_made_once_and_told_by_theme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[str, int, int]] = []

    def fake(theme: str, taken: int) -> Callable[..., list[Puzzle]]:
        """Mates in one under another name."""

        def make(count: int, seed: int, *, progress: object = None) -> list[Puzzle]:
            made.append((theme, count, seed))
            some = PUZZLES[taken : taken + count] if seed == 0 else PUZZLES[taken + 1 : taken + 1 + count]
            return [replace(each, name=f"{theme} {each.name}", game=each.name, theme=f"{theme} fork") for each in some]

        return make

    monkeypatch.setattr(weak_chess, "LONGER", {"mateIn2": fake("mateIn2", 0), "tactic": fake("tactic", 15)})
    monkeypatch.setattr(weak_chess, "PART", 10)
    monkeypatch.setattr(weak_chess, "FEWEST", 3)
    monkeypatch.setattr(weak_chess, "mate_puzzles", lambda *_, **__: PUZZLES[30:])
    settings = replace(SMALL, judged=0.5, longer=(("mateIn2", 13), ("tactic", 10)))
    puzzles = weak_chess.kept_puzzles(settings, tmp_path / "puzzles")
    assert made == [("mateIn2", 10, 0), ("mateIn2", 3, 1), ("tactic", 10, 0)]
    # The second part's puzzles are all in the first.
    assert Counter(each.theme for each in puzzles) == {"mateIn1": 10, "mateIn2 fork": 10, "tactic fork": 10}
    assert weak_chess.kept_puzzles(settings, tmp_path / "puzzles") == puzzles
    assert len(made) == 3
    record = weak_chess.study(settings, 1, tmp_path)
    themes = record["themes"]
    assert [each["theme"] for each in themes] == ["mateIn1", "mateIn2", "tactic"]
    assert sum(each["judged"] for each in themes) == record["judged"]
    assert sum(each["labelled"] for each in themes) == record["rows"]["labelled"]
    # Themes' accuracies make up the whole.
    widest = next(each for each in record["pairs"] if each["weak"] == "one" and each["strong"] == "two")
    for of in ("student", "ceiling"):
        whole = sum(each["judged"] * each["taught"][0][of] for each in themes) / record["judged"]
        assert whole == pytest.approx(widest[of], abs=1e-5)
    blocks = weak_chess.blocks_of(record)
    assert len(blocks) == 8
    assert blocks[1].count("\n") == 1 + 3
    assert blocks[2].count("\n") == 1 + 3 * (len(weak_chess.recipes(settings)) + 1)


@pytest.mark.parametrize(("name", "title"), [("chess", weak_chess.TITLE), ("chess-tactics", weak_chess.TACTICS_TITLE)])
def test_the_page_holds_what_the_data_say(name: str, title: str) -> None:
    record = read_json(ROOT / f"docs/data/weak-{name}.json")
    page = (ROOT / "docs/weak-chess.md").read_text(encoding="utf-8")
    assert weak_tables.with_blocks(page, name, weak_chess.blocks_of(record)) == page
    drawn = weak_tables.picture(record, title, "confidence .5")
    assert (ROOT / f"docs/images/weak-{name}.svg").read_text(encoding="utf-8") == drawn


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


def test_the_page_says_in_words_what_the_data_of_longer_puzzles_say() -> None:
    record = read_json(ROOT / "docs/data/weak-chess-tactics.json")
    page = " ".join((ROOT / "docs/weak-chess.md").read_text(encoding="utf-8").split())
    page = page.split("## Mates in two and tactics")[1]
    rows, settings, themes = record["rows"], record["settings"], {each["theme"]: each for each in record["themes"]}
    asked = {"mateIn1": settings["puzzles"], **dict(settings["longer"])}
    assert "{mateIn1:,} mates in one, {mateIn2:,} mates in two and {tactic:,} tactics".format(**asked) in page
    assert f"{rows['labelled']:,} are labelled, of {rows['games']:,} games, and {record['judged']:,} judged" in page
    assert f"with {rows['classes']} moves to choose from" in page
    others = [each for each in record["pairs"] if not each["itself"]]
    baseline = {(each["weak"], each["strong"]): each for each in others if each["loss"] == record["baseline"]}
    assert f"The largest gap is {weak_tables.told(baseline['board4', 'board32']['gap'], 100, 1)} points" in page
    left = themes["tactic"]["labelled"] + themes["tactic"]["judged"]
    assert 0.45 < left / asked["tactic"] < 0.55
    gaps = {name: each["taught"][0]["gap"] for name, each in themes.items()}
    assert max(gaps, key=lambda name: gaps[name]["value"]) == "mateIn2"
    assert f"their gap is {weak_tables.told(gaps['tactic'], 100, 1)} points" in page
    shares = {name: [by["recovered"] for by in each["taught"]] for name, each in themes.items()}
    assert all(share["high"] - share["low"] > 1 for share in shares["tactic"])
    assert all(share["low"] < 0 < share["high"] for every in shares.values() for share in every)
    for name in ("mateIn1", "mateIn2"):
        assert 1.9 < themes[name]["taught"][-1]["gap"]["value"] / gaps[name]["value"] < 2.3
    sure = [each["against_baseline"] for each in others if each["loss"] == "confidence .5"]
    assert all(each["low"] < 0 < each["high"] for each in sure)
    short = [each["against_baseline"] for each in others if each["loss"] == weak_chess.SHORT]
    assert sum(each["high"] < 0 for each in short) == len(short) / 2
    repeated = [
        baseline["board4", strong]["disagreement"]["agreement_with_wrong_labels"]["value"]
        for strong in ("board8", "board16", "board32")
    ]
    assert repeated == sorted(repeated)
    assert all(each["change"]["low"] < 0 < each["change"]["high"] for each in record["chains"])


def test_the_pages_code_runs(capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs/weak-chess.md").read_text(encoding="utf-8")
    blocks = [part.split("```")[0] for part in page.split("```python\n")[1:]]
    told: list[int] = []
    for code in blocks:
        exec(compile(code, "weak-chess.md", "exec"), {})
        told.append(len(capsys.readouterr().out.splitlines()))
    assert told == [3, 2]
