"""The one error a user can cause.

Every message is one clear sentence (or two): what was given, what was expected, what to do. The command
line prints it without a traceback and exits with 2; in Python it is a `ValueError`.
"""

__all__ = ["InputError"]


class InputError(ValueError):
    """What the user gave cannot be used; the message says what to do next."""
