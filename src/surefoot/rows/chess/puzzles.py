"""Chess puzzles with one best move: mates in one from random games and endgames, and tables in Lichess's layout.

Longer ones, mates in two and moves that win material, are in `tactics`; they come from games in the same way.

A mate in one is a position where exactly one legal move mates (two promotions that mate are two moves). Games are:

- `play`: from the initial position, each side either takes, checks or promotes where it can, or moves at random
- `endgame`: from two kings, two to four pieces against none to three, anywhere that is legal, and then as above

A game goes on after a mate that was there, by another move, so that one game can give several puzzles. They share its
name, and rows made of them its source. Everything comes from the seed; a position comes once (clocks aside).

Lichess: its database of puzzles (CSV: PuzzleId, FEN, Moves, Rating, …, Themes, GameUrl). A FEN there is the position
*before* the other side's move: Moves begins with that one, and the solution's first move is the second.
"""

import csv
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from surefoot.errors import InputError
from surefoot.progress import Progress, silent
from surefoot.rows.chess.attacks import attacked
from surefoot.rows.chess.board import BISHOP, KING, KNIGHT, OTHERS, PAWN, QUEEN, ROOK, Position
from surefoot.rows.chess.fen import INITIAL, read_fen
from surefoot.rows.chess.moves import Move, gives_check, in_check, is_mate, legal_moves, play, read_move

__all__ = [
    "Found",
    "Puzzle",
    "forces_mate",
    "mate_puzzles",
    "mating_moves",
    "played_on",
    "puzzles_of_games",
    "random_board",
    "random_endgame",
    "read_lichess",
]

LONGEST = 200  # half-moves of a game
EAGER = 0.5  # how often a side takes, checks or promotes where it can
SHORTEST = 30  # half-moves of an endgame
MEN = (PAWN, KNIGHT, BISHOP, ROOK, QUEEN)
COLUMNS = ("PuzzleId", "FEN", "Moves")

Found: TypeAlias = tuple[Position, Move, str]
"""A position of a game, its one best move, and the themes of that."""


@dataclass(frozen=True)
class Puzzle:
    """A position and its best move. name: its own. game: the game that it is from. theme: what the move does."""

    position: Position
    move: Move
    name: str
    game: str
    theme: str
    rating: int | None = None


def mating_moves(position: Position) -> list[Move]:
    """The legal moves that mate at once.

    >>> [move.end for move in mating_moves(read_fen("6k1/5ppp/8/8/8/8/8/R6K w - - 0 1"))]
    [56]
    """
    return [move for move in legal_moves(position) if gives_check(position, move) and is_mate(play(position, move))]


def forces_mate(position: Position, within: int) -> list[Move]:
    """The moves after which the other side is mated in at most `within` moves of the mover, whatever it answers.

    Tried out to the end, which is quick for one or two moves and few pieces.

    >>> [move.end for move in forces_mate(read_fen("7k/8/5K2/8/8/8/8/6R1 w - - 0 1"), 2)]
    [53]
    """
    if within < 1:
        return []
    found: list[Move] = []
    for move in legal_moves(position):
        after = play(position, move)
        answers = legal_moves(after)
        if not answers:
            if in_check(after):
                found.append(move)
        elif within > 1 and all(forces_mate(play(after, answer), within - 1) for answer in answers):
            found.append(move)
    return found


def mate_puzzles(
    count: int, seed: int, *, endgames: float = 0.5, most_a_game: int = 4, progress: Progress = silent
) -> list[Puzzle]:
    """`count` mates in one with one mating move, all positions different.

    endgames: the share that comes from endgames. most_a_game: the most puzzles that one game may give.

    Raises `InputError` for a count below one, a share outside [0, 1], and no puzzle a game.

    >>> puzzles = mate_puzzles(4, seed=0)
    >>> [mating_moves(puzzle.position) == [puzzle.move] for puzzle in puzzles]
    [True, True, True, True]
    """
    if count < 1 or most_a_game < 1 or not 0 <= endgames <= 1:
        raise InputError(
            f"{count} puzzles, at most {most_a_game} a game and a share of endgames of {endgames} were asked for; give "
            "at least one of each, and a share from 0 to 1."
        )
    due = {"endgame": round(endgames * count)}
    due["play"] = count - due["endgame"]
    return puzzles_of_games(due, _mates_of, seed, most_a_game, progress)


def puzzles_of_games(
    due: Mapping[str, int],
    found: Callable[[random.Random, str], Iterable[Found]],
    seed: int,
    most_a_game: int,
    progress: Progress = silent,
) -> list[Puzzle]:
    """Puzzles from one game after another of each kind, until as many as are due are found, all positions different.

    found: what a game of a kind gives, which is all chance of the generator that it is handed.
    """
    seen: set[tuple[bytes, int, int]] = set()
    puzzles: list[Puzzle] = []
    for kind, wanted in due.items():
        made, number = 0, 0
        while made < wanted:
            game = f"{kind} {seed}-{number}"
            # A generator for each game: the first games are the same however many are asked for.
            chance = random.Random(game)
            number += 1
            room = min(most_a_game, wanted - made)
            for position, move, theme in found(chance, kind):
                # Colour aside: from the mover's side both are one position.
                key = (position.squares, position.castling, position.passed)
                if key in seen:
                    continue
                seen.add(key)
                puzzles.append(Puzzle(position, move, f"{game}-{position.number}", game, theme))
                made, room = made + 1, room - 1
                progress("puzzles", len(puzzles), sum(due.values()))
                if not room:
                    break
    return puzzles


