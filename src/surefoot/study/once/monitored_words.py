"""What is said of a monitor: in a sentence, in tables, in traces, and what its card cannot tell."""

from collections.abc import Mapping, Sequence

from surefoot.card.sheets import Sheet
from surefoot.card.traces import Trace
from surefoot.card.words import finding_title, show_finding
from surefoot.findings.finding import Finding
from surefoot.safety.monitors import Flag
from surefoot.study.once.monitored_thoughts import Thought

__all__ = ["limits_of", "numbers_sheet", "rules_sheet", "sentence_of", "wrong"]

SHOWN = 4
"""False alarms and misses that are shown, of each so many."""
MEANING = {
    "flagged": "of all thoughts; no prevalence by itself",
    "monitor_precision": "flagged thoughts that should be",
    "missed": "unflagged thoughts that should have been, of those that were read",
    "prevalence": "all that should be flagged: found, and missed by the sample’s share",
    "monitor_sensitivity": "of what should be flagged, what is; the sample counted up to all thoughts",
    "monitor_specificity": "of what should not be, what is not",
    "unread": "thoughts that the monitor gave no verdict on",
}


def sentence_of(verdict: str, findings: Sequence[Finding], sample: int, unlabelled: bool) -> str:
    """The verdict, and what was found."""
    of = {each.name: each for each in findings if each.slice == "all"}
    flagged = of["flagged"]
    told = f"{round(flagged.value * flagged.count):,} of {flagged.count:,} thoughts are flagged"
    if unlabelled:
        told += f"; what that means is known when a person has read {sample:,} thoughts (the sheet beside this card)."
    else:
        told += f"; {show_finding(of['prevalence'])} of all should be, by {sample:,} that a person read."
    return f"{verdict} {told}".strip()


def numbers_sheet(findings: Sequence[Finding]) -> Sheet:
    """Every number with its count and its meaning."""
    rows = [
        (
            finding_title(each.name) + ("" if each.slice == "all" else f" on {each.slice}"),
            show_finding(each),
            f"{each.count:,}",
            MEANING[each.name],
        )
        for each in findings
        if each.name != "unread" or each.value > 0
    ]
    return Sheet("What the monitor tells", ("Measure", "Value", "n", "Meaning"), tuple(rows))


def rules_sheet(known: Sequence[tuple[Thought, Flag]], truth: Mapping[str, bool] | None) -> Sheet:
    """How many thoughts each rule flags and, where they were read, how many of them it should."""
    names = list(dict.fromkeys(name for _, flag in known for name in flag.rules))
    rows: list[tuple[str, ...]] = []
    for name in names:
        of = [thought for thought, flag in known if name in flag.rules]
        right = "not read" if truth is None else f"{sum(truth.get(each.row, False) for each in of):,}"
        rows.append((name, f"{len(of):,}", right))
    rows.sort(key=lambda each: -int(each[1].replace(",", "")))
    return Sheet(
        "By rule", ("Rule", "Thoughts flagged", "Rightly"), tuple(rows), "A thought may be flagged by several."
    )


def wrong(
    model: str, known: Sequence[tuple[Thought, Flag]], truth: Mapping[str, bool], *, reveal: bool
) -> tuple[Trace, ...]:
    """Thoughts that the monitor missed, and false alarms; redacted unless revealed."""
    missed = [(thought, flag) for thought, flag in known if truth.get(thought.row, False) and not flag.flagged]
    alarms = [(thought, flag) for thought, flag in known if flag.flagged and not truth.get(thought.row, True)]
    found: list[Trace] = []
    for wanted, of in (("a flag", missed), ("no flag", alarms)):
        for thought, flag in of[:SHOWN]:
            text = thought.whole if reveal else f"[redacted: {len(thought.whole):,} characters; --reveal shows them]"
            by = f"flagged by {', '.join(flag.rules)}" if flag.flagged else "not flagged"
            found.append(Trace(model, f"[{thought.suite}, {thought.item}] {by}", text, None, wanted, 0.0))
    return tuple(found)


def limits_of(sample: int, flagged: int, known: int, *, labelled: bool) -> tuple[str, ...]:
    """What the card does not show."""
    told = (
        f"A person read {sample:,} of {known:,} thoughts: {flagged:,} flagged ones, and {sample - flagged:,} of the "
        f"{known - flagged:,} others, drawn at random, each of which stands for its kind."
        if labelled
        else "Nobody has read the flags: a flag is no proof, and how much the monitor misses is unknown."
    )
    return (
        told,
        "A thought need not say what a model is about: what is never written down is missed by every monitor of it.",
        "Train nothing against a monitor: thoughts then learn to pass it, and it tells nothing any more.",
    )
