"""Puzzles have one best move, come once, and are rows whose games stay together."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from surefoot.errors import InputError
from surefoot.rows.assign import assign_roles
from surefoot.rows.chess import puzzles
from surefoot.rows.chess.fen import read_fen, write_fen
from surefoot.rows.chess.moves import Move, is_mate, legal_moves, name_of_move, play, read_move
from surefoot.rows.chess.puzzles import Found, Puzzle, forces_mate, mate_puzzles, mating_moves, read_lichess
from surefoot.rows.chess.tokens import LENGTH, TOKENS, all_moves, mirror, puzzle_rows, tokens_of

MADE = mate_puzzles(40, seed=0, endgames=0.75)

LICHESS = """PuzzleId,FEN,Moves,Rating,RatingDeviation,Popularity,NbPlays,Themes,GameUrl,OpeningTags
aaaaa,6k1/5ppp/8/8/8/1n6/5PPP/R5K1 b - - 0 1,b3d2 a1a8,600,80,90,10,backRankMate mate mateIn1,https://lichess.org/game0001/black#2,
bbbbb,rnbqkbnr/pppp1ppp/8/4p3/8/5P2/PPPPP1PP/RNBQKBNR w KQkq - 0 2,g2g4 d8h4,400,80,90,10,mate mateIn1 opening,https://lichess.org/game0002#3,
ccccc,4k3/8/8/8/8/8/1p6/q3K2R w K - 0 1,e1e2 b2b1n,1500,80,90,10,underPromotion,https://lichess.org/game0001/black#60,
"""


@pytest.fixture
def lichess(tmp_path: Path) -> Path:
    path = tmp_path / "puzzles.csv"
    path.write_text(LICHESS, encoding="utf-8")
    return path


def brute_mates(puzzle: Puzzle) -> list[str]:
    """Every legal move, played out."""
    moves = legal_moves(puzzle.position)
    return [name_of_move(move) for move in moves if is_mate(play(puzzle.position, move))]


def test_every_puzzle_has_exactly_one_mating_move() -> None:
    for puzzle in MADE:
        assert brute_mates(puzzle) == [name_of_move(puzzle.move)]
        assert read_fen(write_fen(puzzle.position)) == puzzle.position


def test_positions_come_once_and_games_give_few() -> None:
    assert len({(each.position.squares, each.position.castling, each.position.passed) for each in MADE}) == len(MADE)
    assert len({each.name for each in MADE}) == len(MADE)
    games = [each.game for each in MADE]
    assert max(games.count(game) for game in games) <= 4
    kinds = [game.split()[0] for game in games]
    assert (kinds.count("endgame"), kinds.count("play")) == (30, 10)


def test_puzzles_are_the_seeds() -> None:
    first = mate_puzzles(6, seed=3, endgames=1.0)
    assert first == mate_puzzles(6, seed=3, endgames=1.0)
    assert first != mate_puzzles(6, seed=4, endgames=1.0)
    # More puzzles are the same and some.
    assert mate_puzzles(12, seed=3, endgames=1.0)[:6] == first


def test_a_position_that_comes_again_is_no_new_puzzle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every game begins with the same puzzle, with colours exchanged in every second one."""
    games: list[int] = []

    def mates(*_: object) -> list[Found]:
        games.append(len(games))
        first, other = MADE[0], MADE[1 + len(games) // 2]
        return [
            (replace(first.position, white=len(games) % 2 == 0, number=len(games)), first.move, "mateIn1"),
            (other.position, other.move, "mateIn1"),
        ]

    monkeypatch.setattr(puzzles, "_mates_of", mates)
    made = mate_puzzles(8, seed=0, endgames=1.0)
    assert len(games) > 8
    assert len({(each.position.squares, each.position.castling, each.position.passed) for each in made}) == 8


@pytest.mark.parametrize(
    "fen",
    [
        "4k3/8/8/8/8/8/R7/1R5K w - - 0 1",
        "3k4/8/4K3/8/8/8/8/R7 w - - 0 1",  # some answers lose to a mate, and others do not
        "7k/8/5K2/8/8/8/8/6R1 w - - 0 1",
        "7q/8/8/8/8/5k2/8/5K2 b - - 0 1",
    ],
)
def test_mates_in_two_are_those_that_no_answer_avoids(fen: str) -> None:
    position = read_fen(fen)
    forced: list[Move] = []
    for move in legal_moves(position):
        after = play(position, move)
        unavoided = [answer for answer in legal_moves(after) if not mating_moves(play(after, answer))]
        if is_mate(after) or (legal_moves(after) and not unavoided):
            forced.append(move)
    assert forces_mate(position, 2) == forced
    assert forces_mate(position, 1) == mating_moves(position)
    assert forces_mate(position, 0) == []


def test_the_only_first_move_is_found() -> None:
    """The king makes room: Kf6-f7, Kh8-h7, Rg1-h1 mate."""
    position = read_fen("7k/8/5K2/8/8/8/8/6R1 w - - 0 1")
    assert [name_of_move(move) for move in forces_mate(position, 2)] == ["f6f7"]
    assert "a2a7" in {name_of_move(move) for move in forces_mate(read_fen("4k3/8/8/8/8/8/R7/1R5K w - - 0 1"), 2)}


def test_tables_of_lichess_begin_with_the_other_sides_move(lichess: Path) -> None:
    read = read_lichess(lichess)
    assert [name_of_move(each.move, each.position.white) for each in read] == ["a1a8", "d8h4", "b2b1n"]
    assert [each.game for each in read] == [
        "lichess game game0001",
        "lichess game game0002",
        "lichess game game0001",
    ]
    assert [each.position.white for each in read] == [True, False, False]
    assert all(brute_mates(each) == [name_of_move(each.move)] for each in read[:2])
    assert [each.name for each in read_lichess(lichess, theme="mateIn1", lowest=500)] == ["lichess aaaaa"]
    assert [each.rating for each in read_lichess(lichess, highest=600)] == [600, 400]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("b3d2 a1a8", "b3d2 a1b7", "line 2: 'a1b7' is no legal move"),
        ("b3d2 a1a8", "b3d2", "line 2: Moves is"),
        ("PuzzleId", "Id", "no column PuzzleId"),
        ("KQkq - 0 2", "KQkq - 0", "line 3: .* is no FEN"),
    ],
)
def test_bad_tables_are_refused(lichess: Path, old: str, new: str, words: str) -> None:
    lichess.write_text(LICHESS.replace(old, new), encoding="utf-8")
    with pytest.raises(InputError, match=words):
        read_lichess(lichess)


