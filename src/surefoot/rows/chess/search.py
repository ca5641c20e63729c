"""What a position is worth in material against best play, searched to a fixed depth with captures to their end.

    worth(p, d) = max over legal moves of −worth(after, d − 1)
    worth(p, 0) = the most that the mover makes of it by captures and promotions, where it may stop at any time;
                  in check it may not, and every move counts

Material is the mover's less the other's, in pawns: knight and bishop 3, rook 5, queen 9. Who has no legal move is
mated, −(MATE + depth left), or has drawn, 0. No repetition, no fifty moves, no draw for want of material. Captures come
to an end: what answers a check answers a capture or promotion, and those use pieces up.

Branches that cannot change the result are not looked at; the result is the same.

Source: Shannon (1950), "Programming a computer for playing chess", §3–4 (values of pieces, captures to their end);
Knuth and Moore (1975), "An analysis of alpha-beta pruning", §2 and 4.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from surefoot.errors import InputError
from surefoot.rows.chess.board import BISHOP, EMPTY, KING, KNIGHT, OTHERS, PAWN, QUEEN, ROOK, Position
from surefoot.rows.chess.moves import Move, gives_check, has_moves, in_check, legal_moves, play

__all__ = ["MATE", "VALUES", "Winning", "captures_worth", "material", "winning_move", "worth"]

VALUES = {EMPTY: 0, PAWN: 1, KNIGHT: 3, BISHOP: 3, ROOK: 5, QUEEN: 9, KING: 0}
"""Of each piece, in pawns."""
MATE = 1_000
"""More than any material."""
ENDLESS = 10 * MATE

EITHER = (*VALUES.values(), *(VALUES[piece] for piece in range(1, 1 + OTHERS)))
MINE = bytes([*VALUES.values(), *[0] * 249])
THEIRS = bytes([*[0] * (1 + OTHERS), *EITHER[1 + OTHERS :], *[0] * 243])
KILLERS = 2


class Winning(NamedTuple):
    """A move that wins material, and how many pawns' worth above what there was before."""

    move: Move
    gain: int


def material(position: Position) -> int:
    """The mover's material less the other's, in pawns.

    >>> from surefoot.rows.chess.fen import read_fen
    >>> material(read_fen("3qk3/8/8/8/8/8/PP6/R3K3 w - - 0 1"))
    -2
    """
    return sum(position.squares.translate(MINE)) - sum(position.squares.translate(THEIRS))


def captures_worth(position: Position, low: int = -ENDLESS, high: int = ENDLESS) -> int:
    """What the position is worth to the mover, who takes, promotes or stops; in check, who does what it can.

    low, high: results at most `low` or at least `high` say that much and no more.

    >>> from surefoot.rows.chess.fen import read_fen
    >>> free, guarded = "4k3/8/8/3r4/4P3/8/8/4K3 w - - 0 1", "4k3/8/2p5/3p4/8/8/8/3RK3 w - - 0 1"
    >>> captures_worth(read_fen(free)), captures_worth(read_fen(guarded))
    (1, 3)
    """
    now = material(position)
    if in_check(position):
        moves = legal_moves(position)
        if not moves:
            return -MATE
        best = -ENDLESS
    else:
        if not has_moves(position):
            return 0
        best = now
        if best >= high:
            return best
        moves = [move for move in legal_moves(position) if _won(position, move)]
        moves.sort(key=lambda move: -_won(position, move))
    for move in moves:
        most = _most(position, move, now, max(low, best))
        if most is None:
            most = -captures_worth(play(position, move), -high, -max(low, best))
        best = max(best, most)
        if best >= high:
            break
    return best


