"""Toy indicators of every category: they show that a gate works, and nothing of the danger they are named after."""
