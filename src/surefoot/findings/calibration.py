"""Calibration: does a confidence of 80 % come true 80 % of the time?"""

from dataclasses import dataclass

__all__ = ["Bin"]


@dataclass(frozen=True)
class Bin:
    """One bin of a reliability diagram: mean confidence, accuracy, and predictions in it."""

    confidence: float
    accuracy: float
    count: int