def worth(position: Position, depth: int, low: int = -ENDLESS, high: int = ENDLESS) -> int:
    """What the position is worth to the mover after `depth` moves of both sides together and the captures that follow.

    low, high: as in `captures_worth`. Raises `InputError` for a negative depth.

    >>> from surefoot.rows.chess.fen import read_fen
    >>> fork = read_fen("2q3k1/8/8/3N4/8/8/8/K7 w - - 0 1")  # from e7, and then the queen is taken
    >>> material(fork), worth(fork, 0), worth(fork, 1)
    (-6, -6, 3)
    """
    if depth < 0:
        raise InputError(f"A depth of {depth} was asked for; give the number of moves to look ahead, 0 or more.")
    return _worth(position, depth, low, high, _Refuted())


def winning_move(position: Position, depth: int = 3, *, gain: int = 3, margin: int = 2) -> Winning | None:
    """The one move that wins `gain` pawns or more, every other being worth less by `margin` or more; None without one.

    A position where captures alone win more than `gain` − `margin` (a piece that nobody guards) has none, nor one whose
    best move forces mate within the depth, or ends at equal material, which may be a draw by stalemate.

    Raises `InputError` for a depth, a gain or a margin below one, and a margin above the gain.

    >>> from surefoot.rows.chess.fen import read_fen
    >>> winning_move(read_fen("2q3k1/8/8/3N4/8/8/8/K7 w - - 0 1"))  # a fork from e7
    Winning(move=Move(start=35, end=52, promotion=0), gain=9)
    """
    if min(depth, gain, margin) < 1 or margin > gain:
        raise InputError(
            f"A depth of {depth}, a gain of {gain} and a margin of {margin} were asked for; give numbers of 1 or more, "
            "and a margin that is not above the gain."
        )
    before = material(position)
    enough = before + gain - margin + 1
    if captures_worth(position, enough - 1, enough) >= enough:
        return None
    refuted, good = _Refuted(), list[Move]()
    for move in legal_moves(position):
        if -_worth(play(position, move), depth - 1, -enough, 1 - enough, refuted) >= enough:
            good.append(move)
    best, second, found = enough - 1, enough - 1, None
    for move in good:
        # Whether it is much better than the best so far, or else how good it is down to the second.
        value = -_worth(play(position, move), depth - 1, -ENDLESS, -second, refuted)
        if value > best:
            best, second, found = value, best, move
        else:
            second = max(second, value)
    if found is None or not before + gain <= best < MATE or best - second < margin or best == 0:
        return None
    return Winning(found, best - before)


@dataclass(frozen=True)
class _Refuted:
    """Moves that refuted others, by depth: tried first, they often refute the next one too."""

    by: dict[int, list[Move]] = field(default_factory=dict)

    def at(self, depth: int) -> list[Move]:
        return self.by.setdefault(depth, [])


def _worth(position: Position, depth: int, low: int, high: int, refuted: _Refuted) -> int:
    if depth == 0:
        return captures_worth(position, low, high)
    moves = legal_moves(position)
    if not moves:
        return -(MATE + depth) if in_check(position) else 0
    killers, now, best = refuted.at(depth), material(position), -ENDLESS
    moves.sort(key=lambda move: (move not in killers, -_won(position, move)))
    for move in moves:
        most = _most(position, move, now, max(low, best)) if depth == 1 else None
        if most is None:
            most = -_worth(play(position, move), depth - 1, -high, -max(low, best), refuted)
        best = max(best, most)
        if best >= high:
            if move not in killers:
                killers.insert(0, move)
                del killers[KILLERS:]
            break
    return best


def _won(position: Position, move: Move) -> int:
    """What the move itself adds to the material; a capture or a promotion, if it is not 0."""
    taken = EITHER[position.squares[move.end]]
    if move.promotion:
        return taken + VALUES[move.promotion] - VALUES[PAWN]
    if not taken and move.end == position.passed and position.squares[move.start] == PAWN:
        return VALUES[PAWN]
    return taken


def _most(position: Position, move: Move, now: int, low: int) -> int | None:
    """The most that a move with captures after it can be worth, if that is not above `low`; else None.

    Unless it is in check, the other side may stop, or it has no move, which is worth nothing.
    """
    most = max(0, now + _won(position, move))
    return most if most <= low and not gives_check(position, move) else None
