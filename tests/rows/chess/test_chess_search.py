"""The search against one that leaves nothing out, and against positions whose best move everybody knows."""

import random
from dataclasses import replace
from functools import cache

import pytest

from surefoot.errors import InputError
from surefoot.rows.chess.board import Position
from surefoot.rows.chess.fen import read_fen, write_fen
from surefoot.rows.chess.moves import Move, in_check, legal_moves, name_of_move, play
from surefoot.rows.chess.puzzles import random_board
from surefoot.rows.chess.search import MATE, captures_worth, material, winning_move, worth

COUNTS = {"p": 1, "n": 3, "b": 3, "r": 5, "q": 9, "k": 0}


def count(position: Position) -> int:
    """Material, from the letters of the FEN."""
    board, side, *_ = write_fen(position).split()
    letters = [letter for letter in board if letter.isalpha()]
    white = sum(COUNTS[letter.lower()] * (1 if letter.isupper() else -1) for letter in letters)
    return white if side == "w" else -white


def plain(position: Position, depth: int) -> int:
    """Everything is tried, whatever it is for; no windows, no order."""
    return plain_of(replace(position, quiet=0, number=1), depth)


@cache
def plain_of(position: Position, depth: int) -> int:
    moves = legal_moves(position)
    if not moves:
        return -(MATE + depth) if in_check(position) else 0
    if depth:
        return max(-plain(play(position, move), depth - 1) for move in moves)
    if in_check(position):
        return max(-plain(play(position, move), 0) for move in moves)
    pieces = 64 - position.squares.count(0)
    afters = [(move, play(position, move)) for move in moves]
    loud = [after for move, after in afters if move.promotion or 64 - after.squares.count(0) < pieces]
    return max(count(position), *(-plain(after, 0) for after in loud), -MATE)


def boards(seed: int, number: int, most: int) -> list[Position]:
    """Random boards of few pieces, pawns about to promote or to be taken in passing among them."""
    chance = random.Random(seed)
    found = [random_board(chance, (3, 2, 2, 2, 1), (1, most), (3, 2, 2, 2, 1), (0, most)) for _ in range(number)]
    # A move on, so that checks, jumps of pawns and both colours are met.
    return [
        play(each, chance.choice(legal_moves(each) or [Move(0, 0)])) if legal_moves(each) else each for each in found
    ]


def winner(position: Position, depth: int, gain: int, margin: int) -> tuple[Move, int] | None:
    """`winning_move` by its words, of plain values."""
    before = count(position)
    if plain(position, 0) > before + gain - margin:
        return None
    values = {move: -plain(play(position, move), depth - 1) for move in legal_moves(position)}
    ranked = sorted(values, key=values.__getitem__, reverse=True)
    if not ranked or not before + gain <= values[ranked[0]] < MATE or values[ranked[0]] == 0:
        return None
    if len(ranked) > 1 and values[ranked[0]] - values[ranked[1]] < margin:
        return None
    return ranked[0], values[ranked[0]] - before


@pytest.mark.parametrize(("depth", "number", "most"), [(0, 150, 3), (1, 40, 2), (2, 6, 2)])
def test_values_are_those_of_a_search_that_leaves_nothing_out(depth: int, number: int, most: int) -> None:
    values = {position: plain(position, depth) for position in boards(depth, number, most)}
    for position, value in values.items():
        assert worth(position, depth) == value, write_fen(position)
        if depth == 0:
            assert captures_worth(position) == value
    # Not all are quiet.
    assert sum(value != count(position) for position, value in values.items()) > number / 5


def test_windows_bound_the_value_from_the_right_side() -> None:
    chance = random.Random(0)
    outside = 0
    for position in boards(7, 40, 2):
        for depth in (0, 1):
            value = plain(position, depth)
            low = value + chance.randint(-6, 5)
            high = low + chance.randint(1, 4)
            said = worth(position, depth, low, high)
            if value <= low:
                assert value <= said <= low
            elif value >= high:
                assert high <= said <= value
            else:
                assert said == value
            outside += not low < value < high
    assert outside > 20


def test_material_is_counted_for_the_mover() -> None:
    for position in boards(3, 40, 8):
        assert material(position) == count(position)


FORK, PAWN_FORK = "2q3k1/8/8/3N4/8/8/8/K7 w - - 0 1", "8/8/8/2k1r3/8/2KP4/7P/8 w - - 0 1"
SKEWER, PIN = "q7/8/8/3k4/8/8/8/1K3B2 w - - 0 1", "4k3/8/8/4n3/8/8/8/K2R4 w - - 0 1"


