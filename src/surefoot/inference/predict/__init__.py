"""Predictions of many draws: averaged as they stream by, never all held."""
