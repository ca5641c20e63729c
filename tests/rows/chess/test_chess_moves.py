"""The legal moves of chess, by the published numbers of move sequences, invariances and small positions."""

import random
from dataclasses import replace

import pytest

from surefoot.errors import InputError
from surefoot.rows.chess.attacks import attacked, reached, shields
from surefoot.rows.chess.board import KING, OTHERS, ROOK, Position, turned
from surefoot.rows.chess.fen import INITIAL, read_fen, write_fen
from surefoot.rows.chess.moves import (
    gives_check,
    in_check,
    is_mate,
    is_stalemate,
    legal_moves,
    name_of_move,
    perft,
    play,
    read_move,
)

KIWIPETE = "r3k2r/p1ppqpb1/bn2pnp1/3PN3/1p2P3/2N2Q1p/PPPBBPPP/R3K2R w KQkq - 0 1"
ENDING = "8/2p5/3p4/KP5r/1R3p1k/8/4P1P1/8 w - - 0 1"
FOURTH = "r3k2r/Pppp1ppp/1b3nbN/nP6/BBP1P3/q4N2/Pp1P2PP/R2Q1RK1 w kq - 0 1"
FIFTH = "rnbq1k1r/pp1Pbppp/2p5/8/2B5/8/PPP1NnPP/RNBQK2R w KQ - 1 8"
# Published numbers: www.chessprogramming.org, "Perft Results".
PUBLISHED = {
    INITIAL: (20, 400, 8_902, 197_281),
    KIWIPETE: (48, 2_039, 97_862),
    ENDING: (14, 191, 2_812, 43_238),
    FOURTH: (6, 264, 9_467),
    FIFTH: (44, 1_486, 62_379),
}
QUICK = 10_000


def cases(*, deep: bool) -> list[tuple[str, int, int]]:
    return [
        (fen, depth, count)
        for fen, counts in PUBLISHED.items()
        for depth, count in enumerate(counts, start=1)
        if (count > QUICK) is deep
    ]


def exchanged(fen: str) -> str:
    """The same position with colours exchanged, made on the text alone."""
    pieces, side, castling, passed, *clocks = fen.split()
    ranks = "/".join(reversed(pieces.split("/"))).swapcase()
    rights = "".join(sorted(castling.swapcase())) if castling != "-" else "-"
    other = passed if passed == "-" else passed[0] + str(9 - int(passed[1]))
    return " ".join([ranks, "b" if side == "w" else "w", rights, other, *clocks])


def walk(seed: int, start: str = INITIAL, moves: int = 120) -> list[Position]:
    """The positions of a random game."""
    chance, position = random.Random(seed), read_fen(start)
    met = [position]
    while (legal := legal_moves(position)) and len(met) < moves:
        position = play(position, chance.choice(legal))
        met.append(position)
    return met


@pytest.mark.parametrize(("fen", "depth", "count"), cases(deep=False))
def test_perft(fen: str, depth: int, count: int) -> None:
    assert perft(read_fen(fen), depth) == count
    assert perft(read_fen(exchanged(fen)), depth) == count


@pytest.mark.slow
@pytest.mark.parametrize(("fen", "depth", "count"), cases(deep=True))
def test_deep_perft(fen: str, depth: int, count: int) -> None:
    assert perft(read_fen(fen), depth) == count
    assert perft(read_fen(exchanged(fen)), depth) == count


@pytest.mark.parametrize("fen", PUBLISHED)
def test_fens_are_written_as_they_were_read(fen: str) -> None:
    assert write_fen(read_fen(fen)) == fen
    assert write_fen(read_fen(exchanged(fen))) == exchanged(fen)
    for position in walk(1, fen, 60):
        assert read_fen(write_fen(position)) == position


def test_a_known_game_is_written_as_it_stands() -> None:
    """The Ruy Lopez to the exchange, with castling, and a pawn that takes in passing."""
    position = read_fen(INITIAL)
    for name in ("e2e4", "e7e5", "g1f3", "b8c6", "f1b5", "a7a6", "b5c6", "d7c6", "e1g1", "f7f6", "d2d4"):
        position = play(position, read_move(name, position))
    assert write_fen(position) == "r1bqkbnr/1pp3pp/p1p2p2/4p3/3PP3/5N2/PPP2PPP/RNBQ1RK1 b kq d3 0 6"
    position = read_fen("4k3/8/8/8/1p6/8/P7/4K3 w - - 0 1")
    for name in ("a2a4", "b4a3"):
        position = play(position, read_move(name, position))
    assert write_fen(position) == "4k3/8/8/8/8/p7/8/4K3 w - - 0 2"