@pytest.mark.parametrize(("gain", "margin"), [(3, 2), (1, 1), (5, 5)])
def test_the_winning_move_is_the_plain_searchs(gain: int, margin: int) -> None:
    """Looking two moves ahead, on known boards and others."""
    found = []
    for position in [*map(read_fen, (FORK, PAWN_FORK, SKEWER, PIN)), *boards(2, 6, 1)]:
        said, wanted = winning_move(position, 2, gain=gain, margin=margin), winner(position, 2, gain, margin)
        assert said == wanted, write_fen(position)
        found.append(said is not None)
    assert 0 < sum(found) < len(found)


@pytest.mark.slow
@pytest.mark.parametrize("fen", [FORK, PIN])
def test_the_winning_move_of_three_is_the_plain_searchs(fen: str) -> None:
    assert winning_move(read_fen(fen)) == winner(read_fen(fen), 3, 3, 2)


@pytest.mark.parametrize(
    ("fen", "move", "gain"),
    [
        (FORK, "d5e7", 9),
        ("k7/8/8/8/3n4/8/8/2Q3K1 b - - 0 1", "d4e2", 9),  # the same of the other colour
        (PAWN_FORK, "d3d4", 4),  # and the pawn is lost
        (SKEWER, "f1g2", 9),  # the king goes, the queen behind it does not
        (PIN, "d1e1", 3),
    ],
)
def test_known_tactics(fen: str, move: str, gain: int) -> None:
    position = read_fen(fen)
    found = winning_move(position)
    assert found is not None
    assert (name_of_move(found.move, position.white), found.gain) == (move, gain)
    assert winning_move(position, gain=gain + 1) is None


@pytest.mark.parametrize(
    "fen",
    [
        "8/8/8/3r4/4P3/8/k7/7K w - - 0 1",  # nobody guards it: captures alone see that
        "6k1/5ppp/8/8/8/8/8/R6K w - - 0 1",  # a mate
        "4k3/8/8/4n3/8/8/8/K2R1R2 w - - 0 1",  # either rook pins it
        "2R5/n7/4K2P/8/3k4/8/8/b7 w - - 0 1",  # a rook's move wins the knight, and one of the pawn two pawns' worth
        PAWN_FORK.replace("7P", "8"),  # at the end material is equal: a draw by stalemate would be as much
        "8/8/8/8/8/k7/8/K7 w - - 0 1",
    ],
)
def test_no_winning_move(fen: str) -> None:
    assert winning_move(read_fen(fen)) is None


def test_a_pawn_that_jumped_is_taken_in_passing() -> None:
    passing, not_passing = (read_fen(f"4k3/8/8/3pP3/8/8/8/4K3 w - {square} 0 1") for square in ("d6", "-"))
    assert [captures_worth(passing), worth(passing, 1), captures_worth(not_passing)] == [1, 1, 0]


def test_a_stalemate_is_worth_nothing_whoever_is_ahead() -> None:
    """Without Kc7, after which nothing can move, the mover stays a pawn down."""
    saved = read_fen("k7/p2K4/P7/8/7p/7p/7P/8 w - - 0 1")
    assert [material(saved), worth(saved, 0), worth(saved, 1)] == [-1, -1, 0]
    assert worth(read_fen("k7/8/1Q6/8/8/8/8/K7 b - - 0 1"), 0) == 0
    assert worth(read_fen("k7/8/8/1Q6/8/8/8/K7 b - - 0 1"), 0) == -9
    assert worth(read_fen("k7/8/1Q6/8/8/8/8/K7 b - - 0 1"), 3) == 0


def test_nearer_mates_are_worth_more() -> None:
    assert [worth(read_fen("6k1/5ppp/8/8/8/8/8/R6K w - - 0 1"), depth) for depth in (1, 2, 3)] == [
        MATE,
        MATE + 1,
        MATE + 2,
    ]


@pytest.mark.parametrize("asked", [(0, 3, 2), (3, 0, 2), (3, 3, 0), (3, 3, 4)])
def test_impossible_wishes_are_refused(asked: tuple[int, int, int]) -> None:
    depth, gain, margin = asked
    with pytest.raises(InputError, match="of 1 or more"):
        winning_move(read_fen("7k/8/8/8/8/8/8/K7 w - - 0 1"), depth, gain=gain, margin=margin)
    with pytest.raises(InputError, match="depth of -1"):
        worth(read_fen("7k/8/8/8/8/8/8/K7 w - - 0 1"), -1)
