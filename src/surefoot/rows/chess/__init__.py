"""Chess: positions and legal moves, puzzles with one best move, and both as rows of tokens and classes."""