def test_castling_needs_a_safe_way_for_the_king_and_an_empty_one() -> None:
    def castles(fen: str) -> set[str]:
        moves = {name_of_move(move) for move in legal_moves(read_fen(fen))}
        return moves & {"e1g1", "e1c1"}

    assert castles("r3k2r/8/8/8/8/8/8/R3K2R w KQ - 0 1") == {"e1g1", "e1c1"}
    assert castles("1r2k3/8/8/8/8/8/8/R3K2R w KQ - 0 1") == {"e1g1", "e1c1"}  # b1 alone is attacked
    assert castles("3rk3/8/8/8/8/8/8/R3K2R w KQ - 0 1") == {"e1g1"}
    assert castles("4kr2/8/8/8/8/8/8/R3K2R w KQ - 0 1") == {"e1c1"}
    assert castles("4k3/4r3/8/8/8/8/8/R3K2R w KQ - 0 1") == set()
    assert castles("4k3/8/8/8/8/8/8/RN2K1NR w KQ - 0 1") == set()
    assert castles("4k3/8/8/8/8/8/8/R3K2R w - - 0 1") == set()
    # A rook that is taken at home takes the right with it.
    after = play(
        read_fen("r3k2r/8/8/8/8/8/6b1/R3K2R b KQkq - 0 1"),
        read_move("g2h1", read_fen("r3k2r/8/8/8/8/8/6b1/R3K2R b KQkq - 0 1")),
    )
    assert write_fen(after).split()[2] == "Qkq"


def test_taking_in_passing_may_not_open_a_line_to_the_king() -> None:
    """Both pawns leave the fifth rank at once."""
    moves = {name_of_move(move) for move in legal_moves(read_fen("4k3/8/8/K2pP2r/8/8/8/8 w - d6 0 2"))}
    assert "e5d6" not in moves
    moves = {name_of_move(move) for move in legal_moves(read_fen("4k3/8/8/3pP2r/K7/8/8/8 w - d6 0 2"))}
    assert "e5d6" in moves


def test_promotions_are_four_moves_each() -> None:
    moves = [name_of_move(move) for move in legal_moves(read_fen("1n2k3/P7/8/8/8/8/8/4K3 w - - 0 1"))]
    promoting = [name for name in moves if name.startswith("a7")]
    assert sorted(promoting) == [f"a7{end}{piece}" for end in ("a8", "b8") for piece in "bnqr"]
    position = read_fen("1n2k3/P7/8/8/8/8/8/4K3 w - - 0 1")
    assert write_fen(play(position, read_move("a7b8n", position))) == "1N2k3/8/8/8/8/8/8/4K3 b - - 0 1"


def test_checks_are_those_that_leave_the_king_attacked() -> None:
    """Told from the move, and by looking at the position after it: discovered, castled, promoted and in passing too."""
    starts = [*PUBLISHED, "4k3/8/8/1K1pP2R/8/8/8/8 w - d6 0 2", "5k2/8/8/8/8/8/8/4K2R w K - 0 1"]
    met, checks = 0, 0
    for number, start in enumerate(starts):
        for position in walk(number, start, 50):
            for move in legal_moves(position):
                after = play(position, move)
                assert gives_check(position, move) == in_check(after), (write_fen(position), name_of_move(move))
                met, checks = met + 1, checks + in_check(after)
    assert met > 3_000
    assert checks > 60


def test_a_pawn_that_is_taken_in_passing_may_open_a_check() -> None:
    """The bishop on b3 sees f7 once d5 is gone, which is neither where the move begins nor where it ends."""
    position = read_fen("8/5k2/8/3pP3/8/1B6/8/4K3 w - d6 0 2")
    assert gives_check(position, read_move("e5d6", position))
    assert not gives_check(position, read_move("e1e2", position))


