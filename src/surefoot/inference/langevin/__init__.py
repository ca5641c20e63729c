"""Stochastic-gradient samplers: Langevin dynamics with and without momentum, on minibatches."""
