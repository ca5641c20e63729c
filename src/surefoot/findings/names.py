"""The names that columns of predictions usually have, in one place: what is read, what help says, what errors offer."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from surefoot.errors import InputError
from surefoot.rows.tables import Table, column, is_numeric, numbers, texts

__all__ = [
    "ANSWERS",
    "BARE",
    "BINARY",
    "DECISIONS",
    "PREFIXES",
    "SCORES",
    "SINGLE",
    "TARGETS",
    "TRUTHS",
    "AskAgain",
    "between_zero_and_one",
    "few_valued",
    "find_target",
    "listed",
    "written_alike",
]

TARGETS = ("label", "labels", "target", "targets", "y", "class", "gold_label")
"""Usual names of the labels, in any case; the first is taken where others are there, too."""
TRUTHS = ("y_true", "true", "truth", "ground_truth", "actual", "true_label", "true_class", "label_true")
"""Names that say it more strongly: beside one of these, not even a column `label` is sure to be the truth."""
PREFIXES = ("p_", "prob_", "proba_", "probability_")
"""Before the name of a class: its probability."""
BARE = ("p", "prob", "proba", "score_", "y_score_", "y_prob_", "y_proba_", "")
"""The same, where every class of the labels has such a column (`p0` and `p1`, or `cat` and `dog`)."""
SINGLE = ("probability", "prob", "p")
"""The probability of the second of two classes, 0 and 1 say; read even where predicted classes are given too."""
SCORES = ("proba", "y_score", "score", "y_prob", "y_proba")
"""The same, read only without predicted classes: beside them it may be how sure the model was of its own choice."""
DECISIONS = (
    "prediction", "predicted", "pred", "y_pred", "yhat", "y_hat", "predicted_label", "predicted_class", "pred_label",
)  # fmt: skip
"""The predicted class."""
ANSWERS = (*DECISIONS, *SINGLE, *SCORES, "confidence", "correct", "right", "wrong", "error", "loss")
"""Columns that say what the model said, or whether it was right: no groups, and slices of them explain nothing."""
NO_CLASSES = (*ANSWERS, "seen", "split", "partition", "fold", "")
MOST_VALUES = 20
BINARY = (("0", "1"), ("false", "true"), ("no", "yes"), ("neg", "pos"), ("negative", "positive"), ("-1", "1"))
"""Classes of which everybody knows the one that a single probability is of."""
TWINS = BINARY[:-1]
"""Of these, the ones that say the same: the −1 of an outlier is the 1 of another file."""


class AskAgain(InputError):
    """Input that can be used once more is said: with the options `add`, in place of the option `drop`."""

    def __init__(self, message: str, *add: str, drop: str | None = None) -> None:
        super().__init__(message)
        self.add = add
        self.drop = drop


def find_target(table: Table, given: str | None) -> str:
    """The column of the labels: the one given, else the one with a usual name, whatever its case.

    Raises `InputError` when there is none, or when several could be the truth and say different things.
    """
    if given is not None:
        column(table, given)
        return given
    usual, truths = (
        [name for want in wanted for name in table.columns if name.lower() == want] for wanted in (TARGETS, TRUTHS)
    )
    plain = [] if truths else [name for name in usual if name.lower() == TARGETS[0]]
    found = plain or [*truths, *usual]
    if not found:
        few = few_valued(table, list(table.columns))
        raise AskAgain(
            f"{table.name} has no column of true classes that is known by name ({', '.join(TARGETS[:3])}, "
            f"{', '.join(TRUTHS[:1])}, {TRUTHS[4]}, …; its columns are: {listed(list(table.columns), 20)}); name it "
            "with --target.",
            *(("--target", few[0]) if len(few) == 1 else ()),
        )
    if any(texts(table, name) != texts(table, found[0]) for name in found[1:]):
        raise AskAgain(
            f"The true classes of {table.name} could be in {' or '.join(found)}; name the column.", "--target", found[0]
        )
    return found[0]


def between_zero_and_one(table: Table, name: str) -> NDArray[Any] | None:
    """A column of single numbers of which none is missing or outside [0, 1]; None for any other."""
    values = table.columns[name]
    if (not isinstance(values, list) and values.ndim > 1) or not is_numeric(table, name):
        return None
    found = numbers(table, name).astype(np.float64)
    return found if bool(((found >= 0) & (found <= 1)).all()) else None


def few_valued(table: Table, names: Sequence[str]) -> list[str]:
    """Columns of few values, fewest first, that say nothing of the model: they may be classes or groups."""
    found: list[tuple[int, str]] = []
    for name in names:
        values = table.columns[name]
        if name.lower() in NO_CLASSES or (not isinstance(values, list) and values.ndim > 1):
            continue
        different = set(texts(table, name)) - {""}
        broken = any("." in each and each.replace(".", "", 1).lstrip("-").isdecimal() for each in different)
        if 2 <= len(different) <= min(MOST_VALUES, len(values) // 2) and not broken:
            found.append((len(different), name))
    return [name for _, name in sorted(found, key=lambda each: each[0])]


def written_alike(classes: Collection[str], said: Sequence[str], called: str) -> tuple[list[str], str]:
    """Predicted classes as the labels are written, and what a reader must know of it ("" where nothing was changed).

    Case, spaces around and the words of two classes (True for 1, no for 0) make no difference where all is one to one.
    Raises `InputError` where predicted classes cannot be told from a way of writing; `called` is their column.

    >>> written_alike(["0", "1"], ["True", "False", "True"], "prediction")
    (['1', '0', '1'], 'True read as 1, False as 0')
    """
    known = {_pointless(name): name for name in sorted(classes)}
    different = [name for name in dict.fromkeys(said) if name]
    found = {name: known[_pointless(name)] for name in different if _pointless(name) in known}
    strange = [name for name in different if name not in found]
    spelled = {_spelling(name): name for name in known.values()}
    alike = {name: spelled[_spelling(name)] for name in strange if _spelling(name) in spelled}
    if len(spelled) < len(known):  # "a" and "A" are two classes here
        alike = {}
    twice = [name for name, count in Counter([*set(found.values()), *alike.values()]).items() if count > 1]
    if twice:
        both = [name for name in different if (alike.get(name) or found.get(name)) == twice[0]]
        raise InputError(
            f"The predicted classes {both[0]!r} and {both[1]!r} in {called} differ in case or spaces alone, and the "
            f"labels have {twice[0]!r}; write them alike."
        )
    if strange and not found and not alike:
        alike = _twins(known.values(), different, called)
    elif odd := [name for name in strange if name not in alike and _of_other_words(spelled, name)]:
        raise InputError(
            f"The predicted class {odd[0]!r} in {called} is no class of the labels ({listed(list(known.values()))}); "
            "write them alike."
        )
    read = {**found, **alike}
    shown = [(name if name == name.strip() else repr(name), of) for name, of in alike.items()]
    pairs = [f"{name} {'as' if at else 'read as'} {of}" for at, (name, of) in enumerate(shown)]
    return [read.get(name, name) for name in said], listed(pairs)


def listed(names: Sequence[str], most: int = 6) -> str:
    """Names with commas between, the first few where there are many."""
    return ", ".join(names) if len(names) <= most else f"{', '.join(names[:most])}, … ({len(names)} in all)"


def _twins(classes: Collection[str], said: Sequence[str], called: str) -> dict[str, str]:
    """What each predicted class is of two classes that the labels write with other words; empty if with the same."""
    ours, theirs = {_spelling(name): name for name in classes}, {_spelling(name): name for name in said}
    if any({*ours, *theirs} <= set(pair) for pair in BINARY):
        return {}
    first = next((pair for pair in TWINS if set(ours) <= set(pair)), None)
    other = next((pair for pair in TWINS if set(theirs) <= set(pair)), None)
    if first is None or other is None or len(theirs) < len(said):
        raise InputError(
            f"None of the predicted classes in {called} ({listed(sorted(said))}) is a class of the labels "
            f"({listed(sorted(classes))}); write them alike."
        )
    return {name: ours.get(first[other.index(each)], first[other.index(each)]) for each, name in theirs.items()}


def _of_other_words(ours: Collection[str], name: str) -> bool:
    """Whether a class belongs to two classes in words or numbers of which the labels use others: −1 beside 0 and 1."""
    each = _spelling(name)
    two = any(set(ours) <= set(pair) for pair in BINARY) and any(each in pair for pair in BINARY)
    return two and not any({*ours, each} <= set(pair) for pair in BINARY)


def _spelling(name: str) -> str:
    return _pointless(name.strip().casefold())


def _pointless(name: str) -> str:
    """A whole number without the zeros behind its point; anything else as it is."""
    before, _, behind = name.partition(".")
    return before if before.removeprefix("-").isdecimal() and not behind.strip("0") else name
