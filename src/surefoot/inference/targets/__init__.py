"""Posteriors as samplers see them: log densities of flat positions in whitened coordinates, all chains at once."""
