"""Mates in two against every answer tried out, tactics against boards that everybody knows, games that keep names."""

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from surefoot.errors import InputError
from surefoot.rows.chess.attacks import attacked
from surefoot.rows.chess.board import KING, NOWHERE, OTHERS, PAWN, Position, name_of_square
from surefoot.rows.chess.fen import read_fen, write_fen
from surefoot.rows.chess.moves import name_of_move, read_move
from surefoot.rows.chess.puzzles import Puzzle, forces_mate, mate_puzzles, mating_moves, played_on, random_endgame
from surefoot.rows.chess.tactics import forks, mate_in_two, mate_in_two_puzzles, tactic_puzzles
from surefoot.rows.chess.tokens import mirror, puzzle_rows

MATES = mate_in_two_puzzles(6, seed=0)
TACTICS = tactic_puzzles(4, seed=0)

# Morphy's problem, and the mate that is called Philidor's legacy.
MORPHY, SMOTHERED = "kbK5/pp6/1P6/8/8/8/8/R7 w - - 0 1", "5r1k/6pp/7N/8/2Q5/8/8/6K1 w - - 0 1"


def beside(puzzle: Puzzle, chance: random.Random) -> Position:
    """The puzzle's position with one piece elsewhere or away: nearly a puzzle, or another."""
    while True:
        squares = bytearray(puzzle.position.squares)
        place = chance.choice([square for square, piece in enumerate(squares) if piece])
        piece, squares[place] = squares[place], 0
        elsewhere = chance.choice([square for square in range(64) if not squares[square]])
        if piece % OTHERS == KING % OTHERS or chance.random() < 0.7:
            squares[elsewhere] = piece
        edge = {*squares[:8], *squares[56:]}
        board = replace(puzzle.position, squares=bytes(squares), passed=NOWHERE)
        if not edge & {PAWN, PAWN + OTHERS} and not attacked(squares, squares.index(KING + OTHERS), others=False):
            return board


def test_known_mates_in_two() -> None:
    for fen, key in ((MORPHY, "a1a6"), (SMOTHERED, "c4g8"), ("7k/8/5K2/8/8/8/8/6R1 w - - 0 1", "f6f7")):
        position = read_fen(fen)
        found = mate_in_two(position)
        assert found is not None
        assert name_of_move(found) == key
    # Mates at once, beside one move that mates in two or none; two rooks, and two ways; no mate; nothing to move.
    for fen in (
        "8/8/8/6Q1/5r2/7N/3K4/7k w - - 0 1",
        "6R1/8/2Q5/r7/8/8/7k/4K3 w - - 0 1",
        "6k1/5ppp/8/8/8/8/8/R6K w - - 0 1",
        "8/8/8/8/8/2k5/8/K7 w - - 0 1",
        "4k3/8/8/8/8/8/R7/1R5K w - - 0 1",
        "7k/5K2/6Q1/8/8/8/8/8 b - - 0 1",
    ):
        assert mate_in_two(read_fen(fen)) is None


def test_mates_in_two_are_those_that_every_answer_tried_out_tells() -> None:
    chance = random.Random(0)
    kinds = [0, 0]
    for puzzle in MATES:
        for position in (puzzle.position, beside(puzzle, chance)):
            forced = [] if mating_moves(position) else forces_mate(position, 2)
            wanted = forced[0] if len(forced) == 1 else None
            assert mate_in_two(position) == wanted, write_fen(position)
            kinds[wanted is not None] += 1
    assert min(kinds) > 3


def test_a_stalemate_is_no_mate_in_two() -> None:
    """After Qb6 nothing can move; Qb5, Qc6 and the like mate next: the way that stalemates is not among them."""
    position = read_fen("k7/2Q5/8/1K6/8/8/8/8 w - - 0 1")
    forced = forces_mate(position, 2)
    assert mate_in_two(position) == (forced[0] if len(forced) == 1 and not mating_moves(position) else None)
    assert read_move("b5b6", position) not in forced or mating_moves(position)


