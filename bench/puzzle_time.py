"""How many chess puzzles a second of one core are generated, and how many tactics still stand when looked at further.

    python bench/puzzle_time.py             100 mates in one, 100 in two, 50 tactics; about half a minute
    python bench/puzzle_time.py --deeper    also 40 tactics by a search two moves deeper; a minute or more

Seconds are the process's own, so that others on the machine matter little.
"""

from __future__ import annotations

import sys
import time

from surefoot.rows.chess.moves import play
from surefoot.rows.chess.puzzles import mate_puzzles
from surefoot.rows.chess.search import material, winning_move, worth
from surefoot.rows.chess.tactics import mate_in_two_puzzles, tactic_puzzles

SEED, DEEPER, GAIN = 0, 40, 3


def main(arguments: list[str]) -> None:
    for name, make, count in (
        ("mates in one", mate_puzzles, 100),
        ("mates in two", mate_in_two_puzzles, 100),
        ("tactics", tactic_puzzles, 50),
    ):
        start = time.process_time()
        puzzles = make(count, SEED)
        taken = time.process_time() - start
        games = len({puzzle.game for puzzle in puzzles})
        print(f"{name}: {count} of {games} games in {taken:.1f} s, {count / taken:.1f} a second", flush=True)
    if "--deeper" in arguments:
        start, wins, only = time.process_time(), 0, 0
        for puzzle in tactic_puzzles(DEEPER, SEED):
            enough = material(puzzle.position) + GAIN
            wins += -worth(play(puzzle.position, puzzle.move), 4, -enough, 1 - enough) >= enough
            found = winning_move(puzzle.position, 5)
            only += found is not None and found.move == puzzle.move
        taken = time.process_time() - start
        print(f"of {DEEPER} tactics, looked at five moves ahead, {wins} still win {GAIN} pawns' worth or more,")
        print(f"and {only} are still the one move that does; {taken:.1f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
