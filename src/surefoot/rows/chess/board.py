"""A chess position seen by the side to move.

Squares are numbered 8 · rank + file, a1 = 0 … h8 = 63, *from the mover's side*: where black is to move, ranks are
turned round (square XOR 56), so that own pawns always go up and there is one set of rules for both colours. Files stay
where they are: the king's wing is the e–h side for both. Pieces are 0 for an empty square, 1 to 6 for the mover's pawn,
knight, bishop, rook, queen, king, and 7 to 12 for the other's.

Source: FIDE Laws of Chess (2023), article 2.
"""

from dataclasses import dataclass

from surefoot.errors import InputError

__all__ = [
    "BISHOP",
    "EMPTY",
    "KING",
    "KNIGHT",
    "LONG",
    "NOWHERE",
    "OTHERS",
    "PAWN",
    "QUEEN",
    "ROOK",
    "SHORT",
    "Position",
    "name_of_square",
    "square_of_name",
    "turned",
]

EMPTY, PAWN, KNIGHT, BISHOP, ROOK, QUEEN, KING = range(7)
OTHERS = 6
"""Added to a piece: the same piece of the other side."""
SHORT, LONG = 1, 2
"""Bits of castling rights: the mover's; shifted left by two, the other's."""
NOWHERE = -1

SWAPPED = bytes([EMPTY, *range(1 + OTHERS, 7 + OTHERS), *range(1, 7), *range(13, 256)])


@dataclass(frozen=True, slots=True)
class Position:
    """Who stands where, from the mover's side.

    squares: 64 pieces. white: whether the mover is white. castling: rights, as bits. passed: the square that a pawn
    has just jumped over, or NOWHERE. quiet: half-moves since a capture or a pawn's move. number: of the full move.
    """

    squares: bytes
    white: bool = True
    castling: int = 0
    passed: int = NOWHERE
    quiet: int = 0
    number: int = 1

    @property
    def key(self) -> tuple[bytes, bool, int, int]:
        """What makes two positions the same, whatever the clocks say."""
        return self.squares, self.white, self.castling, self.passed


def turned(squares: bytes | bytearray) -> bytes:
    """The same squares seen by the other side."""
    return b"".join([squares[rank : rank + 8] for rank in range(56, -1, -8)]).translate(SWAPPED)


def name_of_square(square: int, white: bool = True) -> str:
    """The square's name on the board; `white`: who looks.

    >>> name_of_square(4), name_of_square(4, white=False)
    ('e1', 'e8')
    """
    square = square if white else square ^ 56
    return f"{'abcdefgh'[square % 8]}{1 + square // 8}"


def square_of_name(name: str, white: bool = True) -> int:
    """The square of this name, from the side of whoever looks. Raises `InputError` for what is no square.

    >>> square_of_name("e1"), square_of_name("e8", white=False)
    (4, 4)
    """
    if len(name) != 2 or name[0] not in "abcdefgh" or name[1] not in "12345678":
        raise InputError(f"{name!r} is no square; give a file a to h and a rank 1 to 8, such as e4.")
    square = "abcdefgh".index(name[0]) + 8 * (int(name[1]) - 1)
    return square if white else square ^ 56
