"""The command line: a thin rim over the road; every command imports what it needs when it runs."""

from surefoot.cli.app import main

__all__ = ["main"]
