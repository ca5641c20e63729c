"""Legal moves of chess: every one, and no other.

Moves are found piece by piece; one that might leave its own king attacked (the king's own, any in check, a pinned
piece's, one that takes in passing) is tried out. Draws by repetition, by fifty moves and by too
little material are no part of this: they end games, but no position.

Checked by the published numbers of move sequences (`perft`).

Source: FIDE Laws of Chess (2023), articles 3 and 5.1–5.2.
"""

from collections.abc import Iterator
from typing import NamedTuple

from surefoot.errors import InputError
from surefoot.rows.chess.attacks import (
    ALIGNED,
    DIAGONALS,
    KING_STEPS,
    KNIGHT_STEPS,
    LINES,
    PAWN_TAKES,
    attacked,
    reached,
    shields,
)
from surefoot.rows.chess.board import (
    BISHOP,
    EMPTY,
    KING,
    KNIGHT,
    LONG,
    NOWHERE,
    OTHERS,
    PAWN,
    QUEEN,
    ROOK,
    SHORT,
    Position,
    name_of_square,
    square_of_name,
    turned,
)

__all__ = [
    "Move",
    "gives_check",
    "has_moves",
    "in_check",
    "is_mate",
    "is_stalemate",
    "legal_moves",
    "name_of_move",
    "perft",
    "play",
    "read_move",
]


class Move(NamedTuple):
    """From a square to another, both from the mover's side; a pawn on the last rank becomes `promotion`."""

    start: int
    end: int
    promotion: int = EMPTY


PROMOTIONS = (QUEEN, ROOK, BISHOP, KNIGHT)
PLAIN = tuple(tuple(Move(start, end) for end in range(64)) for start in range(64))
PROMOTED = tuple(
    tuple(tuple(Move(start, end, piece) for piece in PROMOTIONS) for end in range(64)) for start in range(64)
)
RAYS = {BISHOP: DIAGONALS, ROOK: LINES, QUEEN: tuple(map(tuple.__add__, LINES, DIAGONALS))}
REACHES = {
    PAWN: tuple(bytes(square in PAWN_TAKES[start] for square in range(64)) for start in range(64)),
    KNIGHT: tuple(bytes(square in KNIGHT_STEPS[start] for square in range(64)) for start in range(64)),
    KING: tuple(bytes(64) for _ in range(64)),
    **{
        piece: tuple(bytes(any(square in ray for ray in rays[start]) for square in range(64)) for start in range(64))
        for piece, rays in RAYS.items()
    },
}
"""REACHES[piece][start][square]: whether a piece attacks the square on an empty board; kings never check."""
HOME, SHORT_ROOK, LONG_ROOK = 4, 7, 0
# What remains of castling rights after a move from or to a square.
KEPT = [15] * 64
KEPT[HOME], KEPT[SHORT_ROOK], KEPT[LONG_ROOK] = 15 & ~(SHORT | LONG), 15 & ~SHORT, 15 & ~LONG
KEPT[SHORT_ROOK ^ 56], KEPT[LONG_ROOK ^ 56] = 15 & ~(SHORT << 2), 15 & ~(LONG << 2)


def legal_moves(position: Position) -> list[Move]:
    """Every legal move of the side to move, in a fixed order.

    >>> from surefoot.rows.chess.fen import INITIAL, read_fen
    >>> len(legal_moves(read_fen(INITIAL)))
    20
    """
    return list(_legal(position))


def has_moves(position: Position) -> bool:
    """Whether the mover has a legal move: the first that is found tells."""
    return next(_legal(position), None) is not None


def play(position: Position, move: Move) -> Position:
    """The position after a legal move, from the other side. Legality is the caller's to know (`legal_moves`)."""
    squares = position.squares
    start, end, _ = move
    piece = squares[start]
    castling = position.castling & KEPT[start] & KEPT[end]
    pawn = piece == PAWN
    passed = (start + 8) ^ 56 if pawn and end - start == 16 else NOWHERE
    return Position(
        squares=turned(_after(position, move)),
        white=not position.white,
        castling=castling >> 2 | (castling & 3) << 2,
        passed=passed,
        quiet=0 if pawn or squares[end] else position.quiet + 1,
        number=position.number + (not position.white),
    )


def in_check(position: Position) -> bool:
    """Whether the mover's king is attacked."""
    return attacked(position.squares, position.squares.index(KING), others=True)


def gives_check(position: Position, move: Move) -> bool:
    """Whether a legal move leaves the other king attacked.

    >>> from surefoot.rows.chess.fen import read_fen
    >>> [gives_check(read_fen("6k1/8/8/8/8/8/8/R6K w - - 0 1"), Move(0, end)) for end in (48, 56)]
    [False, True]
    """
    squares = position.squares
    start, end, promotion = move
    king = squares.index(KING + OTHERS)
    piece = squares[start]
    # Most moves are told by tables of an empty board: neither the piece nor a line that it opens can reach the king.
    quiet = not ALIGNED[king][start] and not REACHES[promotion or piece][end][king]
    if quiet and end != position.passed and not (piece == KING and start == HOME):
        return False
    return attacked(_after(position, move), king, others=False)


