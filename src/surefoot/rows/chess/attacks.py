"""Which squares pieces reach: tables of an empty board, and whether a square is attacked on a given one."""

from surefoot.rows.chess.board import BISHOP, KING, KNIGHT, OTHERS, PAWN, QUEEN, ROOK

__all__ = [
    "ALIGNED",
    "DIAGONALS",
    "KING_STEPS",
    "KNIGHT_STEPS",
    "LINES",
    "PAWN_TAKES",
    "attacked",
    "reached",
    "shields",
]

Squares = tuple[int, ...]


def _reach(square: int, steps: tuple[tuple[int, int], ...], most: int) -> tuple[Squares, ...]:
    """For each step (ranks, files), the squares met by up to `most` of them, the nearest first; empty ones left out."""
    found: list[Squares] = []
    for ranks, files in steps:
        ray: list[int] = []
        rank, file = square // 8 + ranks, square % 8 + files
        while 0 <= rank < 8 and 0 <= file < 8 and len(ray) < most:
            ray.append(8 * rank + file)
            rank, file = rank + ranks, file + files
        if ray:
            found.append(tuple(ray))
    return tuple(found)


def _leaps(square: int, steps: tuple[tuple[int, int], ...]) -> Squares:
    return tuple(ray[0] for ray in _reach(square, steps, 1))


ACROSS = ((1, 0), (-1, 0), (0, 1), (0, -1))
SLANTED = ((1, 1), (1, -1), (-1, 1), (-1, -1))
JUMPS = ((2, 1), (2, -1), (-2, 1), (-2, -1), (1, 2), (1, -2), (-1, 2), (-1, -2))

LINES = tuple(_reach(square, ACROSS, 7) for square in range(64))
DIAGONALS = tuple(_reach(square, SLANTED, 7) for square in range(64))
KNIGHT_STEPS = tuple(_leaps(square, JUMPS) for square in range(64))
KING_STEPS = tuple(_leaps(square, ACROSS + SLANTED) for square in range(64))
PAWN_TAKES = tuple(_leaps(square, ((1, 1), (1, -1))) for square in range(64))
"""Where an own pawn takes."""
PAWN_TAKEN = tuple(_leaps(square, ((-1, 1), (-1, -1))) for square in range(64))
"""Where an own pawn stands that takes here; the other's pawns go down, so that theirs stand at `PAWN_TAKES`."""
ALIGNED = tuple(
    bytes(any(other in ray for ray in LINES[square] + DIAGONALS[square]) for other in range(64)) for square in range(64)
)
"""ALIGNED[king][square]: whether a piece that leaves the square may open a line to the king."""


def _masks(leaps: tuple[Squares, ...]) -> tuple[int, ...]:
    return tuple(sum(1 << end for end in ends) for ends in leaps)


def _lines(rays: tuple[tuple[Squares, ...], ...]) -> tuple[int, ...]:
    return _masks(tuple(tuple(end for ray in each for end in ray) for each in rays))


REACHED = {
    PAWN: _masks(PAWN_TAKEN),
    KNIGHT: _masks(KNIGHT_STEPS),
    BISHOP: _lines(DIAGONALS),
    ROOK: _lines(LINES),
    QUEEN: tuple(map(int.__or__, _lines(DIAGONALS), _lines(LINES))),
    KING: _masks(KING_STEPS),
}
"""REACHED[piece][square], a bit a square: where the *other's* piece attacks on an empty board."""


def reached(squares: bytes) -> int:
    """Where the other's pieces would attack if nobody stood between, a bit a square: nowhere else do they attack.

    >>> reached(bytes([ROOK + OTHERS, *[0] * 63])) & 0xFF
    254
    """
    found = 0
    for square, piece in enumerate(squares):
        if piece > OTHERS:
            found |= REACHED[piece - OTHERS][square]
    return found


def attacked(squares: bytes | bytearray, square: int, *, others: bool) -> bool:
    """Whether pieces of the other side (or the mover's, where not `others`) attack this square.

    >>> attacked(bytes([ROOK, 0, 0, KING + OTHERS, *[0] * 60]), 3, others=False)
    True
    """
    base = OTHERS if others else 0
    knight, king, pawn = KNIGHT + base, KING + base, PAWN + base
    for place in KNIGHT_STEPS[square]:
        if squares[place] == knight:
            return True
    for place in PAWN_TAKES[square] if others else PAWN_TAKEN[square]:
        if squares[place] == pawn:
            return True
    queen = QUEEN + base
    for rays, straight in ((LINES[square], ROOK + base), (DIAGONALS[square], BISHOP + base)):
        for ray in rays:
            for place in ray:
                piece = squares[place]
                if piece:
                    if piece in (straight, queen):
                        return True
                    break
    return king in [squares[place] for place in KING_STEPS[square]]


def shields(squares: bytes, square: int) -> list[int]:
    """The squares whose piece alone stands between this square and a rook, bishop or queen of the other side.

    >>> shields(bytes([KING, PAWN, 0, ROOK + OTHERS, *[0] * 60]), 0)
    [1]
    """
    found: list[int] = []
    queen = QUEEN + OTHERS
    for rays, straight in ((LINES[square], ROOK + OTHERS), (DIAGONALS[square], BISHOP + OTHERS)):
        for ray in rays:
            shield = -1
            for place in ray:
                piece = squares[place]
                if not piece:
                    continue
                if shield < 0:
                    shield = place
                    continue
                if piece in (straight, queen):
                    found.append(shield)
                break
    return found
