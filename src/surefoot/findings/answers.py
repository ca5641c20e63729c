"""Which columns of a table say what the model said: a probability for each class, one of two classes, or its choice.

Nothing is guessed: columns are known by their names together with the classes of the labels, or the user names them.
Where names leave a choice, or columns only look like probabilities, the error says what to name.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from surefoot.errors import InputError
from surefoot.findings.names import (
    BARE,
    BINARY,
    DECISIONS,
    PREFIXES,
    SCORES,
    SINGLE,
    AskAgain,
    between_zero_and_one,
    listed,
    written_alike,
)
from surefoot.rows.arrays import class_numbers
from surefoot.rows.tables import Table, column, is_numeric, numbers, texts

__all__ = ["FAR", "Answer", "NoAnswer", "classes_of", "find_answer", "no_answer"]

FAR = 1e-3
"""How far the probabilities of a row may be from a sum of 1."""
NEAR = 0.02
"""How near such sums are where they were rounded."""


@dataclass(frozen=True)
class Answer:
    """Columns of probabilities, one for each of `classes`, or one for `of` alone, the other of two; without classes the
    column of predicted classes."""

    columns: tuple[str, ...]
    classes: tuple[str, ...] = ()
    of: str | None = None

    @property
    def told(self) -> str:
        """What a reader is told."""
        if not self.classes:
            return f"predicted classes: {self.columns[0]}"
        if self.of is not None:
            other = next(name for name in self.classes if name != self.of)
            return f"probability: {self.columns[0]} of {self.of} ({other}: 1 − {self.columns[0]})"
        pairs = [f"{name} of {of}" for name, of in zip(self.columns, self.classes, strict=True)]
        return f"probabilities: {listed(pairs)}"


class NoAnswer(AskAgain):
    """No column of a table is known to say what a model said."""


def find_answer(
    table: Table,
    labels: Sequence[str],
    free: Sequence[str],
    places: Sequence[str],
    *,
    probabilities: Sequence[str] = (),
    prefix: str | None = None,
    prediction: str | None = None,
) -> Answer | None:
    """What the user named, else what the columns that are `free` are called; None where no name is known.

    probabilities: one column per class, in the order of the classes (numbers by size, words by spelling) unless their
    names say which is whose; or one, of the last of two classes. places: where each row stands, for errors.
    Raises `InputError` for named columns that do not fit the classes, for names that can mean two things, and for one
    column that predicted classes beside it do not follow.
    """
    if prediction is not None:
        if probabilities:
            raise InputError("--probabilities and --prediction both say what the model said; give one of them.")
        column(table, prediction)
        return Answer((prediction,))
    classes = classes_of(labels, places)
    if set(classes) <= {"0", "1"}:
        classes = ("0", "1")
    if probabilities:
        return _named(table, tuple(probabilities), classes)
    if prefix is not None:
        return _prefixed(table, free, classes, (prefix,))
    answer = (
        _prefixed(table, free, classes, PREFIXES)
        or _bare(table, labels, free, classes)
        or _single(table, free, classes, SINGLE)
    )
    if answer is not None:
        if answer.of is not None:
            _refuse_own_choice(table, free, classes, answer.columns[0], answer.of)
        return answer
    decided = next((Answer((name,)) for name in free if name.lower() in DECISIONS), None)
    return decided or _single(table, free, classes, SCORES)


def classes_of(labels: Sequence[str], places: Sequence[str]) -> tuple[str, ...]:
    """The classes of the labels alone; numbers with zeros before them (00, 01) are names."""
    different = set(labels)
    padded = len({len(name) for name in different}) == 1 and all(name.isdecimal() for name in different)
    if padded and len(min(different)) > 1 and min(different).startswith("0") and 2 * len(different) <= len(labels):
        return class_numbers(labels, sorted(different), places)[1]
    return class_numbers(labels, None, places)[1]


def no_answer(table: Table, labels: Sequence[str], free: Sequence[str], places: Sequence[str]) -> NoAnswer:
    """The error for a table in which nothing is known: what looks like probabilities, else which names are known."""
    classes = classes_of(labels, places)
    within = {name: values for name in free if (values := between_zero_and_one(table, name)) is not None}
    likely = [name for name, values in within.items() if bool((values != np.round(values)).any())]
    for start in range(len(likely) - len(classes) + 1):
        part = likely[start : start + len(classes)]
        if len(part) > 1 and np.allclose(np.sum([within[name] for name in part], axis=0), 1, atol=NEAR):
            return NoAnswer(
                f"{', '.join(part)} in {table.name} look like probabilities, but their names do not say of which "
                f"class; name them in the order of the classes {', '.join(classes)}.",
                "--probabilities",
                ",".join(part),
            )
    for name in (each for each in free if each.lower() in (*SINGLE, *SCORES)):
        if gaps := [at for at, cell in enumerate(texts(table, name)) if not cell]:
            raise InputError(
                f"{name} in {table.name} has {len(gaps):,} empty cell{'' if len(gaps) == 1 else 's'} (first: "
                f"{places[gaps[0]]}); give every row its probability, or leave these rows out."
            )
    told = f"{table.name} has no columns of probabilities that are known by name"
    if len(classes) == 2 and len(likely) == 1:
        return NoAnswer(
            f"{told}; if {likely[0]} holds the probability of {classes[1]}, say so.", "--probabilities", likely[0]
        )
    return NoAnswer(
        f"{told}; expected one per class called {PREFIXES[0]}<class>, or {SINGLE[0]!r} for class 1 of 0 and 1, or "
        f"predicted classes in {DECISIONS[0]!r}, or their names in --probabilities or --prediction (its columns are: "
        f"{listed(list(table.columns), 20)})."
    )


def _named(table: Table, names: tuple[str, ...], classes: tuple[str, ...]) -> Answer:
    """The columns that the user named, by the classes in their names or else in the order of the classes."""
    for name in names:
        column(table, name)
    if len(set(names)) < len(names):
        raise InputError(f"--probabilities names a column twice ({', '.join(names)}); name each once.")
    if all(each.isdecimal() for each in classes) and len(names) > len(classes) and "0" in classes:
        classes = tuple(str(number) for number in range(len(names)))
    if len(names) == 1 and len(classes) == 2:
        named = next(
            (of for of in classes for start in (*PREFIXES, *BARE) if names[0].lower() == start + of.lower()), ""
        )
        return Answer(names, classes, named or classes[1])
    if len(names) != len(classes):
        count = f"{len(names)} column{'' if len(names) == 1 else 's'}"
        raise InputError(
            f"--probabilities names {count} ({listed(names)}) and there are {len(classes)} classes "
            f"({listed(classes, 12)}); name one column per class, or one of the last of two."
        )
    return Answer(names, _by_their_names(names, classes) or classes)


def _by_their_names(names: Sequence[str], classes: Sequence[str]) -> tuple[str, ...] | None:
    """The class in each name, where all names are alike but for it: "Probability (0)", "Probability (1)"."""
    for of in sorted(classes, key=len, reverse=True):
        at = names[0].find(of)
        while at >= 0:
            before, behind = names[0][:at], names[0][at + len(of) :]
            whose = {f"{before}{each}{behind}": each for each in classes}
            if set(names) <= set(whose):
                return tuple(whose[name] for name in names)
            at = names[0].find(of, at + 1)
    return None


def _prefixed(table: Table, free: Sequence[str], classes: tuple[str, ...], prefixes: Sequence[str]) -> Answer | None:
    """Columns that a usual prefix marks, whatever else there is."""
    found = [(start, of) for start in prefixes if (of := _behind(free, start))]
    whole = [_of_classes(table, of, classes) for _, of in found if set(classes) <= set(of) and len(of) > 1]
    if len(whole) > 1 and len({_contents(table, list(of.values())) for of in whole}) > 1:
        raise _two_meanings(table, [list(of.values()) for of in whole])
    if whole:
        return Answer(tuple(whole[0].values()), tuple(whole[0]))
    for _, of in found:
        names, overlap = tuple(of.values()), set(classes) & set(of)
        if len(of) == 1 and overlap and len(classes) == 2:
            return Answer(names, classes, next(iter(of)))
        if not overlap and len(prefixes) > 1 and not _mostly_one(table, names):
            continue  # p_value, p_id: other things that begin alike
        if len(of) > len(overlap) == 1 and len(classes) == 2 and not _mostly_one(table, names):
            raise _of_these(table, names, [of[each] for each in overlap])
        if len(of) > 1 and (overlap or all(each.isdecimal() for each in classes)):
            return Answer(names, tuple(of))
        if len(of) == len(classes) > 1:
            raise AskAgain(
                f"{listed(names)} in {table.name} do not say which of the classes {listed(classes)} is whose; name "
                "them in this order.",
                "--probabilities",
                ",".join(names),
            )
        if len(prefixes) == 1 or overlap:
            raise InputError(
                f"{table.name} has probabilities of one class alone ({names[0]}); give one column per class."
            )
    return None


def _of_classes(table: Table, of: dict[str, str], classes: tuple[str, ...]) -> dict[str, str]:
    """The columns of the classes, without others that begin alike (`p_value`); with them where they are classes that no
    row has, so that the sums are 1 with them."""
    alone, every = {each: name for each, name in of.items() if each in classes}, list(of.values())
    if len(alone) == len(of):
        return of
    rest = _sums_to_one(table, every, FAR)
    if _sums_to_one(table, list(alone.values()), FAR) > max(rest, 0.5):
        return alone
    if _mostly_one(table, every) or {*of} == {str(number) for number in range(len(of))}:
        return of
    raise _of_these(table, every, [of[each] for each in classes])


def _of_these(table: Table, found: Sequence[str], names: Sequence[str]) -> AskAgain:
    return AskAgain(
        f"Not all of {listed(found)} in {table.name} can be probabilities, as they do not sum to 1; name those that "
        "are.",
        "--probabilities",
        ",".join(names),
    )


def _sums_to_one(table: Table, names: Sequence[str], far: float, to: float = 1.0) -> float:
    """In which share of the rows these columns sum to 1; in none where one of them holds no single numbers."""
    if any(isinstance(values := table.columns[name], np.ndarray) and values.ndim > 1 for name in names):
        return 0.0
    if not all(is_numeric(table, name) for name in names):
        return 0.0
    sums = np.sum([numbers(table, name).astype(np.float64) for name in names], axis=0)
    return float((np.abs(sums - to) <= far * to * (1 + 1e-9)).mean())


def _mostly_one(table: Table, names: Sequence[str]) -> bool:
    """Whether these columns are probabilities, a few faults aside; perhaps in percent."""
    return any(_sums_to_one(table, names, NEAR, to) > 0.5 for to in (1.0, 100.0))


def _bare(table: Table, labels: Sequence[str], free: Sequence[str], classes: tuple[str, ...]) -> Answer | None:
    """Columns that are called by the classes themselves, or by a letter and the class: only all of them together."""
    found: list[tuple[dict[str, str], bool]] = []
    for start in BARE:
        of = _behind(free, start)
        if not set(classes) <= set(of):
            alone = (
                len(classes) == 2 and start in BARE[:3] and sum(each.isdecimal() or each in classes for each in of) == 1
            )
            one = next((each for each in classes if alone and each in of), None)
            if one is not None and between_zero_and_one(table, of[one]) is not None:
                found.append(({one: of[one]}, False))
            continue
        more = [each for each in of if each.isdecimal()] if all(each.isdecimal() for each in classes) else []
        every = sorted(more, key=int) if more == [str(number) for number in range(len(more))] else list(classes)
        for names in [every, list(classes)] if len(every) > len(classes) else [list(classes)]:
            values = [between_zero_and_one(table, of[each]) for each in names]
            known = [each for each in values if each is not None]
            fits = len(known) == len(values) and bool(np.allclose(np.sum(known, axis=0), 1, atol=NEAR))
            called = start and len(every) == len(classes) and all(is_numeric(table, of[each]) for each in names)
            if (fits or called) and not _are_labels(labels, names, known):
                found.append(({each: of[each] for each in names}, True))
                break
    if len(found) > 1:
        raise _two_meanings(table, [list(of.values()) for of, _ in found])
    if not found:
        return None
    of, whole = found[0]
    return Answer(tuple(of.values()), tuple(of)) if whole else Answer(tuple(of.values()), classes, next(iter(of)))


def _single(table: Table, free: Sequence[str], classes: tuple[str, ...], usual: Sequence[str]) -> Answer | None:
    """One column of the probability of one of two classes, where it is plain of which."""
    name = next((name for want in usual for name in free if name.lower() == want), None)
    if name is None or (usual == SCORES and (len(classes) != 2 or _is_other_score(table, name))):
        return None
    if tuple(each.lower() for each in classes) in BINARY or classes == ("00", "01"):
        return Answer((name,), classes, classes[1])
    if len(classes) == 2:
        _refuse_own_choice(table, free, classes, name, classes[1])
        raise AskAgain(
            f"The column {name!r} of {table.name} could be the probability of {classes[0]} or of {classes[1]}; name it "
            f"if it is of {classes[1]} (else make a column {PREFIXES[0]}{classes[0]} of it).",
            "--probabilities",
            name,
        )
    if any(each.lower() in DECISIONS for each in free):
        return None  # how sure the model was of its own choice, of many
    raise InputError(
        f"The column {name!r} of {table.name} is read as the probability of class 1, but there are labels such as "
        f"{classes[0]}; give one column per class, called {PREFIXES[0]}<class>."
    )


def _refuse_own_choice(table: Table, free: Sequence[str], classes: tuple[str, ...], name: str, of: str) -> None:
    """One column beside predicted classes is the probability of a class only if a threshold on it can have made them.

    How sure a model was of its own choice, a p-value or a pixel is no such column.
    """
    values = between_zero_and_one(table, name)
    if values is None:
        return
    found: list[str] = []
    for decided in (each for each in free if each.lower() in DECISIONS and each != name):
        try:
            said = np.array(written_alike(classes, texts(table, decided), decided)[0], np.str_)
        except InputError:
            continue
        if not set(said.tolist()) <= {*classes}:
            continue
        this, other = values[said == of], values[said != of]
        if not this.size or not other.size:
            explained = bool((values < 0.5).any() if other.size else (values >= 0.5).any())
        else:
            explained = bool(other.max() <= this.min())
        if explained:
            return
        found.append(decided)
    if found:
        raise AskAgain(
            f"No threshold on {name} in {table.name} gives the predicted classes in {found[0]}: {name} may be how sure "
            f"the model was of its own choice, or something else. Judge what was predicted (--prediction "
            f"{found[0]}), or say --probabilities {name} if it is the probability of {of}.",
            "--prediction",
            found[0],
        )


def _is_other_score(table: Table, name: str) -> bool:
    """Points of a test are called a score, too."""
    return name.lower() == "score" and between_zero_and_one(table, name) is None


def _behind(free: Sequence[str], start: str) -> dict[str, str]:
    """What stands behind a beginning, and the columns that begin with it."""
    return {
        name[len(start) :]: name for name in free if name.lower().startswith(start.lower()) and len(name) > len(start)
    }


def _contents(table: Table, names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(texts(table, name)) for name in names)


def _are_labels(labels: Sequence[str], classes: Sequence[str], values: Sequence[object]) -> bool:
    """Are these columns of zeros and ones the labels once more? They would make any model look perfect."""
    if len(values) < len(classes):
        return False
    truth = np.array([[label in (each, f"{each}.0") for each in classes] for label in labels], dtype=np.float64)
    return bool(np.array_equal(np.stack([np.asarray(each) for each in values], axis=1), truth))


def _two_meanings(table: Table, found: Sequence[Sequence[str]]) -> AskAgain:
    either = " or ".join(listed(names) for names in found)
    return AskAgain(
        f"The probabilities of {table.name} could be {either}; name the ones of the model.",
        "--probabilities",
        ",".join(found[0]),
    )
