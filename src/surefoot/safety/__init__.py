"""Safety evaluation: suites of prompts with graders, what their answers add up to, and rules that decide on it."""
