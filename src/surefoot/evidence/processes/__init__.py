"""Gaussian processes: kernels, exact evidence in any order of the rows, learning by it, features, many rows."""
