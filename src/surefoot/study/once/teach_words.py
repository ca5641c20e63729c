"""What a card says of a student in words: of each model, and of what it cannot tell."""

from collections.abc import Sequence
from pathlib import Path

from surefoot.study.once.opinions import Opinions
from surefoot.study.once.pupil import Pupil
from surefoot.study.once.taught_rows import Taught
from surefoot.study.once.teach_card import CEILING, SHORT_BASELINE, STUDENT

__all__ = ["NOT_KNOWN", "limits_of", "notes_of"]

NOT_KNOWN = (
    "What the supervisor saw is not known: nothing could check that it was not trained on the rows that it labels or "
    "is judged on; --seen names the rows it was trained on."
)


def notes_of(name: str, steps: int | None) -> tuple[str, ...]:
    """What a reader must know of a subject. steps: of the student; None where it is solved."""
    if name == SHORT_BASELINE:
        return ("Part of what a loss seems to gain is often plain early stopping; this row says how much.",)
    if name == CEILING:
        return ("The same student, taught the true labels of the same rows by cross-entropy.",)
    if name == STUDENT and steps is None:
        return ("Solved, not descended: there is one answer, whatever the seed.",)
    return ()


def limits_of(
    refused: str,
    saw: frozenset[str] | None,
    opinions: Opinions,
    taught: Taught,
    starts: Sequence[int],
    pupil: Pupil,
    seen: Path | None,
) -> tuple[str, ...]:
    """What the card does not show, the gravest first.

    saw: the rows that the supervisor saw, None where nobody says; seen: the file that names them, if one was given.
    """
    where = opinions.name if seen is None else seen.name
    told = [refused] if refused else []
    steps = pupil.steps(len(taught.labels.rows))
    if steps is not None and steps < pupil.few:
        told.append(
            f"The student took {steps} steps, in which few networks learn much; give more --epochs, or a smaller "
            "--batch."
        )
    told.append(
        NOT_KNOWN
        if saw is None
        else f"That the supervisor saw none of the rows it labels or is judged on rests on what {where} says."
    )
    if opinions.certain:
        told.append("The weak labels are certain: they tell classes, not how sure the supervisor was.")
    told += [*taught.notes, *(() if taught.encoder is None else taught.encoder.described)]
    if taught.measured is False:
        told.append("Agreement is no accuracy: a student that repeats each mistake of its supervisor agrees on all.")
    if len(starts) == 1 and steps is not None:
        told.append("One start: how much another would differ is not measured.")
    told += [
        "One supervisor: how students of another would differ is not measured.",
        "Loss, epochs and rate were taken as given and chosen on nothing here; chosen by judge rows, they would "
        "flatter the student.",
    ]
    return tuple(told)