def test_rows_hold_the_board_from_the_movers_side(lichess: Path) -> None:
    rows = puzzle_rows(read_lichess(lichess))
    assert tuple(rows.inputs[:].shape) == (3, LENGTH)
    assert [rows.classes[target] for target in rows.targets.tolist()] == ["a1a8", "d1h5", "b7b8n"]
    first = rows.inputs[:][0].tolist()
    assert (first[0], first[6], first[62], first[11]) == (4, 6, 12, 8)  # own rook a1, king g1; their king g8, knight d2
    assert rows.inputs[:][1][64:].tolist() == [9 + 15, 1 + 6]  # all may castle; the g-pawn has just jumped
    assert rows.origins() == {"lichess game game0001", "lichess game game0002"}


def test_games_stay_on_one_side_of_a_split() -> None:
    rows = puzzle_rows(MADE)
    parts = assign_roles(rows, {"fit": 0.5, "judge": 0.5}, seed=0)
    assert not parts["fit"].origins() & parts["judge"].origins()
    assert len(rows.origins()) < len(rows)


def test_classes_are_moves_of_some_piece() -> None:
    known = all_moves()
    assert len(set(known)) == len(known) == 1792 + 4 * 22
    rows = puzzle_rows(MADE, known)
    assert [known[target] for target in rows.targets.tolist()] == [name_of_move(each.move) for each in MADE]
    with pytest.raises(InputError, match="is not among the 1 classes"):
        puzzle_rows(MADE, ["a1a1"])


def test_tokens_tell_positions_apart() -> None:
    told = torch.tensor([tokens_of(each.position) for each in MADE])
    assert len(told.unique(dim=0)) == len(MADE)
    assert int(told.min()) >= 0
    assert int(told.max()) < TOKENS
    # Rights and a passed square are part of them.
    one, other = read_fen("4k3/8/8/8/8/8/8/4K2R w K - 0 1"), read_fen("4k3/8/8/8/8/8/8/4K2R w - - 0 1")
    assert tokens_of(one) != tokens_of(other)


def test_mirrored_puzzles_are_puzzles() -> None:
    mirrored = [mirror(each) for each in MADE if not each.position.castling]
    assert len(mirrored) > 25
    for each in mirrored:
        assert brute_mates(each) == [name_of_move(each.move)]
        assert mirror(each).position.key != each.position.key
    castling = [each for each in MADE if each.position.castling]
    with pytest.raises(InputError, match="may castle"):
        mirror(castling[0])


def test_a_passed_square_is_mirrored_with_its_pawns() -> None:
    position = read_fen("4k3/8/8/1pP5/8/8/8/4K3 w - b6 0 2")
    turned = mirror(Puzzle(position, read_move("c5b6", position), "one", "game", "")).position
    assert write_fen(turned) == "3k4/8/8/5Pp1/8/8/8/3K4 w - g6 0 2"
    assert tokens_of(turned)[-1] == 7


@pytest.mark.parametrize("asked", [(0, 0.5, 4), (5, 1.5, 4), (5, 0.5, 0)])
def test_impossible_wishes_are_refused(asked: tuple[int, float, int]) -> None:
    with pytest.raises(InputError, match="at least one of each"):
        mate_puzzles(asked[0], 0, endgames=asked[1], most_a_game=asked[2])