def played_on(position: Position, chance: random.Random, longest: int) -> Iterator[tuple[Position, list[Move]]]:
    """The positions of a random game from here, each with the moves that mate at once; the game goes on by another."""
    for _ in range(longest):
        moves = legal_moves(position)
        if not moves:
            return
        checks = [move for move in moves if gives_check(position, move)]
        mates = [move for move in checks if is_mate(play(position, move))]
        yield position, mates
        others = [move for move in moves if move not in mates]
        if not others:
            return
        eager = [move for move in others if move.promotion or position.squares[move.end] or move in checks]
        position = play(position, chance.choice(eager if eager and chance.random() < EAGER else others))


def random_endgame(chance: random.Random) -> Position:
    """Two kings, two to four pieces of one side and none to three of the other, anywhere that is legal."""
    return random_board(chance, (2, 1, 1, 2, 2), (2, 4), (4, 1, 1, 1, 0), (0, 3))


def random_board(
    chance: random.Random,
    own: Sequence[int],
    own_number: tuple[int, int],
    other: Sequence[int],
    other_number: tuple[int, int],
) -> Position:
    """Two kings and some pieces, until the position is legal.

    own, other: how often pawns, knights, bishops, rooks and queens come, one to another. own_number, other_number: the
    least and the most of them.
    """
    while True:
        mine = [KING, *chance.choices(MEN, own, k=chance.randint(*own_number))]
        theirs = [KING, *chance.choices(MEN, other, k=chance.randint(*other_number))]
        squares = bytearray(64)
        pieces = mine + [piece + OTHERS for piece in theirs]
        for square, piece in zip(chance.sample(range(64), len(pieces)), pieces, strict=True):
            squares[square] = piece
        edge = {*squares[:8], *squares[56:]}
        position = Position(bytes(squares), white=chance.random() < 0.5)
        if PAWN in edge or PAWN + OTHERS in edge:
            continue
        if not attacked(squares, squares.index(KING + OTHERS), others=False):
            return position


def read_lichess(
    path: Path, *, theme: str | None = None, lowest: int | None = None, highest: int | None = None
) -> list[Puzzle]:
    """Puzzles from a CSV in Lichess's layout; the games that they are from are their sources.

    theme: only those with this word among their themes ("mateIn1"). lowest, highest: only of ratings in between.

    Raises `InputError` for other columns, and, naming the line, for a FEN or a move that is none.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as opened:
            return _read_lichess(path, csv.DictReader(opened), theme, lowest, highest)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not a readable table of puzzles ({error}); give a CSV in UTF-8.") from None


def _read_lichess(
    path: Path, reader: "csv.DictReader[str]", theme: str | None, lowest: int | None, highest: int | None
) -> list[Puzzle]:
    found: list[Puzzle] = []
    missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
    if missing:
        raise InputError(f"{path} has no column {missing[0]}; give a table in the layout of Lichess's puzzles.")
    for row in reader:
        themes = (row.get("Themes") or "").split()
        if theme is not None and theme not in themes:
            continue
        try:
            rating = int(row["Rating"]) if row.get("Rating") else None
            if rating is None and (lowest is not None or highest is not None):
                raise InputError("it has no rating; leave out lowest and highest.")
            if rating is not None and not (lowest or rating) <= rating <= (highest or rating):
                continue
            found.append(_lichess(row, themes, rating))
        except (InputError, ValueError) as error:
            raise InputError(f"{path}, line {reader.line_num}: {error}") from error
    return found


def _lichess(row: dict[str, str], themes: list[str], rating: int | None) -> Puzzle:
    if any(row.get(column) is None for column in COLUMNS):
        raise InputError("it has fewer cells than the header.")
    moves = row["Moves"].split()
    if len(moves) < 2:
        raise InputError(f"Moves is {row['Moves']!r}; give the other side's move and the solution's first at least.")
    before = read_fen(row["FEN"])
    position = play(before, read_move(moves[0], before))
    move = read_move(moves[1], position)
    # https://lichess.org/abcdefgh/black#42: the game is what comes after the host.
    parts = (row.get("GameUrl") or "").split("#")[0].removeprefix("https://").split("/")
    game = parts[1] if len(parts) > 1 and parts[1] else row["PuzzleId"]
    return Puzzle(position, move, f"lichess {row['PuzzleId']}", f"lichess game {game}", " ".join(themes), rating)


def _mates_of(chance: random.Random, kind: str) -> Iterator[Found]:
    """The mates in one of a game, as it goes on."""
    start = read_fen(INITIAL) if kind == "play" else random_endgame(chance)
    for position, mates in played_on(start, chance, LONGEST if kind == "play" else SHORTEST):
        if len(mates) == 1:
            yield position, mates[0], "mateIn1"
