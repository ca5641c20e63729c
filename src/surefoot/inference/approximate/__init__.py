"""Approximations of a posterior that leave draws: variational, SWAG, ensembles, Laplace."""
