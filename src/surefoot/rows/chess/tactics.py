"""Chess puzzles of more than one move: mates in two, and moves that win material, from random games of few pieces.

- `mateIn2`: no move mates, and after exactly one every answer meets a mate. From the endgames that mates in one are
  from (`puzzles`; of the same seed they are the same games, by the same names). Positions where the other king has more
  than three safe squares to go to are left out unsearched: they hardly ever are such mates
- `tactic`: exactly one move wins three pawns' worth or more against best play, by a search of three moves (own,
  other's, own) and then captures to their end (`search`), and every other move is worth less by two or more. Captures
  alone win a pawn there at most. From one to three pieces a side put down at random, with the mover's pawns on its own
  half, so that what is won is hardly ever a promotion. What looking further ahead would say is not asked
- `tactic fork`: such a move whose piece then attacks two or more of: the king, pieces worth more than itself, pieces
  worth three and more that nobody guards

A position comes once (clocks and colours aside); puzzles of one game share its name.

Source: Burns et al. (2023), "Weak-to-strong generalization", §4.1 (chess puzzles: there from games that people played).
"""

import random
from collections.abc import Iterator
from dataclasses import replace

from surefoot.errors import InputError
from surefoot.progress import Progress, silent
from surefoot.rows.chess.attacks import KING_STEPS, attacked
from surefoot.rows.chess.board import EMPTY, KING, OTHERS, PAWN, Position
from surefoot.rows.chess.moves import Move, gives_check, is_mate, legal_moves, play
from surefoot.rows.chess.puzzles import Found, Puzzle, played_on, puzzles_of_games, random_board, random_endgame
from surefoot.rows.chess.search import VALUES, winning_move

__all__ = ["forks", "mate_in_two", "mate_in_two_puzzles", "tactic_puzzles"]

FLIGHTS = 3  # safe squares of the other king, for mates in two
ENDGAME, SKIRMISH = 30, 4  # half-moves of a game
LEAST = 3  # of the pieces that a fork counts where nobody guards them
WALL = 2 * OTHERS + 1  # stands in the way and attacks nothing


def mate_in_two(position: Position) -> Move | None:
    """The one move that forces mate in two; None where a move mates at once, where none forces it, or several do.

    As `forces_mate` with 2, and quicker: an answer that was good once is tried first against the next move.

    >>> from surefoot.rows.chess.fen import read_fen
    >>> mate_in_two(read_fen("7k/8/5K2/8/8/8/8/6R1 w - - 0 1"))
    Move(start=45, end=53, promotion=0)
    """
    moves = legal_moves(position)
    afters = [play(position, move) for move in moves]
    if any(is_mate(after) for after in afters):
        return None
    found: Move | None = None
    saving: list[Move] = []
    for move, after in zip(moves, afters, strict=True):
        answers = legal_moves(after)
        answers.sort(key=lambda answer: answer not in saving)
        saves = next((answer for answer in answers if not _mates(play(after, answer))), None)
        if saves is not None:
            saving = [saves, *(each for each in saving if each != saves)][:3]
        elif answers:
            if found is not None:
                return None
            found = move
    return found


def mate_in_two_puzzles(count: int, seed: int, *, most_a_game: int = 4, progress: Progress = silent) -> list[Puzzle]:
    """`count` mates in two with one first move that forces it, all positions different.

    most_a_game: the most puzzles that one game may give.

    Raises `InputError` for a count below one, and no puzzle a game.

    >>> from surefoot.rows.chess.puzzles import forces_mate
    >>> (puzzle,) = mate_in_two_puzzles(1, seed=0)
    >>> forces_mate(puzzle.position, 2) == [puzzle.move]
    True
    """
    _check(count, most_a_game)
    return _named(puzzles_of_games({"endgame": count}, _mates_in_two_of, seed, most_a_game, progress))


def tactic_puzzles(count: int, seed: int, *, most_a_game: int = 4, progress: Progress = silent) -> list[Puzzle]:
    """`count` positions where one move wins material, as `winning_move` has it, all different.

    most_a_game: the most puzzles that one game may give.

    Raises `InputError` for a count below one, and no puzzle a game.

    >>> (puzzle,) = tactic_puzzles(1, seed=0)
    >>> winning_move(puzzle.position).move == puzzle.move
    True
    """
    _check(count, most_a_game)
    return _named(puzzles_of_games({"skirmish": count}, _tactics_of, seed, most_a_game, progress))


def forks(position: Position, move: Move) -> list[int]:
    """What the moved piece then attacks and would like to take: the squares of the king, pieces worth more than it, and
    pieces worth three or more that nobody guards, from the mover's side.

    >>> from surefoot.rows.chess.fen import read_fen
    >>> forks(read_fen("2q3k1/8/8/1N6/8/8/8/K7 w - - 0 1"), Move(33, 52))
    [58, 62]
    """
    after = play(position, move).squares
    place = move.end ^ 56
    alone = bytes(piece if piece <= OTHERS or square == place else WALL for square, piece in enumerate(after))
    own, found = VALUES[after[place] - OTHERS], list[int]()
    for square, piece in enumerate(after):
        if EMPTY < piece <= OTHERS and attacked(alone, square, others=True):
            value = VALUES[piece]
            free = value >= LEAST and not attacked(after, square, others=False)
            if piece == KING or value > own or free:
                found.append(square ^ 56)
    return sorted(found)


def _check(count: int, most_a_game: int) -> None:
    if count < 1 or most_a_game < 1:
        raise InputError(f"{count} puzzles and at most {most_a_game} a game were asked for; give at least one of each.")


def _named(puzzles: list[Puzzle]) -> list[Puzzle]:
    """With the theme in the name, as a game may give puzzles of several, and told apart where both sides have one."""
    named: dict[str, Puzzle] = {}
    for puzzle in puzzles:
        name = f"{puzzle.theme.split()[0]} {puzzle.name}"
        name = f"{name} again" if name in named else name
        named[name] = replace(puzzle, name=name)
    return list(named.values())


def _mates(position: Position) -> bool:
    return any(gives_check(position, move) and is_mate(play(position, move)) for move in legal_moves(position))


def _mates_in_two_of(chance: random.Random, _: str) -> Iterator[Found]:
    for position, mates in played_on(random_endgame(chance), chance, ENDGAME):
        if not mates and _flights(position) <= FLIGHTS:
            move = mate_in_two(position)
            if move is not None:
                yield position, move, "mateIn2"


def _tactics_of(chance: random.Random, _: str) -> Iterator[Found]:
    start = random_board(chance, (2, 2, 2, 2, 1), (1, 3), (1, 2, 2, 2, 1), (1, 3))
    for position, mates in played_on(start, chance, SKIRMISH):
        if mates or PAWN in position.squares[32:]:
            continue
        winning = winning_move(position)
        if winning is not None:
            yield position, winning.move, "tactic fork" if len(forks(position, winning.move)) > 1 else "tactic"


def _flights(position: Position) -> int:
    """How many squares the other king could go to, were it its move."""
    squares = position.squares
    near = KING_STEPS[squares.index(KING + OTHERS)]
    return sum(squares[square] <= OTHERS and not attacked(squares, square, others=False) for square in near)