def is_mate(position: Position) -> bool:
    """Whether the mover is in check and has no move.

    >>> from surefoot.rows.chess.fen import read_fen
    >>> is_mate(read_fen("rnb1kbnr/pppp1ppp/8/4p3/6Pq/5P2/PPPPP2P/RNBQKBNR w KQkq - 1 3"))
    True
    """
    return in_check(position) and not has_moves(position)


def is_stalemate(position: Position) -> bool:
    """Whether the mover is not in check and has no move.

    >>> from surefoot.rows.chess.fen import read_fen
    >>> is_stalemate(read_fen("7k/5Q2/6K1/8/8/8/8/8 b - - 0 1"))
    True
    """
    return not in_check(position) and not has_moves(position)


def name_of_move(move: Move, white: bool = True) -> str:
    """The move's name by squares, as engines write it; `white`: whose move it is.

    >>> name_of_move(Move(12, 28)), name_of_move(Move(12, 28), white=False), name_of_move(Move(48, 56, QUEEN))
    ('e2e4', 'e7e5', 'a7a8q')
    """
    promoted = " nbrq"[move.promotion - 1] if move.promotion else ""
    return name_of_square(move.start, white) + name_of_square(move.end, white) + promoted


def read_move(name: str, position: Position) -> Move:
    """The legal move of this name. Raises `InputError` where there is none.

    >>> from surefoot.rows.chess.fen import INITIAL, read_fen
    >>> read_move("g1f3", read_fen(INITIAL))
    Move(start=6, end=21, promotion=0)
    """
    if len(name) in {4, 5} and name[4:] in {"", "n", "b", "r", "q"}:
        start, end = square_of_name(name[:2], position.white), square_of_name(name[2:4], position.white)
        move = Move(start, end, 1 + " nbrq".index(name[4]) if name[4:] else EMPTY)
        if move in legal_moves(position):
            return move
    raise InputError(f"{name!r} is no legal move there; give one by its squares, such as e2e4 or a7a8q.")


def perft(position: Position, depth: int) -> int:
    """The number of sequences of `depth` legal moves: what move generators are checked by.

    >>> from surefoot.rows.chess.fen import INITIAL, read_fen
    >>> perft(read_fen(INITIAL), 2)
    400
    """
    if depth < 1:
        return 1
    if depth == 1:
        return len(legal_moves(position))
    return sum(perft(play(position, move), depth - 1) for move in legal_moves(position))


def _legal(position: Position) -> Iterator[Move]:
    squares = position.squares
    king = squares.index(KING)
    # Most squares of few pieces are out of everybody's reach, which is told at once.
    dangers, passed = reached(squares), position.passed
    lined = bool(dangers >> king & 1)
    checked = lined and attacked(squares, king, others=True)
    pinned = shields(squares, king) if lined and not checked else ()
    for move in _candidates(squares, passed):
        start, end, _ = move
        if checked or (start == king and dangers >> end & 1) or start in pinned or end == passed:
            after = _after(position, move)
            if attacked(after, end if start == king else king, others=True):
                continue
        yield move
    if not checked and position.castling & (SHORT | LONG):
        yield from _castlings(position)


def _candidates(squares: bytes, passed: int) -> Iterator[Move]:
    """Moves by the pieces' ways alone: own kings may be left attacked. Castling is not among them."""
    for start, piece in enumerate(squares):
        if not 0 < piece <= OTHERS:
            continue
        plain = PLAIN[start]
        if piece == PAWN:
            ends = [end for end in PAWN_TAKES[start] if squares[end] > OTHERS or end == passed]
            if not squares[start + 8]:
                ends.append(start + 8)
                if start < 16 and not squares[start + 16]:
                    ends.append(start + 16)
            for end in ends:
                if end < 56:
                    yield plain[end]
                else:
                    yield from PROMOTED[start][end]
        elif piece in (KNIGHT, KING):
            for end in KNIGHT_STEPS[start] if piece == KNIGHT else KING_STEPS[start]:
                if not 0 < squares[end] <= OTHERS:
                    yield plain[end]
        else:
            for ray in RAYS[piece][start]:
                for end in ray:
                    met = squares[end]
                    if not met:
                        yield plain[end]
                        continue
                    if met > OTHERS:
                        yield plain[end]
                    break


def _castlings(position: Position) -> Iterator[Move]:
    """Not in check: the way is empty, and the king neither passes nor reaches an attacked square."""
    squares, rights = position.squares, position.castling
    for right, empty, crossed in ((SHORT, (5, 6), (5, 6)), (LONG, (1, 2, 3), (3, 2))):
        if (
            rights & right
            and not any(squares[each] for each in empty)
            and not any(attacked(squares, each, others=True) for each in crossed)
        ):
            yield PLAIN[HOME][crossed[1]]


def _after(position: Position, move: Move) -> bytearray:
    """The squares after a move, still from the mover's side."""
    squares = bytearray(position.squares)
    start, end, promotion = move
    piece = squares[start]
    squares[start] = EMPTY
    squares[end] = promotion or piece
    if piece == PAWN and end == position.passed:
        squares[end - 8] = EMPTY
    elif piece == KING and start == HOME and abs(end - start) == 2:
        rook = SHORT_ROOK if end > start else LONG_ROOK
        squares[(start + end) // 2], squares[rook] = ROOK, EMPTY
    return squares
