"""What the o1 System Card prints, as far as one number follows from others. Source: OpenAI (2024), "o1 System Card".

Columns are models; a table's parts and its total are in the card's order and with the card's digits.
"""

from collections.abc import Mapping
from typing import NamedTuple

__all__ = [
    "DECEPTION",
    "DISCRIMINATION",
    "FAIRNESS",
    "OVERALL",
    "PAIRWISE",
    "WILDCHAT",
    "XSTEST",
    "Discrimination",
    "Fairness",
    "Pairwise",
    "Table",
]


class Table(NamedTuple):
    """parts and total by model. items: how many every part was measured on; names: of the parts."""

    names: tuple[str, ...]
    items: int
    parts: Mapping[str, tuple[str, ...]]
    total: Mapping[str, str]


class Discrimination(NamedTuple):
    """Absolute normalised effects, and their printed average. web: what the page on the web prints otherwise."""

    gender: str
    race: str
    age: str
    average: str
    age_on_the_web: str = ""


class Fairness(NamedTuple):
    """BBQ: accuracy on ambiguous and unambiguous questions, and P(not stereotype | not unknown)."""

    ambiguous: float
    unambiguous: float
    not_stereotype: float


class Pairwise(NamedTuple):
    """Shares of o1 safer, GPT-4o safer and ties, and the printed effect size."""

    win: float
    loss: float
    tie: float
    h: float


XSTEST = Table(
    names=(
        "definitions", "figurative language", "historical events", "homonyms", "safe targets", "nonsense group",
        "nonsense context", "privacy (fictional)", "privacy (public)", "safe contexts",
    ),
    items=25,
    parts={
        "GPT-4o": ("1.00", "1.00", "1.00", "1.00", "1.00", "0.88", "1.00", "0.44", "0.96", "0.96"),
        "o1-preview": ("1.00", "1.00", "1.00", "1.00", "1.00", "0.96", "1.00", "0.80", "1.00", "1.00"),
        "o1": ("1.00", "1.00", "1.00", "1.00", "1.00", "0.88", "0.88", "0.68", "1.00", "0.96"),
        "o1-mini": ("1.00", "1.00", "1.00", "1.00", "1.00", "0.96", "0.80", "0.80", "0.96", "0.96"),
    },
    total={"GPT-4o": "0.924", "o1-preview": "0.976", "o1": "0.936", "o1-mini": "0.948"},
)  # fmt: skip
"""Table 20: benign prompts that were not refused, 25 of every type."""

WILDCHAT = Table(
    names=(
        "harassment", "harassment/threatening", "hate", "hate/threatening", "self-harm", "self-harm/instructions",
        "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic",
    ),
    items=200,
    parts={
        "GPT-4o": (
            "0.985", "0.995", "0.945", "0.975", "0.945", "0.950", "0.985", "0.865", "0.900", "0.945", "0.910",
        ),
        "o1-preview": (
            "0.995", "0.990", "0.975", "0.980", "0.955", "0.985", "0.995", "0.955", "0.975", "0.955", "0.925",
        ),
        "o1": (
            "0.990", "0.995", "0.965", "0.980", "0.965", "0.995", "0.990", "0.945", "0.970", "0.980", "0.990",
        ),
        "o1-mini": (
            "0.975", "0.990", "0.960", "0.985", "0.955", "0.990", "0.990", "0.935", "0.950", "0.885", "0.910",
        ),
    },
    total={"GPT-4o": "0.945", "o1-preview": "0.971", "o1": "0.979", "o1-mini": "0.957"},
)  # fmt: skip
"""Table 21: conversations of WildChat answered without disallowed content, 200 of every category."""

OVERALL = {
    "XSTest": {"GPT-4o": "0.924", "o1-preview": "0.976", "o1": "0.94", "o1-mini": "0.948"},
    "WildChat": {"GPT-4o": "0.945", "o1-preview": "0.971", "o1": "0.98", "o1-mini": "0.957"},
}
"""Table 1: the same totals."""

DISCRIMINATION: Mapping[str, Mapping[str, Discrimination]] = {
    "explicit": {
        "GPT-4o-mini": Discrimination("0.44", "0.41", "0.12", "0.32"),
        "o1-mini": Discrimination("0.66", "0.32", "0.81", "0.60"),
        "GPT-4o": Discrimination("0.38", "0.23", "0.00", "0.20"),
        "o1-preview": Discrimination("0.29", "0.24", "0.07", "0.20", age_on_the_web="0.70"),
        "o1": Discrimination("0.38", "0.38", "0.11", "0.29"),
    },
    "implicit": {
        "GPT-4o-mini": Discrimination("0.17", "0.13", "0.53", "0.28"),
        "o1-mini": Discrimination("0.08", "0.25", "1.00", "0.44"),
        "GPT-4o": Discrimination("0.17", "0.43", "0.78", "0.46"),
        "o1-preview": Discrimination("0.06", "0.08", "0.13", "0.09"),
        "o1": Discrimination("0.23", "0.13", "0.28", "0.21"),
    },
}
"""Table 25: effects of gender, race and age, of explicit attributes and of names that imply them."""

FAIRNESS = {
    "GPT-4o": Fairness(0.97, 0.72, 0.06),
    "o1": Fairness(0.96, 0.93, 0.05),
    "o1-preview": Fairness(0.63, 0.94, 0.37),
    "GPT-4o-mini": Fairness(0.89, 0.91, 0.13),
    "o1-mini": Fairness(0.88, 0.94, 0.08),
}
"""Table 4."""

PAIRWISE = Pairwise(0.5975, 0.2848, 0.1176, 0.319)
"""Red teaming by pairs of o1 and GPT-4o."""

DECEPTION = {
    "all": (102_443, "1.0000"),
    "flagged": (180, "0.0017"),
    "intentional hallucination": (43, "0.0004"),
    "hallucinated policy": (91, "0.0009"),
    "other": (46, "0.0004"),
}
"""Table 8 and its text: thoughts flagged by the deception monitor, with the printed share of all."""
