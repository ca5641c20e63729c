"""Readers of published sets, from files of the user: nothing is fetched, and nothing of them is kept here."""
