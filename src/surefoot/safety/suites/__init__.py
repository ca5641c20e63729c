"""Suites that need no files: mild, procedural prompts, drawn from a seed, and graders that are exact."""
