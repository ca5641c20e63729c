"""Floor 1: findings (one measured number each), their intervals, and comparisons between models."""
