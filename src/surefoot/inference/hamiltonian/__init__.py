"""Hamiltonian Monte Carlo: fixed trajectories with a Metropolis test, and the no-U-turn sampler."""
