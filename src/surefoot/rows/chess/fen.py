"""Positions in Forsyth–Edwards notation (FEN): eight ranks, who moves, castling, the passed square, two clocks.

Source: Edwards (1994), Portable Game Notation specification, §16.1.
"""

from surefoot.errors import InputError
from surefoot.rows.chess.attacks import attacked
from surefoot.rows.chess.board import (
    EMPTY,
    KING,
    LONG,
    NOWHERE,
    OTHERS,
    PAWN,
    ROOK,
    SHORT,
    Position,
    name_of_square,
    square_of_name,
    turned,
)

__all__ = ["INITIAL", "read_fen", "write_fen"]

INITIAL = "rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR w KQkq - 0 1"

LETTERS = "PNBRQKpnbrqk"
RIGHTS = {"K": SHORT, "Q": LONG, "k": SHORT << 2, "q": LONG << 2}
CORNERS = {SHORT: 7, LONG: 0}


def read_fen(fen: str) -> Position:
    """The position of a FEN; the two clocks may be left out.

    Raises `InputError` for what is no FEN, and for positions that no game reaches in ways that would break the rules
    here: kings that are missing or two, pawns on the first or last rank, rights without king and rook at home, a
    passed square without its pawn, and a side to move that could take the king.

    >>> position = read_fen(INITIAL)
    >>> list(position.squares[:8]), write_fen(position)
    ([4, 2, 3, 5, 6, 3, 2, 4], 'rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR w KQkq - 0 1')
    """
    fields = fen.split()
    if len(fields) == 4:
        fields = [*fields, "0", "1"]
    if len(fields) != 6 or fields[1] not in {"w", "b"} or not (fields[4].isdecimal() and fields[5].isdecimal()):
        raise InputError(
            f"{fen!r} is no FEN; give pieces, side to move (w or b), castling, passed square and two clocks, parted by "
            "blanks."
        )
    squares, white = _squares_of(fields[0], fen), fields[1] == "w"
    castling = _castling_of(fields[2], fen)
    if not white:
        squares, castling = turned(squares), castling >> 2 | (castling & 3) << 2
    passed = NOWHERE if fields[3] == "-" else square_of_name(fields[3], white)
    position = Position(squares, white, castling, passed, int(fields[4]), int(fields[5]))
    _check(position, fen)
    return position


def write_fen(position: Position) -> str:
    """The FEN of a position; its passed square is told after every pawn's jump, whether or not it can be taken."""
    squares = position.squares if position.white else turned(position.squares)
    ranks: list[str] = []
    for rank in range(56, -1, -8):
        text = "".join("1" if piece == EMPTY else LETTERS[piece - 1] for piece in squares[rank : rank + 8])
        for empty in range(8, 1, -1):
            text = text.replace("1" * empty, str(empty))
        ranks.append(text)
    castling = position.castling if position.white else position.castling >> 2 | (position.castling & 3) << 2
    rights = "".join(letter for letter, bit in RIGHTS.items() if castling & bit) or "-"
    passed = "-" if position.passed == NOWHERE else name_of_square(position.passed, position.white)
    side = "w" if position.white else "b"
    return f"{'/'.join(ranks)} {side} {rights} {passed} {position.quiet} {position.number}"


def _squares_of(text: str, fen: str) -> bytes:
    ranks = text.split("/")
    rows: list[list[int]] = []
    for rank in ranks:
        row: list[int] = []
        for mark in rank:
            if mark in "12345678":
                row += [EMPTY] * int(mark)
            elif mark in LETTERS:
                row.append(1 + LETTERS.index(mark))
            else:
                raise InputError(f"{mark!r} in the FEN {fen!r} is no piece; pieces are {LETTERS}.")
        rows.append(row)
    if [len(row) for row in rows] != [8] * 8:
        raise InputError(f"The FEN {fen!r} has ranks of {[len(row) for row in rows]} squares; give eight of eight.")
    return bytes(piece for row in reversed(rows) for piece in row)


def _castling_of(text: str, fen: str) -> int:
    if text == "-":
        return 0
    if not text or any(letter not in RIGHTS for letter in text) or len(set(text)) < len(text):
        raise InputError(f"The castling rights of the FEN {fen!r} are {text!r}; give some of KQkq, or -.")
    return sum(RIGHTS[letter] for letter in text)


def _check(position: Position, fen: str) -> None:
    own, other = position.squares, turned(position.squares)
    for side in (own, other):
        if side.count(KING) != 1:
            raise InputError(f"The FEN {fen!r} has {side.count(KING)} kings of one colour; give each side one.")
        if PAWN in side[:8] or PAWN in side[56:]:
            raise InputError(f"The FEN {fen!r} has a pawn on the first or last rank; no game can.")
    for side, rights in ((own, position.castling & 3), (other, position.castling >> 2)):
        for right, corner in CORNERS.items():
            if rights & right and (side[4] != KING or side[corner] != ROOK):
                raise InputError(
                    f"The FEN {fen!r} has castling rights of a king or rook that is not at home; leave them out."
                )
    passed = position.passed
    if passed != NOWHERE:
        jumped = passed // 8 == 5 and own[passed - 8] == PAWN + OTHERS and own[passed] == own[passed + 8] == EMPTY
        if not jumped:
            raise InputError(f"The FEN {fen!r} has a passed square that no pawn has just jumped over; write - there.")
    if attacked(own, own.index(KING + OTHERS), others=False):
        raise InputError(f"In the FEN {fen!r} the side to move could take the king; let the other side move.")