@pytest.mark.parametrize("made", [MATES, TACTICS])
def test_positions_and_names_come_once(made: list[Puzzle]) -> None:
    assert len({(each.position.squares, each.position.castling, each.position.passed) for each in made}) == len(made)
    assert len({each.name for each in made}) == len(made)
    games = [each.game for each in made]
    assert max(games.count(game) for game in games) <= 4
    assert all(each.name.startswith(f"{each.theme.split()[0]} {each.game}") for each in made)
    rows = puzzle_rows(made)
    assert rows.origins() == set(games)


@pytest.mark.parametrize(("make", "made"), [(mate_in_two_puzzles, MATES), (tactic_puzzles, TACTICS)])
def test_puzzles_are_the_seeds(make: Callable[..., list[Puzzle]], made: list[Puzzle]) -> None:
    """Fewer are the first of more."""
    assert make(1, seed=0) == made[:1]
    assert make(1, seed=4) != made[:1]


def test_a_game_gives_no_more_than_it_may() -> None:
    games = list(dict.fromkeys(puzzle.game for puzzle in MATES))
    assert len(games) < len(MATES)
    few = mate_in_two_puzzles(len(games), seed=0, most_a_game=1)
    assert [puzzle.game for puzzle in few] == games


def test_games_are_what_their_names_say() -> None:
    """Of the same seed, mates in one and in two are from the same games."""
    for puzzle in [*MATES, *mate_puzzles(6, seed=0, endgames=1.0)]:
        chance = random.Random(puzzle.game)
        met = [position for position, _ in played_on(random_endgame(chance), chance, 30)]
        assert puzzle.position in met


def test_tactics_are_boards_without_mates_and_without_pawns_near_promotion() -> None:
    themes = {each.theme for each in TACTICS}
    assert themes == {"tactic", "tactic fork"}
    for puzzle in TACTICS:
        position = puzzle.position
        assert PAWN not in position.squares[32:]
        assert not mating_moves(position)
        assert (puzzle.theme == "tactic fork") == (len(forks(position, puzzle.move)) > 1)
        assert forks(mirror(puzzle).position, mirror(puzzle).move) == sorted(
            square ^ 7 for square in forks(position, puzzle.move)
        )


@pytest.mark.parametrize(
    ("fen", "move", "squares"),
    [
        ("2q3k1/8/8/3N4/8/8/8/K7 w - - 0 1", "d5e7", {"c8", "g8"}),
        ("k7/8/8/8/3n4/8/8/2Q3K1 b - - 0 1", "d4e2", {"c1", "g1"}),
        ("7k/8/8/1r3b2/8/3P4/8/K7 w - - 0 1", "d3d4", set()),
        ("7k/8/8/2r1b3/8/3P4/8/K7 w - - 0 1", "d3d4", {"c5", "e5"}),
        ("k7/8/8/2r1b2q/8/3P4/8/K6R w - - 0 1", "d3d4", {"c5", "e5"}),  # the queen is another's to take
        ("7k/8/8/8/1n3n2/8/4R3/K7 w - - 0 1", "e2e4", {"b4", "f4"}),  # nobody guards the knights
        ("7k/8/8/2p5/1n3n2/8/4R3/K7 w - - 0 1", "e2e4", {"f4"}),  # a pawn guards one
        ("7k/8/8/8/pn3n2/8/4R3/K7 w - - 0 1", "e2e4", {"b4", "f4"}),  # the pawn is of no account, and guards nothing
        ("7k/8/8/8/1n1p1n2/8/4R3/K7 w - - 0 1", "e2e4", {"f4"}),  # a pawn in between
        ("7k/8/8/8/1r3n2/3p4/8/K3R3 w - - 0 1", "e1e4", {"b4", "f4"}),  # a rook as good as itself, unguarded
        ("7k/8/8/p7/1r3n2/3p4/8/K3R3 w - - 0 1", "e1e4", {"f4"}),  # and guarded
    ],
)
def test_forks(fen: str, move: str, squares: set[str]) -> None:
    position = read_fen(fen)
    found = forks(position, read_move(move, position))
    assert {name_of_square(square, position.white) for square in found} == squares


@pytest.mark.parametrize("asked", [(0, 4), (5, 0)])
@pytest.mark.parametrize("make", [mate_in_two_puzzles, tactic_puzzles])
def test_impossible_wishes_are_refused(make: Callable[..., list[Puzzle]], asked: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="at least one of each"):
        make(asked[0], 0, most_a_game=asked[1])
