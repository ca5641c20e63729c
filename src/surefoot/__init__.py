"""surefoot: find where a trained model fails, repair it, and decide on evidence whether it may ship.

The package is a house with one-way stairs; `docs/design.md` draws it. Nothing heavy is imported here.
"""

__version__ = "0.1.0"
__all__ = ["__version__"]