def test_clocks_count_quiet_moves_and_pairs_of_moves() -> None:
    def clocks(name: str, side: str) -> list[str]:
        position = read_fen(f"4k3/4n3/8/3p1p2/4P3/3N4/4K3/8 {side} - - 5 9")
        return write_fen(play(position, read_move(name, position))).split()[4:]

    assert clocks("e2f3", "w") == ["6", "9"]
    assert clocks("e4e5", "w") == ["0", "9"]
    assert clocks("e7g8", "b") == ["6", "10"]
    assert clocks("d5e4", "b") == ["0", "10"]
    position = read_fen("4k3/8/8/8/8/2n5/4K3/2R5 w - - 5 9")
    assert write_fen(play(position, read_move("c1c3", position))).split()[4:] == ["0", "9"]


def test_moves_are_the_same_with_colours_exchanged() -> None:
    for position in walk(3):
        other = read_fen(exchanged(write_fen(position)))
        assert legal_moves(other) == legal_moves(position)
        assert other.squares == position.squares


def test_shields_are_pieces_whose_going_opens_a_check() -> None:
    for position in walk(4) + walk(5, KIWIPETE):
        squares, king = position.squares, position.squares.index(KING)
        if attacked(squares, king, others=True):
            continue
        opening = []
        for square, piece in enumerate(squares):
            if piece and piece != KING:
                without = bytearray(squares)
                without[square] = 0
                if attacked(without, king, others=True):
                    opening.append(square)
        assert sorted(shields(squares, king)) == opening


def test_what_is_out_of_reach_is_not_attacked() -> None:
    """On a board of one piece what it reaches is what it attacks; on others nothing else is attacked."""
    for piece in range(1, 7):
        for place in (0, 12, 35, 63):
            alone = bytes(piece + OTHERS if square == place else 0 for square in range(64))
            wanted = sum(1 << square for square in range(64) if attacked(alone, square, others=True))
            assert reached(alone) == wanted
            assert reached(bytes(piece if square == place else 0 for square in range(64))) == 0
    for position in walk(6, KIWIPETE, 40):
        reach = reached(position.squares)
        assert all(reach >> square & 1 for square in range(64) if attacked(position.squares, square, others=True))


def test_mate_and_stalemate() -> None:
    fool = read_fen("rnb1kbnr/pppp1ppp/8/4p3/6Pq/5P2/PPPPP2P/RNBQKBNR w KQkq - 1 3")
    assert (is_mate(fool), is_stalemate(fool)) == (True, False)
    corner = read_fen("7k/5Q2/6K1/8/8/8/8/8 b - - 0 1")
    assert (is_mate(corner), is_stalemate(corner)) == (False, True)
    start = read_fen(INITIAL)
    assert (is_mate(start), is_stalemate(start)) == (False, False)
    smothered = read_fen("6rk/5Npp/8/8/8/8/8/K7 b - - 0 1")
    assert is_mate(smothered)
    assert not is_mate(replace(smothered, squares=smothered.squares.replace(bytes([ROOK]), bytes([0]))))


def test_turning_twice_is_nothing() -> None:
    squares = read_fen(KIWIPETE).squares
    assert turned(turned(squares)) == squares
    assert turned(squares).count(KING + OTHERS) == 1


@pytest.mark.parametrize(
    ("fen", "words"),
    [
        ("8/8/8/8/8/8/8/8 w - -", "0 kings"),
        ("kk6/8/8/8/8/8/8/K7 w - - 0 1", "2 kings"),
        ("k7/8/8/8/8/8/8/K6P w - - 0 1", "first or last rank"),
        ("k7/8/8/8/8/8/8/K6R w K - 0 1", "castling rights of a king or rook"),
        ("4k3/8/8/8/8/8/8/4K3 w - e6 0 1", "passed square"),
        ("k6R/8/8/8/8/8/8/K7 w - - 0 1", "could take the king"),
        ("k7/8/8/8/8/8/8/K7 x - - 0 1", "no FEN"),
        ("k7/8/8/8/8/8/K7 w - - 0 1", "ranks of"),
        ("k7/9/8/8/8/8/8/K7 w - - 0 1", "no piece"),
        ("k7/8/8/8/8/8/8/K7 w KK - 0 1", "castling rights of the FEN"),
        ("k7/8/8/8/8/8/8/K7 w - z9 0 1", "no square"),
    ],
)
def test_what_is_no_position_is_refused(fen: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_fen(fen)


@pytest.mark.parametrize("name", ["e2e5", "e7e5", "e2", "e2e4q", "e2e4k", "", "i2i4"])
def test_what_is_no_move_is_refused(name: str) -> None:
    with pytest.raises(InputError):
        read_move(name, read_fen(INITIAL))
