"""Puzzles as rows: a board as tokens, its best move as a class.

    inputs   [rows, 66] of whole numbers below 25: 64 squares from the mover's side (0 empty, 1–6 own, 7–12 the
             other's), then 9 … 24 for castling rights (9 + bits), then 0 … 8 for a passed square's file (0: none)
    targets  the best move's number among `classes`

Everything is from the mover's side, so that a position and the same one with colours exchanged are one row. `mirror`
exchanges left and right, which is the same problem where nobody may castle.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from surefoot.errors import InputError
from surefoot.rows.chess.attacks import DIAGONALS, KNIGHT_STEPS, LINES
from surefoot.rows.chess.board import NOWHERE, Position
from surefoot.rows.chess.moves import PROMOTIONS, Move, name_of_move
from surefoot.rows.chess.puzzles import Puzzle
from surefoot.rows.rows import Rows, make_rows

__all__ = ["LENGTH", "TOKENS", "all_moves", "mirror", "move_of_class", "puzzle_rows", "tokens_of"]

LENGTH, TOKENS = 66, 25
CASTLING = 9


def all_moves() -> tuple[str, ...]:
    """The names of every move that some piece can make from the mover's side; promotions name their piece.

    >>> len(all_moves())
    1880
    """
    return tuple(MOVES)


def move_of_class(name: str) -> Move:
    """The move, from the mover's side, of a class's name. Raises `InputError` for what is no move.

    >>> move_of_class("e2e4"), move_of_class("a7a8n")
    (Move(start=12, end=28, promotion=0), Move(start=48, end=56, promotion=2))
    """
    move = MOVES.get(name)
    if move is None:
        raise InputError(f"{name!r} is no move; give one by its squares, such as e2e4 or a7a8q.")
    return move


def tokens_of(position: Position) -> list[int]:
    """The position's 66 tokens; its clocks are left out."""
    file = 0 if position.passed == NOWHERE else 1 + position.passed % 8
    return [*position.squares, CASTLING + position.castling, file]


def mirror(puzzle: Puzzle) -> Puzzle:
    """The same puzzle with left and right exchanged, from the same game.

    Raises `InputError` where somebody may castle: castling has a long and a short side.
    """
    position, move = puzzle.position, puzzle.move
    if position.castling:
        raise InputError(f"In the puzzle {puzzle.name} a side may castle, which has no mirror image; leave it out.")
    squares = b"".join(position.squares[rank : rank + 8][::-1] for rank in range(0, 64, 8))
    passed = position.passed if position.passed == NOWHERE else position.passed ^ 7
    turned = Move(move.start ^ 7, move.end ^ 7, move.promotion)
    return replace(
        puzzle,
        position=replace(position, squares=squares, passed=passed),
        move=turned,
        name=f"{puzzle.name} mirrored",
    )


def puzzle_rows(puzzles: Sequence[Puzzle], classes: Sequence[str] | None = None) -> Rows:
    """Puzzles as rows, with the games as their sources.

    classes: the moves to choose from, by name from the mover's side; those that occur, if not given.

    Raises `InputError` for no puzzle, and for a best move that is not among the classes.

    >>> from surefoot.rows.chess.puzzles import mate_puzzles
    >>> rows = puzzle_rows(mate_puzzles(6, seed=0))
    >>> tuple(rows.inputs[:].shape), 1 <= len(rows.classes) <= 6
    ((6, 66), True)
    """
    if not puzzles:
        raise InputError("There are no puzzles to make rows of; check the filter that chose them.")
    named = [name_of_move(puzzle.move) for puzzle in puzzles]
    chosen = sorted(set(named)) if classes is None else list(classes)
    numbers = {name: number for number, name in enumerate(chosen)}
    for puzzle, name in zip(puzzles, named, strict=True):
        if name not in numbers:
            raise InputError(
                f"The best move {name} of the puzzle {puzzle.name} is not among the {len(chosen)} classes; leave the "
                "puzzle out, or give classes with all moves (`all_moves`)."
            )
    return make_rows(
        torch.tensor([tokens_of(puzzle.position) for puzzle in puzzles]),
        torch.tensor([numbers[name] for name in named]),
        classes=chosen,
        ids=np.array([puzzle.name for puzzle in puzzles], dtype=np.str_),
        sources=np.array([[puzzle.game] for puzzle in puzzles], dtype=np.str_),
    )


def _moves() -> list[Move]:
    found: list[Move] = []
    for start in range(64):
        lines = [end for ray in LINES[start] + DIAGONALS[start] for end in ray]
        found += [Move(start, end) for end in sorted({*lines, *KNIGHT_STEPS[start]})]
        if start // 8 == 6:
            ends = [end for end in (start + 7, start + 8, start + 9) if end // 8 == 7 and abs(end % 8 - start % 8) < 2]
            found += [Move(start, end, piece) for end in ends for piece in PROMOTIONS]
    return found


MOVES = {name_of_move(move): move for move in _moves()}
