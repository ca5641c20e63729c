"""Floor 1: rows, their roles and lineage, readers, generators with known truth, the embedded real data."""
