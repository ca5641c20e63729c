"""Floor 4: inference: from an objective or posterior, rows, a start and a seed, to draws."""
