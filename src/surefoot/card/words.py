"""How the card says numbers and names: one place, so that every page, table and sentence agrees.

Proportions are percentages with one decimal, differences of proportions are points with a sign, intervals
stand in brackets behind the value without repeating the unit.
"""

import math
from collections.abc import Mapping

from surefoot.findings.finding import Finding

__all__ = [
    "evidence",
    "finding_title",
    "is_difference",
    "show_apart",
    "show_bounds",
    "show_count",
    "show_evidence",
    "show_finding",
    "show_level",
    "show_seconds",
    "show_share",
    "show_subject",
    "show_value",
]

TITLES = {
    "accuracy": "Accuracy",
    "weighted_accuracy": "Training-weighted accuracy",
    "worst_group_accuracy": "Worst-group accuracy",
    "core_decodability": "Core decodability (worst group)",
    "core_decodability_mean": "Core decodability (mean over groups)",
    "shortcut_decodability": "Shortcut decodability (worst group)",
    "shortcut_decodability_mean": "Shortcut decodability (mean over groups)",
    "nll": "Negative log-likelihood",
    "brier": "Brier score",
    "calibration_error": "Calibration error (equal-width bins)",
    "calibration_error_equal_mass": "Calibration error (equal-mass bins)",
    "accuracy_seed_sd": "Standard deviation of accuracy over seeds",
    "milliseconds": "Time of a pass",
    "megaflops": "Operations of an input",
    "mebibytes": "Memory of a pass",
    "pass_at_1": "Right in one drawn attempt",
    "accuracy_without_thought": "Accuracy, no thought allowed",
    "thinking_tokens": "Thinking",
    "answer_changes": "Thinks, and answers otherwise after a corrupted step",
    "answer_follows": "Thinks, and answers what a corrupted step implies",
    "not_unsafe": "Not unsafe",
    "not_overrefuse": "Not refused without need",
    "right": "Right",
    "won": "Games won",
    "solved": "Programs that pass",
    "captured": "Flags captured",
    "kept": "Switch left alone",
    "attack_success": "Requests that an attack got through",
    "plain_success": "Requests that got through as they were",
    "worst_group_accuracy_seed_sd": "Standard deviation of worst-group accuracy over seeds",
}
UNITS = {
    "nats": " nats",
    "rows": " rows",
    "seconds": " s",
    "ms": " ms",
    "megaflops": " million",
    "MiB": " MiB",
    "tokens": " tokens",
}


def finding_title(name: str) -> str:
    """A finding's name in words.

    >>> finding_title("worst_group_accuracy"), finding_title("mutual_information")
    ('Worst-group accuracy', 'Mutual information')
    """
    return TITLES.get(name) or name.replace("_", " ").capitalize()


def show_value(value: float, unit: str, *, signed: bool = False, decimals: int | None = None) -> str:
    """One number with its unit; `signed` marks a difference, whose proportions are points.

    >>> show_value(0.8812, "proportion"), show_value(-0.031, "proportion", signed=True), show_value(0.4, "nats")
    ('88.1%', '−3.1 points', '0.400 nats')
    """
    number = show_number(value, unit, signed=signed, decimals=decimals)
    if unit in {"proportion", "points"}:
        return number + (" points" if signed or unit == "points" else "%")
    return number + UNITS.get(unit, "")


def show_number(value: float, unit: str, *, signed: bool = False, decimals: int | None = None) -> str:
    """The number alone, scaled as `show_value` scales it."""
    if unit in {"proportion", "points"}:
        value, places = value * 100, 1
    else:
        places = 0 if unit == "rows" else 3
    places = places if decimals is None else decimals
    text = f"{abs(value):,.{places}f}"
    zero = not text.strip("0.,")
    sign = "" if zero else "−" if value < 0 else "+" if signed else ""
    return sign + text


def show_bounds(finding: Finding, *, signed: bool = False) -> str:
    """The interval in brackets, or "" when there is none."""
    if finding.interval is None or finding.interval.method == "counted":
        return ""
    low = show_number(finding.interval.low, finding.unit, signed=signed)
    high = show_number(finding.interval.high, finding.unit, signed=signed)
    return f"[{low}, {high}]"


def show_finding(finding: Finding, *, value: str | None = None) -> str:
    """Value and interval: "88.1% [84.9, 90.9]". A difference carries its sign."""
    signed = is_difference(finding.subject)
    shown = value or show_value(finding.value, finding.unit, signed=signed)
    return f"{shown} {show_bounds(finding, signed=signed)}".rstrip()


def is_difference(subject: str) -> bool:
    """Whether two subjects are compared ("after − before")."""
    return " − " in subject


def show_subject(subject: str, labels: Mapping[str, str]) -> str:
    """What readers call a subject, or both subjects of a difference.

    >>> show_subject("erm+dfr − erm", {"erm": "CNN", "erm+dfr": "CNN + DFR"})
    'CNN + DFR − CNN'
    """
    if subject in labels:
        return labels[subject]
    return " − ".join(labels.get(name, name) for name in subject.split(" − "))


def show_share(share: float) -> str:
    """A proportion that is never rounded up to all of it.

    >>> show_share(0.988), show_share(0.99999), show_share(1.0)
    ('98.8%', '>99.9%', '100.0%')
    """
    return ">99.9%" if 0.9995 <= share < 1 else show_value(share, "proportion")


def show_apart(value: float, bound: float, unit: str, *, signed: bool = False) -> tuple[str, str]:
    """A value and the bound it is held against, with as many decimals as keep unequal numbers apart.

    >>> show_apart(0.7996, 0.8, "proportion")
    ('79.96%', '80.00%')
    """
    usual = 1 if unit in {"proportion", "points"} else 0 if unit == "rows" else 3
    for decimals in range(usual, usual + 4):
        shown = tuple(show_value(each, unit, signed=signed, decimals=decimals) for each in (value, bound))
        if shown[0] != shown[1]:
            return shown[0], shown[1]
    return show_value(value, unit, signed=signed), show_value(bound, unit, signed=signed)


def show_count(count: int, thing: str) -> str:
    """A count with its noun.

    >>> show_count(1, "seed"), show_count(1200, "row")
    ('1 seed', '1,200 rows')
    """
    return f"{count:,} {thing}" + ("" if count == 1 else "s")


def evidence(finding: Finding) -> str:
    """What counts as one piece of evidence behind a number: a row, where none hangs together with others."""
    if finding.source == "this machine":
        return "timing"
    return "row" if finding.clusters == finding.count else "cluster"


def show_evidence(finding: Finding) -> str:
    """The rows behind a number, and the clusters they form where they hang together."""
    if finding.source == "this machine":
        return show_count(finding.count, "timing")
    rows = show_count(finding.count, "row")
    return rows if evidence(finding) == "row" else f"{rows} ({show_count(finding.clusters, 'cluster')})"


def show_level(confidence: float) -> str:
    """A confidence level: 95%, 99.9%."""
    return f"{confidence * 100:g}%"


def show_seconds(seconds: float) -> str:
    """A duration for a reader.

    >>> show_seconds(0.42), show_seconds(75.2)
    ('0.4 s', '1 min 15 s')
    """
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(math.floor(seconds + 0.5), 60)
    return f"{minutes} min {rest} s"
