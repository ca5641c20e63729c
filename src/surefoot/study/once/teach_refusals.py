"""What a student is not taught: columns that tell the answer, one table's truth as its weak labels, unknown claims."""

from collections.abc import Sequence
from difflib import get_close_matches

from surefoot.card.claims import Claim
from surefoot.errors import InputError
from surefoot.findings.names import PREFIXES, listed
from surefoot.rows.reading import Reading
from surefoot.study.once.columns import Columns
from surefoot.study.once.opinions import Opinions
from surefoot.study.shape import FINDINGS
from surefoot.study.taught.shape import FINDINGS_OF_STUDENTS

__all__ = ["refuse_opinions", "refuse_told_answers", "refuse_unknown"]


def refuse_told_answers(columns: Columns, reading: Reading) -> None:
    """Raise where the column of the truth was named as a feature."""
    if (target := _target(reading)) in (columns.features or ()):
        raise InputError(
            f"The column {target} is both a feature and the true label, which every student would then read off; "
            "leave it out of the features."
        )


def refuse_opinions(columns: Columns, reading: Reading, opinions: Opinions, *, same: bool) -> None:
    """Raise where a feature, or the truth, is what the weak labels say. same: both are in one file.

    A column that is called as a probability of one of the classes is a feature only where it is named as one.
    """
    if same and _target(reading) in opinions.columns:
        raise InputError(
            f"The column {_target(reading)} of {opinions.name} would be both the truth and the weak labels; name the "
            "truth with --target, or the labels with --prediction or --probabilities."
        )
    names = () if reading.coded is None else reading.coded.names
    said = {*opinions.columns} if same else set[str]()
    said |= {f"{start}{name}" for start in PREFIXES for name in opinions.classes}
    told = [name for name in names if name in said and name not in (columns.features or ())]
    if told:
        raise InputError(
            f"The data has the column{'s' if len(told) > 1 else ''} {listed(told)}, called as somebody's answer is, "
            "which a student would read off; name its features with --features, and give the data before --weak LABELS."
        )


def refuse_unknown(claims: Sequence[Claim]) -> None:
    """Raise for a claim on what no card measures, before anything is trained."""
    known = (*FINDINGS, *FINDINGS_OF_STUDENTS)
    for claim in claims:
        if claim.finding not in known:
            near = get_close_matches(claim.finding, known, n=1)
            advice = f"did you mean {near[0]!r}?" if near else f"the findings are {', '.join(known)}."
            raise InputError(f"A claim is made on {claim.finding!r}, which is not measured; {advice}")


def _target(reading: Reading) -> str | None:
    """The column that was read as the true classes."""
    lines = (line.partition(": ") for line in reading.described.splitlines())
    return next((name for what, _, name in lines if what == "classes"), None)
